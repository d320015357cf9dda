/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ldap module without a directory: its options, its filters and what may
 * stand in them, how a server's text is joined, and that it opens while no
 * server is there.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/check_run.h"
#include "map_scratch.h"
#include "perdition/modules/ldap_filter.h"
#include "perdition/modules/ldap_options.h"
#include "perdition/modules/map_join.h"

#include "common/banned.h"

#define SEARCH "/dc=x?u,h,p?sub?(uid=%s)"

/* --- options -------------------------------------------------------------- */

static const char *
word(const char *s)
{
	return s == NULL ? "-" : s;
}

/* All that was read, in one line. */
static void
print(const struct ldap_options *o, char *out, size_t cap)
{
	static const char *const scopes[] = { "base", "one", "sub",
		"children" };
	size_t n = (size_t)snprintf(out, cap, "v%d", o->version);

	for (size_t i = 0; i < o->n; i++)
		n += (size_t)snprintf(out + n, cap - n, " %s|%s|%s",
		    o->server[i].name, word(o->server[i].host),
		    word(o->server[i].port));
	n += (size_t)snprintf(out + n, cap - n, " <%s> %s,%s,%s %s %s %s|%s",
	    o->base, word(o->attr[0]), word(o->attr[1]), word(o->attr[2]),
	    scopes[o->scope], o->filter, word(o->bind_name), word(o->password));
	n += (size_t)snprintf(out + n, cap - n, " %s|%s|%s %u%s%s%s",
	    word(o->ca_file), word(o->cert_file), word(o->key_file),
	    o->network_ms, o->starttls ? " starttls" : "",
	    o->external ? " external" : "", o->no_verify ? " noverify" : "");
	ck_assert_uint_lt(n, cap);
}

#define REST " <dc=x> u,h,p sub (uid=%s) -|- -|-|- 1000"
#define LOCAL "ldap://localhost:389|localhost|389"

