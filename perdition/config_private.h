/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_private - what the files of config share with each other only.
 */
#ifndef PERDITION_CONFIG_PRIVATE_H
#define PERDITION_CONFIG_PRIVATE_H

#include <stdbool.h>

#include "common/option.h"
#include "perdition/config.h"

/* enum of option ssl_mode; or-ed. */
enum ssl_mode {
	SSL_MODE_SSL_LISTEN = 1,
	SSL_MODE_SSL_OUTGOING = 2,
	SSL_MODE_TLS_LISTEN = 4,
	SSL_MODE_TLS_OUTGOING = 8,
	SSL_MODE_TLS_LISTEN_FORCE = 16 | SSL_MODE_TLS_LISTEN,
	SSL_MODE_TLS_OUTGOING_FORCE = 32 | SSL_MODE_TLS_OUTGOING,
};

struct config_finish {
	struct config *c;
	const struct option_state *state; /* NULL in a role */
	struct option_problems *problems;
	size_t nth; /* which of the values of listen is looked at */
	bool bad;
};

/* A problem with an option, told with the place where it was set. */
void config_complain(struct config_finish *, const char *option,
    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void config_out_of_memory(struct config_finish *);

/* HOST, HOST:PORT, [IPV6], [IPV6]:PORT or IPV6; port empty when not given. */
bool config_split_port(
    struct slice text, struct slice *host, struct slice *port);
/* A number, or a service's name unless no_lookup.  0, or -1 complained of. */
int config_parse_port(
    struct config_finish *, const char *option, struct slice, uint16_t *port);

/* config_listen.c */
void config_finish_listeners(struct config_finish *);

/*
 * Makes listeners, servers and query keys from the options' text, and finds
 * what is wrong between options.  state: tells which were set where; NULL in a
 * role, where nothing is refused a second time and no name is resolved.
 * basename: of the program as it was called, for pid_file.
 * 0, or -1 with problems.
 */
int config_finish(struct config *, const struct option_state *state,
    const char *basename, struct option_problems *);

#endif
