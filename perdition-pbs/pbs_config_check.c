/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pbs_config_check - whether the options of perdition-pbs make sense; see the
 * header.
 */
#include "config.h"

#include "perdition-pbs/pbs_config_check.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "perdition-pbs/answer.h"
#include "perdition-pbs/dbfile.h"
#include "perdition-pbs/share_place.h"

#include "common/banned.h"

void
pbs_config_complain_nth(struct pbs_config_check *k, const char *name,
    size_t nth, const char *value, const char *text)
{
	const char *where = option_set_where_nth(k->state, name, nth);

	option_problems_add(k->problems, "%s: %s: %.200s: %s",
	    where == NULL ? "default" : where, name, value, text);
	k->bad = 1;
}

static void
complain(struct pbs_config_check *k, const char *name, const char *value,
    const char *text)
{
	pbs_config_complain_nth(k, name, 0, value, text);
}

void
pbs_config_complain_of_errno(struct pbs_config_check *k, const char *name)
{
	const char *where = option_set_where(k->state, name);

	option_problems_add(k->problems, "%s: %s: %s",
	    where == NULL ? "default" : where, name, strerror(errno));
	k->bad = 1;
}

/* --- one option each ----------------------------------------------------- */

static void
check_prefix(struct pbs_config_check *k)
{
	char *p = k->c->prefix;
	bool visible = true;

	if (strlen(p) >= RELAY_PREFIX_MAX)
		complain(k, "prefix", k->c->prefix, "longer than 31 bytes");
	for (; *p != '\0'; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
		else if (*p <= ' ' || *p > '~')
			visible = false;
	}
	if (!visible)
		complain(k, "prefix", k->c->prefix,
		    "holds a byte that is no visible ASCII character");
}

/* One part of what logmatch_create() takes. */
static void
check_match(struct pbs_config_check *k, const char *name, size_t nth,
    const char *value, const struct logmatch_config *mc)
{
	struct err err;
	struct logmatch *m = logmatch_create(mc, &err);

	if (m == NULL)
		pbs_config_complain_nth(k, name, nth, value, err.msg);
	logmatch_destroy(&m);
}

/*
 * One by one, so that each mistake is told with its place; then all together,
 * for names that are given twice.
 */
static void
check_patterns(struct pbs_config_check *k)
{
	struct pbs_config *c = k->c;
	struct logmatch_config mc = { .file = "", .regex = "" };
	int bad = k->bad;

	/* setenv runs for each SMTP client, and follows no log. */
	if (c->mode != PBS_DAEMON)
		return;
	/* Who names another wants that one. */
	if (option_set_where(k->state, "pattern") == NULL &&
	    (c->pattern_file[0] != '\0' || c->regex[0] != '\0'))
		option_strings.clear(NULL, &c->pattern);
	for (size_t i = 0; i < c->pattern.n; i++) {
		mc.patterns = &c->pattern.v[i];
		mc.patterns_n = 1;
		check_match(k, "pattern", i, c->pattern.v[i], &mc);
	}
	mc.patterns_n = 0;
	mc.file = c->pattern_file;
	check_match(k, "pattern_file", 0, c->pattern_file, &mc);
	mc.file = "";
	mc.regex = c->regex;
	check_match(k, "regex", 0, c->regex, &mc);
	pbs_config_match(c, &mc);
	if (k->bad == bad)
		check_match(k, "pattern", 0, "all together", &mc);
}

static void
check_never(struct pbs_config_check *k)
{
	struct pbs_config *c = k->c;

	c->nets = calloc(c->never.n + 1, sizeof(*c->nets));
	if (c->nets == NULL) {
		pbs_config_complain_of_errno(k, "never");
		return;
	}
	for (size_t i = 0; i < c->never.n; i++) {
		if (addr_net_parse(
			slice_str(c->never.v[i]), &c->nets[c->nets_n]) == 0) {
			c->nets_n++;
			continue;
		}
		pbs_config_complain_nth(k, "never", i, c->never.v[i],
		    "expected a network such as 192.0.2.0/24 or "
		    "2001:db8::/32, or an address");
	}
}

/* The keys of one network, behind those that are there. */
static void
check_always_net(
    struct pbs_config_check *k, size_t nth, const struct relay_rule *rule)
{
	struct pbs_config *c = k->c;
	const char *text = c->always.v[nth];
	struct relay_key whole, *keys;
	struct addr_net net;
	size_t n;

