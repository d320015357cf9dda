/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_protocol - feeds a parser the same bytes in two ways, all at once and
 * one by one, and aborts when the two differ or a bound is broken.
 */
#include "config.h"

#include <stdlib.h>

#include "perdition/protocol/fuzz_protocol.h"
#include "perdition/protocol/line.h"

#include "common/banned.h"

/* Not assert(): it must hold with NDEBUG too. */
#define MUST(what)                                                             \
	do {                                                                   \
		if (!(what))                                                   \
			abort();                                               \
	} while (0)

#define FNV_OFFSET 14695981039346656037ULL

/* Everything that came out of a run, folded (FNV-1a). */
static void
fold(uint64_t *sum, const void *p, size_t n)
{
	const unsigned char *bytes = p;

	for (size_t i = 0; i < n; i++)
		*sum = (*sum ^ bytes[i]) * 1099511628211ULL;
}

static void
fold_slice(uint64_t *sum, struct slice s)
{
	fold(sum, &s.n, sizeof(s.n));
	fold(sum, s.p, s.n);
}

/* Whole lines that end in CRLF, without NUL, CR or LF inside. */
static void
check_lines(struct slice out)
{
	MUST(out.n <= PROTOCOL_REPLY_MAX);
	while (out.n > 0) {
		struct slice line;

		MUST(slice_cut(&out, '\n', &line));
		MUST(line.n > 0 && line.p[line.n - 1] == '\r');
		line.n--;
		MUST(line_arg_ok(line));
	}
}

struct run {
	const struct protocol *protocol;
	struct buf *window, *out;
	uint64_t sum;     /* of what was found */
	uint64_t out_sum; /* of what was said: a "+" of its own or with more */
	bool over;
};

static void
run_open(struct run *r, const struct protocol *protocol)
{
	*r = (struct run){
		.protocol = protocol, .sum = FNV_OFFSET, .out_sum = FNV_OFFSET
	};
	r->window = buf_create(PROTOCOL_INPUT_MAX);
	r->out = buf_create(PROTOCOL_OUTPUT_MAX);
	MUST(r->window != NULL && r->out != NULL);
}

static void
run_close(struct run *r)
{
	buf_destroy(&r->window);
	buf_destroy(&r->out);
}

/* Move as much of *in as step and the window allow. */
static void
take(struct run *r, struct slice *in, size_t step)
{
	size_t n = in->n < step ? in->n : step;

	if (n > buf_space(r->window))
		n = buf_space(r->window);
	MUST(n > 0); /* or the client would hang */
	buf_put(r->window, slice_make(in->p, n));
	*in = slice_skip(*in, n);
}

static void
fold_out(struct run *r)
{
	check_lines(buf_data(r->out));
	fold(&r->out_sum, buf_data(r->out).p, buf_len(r->out));
	buf_clear(r->out);
}

/* --- clients ------------------------------------------------------------ */

static void
check_creds(struct run *r, enum request request, struct credentials *creds)
{
	struct slice user = slice_make(creds->user, creds->user_len);
	struct slice authz = slice_make(creds->authz, creds->authz_len);
	struct slice password = secret_get(&creds->password);

	if (request != REQUEST_LOGIN && request != REQUEST_REFUSED) {
		static const struct credentials none;

		MUST(memcmp(creds, &none, sizeof(none)) == 0);
		return;
	}
	MUST(creds->user_len <= sizeof(creds->user));
	MUST(creds->authz_len <= sizeof(creds->authz));
	MUST(password.n <= sizeof(creds->password.bytes));
	MUST(request == REQUEST_LOGIN || password.n == 0);
	MUST(request == REQUEST_REFUSED || user.n > 0);
	MUST(creds->has_authz == (authz.n > 0));
	if (request == REQUEST_LOGIN)
		MUST(line_arg_ok(user) && line_arg_ok(authz) &&
		     line_arg_ok(password));
	fold_slice(&r->sum, user);
	fold_slice(&r->sum, authz);
	fold_slice(&r->sum, password);
	fold(&r->sum, &creds->hops, sizeof(creds->hops));
}

static void
client_request(struct run *r, struct protocol_client *c, enum request request)
{
	unsigned char letter = (unsigned char)request;

	if (request != REQUEST_MORE)
		fold(&r->sum, &letter, 1);
	if (request == REQUEST_LOGIN)
		r->protocol->client_refuse(c, REFUSE_CREDENTIALS, NULL, r->out);
	if (request == REQUEST_QUIT || request == REQUEST_ABORT)
		r->over = true;
	if (request == REQUEST_STARTTLS)
		r->over = true; /* what is lost depends on when it came */
}

static void
client_drain(struct run *r, struct protocol_client *c)
{
	enum request request = REQUEST_ANSWERED;

	while (request != REQUEST_MORE && !r->over && buf_len(r->window) > 0) {
		struct credentials creds;
		size_t used = SIZE_MAX;

		memset(&creds, 0, sizeof(creds));
		request = r->protocol->client_parse(
		    c, buf_data(r->window), &used, &creds, r->out);
		MUST(used <= buf_len(r->window));
		MUST(request == REQUEST_MORE || used > 0);
		buf_consume(r->window, used);
		check_creds(r, request, &creds);
		client_request(r, c, request);
		fold_out(r);
	}
}

