/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_certs - pairs of certificate and key, and a sorted table of the names
 * that they are for.
 */
#include "config.h"

#include "perdition/tls/tls_certs.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "perdition/tls/tls_bundle.h"
#include "perdition/tls/tls_ctx.h"

#include "common/banned.h"

#define NAME_LEN_MAX 255

struct pair {
	X509 *cert;
	EVP_PKEY *key;
	STACK_OF(X509) * chain; /* without cert */
	bool by_name;           /* of ssl_cert_dir */
	struct slice ocsp;      /* malloc'ed; empty: none */
	time_t ocsp_from, ocsp_until;
};

struct name {
	char *text; /* lower case, no trailing dot; "*.example.org" too */
	size_t pair;
};

struct tls_certs {
	struct pair *pair;
	size_t pairs;
	struct name *name; /* sorted */
	size_t names;
};

/* --- reading ------------------------------------------------------------ */

static struct pair *
add_pair(struct tls_certs *c, bool by_name)
{
	struct pair *p =
	    reallocarray(c->pair, c->pairs + 1, sizeof(struct pair));

	if (p == NULL)
		return NULL;
	c->pair = p;
	p += c->pairs;
	*p = (struct pair){ .chain = sk_X509_new_null(), .by_name = by_name };
	c->pairs++;
	return p->chain == NULL ? NULL : p;
}

static int
add_cert(struct pair *p, struct slice der)
{
	const unsigned char *at = (const unsigned char *)der.p;
	X509 *cert = d2i_X509(NULL, &at, (long)der.n);

	if (cert == NULL)
		return -1;
	if (p->cert == NULL) {
		p->cert = cert;
		return 0;
	}
	if (sk_X509_push(p->chain, cert) > 0)
		return 0;
	X509_free(cert);
	return -1;
}

static int
add_key(struct pair *p, struct slice der)
{
	const unsigned char *at = (const unsigned char *)der.p;

	EVP_PKEY_free(p->key);
	p->key = d2i_AutoPrivateKey(NULL, &at, (long)der.n);
	return p->key == NULL ? -1 : 0;
}

static bool
to_time(const ASN1_GENERALIZEDTIME *t, time_t *out)
{
	struct tm tm;

	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return false;
	*out = timegm(&tm);
	return true;
}

/* From when until when it may be shown.  false: never. */
static bool
ocsp_times(struct slice der, time_t *from, time_t *until)
{
	const unsigned char *at = (const unsigned char *)der.p;
	OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &at, (long)der.n);
	OCSP_BASICRESP *basic = r == NULL ? NULL : OCSP_response_get1_basic(r);
	OCSP_SINGLERESP *one = basic == NULL ? NULL : OCSP_resp_get0(basic, 0);
	ASN1_GENERALIZEDTIME *revoked, *this_update = NULL, *next = NULL;
	int reason;
	bool ok = false;

	if (one != NULL && OCSP_single_get0_status(one, &reason, &revoked,
			       &this_update, &next) == V_OCSP_CERTSTATUS_GOOD)
		ok = to_time(this_update, from) && to_time(next, until);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(r);
	ERR_clear_error();
	return ok;
}

static int
add_ocsp(struct pair *p, struct slice der)
{
	char *copy;

	if (!ocsp_times(der, &p->ocsp_from, &p->ocsp_until))
		return 0; /* the master has warned of it */
	copy = malloc(der.n);
	if (copy == NULL)
		return -1;
	memcpy(copy, der.p, der.n);
	p->ocsp = slice_make(copy, der.n);
	return 0;
}

