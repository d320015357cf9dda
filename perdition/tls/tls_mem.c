/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_mem - a short list of record buffers between two uses.
 *
 * A worker maps each large block by itself, so that it goes back to the system
 * at once (worker.c); for a buffer that is needed again in the next moment that
 * would be two system calls and a page fault for each of its pages.
 */
#include "config.h"

#include "perdition/tls/tls_mem.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/secret.h"

#include "common/banned.h"

/*
 * What a handshake is put together in (21,848 bytes), what is read ahead
 * (17,736) and one record to be written (16,704): the first of them decides.
 * With what malloc(3) adds it is six pages.
 */
#define CLASS_MIN 16384
#define CLASS_SIZE 24544 /* what is asked of malloc(3) for any in between */
#define SPARES 64

static void *spare[SPARES];
static size_t spares;

#ifdef SANITIZE
/* What is used after it was freed shall show. */
static bool
in_class(size_t n)
{
	(void)n;
	return false;
}
#else
static bool
in_class(size_t n)
{
	return n > CLASS_MIN && n <= CLASS_SIZE;
}
#endif

static void *
get(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	if (n == 0)
		return NULL;
	if (!in_class(n))
		return malloc(n);
	return spares > 0 ? spare[--spares] : malloc(CLASS_SIZE);
}

/* A block of the class is told by its size: nothing else that OpenSSL asks for
 * is given as much. */
static bool
is_of_class(void *p)
{
	size_t n = malloc_usable_size(p);

	return in_class(CLASS_SIZE) && n >= CLASS_SIZE && n < CLASS_SIZE + 8192;
}

static void
put(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p == NULL)
		return;
	if (!is_of_class(p)) {
		free(p);
		return;
	}
	secret_wipe(p, CLASS_SIZE);
	if (spares < SPARES)
		spare[spares++] = p;
	else
		free(p);
}

static void *
resize(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	if (n == 0) {
		put(p, NULL, 0);
		return NULL;
	}
	return realloc(p, n);
}

int
tls_mem_install(void)
{
	return CRYPTO_set_mem_functions(get, resize, put) == 1 ? 0 : -1;
}

void
tls_mem_trim(void)
{
	while (spares > 0)
		free(spare[--spares]);
}
