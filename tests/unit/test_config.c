/* SPDX-License-Identifier: GPL-2.0-or-later */
/* perdition's options together: what they make, and what is refused. */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "perdition/config.h"
#include "tests/lib/check_run.h"

#include "common/banned.h"

#define ARGS_MAX 16

static int
load(struct config *c, const char *file_text, const char *const *args,
    struct option_problems *problems)
{
	char path[] = "/tmp/perdition-test-XXXXXX";
	char program[] = "/usr/sbin/perdition";
	char option[] = "--config_file";
	char *argv[ARGS_MAX] = { program, option, path };
	int argc = 3;
	int fd = mkstemp(path);
	int ret;

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(
	    write(fd, file_text, strlen(file_text)), (int)strlen(file_text));
	close(fd);
	while (args != NULL && *args != NULL)
		argv[argc++] = strdup(*args++);
	*problems = (struct option_problems){ NULL, 0 };
	ret = config_load(c, argc, argv, problems);
	while (argc > 3)
		free(argv[--argc]);
	unlink(path);
	return ret;
}

static const struct {
	const char *file;
	size_t n;
	const char *first; /* text of the first listener */
	bool any;
	enum tls_mode tls; /* of the first */
} listeners[] = {
	{ "", 1, "pop3://*:110", true, TLS_NONE },
	{ "protocol IMAP4", 1, "imap4://*:143", true, TLS_NONE },
	{ "P imap4\nlisten_port 1143", 1, "imap4://*:1143", true, TLS_NONE },
	{ "bind_address 127.0.0.1,127.0.0.2:1110,[::1]:1111,::2", 4,
	    "pop3://127.0.0.1:110", false, TLS_NONE },
	{ "bind_address 127.0.0.1\nl pop3", 1, "pop3://127.0.0.1:110", false,
	    TLS_NONE },
	{ "bind_address *:99", 1, "pop3://*:99", true, TLS_NONE },
	{ "listen imap4://[::]:143", 1, "imap4://[::]:143", false, TLS_NONE },
	{ "listen imap4://*\nlisten pop3://*\nlisten pop3://127.0.0.1:1110/", 3,
	    "imap4://*:143", true, TLS_NONE },
	{ "listen imap4://0.0.0.0:0\nlisten imap4://0.0.0.0:0", 2,
	    "imap4://0.0.0.0:0", false, TLS_NONE },
	{ "protocol IMAP4S", 1, "imap4://*:993?tls=implicit&client_cert=none",
	    true, TLS_IMPLICIT },
	{ "protocol POP3S\nbind_address 127.0.0.1", 1,
	    "pop3://127.0.0.1:995?tls=implicit&client_cert=none", false,
	    TLS_IMPLICIT },
	{ "protocol IMAP4\nssl_mode ssl_listen", 1, "imap4://*:993", true,
	    TLS_IMPLICIT },
	{ "ssl_mode tls_listen", 1, "pop3://*:110", true,
	    TLS_STARTTLS_OPTIONAL },
	{ "ssl_mode tls_all_force", 1, "pop3://*:110", true, TLS_STARTTLS },
	{ "ssl_mode tls_listen_force,tls_listen", 1, "pop3://*:110", true,
	    TLS_STARTTLS },
	{ "ssl_mode tls_all_force,ssl_all", 1, "pop3://*:995", true,
	    TLS_IMPLICIT },
	{ "ssl_mode ssl_outgoing,tls_outgoing_force", 1, "pop3://*:110", true,
	    TLS_NONE },
	{ "listen imaps://*", 1, "imap4://*:993?tls=implicit&client_cert=none",
	    true, TLS_IMPLICIT },
	{ "listen IMAP4S://*:1?tls=implicit", 1,
	    "imap4://*:1?tls=implicit&client_cert=none", true, TLS_IMPLICIT },
	{ "listen imap://*?tls=starttls", 1,
	    "imap4://*:143?tls=starttls&client_cert=none", true, TLS_STARTTLS },
	{ "listen imap://*/?client_cert=required&tls=Implicit", 1,
	    "imap4://*:993?tls=implicit&client_cert=required", true,
	    TLS_IMPLICIT },
	{ "ssl_mode tls_all\nlisten pop3://*?tls=none", 1,
	    "pop3://*:110?tls=none&client_cert=none", true, TLS_NONE },
	{ "ssl_client_cert optional\nlisten pop3s://127.0.0.1:1", 1,
	    "pop3://127.0.0.1:1?tls=implicit&client_cert=optional", false,
	    TLS_IMPLICIT },
};

