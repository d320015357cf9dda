/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logsession - sessions that wait for a login; see the header.
 */
#include "config.h"

#include "perdition-pbs/logsession.h"

#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

#define PLACES 4096 /* a power of two */

struct session {
	uint64_t process; /* host, ident and process id, hashed; 0: free */
	int64_t when;
	struct addr client;
};

struct logsessions {
	struct hash_key key;
	struct session v[PLACES];
};

struct logsessions *
logsessions_create(void)
{
	struct logsessions *ss = calloc(1, sizeof(*ss));

	if (ss != NULL && hash_key_make(&ss->key) == -1)
		logsessions_destroy(&ss);
	return ss;
}

void
logsessions_destroy(struct logsessions **ssp)
{
	free(*ssp);
	*ssp = NULL;
}

/* Host, ident and process id stand side by side in the line, and what stands
 * between them tells them apart.  0: there is no process id. */
static uint64_t
process_of(const struct logsessions *ss, const struct loghead *h)
{
	if (h->pid.n == 0)
		return 0;
	/* Never 0, which is a free place. */
	return hash_bytes(
		   &ss->key, slice_make(h->host.p,
				 (size_t)(h->pid.p + h->pid.n - h->host.p))) |
	       1;
}

static struct session *
place(struct logsessions *ss, uint64_t process)
{
	return &ss->v[process >> 1 & (PLACES - 1)];
}

void
logsession_begin(struct logsessions *ss, const struct loghead *head,
    const struct addr *client, int64_t when)
{
	uint64_t process = process_of(ss, head);

	if (process != 0)
		*place(ss, process) = (struct session){
			.process = process, .when = when, .client = *client
		};
}

bool
logsession_end(struct logsessions *ss, const struct loghead *head, int64_t when,
    struct addr *client)
{
	uint64_t process = process_of(ss, head);
	struct session *s = place(ss, process);

	if (process == 0 || s->process != process)
		return false;
	s->process = 0;
	*client = s->client;
	return when >= s->when && when - s->when <= LOGSESSION_MAX;
}
