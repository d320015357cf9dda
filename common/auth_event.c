/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two spellings of an authentication event.
 *
 * Each parser reads its form from left to right, field by field, and takes of
 * each field only the spelling that our writer would have given it.  So every
 * event has one spelling, and a field that says one thing to us and another
 * to somebody else's parser cannot exist; fuzz_auth_event writes what was
 * taken again and compares.  Knows nothing of logs, sockets or the relay
 * store.
 */
#include "config.h"

#include "common/auth_event.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/log.h"

#include "common/banned.h"

/* All bytes of all values escaped as \xHH, and room for what stands around. */
static_assert(
    4 * (2 * AUTH_USER_MAX + AUTH_SERVER_MAX + AUTH_REASON_MAX) + 1024 <=
	AUTH_LINE_MAX,
    "AUTH_LINE_MAX does not hold every event");

#define STATUS_FAILED "failed: "
#define RECORD_MAGIC "perdition-auth 1 "

#define NAME(lit)                                                              \
	{                                                                      \
		(lit), sizeof(lit) - 1                                         \
	}

static const struct slice tls_names[] = {
	[AUTH_PLAINTEXT] = NAME("plaintext"),
	[AUTH_STARTTLS] = NAME("starttls"),
	[AUTH_SSL] = NAME("ssl"),
};

