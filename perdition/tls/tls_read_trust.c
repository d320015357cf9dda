/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_read_trust - who may certify real-servers and clients, and what is
 * revoked.
 */
#include "config.h"

#include "perdition/tls/tls_reader.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "perdition/tls/tls_pem.h"

#include "common/banned.h"

#define DEFAULT_CA_PATH SYSCONFDIR "/perdition/perdition.ca/"

/* --- authorities and lists ---------------------------------------------- */

/* The same one is in many files of a directory with hashed names. */
static bool
is_new(struct tls_reader *r, X509 *cert)
{
	struct tls_digest d, *more;
	unsigned int n = sizeof(d.bytes);

	if (X509_digest(cert, EVP_sha256(), d.bytes, &n) != 1)
		return true;
	for (size_t i = 0; i < r->seen_n; i++)
		if (memcmp(r->seen[i].bytes, d.bytes, sizeof(d.bytes)) == 0)
			return false;
	more = reallocarray(r->seen, r->seen_n + 1, sizeof(*more));
	if (more != NULL) {
		r->seen = more;
		r->seen[r->seen_n++] = d;
	}
	return true;
}

/* How many certificates the file has, or -1 with err. */
static int
put_authorities(struct tls_reader *r, struct tls_bundle *b, enum tls_piece type,
    const char *path, struct err *err)
{
	STACK_OF(X509) * certs;
	struct tls_pem_file f;
	int n;

	if (tls_pem_file_read(path, &f, err) == -1)
		return -1;
	certs = tls_pem_certs(&f, err);
	n = certs == NULL ? -1 : sk_X509_num(certs);
	for (int i = 0; i < n; i++)
		if (is_new(r, sk_X509_value(certs, i)))
			tls_reader_cert(r, b, type, sk_X509_value(certs, i));
	sk_X509_pop_free(certs, X509_free);
	tls_pem_file_clear(&f);
	return n;
}

static void
read_ca_file(struct tls_reader *r, const char *option, const char *path,
    struct tls_bundle *b, enum tls_piece type)
{
	struct err err;

	switch (put_authorities(r, b, type, path, &err)) {
	case -1:
		tls_reader_complain(r, err.code, option, path, "%s", err.msg);
		return;
	case 0:
		tls_reader_complain(
		    r, EINVAL, option, path, "no certificate in it");
		return;
	default:
		return;
	}
}

/* How many certificates are in the directory's files, or -1 with errno. */
static int
read_ca_dir(struct tls_reader *r, const char *dir, struct tls_bundle *b,
    enum tls_piece type)
{
	struct dirent **list = NULL;
	int n = scandir(dir, &list, tls_reader_not_hidden, alphasort), all = 0;

	if (n == -1)
		return -1;
	for (int i = 0; i < n; i++) {
		char path[4096];
		struct err err;
		struct stat st;
		int len =
		    snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
		int found = 0;

		free(list[i]);
		if (len < 0 || (size_t)len >= sizeof(path) ||
		    stat(path, &st) == -1 || !S_ISREG(st.st_mode))
			continue;
		found = put_authorities(r, b, type, path, &err);
		if (found == -1)
			tls_reader_warn("ssl_ca_path", path, err.msg);
		else
			all += found;
	}
	free(list);
	return all;
}

/* What the administrator trusts.  Returns whether there is anything. */
static bool
read_own_trust(struct tls_reader *r, struct tls_bundle *b, enum tls_piece type)
{
	const struct config *c = r->config;
	bool file = c->ssl_ca_file[0] != '\0';
	bool usual = strcmp(c->ssl_ca_path, DEFAULT_CA_PATH) == 0;
	int n = 0;

	if (file)
		read_ca_file(r, "ssl_ca_file", c->ssl_ca_file, b, type);
	if (c->ssl_ca_path[0] != '\0')
		n = read_ca_dir(r, c->ssl_ca_path, b, type);
	if (n == -1 && !usual)
		tls_reader_complain(r, errno, "ssl_ca_path", c->ssl_ca_path,
		    "%s", strerror(errno));
	if (n == 0 && !usual && c->ssl_ca_path[0] != '\0')
		tls_reader_warn(
		    "ssl_ca_path", c->ssl_ca_path, "no certificates in it");
	return file || n > 0 || (!usual && c->ssl_ca_path[0] != '\0');
}

void
tls_read_server_trust(struct tls_reader *r)
{
	const char *dir = X509_get_default_cert_dir();
	const char *file = X509_get_default_cert_file();
	struct err err;

	r->seen_n = 0;
	if (read_own_trust(r, r->trust, TLS_PIECE_CA))
		return;
	/* As any program of this host does that asks a server for its name. */
	(void)put_authorities(r, r->trust, TLS_PIECE_CA, file, &err);
	(void)read_ca_dir(r, dir, r->trust, TLS_PIECE_CA);
}

/* Never the system's authorities: half the world has a certificate of those. */
void
tls_read_client_trust(struct tls_reader *r)
{
	const char *file = r->config->ssl_client_ca_file;

	r->seen_n = 0;
	if (!r->config->listen_client_certs)
		return;
	if (file[0] != '\0')
		read_ca_file(r, "ssl_client_ca_file", file, r->keys,
		    TLS_PIECE_CLIENT_CA);
	else if (!read_own_trust(r, r->keys, TLS_PIECE_CLIENT_CA))
		tls_reader_complain(r, EINVAL, "ssl_client_cert",
		    "ssl_client_ca_file",
		    "must name the authority of the clients' certificates");
}

void
tls_read_crls(struct tls_reader *r, const char *option, const char *path,
    struct tls_bundle *b, enum tls_piece type)
{
	STACK_OF(X509_CRL) *crls = NULL;
	struct tls_pem_file f;
	struct err err = { .code = 0 };

	if (path[0] == '\0')
		return;
	if (tls_pem_file_read(path, &f, &err) == 0)
		crls = tls_pem_crls(&f, &err);
	if (crls != NULL && sk_X509_CRL_num(crls) == 0)
		err_set(&err, EINVAL, "no revocation list in it");
	if (err.code != 0)
		tls_reader_complain(r, err.code, option, path, "%s", err.msg);
	for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
		X509_CRL *crl = sk_X509_CRL_value(crls, i);
		unsigned char *der = NULL;
		int n = i2d_X509_CRL(crl, &der);

		if (X509_cmp_current_time(X509_CRL_get0_nextUpdate(crl)) < 0)
			tls_reader_warn(option, path,
			    "the list is out of date: all certificates of its "
			    "authority are refused");
		if (n > 0)
			tls_reader_add(r, b, type, der, (size_t)n);
		OPENSSL_free(der);
	}
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
	tls_pem_file_clear(&f);
}
