/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values written as the file syntax reads them back.
 */
#include "config.h"

#include "common/option_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

int
option_finish(FILE *f)
{
	if (fflush(f) == EOF)
		return -1;
	if (ferror(f) != 0) {
		errno = EIO; /* it was lost when that write failed */
		return -1;
	}
	return 0;
}

static bool
bare_byte(char c)
{
	return (unsigned char)c >= 0x20 && c != 0x7f && c != '\'' && c != '"' &&
	       c != '\\' && c != '#';
}

/* As the file syntax reads it back, whatever the text. */
void
option_write_value(FILE *f, const char *text)
{
	size_t n = strlen(text), i;
	bool bare = n > 0 && text[0] != ' ' && text[n - 1] != ' ';

	for (i = 0; i < n && bare; i++)
		bare = bare_byte(text[i]);
	if (bare || n == 0) {
		fputs(bare ? text : "\"\"", f);
		return;
	}
	fputc('\'', f);
	for (i = 0; i < n; i++) {
		if (text[i] == '\'')
			fputs("'\\''", f);
		else
			fputc(text[i], f);
	}
	fputc('\'', f);
}

/* Value i as text, malloc'ed; NULL with errno 0 when there is none. */
static char *
value_text(const struct option_def *def, const void *config, size_t i)
{
	const void *field = (const char *)config + def->offset;
	size_t cap = 1024;
	char *text;
	int n;

	for (;;) {
		text = malloc(cap);
		if (text == NULL)
			return NULL;
		n = def->type->print(def, field, i, text, cap);
		if (n < 0) {
			free(text);
			errno = 0;
			return NULL;
		}
		if ((size_t)n < cap)
			return text;
		explicit_bzero(text, cap); /* perhaps half a password */
		free(text);
		cap = (size_t)n + 1;
	}
}

static int
dump_option(const struct option_def *def, const void *config, FILE *f)
{
	size_t i;
	char *text;

	for (i = 0; (text = value_text(def, config, i)) != NULL; i++) {
		fprintf(f, "%s ", def->name);
		option_write_value(f, text);
		fputc('\n', f);
		explicit_bzero(text, strlen(text));
		free(text);
	}
	if (errno != 0)
		return -1;
	/* Or the default would come back where there was nothing. */
	if (i == 0 && def->type->many)
		fprintf(f, "%s \"\"\n", def->name);
	return 0;
}

int
option_write_dump(
    const struct option_table *table, const void *config, bool secrets, FILE *f)
{
	const struct option_def *def;
	unsigned int without = OPTION_COMMAND | (secrets ? 0 : OPTION_SECRET);

	for (def = table->defs; def->name != NULL; def++) {
		if (def->alias_of == NULL && (def->flags & without) == 0 &&
		    dump_option(def, config, f) == -1)
			return -1;
	}
	return option_finish(f);
}
