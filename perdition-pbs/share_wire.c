/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_wire - changes as lines of text; see the header.
 */
#include "config.h"

#include "perdition-pbs/share_wire.h"

#include <errno.h>
#include <string.h>

#include "common/log.h"

#include "common/banned.h"

void
share_change_user(struct share_change *c, struct slice user)
{
	c->user_n = user.n < sizeof(c->user) ? user.n : sizeof(c->user);
	if (c->user_n > 0)
		memcpy(c->user, user.p, c->user_n);
}

/* --- writing ------------------------------------------------------------- */

struct out {
	char *p;
	size_t n, cap;
	bool full;
};

static void
put(struct out *o, struct slice s)
{
	if (s.n > o->cap - o->n) {
		o->full = true;
		return;
	}
	memcpy(o->p + o->n, s.p, s.n);
	o->n += s.n;
}

static void
put_number(struct out *o, uint64_t v)
{
	char digits[SLICE_U64_MAX];

	put(o, SLICE(" "));
	put(o, slice_make(digits, slice_put_u64(digits, v)));
}

static void
put_user(struct out *o, const struct share_change *c)
{
	long n;

	put(o, SLICE(" "));
	n = log_quote(
	    slice_make(c->user, c->user_n), o->p + o->n, o->cap - o->n);
	if (n == -1)
		o->full = true;
	else
		o->n += (size_t)n;
}

static long
end_line(struct out *o)
{
	put(o, SLICE("\n"));
	if (o->full) {
		errno = ENOSPC;
		return -1;
	}
	return (long)o->n;
}

static long
write_tell(struct out *o)
{
	put(o, SLICE("tell all"));
	return end_line(o);
}

long
share_wire_write(const struct share_change *c, char *out, size_t cap)
{
	struct out o = { out, 0, cap, false };
	char address[RELAY_TEXT_MAX];

	if (c->kind == SHARE_TELL_ALL)
		return write_tell(&o);
	put(&o, c->kind == SHARE_OPEN ? SLICE("open ") : SLICE("shut "));
	if (c->kind == SHARE_SHUT_ALL)
		put(&o, SLICE("all"));
	else
		put(&o, slice_make(address, relay_key_write(&c->key, address)));
	if (c->kind == SHARE_OPEN)
		put_number(&o, c->left_ms);
	put_number(&o, c->age_ms);
	if (c->kind == SHARE_OPEN)
		put_user(&o, c);
	return end_line(&o);
}

/* --- reading ------------------------------------------------------------- */

static int
malformed(void)
{
	errno = EBADMSG;
	return -1;
}

/* One spelling of each: as relay_key_write() has it. */
static int
read_key(struct slice text, struct relay_key *k)
{
	char canonical[RELAY_TEXT_MAX];

	if (relay_key_parse(text, "", k) == -1 ||
	    !slice_eq(
		text, slice_make(canonical, relay_key_write(k, canonical))))
		return -1;
	return 0;
}

/* The next word of *rest, which a single space or the end follows. */
static int
read_number(struct slice *rest, uint64_t *v)
{
	struct slice word;

	slice_cut(rest, ' ', &word);
	if (word.n > 1 && word.p[0] == '0')
		return -1;
	return slice_u64(word, SHARE_MS_MAX, v);
}

static int
read_user(struct slice quoted, struct share_change *c)
{
	size_t used;
	long n;

	if (quoted.n == 0 || quoted.p[0] != '"')
		return -1;
	n = log_unquote(quoted, &used, c->user, sizeof(c->user));
	if (n == -1 || used != quoted.n)
		return -1;
	c->user_n = (size_t)n;
	return 0;
}

static int
read_open(struct slice rest, struct share_change *c)
{
	struct slice word;

	c->kind = SHARE_OPEN;
	if (!slice_cut(&rest, ' ', &word) || read_key(word, &c->key) == -1 ||
	    read_number(&rest, &c->left_ms) == -1 ||
	    read_number(&rest, &c->age_ms) == -1 || read_user(rest, c) == -1)
		return malformed();
	return 1;
}

static int
read_shut(struct slice rest, struct share_change *c)
{
	struct slice word;
	bool two = slice_cut(&rest, ' ', &word);

	c->kind = slice_eq(word, SLICE("all")) ? SHARE_SHUT_ALL : SHARE_SHUT;
	if (!two || slice_find(rest, ' ') != -1 ||
	    (c->kind == SHARE_SHUT && read_key(word, &c->key) == -1) ||
	    read_number(&rest, &c->age_ms) == -1)
		return malformed();
	return 1;
}

int
share_wire_read(struct slice *text, struct share_change *c)
{
	struct slice line;

	if (text->n == 0)
		return 0;
	if (!slice_cut(text, '\n', &line))
		return malformed(); /* cut off: what it said is not known */
	if (slice_starts(line, SLICE("open ")))
		return read_open(slice_skip(line, 5), c);
	if (slice_starts(line, SLICE("shut ")))
		return read_shut(slice_skip(line, 5), c);
	if (slice_eq(line, SLICE("tell all"))) {
		c->kind = SHARE_TELL_ALL;
		return 1;
	}
	return malformed();
}