static const struct slice kind_names[] = {
	[AUTH_LOGIN] = NAME("login"),
	[AUTH_RELOG] = NAME("relog"),
	[AUTH_CLOSE] = NAME("close"),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- writing ------------------------------------------------------------- */

struct out {
	char *p;
	size_t n, cap;
	bool full; /* something did not fit; tested once, at the end */
};

static void
put(struct out *o, struct slice s)
{
	if (o->full || s.n > o->cap - o->n) {
		o->full = true;
		return;
	}
	if (s.n != 0)
		memcpy(o->p + o->n, s.p, s.n);
	o->n += s.n;
}

static void
put_str(struct out *o, const char *s)
{
	put(o, slice_str(s));
}

static void
put_u64(struct out *o, uint64_t v)
{
	char text[SLICE_U64_MAX];

	put(o, slice_make(text, slice_put_u64(text, v)));
}

static void
put_i64(struct out *o, int64_t v)
{
	if (v < 0)
		put_str(o, "-");
	put_u64(o, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void
put_quoted(struct out *o, struct slice s)
{
	long n;

	if (o->full)
		return;
	n = log_quote(s, o->p + o->n, o->cap - o->n);
	if (n == -1)
		o->full = true;
	else
		o->n += (size_t)n;
}

static void
put_endpoint(struct out *o, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	put(o, slice_make(text, addr_write_port(a, text)));
}

static void
put_authz(struct out *o, const struct auth_event *e)
{
	if (e->has_authz)
		put_quoted(o, slice_make(e->authz, e->authz_len));
	else
		put_str(o, "NONE");
}

static void
put_status(struct out *o, const struct auth_event *e)
{
	char text[sizeof(STATUS_FAILED) + AUTH_REASON_MAX];
	const size_t n = sizeof(STATUS_FAILED) - 1;

	if (e->ok) {
		put_str(o, "\"ok\"");
		return;
	}
	memcpy(text, STATUS_FAILED, n);
	memcpy(text + n, e->reason, e->reason_len);
	put_quoted(o, slice_make(text, n + e->reason_len));
}

static void
put_ends(struct out *o, const struct auth_event *e, const char *between)
{
	put_endpoint(o, &e->client);
	put_str(o, between);
	put_endpoint(o, &e->local);
}

static void
put_auth_line(struct out *o, const struct auth_event *e)
{
	put_str(o, "Auth: ");
	put_ends(o, e, "->");
	put_str(o, " client-secure=");
	put(o, tls_names[e->client_tls]);
	put_str(o, " authorisation_id=");
	put_authz(o, e);
	put_str(o, " authentication_id=");
	put_quoted(o, slice_make(e->user, e->user_len));
	put_str(o, " server=");
	put_quoted(o, slice_make(e->server, e->server_len));
	put_str(o, " protocol=");
	put_str(o, e->protocol);
	put_str(o, " server-secure=");
	put(o, tls_names[e->server_tls]);
	put_str(o, " status=");
	put_status(o, e);
}

static void
put_close_line(struct out *o, const struct auth_event *e)
{
	put_str(o, "Closing session: ");
	put_ends(o, e, "->");
	put_str(o, " authorisation_id=");
	put_authz(o, e);
	put_str(o, " authentication_id=");
	put_quoted(o, slice_make(e->user, e->user_len));
	put_str(o, " received=");
	put_u64(o, e->received);
	put_str(o, " sent=");
	put_u64(o, e->sent);
}

static void
put_record(struct out *o, const struct auth_event *e)
{
	put_str(o, RECORD_MAGIC "kind=");
	put(o, kind_names[e->kind]);
	put_str(o, " time=");
	put_i64(o, e->time);
	put_str(o, " session=");
	put_u64(o, e->session);
	put_str(o, " protocol=");
	put_str(o, e->protocol);
	put_str(o, " client=");
	put_ends(o, e, " local=");
	put_str(o, " client-secure=");
	put(o, tls_names[e->client_tls]);
	put_str(o, " server-secure=");
	put(o, tls_names[e->server_tls]);
	put_str(o, e->ok ? " status=ok" : " status=failed");
	put_str(o, " authz=");
	put_authz(o, e);
	put_str(o, " user=");
	put_quoted(o, slice_make(e->user, e->user_len));
	put_str(o, " server=");
	put_quoted(o, slice_make(e->server, e->server_len));
	put_str(o, " reason=");
	put_quoted(o, slice_make(e->reason, e->reason_len));
	put_str(o, " received=");
	put_u64(o, e->received);
	put_str(o, " sent=");
	put_u64(o, e->sent);
	put_str(o, "\n");
}

/* The one bare word in both forms: it must not be able to end its field. */
static bool
is_protocol_byte(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool
protocol_valid(const char protocol[static 16])
{
	size_t i = 0;

	while (i < 16 && is_protocol_byte(protocol[i]))
		i++;
	return i > 0 && i < 16 && protocol[i] == '\0';
}

static bool
event_valid(const struct auth_event *e)
{
	return (size_t)e->kind < COUNT(kind_names) &&
	       (size_t)e->client_tls < COUNT(tls_names) &&
	       (size_t)e->server_tls < COUNT(tls_names) &&
	       e->user_len <= sizeof(e->user) &&
	       e->authz_len <= sizeof(e->authz) &&
	       e->server_len <= sizeof(e->server) &&
	       e->reason_len <= sizeof(e->reason);
}

static ssize_t
write_with(void (*write)(struct out *, const struct auth_event *),
    const struct auth_event *e, char *mem, size_t cap)
{
	struct out o = { .p = mem, .cap = cap };

	if (!event_valid(e) ||
	    (write != put_close_line && !protocol_valid(e->protocol))) {
		errno = EINVAL;
		return -1;
	}
	write(&o, e);
	if (o.full) {
		errno = ENOSPC;
		return -1;
	}
	return (ssize_t)o.n;
}

ssize_t
auth_event_write_line(const struct auth_event *e, char *out, size_t cap)
{
	return write_with(
	    e->kind == AUTH_CLOSE ? put_close_line : put_auth_line, e, out,
	    cap);
}

ssize_t
auth_event_write_record(const struct auth_event *e, char *out, size_t cap)
{
	return write_with(put_record, e, out, cap);
}

/* --- parsing ------------------------------------------------------------- */

/* Each get_ function takes its part off the front of *s, or returns false. */

static inline __attribute__((always_inline)) bool
get_slice(struct slice *s, struct slice want)
{
	if (!slice_starts(*s, want))
		return false;
	*s = slice_skip(*s, want.n);
	return true;
}

/* The length of a literal is known to the compiler: this is the inner loop of
 * reading a day's log. */
#define get_text(s, literal) get_slice((s), SLICE(literal))

/* Everything up to the byte end (which stays), or to the end of s. */
static struct slice
get_until(struct slice *s, char end)
{
	ptrdiff_t at = slice_find(*s, end);
	struct slice word = slice_make(s->p, at == -1 ? s->n : (size_t)at);

	*s = slice_skip(*s, word.n);
	return word;
}

static bool
get_name(
    struct slice *s, const struct slice names[], size_t count, size_t *index)
{
	for (size_t i = 0; i < count; i++) {
		size_t n = names[i].n;

		if (slice_starts(*s, names[i]) &&
		    (s->n == n || s->p[n] == ' ')) {
			*s = slice_skip(*s, n);
			*index = i;
			return true;
		}
	}
	return false;
}

static bool
get_tls(struct slice *s, enum auth_tls *tls)
{
	size_t i;

	if (!get_name(s, tls_names, COUNT(tls_names), &i))
		return false;
	*tls = (enum auth_tls)i;
	return true;
}

/* Without leading zeros. */
static bool
get_u64(struct slice *s, uint64_t *v)
{
	struct slice word = get_until(s, ' ');

	return slice_u64(word, UINT64_MAX, v) == 0 &&
	       (word.n == 1 || word.p[0] != '0');
}

static bool
get_i64(struct slice *s, int64_t *v)
{
	bool negative = get_text(s, "-");
	uint64_t u;

	if (!get_u64(s, &u) || u > (uint64_t)INT64_MAX + (negative ? 1 : 0) ||
	    (negative && u == 0))
		return false;
	*v = negative ? (int64_t)(0 - u) : (int64_t)u;
	return true;
}

/*
 * No TCP peer has port 0, which is what an event without one (inetd mode on a
 * pipe) was written with.  Of IPv4 without brackets there is one spelling that
 * addr_parse() takes; of IPv6 there are many.
 */
static bool
get_endpoint(struct slice s, struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (addr_parse(s, true, a) == -1 || a->port == 0)
		return false;
	return s.p[0] != '[' ||
	       slice_eq(s, slice_make(text, addr_write_port(a, text)));
}

/* "SRC:PORT->DST:PORT" */
static bool
get_ends(struct slice *s, struct auth_event *e)
{
	struct slice word = get_until(s, ' ');
	ptrdiff_t at = slice_find(word, '>'); /* no address holds one */

	return at > 0 && word.p[at - 1] == '-' &&
	       get_endpoint(slice_make(word.p, (size_t)at - 1), &e->client) &&
	       get_endpoint(slice_skip(word, (size_t)at + 1), &e->local);
}

static bool
get_quoted(struct slice *s, char *out, size_t cap, size_t *len)
{
	size_t used;
	long n = log_unquote(*s, &used, out, cap);

	if (n == -1)
		return false;
	*len = (size_t)n;
	*s = slice_skip(*s, used);
	return true;
}

static bool
get_authz(struct slice *s, struct auth_event *e)
{
	if (get_text(s, "NONE"))
		return true;
	e->has_authz = true;
	return get_quoted(s, e->authz, sizeof(e->authz), &e->authz_len);
}

static bool
get_protocol(struct slice *s, struct auth_event *e)
{
	size_t n = 0;

	for (; n < s->n && is_protocol_byte(s->p[n]); n++) {
		if (n == sizeof(e->protocol) - 1) /* its NUL */
			return false;
		e->protocol[n] = s->p[n];
	}
	*s = slice_skip(*s, n);
	return n > 0;
}

static bool
get_status(struct slice *s, struct auth_event *e)
{
	char text[sizeof(STATUS_FAILED) - 1 + AUTH_REASON_MAX];
	struct slice status;
	size_t n;

	e->ok = get_text(s, "\"ok\"");
	if (e->ok)
		return true;
	if (!get_quoted(s, text, sizeof(text), &n))
		return false;
	status = slice_make(text, n);
	if (!get_text(&status, STATUS_FAILED))
		return false;
	memcpy(e->reason, status.p, status.n);
	e->reason_len = status.n;
	return true;
}

static bool
get_auth_line(struct slice s, struct auth_event *e)
{
	e->kind = AUTH_LOGIN;
	return get_text(&s, "Auth: ") && get_ends(&s, e) &&
	       get_text(&s, " client-secure=") && get_tls(&s, &e->client_tls) &&
	       get_text(&s, " authorisation_id=") && get_authz(&s, e) &&
	       get_text(&s, " authentication_id=") &&
	       get_quoted(&s, e->user, sizeof(e->user), &e->user_len) &&
	       get_text(&s, " server=") &&
	       get_quoted(&s, e->server, sizeof(e->server), &e->server_len) &&
	       get_text(&s, " protocol=") && get_protocol(&s, e) &&
	       get_text(&s, " server-secure=") && get_tls(&s, &e->server_tls) &&
	       get_text(&s, " status=") && get_status(&s, e) && s.n == 0;
}

static bool
get_close_line(struct slice s, struct auth_event *e)
{
	e->kind = AUTH_CLOSE;
	return get_text(&s, "Closing session: ") && get_ends(&s, e) &&
	       get_text(&s, " authorisation_id=") && get_authz(&s, e) &&
	       get_text(&s, " authentication_id=") &&
	       get_quoted(&s, e->user, sizeof(e->user), &e->user_len) &&
	       get_text(&s, " received=") && get_u64(&s, &e->received) &&
	       get_text(&s, " sent=") && get_u64(&s, &e->sent) && s.n == 0;
}

static bool
get_record_status(struct slice *s, struct auth_event *e)
{
	e->ok = get_text(s, "ok");
	return e->ok || get_text(s, "failed");
}

static bool
get_kind(struct slice *s, struct auth_event *e)
{
	size_t i;

	if (!get_name(s, kind_names, COUNT(kind_names), &i))
		return false;
	e->kind = (enum auth_kind)i;
	return true;
}

static bool
get_record(struct slice s, struct auth_event *e)
{
	return get_text(&s, RECORD_MAGIC "kind=") && get_kind(&s, e) &&
	       get_text(&s, " time=") && get_i64(&s, &e->time) &&
	       get_text(&s, " session=") && get_u64(&s, &e->session) &&
	       get_text(&s, " protocol=") && get_protocol(&s, e) &&
	       get_text(&s, " client=") &&
	       get_endpoint(get_until(&s, ' '), &e->client) &&
	       get_text(&s, " local=") &&
	       get_endpoint(get_until(&s, ' '), &e->local) &&
	       get_text(&s, " client-secure=") && get_tls(&s, &e->client_tls) &&
	       get_text(&s, " server-secure=") && get_tls(&s, &e->server_tls) &&
	       get_text(&s, " status=") && get_record_status(&s, e) &&
	       get_text(&s, " authz=") && get_authz(&s, e) &&
	       get_text(&s, " user=") &&
	       get_quoted(&s, e->user, sizeof(e->user), &e->user_len) &&
	       get_text(&s, " server=") &&
	       get_quoted(&s, e->server, sizeof(e->server), &e->server_len) &&
	       get_text(&s, " reason=") &&
	       get_quoted(&s, e->reason, sizeof(e->reason), &e->reason_len) &&
	       get_text(&s, " received=") && get_u64(&s, &e->received) &&
	       get_text(&s, " sent=") && get_u64(&s, &e->sent) && s.n == 0;
}

static int
parse_with(bool (*parse)(struct slice, struct auth_event *), struct slice in,
    struct auth_event *e)
{
	/* The texts are large, and their lengths are 0. */
	memset(e, 0, offsetof(struct auth_event, user));
	if (in.n <= AUTH_LINE_MAX && parse(in, e))
		return 1;
	memset(e, 0, sizeof(*e)); /* or a caller might use a half-read one */
	errno = EBADMSG;
	return -1;
}

int
auth_event_parse_line(struct slice line, struct auth_event *ev)
{
	if (slice_starts(line, SLICE("Auth: ")))
		return parse_with(get_auth_line, line, ev);
	if (slice_starts(line, SLICE("Closing session: ")))
		return parse_with(get_close_line, line, ev);
	memset(ev, 0, sizeof(*ev));
	return 0;
}

int
auth_event_parse_record(struct slice record, struct auth_event *ev)
{
	return parse_with(get_record, record, ev);
}
