/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map_words - see map_words.h.
 */
#include "config.h"

#include "perdition/modules/map_words.h"

#include <stdlib.h>

#include "perdition/modules/map_answer.h"

#include "common/banned.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* One word from *in, unquoted, to *out, with its NUL.  False: an open quote. */
static bool
take_word(const char **in, char **out)
{
	const char *p = *in;
	char *o = *out;
	char quote = '\0';

	for (; *p != '\0' && (quote != '\0' || !is_blank(*p)); p++) {
		if (*p == quote) {
			quote = '\0';
		} else if (quote == '\0' && (*p == '\'' || *p == '"')) {
			quote = *p;
		} else if (*p == '\\' && quote != '\'') {
			if (*++p == '\0')
				return false;
			*o++ = *p;
		} else {
			*o++ = *p;
		}
	}
	*o++ = '\0';
	*in = p;
	*out = o;
	return quote == '\0';
}

int
map_words_split(struct map_words *w, const char *text, struct popmap_error *err)
{
	char *out;

	memset(w, 0, sizeof(*w));
	w->size = strlen(text) + 2; /* no word is longer than its source */
	w->text = calloc(1, w->size);
	if (w->text == NULL)
		return map_error(err, "out of memory");
	out = w->text;
	for (;;) {
		while (is_blank(*text))
			text++;
		if (*text == '\0')
			return 0;
		if (w->n == MAP_WORDS_MAX) {
			map_error(
			    err, "options: more than %d words", MAP_WORDS_MAX);
			break;
		}
		w->word[w->n++] = out;
		if (!take_word(&text, &out)) {
			map_error(err, "options: a quote is not closed, or "
				       "nothing stands behind a backslash");
			break;
		}
	}
	map_words_clear(w);
	return -1;
}

void
map_words_clear(struct map_words *w)
{
	if (w->text != NULL)
		explicit_bzero(w->text, w->size);
	free(w->text);
	memset(w, 0, sizeof(*w));
}

bool
map_words_pair(const char *word, struct slice *name, const char **value)
{
	size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyz_");

	if (n == 0 || word[n] != '=')
		return false;
	*name = slice_make(word, n);
	*value = word + n + 1;
	return true;
}
