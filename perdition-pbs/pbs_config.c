/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pbs_config - reading and checking the options of perdition-pbs.
 */
#include "config.h"

#include "perdition-pbs/pbs_config.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
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

struct check {
	struct pbs_config *c;
	const struct option_state *state;
	struct option_problems *problems;
	int bad;
};

/* value: the offending text. */
static void
complain_nth(struct check *k, const char *name, size_t nth, const char *value,
    const char *text)
{
	const char *where = option_set_where_nth(k->state, name, nth);

	option_problems_add(k->problems, "%s: %s: %.200s: %s",
	    where == NULL ? "default" : where, name, value, text);
	k->bad = 1;
}

static void
complain(struct check *k, const char *name, const char *value, const char *text)
{
	complain_nth(k, name, 0, value, text);
}

static void
complain_of_errno(struct check *k, const char *name)
{
	const char *where = option_set_where(k->state, name);

	option_problems_add(k->problems, "%s: %s: %s",
	    where == NULL ? "default" : where, name, strerror(errno));
	k->bad = 1;
}

/* --- one option each ----------------------------------------------------- */

static void
check_prefix(struct check *k)
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
check_match(struct check *k, const char *name, size_t nth, const char *value,
    const struct logmatch_config *mc)
{
	struct err err;
	struct logmatch *m = logmatch_create(mc, &err);

	if (m == NULL)
		complain_nth(k, name, nth, value, err.msg);
	logmatch_destroy(&m);
}

/*
 * One by one, so that each mistake is told with its place; then all together,
 * for names that are given twice.
 */
static void
check_patterns(struct check *k)
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
check_never(struct check *k)
{
	struct pbs_config *c = k->c;

	c->nets = calloc(c->never.n + 1, sizeof(*c->nets));
	if (c->nets == NULL) {
		complain_of_errno(k, "never");
		return;
	}
	for (size_t i = 0; i < c->never.n; i++) {
		if (addr_net_parse(
			slice_str(c->never.v[i]), &c->nets[c->nets_n]) == 0) {
			c->nets_n++;
			continue;
		}
		complain_nth(k, "never", i, c->never.v[i],
		    "expected a network such as 192.0.2.0/24 or "
		    "2001:db8::/32, or an address");
	}
}

/* The keys of one network, behind those that are there. */
static void
check_always_net(struct check *k, size_t nth, const struct relay_rule *rule)
{
	struct pbs_config *c = k->c;
	const char *text = c->always.v[nth];
	struct relay_key whole, *keys;
	struct addr_net net;
	size_t n;

	if (addr_net_parse(slice_str(text), &net) == -1) {
		complain_nth(k, "always", nth, text,
		    "expected a network such as 192.0.2.0/24 or "
		    "2001:db8::/32, or an address");
		return;
	}
	n = relay_rule_split(&net, NULL);
	if (n == 0) {
		complain_nth(k, "always", nth, text,
		    "too wide, or it would take more than 256 networks at the "
		    "borders where MTAs look: write it as networks of a "
		    "length that is a multiple of 16");
		return;
	}
	whole = (struct relay_key){ net.ip, (uint8_t)net.prefix };
	if (!relay_rule_allows(rule, &whole)) {
		complain_nth(k, "always", nth, text,
		    "holds addresses of option never, or loopback without "
		    "allow_loopback, or addresses that no client has");
		return;
	}
	keys = reallocarray(c->always_keys, c->always_n + n, sizeof(*keys));
	if (keys == NULL) {
		complain_of_errno(k, "always");
		return;
	}
	c->always_keys = keys;
	relay_rule_split(&net, keys + c->always_n);
	c->always_n += n;
}

/* Behind check_never(): what is never let in cannot be always. */
static void
check_always(struct check *k)
{
	struct relay_rule rule;

	pbs_config_rule(k->c, &rule);
	for (size_t i = 0; i < k->c->always.n; i++)
		check_always_net(k, i, &rule);
}

static void
check_socket_mode(struct check *k)
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
check_users(struct check *k, const char *name, const char *list, uid_t **uids,
    size_t *n)
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
		complain_of_errno(k, name);
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
check_policy_header(struct check *k)
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
check_ids(struct check *k)
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
check_absolute_nth(struct check *k, const char *name, size_t nth,
    const char *path, bool may_be_empty)
{
	if (path[0] == '\0' && may_be_empty)
		return;
	/* A daemon has no current directory. */
	if (path[0] != '/' && k->c->mode == PBS_DAEMON)
		complain_nth(k, name, nth, path, "expected an absolute path");
	if (path[0] == '\0' || path[strlen(path) - 1] == '/')
		complain_nth(k, name, nth, path, "expected a file's path");
}

