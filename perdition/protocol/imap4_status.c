/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * imap4_status - reading status responses and capability lists.
 */
#include "config.h"

#include "perdition/protocol/imap4.h"
#include "perdition/protocol/imap4_status.h"
#include "perdition/protocol/line.h"

#include "common/banned.h"

void
imap4_status_parse(struct slice line, struct imap4_status *status)
{
	static const struct {
		struct slice name;
		enum imap4_status_type type;
	} types[] = {
		{ SLICE("OK"), IMAP4_STATUS_OK },
		{ SLICE("NO"), IMAP4_STATUS_NO },
		{ SLICE("BAD"), IMAP4_STATUS_BAD },
		{ SLICE("PREAUTH"), IMAP4_STATUS_PREAUTH },
		{ SLICE("BYE"), IMAP4_STATUS_BYE },
	};
	struct slice rest = line, word = { NULL, 0 };
	ptrdiff_t close;

	*status = (struct imap4_status){ .type = IMAP4_STATUS_NONE };
	slice_cut(&rest, ' ', &word);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (slice_caseeq(word, types[i].name))
			status->type = types[i].type;
	status->text = rest;
	if (rest.n == 0 || rest.p[0] != '[')
		return;
	close = slice_find(rest, ']');
	if (close == -1)
		return;
	status->code_args = slice_make(rest.p + 1, (size_t)close - 1);
	slice_cut(&status->code_args, ' ', &status->code);
	status->text = slice_skip(rest, (size_t)close + 1);
	if (status->text.n > 0 && status->text.p[0] == ' ')
		status->text = slice_skip(status->text, 1);
}

void
imap4_status_refuse(
    const struct imap4_status *status, struct server_result *result)
{
	static const struct {
		struct slice code;
		enum refusal refusal;
		bool told; /* or ours is told in its place */
	} codes[] = {
		{ SLICE("AUTHENTICATIONFAILED"), REFUSE_CREDENTIALS, true },
		{ SLICE("AUTHORIZATIONFAILED"), REFUSE_CREDENTIALS, true },
		{ SLICE("EXPIRED"), REFUSE_CREDENTIALS, true },
		{ SLICE("CONTACTADMIN"), REFUSE_CREDENTIALS, true },
		{ SLICE("NOPERM"), REFUSE_CREDENTIALS, true },
		{ SLICE("UNAVAILABLE"), REFUSE_TEMPORARY, true },
		{ SLICE("INUSE"), REFUSE_TEMPORARY, true },
		{ SLICE("LIMIT"), REFUSE_TEMPORARY, true },
		{ SLICE("SERVERBUG"), REFUSE_TEMPORARY, true },
		/* The fault is between us and the server: the client's own
		 * TLS would not help, its password may be right. */
		{ SLICE("PRIVACYREQUIRED"), REFUSE_TEMPORARY, false },
		{ SLICE("CLIENTBUG"), REFUSE_TEMPORARY, false },
		/* RFC 2221: it names a host that the client must not see. */
		{ SLICE("REFERRAL"), REFUSE_TEMPORARY, false },
	};

	result->ok = false;
	result->refusal = REFUSE_CREDENTIALS;
	result->code_len = result->capability_len = 0;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (!slice_caseeq(status->code, codes[i].code))
			continue;
		result->refusal = codes[i].refusal;
		if (codes[i].told) {
			memcpy(result->code, codes[i].code.p, codes[i].code.n);
			result->code_len = codes[i].code.n;
		}
	}
	result->text_len =
	    line_copy_text(result->text, sizeof(result->text), status->text);
}

static void
show(struct server_result *result, struct slice word)
{
	size_t n = result->capability_len;

	if (!imap4_capability_ok(word) ||
	    word.n + 1 > sizeof(result->capability) - n)
		return;
	if (n > 0)
		result->capability[n++] = ' ';
	memcpy(result->capability + n, word.p, word.n);
	result->capability_len = n + word.n;
}

void
imap4_capability_parse(struct imap4_capability *cap, struct slice list,
    struct server_result *result)
{
	struct slice word;

	*cap = (struct imap4_capability){ .known = true };
	result->capability_len = 0;
	while (line_word(&list, &word)) {
		if (slice_caseeq(word, SLICE("STARTTLS")))
			cap->starttls = true;
		else if (slice_caseeq(word, SLICE("LOGINDISABLED")))
			cap->login_disabled = true;
		else if (slice_caseeq(word, SLICE("AUTH=PLAIN")))
			cap->auth_plain = true;
		else if (slice_caseeq(word, SLICE("SASL-IR")))
			cap->sasl_ir = true;
		else if (slice_caseeq(word, SLICE("LITERAL+")) ||
			 slice_caseeq(word, SLICE("LITERAL-")))
			cap->literal_plus = true;
		show(result, word);
	}
}
