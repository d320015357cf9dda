/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * err - a failure told in words to the human who must act on it.
 */
#ifndef COMMON_ERR_H
#define COMMON_ERR_H

struct err {
	int code;      /* an errno value, or a sysexits(3) code where said */
	char msg[512]; /* one line, no newline at its end */
};

/* Formats msg (a cut at its end is shown by "..."); always returns -1. */
int err_set(struct err *, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " in front of msg; always returns -1. */
int err_prefix(struct err *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The analyzer sees one file at a time; let it know what is returned. */
#ifdef __clang_analyzer__
#define err_set(...)                                                           \
	({                                                                     \
		(void)(err_set)(__VA_ARGS__);                                  \
		-1;                                                            \
	})
#define err_prefix(...)                                                        \
	({                                                                     \
		(void)(err_prefix)(__VA_ARGS__);                               \
		-1;                                                            \
	})
#endif

#endif