static const struct {
	const char *text, *said;
} good[] = {
	{ "",
	    "v3 " LOCAL " <ou=mailbox,dc=nodomain> username,mailhost,port one "
	    "(uid=%s) -|- -|-|- 1000" },
	{ LDAP_OPTIONS_DEFAULT,
	    "v3 " LOCAL " <ou=mailbox,dc=nodomain> username,mailhost,port one "
	    "(uid=%s) -|- -|-|- 1000" },
	{ "ldap://localhost" SEARCH, "v3 " LOCAL REST },
	{ " 3:ldap://" SEARCH "\n", "v3 " LOCAL REST },
	{ "2:LDAP://localhost" SEARCH, "v2 " LOCAL REST },
	{ "ldaps://a.example" SEARCH,
	    "v3 ldaps://a.example:636|a.example|636" REST },
	{ "ldap://a:1 b c:3" SEARCH,
	    "v3 ldap://a:1|a|1 ldap://b:389|b|389 ldap://c:3|c|3" REST },
	{ "ldap://a  b" SEARCH,
	    "v3 ldap://a:389|a|389 ldap://b:389|b|389" REST },
	{ "ldap://[::1] [fe80::2]:5 192.0.2.1:6" SEARCH,
	    "v3 ldap://[::1]:389|::1|389 ldap://[fe80::2]:5|fe80::2|5 "
	    "ldap://192.0.2.1:6|192.0.2.1|6" REST },
	{ "ldap://a" SEARCH " ldaps://b:2/ ldap://c",
	    "v3 ldap://a:389|a|389 ldaps://b:2|b|2 ldap://c:389|c|389" REST },
	{ "ldap://a ldaps://b" SEARCH,
	    "v3 ldap://a:389|a|389 ldaps://b:636|b|636" REST },
	{ "ldapi://" SEARCH, "v3 "
			     "ldapi://%2fvar%2frun%2fslapd%2fldapi|/var/run/"
			     "slapd/ldapi|-" REST },
	{ "ldapi://%2Ftmp%2fa%20b" SEARCH,
	    "v3 ldapi://%2Ftmp%2fa%20b|/tmp/a b|-" REST },

	/* What is left out. */
	{ "ldap:///dc=x",
	    "v3 " LOCAL " <dc=x> username,mailhost,port base (uid=%s) -|- "
	    "-|-|- 1000" },
	{ "ldap:///?,h", "v3 " LOCAL " <> -,h,- base (uid=%s) -|- -|-|- 1000" },
	{ "ldap:///ou=a b,o=%c3%a9%3f? u , h ?ONE",
	    "v3 " LOCAL
	    " <ou=a b,o=\303\251?> u,h,- one (uid=%s) -|- -|-|- 1000" },
	{ "ldap:///o=x?u,h?"
	  "?(&(a=b)(uid=%-10.5s))",
	    "v3 " LOCAL
	    " <o=x> u,h,- base (&(a=b)(uid=%-10.5s)) -|- -|-|- 1000" },
	{ "ldap:///o=x?u,h,2.5.4.3;lang-en?children",
	    "v3 " LOCAL " <o=x> u,h,2.5.4.3;lang-en children (uid=%s) -|- "
	    "-|-|- 1000" },

	/* Extensions. */
	{ "ldap://" SEARCH "?bindname=cn=a%2cdc=x,x-bindpw=p%2C%25%3fw",
	    "v3 " LOCAL
	    " <dc=x> u,h,p sub (uid=%s) cn=a,dc=x|p,%?w -|-|- 1000" },
	{ "ldap://" SEARCH "?!BindName=cn=a, !x-BINDPW=b",
	    "v3 " LOCAL " <dc=x> u,h,p sub (uid=%s) cn=a|b -|-|- 1000" },
	{ "ldap://" SEARCH "?x-starttls,x-tls-cacert=/ca,x-tls-cert=/c,"
	  "x-tls-key=/k,x-network-timeout=5",
	    "v3 " LOCAL
	    " <dc=x> u,h,p sub (uid=%s) -|- /ca|/c|/k 5000 starttls" },
	{ "ldap://" SEARCH "?x-starttls,x-tls-verify=never",
	    "v3 " LOCAL REST " starttls noverify" },
	{ "ldapi://%2fa" SEARCH "?x-sasl=EXTERNAL",
	    "v3 ldapi://%2fa|/a|-" REST " external" },
	{ "ldaps://" SEARCH "?x-sasl=external,x-tls-cert=/c,x-tls-key=/k",
	    "v3 ldaps://localhost:636|localhost|636 <dc=x> u,h,p sub "
	    "(uid=%s) -|- -|/c|/k 1000 external" },
};

START_TEST(good_options)
{
	struct ldap_options o;
	struct popmap_error err = { .msg = "" };
	char said[1024];

	ck_assert_msg(
	    ldap_options_parse(&o, good[_i].text, &err) == 0, "%s", err.msg);
	print(&o, said, sizeof(said));
	ck_assert_str_eq(said, good[_i].said);
	ldap_options_clear(&o);
	ldap_options_clear(&o);
}
END_TEST

