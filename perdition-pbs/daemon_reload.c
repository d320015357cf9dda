/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon_reload - the configuration read again: what can change at once does,
 * and of the rest is said that it needs a restart.
 */
#include "config.h"

#include "perdition-pbs/daemon_start.h"

#include <string.h>

#include "common/log.h"

#include "common/banned.h"

static void
note_restart(const char *name, const char *was, const char *is)
{
	if (strcmp(was, is) != 0)
		log_event(LOG_WARNING, "reload-needs-restart",
		    LOG_STR("option", name));
}

static void
note_list(const char *name, const struct option_list *was,
    const struct option_list *is)
{
	bool same = was->n == is->n;

	for (size_t i = 0; same && i < was->n; i++)
		same = strcmp(was->v[i], is->v[i]) == 0;
	note_restart(name, "", same ? "" : "changed");
}

static void
note_number(const char *name, unsigned int was, unsigned int is)
{
	note_restart(name, "", was == is ? "" : "changed");
}

/* Of the sharing nothing can change. */
static void
note_redis(const struct pbs_config *was, const struct pbs_config *is)
{
	note_list("redis_server", &was->redis_server, &is->redis_server);
	note_restart("redis_sentinel", was->redis_sentinel, is->redis_sentinel);
	note_restart("redis_user", was->redis_user, is->redis_user);
	note_restart("redis_password_file", was->redis_password_file,
	    is->redis_password_file);
	note_restart("redis_sentinel_password_file",
	    was->redis_sentinel_password_file,
	    is->redis_sentinel_password_file);
	note_number("redis_db", was->redis_db, is->redis_db);
	note_restart("redis_prefix", was->redis_prefix, is->redis_prefix);
	note_number("redis_maxlen", was->redis_maxlen, is->redis_maxlen);
	note_number("redis_tls", was->redis_tls, is->redis_tls);
	note_restart("redis_tls_ca_cert_file", was->redis_tls_ca_cert_file,
	    is->redis_tls_ca_cert_file);
	note_restart("redis_tls_cert_file", was->redis_tls_cert_file,
	    is->redis_tls_cert_file);
	note_restart("redis_tls_key_file", was->redis_tls_key_file,
	    is->redis_tls_key_file);
	note_restart("redis_tls_name", was->redis_tls_name, is->redis_tls_name);
}

/* Exchanges the texts that running parts hold pointers to or depend on. */
static void
swap_paths(struct pbs_config *a, struct pbs_config *b)
{
	struct option_list logs = a->log_file, matches = a->journal_match;

	a->log_file = b->log_file;
	b->log_file = logs;
	a->journal_match = b->journal_match;
	b->journal_match = matches;
#define SWAP(field)                                                            \
	do {                                                                   \
		__typeof__(a->field) was = a->field;                           \
		a->field = b->field;                                           \
		b->field = was;                                                \
	} while (0)
	SWAP(db_file);
	SWAP(db_names);
	SWAP(db_path);
	SWAP(prefix);
	SWAP(socket);
	SWAP(policy_socket);
	SWAP(socketmap_socket);
	SWAP(lookup_socket);
	SWAP(control_path);
	SWAP(journal_path);
	SWAP(redis_server);
	SWAP(redis_db);
	SWAP(redis_maxlen);
	SWAP(redis_tls);
	SWAP(redis_sentinel);
	SWAP(redis_user);
	SWAP(redis_password_file);
	SWAP(redis_sentinel_password_file);
	SWAP(redis_prefix);
	SWAP(redis_tls_ca_cert_file);
	SWAP(redis_tls_cert_file);
	SWAP(redis_tls_key_file);
	SWAP(redis_tls_name);
	SWAP(state_dir);
	SWAP(journal_dir);
	SWAP(log_facility);
	SWAP(pid_file);
	SWAP(user);
#undef SWAP
}

/* Takes fresh over for what can change; the rest stays as it was. */
static void
take_over(struct daemon *d, struct pbs_config *fresh, struct logmatch *match)
{
	struct pbs_config *c = &d->config, old = *c;
	struct listener_peers peers;

	note_list("db_file", &c->db_names, &fresh->db_names);
	note_restart("prefix", c->prefix, fresh->prefix);
	note_list("log_file", &c->log_file, &fresh->log_file);
	note_list("journal_match", &c->journal_match, &fresh->journal_match);
	note_restart("journal_dir", c->journal_dir, fresh->journal_dir);
	if (c->journal != fresh->journal)
		note_restart("journal", "", "changed");
	note_restart("socket", c->socket, fresh->socket);
	note_restart("policy_socket", c->policy_socket, fresh->policy_socket);
	note_restart(
	    "socketmap_socket", c->socketmap_socket, fresh->socketmap_socket);
	note_restart("lookup_socket", c->lookup_socket, fresh->lookup_socket);
	note_restart("state_dir", c->state_dir, fresh->state_dir);
	note_restart("log_facility", c->log_facility, fresh->log_facility);
	note_restart("user", c->user, fresh->user);
	note_redis(c, fresh);
	logmatch_go_on(match, d->match);
	logmatch_destroy(&d->match);
	d->match = match;
	d->config = *fresh;
	/* What the running parts were made with goes on to be true. */
	swap_paths(&d->config, &old);
	pbs_config_rule(&d->config, &d->relay.rule);
	pbs_config_limits(&d->config, &d->relay.limits);
	daemon_peers(d, &peers);
	if (d->stream != NULL)
		stream_set_peers(d->stream, &peers);
	answers_reload(d->answers, &d->config);
	daemon_log_level(&d->config);
	for (size_t i = 0; i < d->dbs_n; i++)
		relay_db_pace(d->dbs[i], d->config.db_changes_per_second);
	daemon_rules_changed(d);
	pbs_config_clear(&old);
}

void
daemon_reload(struct daemon *d)
{
	struct pbs_config fresh = { 0 };
	struct option_problems problems = { NULL, 0 };
	struct logmatch *match = NULL;
	struct logmatch_config mc;
	struct err err;
	int ret = pbs_config_load(&fresh, d->argc, d->argv, &problems);

	if (ret == 0) {
		pbs_config_match(&fresh, &mc);
		match = logmatch_create(&mc, &err);
	}
	if (match != NULL) {
		take_over(d, &fresh, match);
		log_event(LOG_NOTICE, "reload");
	} else {
		for (size_t i = 0; i < problems.n; i++)
			log_event(LOG_ERR, "reload-refused",
			    LOG_STR("problem", problems.v[i]));
		pbs_config_clear(&fresh);
	}
	option_problems_clear(&problems);
}
