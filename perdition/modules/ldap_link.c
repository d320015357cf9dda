/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap_link - see ldap_link.h.
 */
#include "config.h"

#include "perdition/modules/ldap_link.h"

#include <errno.h>
#include <openldap.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

#include "perdition/modules/ldap_io.h"
#include "perdition/modules/ldap_socket.h"
#include "perdition/modules/map_answer.h"

#include "common/banned.h"

/* An answer is a few entries of some names. */
#define INCOMING_MAX (1024 * 1024) /* bytes */

static struct timeval
to_timeval(unsigned int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000,
		.tv_usec = (suseconds_t)(ms % 1000) * 1000 };

	return tv;
}

int
ldap_link_error(struct popmap_error *err, LDAP *ld, const struct ldap_server *s,
    const char *what, int code)
{
	char *more = NULL;

	ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &more);
	map_error(err, "%s: %s%s%s%s%.200s", s->name, what,
	    what[0] == '\0' ? "" : ": ", ldap_err2string(code),
	    more == NULL || more[0] == '\0' ? "" : ": ",
	    more == NULL ? "" : more);
	ldap_memfree(more);
	return -1;
}

int
ldap_link_wait(LDAP *ld, int msgid, uint64_t deadline, LDAPMessage **res)
{
	struct timeval tv = to_timeval(ldap_ms_left(deadline, INT32_MAX));
	int code = LDAP_SUCCESS;

	*res = NULL;
	if (tv.tv_sec == 0 && tv.tv_usec == 0)
		return LDAP_TIMEOUT;
	switch (ldap_result(ld, msgid, LDAP_MSG_ALL, &tv, res)) {
	case 0:
		return LDAP_TIMEOUT;
	case -1:
		ldap_get_option(ld, LDAP_OPT_RESULT_CODE, &code);
		return code < 0 ? code : LDAP_SERVER_DOWN;
	default:
		return LDAP_SUCCESS;
	}
}

int
ldap_link_result(LDAP *ld, LDAPMessage *res)
{
	char *text = NULL;
	int code;
	int got = ldap_parse_result(ld, res, &code, NULL, &text, NULL, NULL, 0);

	ldap_set_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, text);
	ldap_memfree(text);
	return got == LDAP_SUCCESS ? code : got;
}

/* --- TLS ------------------------------------------------------------------ */

/* The authorities that the system trusts: a library made with GnuTLS knows
 * none of itself. */
static const char *
system_authorities(void)
{
	static const char *const files[] = {
		"/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine */
		"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
		"/etc/ssl/ca-bundle.pem",             /* SUSE */
		"/etc/ssl/cert.pem",
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (access(files[i], R_OK) == 0)
			return files[i];
	}
	return NULL;
}

/*
 * The library's code.  Made with GnuTLS (2.5.13), it loses the memory of a
 * client's certificate and key, some 6 KiB, each time.  That is once for each
 * connection, which are few.
 */
static int
set_up_tls(LDAP *ld, const struct ldap_options *o)
{
	int verify =
	    o->no_verify ? LDAP_OPT_X_TLS_NEVER : LDAP_OPT_X_TLS_DEMAND;
	int lowest = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2, is_server = 0;
	const struct {
		int name;
		const void *value;
	} options[] = {
		{ LDAP_OPT_X_TLS_REQUIRE_CERT, &verify },
		{ LDAP_OPT_X_TLS_PROTOCOL_MIN, &lowest },
		{ LDAP_OPT_X_TLS_CACERTFILE,
		    o->ca_file == NULL ? system_authorities() : o->ca_file },
		{ LDAP_OPT_X_TLS_CERTFILE, o->cert_file },
		{ LDAP_OPT_X_TLS_KEYFILE, o->key_file },
		/* Last: makes use of those above. */
		{ LDAP_OPT_X_TLS_NEWCTX, &is_server },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (ldap_set_option(ld, options[i].name, options[i].value) !=
		    LDAP_OPT_SUCCESS)
			return LDAP_LOCAL_ERROR;
	}
	return LDAP_SUCCESS;
}

/* The library would not say which file it is. */
static int
check_file(const char *what, const char *path, struct popmap_error *err)
{
	if (path == NULL || access(path, R_OK) == 0)
		return 0;
	return map_error(err, "%s: %s: %s", what, path, strerror(errno));
}

int
ldap_link_check(const struct ldap_options *o, struct popmap_error *err)
{
	bool tls = false;
	LDAP *ld;
	int code;

	/*
	 * All settings are in our options.  Without this the library would
	 * also take /etc/ldap/ldap.conf, ~/.ldaprc, ldaprc in the working
	 * directory and the environment's LDAP* variables.  It looks for this
	 * when it is used first, and there is no other way to tell it.
	 */
	if (setenv("LDAPNOINIT", "1", 1) == -1)
		return map_error(err, "LDAPNOINIT: %s", strerror(errno));
	for (size_t i = 0; i < o->n; i++)
		tls = tls || ldap_options_tls(o, &o->server[i]);
	if (!tls)
		return 0;
	if (check_file("x-tls-cacert", o->ca_file, err) == -1 ||
	    check_file("x-tls-cert", o->cert_file, err) == -1 ||
	    check_file("x-tls-key", o->key_file, err) == -1)
		return -1;
	if (ldap_create(&ld) != LDAP_SUCCESS)
		return map_error(err, "out of memory");
	code = set_up_tls(ld, o);
	ldap_unbind_ext(ld, NULL, NULL);
	if (code == LDAP_SUCCESS)
		return 0;
	return map_error(err,
	    "TLS cannot be set up: see whether x-tls-cacert, x-tls-cert and "
	    "x-tls-key are PEM files, and the key is the certificate's");
}

