/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sharing between hosts: how changes are written, and whether hosts with
 * clocks of their own come to agree through a log that may be away, or lose
 * what it held.
 */
#include "config.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/check_run.h"
#include "perdition-pbs/relay.h"
#include "perdition-pbs/relay_remote.h"
#include "perdition-pbs/share.h"
#include "perdition-pbs/share_place.h"
#include "perdition-pbs/share_private.h"
#include "perdition-pbs/share_wire.h"

#include "common/banned.h"

#define EPOCH INT64_C(1800000000)
#define TIMEOUT 3600

static struct relay_key
key(const char *text)
{
	struct relay_key k;

	ck_assert_msg(
	    relay_key_parse(slice_str(text), "", &k) == 0, "%s", text);
	return k;
}

/* --- the wire ------------------------------------------------------------ */

static const struct {
	const char *text;
	int ret;
} lines[] = {
	{ "open 203.0.113.77 3600000 0 \"bob\"\n", 1 },
	{ "open 2001:db8:9::/64 1 34560000000 \"\"\n", 1 },
	{ "open 203.0.113.77 1 1 \"a\\\"b\\x0a\"\n", 1 },
	{ "shut 203.0.113.0/24 12\n", 1 },
	{ "shut all 0\n", 1 },
	{ "tell all\n", 1 },
	{ "tell all 0\n", -1 },
	{ "tell 203.0.113.77\n", -1 },
	{ "open 203.0.113.77 3600000 0 \"bob\"", -1 }, /* cut off */
	{ "open 203.0.113.77 3600000 0 \"bob\" \n", -1 },
	{ "open 203.0.113.77 3600000 0 bob\n", -1 },
	{ "open 203.0.113.77 3600000 0\n", -1 },
	{ "open 203.0.113.77 3600000 -1 \"bob\"\n", -1 },
	{ "open 203.0.113.77 03 0 \"bob\"\n", -1 },
	{ "open 203.0.113.77 34560000001 0 \"bob\"\n", -1 },
	{ "open  203.0.113.77 1 0 \"bob\"\n", -1 },
	{ "open ::ffff:203.0.113.77 1 0 \"bob\"\n", -1 }, /* another spelling */
	{ "open 203.0.113.77/16 1 0 \"bob\"\n", -1 },
	{ "open 203.0.0.0/8 1 0 \"bob\"\n", -1 },
	{ "open 0.0.0.0/0 1 0 \"bob\"\n", -1 },
	{ "open all 1 0 \"bob\"\n", -1 },
	{ "OPEN 203.0.113.77 1 0 \"bob\"\n", -1 },
	{ "shut 203.0.113.77\n", -1 },
	{ "shut 203.0.113.77 1 1\n", -1 },
	{ "shut  0\n", -1 },
	{ "\n", -1 },
	{ "", 0 },
};