static const struct {
	const char *text, *part;
} bad[] = {
	{ "localhost", "not an LDAP URL" },
	{ "http://a" SEARCH, "not an LDAP URL" },
	{ "4:ldap://a" SEARCH, "neither 2 nor 3" },
	{ "3:", "no LDAP URL" },
	{ "ldap://a", "no search base" },
	{ "ldap://a/", "no search base" },
	{ "ldap://a?u,h", "a slash is missing" },
	{ "ldap://a" SEARCH " ldap://b" SEARCH, "only one" },
	{ "ldap://a b:0" SEARCH, "b: port 0" },
	{ "ldap://a:70000" SEARCH, "a: port 70000" },
	{ "ldap://a:x" SEARCH, "a: port x" },
	{ "ldap://a:" SEARCH, "a: no port" },
	{ "ldap://:389" SEARCH, "not a server's name" },
	{ "ldap://::1" SEARCH, ": not a server's name" },
	{ "ldap://[::1" SEARCH, "brackets do not match" },
	{ "ldap://[::1]5" SEARCH, "brackets do not match" },
	{ "ldap://[a]" SEARCH, "a: not a server's name" },
	{ "ldap://a,b" SEARCH, "a,b: not a server's name" },
	{ "ldap://u@a" SEARCH, "u@a: not a server's name" },
	{ "ldapi://tmp" SEARCH, "not a socket's path" },
	{ "ldapi://%2" SEARCH, "ldapi://: behind a percent sign" },
	{ "ldap://a b c d e f g h i j k l m n o p q" SEARCH, "more than 16" },
	{ "ldap://a/dc=%zz?u,h", "base: behind a percent sign" },
	{ "ldap://a/dc=%00?u,h", "base: behind a percent sign" },
	{ "ldap://a/dc=%s?u,h", "base: %s can stand in the filter only" },
	{ "ldap://a/dc=x?u,h,p,q", "more than user, host and port" },
	{ "ldap://a/dc=x?u", "the second one" },
	{ "ldap://a/dc=x?u,,p", "the second one" },
	{ "ldap://a/dc=x?u,h*", "h* is no name" },
	{ "ldap://a/dc=x?u,h?tree", "scope: neither" },
	{ "ldap://a/dc=x?u,h?sub?(uid=*)", "no %s in it" },
	{ "ldap://a/dc=x?u,h?sub?(uid=%d)", "filter: behind a percent" },
	{ "ldap://a/dc=x?u,h?sub?(uid=%", "filter: behind a percent" },
	{ "ldap://a/dc=x?u,h?sub?(uid=%-99999s)", "filter: behind a percent" },
	{ "ldap://a/dc=x?u,h?sub?((uid=%s)", "parentheses" },
	{ "ldap://a/dc=x?u,h?sub?)uid=%s(", "parentheses" },
	{ "ldap://a" SEARCH "?a?b", "more than four" },
	{ "ldap://a" SEARCH "?x-bindpv=hunter2", "does not know" },
	{ "ldap://a" SEARCH "?bindname=cn=a,dc=b,x-bindpw=hunter2",
	    "a comma is written %2c" },
	{ "ldap://a" SEARCH "?bindname=cn=a,x-bindpw=hunter2%",
	    "x-bindpw: behind a percent" },
	{ "ldap://a" SEARCH "?bindname=cn=a", "only both together" },
	{ "ldap://a" SEARCH "?x-bindpw=hunter2", "only both together" },
	{ "ldap://a" SEARCH "?bindname=cn=a,x-bindpw=", "needs a value" },
	{ "ldap://a" SEARCH "?bindname=a,bindname=b", "bindname: given twice" },
	{ "ldap://a" SEARCH "?bindname=a,x-bindpw-file=/no/such",
	    "/no/such: No such file" },
	{ "ldap://a" SEARCH "?bindname=a,x-bindpw-file=/",
	    "/: not a regular file" },
	{ "ldap://a" SEARCH "?x-starttls=no", "takes no value" },
	{ "2:ldap://a" SEARCH "?x-starttls", "version 3" },
	{ "ldaps://a" SEARCH "?x-starttls", "no ldap:// server" },
	{ "ldap://a" SEARCH "?x-tls-cacert=/c", "nothing would be by TLS" },
	{ "ldap://a" SEARCH "?x-tls-verify=never", "nothing would be by TLS" },
	{ "ldaps://a" SEARCH "?x-tls-verify=no", "the only value is never" },
	{ "ldaps://a" SEARCH "?x-tls-cert=/c", "one without the other" },
	{ "ldaps://a" SEARCH "?x-sasl=gssapi", "the only value is external" },
	{ "ldaps://a" SEARCH "?x-sasl=external", "needs TLS with x-tls-cert" },
	{ "ldapi://%2fa ldap://b" SEARCH "?x-sasl=external",
	    "ldap://b:389 needs TLS" },
	{ "ldapi://" SEARCH "?x-sasl=external,bindname=a,x-bindpw=hunter2",
	    "not together" },
	{ "ldap://a" SEARCH "?x-network-timeout=0", "1 to 60" },
	{ "ldap://a" SEARCH "?x-network-timeout=1s", "1 to 60" },
};

