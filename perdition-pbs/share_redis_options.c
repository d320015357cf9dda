/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * share_redis_options - what was asked for, passwords and certificates read;
 * see the private header.
 */
#include "config.h"

#include "perdition-pbs/share_redis_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/secret_file.h"

#include "common/banned.h"

#define SENTINEL_PORT 26379
#define REDIS_PORT 6379

/* Who this is, for operators; what makes it unique is behind it. */
static int
name_self(struct share_redis *s, struct err *err)
{
	char host[65] = "";
	uint64_t random;

	if (gethostname(host, sizeof(host) - 1) == -1)
		host[0] = '\0';
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return err_set(err, errno, "getrandom: %s", strerror(errno));
	snprintf(s->self, sizeof(s->self), "%s/%016" PRIx64, host, random);
	return 0;
}

static int
read_secret(const char *path, struct secret *out, struct err *err)
{
	return path[0] == '\0' ? 0 : secret_read_file(path, out, err);
}

int
share_redis_set_up(
    struct share_redis *s, const struct pbs_config *c, struct err *err)
{
	struct share_tls_config tc = { c->redis_tls_ca_cert_file,
		c->redis_tls_cert_file, c->redis_tls_key_file,
		c->redis_tls_name };
	unsigned int port =
	    c->redis_sentinel[0] == '\0' ? REDIS_PORT : SENTINEL_PORT;

	s->servers = calloc(c->redis_server.n, sizeof(*s->servers));
	s->sentinel = strdup(c->redis_sentinel);
	s->user = strdup(c->redis_user);
	if (asprintf(&s->key, "%schanges", c->redis_prefix) == -1)
		s->key = NULL;
	if (s->servers == NULL || s->sentinel == NULL || s->user == NULL ||
	    s->key == NULL)
		return err_set(err, ENOMEM, "%s", strerror(ENOMEM));
	for (; s->servers_n < c->redis_server.n; s->servers_n++)
		if (share_place_parse(
			slice_str(c->redis_server.v[s->servers_n]), port,
			&s->servers[s->servers_n]) == -1)
			return err_set(err, EINVAL, "redis_server: %s: %s",
			    c->redis_server.v[s->servers_n], strerror(errno));
	snprintf(s->db, sizeof(s->db), "%u", c->redis_db);
	s->maxlen_n = c->redis_maxlen;
	snprintf(s->maxlen, sizeof(s->maxlen), "%u", c->redis_maxlen);
	s->wait_ms = RETRY_MIN_MS;
	if (c->redis_tls) {
		s->tls = share_tls_create(&tc, err);
		if (s->tls == NULL)
			return -1;
	}
	if (read_secret(c->redis_password_file, &s->password, err) == -1 ||
	    read_secret(c->redis_sentinel_password_file, &s->sentinel_password,
		err) == -1)
		return -1;
	return name_self(s, err);
}
