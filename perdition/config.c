/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config - reads command line and file in the order in which they count.
 *
 * What the values mean together is config_finish's business.
 */
#include "config.h"

#include "perdition/config.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition/config_private.h"

#include "common/banned.h"

/* The name behind the last slash; a login shell's dash has no meaning here. */
static const char *
program_basename(const char *arg0)
{
	const char *slash = arg0 == NULL ? NULL : strrchr(arg0, '/');
	const char *name = slash == NULL ? arg0 : slash + 1;

	return name == NULL || name[0] == '\0' ? "perdition" : name;
}

/* The protocol that the program's name asks for, or NULL. */
static const char *
protocol_of_name(const char *basename)
{
	static const char *const names[] = { "pop3", "pop3s", "imap4", "imap4s",
		"imaps", "managesieve" };
	const char *dot = strrchr(basename, '.');
	size_t i;

	if (dot == NULL)
		return NULL;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcasecmp(dot + 1, names[i]) == 0)
			return names[i];
	}
	return NULL;
}

/* The protocol part of perdition.PROTOCOL.conf, in lower case. */
static int
protocol_for_file(
    const struct config *c, const char *basename, char *out, size_t cap)
{
	const char *name = c->protocol;
	size_t i;

	if (name == NULL || name[0] == '\0')
		name = protocol_of_name(basename);
	if (name == NULL)
		name = "pop3";
	if (strlen(name) >= cap || strchr(name, '/') != NULL)
		return -1;
	for (i = 0; name[i] != '\0'; i++)
		out[i] = name[i] >= 'A' && name[i] <= 'Z'
			     ? (char)(name[i] - 'A' + 'a')
			     : name[i];
	out[i] = '\0';
	return 0;
}

/* Takes the first file that is there; anything but "not there" is left for
 * the reader to complain of. */
static char *
find_file(const struct config *c, const char *basename)
{
	char protocol[32];
	char *path = NULL;
	int i;

	for (i = 0; i < 3; i++) {
		int n = -1;

		path = NULL;
		if (i == 0)
			n = asprintf(
			    &path, SYSCONFDIR "/perdition/%s.conf", basename);
		else if (i == 1 && protocol_for_file(c, basename, protocol,
				       sizeof(protocol)) == 0)
			n = asprintf(&path,
			    SYSCONFDIR "/perdition/perdition.%s.conf",
			    protocol);
		else if (i == 2)
			n = asprintf(
			    &path, SYSCONFDIR "/perdition/perdition.conf");
		if (n == -1)
			continue;
		if (access(path, F_OK) == 0 || errno != ENOENT)
			return path;
		free(path);
	}
	return NULL;
}

/* 0, or a status of sysexits(3) with problems. */
static int
read_file(struct config *c, struct option_state *state, const char *basename,
    struct option_problems *problems)
{
	if (option_set_where(state, "config_file") == NULL) {
		free(c->config_file);
		c->config_file = find_file(c, basename);
		if (c->config_file == NULL)
			return 0;
	}
	if (c->config_file[0] == '\0')
		return 0; /* --config_file= reads none */
	if (access(c->config_file, F_OK) == -1) {
		option_problems_add(
		    problems, "%s: %s", c->config_file, strerror(errno));
		return EX_NOINPUT;
	}
	return option_read_file(state, c->config_file, problems) == -1
		   ? EX_CONFIG
		   : 0;
}

/* The name is a part of the command line, and problems say so. */
static int
apply_name(struct option_state *state, const char *basename,
    struct option_problems *problems)
{
	const char *protocol = protocol_of_name(basename);
	char word[64];
	char *argv[2] = { NULL, word };
	int first;

	if (protocol == NULL || option_set_where(state, "protocol") != NULL)
		return 0;
	snprintf(word, sizeof(word), "--protocol=%s", protocol);
	return option_read_argv(state, 2, argv, &first, problems);
}

