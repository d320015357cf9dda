/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_resolver - a resolver for tests that knows a few names and counts who
 * asks.
 */
#ifndef TESTS_FAKE_RESOLVER_H
#define TESTS_FAKE_RESOLVER_H

#include "perdition/resolve.h"

/*
 * two.example: 2001:db8::1, 2001:db8::2, 192.0.2.1, 192.0.2.2, in this order
 * and each twice; one.example: 192.0.2.9; many.example: 40 addresses;
 * again.example: EAI_AGAIN; all others: EAI_NONAME.
 */
extern const struct resolve_ops fake_resolver;
extern unsigned int fake_asked;
extern int fake_failure;         /* not 0: what every question gets */
extern const char *fake_reverse; /* the name of every address; NULL: none */

#endif