static int
start_tls(LDAP *ld, uint64_t deadline)
{
	LDAPMessage *res;
	int msgid;
	int code = ldap_start_tls(ld, NULL, NULL, &msgid);

	if (code == LDAP_SUCCESS)
		code = ldap_link_wait(ld, msgid, deadline, &res);
	if (code == LDAP_SUCCESS) {
		code = ldap_link_result(ld, res);
		ldap_msgfree(res);
	}
	return code;
}

static int
shake_hands(LDAP *ld, struct ldap_io *io, const struct ldap_options *o,
    uint64_t deadline)
{
	int code = set_up_tls(ld, o);

	if (code != LDAP_SUCCESS)
		return code;
	ldap_io_wait_until(io, deadline);
	code = ldap_install_tls(ld);
	ldap_io_never_wait(io);
	return ldap_io_timed_out(io) ? LDAP_TIMEOUT : code;
}

/* --- bind ----------------------------------------------------------------- */

/*
 * Also when it is as nobody, which version 3 needs no bind for: it shows that
 * the server answers, while there is time for another one.
 */
static int
bind_to(LDAP *ld, const struct ldap_options *o, uint64_t deadline)
{
	char empty[] = "";
	/* For EXTERNAL no other identity than that of the channel. */
	struct berval secret = { .bv_val = empty };
	LDAPMessage *res;
	int code, msgid;

	if (o->password != NULL) {
		secret.bv_val = o->password;
		secret.bv_len = strlen(o->password);
	}
	code = ldap_sasl_bind(ld, o->external ? NULL : o->bind_name,
	    o->external ? "EXTERNAL" : LDAP_SASL_SIMPLE, &secret, NULL, NULL,
	    &msgid);
	if (code == LDAP_SUCCESS)
		code = ldap_link_wait(ld, msgid, deadline, &res);
	if (code != LDAP_SUCCESS)
		return code;
	code = ldap_link_result(ld, res);
	ldap_msgfree(res);
	/* Some forbid to say so, but not to be nobody. */
	if (code == LDAP_INAPPROPRIATE_AUTH && !o->external &&
	    o->bind_name == NULL && o->version == 3)
		return LDAP_SUCCESS;
	return code;
}

/* --- all of it ------------------------------------------------------------ */

static int
set_options(LDAP *ld, Sockbuf *sb, const struct ldap_options *o)
{
	ber_len_t incoming = INCOMING_MAX;
	int never = LDAP_DEREF_NEVER;
	const struct {
		int name;
		const void *value;
	} options[] = {
		{ LDAP_OPT_PROTOCOL_VERSION, &o->version },
		{ LDAP_OPT_REFERRALS, LDAP_OPT_OFF },
		{ LDAP_OPT_RESTART, LDAP_OPT_ON },
		{ LDAP_OPT_DEREF, &never },
	};

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (ldap_set_option(ld, options[i].name, options[i].value) !=
		    LDAP_OPT_SUCCESS)
			return -1;
	}
	ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &incoming);
	return 0;
}

/* Takes fd.  *io is the link's, and goes with it. */
static LDAP *
adopt(int fd, struct ldap_io **io, const struct ldap_options *o,
    const struct ldap_server *s, struct popmap_error *err)
{
	Sockbuf *sb = NULL;
	LDAP *ld;
	/* The name is for the check of a certificate. */
	int code = ldap_init_fd(fd, LDAP_PROTO_EXT,
	    s->scheme == LDAP_SCHEME_LOCAL ? "ldapi://" : s->name, &ld);

	*io = NULL;
	if (code != LDAP_SUCCESS) {
		close(fd);
		map_error(err, "%s: %s", s->name, ldap_err2string(code));
		return NULL;
	}
	if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) == LDAP_OPT_SUCCESS)
		*io = ldap_io_add(sb, fd);
	if (*io == NULL)
		close(fd);
	if (*io == NULL || set_options(ld, sb, o) == -1) {
		map_error(err, "%s: out of memory", s->name);
		ldap_link_close(&ld);
	}
	return ld;
}

/* The end of a step of making the connection. */
static uint64_t
step(const struct ldap_options *o, uint64_t deadline)
{
	return ldap_now_ms() + ldap_ms_left(deadline, o->network_ms);
}

LDAP *
ldap_link_open(const struct ldap_options *o, const struct ldap_server *s,
    uint64_t deadline, struct popmap_error *err)
{
	const char *what = "";
	int fd = ldap_socket_connect(s, o->network_ms, deadline, err);
	struct ldap_io *io;
	LDAP *ld = fd == -1 ? NULL : adopt(fd, &io, o, s, err);
	int code = LDAP_SUCCESS;

	if (ld == NULL)
		return NULL;
	if (s->scheme == LDAP_SCHEME_PLAIN && o->starttls) {
		what = "StartTLS";
		code = start_tls(ld, step(o, deadline));
	}
	if (code == LDAP_SUCCESS && ldap_options_tls(o, s)) {
		what = "TLS";
		code = shake_hands(ld, io, o, step(o, deadline));
	}
	if (code == LDAP_SUCCESS) {
		what = o->external            ? "bind by SASL EXTERNAL"
		       : o->bind_name != NULL ? o->bind_name
					      : "bind as nobody";
		code = bind_to(ld, o, step(o, deadline));
	}
	if (code == LDAP_SUCCESS)
		return ld;
	ldap_link_error(err, ld, s, what, code);
	ldap_link_close(&ld);
	return NULL;
}

void
ldap_link_close(LDAP **ldp)
{
	if (*ldp != NULL)
		ldap_unbind_ext(*ldp, NULL, NULL);
	*ldp = NULL;
}