static uint64_t
client_run(const struct protocol *protocol,
    const struct protocol_settings *settings, bool tls, struct slice in,
    size_t step)
{
	struct protocol_client *c = protocol->client_create(settings);
	struct run r;

	MUST(c != NULL);
	run_open(&r, protocol);
	if (tls)
		protocol->client_tls_started(c);
	protocol->client_greet(c, SLICE("mail.example.org"), r.out);
	fold_out(&r);
	while (in.n > 0 && !r.over) {
		take(&r, &in, step);
		client_drain(&r, c);
	}
	protocol->client_destroy(&c);
	run_close(&r);
	fold(&r.sum, &r.out_sum, sizeof(r.out_sum));
	return r.sum;
}

void
fuzz_client(const struct protocol *protocol, const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size);
	struct protocol_settings settings = { .ok_line = "in" };
	uint64_t sum;
	bool tls;

	if (size == 0)
		return;
	settings.starttls = data[0] & 1;
	settings.need_tls = data[0] & 2;
	settings.login_disabled = data[0] & 4;
	tls = data[0] & 8;
	in = slice_skip(in, 1);
	sum = client_run(protocol, &settings, tls, in, SIZE_MAX);
	MUST(client_run(protocol, &settings, tls, in, 1) == sum);
	MUST(client_run(protocol, &settings, tls, in, 7) == sum);
}

/* --- real-servers ------------------------------------------------------- */

static void
check_result(struct run *r, const struct server_result *result)
{
	struct slice code = slice_make(result->code, result->code_len);
	struct slice text = slice_make(result->text, result->text_len);
	struct slice capability =
	    slice_make(result->capability, result->capability_len);

	MUST(code.n <= sizeof(result->code));
	MUST(text.n <= sizeof(result->text));
	MUST(capability.n <= sizeof(result->capability));
	for (size_t i = 0; i < text.n; i++)
		MUST(text.p[i] >= 0x20 && text.p[i] <= 0x7e);
	for (size_t i = 0; i < capability.n; i++)
		MUST(capability.p[i] >= 0x20 && capability.p[i] <= 0x7e &&
		     capability.p[i] != ']');
	fold(&r->sum, &result->ok, sizeof(result->ok));
	fold_slice(&r->sum, code);
	fold_slice(&r->sum, text);
	fold_slice(&r->sum, capability);
}

static enum server_step
server_drain(struct run *r, struct protocol_server *s)
{
	struct server_result result = { .ok = false };
	enum server_step step;
	size_t used;

	do {
		used = SIZE_MAX;
		step = r->protocol->server_parse(
		    s, buf_data(r->window), &used, &result, r->out);
		MUST(used <= buf_len(r->window));
		MUST(step == SERVER_MORE || used > 0);
		buf_consume(r->window, used);
		if (step == SERVER_DONE || step == SERVER_UNUSABLE)
			check_result(r, &result);
		if (step == SERVER_STARTTLS) {
			buf_clear(r->window);
			r->protocol->server_tls_started(s, r->out);
		}
		fold_out(r);
	} while (step == SERVER_MORE && used > 0);
	return step;
}

static uint64_t
server_run(const struct protocol *protocol, const struct server_login *login,
    struct slice in, size_t step)
{
	struct protocol_server *s = protocol->server_create(login);
	struct run r;

	MUST(s != NULL);
	run_open(&r, protocol);
	while (in.n > 0 && !r.over) {
		enum server_step next;
		unsigned char letter;

		take(&r, &in, step);
		next = server_drain(&r, s);
		letter = (unsigned char)next;
		r.over = next == SERVER_DONE || next == SERVER_UNUSABLE;
		if (next != SERVER_MORE)
			fold(&r.sum, &letter, 1);
	}
	protocol->server_destroy(&s);
	run_close(&r);
	fold(&r.sum, &r.out_sum, sizeof(r.out_sum));
	return r.sum;
}

void
fuzz_server(const struct protocol *protocol, const uint8_t *data, size_t size)
{
	struct slice in = slice_make((const char *)data, size);
	struct secret password = { .n = 6, .bytes = "p\"\\ %s" };
	struct server_login login = { .user = SLICE("bob"),
		.password = &password };
	uint64_t sum;

	if (size == 0)
		return;
	login.want_tls = data[0] & 1;
	login.need_tls = data[0] & 2;
	login.tls = data[0] & 4;
	login.need_capability = data[0] & 8;
	login.utf8 = data[0] & 16;
	if (data[0] & 32)
		login.authz = SLICE("ann");
	if (data[0] & 64)
		login.user = SLICE("b\xc3\xb6");
	if (data[0] & 128)
		password.bytes[0] = '\xff';
	in = slice_skip(in, 1);
	sum = server_run(protocol, &login, in, SIZE_MAX);
	/* Behind STARTTLS it matters what comes together. */
	if (login.tls || !(login.want_tls || login.need_tls))
		MUST(server_run(protocol, &login, in, 7) == sum);
	if (server_run(protocol, &login, in, 1) != sum)
		MUST(!login.tls && (login.want_tls || login.need_tls));
}
