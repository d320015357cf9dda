/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ldap - popmap module: an LDAP directory, by OpenLDAP's library.
 *
 * One connection, made at the first lookup and kept.  When it turns out to be
 * lost, the servers are tried in their order, and the question is put again;
 * the time of a lookup is shared among those that may still be tried.
 * Referrals are not followed.  The option is what ldap_options.h reads.
 */
#include "config.h"

#include <ldap.h>
#include <stdio.h>
#include <stdlib.h>

#include "perdition/modules/ldap_filter.h"
#include "perdition/modules/ldap_link.h"
#include "perdition/modules/ldap_options.h"
#include "perdition/modules/ldap_socket.h"
#include "perdition/modules/map_answer.h"
#include "perdition/modules/map_join.h"
#include "perdition/popmap.h"

#include "common/banned.h"

extern const struct popmap_ops popmap_module;

struct popmap {
	struct ldap_options options;
	LDAP *ld;                         /* NULL: not connected */
	const struct ldap_server *server; /* to whom */
};

/* How an attempt with one server ended. */
enum outcome {
	ANSWERED,
	REFUSED,   /* and so would the others */
	UNREACHED, /* another one may know */
};

static void
ldap_close(struct popmap **mp)
{
	if (*mp == NULL)
		return;
	ldap_link_close(&(*mp)->ld);
	ldap_options_clear(&(*mp)->options);
	free(*mp);
	*mp = NULL;
}

static int
ldap_open_map(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	struct popmap *map = calloc(1, sizeof(*map));

	(void)sysconfdir;
	*mp = map;
	if (map == NULL)
		return map_error(err, "out of memory");
	if (ldap_options_parse(&map->options, options, err) == -1 ||
	    ldap_link_check(&map->options, err) == -1) {
		ldap_close(mp);
		return -1;
	}
	return 0;
}

/* --- to ask --------------------------------------------------------------- */

/* A result code, the server's (positive) or the library's, as an outcome. */
static enum outcome
judge(struct popmap *map, int code, struct popmap_error *err)
{
	const char *what = "search";

	switch (code) {
	case LDAP_SUCCESS:
		return ANSWERED;
	case LDAP_NO_SUCH_OBJECT:
		/* Of a user nothing is said by this. */
		what = "search base (is it there, and may we read it?)";
		break;
	case LDAP_SIZELIMIT_EXCEEDED:
		what = "search (does the filter fit too many entries?)";
		break;
	case LDAP_REFERRAL:
	case LDAP_PARTIAL_RESULTS:
		what = "search (another server would know)";
		break;
	default:
		break;
	}
	ldap_link_error(err, map->ld, map->server, what, code);
	if (code != LDAP_FILTER_ERROR &&
	    (code < 0 || code == LDAP_BUSY || code == LDAP_UNAVAILABLE)) {
		ldap_link_close(&map->ld);
		return UNREACHED;
	}
	return REFUSED;
}

/* The server is not to work on for nobody. */
static struct timeval
server_limit(uint64_t deadline)
{
	unsigned int ms = ldap_ms_left(deadline, INT32_MAX);
	struct timeval tv = { .tv_sec = ms / 1000 + 1 };

	return tv;
}

static enum outcome
search(struct popmap *map, const char *filter, uint64_t deadline,
    LDAPMessage **res, struct popmap_error *err)
{
	static const int scopes[] = {
		[LDAP_OPTIONS_BASE] = LDAP_SCOPE_BASE,
		[LDAP_OPTIONS_ONE] = LDAP_SCOPE_ONELEVEL,
		[LDAP_OPTIONS_SUB] = LDAP_SCOPE_SUBTREE,
		[LDAP_OPTIONS_CHILDREN] = LDAP_SCOPE_SUBORDINATE,
	};
	const struct ldap_options *o = &map->options;
	struct timeval limit = server_limit(deadline);
	char *attrs[LDAP_ATTRS + 1] = { NULL };
	size_t n = 0;
	int code, msgid;

	for (size_t i = 0; i < LDAP_ATTRS; i++) {
		if (o->attr[i] != NULL)
			attrs[n++] = o->attr[i];
	}
	code = ldap_search_ext(map->ld, o->base, scopes[o->scope], filter,
	    attrs, 0, NULL, NULL, &limit, POPMAP_SERVERS_MAX, &msgid);
	if (code == LDAP_SUCCESS)
		code = ldap_link_wait(map->ld, msgid, deadline, res);
	if (code == LDAP_SUCCESS)
		code = ldap_link_result(map->ld, *res);
	return judge(map, code, err);
}

/* An equal share of the time for each server that may still be tried. */
static uint64_t
share(uint64_t deadline, size_t tries)
{
	uint64_t now = ldap_now_ms();

	return deadline <= now ? now : now + (deadline - now) / tries;
}

/* Adds what one server failed by to what was said of those before it. */
static void
add_reason(struct popmap_error *all, const struct popmap_error *one)
{
	size_t n = strnlen(all->msg, sizeof(all->msg) - 1);

	/* What does not fit is cut. */
	if (snprintf(all->msg + n, sizeof(all->msg) - n, "%s%s",
		n == 0 ? "" : "; ", one->msg) < 0)
		all->msg[n] = '\0';
}

