/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A module made for another interface: all behind abi means something else.
 */
#include "perdition/popmap.h"

extern const struct popmap_ops popmap_module;

const struct popmap_ops popmap_module = { .abi = POPMAP_ABI + 1 };
