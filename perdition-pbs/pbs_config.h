/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pbs_config - what the administrator asked of perdition-pbs, checked and
 * ready for use.  Const once it is made.
 */
#ifndef PERDITION_PBS_PBS_CONFIG_H
#define PERDITION_PBS_PBS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/addr.h"
#include "common/option.h"
#include "perdition-pbs/logmatch.h"
#include "perdition-pbs/relay.h"
#include "perdition-pbs/relay_file.h"
#include "perdition-pbs/relay_rule.h"

#define PBS_DB_FILES_MAX RELAY_FILES_MAX

enum pbs_mode {
	PBS_DAEMON,
	PBS_LIST,
	PBS_INSERT,
	PBS_REMOVE,
	PBS_PURGE,
	PBS_EXPIRE,
	PBS_EXPORT,
	PBS_IMPORT,
	PBS_SETENV
};

enum pbs_timeout_from { PBS_FROM_LOGIN, PBS_FROM_LOGOUT };

struct pbs_config {
	/* --- as given, one field an option; names are the options' ---------
	 */
	unsigned int mode; /* enum pbs_mode */
	struct option_list db_file;
	char *prefix;
	unsigned int db_changes_per_second;
	unsigned int timeout;      /* s */
	unsigned int timeout_from; /* enum pbs_timeout_from */
	struct option_list log_file, journal_match, pattern;
	bool journal;
	char *journal_dir;
	char *pattern_file, *regex;
	char *socket, *socket_user, *socket_mode;
	char *policy_socket, *policy_header, *socketmap_socket, *lookup_socket;
	char *mta_user;
	struct option_list never, always;
	bool allow_loopback;
	unsigned int ipv4_mask, ipv6_mask;
	unsigned int max_entries, max_new_per_second, max_addresses_per_user;
	struct option_list redis_server;
	char *redis_sentinel, *redis_user, *redis_password_file;
	char *redis_sentinel_password_file, *redis_prefix;
	unsigned int redis_db, redis_maxlen;
	bool redis_tls;
	char *redis_tls_ca_cert_file, *redis_tls_cert_file;
	char *redis_tls_key_file, *redis_tls_name;
	char *state_dir, *pid_file;
	char *user, *group;
	bool no_daemon;
	bool debug, quiet;
	char *log_facility;
	char *config_file;
	bool json;
	bool help, version, dump_config;
	char *test_pattern; /* a file; NULL: not asked for */

	/* --- made from the above -------------------------------------------
	 */
	int first_operand;     /* in argv */
	struct addr_net *nets; /* of never */
	size_t nets_n;
	struct relay_key *always_keys;
	size_t always_n;
	uid_t *uids; /* of socket_user */
	size_t uids_n;
	uid_t *mta_uids; /* of mta_user */
	size_t mta_uids_n;
	mode_t socket_bits;
	/* Of db_file, as dbfile.h has names, with the directories' true ones
	 * and without "hash:". */
	struct option_list db_names;
	const char *db_path; /* the first, which the tools ask for */
	char *journal_path;  /* NULL: no state_dir */
	char *control_path;  /* the tools' own socket beside it */
	uid_t uid;           /* to become, when started by root; else -1 */
	gid_t gid;
	/* Asked for by name: then it is an error if it cannot be had, and not
	 * just a default that an ordinary user's trial run goes without. */
	bool wants_socket, wants_state, wants_pid_file;
};

extern const struct option_table pbs_options;

/*
 * Command line (the program's name may choose the mode), file, defaults,
 * checks.  0, or with all problems found EX_USAGE (the command line),
 * EX_NOINPUT, EX_CONFIG or EX_OSERR.  c has to be cleared in any case.
 */
int pbs_config_load(struct pbs_config *c, int argc, char *const argv[],
    struct option_problems *);
void pbs_config_clear(struct pbs_config *);

/* Pointers into the configuration. */
void pbs_config_match(const struct pbs_config *, struct logmatch_config *);
void pbs_config_rule(const struct pbs_config *, struct relay_rule *);
void pbs_config_limits(const struct pbs_config *, struct relay_limits *);

#endif
