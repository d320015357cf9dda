/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * input - lines from a pipe, or what else standard input may be, to its end.
 *
 * Lines as tail_file.h has them; one without its newline at the end is none.
 * There is no position to be kept: who writes into the pipe knows.
 */
#ifndef PERDITION_PBS_INPUT_H
#define PERDITION_PBS_INPUT_H

#include <stdbool.h>
#include <uv.h>

#include "common/err.h"
#include "perdition-pbs/tail_file.h"

struct input;

/*
 * Reads fd (borrowed), a bounded part in each turn of the loop.  The reader
 * (copied) is told of lines, end (with its arg) once of the end, after an error
 * too, which the log tells: both from the loop.  NULL with err.
 */
struct input *input_start(uv_loop_t *, int fd, const struct tail_reader *,
    void (*end)(void *arg), struct err *);
/* Reads what is in a pipe now, without waiting for more; end is not told. */
void input_drain(struct input *);
void input_stop(struct input **); /* the loop must turn once more */

bool input_behind(const struct input *); /* more is there to be read */

#endif
