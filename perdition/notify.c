/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notify - word to the service manager; see the header.
 */
#include "config.h"

#include "perdition/notify.h"

#include <time.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "common/banned.h"

#ifdef HAVE_SYSTEMD

void
notify_ready(void)
{
	(void)sd_notifyf(
	    0, "READY=1\nMAINPID=%d\nSTATUS=serving", (int)getpid());
}

void
notify_reloading(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

void
notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1\nSTATUS=waiting for open sessions");
}

#else

void
notify_ready(void)
{
}

void
notify_reloading(void)
{
}

void
notify_stopping(void)
{
}

#endif
