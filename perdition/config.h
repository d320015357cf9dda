/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config - what the administrator asked for, checked and ready for use.
 *
 * Read by the master; the other roles get the same text from it and read it
 * with the same table, so there is one parser and no second truth.  Const
 * once it is made.
 */
#ifndef PERDITION_CONFIG_H
#define PERDITION_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/option.h"
#include "perdition/protocol/protocol.h"

/* Where in a login a user name is changed (options STATE). */
enum name_state {
	NAME_SERVERNAME_LOOKUP = 1,
	NAME_LOCAL_AUTHENTICATION = 2,
	NAME_REMOTE_LOGIN = 4,
};

struct listener_config {
	const struct protocol *protocol;
	struct protocol_settings settings;
	bool tls; /* from the first byte */
	struct addr addr;
	bool any_family; /* "*" or no address: IPv6 and IPv4 in one socket */
	char *text;      /* as the administrator wrote it, for messages */
};

struct server_config { /* SERVER[:PORT] of outgoing_server */
	char *host;    /* without brackets */
	uint16_t port; /* 0: outgoing_port or the protocol's */
};

struct config {
	/* --- as given, one field an option; names are the options' --------- */
	unsigned int add_domain, add_domain_depth; /* set of enum name_state */
	bool authenticate_in;
	unsigned int authenticate_timeout; /* s */
	bool no_bind_banner;
	char *bind_address;
	bool connection_logging;
	unsigned int connect_relog; /* s */
	bool client_server_specification;
	char *domain_delimiter;
	bool debug;
	char *explicit_domain;
	char *log_facility;
	char *config_file;
	char *group, *username;
	bool help, version, dump_config, check_config;
	char *capability, *imap_capability, *pop_capability,
	    *managesieve_capability;
	bool inetd_mode;
	unsigned int connection_limit, connection_limit_per_address;
	char *listen_port;
	struct option_list listen; /* "imap4://[::]:143" */
	bool login_disabled;
	unsigned int log_passwd;
	unsigned int lower_case;
	char *map_library, *map_library_opt;
	unsigned int map_timeout; /* s */
	bool no_daemon;
	bool no_lookup;
	char *ok_line;
	bool server_resp_line;
	char *protocol;
	char *outgoing_port;
	char *outgoing_server;
	char *pid_file;
	unsigned int strip_domain;
	unsigned int timeout; /* s */
	bool tcp_keepalive;
	bool username_from_database;
	bool quiet;
	char *query_key;
	unsigned int ssl_mode;

	/* --- new with this perdition ---------------------------------------- */
	unsigned int workers;          /* 0: one per core */
	unsigned int lookup_processes;
	unsigned int login_time;       /* s, from connect to login; 0 none */
	unsigned int connect_timeout;  /* s, per real-server address */
	unsigned int server_timeout;   /* s, for each answer during login */
	unsigned int failure_delay;    /* s, doubled with each failure, to 8x */
	unsigned int drain_timeout;    /* s, 0: until the last session ends */
	char *auth_socket;   /* perdition-pbs's Unix socket; "" none */
	char *syslog_socket; /* "" for /dev/log */
	char *module_dir;

	/* --- made from the above by config_finish() ------------------------- */
	struct listener_config *listeners;
	size_t listener_count;
	struct server_config *servers; /* outgoing_server */
	size_t server_count;
	uint16_t out_port;      /* outgoing_port; 0: the protocol's */
	char **query_keys;      /* NULL-terminated; NULL: the user name */
	char *host;             /* uname's node name, for no_bind_banner */
};

extern const struct option_table config_options;

/*
 * The master's way: command line, then the file it names or that is found
 * (<basename>.conf, perdition.<protocol>.conf, perdition.conf), then the
 * defaults, then config_finish().  0, or -1 with all problems found.
 */
int config_load(struct config *, int argc, char *const argv[],
    struct option_problems *);

/* A role's way: the text that the master dumped. */
int config_load_text(struct config *, struct slice text,
    struct option_problems *);

/* Where the configuration file is or would be; "" for none found. */
const char *config_path(const struct config *);

void config_clear(struct config *);

#endif
