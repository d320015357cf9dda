/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logseek - looking for several texts at once; see the header.
 *
 * Each text's next place is remembered, so that one which is rare is not
 * looked for again up to the same far place whenever another one is found.
 */
#include "config.h"

#include "perdition-pbs/logseek.h"

#include <string.h>

#include "common/banned.h"

/* A capital, if there is one: logs hold few. */
static size_t
rare_byte(struct slice s)
{
	size_t i = 0;

	while (i < s.n && (s.p[i] < 'A' || s.p[i] > 'Z'))
		i++;
	return i < s.n ? i : 0;
}

void
logseek_add(struct logseek *s, struct slice bytes)
{
	for (size_t i = 0; i < s->n; i++)
		if (slice_eq(s->v[i].bytes, bytes))
			return;
	if (bytes.n < LOGSEEK_SHORTEST || s->n == LOGSEEK_MAX) {
		s->all = true;
		return;
	}
	s->v[s->n++] =
	    (struct logseek_text){ .bytes = bytes, .rare = rare_byte(bytes) };
}

/* By one byte, which memchr(3) looks for many bytes at a time; memmem(3) does
 * not. */
static const char *
find(const struct logseek_text *t, struct slice in)
{
	const char *p = in.p, *end = in.p + in.n;

	while ((size_t)(end - p) >= t->bytes.n) {
		size_t starts = (size_t)(end - p) - t->bytes.n + 1;
		const char *at =
		    memchr(p + t->rare, t->bytes.p[t->rare], starts);

		if (at == NULL)
			return NULL;
		p = at - t->rare;
		if (memcmp(p, t->bytes.p, t->bytes.n) == 0)
			return p;
		p++;
	}
	return NULL;
}

const char *
logseek_next(struct logseek *s, struct slice in, bool first)
{
	const char *least = NULL;

	if (s->all)
		return in.p;
	for (size_t i = 0; i < s->n; i++) {
		struct logseek_text *t = &s->v[i];

		if (first || (t->next != NULL && t->next < in.p))
			t->next = find(t, in);
		if (t->next != NULL && (least == NULL || t->next < least))
			least = t->next;
	}
	return least;
}
