/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_files - from the options ssl_... to the two bundles.
 *
 * In the end the contexts that workers will make are made here once, so that
 * what OpenSSL does not like is told now.
 */
#include "config.h"

#include "perdition/tls/tls_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition/tls/tls_ctx.h"
#include "perdition/tls/tls_listen.h"
#include "perdition/tls/tls_outgoing.h"
#include "perdition/tls/tls_pem.h"

#include "common/banned.h"

#define DEFAULT_CA_PATH SYSCONFDIR "/perdition/perdition.ca/"
#define EXPIRES_SOON (14 * 86400) /* s */
#define KINDS 8                   /* of keys; more than there are */
#define DIGEST_LEN 32

struct digest {
	unsigned char bytes[DIGEST_LEN];
};

struct reader {
	const struct config *config;
	const struct secret *passphrase; /* NULL: none */
	struct tls_bundle *keys, *trust;
	struct option_problems *problems;
	int kind[KINDS]; /* of the default pairs' keys */
	size_t kinds;
	struct digest *seen; /* authorities that are in the bundle */
	size_t seen_n;
	int status;
};

static void complain(struct reader *, int code, const char *option,
    const char *path, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* code: errno's; what is not there is another status than what is wrong. */
static void
complain(struct reader *r, int code, const char *option, const char *path,
    const char *fmt, ...)
{
	bool missing = code == ENOENT || code == ENOTDIR;
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	option_problems_add(r->problems, "%s: %s: %s", option, path, text);
	if (!missing || r->status == 0)
		r->status = missing ? EX_NOINPUT : EX_CONFIG;
}

static void
warn(const char *option, const char *path, const char *text)
{
	log_event(LOG_WARNING, "config", LOG_STR("option", option),
	    LOG_STR("file", path), LOG_STR("text", text));
}

static void
add(struct reader *r, struct tls_bundle *b, enum tls_piece type, const void *p,
    size_t n)
{
	if (tls_bundle_add(b, type, slice_make(p, n)) == -1)
		complain(r, errno, "ssl", "all files", "%s", strerror(errno));
}

/* --- pass phrase -------------------------------------------------------- */

/* The first line.  0, or -1 with errno. */
static int
read_line(int fd, struct secret *out)
{
	char text[sizeof(out->bytes) + 1];
	size_t n = 0;
	ssize_t r = 1;
	int ret = -1;

	while (n < sizeof(text) && r > 0) {
		r = read(fd, text + n, 1); /* no byte of what follows */
		if (r == 1 && text[n] == '\n')
			break;
		n += r > 0 ? (size_t)r : 0;
	}
	if (n > 0 && text[n - 1] == '\r')
		n--;
	if (r != -1)
		ret = secret_set(out, slice_make(text, n));
	secret_wipe(text, sizeof(text));
	return ret;
}

static void
read_passphrase(struct reader *r, struct tls_passphrase *pass)
{
	const struct config *c = r->config;
	bool by_fd = c->ssl_passphrase_fd[0] != '\0';
	const char *option =
	    by_fd ? "ssl_passphrase_fd" : "ssl_passphrase_file";
	const char *name =
	    by_fd ? c->ssl_passphrase_fd : c->ssl_passphrase_file;
	int fd;

	if (name[0] == '\0')
		return;
	r->passphrase = &pass->text;
	if (by_fd && pass->read)
		return; /* it can be read only once */
	fd = by_fd ? (int)strtol(name, NULL, 10)
		   : open(name, O_RDONLY | O_CLOEXEC);
	secret_clear(&pass->text);
	if (fd == -1 || read_line(fd, &pass->text) == -1)
		complain(r, errno, option, name, "%s", strerror(errno));
	else
		pass->read = by_fd;
	if (fd != -1)
		close(fd);
}

void
tls_files_forget(struct tls_passphrase *pass)
{
	secret_clear(&pass->text);
	pass->read = false;
}

/* --- our own certificates ----------------------------------------------- */

/* One certificate with its key, and where they came from. */
struct pair {
	const char *option, *cert_path, *key_path;
	STACK_OF(X509) * certs;
	EVP_PKEY *key;
};

static void
pair_clear(struct pair *p)
{
	sk_X509_pop_free(p->certs, X509_free);
	EVP_PKEY_free(p->key);
}

static void
names_of(X509 *cert, char *out, size_t cap)
{
	GENERAL_NAMES *names =
	    X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	size_t n = 0;

	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		int len;

		if (g->type != GEN_DNS)
			continue;
		len = snprintf(out + n, cap - n, "%s%.*s", n > 0 ? " " : "",
		    ASN1_STRING_length(g->d.dNSName),
		    (const char *)ASN1_STRING_get0_data(g->d.dNSName));
		if (len < 0 || (size_t)len >= cap - n)
			break;
		n += (size_t)len;
	}
	GENERAL_NAMES_free(names);
}

