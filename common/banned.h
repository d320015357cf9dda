/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * banned - functions that have no safe use here do not compile.
 * Include last.
 */
#ifndef COMMON_BANNED_H
#define COMMON_BANNED_H

/* Macros in some C libraries and modes; poisoning a macro is a warning. */
#undef alloca
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets
#undef alloca /* a macro of glibc; what it stands for is poisoned too */
#pragma GCC poison alloca system popen sleep usleep mktemp tmpnam

#endif
