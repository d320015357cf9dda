/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_answers - whatever an MTA's clients make it ask, nobody relays who may
 * not, and a reply is one reply.
 *
 * The first byte of the input chooses the protocol and who may relay, the next
 * two how much of the rest is the user's name; what remains is what comes over
 * the socket.  Properties: a request's length lies within what has come; what
 * has been answered is answered alike when more has come; each reply is of its
 * protocol's form; nobody is let in of whom was not asked; and setenv names
 * whom it was told of.  With the fourth protocol what remains is what setenv
 * reads: nothing in it makes a user who could forge a line.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "common/fuzz.h"
#include "common/log.h"
#include "perdition-pbs/answer.h"
#include "perdition-pbs/setenv.h"

#include "common/banned.h"

struct world {
	bool yes, asked;
	struct slice user;
};

static bool
may_relay(void *arg, const struct addr *client, struct answer_grant *grant)
{
	struct world *w = arg;

	w->asked = true;
	relay_key_make(&grant->by, client, 24, 64);
	grant->user = w->user;
	return w->yes;
}

static void
require(bool ok)
{
	if (!ok)
		abort();
}

static bool
printable(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return true;
}

/* s without the tail that it has to have. */
static struct slice
without(struct slice s, struct slice tail)
{
	require(
	    s.n >= tail.n && memcmp(s.p + s.n - tail.n, tail.p, tail.n) == 0);
	return slice_make(s.p, s.n - tail.n);
}

/* Each returns whether that lets the client in. */
static bool
check_policy(const struct world *w, struct slice reply)
{
	struct slice line = without(reply, SLICE("\n\n"));

	(void)w;
	require(printable(line) && line.n <= 998);
	if (slice_eq(line, SLICE("action=OK")))
		return true;
	if (slice_starts(line, SLICE("action=PREPEND X-User: user=\"")))
		return true;
	require(slice_eq(line, SLICE("action=DUNNO")));
	return false;
}

static bool
check_socketmap(const struct world *w, struct slice reply)
{
	struct slice text = without(reply, SLICE(",")), digits;
	uint64_t n;

	(void)w;
	require(slice_cut(&text, ':', &digits) &&
		slice_u64(digits, SIZE_MAX, &n) == 0 && n == text.n);
	require(printable(text));
	if (slice_starts(text, SLICE("OK ")))
		return true;
	require(slice_eq(text, SLICE("NOTFOUND ")) ||
		slice_starts(text, SLICE("PERM ")));
	return false;
}

/* As RELAYUSER has it: bare, or quoted in the one way there is. */
static void
check_name(struct slice name)
{
	char value[ANSWER_USER_MAX];
	size_t used;

	require(printable(name) && name.n <= ANSWER_USER_MAX);
	if (log_is_bare(name))
		return;
	require(log_unquote(name, &used, value, sizeof(value)) > 0);
	require(used == name.n);
}

static void
check_reply(struct slice reply)
{
	char user[SETENV_USER_MAX];
	enum setenv_verdict v = setenv_parse_reply(reply, user);

	require(v == SETENV_YES || user[0] == '\0');
	require(v != SETENV_YES || slice_starts(reply, SLICE("yes")));
	if (user[0] != '\0')
		check_name(slice_str(user));
}

/* What setenv makes of the reply that a daemon has made. */
static void
check_both(const struct world *w, struct slice reply)
{
	char user[SETENV_USER_MAX], quoted[ANSWER_USER_MAX];
	struct slice want = answer_quote_user(w->user, quoted);

	require(setenv_parse_reply(reply, user) == SETENV_YES);
	require((user[0] == '\0') == (w->user.n == 0));
	require(slice_eq(slice_str(user), want) ||
		slice_eq(slice_str(user), w->user) || w->user.n == 0);
}

static bool
check_lookup(const struct world *w, struct slice reply)
{
	require(printable(reply));
	check_reply(reply);
	if (slice_starts(reply, SLICE("yes "))) {
		check_both(w, reply);
		return true;
	}
	if (slice_eq(reply, SLICE("no")) || slice_eq(reply, SLICE("\"\"")))
		return false;
	require(
	    slice_eq(reply, SLICE("yes")) ||
	    (reply.n > 2 && reply.p[0] == '"' && reply.p[reply.n - 1] == '"'));
	return true;
}

static const struct {
	const struct answer_protocol *protocol;
	bool (*check)(const struct world *, struct slice reply);
} protocols[] = {
	{ &answer_policy, check_policy },
	{ &answer_socketmap, check_socketmap },
	{ &answer_lookup, check_lookup },
};

#define PROTOCOLS (sizeof(protocols) / sizeof(protocols[0]))

static void
check_stream(size_t which, struct world *w, struct slice in)
{
	const struct answer_protocol *p = protocols[which].protocol;
	struct answer_source source = { may_relay, w, "", "X-User" };
	struct buf *out = buf_create(ANSWER_REPLY_MAX);
	struct buf *again = buf_create(ANSWER_REPLY_MAX);

	require(out != NULL && again != NULL);
	for (;;) {
		struct slice given = in;
		ssize_t n;
		bool let_in;

		if (given.n > p->request_max)
			given.n = p->request_max;
		buf_clear(out);
		buf_clear(again);
		w->asked = false;
		n = p->answer(&source, given, out);
		require(!buf_overflowed(out));
		if (n <= 0) {
			require(buf_len(out) == 0);
			break;
		}
		require((size_t)n <= given.n);
		let_in = protocols[which].check(w, buf_data(out));
		require(!let_in || (w->yes && w->asked));
		require(p->answer(&source, slice_make(given.p, (size_t)n),
			    again) == n);
		require(slice_eq(buf_data(out), buf_data(again)));
		in = slice_skip(in, (size_t)n);
	}
	buf_destroy(&out);
	buf_destroy(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size);
	struct world w = { 0 };
	size_t user, which;

	if (size < 3)
		return 0;
	which = (data[0] & 0x7f) % (PROTOCOLS + 1);
	if (which == PROTOCOLS) {
		check_reply(slice_skip(in, 3));
		return 0;
	}
	w.yes = (data[0] & 0x80) != 0;
	user = (size_t)(data[1] << 8 | data[2]) % 1024;
	in = slice_skip(in, 3);
	if (user > in.n)
		user = in.n;
	w.user = slice_make(in.p, user);
	check_stream(which, &w, slice_skip(in, user));
	return 0;
}
