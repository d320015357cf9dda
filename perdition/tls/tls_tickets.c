/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_tickets - two keys in a page that one process writes.
 *
 * A counter tells readers that the writer was at work meanwhile: odd while it
 * writes, another number afterwards.
 */
#include "config.h"

#include "perdition/tls/tls_tickets.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if OPENSSL_VERSION_NUMBER >= 0x30000000L
#include <openssl/core_names.h>
#include <openssl/params.h>
#endif

#include "common/secret.h"

#include "common/banned.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

#define NAME_LEN 16 /* RFC 5077 section 4 */
#define KEY_LEN 32
#define READ_TRIES 1000
#define KEYS 2 /* encrypts and decrypts; decrypts */

struct key {
	unsigned char name[NAME_LEN], aes[KEY_LEN], hmac[KEY_LEN];
	int64_t from, until; /* s, monotonic; until: as one that encrypts */
	int64_t dead;        /* decrypts no more */
};

struct area {
	atomic_uint count;
	uint32_t n; /* keys that are there */
	struct key key[KEYS];
};

struct tls_tickets {
	struct area *area;
	bool writer;
};

static struct tls_tickets *
attach(int fd, bool writer)
{
	struct tls_tickets *t = calloc(1, sizeof(*t));
	int protection = writer ? PROT_READ | PROT_WRITE : PROT_READ;

	if (t == NULL)
		return NULL;
	t->writer = writer;
	t->area = mmap(NULL, sizeof(*t->area), protection, MAP_SHARED, fd, 0);
	if (t->area == MAP_FAILED) {
		free(t);
		return NULL;
	}
	(void)madvise(t->area, sizeof(*t->area), MADV_DONTDUMP);
	return t;
}

struct tls_tickets *
tls_tickets_attach(int fd)
{
	return attach(fd, false);
}

void
tls_tickets_detach(struct tls_tickets **tp)
{
	struct tls_tickets *t = *tp;

	if (t == NULL)
		return;
	if (t->writer)
		secret_wipe(t->area->key, sizeof(t->area->key));
	munmap(t->area, sizeof(*t->area));
	free(t);
	*tp = NULL;
}