	if (addr_net_parse(slice_str(text), &net) == -1) {
		pbs_config_complain_nth(k, "always", nth, text,
		    "expected a network such as 192.0.2.0/24 or "
		    "2001:db8::/32, or an address");
		return;
	}
	n = relay_rule_split(&net, NULL);
	if (n == 0) {
		pbs_config_complain_nth(k, "always", nth, text,
		    "too wide, or it would take more than 256 networks at the "
		    "borders where MTAs look: write it as networks of a "
		    "length that is a multiple of 16");
		return;
	}
	whole = (struct relay_key){ net.ip, (uint8_t)net.prefix };
	if (!relay_rule_allows(rule, &whole)) {
		pbs_config_complain_nth(k, "always", nth, text,
		    "holds addresses of option never, or loopback without "
		    "allow_loopback, or addresses that no client has");
		return;
	}
	keys = reallocarray(c->always_keys, c->always_n + n, sizeof(*keys));
	if (keys == NULL) {
		pbs_config_complain_of_errno(k, "always");
		return;
	}
	c->always_keys = keys;
	relay_rule_split(&net, keys + c->always_n);
	c->always_n += n;
}

/* Behind check_never(): what is never let in cannot be always. */
static void
check_always(struct pbs_config_check *k)
{
	struct relay_rule rule;

	pbs_config_rule(k->c, &rule);
	for (size_t i = 0; i < k->c->always.n; i++)
		check_always_net(k, i, &rule);
	relay_rule_sort(k->c->always_keys, k->c->always_n);
}

static void
check_socket_mode(struct pbs_config_check *k)
{
	char *end;
	unsigned long v = strtoul(k->c->socket_mode, &end, 8);

	if (end == k->c->socket_mode || *end != '\0' || v > 0777)
		complain(k, "socket_mode", k->c->socket_mode,
		    "expected octal digits up to 0777");
	k->c->socket_bits = (mode_t)v;
}

/* A name or a number; false: unknown. */
static bool
find_uid(const char *name, uid_t *uid)
{
	struct passwd *pw = getpwnam(name);
	uint64_t n;

	if (pw != NULL)
		*uid = pw->pw_uid;
	else if (slice_u64(slice_str(name), UINT32_MAX - 1, &n) == 0)
		*uid = (uid_t)n;
	else
		return false;
	return true;
}

static const char usual_mta_users[] = "postfix,Debian-exim,exim";

/* The users that option `name' lists, into a new array. */
static void
check_users(struct pbs_config_check *k, const char *name, const char *list,
    uid_t **uids, size_t *n)
{
	struct slice rest = slice_str(list), part;
	/* Of those that nobody has named there may be none. */
	bool strict =
	    option_set_where(k->state, name) != NULL && list != usual_mta_users;
	char text[100];

	/* setenv runs for each SMTP client: it must not wait for LDAP. */
	if (k->c->mode != PBS_DAEMON)
		return;
	*uids = calloc(rest.n + 1, sizeof(**uids));
	if (*uids == NULL) {
		pbs_config_complain_of_errno(k, name);
		return;
	}
	while (rest.n > 0) {
		slice_cut(&rest, ',', &part);
		snprintf(text, sizeof(text), "%.*s", (int)part.n, part.p);
		if (part.n == 0)
			continue;
		if (find_uid(text, &(*uids)[*n]))
			(*n)++;
		else if (strict)
			complain(k, name, text, "there is no such user");
	}
}

/* RFC 5322 section 2.2: printable ASCII without the colon. */
static void
check_policy_header(struct pbs_config_check *k)
{
	const char *p = k->c->policy_header;

	while (*p > ' ' && *p <= '~' && *p != ':')
		p++;
	if (*p != '\0' || p - k->c->policy_header > ANSWER_HEADER_MAX)
		complain(k, "policy_header", k->c->policy_header,
		    "expected the name of a header field, without its colon, "
		    "of 64 bytes at most");
}

static void
check_ids(struct pbs_config_check *k)
{
	struct pbs_config *c = k->c;
	struct passwd *pw;
	struct group *gr;

	c->uid = (uid_t)-1;
	c->gid = (gid_t)-1;
	if (geteuid() != 0 || c->mode != PBS_DAEMON)
		return;
	pw = getpwnam(c->user);
	if (pw == NULL) {
		complain(k, "user", c->user, "there is no such user");
		return;
	}
	c->uid = pw->pw_uid;
	c->gid = pw->pw_gid;
	if (c->group[0] == '\0')
		return;
	gr = getgrnam(c->group);
	if (gr == NULL)
		complain(k, "group", c->group, "there is no such group");
	else
		c->gid = gr->gr_gid;
}

static void
check_absolute_nth(struct pbs_config_check *k, const char *name, size_t nth,
    const char *path, bool may_be_empty)
{
	if (path[0] == '\0' && may_be_empty)
		return;
	/* A daemon has no current directory. */
	if (path[0] != '/' && k->c->mode == PBS_DAEMON)
		pbs_config_complain_nth(
		    k, name, nth, path, "expected an absolute path");
	if (path[0] == '\0' || path[strlen(path) - 1] == '/')
		pbs_config_complain_nth(
		    k, name, nth, path, "expected a file's path");
}