static void
warn(const struct config *c)
{
	if (c->log_passwd != 0)
		log_event(LOG_WARNING, "config",
		    LOG_STR("option", "log_passwd"),
		    LOG_STR("text", "no password is ever logged"));
	if (c->capability[0] != '\0')
		log_event(LOG_WARNING, "config",
		    LOG_STR("option", "capability"),
		    LOG_STR("text", "deprecated: use the protocol's own"));
	if (c->ssl_listen_compression)
		log_event(LOG_WARNING, "config",
		    LOG_STR("option", "ssl_listen_compression"),
		    LOG_STR("text", "without effect"));
	if (c->ssl_outgoing_compression)
		log_event(LOG_WARNING, "config",
		    LOG_STR("option", "ssl_outgoing_compression"),
		    LOG_STR("text", "without effect"));
}

static int
load(struct config *c, struct option_state *state, int argc, char *const argv[],
    struct option_problems *problems)
{
	const char *basename = program_basename(argv[0]);
	int first = argc;
	int ret;

	if (option_read_argv(state, argc, argv, &first, problems) == -1)
		return EX_USAGE;
	if (first < argc) {
		option_problems_add(problems,
		    "command line: %s: perdition takes only options",
		    argv[first]);
		return EX_USAGE;
	}
	if (c->help || c->version)
		return 0;
	ret = read_file(c, state, basename, problems);
	if (apply_name(state, basename, problems) == -1 ||
	    option_apply_defaults(state, problems) == -1)
		return EX_CONFIG;
	/* Even of a file that is wrong already: all is told at once. */
	if (config_finish(c, state, basename, problems) == -1 && ret == 0)
		ret = EX_CONFIG;
	if (ret == 0)
		warn(c);
	return ret;
}

int
config_load(struct config *c, int argc, char *const argv[],
    struct option_problems *problems)
{
	struct option_state *state;
	int ret;

	state = option_state_create(&config_options, c);
	if (state == NULL) {
		option_problems_add(problems, "out of memory");
		return EX_OSERR;
	}
	ret = load(c, state, argc, argv, problems);
	option_state_destroy(&state);
	return ret;
}

int
config_load_text(
    struct config *c, struct slice text, struct option_problems *problems)
{
	struct option_state *state;
	int ret = -1;

	state = option_state_create(&config_options, c);
	if (state == NULL) {
		option_problems_add(problems, "out of memory");
		return -1;
	}
	if (option_read_text(state, text, "configuration", problems) == 0 &&
	    option_apply_defaults(state, problems) == 0)
		ret = config_finish(c, NULL, "perdition", problems);
	option_state_destroy(&state);
	return ret;
}

int
config_write_role(const struct config *c, bool secrets, FILE *f)
{
	static char empty[] = "";
	struct config copy = *c;
	char **urls;
	size_t i;
	int ret;

	urls = calloc(c->listener_count + 1, sizeof(*urls));
	if (urls == NULL)
		return -1;
	for (i = 0; i < c->listener_count; i++)
		urls[i] = c->listeners[i].text;
	copy.listen.v = urls;
	copy.listen.n = c->listener_count;
	copy.bind_address = empty;
	copy.listen_port = empty;
	ret = option_write_dump(&config_options, &copy, secrets, f);
	free(urls);
	return ret;
}

const char *
config_path(const struct config *c)
{
	return c->config_file == NULL ? "" : c->config_file;
}

void
config_clear(struct config *c)
{
	size_t i;

	for (i = 0; i < c->listener_count; i++)
		free(c->listeners[i].text);
	free(c->listeners);
	for (i = 0; i < c->server_count; i++)
		free(c->servers[i].host);
	free(c->servers);
	for (i = 0; c->query_keys != NULL && c->query_keys[i] != NULL; i++)
		free(c->query_keys[i]);
	free(c->query_keys);
	free(c->host);
	option_clear(&config_options, c);
	c->listeners = NULL;
	c->listener_count = 0;
	c->servers = NULL;
	free(c->sources);
	c->sources = NULL;
	c->source_count = 0;
	c->server_count = 0;
	c->query_keys = NULL;
	c->host = NULL;
}