static void
tell(const struct pair *p)
{
	X509 *leaf = sk_X509_value(p->certs, 0);
	time_t now = time(NULL), soon = now + EXPIRES_SOON;
	char names[256], until[64] = "?";
	struct tm tm;

	names_of(leaf, names, sizeof(names));
	if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) == 1)
		strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &tm);
	log_event(LOG_INFO, "certificate", LOG_STR("file", p->cert_path),
	    LOG_STR("names", names), LOG_STR("until", until));
	if (X509_cmp_time(X509_get0_notAfter(leaf), &now) < 0)
		warn(p->option, p->cert_path, "the certificate has expired");
	else if (X509_cmp_time(X509_get0_notAfter(leaf), &soon) < 0)
		warn(p->option, p->cert_path,
		    "the certificate expires within 14 days");
	if (X509_cmp_time(X509_get0_notBefore(leaf), &now) > 0)
		warn(p->option, p->cert_path,
		    "the certificate is not valid yet");
}

static void
put_key(struct reader *r, EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	unsigned char *der = NULL;
	int n = info == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(info, &der);

	if (n > 0)
		add(r, r->keys, TLS_PIECE_KEY, der, (size_t)n);
	else
		complain(r, EINVAL, "ssl_key_file", "key", "cannot be encoded");
	if (n > 0)
		OPENSSL_clear_free(der, (size_t)n);
	PKCS8_PRIV_KEY_INFO_free(info);
	ERR_clear_error();
}

static void
put_cert(struct reader *r, struct tls_bundle *b, enum tls_piece type, X509 *x)
{
	unsigned char *der = NULL;
	int n = i2d_X509(x, &der);

	if (n > 0)
		add(r, b, type, der, (size_t)n);
	OPENSSL_free(der);
}

/* Why the response is not to be shown; NULL: it is good. */
static const char *
ocsp_fault(OCSP_BASICRESP *basic, STACK_OF(X509) * certs)
{
	X509 *leaf = sk_X509_value(certs, 0);
	OCSP_SINGLERESP *one = OCSP_resp_get0(basic, 0);
	ASN1_GENERALIZEDTIME *revoked, *from = NULL, *until = NULL;
	const OCSP_CERTID *id = NULL;
	ASN1_INTEGER *serial = NULL;
	int reason, status;

	if (one == NULL)
		return "it is about no certificate";
	id = OCSP_SINGLERESP_get0_id(one);
	if (OCSP_id_get0_info(
		NULL, NULL, NULL, &serial, (OCSP_CERTID *)(uintptr_t)id) != 1 ||
	    ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) != 0)
		return "it is about another certificate";
	status = OCSP_single_get0_status(one, &reason, &revoked, &from, &until);
	if (status != V_OCSP_CERTSTATUS_GOOD)
		return "it says that the certificate is not good";
	if (until == NULL || OCSP_check_validity(from, until, 300, -1) != 1)
		return "it is out of date";
	return NULL;
}