static void
check_absolute(
    struct check *k, const char *name, const char *path, bool may_be_empty)
{
	check_absolute_nth(k, name, 0, path, may_be_empty);
}

static void
check_log_files(struct check *k)
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
check_journal_matches(struct check *k)
{
	const struct option_list *m = &k->c->journal_match;

	for (size_t i = 0; i < m->n; i++) {
		size_t n =
		    strspn(m->v[i], "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

		if (n == 0 || m->v[i][n] != '=')
			complain_nth(k, "journal_match", i, m->v[i],
			    "expected FIELD=VALUE, such as "
			    "_SYSTEMD_UNIT=perdition.service");
	}
}

/* --- names that follow from db_file -------------------------------------- */

/* The directory's true name, so that two ways to one file are one database. */
static char *
true_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_MAX], real[PATH_MAX], *out;
	int n = slash == NULL ? 0 : (int)(slash - path);

	if (n >= (int)sizeof(dir))
		return strdup(path);
	snprintf(dir, sizeof(dir), "%.*s", n, path);
	if (realpath(slash == NULL ? "." : n == 0 ? "/" : dir, real) == NULL)
		return strdup(path);
	if (asprintf(&out, "%s/%s", strcmp(real, "/") == 0 ? "" : real,
		slash == NULL ? path : slash + 1) == -1)
		return NULL;
	return out;
}

/* The type stays, but that of a path alone. */
static char *
true_name(const char *name)
{
	const char *given = dbfile_path(name);
	char *path = true_path(given), *out;
	int type = (int)(given - name);

	if (path == NULL || type == 0 || strncmp(name, "hash:", 5) == 0)
		return path;
	if (asprintf(&out, "%.*s%s", type, name, path) == -1)
		out = NULL;
	free(path);
	return out;
}

static void
check_db_files(struct check *k)
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
			complain_nth(k, "db_file", i, given->v[i], err.msg);
	}
}

static bool
has_name(const struct option_list *names, const char *path)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(dbfile_path(names->v[i]), path) == 0)
			return true;
	return false;
}

static void
derive_names(struct check *k)
{
	struct pbs_config *c = k->c;
	struct option_list *names = &c->db_names;

	names->v = calloc(c->db_file.n + 1, sizeof(*names->v));
	for (size_t i = 0; names->v != NULL && i < c->db_file.n; i++) {
		char *name = true_name(c->db_file.v[i]);

		if (name == NULL)
			break;
		if (has_name(names, dbfile_path(name)))
			complain_nth(k, "db_file", i, name, "given twice");
		names->v[names->n++] = name;
	}
	if (names->n == 0 || names->n < c->db_file.n)
		complain_of_errno(k, "db_file");
	else
		c->db_path = names->v[0];
}

static void
derive_paths(struct check *k)
{
	/* No secret: it only tells databases with equal names apart. */
	static const struct hash_key fixed = { 0 };
	struct pbs_config *c = k->c;
	const char *base;
	uint64_t sum;

	derive_names(k);
	if (c->db_path == NULL || c->state_dir[0] == '\0')
		return;
	base = strrchr(c->db_path, '/');
	base = base == NULL ? c->db_path : base + 1;
	sum = hash_bytes(&fixed, slice_str(c->db_path));
	if (asprintf(&c->journal_path, "%s/%s-%016" PRIx64 ".journal",
		c->state_dir, base, sum) == -1) {
		c->journal_path = NULL;
		complain_of_errno(k, "state_dir");
	}
	/* Short: a socket's path has 107 bytes. */
	if (asprintf(&c->control_path, "%s/%016" PRIx64 ".sock", c->state_dir,
		sum) == -1) {
		c->control_path = NULL;
		complain_of_errno(k, "state_dir");
	}
}

