/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz - what a fuzz target defines and its drivers call: libFuzzer with
 * --enable-fuzzing, tests/lib/fuzz_replay.c under plain `make check`.
 */
#ifndef COMMON_FUZZ_H
#define COMMON_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Aborts when a property does not hold for the input; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
