/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_pem - see tls_pem.h.
 */
#include "config.h"

#include "perdition/tls/tls_pem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "perdition/tls/tls_ctx.h"

#include "common/banned.h"

/* --- files -------------------------------------------------------------- */

static int
fill(int fd, struct tls_pem_file *f, size_t size)
{
	while (f->n < size) {
		ssize_t r = read(fd, f->p + f->n, size - f->n);

		if (r == 0)
			break;
		if (r == -1 && errno != EINTR)
			return -1;
		f->n += r > 0 ? (size_t)r : 0;
	}
	return 0;
}

int
tls_pem_file_read(const char *path, struct tls_pem_file *f, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int ret = -1;

	*f = (struct tls_pem_file){ NULL, 0, false };
	if (fd == -1 || fstat(fd, &st) == -1) {
		err_set(err, errno, "%s", strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > TLS_PEM_FILE_MAX) {
		err_set(err, EINVAL, "%s",
		    S_ISREG(st.st_mode) ? "too large" : "not a file");
		goto out;
	}
	f->open_to_others = (st.st_mode & S_IROTH) != 0;
	f->p = malloc((size_t)st.st_size + 1);
	if (f->p == NULL || fill(fd, f, (size_t)st.st_size) == -1) {
		err_set(err, errno, "%s", strerror(errno));
		goto out;
	}
	ret = 0;
out:
	if (fd != -1)
		close(fd);
	if (ret == -1)
		tls_pem_file_clear(f);
	return ret;
}

void
tls_pem_file_clear(struct tls_pem_file *f)
{
	if (f->p != NULL)
		secret_wipe(f->p, f->n);
	free(f->p);
	f->p = NULL;
	f->n = 0;
}

static BIO *
bio_of(const struct tls_pem_file *f)
{
	ERR_clear_error();
	return BIO_new_mem_buf(f->n == 0 ? "" : f->p, (int)f->n);
}

/* Whether reading has just come to the end, and not to something bad. */
static bool
is_end(void)
{
	unsigned long e = ERR_peek_last_error();

	if (ERR_GET_LIB(e) != ERR_LIB_PEM ||
	    ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
		return false;
	ERR_clear_error();
	return true;
}

/* --- what is in them ---------------------------------------------------- */

static int
no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

STACK_OF(X509) * tls_pem_certs(const struct tls_pem_file *f, struct err *err)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	BIO *bio = bio_of(f);
	X509 *one = NULL;

	while (all != NULL && bio != NULL &&
	       (one = PEM_read_bio_X509_AUX(bio, NULL, no_passphrase, NULL)) !=
		   NULL)
		if (sk_X509_push(all, one) <= 0) {
			X509_free(one);
			break;
		}
	BIO_free(bio);
	if (all != NULL && one == NULL && is_end())
		return all;
	tls_error(err, EINVAL, "a damaged certificate");
	sk_X509_pop_free(all, X509_free);
	return NULL;
}

STACK_OF(X509_CRL) * tls_pem_crls(const struct tls_pem_file *f, struct err *err)
{
	STACK_OF(X509_CRL) *all = sk_X509_CRL_new_null();
	BIO *bio = bio_of(f);
	X509_CRL *one = NULL;

	while (all != NULL && bio != NULL &&
	       (one = PEM_read_bio_X509_CRL(bio, NULL, no_passphrase, NULL)) !=
		   NULL)
		if (sk_X509_CRL_push(all, one) <= 0) {
			X509_CRL_free(one);
			break;
		}
	BIO_free(bio);
	if (all != NULL && one == NULL && is_end())
		return all;
	tls_error(err, EINVAL, "a damaged revocation list");
	sk_X509_CRL_pop_free(all, X509_CRL_free);
	return NULL;
}

bool
tls_pem_has_key(const struct tls_pem_file *f)
{
	return slice_rfind(slice_make(f->p, f->n), SLICE("PRIVATE KEY-----")) !=
	       -1;
}

struct asked {
	const struct secret *passphrase;
	bool was; /* the key is encrypted */
};

static int
give_passphrase(char *buf, int size, int writing, void *arg)
{
	struct asked *a = arg;
	struct slice text;

	(void)writing;
	a->was = true;
	if (a->passphrase == NULL)
		return -1;
	text = secret_get(a->passphrase);
	if (size < 0 || text.n > (size_t)size)
		return -1;
	memcpy(buf, text.p, text.n);
	return (int)text.n;
}

EVP_PKEY *
tls_pem_key(const struct tls_pem_file *f, const struct secret *passphrase,
    struct err *err)
{
	struct asked a = { .passphrase = passphrase };
	BIO *bio = bio_of(f);
	EVP_PKEY *key = NULL;

	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, &a);
	BIO_free(bio);
	if (key != NULL)
		return key;
	if (a.was && passphrase == NULL)
		err_set(err, EINVAL,
		    "the key is encrypted: give its pass phrase by "
		    "ssl_passphrase_file or ssl_passphrase_fd");
	else if (a.was)
		err_set(err, EINVAL, "the pass phrase is not the key's");
	else if (!tls_pem_has_key(f))
		err_set(err, EINVAL, "no private key in it");
	else
		tls_error(err, EINVAL, "a damaged private key");
	ERR_clear_error();
	return NULL;
}
