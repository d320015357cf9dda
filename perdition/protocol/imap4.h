/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4 - what the two sides of IMAP4 share, and the functions that make up
 * protocol_imap4; their contracts are in protocol.h.
 */
#ifndef PERDITION_PROTOCOL_IMAP4_H
#define PERDITION_PROTOCOL_IMAP4_H

#include "perdition/protocol/protocol.h"

/* Longest literal before a login; RFC 9051 section 4.3 caps "{n+}" there. */
#define IMAP4_LITERAL_MAX 4096

/*
 * Proxies that point at each other are found by the tag in which each says how
 * many stand before it: "P", hops in decimal, ".", eight hex digits.
 */
#define IMAP4_HOPS_MAX 999 /* what a tag can say */

/* The hops that a tag tells, or 0 for a tag of any other form. */
unsigned int imap4_tag_hops(struct slice tag);

/* Writes such a tag with its NUL; returns its length without. */
#define IMAP4_TAG_SIZE 16
size_t imap4_write_tag(
    char out[IMAP4_TAG_SIZE], unsigned int hops, uint32_t nonce);

/*
 * Whether a capability may be shown to a client: an atom, and none of the
 * referrals (RFC 2221, RFC 2193), which lead it around the proxy.
 */
bool imap4_capability_ok(struct slice word);

struct protocol_client *imap4_client_create(const struct protocol_settings *);
void imap4_client_destroy(struct protocol_client **);
void imap4_client_greet(
    struct protocol_client *, struct slice host, struct buf *out);
enum request imap4_client_parse(struct protocol_client *, struct slice in,
    size_t *consumed, struct credentials *creds, struct buf *out);
void imap4_client_tls_started(struct protocol_client *);
void imap4_client_refuse(struct protocol_client *, enum refusal,
    const struct server_result *result, struct buf *out);
void imap4_client_accept(struct protocol_client *,
    const struct server_result *result, struct buf *out);
void imap4_client_farewell(
    struct protocol_client *, enum farewell, struct buf *out);
bool imap4_client_wants_capability(const struct protocol_client *);

struct protocol_server *imap4_server_create(const struct server_login *);
void imap4_server_destroy(struct protocol_server **);
enum server_step imap4_server_parse(struct protocol_server *, struct slice in,
    size_t *consumed, struct server_result *result, struct buf *out);
void imap4_server_tls_started(struct protocol_server *, struct buf *out);
bool imap4_server_told(const struct protocol_server *);

#endif
