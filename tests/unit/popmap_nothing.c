/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shared object that is no popmap module.
 */
extern const int popmap_nothing;

const int popmap_nothing = 1;