struct tls_tickets *
tls_tickets_create(int *fd)
{
	struct tls_tickets *t = NULL;

	*fd =
	    memfd_create("perdition-tickets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd != -1 && ftruncate(*fd, sizeof(struct area)) == 0)
		t = attach(*fd, true);
	if (t == NULL) {
		int e = errno;

		if (*fd != -1)
			close(*fd);
		*fd = -1;
		errno = e;
		return NULL;
	}
	/* What others map from here on they can only read. */
	(void)fcntl(*fd, F_ADD_SEALS,
	    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE);
	return t;
}

/* --- the master --------------------------------------------------------- */

static bool
make_key(struct key *k, unsigned int lifetime, int64_t now)
{
	k->from = now;
	k->until = now + lifetime;
	k->dead = now + 2 * (int64_t)lifetime;
	return RAND_bytes(k->name, NAME_LEN) == 1 &&
	       RAND_priv_bytes(k->aes, KEY_LEN) == 1 &&
	       RAND_priv_bytes(k->hmac, KEY_LEN) == 1;
}

int64_t
tls_tickets_rotate(struct tls_tickets *t, unsigned int lifetime, int64_t now)
{
	struct area *a = t->area;
	struct key next;

	if (lifetime == 0) { /* they were switched off */
		atomic_fetch_add(&a->count, 1);
		secret_wipe(a->key, sizeof(a->key));
		a->n = 0;
		atomic_fetch_add(&a->count, 1);
		return 0;
	}
	if (a->n > 0 && now < a->key[0].until &&
	    a->key[0].until - a->key[0].from <= lifetime)
		return a->key[0].until - now;
	/* Without chance no new key: the old one goes on until it is dead. */
	if (!make_key(&next, lifetime, now)) {
		ERR_clear_error();
		return 1;
	}
	atomic_fetch_add(&a->count, 1);
	if (a->n > 0 && now < a->key[0].dead)
		a->key[1] = a->key[0];
	else
		secret_wipe(&a->key[1], sizeof(a->key[1]));
	a->key[0] = next;
	a->n = a->key[1].dead > now ? 2 : 1;
	atomic_fetch_add(&a->count, 1);
	secret_wipe(&next, sizeof(next));
	return lifetime;
}

/* --- a worker ----------------------------------------------------------- */

/* A copy that is of one moment.  false: the writer died in between. */
static bool
read_keys(const struct tls_tickets *t, struct key key[KEYS], uint32_t *n)
{
	for (int i = 0; i < READ_TRIES; i++) {
		unsigned int before = atomic_load(&t->area->count);

		*n = t->area->n;
		memcpy(key, t->area->key, KEYS * sizeof(*key));
		atomic_thread_fence(memory_order_acquire);
		if (before % 2 == 0 && atomic_load(&t->area->count) == before)
			return *n <= KEYS;
	}
	return false;
}

static int64_t
now_monotonic(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/*
 * A ticket of TLS 1.3 is good for one session (RFC 8446 appendix C.4): who
 * comes with one gets the next, or could resume every second time only.
 */
static bool
is_used_up(const SSL *ssl)
{
	return SSL_version(ssl) >= TLS1_3_VERSION;
}

/*
 * The key for a ticket: to encrypt a new one, or by the name in an old one.
 * 1; 2: an old key, the client is to get a new ticket; 0 none.
 */
static int
choose(const struct tls_tickets *t, unsigned char name[NAME_LEN], bool encrypt,
    struct key *out)
{
	int64_t now = now_monotonic();
	struct key key[KEYS];
	uint32_t n, i;
	int ret = 0;

	if (!read_keys(t, key, &n))
		n = 0;
	for (i = 0; ret == 0 && i < n; i++) {
		if (now >= key[i].dead)
			continue;
		if (encrypt || memcmp(name, key[i].name, NAME_LEN) == 0) {
			*out = key[i];
			ret = i == 0 ? 1 : 2;
		}
	}
	if (ret != 0 && encrypt)
		memcpy(name, out->name, NAME_LEN);
	secret_wipe(key, sizeof(key));
	return ret;
}

static struct tls_tickets *
tickets_of(SSL *ssl)
{
	return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

/*
 * What both forms of the callback begin with.  Returns what OpenSSL asks of it:
 * choose()'s values, or -1.
 */
static int
begin(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
    bool encrypt, struct key *k)
{
	int ret;

	if (encrypt && RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
		return -1;
	ret = choose(tickets_of(ssl), name, encrypt, k);
	if (ret == 0)
		return 0;
	if (EVP_CipherInit_ex(
		cipher, EVP_aes_256_cbc(), NULL, k->aes, iv, encrypt) != 1)
		return -1;
	return !encrypt && is_used_up(ssl) ? 2 : ret;
}

#if OPENSSL_VERSION_NUMBER >= 0x30000000L
static int
ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int encrypt)
{
	char digest[] = "SHA256";
	struct key k;
	OSSL_PARAM params[3];
	int ret = begin(ssl, name, iv, cipher, encrypt != 0, &k);

	if (ret <= 0)
		goto out;
	params[0] = OSSL_PARAM_construct_octet_string(
	    OSSL_MAC_PARAM_KEY, k.hmac, KEY_LEN);
	params[1] =
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0);
	params[2] = OSSL_PARAM_construct_end();
	if (EVP_MAC_CTX_set_params(mac, params) != 1)
		ret = -1;
out:
	secret_wipe(&k, sizeof(k));
	return ret;
}

#define set_callback SSL_CTX_set_tlsext_ticket_key_evp_cb
#else
static int
ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, HMAC_CTX *mac, int encrypt)
{
	struct key k;
	int ret = begin(ssl, name, iv, cipher, encrypt != 0, &k);

	if (ret > 0 &&
	    HMAC_Init_ex(mac, k.hmac, KEY_LEN, EVP_sha256(), NULL) != 1)
		ret = -1;
	secret_wipe(&k, sizeof(k));
	return ret;
}

#define set_callback SSL_CTX_set_tlsext_ticket_key_cb
#endif

int
tls_tickets_install(SSL_CTX *ctx, struct tls_tickets *t, unsigned int lifetime)
{
	SSL_CTX_set_app_data(ctx, t);
	SSL_CTX_set_timeout(ctx, (long)lifetime);
	return set_callback(ctx, ticket_key) == 1 ? 0 : -1;
}
