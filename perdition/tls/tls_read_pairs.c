/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_read_pairs - certificates with their keys, chains, OCSP responses.
 */
#include "config.h"

#include "perdition/tls/tls_reader.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/secret_file.h"
#include "perdition/tls/tls_pem.h"

#include "common/banned.h"

#define EXPIRES_SOON (14 * 86400) /* s */

/* --- pass phrase -------------------------------------------------------- */

void
tls_read_passphrase(struct tls_reader *r, struct tls_passphrase *pass)
{
	const struct config *c = r->config;
	bool by_fd = c->ssl_passphrase_fd[0] != '\0';
	const char *option =
	    by_fd ? "ssl_passphrase_fd" : "ssl_passphrase_file";
	const char *name =
	    by_fd ? c->ssl_passphrase_fd : c->ssl_passphrase_file;
	struct err err;
	int ret, fd;

	if (name[0] == '\0')
		return;
	r->passphrase = &pass->text;
	if (by_fd && pass->read)
		return; /* it can be read only once */
	if (by_fd) {
		fd = (int)strtol(name, NULL, 10);
		ret = secret_read_fd(fd, &pass->text, &err);
		close(fd);
	} else {
		ret = secret_read_file(name, &pass->text, &err);
	}
	if (ret == -1)
		tls_reader_complain(r, err.code, option, name, "%s", err.msg);
	else
		pass->read = by_fd;
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
		tls_reader_warn(
		    p->option, p->cert_path, "the certificate has expired");
	else if (X509_cmp_time(X509_get0_notAfter(leaf), &soon) < 0)
		tls_reader_warn(p->option, p->cert_path,
		    "the certificate expires within 14 days");
	if (X509_cmp_time(X509_get0_notBefore(leaf), &now) > 0)
		tls_reader_warn(p->option, p->cert_path,
		    "the certificate is not valid yet");
}

static void
put_key(struct tls_reader *r, EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	unsigned char *der = NULL;
	int n = info == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(info, &der);

	if (n > 0)
		tls_reader_add(r, r->keys, TLS_PIECE_KEY, der, (size_t)n);
	else
		tls_reader_complain(
		    r, EINVAL, "ssl_key_file", "key", "cannot be encoded");
	if (n > 0)
		OPENSSL_clear_free(der, (size_t)n);
	PKCS8_PRIV_KEY_INFO_free(info);
	ERR_clear_error();
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
put_ocsp(struct tls_reader *r, const struct pair *p)
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
			tls_reader_warn(p->option, path, err.msg);
		return;
	}
	at = (const unsigned char *)f.p;
	response = d2i_OCSP_RESPONSE(NULL, &at, (long)f.n);
	if (response != NULL)
		basic = OCSP_response_get1_basic(response);
	if (basic != NULL)
		fault = ocsp_fault(basic, p->certs);
	if (fault == NULL)
		tls_reader_add(r, r->keys, TLS_PIECE_OCSP, f.p, f.n);
	else
		tls_reader_warn(p->option, path, fault);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(response);
	tls_pem_file_clear(&f);
	ERR_clear_error();
}

/* What goes along with a certificate whose file holds nothing else. */
static void
put_chain_file(struct tls_reader *r)
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
		tls_reader_complain(
		    r, err.code, "ssl_ca_chain_file", path, "%s", err.msg);
	for (int i = 0; i < sk_X509_num(certs); i++)
		tls_reader_cert(
		    r, r->keys, TLS_PIECE_CERT, sk_X509_value(certs, i));
	sk_X509_pop_free(certs, X509_free);
	tls_pem_file_clear(&f);
}

static void
put_pair(struct tls_reader *r, const struct pair *p)
{
	tls_reader_add(
	    r, r->keys, TLS_PIECE_PAIR, p->cert_path, strlen(p->cert_path));
	for (int i = 0; i < sk_X509_num(p->certs); i++)
		tls_reader_cert(
		    r, r->keys, TLS_PIECE_CERT, sk_X509_value(p->certs, i));
	if (sk_X509_num(p->certs) == 1)
		put_chain_file(r);
	put_key(r, p->key);
	put_ocsp(r, p);
	tell(p);
}

/* The certificate's file may hold the key too; that one counts. */
static int
read_key(struct tls_reader *r, struct pair *p, const struct tls_pem_file *cert)
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
			tls_reader_complain(r, EINVAL, "ssl_key_file",
			    p->cert_path,
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
		tls_reader_warn(
		    "ssl_key_file", path, "any user can read this key");
	ret = 0;
out:
	if (ret == -1)
		tls_reader_complain(
		    r, err.code, "ssl_key_file", path, "%s", err.msg);
	tls_pem_file_clear(&own);
	return ret;
}

/* 0, or -1: complained of. */
static int
read_pair(struct tls_reader *r, struct pair *p)
{
	struct tls_pem_file f;
	struct err err = { .code = 0 };
	int ret = -1;

	if (tls_pem_file_read(p->cert_path, &f, &err) == 0)
		p->certs = tls_pem_certs(&f, &err);
	if (p->certs != NULL && sk_X509_num(p->certs) == 0)
		err_set(&err, EINVAL, "no certificate in it");
	if (err.code != 0) {
		tls_reader_complain(
		    r, err.code, p->option, p->cert_path, "%s", err.msg);
		goto out;
	}
	if (read_key(r, p, &f) == -1)
		goto out;
	if (X509_check_private_key(sk_X509_value(p->certs, 0), p->key) != 1) {
		tls_reader_complain(r, EINVAL, p->option, p->cert_path,
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
is_new_kind(struct tls_reader *r, const struct pair *p)
{
	int kind = EVP_PKEY_base_id(p->key);

	for (size_t i = 0; i < r->kinds; i++)
		if (r->kind[i] == kind) {
			tls_reader_complain(r, EINVAL, p->option, p->cert_path,
			    "a second certificate with this kind of key; for "
			    "several names use ssl_cert_dir");
			return false;
		}
	if (r->kinds < TLS_READER_KINDS)
		r->kind[r->kinds++] = kind;
	return true;
}

void
tls_read_default_pairs(struct tls_reader *r)
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
read_named_pair(struct tls_reader *r, const char *cert, const char *key)
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
read_named(struct tls_reader *r, const char *name)
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

void
tls_read_cert_dir(struct tls_reader *r)
{
	const char *dir = r->config->ssl_cert_dir;
	struct dirent **list = NULL;
	size_t before;
	int i, n;

	if (dir[0] == '\0')
		return;
	n = scandir(dir, &list, tls_reader_not_hidden, alphasort);
	if (n == -1) {
		tls_reader_complain(
		    r, errno, "ssl_cert_dir", dir, "%s", strerror(errno));
		return;
	}
	tls_reader_add(r, r->keys, TLS_PIECE_BY_NAME, "", 0);
	before = r->keys->n;
	for (i = 0; i < n; i++) {
		read_named(r, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	if (r->keys->n == before && r->status == 0)
		tls_reader_warn("ssl_cert_dir", dir, "no certificates in it");
}
