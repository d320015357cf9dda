/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relay_order - records by the page where they belong; see the header.
 */
#include "config.h"

#include "perdition-pbs/relay_order.h"

#include <assert.h>
#include <stdlib.h>

#include "perdition-pbs/relay_key.h"

#include "common/banned.h"

#define WORTH_IT 20000u    /* records; fewer fit any cache */
#define RECORDS_A_PAGE 50u /* about */

static_assert(RELAY_SPELLINGS <= 4, "a spelling's number has two bits");
static_assert(RELAY_STORE_MAX <= UINT32_MAX >> 2, "the entry's has the others");

/* Berkeley DB's default, after Fowler, Noll and Vo. */
static uint32_t
hash_of(const char *text)
{
	uint32_t h = 0;

	for (; *text != '\0'; text++)
		h = h * 16777619u ^ (unsigned char)*text;
	return h;
}

struct sort {
	uint32_t *page; /* of each record, in the store's order */
	uint32_t *record;
	uint32_t *first; /* of each page: where its records begin */
	uint32_t pages;  /* a power of 2 */
	size_t n;
};

static void
assign_pages(
    struct sort *t, const struct relay_store *store, const char *prefix)
{
	struct relay_spellings s;

	for (size_t i = 0; i < relay_store_count(store); i++) {
		relay_key_spell(&relay_store_at(store, i)->key, prefix, &s);
		for (size_t j = 0; j < s.n; j++) {
			t->page[t->n] = hash_of(s.text[j]) & (t->pages - 1);
			t->record[t->n] = (uint32_t)(i << 2 | j);
			t->n++;
		}
	}
}

/* Counting sort: each record is moved once. */
static void
sort(struct sort *t, uint32_t *out)
{
	for (size_t i = 0; i < t->n; i++)
		t->first[t->page[i] + 1]++;
	for (uint32_t p = 0; p < t->pages; p++)
		t->first[p + 1] += t->first[p];
	for (size_t i = 0; i < t->n; i++)
		out[t->first[t->page[i]]++] = t->record[i];
}

uint32_t *
relay_order_make(
    const struct relay_store *store, const char *prefix, size_t max, size_t *n)
{
	struct sort t = { .pages = 1 };
	uint32_t *out = NULL;

	*n = 0;
	if (max < WORTH_IT)
		return NULL;
	while (t.pages < max / RECORDS_A_PAGE)
		t.pages *= 2;
	t.page = calloc(max, sizeof(*t.page));
	t.record = calloc(max, sizeof(*t.record));
	t.first = calloc((size_t)t.pages + 1, sizeof(*t.first));
	if (t.page != NULL && t.record != NULL && t.first != NULL)
		out = calloc(max, sizeof(*out));
	if (out != NULL) {
		assign_pages(&t, store, prefix);
		sort(&t, out);
		*n = t.n;
	}
	free(t.page);
	free(t.record);
	free(t.first);
	return out;
}
