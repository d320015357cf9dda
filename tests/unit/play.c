/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * play - feeds a parser and writes down what comes out.
 */
#include "config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "play.h"

#include "common/banned.h"

static const char *const mode_names[PLAY_MODES] = { "line by line",
	"byte by byte", "at once" };

/* How much of in is given before the parser is called again. */
static size_t
portion(enum play_mode mode, struct slice in)
{
	ptrdiff_t lf;

	if (in.n == 0 || mode == PLAY_AT_ONCE)
		return in.n;
	lf = slice_find(in, '\n');
	if (mode == PLAY_BYTES || lf == -1)
		return mode == PLAY_BYTES ? 1 : in.n;
	return (size_t)lf + 1;
}

static void
note(struct buf *log, const char *text)
{
	if (buf_len(log) > 0)
		buf_put_str(log, " ");
	buf_put_str(log, text);
}

static void
note_creds(struct buf *log, enum request r, const struct credentials *creds)
{
	buf_put(log, slice_make(creds->user, creds->user_len));
	buf_put_str(log, ",");
	if (creds->has_authz)
		buf_put(log, slice_make(creds->authz, creds->authz_len));
	else
		buf_put_str(log, "-");
	if (r == REQUEST_LOGIN) {
		buf_put_str(log, ",");
		buf_put(log, secret_get(&creds->password));
	} else {
		ck_assert_uint_eq(creds->password.n, 0);
	}
	if (creds->utf8)
		buf_put_str(log, "+8");
	if (creds->hops > 0) {
		buf_put_str(log, "+");
		buf_put_u64(log, creds->hops);
	}
	buf_put_str(log, ")");
}

struct client_play {
	const struct protocol *protocol;
	const struct client_case *c;
	struct protocol_client *client;
	const char *answers;
	struct buf *window, *out, *log;
	bool tls, over;
};

static void
answer(struct client_play *p)
{
	static const char letters[] = "ctpdl";
	const char *letter;

	ck_assert_msg(p->answers != NULL && *p->answers != '\0',
	    "%s: a login too many", p->c->name);
	if (*p->answers == 'a') {
		p->protocol->client_accept(p->client, &p->c->result, p->out);
		p->over = true;
		return;
	}
	letter = strchr(letters, *p->answers++);
	ck_assert_ptr_nonnull(letter);
	p->protocol->client_refuse(
	    p->client, (enum refusal)(letter - letters), &p->c->result, p->out);
}

static void
on_request(
    struct client_play *p, enum request r, const struct credentials *creds)
{
	static const char *const names[] = {
		[REQUEST_ANSWERED] = "A",
		[REQUEST_BAD] = "B",
		[REQUEST_LOGIN] = "L(",
		[REQUEST_REFUSED] = "R(",
		[REQUEST_STARTTLS] = "T",
		[REQUEST_QUIT] = "Q",
		[REQUEST_ABORT] = "X",
	};

	if (r == REQUEST_MORE)
		return;
	note(p->log, names[r]);
	if (r == REQUEST_LOGIN || r == REQUEST_REFUSED)
		note_creds(p->log, r, creds);
	if (r == REQUEST_LOGIN)
		answer(p);
	if (r == REQUEST_QUIT || r == REQUEST_ABORT)
		p->over = true;
	if (r == REQUEST_STARTTLS) {
		p->tls = true;
		buf_clear(p->window);
		p->protocol->client_tls_started(p->client);
	}
}

/* Call the parser until it wants more. */
static void
drain(struct client_play *p)
{
	bool again = true;

	while (again && !p->over && !p->tls && buf_len(p->window) > 0) {
		struct credentials creds = { .user_len = 0 };
		size_t used = SIZE_MAX, said = buf_len(p->out);
		enum request r = p->protocol->client_parse(
		    p->client, buf_data(p->window), &used, &creds, p->out);

		ck_assert_uint_le(used, buf_len(p->window));
		ck_assert_uint_le(buf_len(p->out) - said, PROTOCOL_REPLY_MAX);
		ck_assert(
		    r != REQUEST_MORE || used > 0 || buf_space(p->window) > 0);
		if (r != REQUEST_LOGIN && r != REQUEST_REFUSED) {
			struct credentials none = { .user_len = 0 };

			ck_assert_mem_eq(&creds, &none, sizeof(creds));
		}
		buf_consume(p->window, used);
		on_request(p, r, &creds);
		again = r != REQUEST_MORE;
	}
}

static void
feed(struct client_play *p, enum play_mode mode, struct slice in)
{
	while (in.n > 0 && !p->over && !p->tls) {
		size_t n = portion(mode, in);

		if (n > buf_space(p->window))
			n = buf_space(p->window);
		ck_assert_uint_gt(n, 0);
		buf_put(p->window, slice_make(in.p, n));
		in = slice_skip(in, n);
		drain(p);
	}
}

static void
check_text(const char *name, enum play_mode mode, const char *what,
    struct buf *got, const char *want)
{
	struct slice g = buf_data(got);

