/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a user's name to candidates: what each option changes, and that a map
 * that cannot tell never means the default servers.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/check_run.h"
#include "common/log.h"
#include "fake_resolver.h"
#include "map_scratch.h"
#include "perdition/lookup.h"

#include "common/banned.h"

/* clang-format off */
#define RULES \
	"'^bob(@ex[.]org)?$' 192.0.2.1\n" \
	"'^Bob$' 192.0.2.99\n" \
	"^al$ alice@192.0.2.2:99\n" \
	"^six$ '[2001:db8::6]:pop3'\n" \
	"^list$ 192.0.2.1,two.example:99,192.0.2.3\n" \
	"^gaps$ no.example,one.example,again.example\n" \
	"^gone$ no.example\n" \
	"^down$ again.example\n" \
	"^broken$ '192.0.2.1:99999'\n" \
	"^mixed$ x@192.0.2.1,y@192.0.2.2,x@192.0.2.3,192.0.2.4\n" \
	"^late$ no.example,z@192.0.2.2\n" \
	"^tls$ imaps://192.0.2.1,192.0.2.2?tls=starttls\n" \
	"^pop$ pop3s://192.0.2.1\n" \
	"^both$ pop3s://192.0.2.1,imaps://x@192.0.2.1:1\n" \
	"^@one$ 192.0.2.11\n" \
	"'^192[.]0[.]2[.]7$' 192.0.2.12\n" \
	"'^2001:db8::1/143$' 192.0.2.13\n"
/* clang-format on */

static char at[] = "@", none[] = "", regex[] = "regex",
	    modules[] = BUILT_MODULES;
static char key_domain[] = "@\\d", key_user[] = "\\U", key_client[] = "\\i",
	    key_local[] = "\\I/\\P";
static char *by_domain[] = { key_user, key_domain, NULL };
static char *by_client[] = { key_domain, key_client, NULL };
static char *by_local[] = { key_local, NULL };

static struct config config;
static char *library, *library_opt;
static struct listener_config listeners[2];
static struct server_config servers[64];
static char hosts[64][32], options[128];
static const struct lookup_settings settings = {
	.config = &config, .resolve = &fake_resolver, .epoll = -1
};
static const struct resolve_when when = { .now_ms = 1000 };
static struct lookup *lookup;
static struct lookup_question q;
static struct lookup_answer a;

static void
quiet(void *arg, int level, struct slice line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void
add_default(const char *host, uint16_t port)
{
	size_t n = config.server_count++;

	snprintf(hosts[n], sizeof(hosts[n]), "%s", host);
	servers[n] = (struct server_config){ .host = hosts[n], .port = port };
}

static void
setup(void)
{
	log_set_sink(quiet, NULL);
	scratch_make();
	scratch_write("rules", SLICE(RULES));
	snprintf(options, sizeof(options), "%s", scratch_path("rules"));
	fake_failure = 0;
	fake_reverse = NULL;
	listeners[0] = (struct listener_config){ .protocol = &protocol_imap4 };
	listeners[1] = (struct listener_config){ .protocol = &protocol_pop3,
		.tls = TLS_IMPLICIT };
	library = regex;
	library_opt = options;
	config = (struct config){
		.add_domain_depth = 1,
		.domain_delimiter = at,
		.explicit_domain = none,
		.map_library = { &library, 1 },
		.map_library_opt = { &library_opt, 1 },
		.module_dir = modules,
		.listeners = listeners,
		.listener_count = 2,
		.servers = servers,
	};
	memset(&q, 0, sizeof(q));
	q.id = 7;
	ck_assert_int_eq(
	    addr_parse(SLICE("192.0.2.7:4711"), true, &q.client), 0);
	ck_assert_int_eq(
	    addr_parse(SLICE("[2001:db8::1]:143"), true, &q.local), 0);
}

static void
teardown(void)
{
	lookup_close(&lookup);
	scratch_remove();
}

static void
open_lookup(void)
{
	struct err err = { .msg = "" };

	ck_assert_msg(
	    lookup_open(&lookup, &settings, &err) == 0, "%s", err.msg);
}

/* The answer as one line: status, flags, user, candidates. */
static const char *
ask(const char *user)
{
	static const char *const status[] = { "found", "none", "failed",
		"denied" };
	static char text[4096];
	char where[ADDR_TEXT_MAX];
	char mem[65536];
	size_t n;

	q.user_len = strlen(user);
	memcpy(q.user, user, q.user_len);
	if (lookup == NULL)
		open_lookup();
	ck_assert(lookup_ask(lookup, &q, &when, &a));
	ck_assert_uint_eq(a.id, q.id);
	/* Whatever it is, it can be sent. */
	ck_assert_int_gt(lookup_answer_write(&a, mem, sizeof(mem)), 0);
	ck_assert_int_eq(a.status == LOOKUP_FAILED && a.text[0] == '\0', 0);
	n = (size_t)snprintf(text, sizeof(text), "%s%s", status[a.status],
	    a.defaults ? " defaults" : "");
	if (a.has_user)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " user=%.*s",
		    (int)a.user_len, a.user);
	if (a.domain[0] != '\0')
		n += (size_t)snprintf(
		    text + n, sizeof(text) - n, " domain=%s", a.domain);
	for (size_t i = 0; i < a.n; i++) {
		addr_write_port(&a.candidate[i].addr, where);
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %s%s/%s",
		    a.candidate[i].same ? "+" : "", where, a.candidate[i].host);
		if (a.candidate[i].tls != TLS_NONE)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "?%s",
			    tls_mode_name(a.candidate[i].tls));
		ck_assert_uint_lt(n, sizeof(text));
	}
	return text;
}