START_TEST(wire_lines)
{
	struct slice text = slice_str(lines[_i].text);
	struct share_change c;
	char out[SHARE_LINE_MAX];
	long n;

	errno = 0;
	ck_assert_int_eq(share_wire_read(&text, &c), lines[_i].ret);
	ck_assert_uint_eq(text.n, 0);
	if (lines[_i].ret == -1)
		ck_assert_int_eq(errno, EBADMSG);
	if (lines[_i].ret != 1)
		return;
	n = share_wire_write(&c, out, sizeof(out));
	ck_assert_int_eq(n, (long)strlen(lines[_i].text));
	ck_assert_int_eq(memcmp(out, lines[_i].text, (size_t)n), 0);
	ck_assert_int_eq(share_wire_write(&c, out, (size_t)n - 1), -1);
	ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

START_TEST(wire_goes_on)
{
	struct slice text = SLICE("shut all 1\nprune 3\nshut all 2\n");
	struct share_change c;

	ck_assert_int_eq(share_wire_read(&text, &c), 1);
	ck_assert_int_eq(share_wire_read(&text, &c), -1);
	ck_assert_int_eq(share_wire_read(&text, &c), 1);
	ck_assert_uint_eq(c.age_ms, 2);
	ck_assert_int_eq(share_wire_read(&text, &c), 0);
}
END_TEST

/* --- places -------------------------------------------------------------- */

static const struct {
	const char *text, *host; /* NULL: not a place */
	unsigned int port;
} places[] = {
	{ "redis1", "redis1", 6379 },
	{ "redis1:6380", "redis1", 6380 },
	{ "192.0.2.7", "192.0.2.7", 6379 },
	{ "[2001:db8::1]", "2001:db8::1", 6379 },
	{ "[2001:db8::1]:1", "2001:db8::1", 1 },
	{ "/run/redis:1/redis.sock", "/run/redis:1/redis.sock", 0 },
	{ "", NULL, 0 },
	{ ":6379", NULL, 0 },
	{ "redis1:", NULL, 0 },
	{ "redis1:0", NULL, 0 },
	{ "redis1:65536", NULL, 0 },
	{ "2001:db8::1", NULL, 0 },
	{ "[2001:db8::1", NULL, 0 },
	{ "[", NULL, 0 },
	{ "[redis1]:1", NULL, 0 },
	{ "re dis", NULL, 0 },
};

START_TEST(place_cases)
{
	struct share_place p;
	int ret = share_place_parse(slice_str(places[_i].text), 6379, &p);

	ck_assert_int_eq(ret, places[_i].host == NULL ? -1 : 0);
	if (ret == -1)
		return;
	ck_assert_str_eq(p.host, places[_i].host);
	ck_assert_uint_eq(p.port, places[_i].port);
}
END_TEST

START_TEST(ids)
{
	struct share_id a, b;
	char text[SHARE_ID_MAX];

	ck_assert_int_eq(share_id_parse(SLICE("1526919030474-55"), &a), 0);
	share_id_write(&a, text);
	ck_assert_str_eq(text, "1526919030474-55");
	ck_assert_int_eq(share_id_parse(SLICE("1526919030475-0"), &b), 0);
	ck_assert(share_id_before(&a, &b) && !share_id_before(&b, &a));
	ck_assert(!share_id_before(&a, &a));
	ck_assert_int_eq(share_id_parse(SLICE("1526919030474"), &a), -1);
	ck_assert_int_eq(share_id_parse(SLICE("-1"), &a), -1);
	ck_assert_int_eq(
	    share_id_parse(SLICE("99999999999999999999-1"), &a), -1);
	/* Redis takes it; what is reckoned with it here would overflow. */
	ck_assert_int_eq(
	    share_id_parse(SLICE("9223372036854775807-1"), &a), -1);
	ck_assert_int_eq(
	    share_id_parse(
		SLICE("4611686018427387903-18446744073709551615"), &a),
	    0);
}
END_TEST

/* --- hosts and their log ------------------------------------------------- */

#define HOSTS 3
#define LOG_MAX 4096

static int64_t passed; /* ms since the test began, the same for all */

struct host {
	struct relay relay;
	struct share *share;
	int64_t skew;   /* s that its clock is ahead */
	size_t read_to; /* in the log */
	bool away;
};

static struct {
	struct host hosts[HOSTS];
	struct {
		size_t n, from;
		int64_t at;
		char text[SHARE_MESSAGE_MAX];
	} * log;
	size_t log_n;
	int64_t log_skew; /* ms that the log's clock is ahead */
} w;

static int64_t
wall_ms(void *arg)
{
	struct host *h = arg;

	return (EPOCH + h->skew) * 1000 + passed;
}

static int64_t
mono_ms(void *arg)
{
	struct host *h = arg;

	return passed + 17 * h->skew;
}

static int64_t
log_ms(void)
{
	return EPOCH * 1000 + passed + w.log_skew;
}

static int64_t
now_of(const struct host *h)
{
	return EPOCH + h->skew + passed / 1000;
}

static void
host_up(struct host *h)
{
	h->away = false;
	share_up(h->share);
}

static void
host_start(struct host *h, int64_t skew)
{
	struct share_clock clock = { wall_ms, mono_ms, h };

	memset(h, 0, sizeof(*h));
	h->skew = skew;
	h->relay.store = relay_store_create();
	h->relay.rule = (struct relay_rule){ .v4_mask = 32, .v6_mask = 64 };
	h->relay.limits = (struct relay_limits){ .timeout = TIMEOUT,
		.max_entries = 100000,
		.max_new_per_second = 100000 };
	h->share = share_create(&h->relay, &clock);
	ck_assert_ptr_nonnull(h->share);
}

static void
host_end(struct host *h)
{
	share_destroy(&h->share);
	relay_store_destroy(&h->relay.store);
}

static void
begin(void)
{
	static const int64_t skews[HOSTS] = { 0, 290, -410 };

	passed = 0;
	memset(&w, 0, sizeof(w));
	w.log_skew = 71234;
	w.log = calloc(LOG_MAX, sizeof(*w.log));
	for (size_t i = 0; i < HOSTS; i++) {
		host_start(&w.hosts[i], skews[i]);
		host_up(&w.hosts[i]);
	}
}

static void
end(void)
{
	for (size_t i = 0; i < HOSTS; i++)
		host_end(&w.hosts[i]);
	free(w.log);
}

static bool
host_write(struct host *h)
{
	size_t n;

	if (h->away || !share_busy(h->share))
		return false;
	ck_assert_uint_lt(w.log_n, LOG_MAX);
	n = share_write(h->share, w.log[w.log_n].text);
	if (n == 0)
		return true;
	w.log[w.log_n].n = n;
	w.log[w.log_n].from = (size_t)(h - w.hosts);
	w.log[w.log_n].at = log_ms();
	w.log_n++;
	return true;
}

static bool
host_read(struct host *h)
{
	size_t i = h->read_to;
	char name[] = "0";
	struct share_message m;

	if (h->away || i == w.log_n)
		return false;
	name[0] = (char)('0' + w.log[i].from);
	m = (struct share_message){
		.text = slice_make(w.log[i].text, w.log[i].n),
		.own = &w.hosts[w.log[i].from] == h,
		.at = w.log[i].at,
		.now = log_ms(),
		.from = slice_str(name),
	};
	h->read_to++;
	share_read(h->share, &m, 1);
	return true;
}

/* Until nobody has anything to say or to read. */
static void
settle(void)
{
	bool any = true;

	while (any) {
		any = false;
		for (size_t i = 0; i < HOSTS; i++) {
			any = host_write(&w.hosts[i]) || any;
			passed++;
		}
		for (size_t i = 0; i < HOSTS; i++)
			any = host_read(&w.hosts[i]) || any;
	}
}

static void
go_away(struct host *h)
{
	h->away = true;
	share_down(h->share);
}

/* As share_redis does it: first all is read, then told. */
static void
come_back(struct host *h)
{
	h->away = false;
	while (host_read(h))
		;
	host_up(h);
}

static void
lose_log(void)
{
	w.log_n = 0;
	for (size_t i = 0; i < HOSTS; i++) {
		go_away(&w.hosts[i]);
		w.hosts[i].read_to = 0;
		share_forgotten(w.hosts[i].share);
	}
}

/* A host that begins anew finds only what comes from now on. */
static void
begin_behind_cut(struct host *h)
{
	h->read_to = w.log_n;
	share_missed(h->share);
	come_back(h);
}

static void
login_at(struct host *h, const char *addr, int64_t ago)
{
	struct relay_event ev = { .kind = AUTH_LOGIN,
		.user = SLICE("bob"),
		.when = now_of(h) - ago };

	ck_assert_int_eq(addr_parse_ip(slice_str(addr), &ev.client), 0);
	relay_login(&h->relay, &ev, now_of(h));
}

static void
login(struct host *h, const char *addr)
{
	login_at(h, addr, 0);
}

static void
shut(struct host *h, const char *addr)
{
	struct relay_key k = key(addr);

	relay_remove(&h->relay, &k);
}

/* Seconds left of addr on h; 0: it may not relay. */
static int64_t
left(struct host *h, const char *addr)
{
	struct relay_key k = key(addr);
	const struct relay_entry *e = relay_store_find(h->relay.store, &k);

	return e == NULL || e->expires <= now_of(h) ? 0
						    : e->expires - now_of(h);
}

static void
expect_at(int line, const char *addr, int64_t seconds)
{
	for (size_t i = 0; i < HOSTS; i++) {
		int64_t is = left(&w.hosts[i], addr);

		ck_assert_msg(is >= seconds - 2 && is <= seconds + 2 &&
				  (is == 0) == (seconds == 0),
		    "line %d: host %zu: %s has %lld s, not %lld", line, i, addr,
		    (long long)is, (long long)seconds);
	}
}

#define EXPECT(addr, seconds) expect_at(__LINE__, addr, seconds)

START_TEST(tells)
{
	begin();
	login(&w.hosts[1], "198.51.100.1");
	login(&w.hosts[2], "2001:db8::7");
	settle();
	EXPECT("198.51.100.1", TIMEOUT);
	EXPECT("2001:db8::7", TIMEOUT);
	EXPECT("2001:db8::/64", TIMEOUT); /* by everyone's own mask */
	passed += 600 * 1000;
	login(&w.hosts[0], "198.51.100.1");
	settle();
	EXPECT("198.51.100.1", TIMEOUT);
	EXPECT("2001:db8::7", TIMEOUT - 600);
	for (size_t i = 0; i < HOSTS; i++) {
		struct relay_key k = key("198.51.100.1");

		ck_assert(slice_eq(SLICE("bob"),
		    relay_store_user(w.hosts[i].relay.store,
			relay_store_find(w.hosts[i].relay.store, &k))));
	}
	/* Nobody has anything left to say, however often it is looked for. */
	for (size_t i = 0; i < HOSTS; i++)
		share_up(w.hosts[i].share);
	w.log_n = w.hosts[0].read_to;
	settle();
	ck_assert_uint_eq(w.log_n, w.hosts[0].read_to);
	ck_assert_uint_eq(w.log_n, 3);
	end();
}
END_TEST

static struct relay_key
removed(uint32_t i)
{
	struct addr a = { .port = 0 };
	struct relay_key k;
	uint32_t net = htonl(UINT32_C(0x0a000000) + i);

	a.ip.s6_addr[10] = a.ip.s6_addr[11] = 0xff;
	memcpy(a.ip.s6_addr + 12, &net, sizeof(net));
	relay_key_make(&k, &a, 32, 128);
	return k;
}

/* Of removals the latest are remembered, and none that is too old. */
START_TEST(remembering)
{
	struct relay_store *s = relay_store_create();
	const int64_t old = 1000000;
	struct relay_key k;

	k = removed(1);
	share_remember(s, &k, old - 1, old);
	ck_assert_uint_eq(relay_store_count(s), 0);
	share_remember(s, &k, old, old);
	ck_assert_uint_eq(relay_store_count(s), 1);
	k = removed(2);
	share_remember(s, &k, old - 1, old + 1);
	ck_assert_uint_eq(relay_store_count(s), 0);
	for (uint32_t i = 0; i < SHARE_SHUTS_MAX; i++) {
		k = removed(i);
		share_remember(s, &k, old + 1000 + (i * 7919) % 65537, old);
	}
	ck_assert_uint_eq(relay_store_count(s), SHARE_SHUTS_MAX);
	k = removed(SHARE_SHUTS_MAX);
	share_remember(s, &k, old + 10, old);
	ck_assert_ptr_null(relay_store_find(s, &k));
	k = removed(5); /* again, and later: no other goes for it */
	share_remember(s, &k, old + 100000, old);
	ck_assert_uint_eq(relay_store_count(s), SHARE_SHUTS_MAX);
	ck_assert_int_eq(relay_store_find(s, &k)->expires, old + 100000);
	k = removed(SHARE_SHUTS_MAX);
	share_remember(s, &k, old + 100001, old);
	ck_assert_ptr_nonnull(relay_store_find(s, &k));
	k = removed(0); /* the oldest */
	ck_assert_ptr_null(relay_store_find(s, &k));
	ck_assert_uint_eq(relay_store_count(s), SHARE_SHUTS_MAX);
	relay_store_destroy(&s);
}
END_TEST

START_TEST(shuts)
{
	begin();
	login(&w.hosts[0], "198.51.100.1");
	login(&w.hosts[0], "2001:db8::7");
	settle();
	shut(&w.hosts[2], "198.51.100.1");
	shut(&w.hosts[2], "2001:db8::7");
	settle();
	EXPECT("198.51.100.1", 0);
	EXPECT("2001:db8::7", 0);
	EXPECT("2001:db8::/64", 0);
	login(&w.hosts[1], "198.51.100.1"); /* in the same second */
	settle();
	EXPECT("198.51.100.1", TIMEOUT);
	login(&w.hosts[1], "198.51.100.2");
	settle();
	relay_purge(&w.hosts[0].relay);
	settle();
	EXPECT("198.51.100.1", 0);
	EXPECT("198.51.100.2", 0);
	login(&w.hosts[2], "198.51.100.1");
	settle();
	EXPECT("198.51.100.1", TIMEOUT);
	end();
}
END_TEST

/* A host that was away brings its logins, and nothing that was removed. */
START_TEST(away)
{
	begin();
	login(&w.hosts[0], "198.51.100.1");
	login(&w.hosts[0], "198.51.100.2");
	settle();
	go_away(&w.hosts[0]);
	passed += 100 * 1000;
	login(&w.hosts[0], "198.51.100.3");
	login(&w.hosts[1], "198.51.100.4");
	shut(&w.hosts[1], "198.51.100.1");
	passed += 100 * 1000;
	login(&w.hosts[0], "198.51.100.5");
	shut(&w.hosts[0], "198.51.100.2");
	settle();
	passed += 100 * 1000;
	come_back(&w.hosts[0]);
	settle();
	EXPECT("198.51.100.1", 0);
	EXPECT("198.51.100.2", 0);
	EXPECT("198.51.100.3", TIMEOUT - 200);
	EXPECT("198.51.100.4", TIMEOUT - 200);
	EXPECT("198.51.100.5", TIMEOUT - 100);
	end();
}
END_TEST

/* The later of a login and a removal counts, whoever comes back first. */
START_TEST(away_later_counts)
{
	begin();
	login(&w.hosts[2], "198.51.100.1");
	login(&w.hosts[2], "198.51.100.2");
	settle();
	go_away(&w.hosts[0]);
	go_away(&w.hosts[1]);
	passed += 100 * 1000;
	shut(&w.hosts[0], "198.51.100.1");
	login(&w.hosts[1], "198.51.100.2");
	passed += 100 * 1000;
	login(&w.hosts[1], "198.51.100.1");
	shut(&w.hosts[0], "198.51.100.2");
	passed += 100 * 1000;
	come_back(&w.hosts[_i]);
	settle();
	passed += 100 * 1000;
	come_back(&w.hosts[1 - _i]);
	settle();
	EXPECT("198.51.100.1", TIMEOUT - 200);
	EXPECT("198.51.100.2", 0);
	end();
}
END_TEST

START_TEST(away_purged)
{
	begin();
	login(&w.hosts[0], "198.51.100.1");
	settle();
	go_away(&w.hosts[0]);
	passed += 50 * 1000;
	relay_purge(&w.hosts[1].relay);
	passed += 50 * 1000;
	login(&w.hosts[0], "198.51.100.2");
	settle();
	come_back(&w.hosts[0]);
	settle();
	EXPECT("198.51.100.1", 0);
	EXPECT("198.51.100.2", TIMEOUT);
	end();
}
END_TEST

/* An old log line is read after its address was removed elsewhere. */
START_TEST(old_line)
{
	begin();
	login(&w.hosts[0], "198.51.100.1");
	settle();
	passed += 100 * 1000;
	shut(&w.hosts[0], "198.51.100.1");
	settle();
	passed += 100 * 1000;
	login_at(&w.hosts[1], "198.51.100.1", 200);
	login_at(&w.hosts[1], "198.51.100.2", 200);
	settle();
	EXPECT("198.51.100.1", 0);
	EXPECT("198.51.100.2", TIMEOUT - 200);
	end();
}
END_TEST

/* The log's memory is gone; a host that was away meanwhile, and a new one,
 * come to know all from the others, removals too. */
START_TEST(lost)
{
	begin();
	login(&w.hosts[0], "198.51.100.1");
	login(&w.hosts[1], "198.51.100.2");
	login(&w.hosts[2], "198.51.100.3");
	settle();
	go_away(&w.hosts[0]);
	passed += 100 * 1000;
	shut(&w.hosts[1], "198.51.100.1");
	settle();
	passed += 100 * 1000;
	login(&w.hosts[0], "198.51.100.4");
	lose_log();
	come_back(&w.hosts[1]);
	settle();
	host_end(&w.hosts[2]);
	host_start(&w.hosts[2], 33);
	come_back(&w.hosts[2]);
	settle();
	come_back(&w.hosts[0]);
	settle();
	EXPECT("198.51.100.1", 0);
	EXPECT("198.51.100.2", TIMEOUT - 200);
	EXPECT("198.51.100.3", TIMEOUT - 200);
	EXPECT("198.51.100.4", TIMEOUT);
	end();
}
END_TEST

/* What was cut from the log before a host has read it is told again, removals
 * too, though all who were there have heard it. */
START_TEST(missed)
{
	begin();
	login(&w.hosts[0], "198.51.100.1");
	login(&w.hosts[1], "198.51.100.2");
	login(&w.hosts[2], "198.51.100.3");
	settle();
	go_away(&w.hosts[2]);
	passed += 100 * 1000;
	login(&w.hosts[0], "198.51.100.4");
	shut(&w.hosts[1], "198.51.100.3");
	settle();
	passed += 100 * 1000;
	begin_behind_cut(&w.hosts[2]);
	settle();
	EXPECT("198.51.100.1", TIMEOUT - 200);
	EXPECT("198.51.100.2", TIMEOUT - 200);
	EXPECT("198.51.100.3", 0);
	EXPECT("198.51.100.4", TIMEOUT - 100);
	/* Once: nobody says anything when it has been read. */
	share_up(w.hosts[2].share);
	w.log_n = w.hosts[2].read_to;
	settle();
	ck_assert_uint_eq(w.log_n, w.hosts[2].read_to);
	end();
}
END_TEST

/* The only one who knows was away when it was asked for. */
START_TEST(missed_by_all)
{
	begin();
	login(&w.hosts[0], "198.51.100.1");
	settle();
	for (size_t i = 0; i < HOSTS; i++)
		go_away(&w.hosts[i]);
	passed += 100 * 1000;
	for (size_t i = 1; i < HOSTS; i++) {
		host_end(&w.hosts[i]);
		host_start(&w.hosts[i], 33);
		begin_behind_cut(&w.hosts[i]);
	}
	settle();
	ck_assert_int_eq(left(&w.hosts[1], "198.51.100.1"), 0);
	come_back(&w.hosts[0]);
	settle();
	EXPECT("198.51.100.1", TIMEOUT - 100);
	end();
}
END_TEST

/* It is asked for until the question was read back. */
START_TEST(missed_unheard)
{
	char text[SHARE_MESSAGE_MAX];
	size_t n;

	begin();
	login(&w.hosts[0], "198.51.100.1");
	settle();
	host_end(&w.hosts[2]);
	host_start(&w.hosts[2], 33);
	begin_behind_cut(&w.hosts[2]);
	n = share_write(w.hosts[2].share, text);
	ck_assert(slice_eq(slice_make(text, n), SLICE("tell all\n")));
	ck_assert(!share_busy(w.hosts[2].share) ||
		  share_write(w.hosts[2].share, text) == 0);
	go_away(&w.hosts[2]);
	come_back(&w.hosts[2]);
	settle();
	EXPECT("198.51.100.1", TIMEOUT);
	end();
}
END_TEST

/* Opened and shut within a second, of which only the second is known. */
START_TEST(lost_close)
{
	begin();
	login(&w.hosts[0], "198.51.100.1");
	settle();
	lose_log();
	passed += 300;
	shut(&w.hosts[1], "198.51.100.1");
	passed += 300;
	for (size_t i = 0; i < HOSTS; i++) {
		come_back(&w.hosts[((size_t)_i + i) % HOSTS]);
		settle();
	}
	EXPECT("198.51.100.1", 0);
	end();
}
END_TEST

START_TEST(lost_often)
{
	begin();
	login(&w.hosts[0], "198.51.100.1");
	settle();
	for (int i = 0; i < 40; i++) {
		passed += 1000;
		lose_log();
		for (size_t h = 0; h < HOSTS; h++)
			come_back(&w.hosts[h]);
		settle();
		ck_assert_uint_gt(w.log_n, 0); /* it was told again */
	}
	EXPECT("198.51.100.1", TIMEOUT - 40);
	end();
}
END_TEST

/* Without a chance to tell anything in between; marks are used again. */
START_TEST(lost_in_a_row)
{
	begin();
	login(&w.hosts[0], "198.51.100.1");
	settle();
	for (int i = 0; i < _i; i++)
		lose_log();
	for (size_t h = 0; h < HOSTS; h++)
		come_back(&w.hosts[h]);
	settle();
	ck_assert_uint_gt(w.log_n, 0);
	end();
}
END_TEST

/* Sent, and never seen in the log: told again. */
START_TEST(not_read_back)
{
	char text[SHARE_MESSAGE_MAX];

	begin();
	login(&w.hosts[0], "198.51.100.1");
	shut(&w.hosts[0], "198.51.100.9");
	ck_assert_uint_gt(share_write(w.hosts[0].share, text), 0);
	share_again(w.hosts[0].share);
	settle();
	EXPECT("198.51.100.1", TIMEOUT);
	ck_assert_uint_eq(w.log_n, 1);
	end();
}
END_TEST

/* More than what is kept of fresh news: nothing is left out. */
START_TEST(many)
{
	char addr[64];

	begin();
	for (unsigned int i = 0; i < 70000; i++) {
		snprintf(addr, sizeof(addr), "10.%u.%u.%u", i >> 16,
		    i >> 8 & 255, i & 255);
		login(&w.hosts[0], addr);
	}
	settle();
	for (size_t i = 0; i < HOSTS; i++)
		ck_assert_uint_eq(
		    relay_store_count(w.hosts[i].relay.store), 70000);
	end();
}
END_TEST

/* Longer than any login: others let it live for their timeout, again and
 * again, until it is removed. */
START_TEST(long_insert)
{
	struct relay_key k = key("198.51.100.1");

	begin();
	relay_insert(&w.hosts[0].relay, &k, now_of(&w.hosts[0]) + 7 * TIMEOUT,
	    now_of(&w.hosts[0]));
	settle();
	ck_assert_int_eq(left(&w.hosts[1], "198.51.100.1"), TIMEOUT);
	for (int i = 0; i < 8; i++) {
		passed += TIMEOUT / 4 * 1000;
		for (size_t h = 0; h < HOSTS; h++)
			share_renew(w.hosts[h].share);
		settle();
	}
	ck_assert_int_ge(left(&w.hosts[1], "198.51.100.1"), TIMEOUT - 2);
	shut(&w.hosts[1], "198.51.100.1");
	settle();
	EXPECT("198.51.100.1", 0);
	end();
}
END_TEST

static void
inject(struct host *h, const char *text, int64_t at)
{
	struct share_message m = { .text = slice_str(text),
		.at = at,
		.now = log_ms(),
		.from = SLICE("mallory") };

	share_read(h->share, &m, 1);
}

/* How many messages h has to say, which nobody reads. */
static size_t
says(struct host *h)
{
	char text[SHARE_MESSAGE_MAX];
	size_t n = 0;

	while (share_busy(h->share))
		n += share_write(h->share, text) > 0;
	return n;
}

/* Who asks for all in a loop gets it now and then, and who asks once gets it
 * however often others do. */
START_TEST(asked_without_end)
{
	struct host *h = &w.hosts[0];
	size_t told = 0;

	begin();
	login(h, "198.51.100.1");
	settle();
	for (int i = 0; i < 590; i++) { /* for a minute, nearly */
		inject(h, "shut 198.51.100.7 0\ntell all\n", log_ms());
		told += says(h);
		passed += 100;
	}
	ck_assert_uint_eq(told, 2);
	/* The last that asked is answered, if later. */
	ck_assert_uint_eq(says(h), 0);
	passed += 30 * 1000;
	ck_assert_uint_eq(says(h), 1);
	passed += 60 * 1000;
	ck_assert_uint_eq(says(h), 0);
	end();
}
END_TEST

/* Nothing was read back since all is told: this answers whoever asks. */
START_TEST(asked_meanwhile)
{
	struct host *h = &w.hosts[0];

	begin();
	login(h, "198.51.100.1");
	settle();
	inject(h, "tell all\n", log_ms());
	ck_assert_uint_eq(says(h), 1);
	for (int i = 0; i < 40; i++) {
		passed += 60 * 1000;
		inject(h, "tell all\n", log_ms());
		ck_assert_uint_eq(says(h), 0);
	}
	end();
}
END_TEST

/* A pass over many is not begun anew by who asks while it goes on. */
START_TEST(asked_while_telling)
{
	struct host *h = &w.hosts[0];
	char text[SHARE_MESSAGE_MAX];
	unsigned int turns = 0;
	char addr[64];
	size_t n;

	begin();
	for (unsigned int i = 0; i < 3000; i++) {
		snprintf(addr, sizeof(addr), "10.0.%u.%u", i >> 8, i & 255);
		login(h, addr);
	}
	settle();
	do {
		inject(h, "shut 198.51.100.7 0\ntell all\n", log_ms());
		passed += 40 * 1000; /* longer than it has to wait */
		n = share_write(h->share, text);
		ck_assert_uint_lt(++turns, 80);
	} while (memmem(text, n, "open 10.0.0.0 ", 14) == NULL);
	end();
}
END_TEST

/* Whoever can write to Redis is bound by the rules of each host. */
START_TEST(hostile)
{
	struct host *h = &w.hosts[1];
	struct addr_net never[1];
	size_t was;

	begin();
	ck_assert_int_eq(addr_net_parse(SLICE("192.0.2.0/24"), never), 0);
	h->relay.rule.never = never;
	h->relay.rule.never_n = 1;
	inject(h, "open 192.0.2.9 1000000 0 \"x\"\n", log_ms());
	inject(h, "open 192.0.0.0/16 1000000 0 \"x\"\n", log_ms());
	inject(h, "open 127.0.0.1 1000000 0 \"x\"\n", log_ms());
	inject(h, "open 0.0.0.0/0 1000000 0 \"x\"\n", log_ms());
	inject(h, "open 198.51.100.1 0 0 \"x\"\n", log_ms());
	inject(h, "open 198.51.100.1 1000 0 \"x\"\n", log_ms() - 5000);
	inject(h, "rubbish\nopen 198.51.100.2", log_ms());
	ck_assert_uint_eq(relay_store_count(h->relay.store), 0);
	inject(h, "open 198.51.100.1 34560000000 0 \"x\"\n", log_ms());
	ck_assert_int_le(left(h, "198.51.100.1"), TIMEOUT);
	/* From a future that there is not: as of now. */
	inject(h, "open 198.51.100.3 1000000 0 \"x\"\n", log_ms());
	ck_assert_int_le(left(h, "198.51.100.3"), 1001);
	h->relay.limits.max_entries = 16;
	for (int i = 0; i < 100; i++) {
		char text[80];

		snprintf(
		    text, sizeof(text), "open 10.0.0.%d 90000 0 \"\"\n", i);
		inject(h, text, log_ms());
	}
	was = relay_store_count(h->relay.store);
	ck_assert_uint_eq(was, 16);
	end();
}
END_TEST

/* --- all ----------------------------------------------------------------- */

int
main(void)
{
	TCase *t = tcase_create("share");

	tcase_add_loop_test(t, wire_lines, 0, COUNT(lines));
	tcase_add_test(t, wire_goes_on);
	tcase_add_loop_test(t, place_cases, 0, COUNT(places));
	tcase_add_test(t, ids);
	tcase_add_test(t, tells);
	tcase_add_test(t, remembering);
	tcase_add_test(t, shuts);
	tcase_add_test(t, away);
	tcase_add_loop_test(t, away_later_counts, 0, 2);
	tcase_add_test(t, away_purged);
	tcase_add_test(t, old_line);
	tcase_add_test(t, lost);
	tcase_add_test(t, missed);
	tcase_add_test(t, missed_by_all);
	tcase_add_test(t, missed_unheard);
	tcase_add_loop_test(t, lost_close, 0, HOSTS);
	tcase_add_test(t, lost_often);
	tcase_add_loop_test(t, lost_in_a_row, 1, 2 * RELAY_MARK_MAX + 2);
	tcase_add_test(t, not_read_back);
	tcase_add_test(t, many);
	tcase_add_test(t, long_insert);
	tcase_add_test(t, asked_without_end);
	tcase_add_test(t, asked_meanwhile);
	tcase_add_test(t, asked_while_telling);
	tcase_add_test(t, hostile);
	return check_run("share", t);
}
