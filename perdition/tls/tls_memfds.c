/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_memfds - see tls_memfds.h.
 */
#include "config.h"

#include "perdition/tls/tls_memfds.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "perdition/tls/tls_ctx.h"

#include "common/banned.h"

void
tls_memfds_close(struct tls_memfds *fds)
{
	if (fds->keys != -1)
		close(fds->keys);
	if (fds->trust != -1)
		close(fds->trust);
	*fds = TLS_MEMFDS_NONE;
}

int
tls_memfds_read(struct tls_memfds *fds, const struct config *c,
    struct tls_passphrase *passphrase, struct option_problems *problems)
{
	struct tls_bundle keys, trust;
	struct err err;
	int status = EX_OSERR;

	*fds = TLS_MEMFDS_NONE;
	if (tls_init(&err) == -1) {
		option_problems_add(problems, "%s", err.msg);
		return status;
	}
	status = tls_files_read(c, passphrase, &keys, &trust, problems);
	if (status != 0)
		goto out;
	if (c->listen_tls)
		fds->keys = tls_bundle_to_memfd(&keys);
	fds->trust = tls_bundle_to_memfd(&trust);
	if ((c->listen_tls && fds->keys == -1) || fds->trust == -1) {
		option_problems_add(
		    problems, "keys in memory: %s", strerror(errno));
		tls_memfds_close(fds);
		status = EX_OSERR;
	}
out:
	tls_bundle_clear(&keys);
	tls_bundle_clear(&trust);
	return status;
}

bool
tls_memfds_same(const struct tls_memfds *a, const struct tls_memfds *b)
{
	return tls_bundle_same(a->keys, b->keys) &&
	       tls_bundle_same(a->trust, b->trust);
}