START_TEST(bad_options)
{
	struct ldap_options o;
	struct popmap_error err = { .msg = "" };

	ck_assert_int_eq(ldap_options_parse(&o, bad[_i].text, &err), -1);
	ck_assert_msg(strstr(err.msg, bad[_i].part) != NULL, "%s", err.msg);
	ck_assert_msg(strstr(err.msg, "hunter2") == NULL, "%s", err.msg);
	ck_assert_ptr_null(strchr(err.msg, '\n'));
}
END_TEST

static const struct {
	struct slice content;
	const char *password; /* NULL: refused */
} files[] = {
	{ SLICE("secret\n"), "secret" },
	{ SLICE(" sec ret \r\nmore\n"), " sec ret " },
	{ SLICE("secret"), "secret" },
	{ SLICE(""), NULL },
	{ SLICE("\nsecret"), NULL },
	{ SLICE("hunter2\0x\n"), NULL },
};

START_TEST(password_file)
{
	struct ldap_options o;
	struct popmap_error err = { .msg = "" };
	char text[256];

	scratch_make();
	scratch_write("pw", files[_i].content);
	snprintf(text, sizeof(text),
	    "ldap://a%s?bindname=cn=a,x-bindpw-file=%s", SEARCH,
	    scratch_path("pw"));
	if (files[_i].password == NULL) {
		ck_assert_int_eq(ldap_options_parse(&o, text, &err), -1);
		ck_assert_ptr_nonnull(strstr(err.msg, "x-bindpw-file"));
		ck_assert_ptr_null(strstr(err.msg, "hunter2"));
	} else {
		ck_assert_int_eq(ldap_options_parse(&o, text, &err), 0);
		ck_assert_str_eq(o.password, files[_i].password);
		ldap_options_clear(&o);
	}
	scratch_remove();
}
END_TEST

/* --- filters -------------------------------------------------------------- */

static char long_key[1000];

static const struct {
	const char *form;
	struct slice key;
	const char *filter;
} filters[] = {
	{ "(uid=%s)", SLICE("bob"), "(uid=bob)" },
	{ "(uid=%s)", SLICE(""), "(uid=)" },
	{ "(uid=%s)", SLICE("bob.x-y_z@Example.org"),
	    "(uid=bob.x-y_z@Example.org)" },
	{ "(|(uid=%s)(mail=%s))", SLICE("b"), "(|(uid=b)(mail=b))" },
	{ "(uid=%10s)", SLICE("bob"), "(uid=\\20\\20\\20\\20\\20\\20\\20bob)" },
	{ "(uid=%-5s)", SLICE("bob"), "(uid=bob\\20\\20)" },
	{ "(uid=%.2s)", SLICE("bob"), "(uid=bo)" },
	{ "(uid=%.s)", SLICE("bob"), "(uid=)" },
	{ "(uid=%4.2s)", SLICE("bob"), "(uid=\\20\\20bo)" },
	{ "(uid=%.10s)", SLICE("bob"), "(uid=bob)" },
	{ "(a=%28%41%%%c3%a9)(uid=%s)", SLICE("b"), "(a=(A%\303\251)(uid=b)" },

	/* Names as somebody might try them. */
	{ "(uid=%s)", SLICE("*"), "(uid=\\2a)" },
	{ "(uid=%s)", SLICE("a)(uid=*"), "(uid=a\\29\\28uid\\3d\\2a)" },
	{ "(uid=%s)", SLICE("*)(|(uid=*"),
	    "(uid=\\2a\\29\\28\\7c\\28uid\\3d\\2a)" },
	{ "(uid=%s)", SLICE("\\2a"), "(uid=\\5c2a)" },
	{ "(uid=%s)", SLICE("\\"), "(uid=\\5c)" },
	{ "(uid=%s)", SLICE("a\0b"), "(uid=a\\00b)" },
	{ "(uid=%s)", SLICE("%s%n%2a"), "(uid=\\25s\\25n\\252a)" },
	{ "(uid=%s)", SLICE("\303\251\377"), "(uid=\\c3\\a9\\ff)" },
	{ "(uid=%s)", SLICE(" a\r\n"), "(uid=\\20a\\0d\\0a)" },
	{ "(uid=%s)", SLICE("'\"&|!<>~=:;,+#"),
	    "(uid=\\27\\22\\26\\7c\\21\\3c\\3e\\7e\\3d\\3a\\3b\\2c\\2b\\23)" },
	{ "(uid=%.3s)", SLICE("**)*"), "(uid=\\2a\\2a\\29)" },
};

