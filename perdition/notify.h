/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notify - how we are, to the service manager: sd_notify(3), where there is
 * one that listens.
 */
#ifndef PERDITION_NOTIFY_H
#define PERDITION_NOTIFY_H

void notify_ready(void); /* after a start, and after a reload */
void notify_reloading(void);
void notify_stopping(void);

#endif