static const struct {
	const char *user, *answer;
} plain[] = {
	{ "bob", "found 192.0.2.1:143/192.0.2.1" },
	{ "bob@ex.org", "found 192.0.2.1:143/192.0.2.1" },
	{ "al", "found 192.0.2.2:99/192.0.2.2" },
	{ "six", "found [2001:db8::6]:110/2001:db8::6" },
	{ "list", "found 192.0.2.1:143/192.0.2.1 [2001:db8::1]:99/two.example "
		  "+192.0.2.1:99/two.example +[2001:db8::2]:99/two.example "
		  "+192.0.2.2:99/two.example 192.0.2.3:143/192.0.2.3" },
	{ "gaps", "found 192.0.2.9:143/one.example" },
	{ "gone", "failed" },
	{ "down", "failed" },
	{ "broken", "failed" },
	{ "late", "found 192.0.2.2:143/192.0.2.2" },
	{ "mixed", "found 192.0.2.1:143/192.0.2.1 192.0.2.2:143/192.0.2.2 "
		   "192.0.2.3:143/192.0.2.3 192.0.2.4:143/192.0.2.4" },
	{ "nobody", "none" },
	{ "", "none" },
};

START_TEST(map_alone)
{
	ck_assert_str_eq(ask(plain[_i].user), plain[_i].answer);
}
END_TEST

static const struct {
	const char *user, *answer;
} with_defaults[] = {
	{ "bob", "found 192.0.2.1:143/192.0.2.1" },
	{ "nobody", "found defaults 192.0.2.9:143/one.example "
		    "192.0.2.200:99/192.0.2.200" },
	/* Never the default servers when there is an answer or a failure. */
	{ "gone", "failed" },
	{ "down", "failed" },
	{ "broken", "failed" },
};

START_TEST(defaults)
{
	add_default("one.example", 0);
	add_default("no.example", 0);
	add_default("192.0.2.200", 99);
	ck_assert_str_eq(ask(with_defaults[_i].user), with_defaults[_i].answer);
}
END_TEST

START_TEST(defaults_unresolved)
{
	add_default("no.example", 0);
	add_default("again.example", 0);
	ck_assert_str_eq(ask("nobody"), "failed");
}
END_TEST

