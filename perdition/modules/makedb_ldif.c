/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * makedb_ldif - a popmap as LDIF (RFC 2849) for the schema in contrib/ldap.
 *
 * Several servers make one value of mailhost, with commas: a directory does
 * not promise to keep the order of values.
 */
#include "config.h"

#include "perdition/modules/makedb.h"

#include <stdlib.h>

#include "common/banned.h"

/* OpenLDAP's (mdb) limit for a part of a DN; it would stop in the middle. */
#define KEY_MAX_BYTES 240
#define TOO_LONG                                                               \
	"key longer than 240 bytes, where one that is special in a DN counts " \
	"as three"
#define NOT_ASCII "a server's name that is not ASCII"

/* --- LDIF ----------------------------------------------------------------- */

static bool
is_safe(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		/* Other control bytes would be safe, but hard to see. */
		if (c < ' ' || c > '~')
			return false;
	}
	return s.n == 0 || (strchr(" :<", s.p[0]) == NULL && /* not a NUL */
			       s.p[s.n - 1] != ' ');
}

/* RFC 4648 section 4. */
static void
put_base64(FILE *out, struct slice s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < s.n; i += 3) {
		size_t n = s.n - i < 3 ? s.n - i : 3;
		unsigned int bits = 0;

		for (size_t j = 0; j < 3; j++)
			bits = bits << 8 |
			       (j < n ? (unsigned char)s.p[i + j] : 0u);
		for (size_t j = 0; j < 4; j++)
			fputc(j > n ? '=' : digits[bits >> (18 - 6 * j) & 63],
			    out);
	}
}

static void
put_attribute(struct makedb *m, const char *name, struct slice value)
{
	fprintf(m->out, "%s:", name);
	if (is_safe(value)) {
		fputc(' ', m->out);
		fwrite(value.p, 1, value.n, m->out);
	} else {
		fputs(": ", m->out);
		put_base64(m->out, value);
	}
	fputc('\n', m->out);
}

/* RFC 4514 section 2.4; at: where c stands. */
static bool
is_special(struct slice s, size_t at)
{
	unsigned char c = (unsigned char)s.p[at];

	if (c == ' ')
		return at == 0 || at == s.n - 1;
	if (c == '#')
		return at == 0;
	return c < ' ' || c == 0x7f || strchr("\"+,;<=>\\", c) != NULL;
}

/* How OpenLDAP keeps it: in the form \2c. */
static size_t
dn_length(struct slice s)
{
	size_t n = s.n;

	for (size_t i = 0; i < s.n; i++)
		n += is_special(s, i) ? 2 : 0;
	return n;
}

static void
put_dn_value(FILE *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < ' ' || c == 0x7f)
			fprintf(out, "\\%02x", c);
		else
			fprintf(out, is_special(s, i) ? "\\%c" : "%c", c);
	}
}

static bool
put_dn(struct makedb *m, struct slice key)
{
	char *dn = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&dn, &n);

	if (out == NULL)
		return false;
	fputs("uid=", out);
	put_dn_value(out, key);
	if (m->options->base[0] != '\0')
		fprintf(out, ",%s", m->options->base);
	if (fclose(out) == EOF) {
		free(dn);
		return false;
	}
	put_attribute(m, "dn", slice_make(dn, n));
	free(dn);
	return true;
}

/* --- keys that are one for a directory -------------------------------------
 */