	ck_assert_msg(slice_eq(g, slice_str(want)),
	    "%s (%s): %s is\n%.*s\nnot\n%s", name, mode_names[mode], what,
	    (int)g.n, g.p, want);
}

static void
play_client_once(const struct protocol *protocol, const struct client_case *c,
    enum play_mode mode)
{
	struct client_play p = {
		.protocol = protocol, .c = c, .answers = c->answers
	};

	p.client = protocol->client_create(&c->settings);
	p.window = buf_create(PROTOCOL_INPUT_MAX);
	p.out = buf_create(1 << 20);
	p.log = buf_create(1 << 16);
	if (c->tls)
		protocol->client_tls_started(p.client);
	feed(&p, mode, c->in);
	if (p.tls) {
		p.tls = false;
		feed(&p, mode, c->in_tls);
	}
	check_text(c->name, mode, "what was found", p.log, c->requests);
	check_text(c->name, mode, "the output", p.out, c->out);
	ck_assert(!buf_overflowed(p.out));
	protocol->client_destroy(&p.client);
	ck_assert_ptr_null(p.client);
	buf_destroy(&p.window);
	buf_destroy(&p.out);
	buf_destroy(&p.log);
}

void
play_client(const struct protocol *protocol, const struct client_case *c)
{
	for (int mode = 0; mode < PLAY_MODES; mode++)
		play_client_once(protocol, c, (enum play_mode)mode);
}

struct server_play {
	const struct protocol *protocol;
	struct protocol_server *server;
	struct server_result result;
	enum server_step step;
	struct buf *window, *out;
};

static void
server_drain(struct server_play *p)
{
	size_t used;

	do {
		used = SIZE_MAX;
		p->step = p->protocol->server_parse(
		    p->server, buf_data(p->window), &used, &p->result, p->out);
		ck_assert_uint_le(used, buf_len(p->window));
		buf_consume(p->window, used);
	} while (p->step == SERVER_MORE && used > 0);
}

static void
server_feed(struct server_play *p, enum play_mode mode, struct slice in)
{
	p->step = SERVER_MORE;
	while (in.n > 0) {
		size_t n = portion(mode, in);

		if (n > buf_space(p->window))
			n = buf_space(p->window);
		ck_assert_uint_gt(n, 0);
		buf_put(p->window, slice_make(in.p, n));
		in = slice_skip(in, n);
		if (p->step == SERVER_MORE)
			server_drain(p);
	}
}

static void
describe(const struct server_play *p, struct buf *log)
{
	const struct server_result *r = &p->result;

	if (p->step == SERVER_MORE) {
		buf_put_str(log, "more");
		return;
	}
	if (p->step == SERVER_UNUSABLE) {
		buf_put_str(log, "unusable ");
	} else if (r->ok) {
		buf_put_str(log, "ok [");
		buf_put(log, slice_make(r->capability, r->capability_len));
		buf_put_str(log, "] ");
	} else {
		buf_put_str(log, r->refusal == REFUSE_CREDENTIALS
				     ? "credentials ["
				     : "temporary [");
		buf_put(log, slice_make(r->code, r->code_len));
		buf_put_str(log, "] ");
	}
	buf_put(log, slice_make(r->text, r->text_len));
}

static void
play_server_once(const struct protocol *protocol, const struct server_case *c,
    enum play_mode mode)
{
	struct secret password = { .n = 0 };
	struct server_login login = {
		.user = slice_str(c->user),
		.authz = slice_str(c->authz),
		.password = &password,
		.utf8 = c->utf8,
		.need_capability = c->need_capability,
		.hops = c->hops,
		.nonce = c->nonce,
		.tls = c->tls,
		.want_tls = c->want_tls,
		.need_tls = c->need_tls,
	};
	struct server_play p = { .protocol = protocol };
	struct buf *end = buf_create(4096);

	ck_assert_int_eq(secret_set(&password, slice_str(c->password)), 0);
	p.server = protocol->server_create(&login);
	ck_assert_ptr_nonnull(p.server);
	p.window = buf_create(PROTOCOL_INPUT_MAX);
	p.out = buf_create(PROTOCOL_OUTPUT_MAX);
	server_feed(&p, mode, slice_str(c->in));
	if (p.step == SERVER_STARTTLS) {
		buf_put_str(end, "tls ");
		buf_clear(p.window);
		protocol->server_tls_started(p.server, p.out);
		server_feed(&p, mode, slice_str(c->in_tls));
	}
	describe(&p, end);
	check_text(c->name, mode, "the end", end, c->end);
	check_text(c->name, mode, "what was said", p.out, c->out);
	check_text(c->name, mode, "what is left", p.window,
	    c->left == NULL ? "" : c->left);
	protocol->server_destroy(&p.server);
	ck_assert_ptr_null(p.server);
	buf_destroy(&p.window);
	buf_destroy(&p.out);
	buf_destroy(&end);
}

void
play_server(const struct protocol *protocol, const struct server_case *c)
{
	for (int mode = 0; mode < PLAY_MODES; mode++)
		if (!c->at_once_only || mode == PLAY_AT_ONCE)
			play_server_once(protocol, c, (enum play_mode)mode);
}