START_TEST(more_defaults_than_candidates)
{
	char host[32], first[LOOKUP_HOST_MAX];

	for (int i = 1; i <= 40; i++) {
		snprintf(host, sizeof(host), "192.0.2.%d", i);
		add_default(host, 0);
	}
	ask("nobody");
	ck_assert_uint_eq(a.n, LOOKUP_CANDIDATES_MAX);
	snprintf(first, sizeof(first), "%s", a.candidate[0].host);
	/* Asked again it is the same, or it would never have them all. */
	ask("nobody");
	ck_assert_str_eq(first, a.candidate[0].host);
	q.id += (uint64_t)1 << 32; /* as the next one has it */
	ask("nobody");
	ck_assert_str_ne(first, a.candidate[0].host);
}
END_TEST

START_TEST(many_addresses_leave_room)
{
	add_default("many.example", 0);
	add_default("many.example", 1);
	add_default("one.example", 0);
	ask("nobody");
	ck_assert_uint_eq(a.n, 10 + 10 + 1);
	ck_assert_str_eq(a.candidate[20].host, "one.example");
	ck_assert(!a.candidate[20].same && a.candidate[19].same);
}
END_TEST

START_TEST(no_map)
{
	library = none;
	ck_assert_str_eq(ask("bob"), "none");
	lookup_close(&lookup);
	add_default("192.0.2.200", 0);
	ck_assert_str_eq(
	    ask("bob"), "found defaults 192.0.2.200:143/192.0.2.200");
}
END_TEST

static const struct {
	const char *user, *answer;
} from_database[] = {
	{ "bob", "found 192.0.2.1:143/192.0.2.1" },
	{ "al", "found user=alice 192.0.2.2:99/192.0.2.2" },
	{ "mixed",
	    "found user=x 192.0.2.1:143/192.0.2.1 192.0.2.3:143/192.0.2.3" },
	{ "late", "found user=z 192.0.2.2:143/192.0.2.2" },
	{ "nobody", "none" },
};

START_TEST(username_from_database)
{
	config.username_from_database = true;
	ck_assert_str_eq(ask(from_database[_i].user), from_database[_i].answer);
}
END_TEST

static const struct {
	const char *user, *answer;
} specified[] = {
	{ "bob@192.0.2.50", "found user=bob 192.0.2.50:143/192.0.2.50" },
	{ "bob@192.0.2.50:99", "found user=bob 192.0.2.50:99/192.0.2.50" },
	{ "bob@[::1]:99", "found user=bob [::1]:99/::1" },
	{ "b@o@one.example", "found user=b@o 192.0.2.9:143/one.example" },
	{ "al@one.example:pop3", "found user=al 192.0.2.9:110/one.example" },
	{ "bob", "found 192.0.2.1:143/192.0.2.1" },
	{ "nobody", "found defaults 192.0.2.200:143/192.0.2.200" },
	{ "bob@", "denied" },
	{ "@one.example", "denied" },
	{ "bob@no.example", "denied" },
	{ "bob@one.example:0", "denied" },
	{ "bob@one.example:nope", "denied" },
	{ "bob@one example", "denied" },
	{ "bob@one.example\r\n", "denied" },
	{ "bob@again.example", "failed" },
};

START_TEST(client_server_specification)
{
	config.client_server_specification = true;
	add_default("192.0.2.200", 0);
	ck_assert_str_eq(ask(specified[_i].user), specified[_i].answer);
}
END_TEST

static const struct {
	enum tls_mode usual;
	const char *user, *answer;
} modes[] = {
	{ TLS_NONE, "bob", "found 192.0.2.1:143/192.0.2.1" },
	{ TLS_STARTTLS, "bob", "found 192.0.2.1:143/192.0.2.1?starttls" },
	{ TLS_IMPLICIT, "bob", "found 192.0.2.1:993/192.0.2.1?implicit" },
	{ TLS_IMPLICIT, "al", "found 192.0.2.2:99/192.0.2.2?implicit" },
	{ TLS_NONE, "tls",
	    "found 192.0.2.1:993/192.0.2.1?implicit "
	    "192.0.2.2:143/192.0.2.2?starttls" },
	{ TLS_NONE, "pop", "failed" }, /* of another protocol */
	{ TLS_NONE, "both", "found 192.0.2.1:1/192.0.2.1?implicit" },
	{ TLS_STARTTLS, "nobody",
	    "found defaults 192.0.2.200:143/192.0.2.200?starttls" },
	/* what a user types follows the site's mode */
	{ TLS_STARTTLS, "bob@192.0.2.50",
	    "found user=bob 192.0.2.50:143/192.0.2.50?starttls" },
	{ TLS_STARTTLS, "bob@192.0.2.50?tls=none", "denied" },
	{ TLS_STARTTLS, "bob@imap://192.0.2.50?tls=none", "denied" },
};

