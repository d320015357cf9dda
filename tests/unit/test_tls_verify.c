/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For which names a real-server's certificate is good.
 */
#include "config.h"

#include "perdition/tls/tls_verify.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perdition/tls/tls.h"
#include "perdition/tls/tls_ctx.h"
#include "perdition/tls/tls_outgoing.h"
#include "tests/lib/check_run.h"
#include "tests/lib/tls_pki.h"

#include "common/banned.h"

#define STEPS 100

static char none[] = "";
static struct err err;

/* A real-server that shows pair, and us who know it as host: 1, or -1 with
 * err. */
static int
meet(struct tls_outgoing *o, const struct pki_pair *pair, const char *host)
{
	static const struct addr addr;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct tls *ours;
	int fd[2], ret = 0;
	SSL *theirs;

	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	ck_assert_int_eq(SSL_CTX_use_certificate(ctx, pair->cert), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey(ctx, pair->key), 1);
	theirs = SSL_new(ctx);
	SSL_set_fd(theirs, fd[1]);
	SSL_set_accept_state(theirs);
	ours = tls_outgoing_connect(o, host, &addr, "imap", fd[0], &err);
	ck_assert_msg(ours != NULL, "%s", err.msg);
	for (int i = 0; i < STEPS && ret == 0; i++) {
		ret = tls_handshake(ours, &err);
		(void)SSL_do_handshake(theirs);
	}
	tls_destroy(&ours);
	SSL_free(theirs);
	SSL_CTX_free(ctx);
	close(fd[0]);
	close(fd[1]);
	return ret;
}

static const struct {
	const char *cn, *san, *host;
	bool good;
} names[] = {
	{ "x", "DNS:mail.test", "mail.test", true },
	{ "x", "DNS:one.test,DNS:MAIL.Test", "mail.test", true },
	{ "x", "DNS:mail.test", "other.test", false },
	{ "x", "DNS:mail.test", "mail.test.evil.test", false },
	{ "x", "DNS:mail.test", "sub.mail.test", false },
	/* A wildcard is one whole label, the leftmost. */
	{ "x", "DNS:*.mail.test", "a.mail.test", true },
	{ "x", "DNS:*.mail.test", "a.b.mail.test", false },
	{ "x", "DNS:*.mail.test", "mail.test", false },
	{ "x", "DNS:a*.mail.test", "ab.mail.test", false },
	{ "x", "DNS:a.*.test", "a.mail.test", false },
	{ "x", "DNS:*.test", "mail.test", false },
	{ "x", "DNS:*", "mail.test", false },
	/* The subject counts where there is no other name. */
	{ "mail.test", NULL, "mail.test", true },
	{ "mail.test", NULL, "other.test", false },
	{ "mail.test", "DNS:other.test", "mail.test", false },
	/* Addresses. */
	{ "x", "IP:127.0.0.1", "127.0.0.1", true },
	{ "x", "IP:127.0.0.1", "127.0.0.2", false },
	{ "x", "IP:::1", "::1", true },
	{ "x", "IP:::1", "::2", false },
	{ "x", "DNS:127.0.0.1", "127.0.0.1", false },
	{ "127.0.0.1", NULL, "127.0.0.1", false },
	{ "x", "DNS:*.0.0.1", "127.0.0.1", false },
};

START_TEST(name)
{
	const char *mismatch = strchr(names[_i].host, ':') != NULL ||
				       strspn(names[_i].host, "0123456789.") ==
					   strlen(names[_i].host)
				   ? "IP address mismatch"
				   : "hostname mismatch";
	struct pki_pair ca = pki_authority("Test authority");
	struct pki_pair pair =
	    pki_issue_names(&ca, names[_i].cn, names[_i].san, -60, 3600);
	struct config config = { .ssl_outgoing_ciphers = none,
		.ssl_cert_verify_depth = 9,
		.ssl_outgoing_min_proto_version = TLS1_2_VERSION };
	struct tls_bundle trust = { NULL, 0, 0 };
	struct tls_outgoing *o;

	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(tls_init(&err), 0);
	pki_bundle_cert(&trust, TLS_PIECE_CA, &ca);
	o = tls_outgoing_create(&config, slice_make(trust.p, trust.n));
	if (names[_i].good) {
		ck_assert_msg(
		    meet(o, &pair, names[_i].host) == 1, "%s", err.msg);
	} else {
		ck_assert_int_eq(meet(o, &pair, names[_i].host), -1);
		ck_assert_msg(strstr(err.msg, mismatch) != NULL, "%s", err.msg);
	}
	tls_outgoing_destroy(&o);
	/* The option for it lets it pass, and is asked each time. */
	config.ssl_no_cn_verify = true;
	o = tls_outgoing_create(&config, slice_make(trust.p, trust.n));
	ck_assert_int_eq(meet(o, &pair, names[_i].host), 1);
	tls_outgoing_destroy(&o);
	tls_bundle_clear(&trust);
	pki_clear(&ca);
	pki_clear(&pair);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("names");

	tcase_add_loop_test(t, name, 0, COUNT(names));
	return check_run("tls_verify", t);
}
