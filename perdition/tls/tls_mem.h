/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_mem - OpenSSL's memory in a worker.
 *
 * Its record buffers come and go with each burst of an otherwise idle
 * session: they are kept for the next use, some of them, and wiped, since
 * they have held passwords.
 */
#ifndef PERDITION_TLS_MEM_H
#define PERDITION_TLS_MEM_H

/* Before OpenSSL has allocated anything; once.  0, or -1: too late. */
int tls_mem_install(void);

/* Gives back to the system what is kept for the next use. */
void tls_mem_trim(void);

#endif
