/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guard - reading a file that may be damaged with a library that may not
 * bear it.
 *
 * Berkeley DB trusts its pages: a torn one can end the process or keep it
 * busy for ever.  A mail server must run whatever the file looks like, so the
 * reading is done by a child.
 */
#ifndef PERDITION_PBS_GUARD_H
#define PERDITION_PBS_GUARD_H

#include <stdio.h>

#include "common/err.h"

struct guard_work {
	void (*read)(void *arg, FILE *out); /* in the child */
	void (*take)(void *arg, FILE *in);  /* here, while the child works */
	void *arg;
	unsigned int seconds; /* that the child may take */
};

/*
 * 0 when there was a child: what has arrived is for take to judge, since the
 * child may have ended in the midst of it.  -1 with err: there was none.
 */
int guard_run(const struct guard_work *, struct err *);

#endif
