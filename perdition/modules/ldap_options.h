/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap_options - what the option text of the ldap module says.
 *
 * "[VERSION:]URL [URL...]"; popmap(5) has the form.  Knows nothing of the
 * library; reads no file but that with the password.
 */
#ifndef PERDITION_MODULES_LDAP_OPTIONS_H
#define PERDITION_MODULES_LDAP_OPTIONS_H

#include "perdition/modules/ldap_url.h"
#include "perdition/popmap.h"

#define LDAP_OPTIONS_DEFAULT                                                   \
	"ldap://localhost/ou=mailbox,dc=nodomain?username,mailhost,port?one?"  \
	"(uid=%s)"

#define LDAP_SERVERS_MAX 16

struct ldap_server {
	enum ldap_scheme scheme;
	char *host; /* name or address, no brackets; or a socket's path */
	char *port; /* digits; NULL for a socket */
	char *name; /* as an URL, for messages and for the library */
};

enum ldap_scope {
	LDAP_OPTIONS_BASE,
	LDAP_OPTIONS_ONE,
	LDAP_OPTIONS_SUB,
	LDAP_OPTIONS_CHILDREN,
};

enum ldap_attribute { LDAP_ATTR_USER, LDAP_ATTR_HOST, LDAP_ATTR_PORT };
#define LDAP_ATTRS 3

/* All texts are malloc'ed, and NULL when there is none. */
struct ldap_options {
	int version; /* 2 or 3 */
	size_t n;
	struct ldap_server server[LDAP_SERVERS_MAX]; /* in order */
	char *base;
	char *attr[LDAP_ATTRS]; /* that of the host is always there */
	enum ldap_scope scope;
	char *filter; /* for ldap_filter_make() */
	char *bind_name, *password;
	bool external; /* SASL EXTERNAL */
	bool starttls; /* on ldap:// */
	bool no_verify;
	char *ca_file, *cert_file, *key_file;
	unsigned int network_ms; /* for each step of making a connection */
};

/* 0; or -1 with err, which holds no password, and nothing to clear. */
int ldap_options_parse(
    struct ldap_options *, const char *text, struct popmap_error *);
void ldap_options_clear(struct ldap_options *); /* wipes the password */

/* Whether the connection to that server is by TLS. */
bool ldap_options_tls(const struct ldap_options *, const struct ldap_server *);

#endif