static int
read_pairs(struct tls_certs *c, struct slice keys, struct err *err)
{
	bool by_name = false;
	struct pair *p = NULL;
	enum tls_piece type;
	struct slice piece;
	int more, ret = 0;

	while ((more = tls_bundle_next(&keys, &type, &piece)) == 1) {
		if (type == TLS_PIECE_BY_NAME)
			by_name = true;
		else if (type == TLS_PIECE_PAIR)
			ret = (p = add_pair(c, by_name)) == NULL ? -1 : 0;
		else if (p != NULL && type == TLS_PIECE_CERT)
			ret = add_cert(p, piece);
		else if (p != NULL && type == TLS_PIECE_KEY)
			ret = add_key(p, piece);
		else if (p != NULL && type == TLS_PIECE_OCSP)
			ret = add_ocsp(p, piece);
		if (ret == -1)
			return tls_error(err, EINVAL, "certificate");
	}
	if (more == -1)
		return err_set(err, errno, "keys: %s", strerror(errno));
	for (size_t i = 0; i < c->pairs; i++)
		if (c->pair[i].cert == NULL || c->pair[i].key == NULL)
			return err_set(err, EINVAL, "keys: half a pair");
	return 0;
}

/* --- names -------------------------------------------------------------- */

static int
add_name(struct tls_certs *c, const ASN1_STRING *s, size_t pair)
{
	const unsigned char *p = ASN1_STRING_get0_data(s);
	size_t n = (size_t)ASN1_STRING_length(s);
	struct name *name;
	char *text;

	if (n > 0 && p[n - 1] == '.')
		n--;
	if (n == 0 || n > NAME_LEN_MAX || memchr(p, '\0', n) != NULL)
		return 0; /* nobody can ask for it */
	name = reallocarray(c->name, c->names + 1, sizeof(*name));
	text = malloc(n + 1);
	if (name != NULL)
		c->name = name;
	if (name == NULL || text == NULL) {
		free(text);
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		text[i] = (char)tolower(p[i]);
	text[n] = '\0';
	c->name[c->names++] = (struct name){ text, pair };
	return 0;
}

/* Names in the subject count only where there are no others (RFC 6125 section
 * 6.4.4). */
static int
add_common_name(struct tls_certs *c, size_t pair)
{
	X509_NAME *subject = X509_get_subject_name(c->pair[pair].cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	if (at < 0)
		return 0;
	return add_name(c,
	    X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), pair);
}

static int
add_names(struct tls_certs *c, size_t pair)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(
	    c->pair[pair].cert, NID_subject_alt_name, NULL, NULL);
	size_t before = c->names;
	int ret = 0;

	for (int i = 0; ret == 0 && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);

		if (n->type == GEN_DNS)
			ret = add_name(c, n->d.dNSName, pair);
	}
	GENERAL_NAMES_free(names);
	if (ret == 0 && c->names == before)
		ret = add_common_name(c, pair);
	return ret;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(
	    ((const struct name *)a)->text, ((const struct name *)b)->text);
}

static int
make_table(struct tls_certs *c, struct err *err)
{
	for (size_t i = 0; i < c->pairs; i++)
		if (add_names(c, i) == -1)
			return err_set(err, ENOMEM, "out of memory");
	if (c->names > 0)
		qsort(c->name, c->names, sizeof(*c->name), compare);
	return 0;
}

/* The first entry of that name; c->names when there is none. */
static size_t
find(const struct tls_certs *c, const char *text)
{
	size_t low = 0, high = c->names;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(c->name[mid].text, text) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < c->names && strcmp(c->name[low].text, text) == 0)
		return low;
	return c->names;
}

/* What a client asked for, exactly or by wildcard; c->names for nothing. */
static size_t
look_up(const struct tls_certs *c, const char *asked)
{
	char text[NAME_LEN_MAX + 2];
	size_t n = strlen(asked), i, at;
	char *dot;

	if (n > 0 && asked[n - 1] == '.')
		n--;
	if (n == 0 || n > NAME_LEN_MAX)
		return c->names;
	for (i = 0; i < n; i++)
		text[i + 1] = (char)tolower((unsigned char)asked[i]);
	text[n + 1] = '\0';
	at = find(c, text + 1);
	dot = strchr(text + 1, '.');
	if (at < c->names || dot == NULL || dot == text + 1)
		return at;
	dot[-1] = '*';
	return find(c, dot - 1);
}

