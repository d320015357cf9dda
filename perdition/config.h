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
#include <stdio.h>

#include "common/addr.h"
#include "common/option.h"
#include "perdition/protocol/protocol.h"
#include "perdition/server_url.h"
#include "perdition/tls/tls_mode.h"

/* Where in a login a user name is changed (options STATE). */
enum name_state {
	NAME_SERVERNAME_LOOKUP = 1,
	NAME_LOCAL_AUTHENTICATION = 2,
	NAME_REMOTE_LOGIN = 4,
};

/* Whether clients are asked for a certificate (ssl_client_cert). */
enum client_cert_mode {
	CLIENT_CERT_NONE,
	CLIENT_CERT_OPTIONAL, /* one that is shown must be good */
	CLIENT_CERT_REQUIRED,
};

#define CONFIG_QUERY_KEYS_MAX 16

struct listener_config {
	const struct protocol *protocol;
	struct protocol_settings settings;
	enum tls_mode tls;
	enum client_cert_mode client_cert; /* where TLS runs */
	struct addr addr;
	bool any_family; /* "*" or no address: IPv6 and IPv4 in one socket */
	char *text;      /* as the administrator wrote it, for messages */
};

struct server_config { /* one of outgoing_server */
	char *host;    /* without brackets */
	uint16_t port; /* 0: by url, outgoing_port and protocol */
	struct server_url url;
};

struct config {
	/* --- as given, one field an option; names are the options' -- */
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
	char *route, *route_from, *route_to; /* --route, --from, --to */
	char *capability, *imap_capability, *pop_capability,
	    *managesieve_capability;
	bool inetd_mode;
	unsigned int connection_limit, connection_limit_per_address;
	char *listen_port;
	struct option_list listen; /* "imap4://[::]:143" */
	bool login_disabled;
	unsigned int log_passwd;
	unsigned int lower_case;
	struct option_list map_library, map_library_opt; /* pairs, in order */
	bool map_fallthrough;
	unsigned int map_timeout;     /* s */
	unsigned int map_connections; /* of each map that is not quick */
	unsigned int popmap_cache, popmap_cache_stale; /* s */
	unsigned int popmap_cache_size;                /* answers */
	bool no_daemon;
	bool no_lookup;
	char *ok_line;
	bool server_resp_line;
	char *protocol;
	char *outgoing_port;
	char *outgoing_server, *outgoing_bind_address;
	char *pid_file;
	unsigned int strip_domain;
	unsigned int timeout; /* s */
	bool tcp_keepalive;
	bool username_from_database;
	bool quiet;
	char *query_key;
	unsigned int ssl_mode;
	char *ssl_ca_chain_file, *ssl_ca_file, *ssl_ca_path;
	bool ssl_ca_accept_self_signed, ssl_cert_accept_self_signed,
	    ssl_cert_accept_expired, ssl_cert_accept_not_yet_valid,
	    ssl_no_cert_verify, ssl_no_client_cert_verify, ssl_no_cn_verify;
	struct option_list ssl_cert_file, ssl_key_file; /* pairs, in order */
	char *ssl_dh_params_file;
	unsigned int ssl_cert_verify_depth;
	char *ssl_listen_ciphers, *ssl_outgoing_ciphers;
	unsigned int ssl_listen_min_proto_version, ssl_listen_max_proto_version,
	    ssl_outgoing_min_proto_version, ssl_outgoing_max_proto_version;
	bool ssl_listen_compression, ssl_outgoing_compression,
	    ssl_no_cipher_server_preference;
	char *ssl_passphrase_fd, *ssl_passphrase_file;
	char *ssl_cert_dir;                /* certificates by name; "" none */
	unsigned int ssl_client_cert;      /* enum client_cert_mode */
	char *ssl_client_ca_file;          /* "": ssl_ca_file, ssl_ca_path */
	unsigned int ssl_client_cert_user; /* NID of the field, 0 none */
	char *ssl_listen_crl_file, *ssl_outgoing_crl_file;
	unsigned int ssl_ticket_lifetime;   /* s, 0: no tickets */
	unsigned int ssl_handshake_timeout; /* s */

	/* --- new with this perdition -- */
	unsigned int workers; /* 0: see the option */
	unsigned int lookup_processes;
	unsigned int login_time;      /* s, from connect to login; 0 none */
	unsigned int connect_timeout; /* s, per real-server address */
	unsigned int server_timeout;  /* s, for each answer during login */
	unsigned int failure_delay;   /* s, doubled with each failure, to 8x */
	unsigned int drain_timeout;   /* s, 0: until the last session ends */
	char *auth_socket;            /* perdition-pbs's Unix socket; "" none */
	char *syslog_socket;          /* "" for /dev/log */
	char *module_dir;

	/* --- made from the above by config_finish() -- */
	struct listener_config *listeners;
	size_t listener_count;
	struct server_config *servers; /* outgoing_server */
	struct addr *sources;          /* outgoing_bind_address; no ports */
	size_t source_count;
	size_t server_count;
	uint16_t out_port;          /* outgoing_port; 0: the protocol's */
	enum tls_mode listen_mode;  /* of ssl_mode; unless a listener says */
	enum tls_mode outgoing_tls; /* of ssl_mode; unless a server says */
	bool listen_tls;            /* some listener has TLS */
	bool listen_client_certs;   /* some asks for certificates */
	char **query_keys;          /* NULL-terminated; NULL: the user name */
	char *host;                 /* uname's node name, for no_bind_banner */
	bool pid_file_set;          /* by the administrator, not by default */
};

/* none, optional, required: enum client_cert_mode. */
extern const struct option_names config_client_certs[];

extern const struct option_table config_options;

/*
 * The master's way: command line, then the file it names or that is found
 * (<basename>.conf, perdition.<protocol>.conf, perdition.conf), then the
 * defaults, then config_finish().  0, or with all problems found EX_USAGE (the
 * command line is wrong), EX_NOINPUT (the file is not there) or EX_CONFIG of
 * sysexits(3); the config is then to be cleared all the same.  What is odd but
 * harmless is logged as a warning. With help, version given, nothing else is
 * read or checked.
 */
int config_load(
    struct config *, int argc, char *const argv[], struct option_problems *);

/* A role's way: the text of config_write_role().  0, or -1. */
int config_load_text(
    struct config *, struct slice text, struct option_problems *);

/*
 * What a role is told: as option_write_dump(), but the listeners are those
 * that were found, one listen each, so that no role resolves a name of its
 * own.  secrets: with what only the lookup role may see.  0, or -1.
 */
int config_write_role(const struct config *, bool secrets, FILE *);

/* Where the configuration file is or would be; "" for none found. */
const char *config_path(const struct config *);

void config_clear(struct config *);

#endif