static void
put_ocsp(struct reader *r, const struct pair *p)
{
	struct tls_pem_file f;
	char path[4096];
	const unsigned char *at;
	OCSP_RESPONSE *response;
	OCSP_BASICRESP *basic = NULL;
	const char *fault = "it is no OCSP response";
	struct err err;

	if (snprintf(path, sizeof(path), "%s.ocsp", p->cert_path) >=
	    (int)sizeof(path))
		return;
	if (tls_pem_file_read(path, &f, &err) == -1) {
		if (err.code != ENOENT)
			warn(p->option, path, err.msg);
		return;
	}
	at = (const unsigned char *)f.p;
	response = d2i_OCSP_RESPONSE(NULL, &at, (long)f.n);
	if (response != NULL)
		basic = OCSP_response_get1_basic(response);
	if (basic != NULL)
		fault = ocsp_fault(basic, p->certs);
	if (fault == NULL)
		add(r, r->keys, TLS_PIECE_OCSP, f.p, f.n);
	else
		warn(p->option, path, fault);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	tls_pem_file_clear(&f);
	ERR_clear_error();
}

/* What goes along with a certificate whose file holds nothing else. */
static void
put_chain_file(struct reader *r)
{
	const char *path = r->config->ssl_ca_chain_file;
	STACK_OF(X509) *certs = NULL;
	struct tls_pem_file f;
	struct err err;

	if (path[0] == '\0')
		return;
	if (tls_pem_file_read(path, &f, &err) == 0)
		certs = tls_pem_certs(&f, &err);
	if (certs != NULL && sk_X509_num(certs) == 0)
		err_set(&err, EINVAL, "no certificate in it");
	if (certs == NULL || sk_X509_num(certs) == 0)
		complain(r, err.code, "ssl_ca_chain_file", path, "%s", err.msg);
	for (int i = 0; i < sk_X509_num(certs); i++)
		put_cert(r, r->keys, TLS_PIECE_CERT, sk_X509_value(certs, i));
	sk_X509_pop_free(certs, X509_free);
	tls_pem_file_clear(&f);
}

static void
put_pair(struct reader *r, const struct pair *p)
{
	add(r, r->keys, TLS_PIECE_PAIR, p->cert_path, strlen(p->cert_path));
	for (int i = 0; i < sk_X509_num(p->certs); i++)
		put_cert(
		    r, r->keys, TLS_PIECE_CERT, sk_X509_value(p->certs, i));
	if (sk_X509_num(p->certs) == 1)
		put_chain_file(r);
	put_key(r, p->key);
	put_ocsp(r, p);
	tell(p);
}

/* The certificate's file may hold the key too; that one counts. */
static int
read_key(struct reader *r, struct pair *p, const struct tls_pem_file *cert)
{
	const struct tls_pem_file *from = cert;
	struct tls_pem_file own = { NULL, 0, false };
	const char *path = p->cert_path;
	struct err err = { .code = 0 };
	int ret = -1;

	if (!tls_pem_has_key(cert)) {
		path = p->key_path;
		from = &own;
		if (path == NULL) {
			complain(r, EINVAL, "ssl_key_file", p->cert_path,
			    "no key is named for this certificate, and none "
			    "is in its file");
			return -1;
		}
		if (tls_pem_file_read(path, &own, &err) == -1)
			goto out;
	}
	p->key = tls_pem_key(from, r->passphrase, &err);
	if (p->key == NULL)
		goto out;
	if (from->open_to_others)
		warn("ssl_key_file", path, "any user can read this key");
	ret = 0;
out:
	if (ret == -1)
		complain(r, err.code, "ssl_key_file", path, "%s", err.msg);
	tls_pem_file_clear(&own);
	return ret;
}