/* --- what OpenSSL asks -------------------------------------------------- */

/* Of two for the same name and kind of key, the one that lasts longer. */
static bool
is_better(const struct pair *a, const struct pair *b)
{
	return b == NULL || ASN1_TIME_compare(X509_get0_notAfter(a->cert),
				X509_get0_notAfter(b->cert)) > 0;
}

static int
use(SSL *ssl, const struct pair *p)
{
	return SSL_use_cert_and_key(ssl, p->cert, p->key, p->chain, 1);
}

#define KINDS 8 /* of keys; more than there are */

static int
choose(SSL *ssl, void *arg)
{
	const struct tls_certs *c = arg;
	const char *asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const struct pair *best[KINDS] = { NULL };
	size_t i, k, at = asked == NULL ? c->names : look_up(c, asked);

	if (at == c->names)
		return 1; /* the default ones, which are there already */
	for (i = at;
	     i < c->names && strcmp(c->name[i].text, c->name[at].text) == 0;
	     i++) {
		const struct pair *p = &c->pair[c->name[i].pair];
		int kind = EVP_PKEY_base_id(p->key);

		for (k = 0; k < KINDS - 1 && best[k] != NULL; k++)
			if (EVP_PKEY_base_id(best[k]->key) == kind)
				break;
		if (is_better(p, best[k]))
			best[k] = p;
	}
	SSL_certs_clear(ssl);
	for (k = 0; k < KINDS && best[k] != NULL; k++)
		if (use(ssl, best[k]) != 1)
			return 0;
	return 1;
}

static int
staple(SSL *ssl, void *arg)
{
	const struct tls_certs *c = arg;
	const X509 *cert = SSL_get_certificate(ssl);
	time_t now = time(NULL);

	for (size_t i = 0; i < c->pairs; i++) {
		const struct pair *p = &c->pair[i];
		unsigned char *copy;

		if (p->cert != cert || p->ocsp.n == 0 || now < p->ocsp_from ||
		    now >= p->ocsp_until)
			continue;
		copy = OPENSSL_memdup(p->ocsp.p, p->ocsp.n);
		if (copy == NULL)
			break;
		SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)p->ocsp.n);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

int
tls_certs_install(struct tls_certs *c, SSL_CTX *ctx, struct err *err)
{
	for (size_t i = 0; i < c->pairs; i++) {
		const struct pair *p = &c->pair[i];

		if (!p->by_name && SSL_CTX_use_cert_and_key(
				       ctx, p->cert, p->key, p->chain, 1) != 1)
			return tls_error(err, EINVAL, "certificate");
	}
	SSL_CTX_set_cert_cb(ctx, choose, c);
	SSL_CTX_set_tlsext_status_cb(ctx, staple);
	SSL_CTX_set_tlsext_status_arg(ctx, c);
	return 0;
}

/* --- life --------------------------------------------------------------- */

struct tls_certs *
tls_certs_create(struct slice keys, struct err *err)
{
	struct tls_certs *c = calloc(1, sizeof(*c));

	ERR_clear_error();
	if (c == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (read_pairs(c, keys, err) == -1 || make_table(c, err) == -1)
		tls_certs_destroy(&c);
	return c;
}

static void
clear_pair(struct pair *p)
{
	union {
		const char *from;
		void *to;
	} ocsp = { .from = p->ocsp.p };

	X509_free(p->cert);
	EVP_PKEY_free(p->key);
	sk_X509_pop_free(p->chain, X509_free);
	free(ocsp.to);
}

void
tls_certs_destroy(struct tls_certs **cp)
{
	struct tls_certs *c = *cp;

	if (c == NULL)
		return;
	for (size_t i = 0; i < c->pairs; i++)
		clear_pair(&c->pair[i]);
	for (size_t i = 0; i < c->names; i++)
		free(c->name[i].text);
	free(c->pair);
	free(c->name);
	free(c);
	*cp = NULL;
}