START_TEST(filter)
{
	struct popmap_error err = { .msg = "" };
	char *made = ldap_filter_make(
	    slice_str(filters[_i].form), filters[_i].key, &err);

	ck_assert_msg(made != NULL, "%s", err.msg);
	ck_assert_str_eq(made, filters[_i].filter);
	free(made);
}
END_TEST

START_TEST(long_filter)
{
	struct popmap_error err;
	char *made;

	memset(long_key, '(', sizeof(long_key));
	made = ldap_filter_make(
	    SLICE("(uid=%s)"), slice_make(long_key, sizeof(long_key)), &err);
	ck_assert_ptr_nonnull(made);
	ck_assert_uint_eq(strlen(made), 6 + 3 * sizeof(long_key));
	free(made);
}
END_TEST

/* --- joining -------------------------------------------------------------- */

static const struct {
	const char *user, *host, *port, *delimiter;
	const char *text; /* NULL: refused */
} joins[] = {
	{ "", "h", "", "@", "h" },
	{ "u", "h", "", "@", "u@h" },
	{ "u", "h", "143", "@", "u@h:143" },
	{ "", "h", "imap", "@", "h:imap" },
	{ "u@x", "h", "", "@", "u@x@h" },
	{ "u", "h", "1", "+-", "u+-h:1" },
	{ "u", "h", "1", "", "h:1" },
	{ "", "h:993", "143", "@", "h:993" },
	{ "", "2001:db8::1", "", "@", "2001:db8::1" },
	{ "", "2001:db8::1", "143", "@", "[2001:db8::1]:143" },
	{ "", "[2001:db8::1]", "143", "@", "[2001:db8::1]:143" },
	{ "", "[2001:db8::1]:1", "143", "@", "[2001:db8::1]:1" },
	{ "u", "imaps://h", "", "@", "u@imaps://h" },
	{ "", "imaps://h", "1993", "@", "imaps://h:1993" },
	{ "", "imaps://h:1", "1993", "@", "imaps://h:1" },
	{ "", "h?tls=starttls", "143", "@", "h:143?tls=starttls" },
	{ "", "imap://2001:db8::1?tls=none", "9", "@",
	    "imap://[2001:db8::1]:9?tls=none" },
	{ "u", "v@h", "143", "@", "v@h" },
	{ "u", "", "143", "@", NULL },
	{ "u", "imap://", "143", "@", NULL },
	{ "u", "?tls=none", "143", "@", NULL },
	{ "u", "h", "1,evil", "@", NULL },
	{ "u", "h", "1 ", "@", NULL },
	{ "u", "h", "1?tls=none", "@", NULL },
};