START_TEST(tls_modes)
{
	config.outgoing_tls = modes[_i].usual;
	config.client_server_specification =
	    strchr(modes[_i].user, '@') != NULL;
	add_default("192.0.2.200", 0);
	ck_assert_str_eq(ask(modes[_i].user), modes[_i].answer);
}
END_TEST

START_TEST(default_servers_of_a_protocol)
{
	add_default("192.0.2.200", 0);
	servers[0].url.protocol = &protocol_pop3;
	servers[0].url.has_tls = true;
	servers[0].url.tls = TLS_IMPLICIT;
	ck_assert_str_eq(ask("nobody"), "failed");
	ck_assert_str_eq(a.text, "no outgoing_server for this protocol");
	q.listener = 1;
	ck_assert_str_eq(ask("nobody"),
	    "found defaults 192.0.2.200:995/192.0.2.200?implicit");
}
END_TEST

START_TEST(ports)
{
	q.listener = 1;
	ck_assert_str_eq(ask("bob"), "found 192.0.2.1:110/192.0.2.1");
	config.out_port = 1234;
	ck_assert_str_eq(ask("bob"), "found 192.0.2.1:1234/192.0.2.1");
	ck_assert_str_eq(ask("al"), "found 192.0.2.2:99/192.0.2.2");
}
END_TEST

START_TEST(rewriting)
{
	config.lower_case = NAME_SERVERNAME_LOOKUP;
	config.strip_domain = NAME_SERVERNAME_LOOKUP;
	ck_assert_str_eq(ask("BOB@x"), "found 192.0.2.1:143/192.0.2.1");
	config.lower_case = NAME_REMOTE_LOGIN;
	ck_assert_str_eq(ask("Bob@x"), "found 192.0.2.99:143/192.0.2.99");
}
END_TEST

START_TEST(query_keys)
{
	config.query_keys = by_domain;
	ck_assert_str_eq(ask("bob@one"), "found 192.0.2.11:143/192.0.2.11");
	ck_assert_str_eq(ask("al"), "found 192.0.2.2:99/192.0.2.2");
	ck_assert_str_eq(ask("x@y"), "none");
	config.query_keys = by_client;
	ck_assert_str_eq(ask("bob@one"), "found 192.0.2.11:143/192.0.2.11");
	ck_assert_str_eq(ask("bob@x"), "found 192.0.2.12:143/192.0.2.12");
	config.query_keys = by_local;
	ck_assert_str_eq(ask("bob@x"), "found 192.0.2.13:143/192.0.2.13");
}
END_TEST

START_TEST(add_domain)
{
	config.add_domain = NAME_SERVERNAME_LOOKUP;
	fake_reverse = "mail.ex.org";
	ck_assert_str_eq(
	    ask("bob"), "found domain=ex.org 192.0.2.1:143/192.0.2.1");
	ck_assert_str_eq(ask("al"), "none domain=ex.org");
	lookup_close(&lookup);

	/* Told to the worker also when only the login needs it. */
	config.add_domain = NAME_REMOTE_LOGIN;
	ck_assert_str_eq(
	    ask("al"), "found domain=ex.org 192.0.2.2:99/192.0.2.2");
	lookup_close(&lookup);

	config.add_domain = NAME_SERVERNAME_LOOKUP;
	fake_reverse = "mail.e\"x\r\n";
	ck_assert_str_eq(ask("al"), "found 192.0.2.2:99/192.0.2.2");
	lookup_close(&lookup);

	fake_failure = EAI_AGAIN;
	ck_assert_str_eq(ask("al"), "failed");
	lookup_close(&lookup);

	static char domain[] = "ex.org";

	config.explicit_domain = domain;
	ck_assert_str_eq(ask("bob"), "found 192.0.2.1:143/192.0.2.1");
	ck_assert_str_eq(ask("al"), "none");
}
END_TEST

