/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pop3 - the functions that make up protocol_pop3; their contracts are in
 * protocol.h.
 */
#ifndef PERDITION_PROTOCOL_POP3_H
#define PERDITION_PROTOCOL_POP3_H

#include "perdition/protocol/protocol.h"

/* RFC 2449 section 4: what a server that has CAPA takes, CRLF included.  We
 * take PROTOCOL_INPUT_MAX, but send no longer one where there is a choice. */
#define POP3_COMMAND_MAX 255

/*
 * Cut a response code (RFC 2449 section 8) from the front of *text; empty
 * when there is none.
 */
struct slice pop3_cut_code(struct slice *text);

struct protocol_client *pop3_client_create(const struct protocol_settings *);
void pop3_client_destroy(struct protocol_client **);
void pop3_client_greet(
    struct protocol_client *, struct slice host, struct buf *out);
enum request pop3_client_parse(struct protocol_client *, struct slice in,
    size_t *consumed, struct credentials *creds, struct buf *out);
void pop3_client_tls_started(struct protocol_client *);
void pop3_client_refuse(struct protocol_client *, enum refusal,
    const struct server_result *result, struct buf *out);
void pop3_client_accept(struct protocol_client *,
    const struct server_result *result, struct buf *out);
void pop3_client_farewell(
    struct protocol_client *, enum farewell, struct buf *out);
bool pop3_client_wants_capability(const struct protocol_client *);

struct protocol_server *pop3_server_create(const struct server_login *);
void pop3_server_destroy(struct protocol_server **);
enum server_step pop3_server_parse(struct protocol_server *, struct slice in,
    size_t *consumed, struct server_result *result, struct buf *out);
void pop3_server_tls_started(struct protocol_server *, struct buf *out);
bool pop3_server_told(const struct protocol_server *);

#endif