START_TEST(listener_cases)
{
	struct option_problems problems;
	struct config c;

	ck_assert_int_eq(load(&c, listeners[_i].file, NULL, &problems), 0);
	ck_assert_uint_eq(c.listener_count, listeners[_i].n);
	ck_assert_str_eq(c.listeners[0].text, listeners[_i].first);
	ck_assert_int_eq(c.listeners[0].any_family, listeners[_i].any);
	ck_assert_int_eq(c.listeners[0].tls, listeners[_i].tls);
	ck_assert_int_eq(c.listen_tls, listeners[_i].tls != TLS_NONE);
	ck_assert_int_eq(c.listeners[0].settings.starttls,
	    listeners[_i].tls == TLS_STARTTLS ||
		listeners[_i].tls == TLS_STARTTLS_OPTIONAL);
	ck_assert_int_eq(c.listeners[0].settings.need_tls,
	    listeners[_i].tls == TLS_STARTTLS);
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

static const struct {
	const char *file;
	const char *problem; /* a part of the first */
} bad[] = {
	{ "listen imap4://127.0.0.1:1\nlisten pop3://127.0.0.1:1", "twice" },
	{ "listen imap4://127.0.0.1:1\nlisten pop3://[::ffff:127.0.0.1]:1",
	    "twice" },
	{ "listen imap4:127.0.0.1", "not PROTOCOL://" },
	{ "listen imap4://", "not ADDR" },
	{ "listen imap4://[::1", "not ADDR" },
	{ "listen imap4://[::1]x", "not ADDR" },
	{ "listen imap4://127.0.0.1:", "not ADDR" },
	{ "listen imap4://127.0.0.1:65536", "65536: neither" },
	{ "listen imap4s://*?tls=starttls", "tls=starttls: the protocol's" },
	{ "listen imap4://*?tls=yes", "tls=yes: not tls=none" },
	{ "listen imap4://*?tls", "tls=: not tls=none" },
	{ "listen imap4://*?client_cert=maybe", "client_cert=maybe: not" },
	{ "listen imap4://*?x=1", "x=1: not tls=none" },
	{ "listen managesieve://*", "ManageSieve is not part" },
	{ "listen imap4://*\nbind_address 127.0.0.1", "bind_address: cannot" },
	{ "listen imap4://*\nlisten_port 1", "listen_port: cannot" },
	{ "no_lookup\nbind_address localhost", "localhost: not an IP" },
	{ "no_lookup\nlisten_port pop3", "with no_lookup a port" },
	{ "protocol POP2S", "POP2S: not a protocol" },
	{ "outgoing_server [::1]:x:y", "x:y: neither" },
	{ "outgoing_server host:", "not SERVER" },
	{ "outgoing_server :1", "not SERVER" },
	{ "outgoing_server a:b:c", "a:b:c: not SERVER" },
	{ "bind_address a:b:c", "a:b:c: not ADDR" },
	{ "no_lookup\noutgoing_server host", "with no_lookup" },
	{ "outgoing_port nosuchservice", "nosuchservice: neither" },
	{ "query_key \"\\x\"", "behind a backslash" },
	{ "query_key \"\\U,,\\u\"", "empty format" },
	{ "query_key \"\\U\\\"", "behind a backslash" },
	{ "domain_delimiter \"\"", "must not be empty" },
	{ "outgoing_bind_address 127.0.0.1,here", "here: not an IP address" },
	{ "ssl_mode tls_some", "ssl_mode" },
	{ "ssl_listen_min_proto_version tlsv1.3\n"
	  "ssl_listen_max_proto_version tlsv1.2",
	    "ssl_listen_min_proto_version: is above" },
	{ "ssl_outgoing_min_proto_version tlsv1.3\n"
	  "ssl_outgoing_max_proto_version tlsv1",
	    "ssl_outgoing_min_proto_version: is above" },
	{ "ssl_passphrase_fd 3\nssl_passphrase_file /x",
	    "ssl_passphrase_fd: cannot go with" },
	{ "ssl_passphrase_fd two", "not the number of a descriptor" },
	{ "ssl_passphrase_fd 1", "not the number of a descriptor" },
	{ "ssl_client_cert_user commonName", "no listener asks" },
	{ "ssl_client_cert_user surname", "ssl_client_cert_user" },
	{ "ssl_client_cert always", "ssl_client_cert" },
	{ "authenticate_in", "PAM is not part" },
	{ "add_domain all,0", "add_domain" },
	{ "add_domain 3", "add_domain" },
	{ "add_domain all,2,remote_login", "add_domain" },
	{ "strip_domain everywhere", "strip_domain" },
	{ "workers 33", "workers" },
	{ "lookup_processes 0", "lookup_processes" },
	{ "log_facility nonsense", "log_facility" },
	{ "auth_socket run/x", "not an absolute path" },
	{ "help", "help" },
	{ "timeout 1\ntimeout 2", "timeout" },
};

START_TEST(bad_cases)
{
	struct option_problems problems;
	struct config c;

	ck_assert_int_eq(load(&c, bad[_i].file, NULL, &problems), EX_CONFIG);
	ck_assert_uint_ge(problems.n, 1);
	ck_assert_msg(strstr(problems.v[0], bad[_i].problem) != NULL, "%s",
	    problems.v[0]);
	/* It says where, except for what is not in any one place. */
	ck_assert_msg(
	    strstr(problems.v[0], "/tmp/perdition-test-") == problems.v[0],
	    "%s", problems.v[0]);
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

/* Each word of ssl_mode: what it means for clients and for real-servers. */
static const struct {
	const char *word;
	enum tls_mode listen, outgoing;
} modes[] = {
	{ "none", TLS_NONE, TLS_NONE },
	{ "ssl_listen", TLS_IMPLICIT, TLS_NONE },
	{ "ssl_outgoing", TLS_NONE, TLS_IMPLICIT },
	{ "ssl_all", TLS_IMPLICIT, TLS_IMPLICIT },
	{ "tls_listen", TLS_STARTTLS_OPTIONAL, TLS_NONE },
	{ "tls_outgoing", TLS_NONE, TLS_STARTTLS_OPTIONAL },
	{ "tls_all", TLS_STARTTLS_OPTIONAL, TLS_STARTTLS_OPTIONAL },
	{ "tls_listen_force", TLS_STARTTLS, TLS_NONE },
	{ "tls_outgoing_force", TLS_NONE, TLS_STARTTLS },
	{ "tls_all_force", TLS_STARTTLS, TLS_STARTTLS },
	{ "tls_listen,ssl_outgoing", TLS_STARTTLS_OPTIONAL, TLS_IMPLICIT },
	{ "tls_listen_force,tls_outgoing_force", TLS_STARTTLS, TLS_STARTTLS },
};

START_TEST(ssl_modes)
{
	struct option_problems problems;
	struct config c;
	char text[100];

	snprintf(text, sizeof(text), "ssl_mode %s\n", modes[_i].word);
	ck_assert_int_eq(load(&c, text, NULL, &problems), 0);
	ck_assert_int_eq(c.listen_mode, modes[_i].listen);
	ck_assert_int_eq(c.listeners[0].tls, modes[_i].listen);
	ck_assert_int_eq(c.outgoing_tls, modes[_i].outgoing);
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

/* Every TLS option of perdition 2.2 is one of ours, with its default, or with
 * the one that we think better. */
static const struct {
	const char *option, *usual;
} tls_options[] = {
	{ "ssl_mode", "none" },
	{ "ssl_ca_chain_file", "\"\"" },
	{ "ssl_ca_file", "\"\"" },
	{ "ssl_ca_path", SYSCONFDIR "/perdition/perdition.ca/" },
	{ "ssl_ca_accept_self_signed", "false" },
	{ "ssl_cert_accept_self_signed", "false" },
	{ "ssl_cert_accept_expired", "false" },
	{ "ssl_cert_accept_not_yet_valid", "false" },
	{ "ssl_no_cert_verify", "false" },
	{ "ssl_no_client_cert_verify", "false" },
	{ "ssl_no_cn_verify", "false" },
	{ "ssl_cert_file", SYSCONFDIR "/perdition/perdition.crt.pem" },
	{ "ssl_key_file", SYSCONFDIR "/perdition/perdition.key.pem" },
	{ "ssl_cert_verify_depth", "9" },
	{ "ssl_dh_params_file", "\"\"" },
	{ "ssl_listen_ciphers", "\"\"" },
	{ "ssl_outgoing_ciphers", "\"\"" },
	{ "ssl_listen_min_proto_version", "tlsv1.2" },
	{ "ssl_outgoing_min_proto_version", "tlsv1.2" },
	{ "ssl_listen_max_proto_version", "any" },
	{ "ssl_outgoing_max_proto_version", "any" },
	{ "ssl_listen_compression", "false" },
	{ "ssl_outgoing_compression", "false" },
	{ "ssl_no_cipher_server_preference", "false" },
	{ "ssl_passphrase_fd", "\"\"" },
	{ "ssl_passphrase_file", "\"\"" },
};

START_TEST(tls_option)
{
	struct option_problems problems;
	struct config c;
	char *out, want[200];
	size_t n;
	FILE *f;

	ck_assert_int_eq(load(&c, "", NULL, &problems), 0);
	f = open_memstream(&out, &n);
	ck_assert_int_eq(option_write_dump(&config_options, &c, true, f), 0);
	fclose(f);
	snprintf(want, sizeof(want), "\n%s %s\n", tls_options[_i].option,
	    tls_options[_i].usual);
	ck_assert_msg(strstr(out, want) != NULL, "%s", want);
	free(out);
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

START_TEST(usual_tls_options)
{
	static const char text[] = "ssl_mode none\n"
				   "ssl_cert_verify_depth 9\n"
				   "ssl_listen_compression\n"
				   "ssl_no_cert_verify no\n"
				   "ssl_listen_min_proto_version tlsv1.2\n";
	struct option_problems problems;
	struct config c;

	ck_assert_int_eq(load(&c, text, NULL, &problems), 0);
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

/* Those of one option alone and those found later, each where it is. */
START_TEST(all_problems_at_once)
{
	static const char text[] = "listen imap4s://*?x\n  listen  x://*\n"
				   "authenticate_in\nssl_passphrase_fd x\n"
				   "tiemout 5\ntimeout many\n";
	static const char *const places[] = { ":5:1: unknown option",
		":6:9: timeout: ", ":1:8: listen: x=", ":2:11: listen: x:",
		":3:1: authenticate_in: ", ":4:19: ssl_passphrase_fd: " };
	struct option_problems problems;
	struct config c;
	size_t i;

	ck_assert_int_eq(load(&c, text, NULL, &problems), EX_CONFIG);
	ck_assert_uint_eq(problems.n, sizeof(places) / sizeof(places[0]));
	for (i = 0; i < problems.n; i++)
		ck_assert_msg(strstr(problems.v[i], places[i]) != NULL, "%s",
		    problems.v[i]);
	ck_assert_uint_eq(c.timeout, 1800); /* not what was refused */
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

START_TEST(command_line_wins)
{
	static const char *const args[] = { "--timeout", "7", "-P", "IMAP4",
		"-s", "a,b:143,[2001:db8::1]:144", NULL };
	struct option_problems problems;
	struct config c;

	ck_assert_int_eq(
	    load(&c, "timeout 8\nprotocol POP3\n", args, &problems), 0);
	ck_assert_uint_eq(c.timeout, 7);
	ck_assert_str_eq(c.listeners[0].protocol->name, "imap4");
	ck_assert_uint_eq(c.server_count, 3);
	ck_assert_str_eq(c.servers[0].host, "a");
	ck_assert_uint_eq(c.servers[0].port, 0);
	ck_assert_str_eq(c.servers[1].host, "b");
	ck_assert_uint_eq(c.servers[1].port, 143);
	ck_assert_str_eq(c.servers[2].host, "2001:db8::1");
	ck_assert_uint_eq(c.servers[2].port, 144);
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

START_TEST(wrong_command_line)
{
	static const char *const unknown[] = { "--nonsense", NULL };
	static const char *const operand[] = { "operand", NULL };
	struct option_problems problems;
	struct config c;

	ck_assert_int_eq(load(&c, "", unknown, &problems), EX_USAGE);
	config_clear(&c);
	option_problems_clear(&problems);
	ck_assert_int_eq(load(&c, "", operand, &problems), EX_USAGE);
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

START_TEST(missing_file)
{
	char program[] = "perdition";
	char option[] = "--config_file=/nonexistent/perdition.conf";
	char *argv[] = { program, option };
	struct option_problems problems = { NULL, 0 };
	struct config c;

	ck_assert_int_eq(config_load(&c, 2, argv, &problems), EX_NOINPUT);
	ck_assert_str_eq(problems.v[0],
	    "/nonexistent/perdition.conf: No such file or directory");
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

START_TEST(name_asks_for_tls)
{
	char program[] = "/usr/sbin/perdition.pop3s";
	char option[] = "--config_file=";
	char *argv[] = { program, option };
	struct option_problems problems = { NULL, 0 };
	struct config c;

	ck_assert_int_eq(config_load(&c, 2, argv, &problems), 0);
	ck_assert_int_eq(c.listeners[0].tls, TLS_IMPLICIT);
	ck_assert_uint_eq(c.listeners[0].addr.port, 995);
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

START_TEST(settings_and_keys)
{
	static const char text[] =
	    "listen imap4://127.0.0.1:1\n"
	    "listen pop3://127.0.0.1:2\n"
	    "capability OLD\n"
	    "pop_capability UIDL.USER\n"
	    "login_disabled\nok_line 'Welcome  in'\n"
	    "query_key \"\\U,\\u\\D\\d,\\i-\\p,\\I-\\P,\\\\\"\n"
	    "pid_file /x/<basename>/<basename>.pid\n"
	    "add_domain servername_lookup,remote_login,2\n";
	struct option_problems problems;
	struct config c;

	ck_assert_int_eq(load(&c, text, NULL, &problems), 0);
	ck_assert_str_eq(c.listeners[0].settings.capability, "OLD");
	ck_assert_str_eq(c.listeners[1].settings.capability, "UIDL.USER");
	ck_assert_str_eq(c.listeners[1].settings.ok_line, "Welcome  in");
	ck_assert(c.listeners[0].settings.login_disabled);
	ck_assert_str_eq(c.query_keys[1], "\\u\\D\\d");
	ck_assert_str_eq(c.query_keys[4], "\\\\");
	ck_assert_ptr_null(c.query_keys[5]);
	ck_assert_str_eq(c.pid_file, "/x/perdition/perdition.pid");
	ck_assert_uint_eq(
	    c.add_domain, NAME_SERVERNAME_LOOKUP | NAME_REMOTE_LOGIN);
	ck_assert_uint_eq(c.add_domain_depth, 2);
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

/* What a role reads is what the master has, but for what is secret. */
START_TEST(role_sees_the_same)
{
	static const char text[] =
	    "bind_address 127.0.0.1,*:99\n"
	    "map_library_opt 'host:secret word'\n"
	    "query_key \"\\U\"\nok_line \"a # 'quoted'\\\\\"\n"
	    "add_domain all,3\nlower_case all\nstrip_domain remote_login\n"
	    "domain_delimiter '%'\ntimeout 2h\n";
	struct option_problems problems;
	struct config c;
	struct config role;
	int secrets;

	ck_assert_int_eq(load(&c, text, NULL, &problems), 0);
	for (secrets = 0; secrets < 2; secrets++) {
		char *out;
		char *again;
		size_t n;
		FILE *f = open_memstream(&out, &n);

		ck_assert_int_eq(config_write_role(&c, secrets, f), 0);
		fclose(f);
		ck_assert(secrets == (strstr(out, "secret word") != NULL));
		ck_assert_int_eq(
		    config_load_text(&role, slice_make(out, n), &problems), 0);
		ck_assert_uint_eq(role.listener_count, 2);
		ck_assert_str_eq(role.listeners[1].text, "pop3://*:99");
		ck_assert(role.listeners[1].any_family);
		ck_assert_str_eq(role.ok_line, c.ok_line);
		ck_assert_str_eq(role.query_keys[0], "\\U");
		ck_assert_uint_eq(role.add_domain_depth, 3);
		f = open_memstream(&again, &n);
		ck_assert_int_eq(config_write_role(&role, secrets, f), 0);
		fclose(f);
		ck_assert_str_eq(out, again);
		free(out);
		free(again);
		config_clear(&role);
	}
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

START_TEST(role_refuses_nonsense)
{
	struct option_problems problems = { NULL, 0 };
	struct config c;

	ck_assert_int_eq(
	    config_load_text(&c, SLICE("listen imap4://name:1\n"), &problems),
	    -1);
	ck_assert_uint_ge(problems.n, 1);
	config_clear(&c);
	option_problems_clear(&problems);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("config");
	TCase *t = tcase_create("config");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_add_loop_test(t, listener_cases, 0,
	    (int)(sizeof(listeners) / sizeof(listeners[0])));
	tcase_add_loop_test(
	    t, bad_cases, 0, (int)(sizeof(bad) / sizeof(bad[0])));
	tcase_add_test(t, usual_tls_options);
	tcase_add_loop_test(t, ssl_modes, 0, COUNT(modes));
	tcase_add_loop_test(t, tls_option, 0, COUNT(tls_options));
	tcase_add_test(t, all_problems_at_once);
	tcase_add_test(t, command_line_wins);
	tcase_add_test(t, wrong_command_line);
	tcase_add_test(t, missing_file);
	tcase_add_test(t, name_asks_for_tls);
	tcase_add_test(t, settings_and_keys);
	tcase_add_test(t, role_sees_the_same);
	tcase_add_test(t, role_refuses_nonsense);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