START_TEST(no_lookup)
{
	config.no_lookup = true;
	ck_assert_str_eq(ask("bob"), "found 192.0.2.1:143/192.0.2.1");
	ck_assert_str_eq(ask("gaps"), "failed");
	ck_assert_str_eq(ask("six"), "failed");
	ck_assert_str_eq(ask("list"),
	    "found 192.0.2.1:143/192.0.2.1 192.0.2.3:143/192.0.2.3");
}
END_TEST

START_TEST(module_fails)
{
	static char own[] = TEST_MODULES, script[] = "script",
		    server[] = "192.0.2.1";

	config.module_dir = own;
	library = script;
	library_opt = server;
	add_default("192.0.2.200", 0);
	ck_assert_str_eq(ask("x"), "found 192.0.2.1:143/192.0.2.1");
	ck_assert_str_eq(
	    ask("none"), "found defaults 192.0.2.200:143/192.0.2.200");
	ck_assert_str_eq(ask("fail"), "failed");
	ck_assert_str_eq(a.text, "popmap script: told to");
	ck_assert_str_eq(ask("empty"), "failed");
	ck_assert_str_eq(ask("many"), "failed");
	ck_assert_str_eq(ask("long"), "failed");
	config.username_from_database = true;
	ck_assert_str_eq(ask("three"), "found user=al 192.0.2.1:143/192.0.2.1 "
				       "[2001:db8::3]:99/2001:db8::3");
}
END_TEST

/* The module is told everything about the connection. */
START_TEST(whole_query)
{
	static char own[] = TEST_MODULES, script[] = "script";
	static char format[] = "query";
	static char *keys[] = { format, NULL };

	config.module_dir = own;
	library = script;
	config.query_keys = keys;
	config.no_lookup = true;
	q.listener = 1;
	q.client_tls = true;
	ck_assert_str_eq(ask("a@b"), "failed");
	ck_assert_ptr_nonnull(
	    strstr(a.text, "a_b-a-b-pop3-1-1-1-110: not an address"));
}
END_TEST

START_TEST(name_too_long)
{
	char user[AUTH_USER_MAX + 1];

	add_default("192.0.2.200", 0);
	memset(user, 'u', AUTH_USER_MAX);
	user[AUTH_USER_MAX] = '\0';
	ck_assert_str_eq(
	    ask(user), "found defaults 192.0.2.200:143/192.0.2.200");
}
END_TEST

START_TEST(cannot_open)
{
	static char missing[] = "/no/such/map", unknown[] = "unknown";
	struct err err = { .msg = "" };

	library_opt = missing;
	ck_assert_int_eq(lookup_open(&lookup, &settings, &err), -1);
	ck_assert_ptr_null(lookup);
	ck_assert_str_eq(
	    err.msg, "popmap regex: /no/such/map: No such file or directory");
	library = unknown;
	ck_assert_int_eq(lookup_open(&lookup, &settings, &err), -1);
	ck_assert_ptr_nonnull(strstr(err.msg, "/popmap_unknown.so: No such"));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("lookup");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, map_alone, 0, COUNT(plain));
	tcase_add_loop_test(t, defaults, 0, COUNT(with_defaults));
	tcase_add_test(t, defaults_unresolved);
	tcase_add_test(t, more_defaults_than_candidates);
	tcase_add_test(t, many_addresses_leave_room);
	tcase_add_test(t, no_map);
	tcase_add_loop_test(t, username_from_database, 0, COUNT(from_database));
	tcase_add_loop_test(
	    t, client_server_specification, 0, COUNT(specified));
	tcase_add_loop_test(t, tls_modes, 0, COUNT(modes));
	tcase_add_test(t, default_servers_of_a_protocol);
	tcase_add_test(t, ports);
	tcase_add_test(t, rewriting);
	tcase_add_test(t, query_keys);
	tcase_add_test(t, add_domain);
	tcase_add_test(t, no_lookup);
	tcase_add_test(t, module_fails);
	tcase_add_test(t, whole_query);
	tcase_add_test(t, name_too_long);
	tcase_add_test(t, cannot_open);
	return check_run("lookup", t);
}