START_TEST(join)
{
	static struct popmap_answer a;
	struct popmap_error err = { .msg = "" };
	int ret;

	a.n = 0;
	ret = map_join(&a, slice_str(joins[_i].user), slice_str(joins[_i].host),
	    slice_str(joins[_i].port), joins[_i].delimiter, &err);
	if (joins[_i].text == NULL) {
		ck_assert_int_eq(ret, -1);
		ck_assert_str_ne(err.msg, "");
		return;
	}
	ck_assert_msg(ret == 0, "%s", err.msg);
	ck_assert_uint_eq(a.n, 1);
	ck_assert(slice_eq(slice_make(a.server[0].text, a.server[0].len),
	    slice_str(joins[_i].text)));
}
END_TEST

START_TEST(join_too_much)
{
	static struct popmap_answer a;
	static char user[POPMAP_USER_MAX + POPMAP_SERVER_MAX];
	struct popmap_error err;

	memset(user, 'u', sizeof(user));
	a.n = 0;
	ck_assert_int_eq(map_join(&a, slice_make(user, sizeof(user) - 4),
			     SLICE("h"), SLICE("1"), "@", &err),
	    0);
	ck_assert_int_eq(map_join(&a, slice_make(user, sizeof(user) - 3),
			     SLICE("h"), SLICE("1"), "@", &err),
	    -1);
	while (a.n < POPMAP_SERVERS_MAX)
		ck_assert_int_eq(
		    map_join(&a, SLICE(""), SLICE("h"), SLICE(""), "@", &err),
		    0);
	ck_assert_int_eq(
	    map_join(&a, SLICE(""), SLICE("h"), SLICE(""), "@", &err), -1);
}
END_TEST

/* The library loses a client's key each time it reads it by GnuTLS. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:gnutls_x509_privkey_init\n";
}

/* --- the module ----------------------------------------------------------- */

START_TEST(module_without_a_server)
{
	struct popmap_module *m;

	scratch_make();
	/* Nobody listens at port 1; the time is a fact of the caller. */
	m = scratch_open("ldap", "ldap://127.0.0.1:1" SEARCH);
	ck_assert_int_eq(scratch_lookup(m, SLICE("bob")), -1);
	ck_assert_msg(strstr(scratch_said, "ldap://127.0.0.1:1: ") != NULL,
	    "%s", scratch_said);
	popmap_module_close(&m);
	scratch_remove();
}
END_TEST

static const struct {
	const char *extension, *part;
} tls_files[] = {
	{ "x-tls-cacert=/no/such/ca", "x-tls-cacert: /no/such/ca: No such" },
	{ "x-tls-cert=/dev/null,x-tls-key=/no/such/key",
	    "x-tls-key: /no/such/key: No such" },
	{ "x-tls-cert=/dev/null,x-tls-key=/dev/null", "TLS cannot be set up" },
};

START_TEST(module_tls_files)
{
	struct popmap_module *m;
	struct err err = { .msg = "" };
	char text[256];

	snprintf(text, sizeof(text), "ldaps://127.0.0.1:1%s?%s", SEARCH,
	    tls_files[_i].extension);
	ck_assert_int_eq(popmap_module_open(&m, BUILT_MODULES "/popmap_ldap.so",
			     text, "/", &err),
	    -1);
	ck_assert_msg(
	    strstr(err.msg, tls_files[_i].part) != NULL, "%s", err.msg);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("popmap_ldap");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, good_options, 0, COUNT(good));
	tcase_add_loop_test(t, bad_options, 0, COUNT(bad));
	tcase_add_loop_test(t, password_file, 0, COUNT(files));
	tcase_add_loop_test(t, filter, 0, COUNT(filters));
	tcase_add_test(t, long_filter);
	tcase_add_loop_test(t, join, 0, COUNT(joins));
	tcase_add_test(t, join_too_much);
	tcase_add_test(t, module_without_a_server);
	tcase_add_loop_test(t, module_tls_files, 0, COUNT(tls_files));
	return check_run("popmap_ldap", t);
}
