/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shape_private - a shape taken apart; between shape.c, which matches, and
 * shape_read.c, which makes it.
 */
#ifndef PERDITION_PBS_SHAPE_PRIVATE_H
#define PERDITION_PBS_SHAPE_PRIVATE_H

#include "perdition-pbs/shape.h"

enum shape_op_type {
	SHAPE_OP_LITERAL,
	SHAPE_OP_CHOICE,
	SHAPE_OP_OPTIONAL, /* a literal follows, which decides */
	SHAPE_OP_FIELD
};

struct shape_op {
	enum shape_op_type type;
	enum shape_field field; /* of SHAPE_OP_FIELD */
	struct slice text;      /* the literal; "A|B" of a choice */
	struct slice source;    /* as written, for those who want to know */
	size_t length;          /* of an optional part, in ops behind this */
	bool has_stop;          /* {user}, {text}: ended by this byte, */
	char stop;              /* else by the end of the line */
};

struct shape {
	char *text;     /* as written */
	char *literals; /* what ops point to */
	struct shape_op *ops;
	size_t n;
	size_t first;        /* behind {syslog} or {stamp} in front */
	unsigned int fields; /* bits by enum shape_field */
};

#endif