static void
check_absolute(struct pbs_config_check *k, const char *name, const char *path,
    bool may_be_empty)
{
	check_absolute_nth(k, name, 0, path, may_be_empty);
}

static void
check_log_files(struct pbs_config_check *k)
{
	const struct option_list *logs = &k->c->log_file;

	for (size_t i = 0; i < logs->n; i++) {
		if (strcmp(logs->v[i], "-") == 0) /* it is not there behind */
			k->c->no_daemon = true;
		else
			check_absolute_nth(k, "log_file", i, logs->v[i], true);
	}
}

/* As sd_journal_add_match(3) has them. */
static void
check_journal_matches(struct pbs_config_check *k)
{
	const struct option_list *m = &k->c->journal_match;

	for (size_t i = 0; i < m->n; i++) {
		size_t n =
		    strspn(m->v[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

		if (n == 0 || m->v[i][n] != '=')
			pbs_config_complain_nth(k, "journal_match", i, m->v[i],
			    "expected FIELD=VALUE, such as "
			    "_SYSTEMD_UNIT=perdition.service");
	}
}

static void
check_db_files(struct pbs_config_check *k)
{
	const struct option_list *given = &k->c->db_file;
	struct err err;

	if (given->n == 0)
		complain(k, "db_file", "", "expected a file's path");
	if (given->n > PBS_DB_FILES_MAX)
		complain(k, "db_file", given->v[PBS_DB_FILES_MAX],
		    "one more than there may be");
	for (size_t i = 0; i < given->n; i++) {
		check_absolute_nth(
		    k, "db_file", i, dbfile_path(given->v[i]), false);
		if (dbfile_check(given->v[i], &err) == -1)
			pbs_config_complain_nth(
			    k, "db_file", i, given->v[i], err.msg);
	}
}

static void
check_redis(struct pbs_config_check *k)
{
	struct share_place place;

	for (size_t i = 0; i < k->c->redis_server.n; i++)
		if (share_place_parse(
			slice_str(k->c->redis_server.v[i]), 1, &place) == -1)
			pbs_config_complain_nth(k, "redis_server", i,
			    k->c->redis_server.v[i],
			    "expected a host with or without :port, or the "
			    "path of a socket");
	check_absolute(
	    k, "redis_password_file", k->c->redis_password_file, true);
	check_absolute(k, "redis_sentinel_password_file",
	    k->c->redis_sentinel_password_file, true);
	check_absolute(
	    k, "redis_tls_ca_cert_file", k->c->redis_tls_ca_cert_file, true);
	check_absolute(
	    k, "redis_tls_cert_file", k->c->redis_tls_cert_file, true);
	check_absolute(k, "redis_tls_key_file", k->c->redis_tls_key_file, true);
	if (k->c->redis_user[0] != '\0' && k->c->redis_password_file[0] == '\0')
		complain(k, "redis_user", k->c->redis_user,
		    "needs redis_password_file too");
}

int
pbs_config_finish(struct pbs_config *c, const struct option_state *state,
    struct option_problems *problems)
{
	struct pbs_config_check k = { c, state, problems, 0 };

	check_prefix(&k);
	check_patterns(&k);
	check_never(&k);
	check_always(&k);
	check_socket_mode(&k);
	check_users(&k, "socket_user", c->socket_user, &c->uids, &c->uids_n);
	check_users(&k, "mta_user",
	    c->mta_user[0] == '\0' ? usual_mta_users : c->mta_user,
	    &c->mta_uids, &c->mta_uids_n);
	check_policy_header(&k);
	check_ids(&k);
	check_db_files(&k);
	check_log_files(&k);
	check_journal_matches(&k);
	check_absolute(&k, "pattern_file", c->pattern_file, true);
	check_absolute(&k, "socket", c->socket, true);
	check_absolute(&k, "policy_socket", c->policy_socket, true);
	check_absolute(&k, "socketmap_socket", c->socketmap_socket, true);
	check_absolute(&k, "lookup_socket", c->lookup_socket, true);
	check_absolute(&k, "pid_file", c->pid_file, true);
	check_redis(&k);
	if (c->state_dir[0] != '\0' && c->state_dir[0] != '/')
		complain(
		    &k, "state_dir", c->state_dir, "expected an absolute path");
	if (k.bad == 0)
		pbs_config_derive(&k);
	c->wants_socket = option_set_where(state, "socket") != NULL;
	c->wants_state = option_set_where(state, "state_dir") != NULL;
	c->wants_pid_file = option_set_where(state, "pid_file") != NULL;
	return k.bad == 0 ? 0 : EX_CONFIG;
}
