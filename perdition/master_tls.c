/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * master_tls - the master changes the keys of session tickets.
 */
#include "config.h"

#include "perdition/master_private.h"

#include <time.h>

#include "common/banned.h"

static void
on_rotate(uv_timer_t *timer)
{
	master_rotate_tickets(timer->data);
}

void
master_rotate_tickets(struct master *m)
{
	struct timespec ts;
	int64_t wait;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	wait = tls_tickets_rotate(
	    m->tickets, m->current->config.ssl_ticket_lifetime, ts.tv_sec);
	if (wait > 0)
		uv_timer_start(&m->rotate, on_rotate, (uint64_t)wait * 1000, 0);
	else
		uv_timer_stop(&m->rotate);
}
