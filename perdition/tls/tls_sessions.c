/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_sessions - one array, searched from its beginning: next to a connection
 * that is nothing.
 */
#include "config.h"

#include "perdition/tls/tls_sessions.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/banned.h"

struct entry {
	uint64_t peer;
	uint64_t used; /* when, counted in calls */
	int64_t until; /* s since the epoch */
	SSL_SESSION *session;
};

struct tls_sessions {
	struct hash_key key;
	uint64_t calls;
	size_t n;
	struct entry entry[TLS_SESSIONS_MAX];
};

struct tls_sessions *
tls_sessions_create(void)
{
	struct tls_sessions *t = calloc(1, sizeof(*t));

	if (t != NULL && hash_key_make(&t->key) == -1) {
		free(t);
		return NULL;
	}
	return t;
}

void
tls_sessions_destroy(struct tls_sessions **tp)
{
	struct tls_sessions *t = *tp;

	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++)
		SSL_SESSION_free(t->entry[i].session);
	free(t);
	*tp = NULL;
}

uint64_t
tls_sessions_peer(const struct tls_sessions *t, const char *host,
    const struct addr *a, const char *alpn)
{
	struct {
		uint64_t host, alpn, ip, port;
	} all = {
		.host = hash_bytes(&t->key, slice_str(host)),
		.alpn = hash_bytes(&t->key, slice_str(alpn)),
		.ip = hash_bytes(
		    &t->key, slice_make((const char *)&a->ip, sizeof(a->ip))),
		.port = (uint64_t)a->scope << 16 | a->port,
	};
	uint64_t h =
	    hash_bytes(&t->key, slice_make((const char *)&all, sizeof(all)));

	return h == 0 ? 1 : h;
}

static struct entry *
find(struct tls_sessions *t, uint64_t peer)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->entry[i].peer == peer)
			return &t->entry[i];
	return NULL;
}

/* A place for one more. */
static struct entry *
make_room(struct tls_sessions *t)
{
	struct entry *oldest = &t->entry[0];

	if (t->n < TLS_SESSIONS_MAX)
		return &t->entry[t->n++];
	for (size_t i = 1; i < t->n; i++)
		if (t->entry[i].used < oldest->used)
			oldest = &t->entry[i];
	SSL_SESSION_free(oldest->session);
	return oldest;
}

static void
drop(struct tls_sessions *t, struct entry *e)
{
	SSL_SESSION_free(e->session);
	*e = t->entry[--t->n];
	memset(&t->entry[t->n], 0, sizeof(*e));
}

/* Until when the session may be used: a server that is resumed does not show
 * its certificate again. */
static int64_t
good_until(SSL_SESSION *session, int64_t now)
{
	X509 *cert = SSL_SESSION_get0_peer(session);
	int64_t until = now + TLS_SESSIONS_AGE;
	int64_t ticket = now + (int64_t)SSL_SESSION_get_timeout(session);
	time_t from = (time_t)now;
	int days, seconds;
	ASN1_TIME *start;

	if (ticket < until)
		until = ticket;
	/* One that was accepted although it has expired is no reason to ask
	 * more often. */
	if (cert == NULL || X509_cmp_time(X509_get0_notAfter(cert), &from) <= 0)
		return until;
	start = ASN1_TIME_set(NULL, from);
	if (start != NULL &&
	    ASN1_TIME_diff(&days, &seconds, start, X509_get0_notAfter(cert)) ==
		1 &&
	    now + (int64_t)days * 86400 + seconds < until)
		until = now + (int64_t)days * 86400 + seconds;
	ASN1_TIME_free(start);
	return until;
}

void
tls_sessions_put(
    struct tls_sessions *t, uint64_t peer, SSL_SESSION *session, int64_t now)
{
	struct entry *e = find(t, peer);

	if (e == NULL)
		e = make_room(t);
	else
		SSL_SESSION_free(e->session);
	*e = (struct entry){
		.peer = peer,
		.used = ++t->calls,
		.until = good_until(session, now),
		.session = session,
	};
}

SSL_SESSION *
tls_sessions_get(struct tls_sessions *t, uint64_t peer, int64_t now)
{
	struct entry *e = find(t, peer);

	if (e == NULL)
		return NULL;
	if (now >= e->until) {
		drop(t, e);
		return NULL;
	}
	e->used = ++t->calls;
	return e->session;
}
