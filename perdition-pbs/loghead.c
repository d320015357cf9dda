/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loghead - the head of a line of syslog; see the header.
 */
#include "config.h"

#include "perdition-pbs/loghead.h"

#include "common/banned.h"

#define HOST_MAX 255
#define PID_MAX 10 /* digits */

enum { HOST = 1, IDENT = 2 };

/* What the two words of the head are made of; a table, since each line of
 * interest is looked at so. */
static const unsigned char classes[256] = {
	['0' ... '9'] = HOST | IDENT,
	['a' ... 'z'] = HOST | IDENT,
	['A' ... 'Z'] = HOST | IDENT,
	['.'] = HOST | IDENT,
	['_'] = HOST | IDENT,
	['-'] = HOST | IDENT,
	[':'] = HOST,
	['/'] = IDENT,
};

static bool
is_word(struct slice s, unsigned int class)
{
	for (size_t i = 0; i < s.n; i++)
		if ((classes[(unsigned char)s.p[i]] & class) == 0)
			return false;
	return s.n > 0;
}

static bool
is_pid(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0 && s.n <= PID_MAX;
}

/* "cyrus/imap[12]:" */
static bool
take_ident(struct slice word, struct loghead *h)
{
	if (word.n < 2 || word.p[word.n - 1] != ':')
		return false;
	word.n--;
	h->pid = slice_make(word.p, 0);
	h->ident = word;
	if (word.p[word.n - 1] == ']') {
		word.n--;
		if (!slice_cut(&word, '[', &h->ident) || !is_pid(word))
			return false;
		h->pid = word;
	}
	return is_word(h->ident, IDENT);
}

bool
loghead_parse(struct slice line, struct loghead *h)
{
	struct slice word;

	if (line.n == 0 || line.p[0] != ' ')
		return false;
	h->message = slice_skip(line, 1);
	h->host = slice_make(h->message.p, 0);
	if (!slice_cut(&h->message, ' ', &word) || word.n == 0)
		return false;
	if (word.p[word.n - 1] == ':')
		return take_ident(word, h);
	h->host = word;
	return word.n <= HOST_MAX && is_word(word, HOST) &&
	       slice_cut(&h->message, ' ', &word) && take_ident(word, h);
}

struct slice
loghead_unrepeated(struct slice message)
{
	struct slice rest = message, count;

	if (!slice_starts(rest, SLICE("message repeated ")))
		return message;
	rest = slice_skip(rest, sizeof("message repeated ") - 1);
	if (!slice_cut(&rest, ' ', &count) || !is_pid(count) ||
	    !slice_starts(rest, SLICE("times: [ ")) ||
	    rest.p[rest.n - 1] != ']')
		return message;
	rest = slice_skip(rest, sizeof("times: [ ") - 1);
	if (rest.n > 0)
		rest.n--;
	return rest;
}