/* 0, or -1: complained of. */
static int
read_pair(struct reader *r, struct pair *p)
{
	struct tls_pem_file f;
	struct err err = { .code = 0 };
	int ret = -1;

	if (tls_pem_file_read(p->cert_path, &f, &err) == 0)
		p->certs = tls_pem_certs(&f, &err);
	if (p->certs != NULL && sk_X509_num(p->certs) == 0)
		err_set(&err, EINVAL, "no certificate in it");
	if (err.code != 0) {
		complain(r, err.code, p->option, p->cert_path, "%s", err.msg);
		goto out;
	}
	if (read_key(r, p, &f) == -1)
		goto out;
	if (X509_check_private_key(sk_X509_value(p->certs, 0), p->key) != 1) {
		complain(r, EINVAL, p->option, p->cert_path,
		    "the certificate is not for the key in %s",
		    tls_pem_has_key(&f) ? "its file" : p->key_path);
		goto out;
	}
	ret = 0;
out:
	ERR_clear_error();
	tls_pem_file_clear(&f);
	return ret;
}

/* Which of two a client of that kind would be shown nobody could tell. */
static bool
is_new_kind(struct reader *r, const struct pair *p)
{
	int kind = EVP_PKEY_base_id(p->key);

	for (size_t i = 0; i < r->kinds; i++)
		if (r->kind[i] == kind) {
			complain(r, EINVAL, p->option, p->cert_path,
			    "a second certificate with this kind of key; for "
			    "several names use ssl_cert_dir");
			return false;
		}
	if (r->kinds < KINDS)
		r->kind[r->kinds++] = kind;
	return true;
}

static void
read_default_pairs(struct reader *r)
{
	const struct option_list *certs = &r->config->ssl_cert_file;
	const struct option_list *keys = &r->config->ssl_key_file;

	for (size_t i = 0; i < certs->n; i++) {
		struct pair p = { .option = "ssl_cert_file",
			.cert_path = certs->v[i],
			.key_path = i < keys->n ? keys->v[i] : NULL };

		if (read_pair(r, &p) == 0 && is_new_kind(r, &p))
			put_pair(r, &p);
		pair_clear(&p);
	}
}

/* --- ssl_cert_dir ------------------------------------------------------- */

static bool
exists(const char *path)
{
	return access(path, F_OK) == 0 || errno != ENOENT;
}

static void
read_named_pair(struct reader *r, const char *cert, const char *key)
{
	struct pair p = {
		.option = "ssl_cert_dir", .cert_path = cert, .key_path = key
	};

	if (read_pair(r, &p) == 0)
		put_pair(r, &p);
	pair_clear(&p);
}

/* One entry of the directory: as certbot lays them out, or both in a file. */
static void
read_named(struct reader *r, const char *name)
{
	const char *dir = r->config->ssl_cert_dir;
	size_t n = strlen(name);
	char cert[4096], key[4096];
	struct stat st;
	int len;

	len = snprintf(cert, sizeof(cert), "%s/%s", dir, name);
	if (len < 0 || (size_t)len >= sizeof(cert) || stat(cert, &st) == -1)
		return;
	if (S_ISREG(st.st_mode)) {
		if (n > 4 && strcmp(name + n - 4, ".pem") == 0)
			read_named_pair(r, cert, NULL);
		return;
	}
	len = snprintf(cert, sizeof(cert), "%s/%s/fullchain.pem", dir, name);
	if (len < 0 || (size_t)len >= sizeof(cert) - 8)
		return;
	snprintf(key, sizeof(key), "%s/%s/privkey.pem", dir, name);
	if (S_ISDIR(st.st_mode) && (exists(cert) || exists(key)))
		read_named_pair(r, cert, key);
}