static void
check_redis(struct check *k)
{
	struct share_place place;

	for (size_t i = 0; i < k->c->redis_server.n; i++)
		if (share_place_parse(
			slice_str(k->c->redis_server.v[i]), 1, &place) == -1)
			complain_nth(k, "redis_server", i,
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

static int
finish(struct pbs_config *c, const struct option_state *state,
    struct option_problems *problems)
{
	struct check k = { c, state, problems, 0 };

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
		derive_paths(&k);
	c->wants_socket = option_set_where(state, "socket") != NULL;
	c->wants_state = option_set_where(state, "state_dir") != NULL;
	c->wants_pid_file = option_set_where(state, "pid_file") != NULL;
	return k.bad == 0 ? 0 : EX_CONFIG;
}

/* --- reading ------------------------------------------------------------- */

/* "perdition-pbs-list" is --mode list, and so on; "" for another name. */
static const char *
mode_of_name(const char *argv0)
{
	static const char name[] = "perdition-pbs-";
	const char *slash, *base;

	if (argv0 == NULL)
		return "";
	slash = strrchr(argv0, '/');
	base = slash == NULL ? argv0 : slash + 1;
	if (strncmp(base, "lt-", 3) == 0) /* libtool's, in the build tree */
		base += 3;
	return strncmp(base, name, sizeof(name) - 1) == 0
		   ? base + sizeof(name) - 1
		   : "";
}

/* An argument that the name stands for, in front of the others. */
static int
read_argv(struct option_state *state, struct pbs_config *c, int argc,
    char *const argv[], struct option_problems *problems)
{
	const char *mode = argc > 0 ? mode_of_name(argv[0]) : "";
	char **args;
	int ret, extra = mode[0] != '\0' ? 2 : 0;
	char word[] = "--mode";
	char *value = strdup(mode);

	args = calloc((size_t)argc + 3, sizeof(*args));
	if (args == NULL || value == NULL) {
		free(args);
		free(value);
		option_problems_add(problems, "%s", strerror(ENOMEM));
		return -1;
	}
	args[0] = argv[0];
	args[1] = word;
	args[2] = value;
	for (int i = 1; i < argc; i++)
		args[i + extra] = argv[i];
	ret = option_read_argv(
	    state, argc + extra, args, &c->first_operand, problems);
	c->first_operand -= extra;
	free(args);
	free(value);
	return ret;
}

static int
load(struct pbs_config *c, struct option_state *state, int argc,
    char *const argv[], struct option_problems *problems)
{
	const char *file = SYSCONFDIR "/perdition/perdition-pbs.conf";
	bool given;
	int ret = 0;

	if (read_argv(state, c, argc, argv, problems) == -1)
		return EX_USAGE;
	given = option_set_where(state, "config_file") != NULL;
	if (given)
		file = c->config_file;
	if (file[0] != '\0' && access(file, F_OK) == 0) {
		if (option_read_file(state, file, problems) == -1)
			ret = EX_CONFIG;
	} else if (given && file[0] != '\0') {
		option_problems_add(problems, "%s: %s", file, strerror(errno));
		return EX_NOINPUT;
	}
	if (option_apply_defaults(state, problems) == -1)
		return EX_CONFIG;
	/* Even of a file that is wrong already: all is told at once. */
	if (finish(c, state, problems) != 0)
		ret = EX_CONFIG;
	return ret;
}

int
pbs_config_load(struct pbs_config *c, int argc, char *const argv[],
    struct option_problems *problems)
{
	struct option_state *state = option_state_create(&pbs_options, c);
	int ret;

	if (state == NULL) {
		option_problems_add(problems, "%s", strerror(ENOMEM));
		return EX_OSERR;
	}
	ret = load(c, state, argc, argv, problems);
	option_state_destroy(&state);
	return ret;
}

void
pbs_config_clear(struct pbs_config *c)
{
	free(c->nets);
	free(c->always_keys);
	free(c->uids);
	free(c->mta_uids);
	for (size_t i = 0; i < c->db_names.n; i++)
		free(c->db_names.v[i]);
	free(c->db_names.v);
	free(c->journal_path);
	free(c->control_path);
	option_clear(&pbs_options, c);
	memset(c, 0, sizeof(*c));
}

void
pbs_config_match(const struct pbs_config *c, struct logmatch_config *m)
{
	*m = (struct logmatch_config){
		.patterns = c->pattern.v,
		.patterns_n = c->pattern.n,
		.file = c->pattern_file,
		.regex = c->regex,
	};
}

void
pbs_config_rule(const struct pbs_config *c, struct relay_rule *r)
{
	*r = (struct relay_rule){
		.never = c->nets,
		.never_n = c->nets_n,
		.always = c->always_keys,
		.always_n = c->always_n,
		.allow_loopback = c->allow_loopback,
		.v4_mask = c->ipv4_mask,
		.v6_mask = c->ipv6_mask,
	};
}

void
pbs_config_limits(const struct pbs_config *c, struct relay_limits *l)
{
	*l = (struct relay_limits){
		.timeout = c->timeout,
		.max_entries = c->max_entries,
		.max_new_per_second = c->max_new_per_second,
		.max_per_user = c->max_addresses_per_user,
		.from_logout = c->timeout_from == PBS_FROM_LOGOUT,
	};
}