/* 0 with *res, or -1 with err. */
static int
ask(struct popmap *map, const char *filter, uint64_t deadline,
    LDAPMessage **res, struct popmap_error *err)
{
	const struct ldap_options *o = &map->options;
	struct popmap_error why = { .msg = "" };
	enum outcome outcome = UNREACHED;

	err->msg[0] = '\0';
	if (map->ld != NULL)
		outcome =
		    search(map, filter, share(deadline, o->n + 1), res, &why);
	for (size_t i = 0; outcome == UNREACHED && i < o->n; i++) {
		uint64_t end = share(deadline, o->n - i);

		ldap_msgfree(*res);
		*res = NULL;
		map->server = &o->server[i];
		map->ld = ldap_link_open(o, map->server, end, &why);
		if (map->ld != NULL)
			outcome = search(map, filter, end, res, &why);
		if (outcome == UNREACHED)
			add_reason(err, &why);
	}
	if (outcome == REFUSED)
		add_reason(err, &why);
	return outcome == ANSWERED ? 0 : -1;
}

/* --- to read the answer --------------------------------------------------- */

/* The first value of an attribute, or an empty one. */
static struct slice
first(struct berval **values)
{
	if (values == NULL || values[0] == NULL)
		return SLICE("");
	return slice_make(values[0]->bv_val, values[0]->bv_len);
}

static int
add_hosts(struct popmap_answer *answer, struct berval **v[LDAP_ATTRS],
    const char *delimiter, struct popmap_error *err)
{
	struct berval **host = v[LDAP_ATTR_HOST];

	for (; *host != NULL; host++) {
		struct slice list =
		    slice_make((*host)->bv_val, (*host)->bv_len);
		struct slice one;

		while (map_answer_next(&list, &one)) {
			if (map_join(answer, first(v[LDAP_ATTR_USER]), one,
				first(v[LDAP_ATTR_PORT]), delimiter, err) == -1)
				return -1;
		}
	}
	return 0;
}

static int
add_entry(struct popmap *map, LDAPMessage *entry, const char *delimiter,
    struct popmap_answer *answer, struct popmap_error *err)
{
	const struct ldap_options *o = &map->options;
	struct berval **v[LDAP_ATTRS] = { NULL };
	struct popmap_error why;
	char *dn = NULL;
	int ret = -1;

	for (size_t i = 0; i < LDAP_ATTRS; i++) {
		if (o->attr[i] != NULL)
			v[i] = ldap_get_values_len(map->ld, entry, o->attr[i]);
	}
	/* Not "no such user": maybe we are not allowed to read it. */
	if (v[LDAP_ATTR_HOST] == NULL)
		map_error(&why, "no value of %s that we may read",
		    o->attr[LDAP_ATTR_HOST]);
	else
		ret = add_hosts(answer, v, delimiter, &why);
	if (ret == -1) {
		dn = ldap_get_dn(map->ld, entry);
		map_error(err, "%s: %.200s: %.150s", map->server->name,
		    dn == NULL ? "an entry" : dn, why.msg);
		ldap_memfree(dn);
	}
	for (size_t i = 0; i < LDAP_ATTRS; i++)
		ldap_value_free_len(v[i]);
	return ret;
}

/* 1 with answer filled, 0 without an entry, or -1 with err.  References to
 * other servers among the entries are passed over. */
static int
read_entries(struct popmap *map, LDAPMessage *res, const char *delimiter,
    struct popmap_answer *answer, struct popmap_error *err)
{
	LDAPMessage *entry = ldap_first_entry(map->ld, res);

	if (entry == NULL)
		return 0;
	for (; entry != NULL; entry = ldap_next_entry(map->ld, entry)) {
		if (add_entry(map, entry, delimiter, answer, err) == -1)
			return -1;
	}
	return 1;
}

/* What a server says, and a DN, may hold anything. */
static void
one_line(struct popmap_error *err)
{
	for (char *p = err->msg; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
	}
}

static int
ldap_lookup(struct popmap *map, const struct popmap_query *query,
    struct popmap_answer *answer, struct popmap_error *err)
{
	uint64_t deadline = ldap_now_ms() + query->timeout_ms;
	char *filter = ldap_filter_make(slice_str(map->options.filter),
	    slice_make(query->key.p, query->key.n), err);
	LDAPMessage *res = NULL;
	int ret = -1;

	answer->n = 0;
	if (filter == NULL)
		return -1;
	if (ask(map, filter, deadline, &res, err) == 0)
		ret = read_entries(map, res, query->delimiter, answer, err);
	if (ret == -1)
		one_line(err);
	ldap_msgfree(res);
	free(filter);
	return ret;
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "ldap",
	.flags = POPMAP_ANY_CLIENT | POPMAP_ANY_PORT,
	.open = ldap_open_map,
	.lookup = ldap_lookup,
	.close = ldap_close,
};
