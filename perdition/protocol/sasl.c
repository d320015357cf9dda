/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sasl - PLAIN and LOGIN, and the base64 that carries them.
 */
#include "config.h"

#include <errno.h>

#include "perdition/protocol/line.h"
#include "perdition/protocol/sasl.h"

#include "common/banned.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/*
 * One group of four with pad "=" at its end, as 24 bits; -1 if it is not one.
 */
static int32_t
base64_group(const char *p, unsigned int pad)
{
	static const uint32_t unused[] = { 0, 0xff, 0xffff };
	uint32_t bits = 0;

	for (unsigned int i = 0; i < 4; i++) {
		int v = i < 4 - pad ? base64_value(p[i]) : 0;

		if (v == -1)
			return -1;
		bits = bits << 6 | (uint32_t)v;
	}
	return (bits & unused[pad]) != 0 ? -1 : (int32_t)bits;
}

ssize_t
base64_decode(struct slice text, char *out, size_t cap)
{
	size_t n = 0;

	if (text.n % 4 != 0) {
		errno = EBADMSG;
		return -1;
	}
	for (size_t i = 0; i < text.n; i += 4) {
		unsigned int pad = 0;
		int32_t bits;

		if (i + 4 == text.n && text.p[i + 3] == '=')
			pad = text.p[i + 2] == '=' ? 2 : 1;
		bits = base64_group(text.p + i, pad);
		if (bits == -1) {
			errno = EBADMSG;
			return -1;
		}
		if (3 - pad > cap - n) {
			errno = EMSGSIZE;
			return -1;
		}
		for (unsigned int k = 0; k < 3 - pad; k++)
			out[n++] = (char)(bits >> (16 - 8 * k) & 0xff);
	}
	return (ssize_t)n;
}

int
base64_put(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i += 3) {
		size_t left = s.n - i < 3 ? s.n - i : 3;
		uint32_t bits = 0;
		char group[4];

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 |
			       (k < left ? (unsigned char)s.p[i + k] : 0U);
		for (size_t k = 0; k < 4; k++)
			group[k] = k <= left
				       ? alphabet[bits >> (18 - 6 * k) & 63]
				       : '=';
		if (buf_put(out, slice_make(group, 4)) == -1)
			return -1;
	}
	return 0;
}

bool
sasl_find(struct slice name, enum sasl_mechanism *mechanism)
{
	if (slice_caseeq(name, SLICE("PLAIN")))
		*mechanism = SASL_PLAIN;
	else if (slice_caseeq(name, SLICE("LOGIN")))
		*mechanism = SASL_LOGIN;
	else
		return false;
	return true;
}

void
sasl_init(struct sasl *s, enum sasl_mechanism mechanism)
{
	sasl_clear(s);
	s->mechanism = mechanism;
}

void
sasl_clear(struct sasl *s)
{
	secret_wipe(s, sizeof(*s));
}

struct slice
sasl_challenge(const struct sasl *s)
{
	if (s->mechanism == SASL_PLAIN)
		return slice_make(NULL, 0);
	return s->has_user ? SLICE("UGFzc3dvcmQ6")  /* Password: */
			   : SLICE("VXNlcm5hbWU6"); /* Username: */
}

/* A name of a client, into one of the arrays of struct credentials. */
static bool
copy_name(char out[AUTH_USER_MAX], size_t *len, struct slice name)
{
	if (name.n > AUTH_USER_MAX || !line_arg_ok(name))
		return false;
	if (name.n > 0)
		memcpy(out, name.p, name.n);
	*len = name.n;
	return true;
}

static bool
copy_password(struct secret *out, struct slice password)
{
	return line_arg_ok(password) && secret_set(out, password) == 0;
}

static enum sasl_status
plain_response(struct slice message, struct credentials *creds)
{
	struct slice rest = message, authz, user;

	/* RFC 4616 section 2: user and password are not empty, and a third NUL
	 * is refused by copy_password(). */
	if (!slice_cut(&rest, '\0', &authz) || !slice_cut(&rest, '\0', &user) ||
	    user.n == 0 || rest.n == 0)
		return SASL_MALFORMED;
	if (!copy_name(creds->authz, &creds->authz_len, authz) ||
	    !copy_name(creds->user, &creds->user_len, user) ||
	    !copy_password(&creds->password, rest))
		return SASL_MALFORMED;
	creds->has_authz = authz.n > 0;
	return SASL_DONE;
}

static enum sasl_status
login_response(struct sasl *s, struct slice message, struct credentials *creds)
{
	if (message.n == 0)
		return SASL_MALFORMED;
	if (!s->has_user) {
		if (!copy_name(s->user, &s->user_len, message))
			return SASL_MALFORMED;
		s->has_user = true;
		return SASL_CONTINUE;
	}
	if (!copy_name(creds->user, &creds->user_len,
		slice_make(s->user, s->user_len)) ||
	    !copy_password(&creds->password, message))
		return SASL_MALFORMED;
	creds->authz_len = 0;
	creds->has_authz = false;
	return SASL_DONE;
}

static void
wipe_names(struct credentials *creds)
{
	secret_wipe(creds->user, sizeof(creds->user));
	secret_wipe(creds->authz, sizeof(creds->authz));
	creds->user_len = creds->authz_len = 0;
	creds->has_authz = false;
	secret_clear(&creds->password);
}

static enum sasl_status
respond(struct sasl *s, struct slice line, struct credentials *creds)
{
	char message[SASL_MESSAGE_MAX];
	ssize_t n = base64_decode(line, message, sizeof(message));
	enum sasl_status status = SASL_MALFORMED;

	if (n != -1) {
		struct slice m = slice_make(message, (size_t)n);

		status = s->mechanism == SASL_PLAIN
			     ? plain_response(m, creds)
			     : login_response(s, m, creds);
	}
	secret_wipe(message, sizeof(message));
	if (status == SASL_MALFORMED)
		wipe_names(creds);
	if (status != SASL_CONTINUE)
		sasl_clear(s);
	return status;
}

enum sasl_status
sasl_response(struct sasl *s, struct slice line, struct credentials *creds)
{
	if (slice_eq(line, SLICE("*"))) {
		sasl_clear(s);
		return SASL_CANCELLED;
	}
	return respond(s, line, creds);
}

enum sasl_status
sasl_initial_response(
    struct sasl *s, struct slice line, struct credentials *creds)
{
	if (slice_eq(line, SLICE("=")))
		return respond(s, slice_make(NULL, 0), creds);
	return respond(s, line, creds);
}

int
sasl_put_plain(struct buf *out, struct slice authz, struct slice user,
    struct slice password)
{
	char message[SASL_MESSAGE_MAX];
	const struct slice parts[] = { authz, SLICE("\0"), user, SLICE("\0"),
		password };
	size_t n = 0;
	int ret = -1;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].n > sizeof(message) - n) {
			errno = ENOSPC;
			goto out;
		}
		if (parts[i].n > 0)
			memcpy(message + n, parts[i].p, parts[i].n);
		n += parts[i].n;
	}
	ret = base64_put(out, slice_make(message, n));
out:
	secret_wipe(message, sizeof(message));
	return ret;
}