static int
not_hidden(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static void
read_cert_dir(struct reader *r)
{
	const char *dir = r->config->ssl_cert_dir;
	struct dirent **list = NULL;
	size_t before;
	int i, n;

	if (dir[0] == '\0')
		return;
	n = scandir(dir, &list, not_hidden, alphasort);
	if (n == -1) {
		complain(r, errno, "ssl_cert_dir", dir, "%s", strerror(errno));
		return;
	}
	add(r, r->keys, TLS_PIECE_BY_NAME, "", 0);
	before = r->keys->n;
	for (i = 0; i < n; i++) {
		read_named(r, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	if (r->keys->n == before && r->status == 0)
		warn("ssl_cert_dir", dir, "no certificates in it");
}

/* --- authorities and lists ---------------------------------------------- */

/* The same one is in many files of a directory with hashed names. */
static bool
is_new(struct reader *r, X509 *cert)
{
	struct digest d, *more;
	unsigned int n = DIGEST_LEN;

	if (X509_digest(cert, EVP_sha256(), d.bytes, &n) != 1)
		return true;
	for (size_t i = 0; i < r->seen_n; i++)
		if (memcmp(r->seen[i].bytes, d.bytes, DIGEST_LEN) == 0)
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
put_authorities(struct reader *r, struct tls_bundle *b, enum tls_piece type,
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
			put_cert(r, b, type, sk_X509_value(certs, i));
	sk_X509_pop_free(certs, X509_free);
	tls_pem_file_clear(&f);
	return n;
}

static void
read_ca_file(struct reader *r, const char *option, const char *path,
    struct tls_bundle *b, enum tls_piece type)
{
	struct err err;

	switch (put_authorities(r, b, type, path, &err)) {
	case -1:
		complain(r, err.code, option, path, "%s", err.msg);
		return;
	case 0:
		complain(r, EINVAL, option, path, "no certificate in it");
		return;
	default:
		return;
	}
}

/* How many certificates are in the directory's files, or -1 with errno. */
static int
read_ca_dir(struct reader *r, const char *dir, struct tls_bundle *b,
    enum tls_piece type)
{
	struct dirent **list = NULL;
	int n = scandir(dir, &list, not_hidden, alphasort), all = 0;

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
			warn("ssl_ca_path", path, err.msg);
		else
			all += found;
	}
	free(list);
	return all;
}

/* What the administrator trusts.  Returns whether there is anything. */
static bool
read_own_trust(struct reader *r, struct tls_bundle *b, enum tls_piece type)
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
		complain(r, errno, "ssl_ca_path", c->ssl_ca_path, "%s",
		    strerror(errno));
	if (n == 0 && !usual && c->ssl_ca_path[0] != '\0')
		warn("ssl_ca_path", c->ssl_ca_path, "no certificates in it");
	return file || n > 0 || (!usual && c->ssl_ca_path[0] != '\0');
}

static void
read_server_trust(struct reader *r)
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
static void
read_client_trust(struct reader *r)
{
	const char *file = r->config->ssl_client_ca_file;

	r->seen_n = 0;
	if (!r->config->listen_client_certs)
		return;
	if (file[0] != '\0')
		read_ca_file(r, "ssl_client_ca_file", file, r->keys,
		    TLS_PIECE_CLIENT_CA);
	else if (!read_own_trust(r, r->keys, TLS_PIECE_CLIENT_CA))
		complain(r, EINVAL, "ssl_client_cert", "ssl_client_ca_file",
		    "must name the authority of the clients' certificates");
}

static void
read_crls(struct reader *r, const char *option, const char *path,
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
		complain(r, err.code, option, path, "%s", err.msg);
	for (int i = 0; i < sk_X509_CRL_num(crls); i++) {
		X509_CRL *crl = sk_X509_CRL_value(crls, i);
		unsigned char *der = NULL;
		int n = i2d_X509_CRL(crl, &der);

		if (X509_cmp_current_time(X509_CRL_get0_nextUpdate(crl)) < 0)
			warn(option, path,
			    "the list is out of date: all certificates of its "
			    "authority are refused");
		if (n > 0)
			add(r, b, type, der, (size_t)n);
		OPENSSL_free(der);
	}
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
	tls_pem_file_clear(&f);
}

static void
read_dh(struct reader *r)
{
	const char *path = r->config->ssl_dh_params_file;
	struct tls_pem_file f;
	struct err err;

	if (path[0] == '\0')
		return;
	if (tls_pem_file_read(path, &f, &err) == -1) {
		complain(
		    r, err.code, "ssl_dh_params_file", path, "%s", err.msg);
		return;
	}
	add(r, r->keys, TLS_PIECE_DH, f.p, f.n);
	tls_pem_file_clear(&f);
}

/* --- the whole ---------------------------------------------------------- */

/* What each of them gives up, in the log of each start. */
static void
warn_loosened(const struct config *c)
{
	const struct {
		const char *option, *risk;
		bool on;
	} all[] = {
		{ "ssl_no_cert_verify",
		    "whoever is in between can be the real-server",
		    c->ssl_no_cert_verify },
		{ "ssl_no_client_cert_verify",
		    "clients' certificates prove nothing",
		    c->ssl_no_client_cert_verify },
		{ "ssl_no_cn_verify",
		    "any server with a trusted certificate can be the "
		    "real-server",
		    c->ssl_no_cn_verify },
		{ "ssl_ca_accept_self_signed",
		    "any authority is taken, anybody's own too",
		    c->ssl_ca_accept_self_signed },
		{ "ssl_cert_accept_self_signed",
		    "any self-signed certificate of the right name is taken",
		    c->ssl_cert_accept_self_signed },
		{ "ssl_cert_accept_expired",
		    "keys that were given up long ago are taken",
		    c->ssl_cert_accept_expired },
		{ "ssl_cert_accept_not_yet_valid",
		    "certificates are taken before their time",
		    c->ssl_cert_accept_not_yet_valid },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].on)
			log_event(LOG_WARNING, "config",
			    LOG_STR("option", all[i].option),
			    LOG_STR("text", all[i].risk));
}

/* As the workers will make them. */
static void
check_contexts(struct reader *r)
{
	struct tls_listen *listen = NULL;
	struct tls_outgoing *outgoing;
	struct err err;

	if (r->config->listen_tls) {
		listen = tls_listen_create(
		    r->config, slice_make(r->keys->p, r->keys->n), NULL, &err);
		if (listen == NULL)
			complain(r, EINVAL, "TLS", "clients", "%s", err.msg);
	}
	tls_listen_destroy(&listen);
	outgoing = tls_outgoing_create(
	    r->config, slice_make(r->trust->p, r->trust->n));
	if (outgoing == NULL || tls_outgoing_prepare(outgoing, &err) == -1)
		complain(r, EINVAL, "TLS", "real-servers", "%s",
		    outgoing == NULL ? "out of memory" : err.msg);
	tls_outgoing_destroy(&outgoing);
}

int
tls_files_read(const struct config *config, struct tls_passphrase *pass,
    struct tls_bundle *keys, struct tls_bundle *trust,
    struct option_problems *problems)
{
	struct reader r = {
		.config = config,
		.keys = keys,
		.trust = trust,
		.problems = problems,
	};

	*keys = *trust = (struct tls_bundle){ NULL, 0, 0 };
	warn_loosened(config);
	if (config->listen_tls) {
		read_passphrase(&r, pass);
		read_default_pairs(&r);
		read_dh(&r);
		read_client_trust(&r);
		read_crls(&r, "ssl_listen_crl_file",
		    config->ssl_listen_crl_file, keys, TLS_PIECE_CLIENT_CRL);
		read_cert_dir(&r);
	}
	read_server_trust(&r);
	read_crls(&r, "ssl_outgoing_crl_file", config->ssl_outgoing_crl_file,
	    trust, TLS_PIECE_CRL);
	if (r.status == 0)
		check_contexts(&r);
	free(r.seen);
	if (r.status != 0) {
		tls_bundle_clear(keys);
		tls_bundle_clear(trust);
	}
	return r.status;
}
