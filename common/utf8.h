/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * utf8 - whether bytes are UTF-8 (RFC 3629 section 4), for those that refuse
 * or misread what is not.
 */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>

#include "common/slice.h"

/* No surrogate, no overlong form, nothing above U+10FFFF; a NUL may be in it,
 * and an empty slice is. */
bool utf8_is_valid(struct slice);

#endif
