/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_files - from the options ssl_... to the two bundles.
 *
 * In the end the contexts that workers will make are made here once, so that
 * what OpenSSL does not like is told now.
 */
#include "config.h"

#include "perdition/tls/tls_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "perdition/tls/tls_listen.h"
#include "perdition/tls/tls_outgoing.h"
#include "perdition/tls/tls_pem.h"
#include "perdition/tls/tls_reader.h"

#include "common/banned.h"

void
tls_files_forget(struct tls_passphrase *pass)
{
	secret_clear(&pass->text);
	pass->read = false;
}

static void
read_dh(struct tls_reader *r)
{
	const char *path = r->config->ssl_dh_params_file;
	struct tls_pem_file f;
	struct err err;

	if (path[0] == '\0')
		return;
	if (tls_pem_file_read(path, &f, &err) == -1) {
		tls_reader_complain(
		    r, err.code, "ssl_dh_params_file", path, "%s", err.msg);
		return;
	}
	tls_reader_add(r, r->keys, TLS_PIECE_DH, f.p, f.n);
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
check_contexts(struct tls_reader *r)
{
	struct tls_listen *listen = NULL;
	struct tls_outgoing *outgoing;
	struct err err;

	if (r->config->listen_tls) {
		listen = tls_listen_create(
		    r->config, slice_make(r->keys->p, r->keys->n), NULL, &err);
		if (listen == NULL)
			tls_reader_complain(
			    r, EINVAL, "TLS", "clients", "%s", err.msg);
	}
	tls_listen_destroy(&listen);
	outgoing = tls_outgoing_create(
	    r->config, slice_make(r->trust->p, r->trust->n));
	if (outgoing == NULL || tls_outgoing_prepare(outgoing, &err) == -1)
		tls_reader_complain(r, EINVAL, "TLS", "real-servers", "%s",
		    outgoing == NULL ? "out of memory" : err.msg);
	tls_outgoing_destroy(&outgoing);
}

int
tls_files_read(const struct config *config, struct tls_passphrase *pass,
    struct tls_bundle *keys, struct tls_bundle *trust,
    struct option_problems *problems)
{
	struct tls_reader r = {
		.config = config,
		.keys = keys,
		.trust = trust,
		.problems = problems,
	};

	*keys = *trust = (struct tls_bundle){ NULL, 0, 0 };
	warn_loosened(config);
	if (config->listen_tls) {
		tls_read_passphrase(&r, pass);
		tls_read_default_pairs(&r);
		read_dh(&r);
		tls_read_client_trust(&r);
		tls_read_crls(&r, "ssl_listen_crl_file",
		    config->ssl_listen_crl_file, keys, TLS_PIECE_CLIENT_CRL);
		tls_read_cert_dir(&r);
	}
	tls_read_server_trust(&r);
	tls_read_crls(&r, "ssl_outgoing_crl_file",
	    config->ssl_outgoing_crl_file, trust, TLS_PIECE_CRL);
	if (r.status == 0)
		check_contexts(&r);
	free(r.seen);
	if (r.status != 0) {
		tls_bundle_clear(keys);
		tls_bundle_clear(trust);
	}
	return r.status;
}