/* The byte at *i as uid is compared: without case, spaces as one. */
static int
next_folded(struct slice s, size_t *i)
{
	char c;

	if (*i == s.n)
		return -1;
	c = s.p[(*i)++];
	if (c == ' ')
		while (*i < s.n && s.p[*i] == ' ')
			(*i)++;
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static int
compare_keys(struct slice a, struct slice b)
{
	size_t i = 0, j = 0;

	for (;;) {
		int c = next_folded(a, &i), d = next_folded(b, &j);

		if (c != d)
			return c < d ? -1 : 1;
		if (c == -1)
			return 0;
	}
}

static int
compare(const void *va, const void *vb)
{
	const struct map_entry *a = *(const struct map_entry *const *)va;
	const struct map_entry *b = *(const struct map_entry *const *)vb;
	int d = compare_keys(a->key, b->key);

	return d != 0 ? d : a->line < b->line ? -1 : a->line > b->line;
}

/* Or the whole would be refused when it is loaded, in the middle. */
static const char *
find_repeated(struct makedb *m)
{
	size_t n = m->source->n;
	const struct map_entry **v = calloc(n + 1, sizeof(const void *));
	char text[128];

	if (v == NULL)
		return "out of memory";
	for (size_t i = 0; i < n; i++)
		v[i] = &m->source->v[i];
	qsort(v, n, sizeof(const void *), compare);
	for (size_t i = 1; i < n; i++) {
		if (compare_keys(v[i - 1]->key, v[i]->key) != 0)
			continue;
		snprintf(text, sizeof(text),
		    "key of line %lu again: case and spaces make no "
		    "difference in a directory",
		    v[i - 1]->line);
		makedb_complain(m, v[i]->line, text);
	}
	free(v);
	return NULL;
}

/* --- entries -------------------------------------------------------------- */

static const char *
ldif_begin(struct makedb *m)
{
	/* No "version: 1": slapadd takes it for an entry. */
	return find_repeated(m);
}

static bool
is_ascii(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* Whether one attribute says it for all servers. */
static bool
same_user(const struct makedb_entry *e)
{
	for (size_t i = 1; i < e->n; i++)
		if (!slice_eq(e->server[i].user, e->server[0].user))
			return false;
	return true;
}

/* [USER<delimiter>]SERVER with PORT where popmap(5) has it. */
static void
put_server(FILE *out, const struct makedb_server *s, const char *delimiter)
{
	struct slice name = makedb_server_name(s);
	ptrdiff_t tls = slice_rfind(name, SLICE("?tls="));
	size_t host = tls == -1 ? name.n : (size_t)tls;

	if (delimiter != NULL && s->user.n > 0) {
		fwrite(s->user.p, 1, s->user.n, out);
		fputs(delimiter, out);
	}
	fwrite(name.p, 1, host, out);
	if (s->port.n > 0) {
		fputc(':', out);
		fwrite(s->port.p, 1, s->port.n, out);
	}
	fwrite(name.p + host, 1, name.n - host, out);
}

/* NULL, or what is wrong. */
static const char *
put_servers(struct makedb *m, const struct makedb_entry *e, bool users)
{
	char *list = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&list, &n);
	const char *wrong = NULL;

	if (out == NULL)
		return "out of memory";
	for (size_t i = 0; i < e->n; i++) {
		if (i > 0)
			fputc(',', out);
		put_server(
		    out, &e->server[i], users ? m->options->delimiter : NULL);
	}
	if (fclose(out) == EOF)
		wrong = "out of memory";
	else if (!is_ascii(slice_make(list, n)))
		wrong = users ? "users that differ by server, not in ASCII"
			      : NOT_ASCII;
	else
		put_attribute(m, "mailhost", slice_make(list, n));
	free(list);
	return wrong;
}

/* With the port where the schema has it. */
static const char *
put_single(struct makedb *m, const struct makedb_server *s)
{
	if (!is_ascii(makedb_server_name(s)))
		return NOT_ASCII;
	put_attribute(m, "mailhost", makedb_server_name(s));
	if (s->port.n > 0)
		put_attribute(m, "port", s->port);
	return NULL;
}

static const char *
ldif_entry(struct makedb *m, const struct makedb_entry *e)
{
	struct slice classes = slice_str(m->options->classes), class;
	const struct makedb_server *first = &e->server[0];
	bool same = same_user(e), more = true;
	const char *wrong;

	if (dn_length(e->key) > KEY_MAX_BYTES)
		return TOO_LONG;
	if (!put_dn(m, e->key))
		return "out of memory";
	while (more) {
		more = slice_cut(&classes, ',', &class);
		put_attribute(m, "objectClass", class);
	}
	put_attribute(m, "uid", e->key);
	if (same && first->user.n > 0)
		put_attribute(m, "username", first->user);
	wrong = e->n > 1 ? put_servers(m, e, !same) : put_single(m, first);
	fputc('\n', m->out);
	return wrong;
}

static void
ldif_end(struct makedb *m)
{
	(void)m;
}

const struct makedb_format makedb_ldap = {
	.name = "ldap",
	.begin = ldif_begin,
	.entry = ldif_entry,
	.end = ldif_end,
};
