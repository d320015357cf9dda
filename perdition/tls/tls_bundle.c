/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_bundle - each piece is a type, a length and that many bytes.
 */
#include "config.h"

#include "perdition/tls/tls_bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/secret.h"

#include "common/banned.h"

#define BUNDLE_MAX (64 * 1024 * 1024)
#define HEAD 8 /* two u32 in the host's order: it never leaves the host */

/* Not realloc(3), which would leave a copy behind. */
static int
grow(struct tls_bundle *b, size_t need)
{
	size_t cap = b->cap == 0 ? 16384 : b->cap;
	char *p;

	while (cap < need)
		cap *= 2;
	p = malloc(cap);
	if (p == NULL)
		return -1;
	if (b->n > 0) {
		memcpy(p, b->p, b->n);
		secret_wipe(b->p, b->n);
	}
	free(b->p);
	b->p = p;
	b->cap = cap;
	return 0;
}

int
tls_bundle_add(struct tls_bundle *b, enum tls_piece type, struct slice s)
{
	uint32_t head[2] = { (uint32_t)type, (uint32_t)s.n };

	if (s.n > BUNDLE_MAX || b->n + s.n + HEAD > BUNDLE_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	if (b->n + HEAD + s.n > b->cap && grow(b, b->n + HEAD + s.n) == -1)
		return -1;
	memcpy(b->p + b->n, head, HEAD);
	if (s.n > 0)
		memcpy(b->p + b->n + HEAD, s.p, s.n);
	b->n += HEAD + s.n;
	return 0;
}

void
tls_bundle_clear(struct tls_bundle *b)
{
	if (b->n > 0)
		secret_wipe(b->p, b->n);
	free(b->p);
	*b = (struct tls_bundle){ NULL, 0, 0 };
}

int
tls_bundle_to_memfd(const struct tls_bundle *b)
{
	int fd = memfd_create("perdition-tls", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;

	while (fd != -1 && done < b->n) {
		ssize_t w = write(fd, b->p + done, b->n - done);

		if (w == -1 && errno != EINTR) {
			int e = errno;

			close(fd);
			errno = e;
			return -1;
		}
		done += w > 0 ? (size_t)w : 0;
	}
	if (fd != -1)
		(void)fcntl(fd, F_ADD_SEALS,
		    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	return fd;
}

int
tls_bundle_map(int fd, struct slice *all)
{
	struct stat st;
	void *p;

	*all = slice_make(NULL, 0);
	if (fstat(fd, &st) == -1)
		return -1;
	if (st.st_size == 0)
		return 0;
	if (st.st_size < 0 || st.st_size > BUNDLE_MAX) {
		errno = EMSGSIZE;
		return -1;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -1;
	*all = slice_make(p, (size_t)st.st_size);
	return 0;
}

void
tls_bundle_unmap(struct slice *all)
{
	union {
		const char *from;
		void *to;
	} p = { .from = all->p };

	if (all->n > 0)
		munmap(p.to, all->n);
	*all = slice_make(NULL, 0);
}

bool
tls_bundle_same(int a, int b)
{
	struct slice x = { NULL, 0 }, y = { NULL, 0 };
	bool same = a == -1 && b == -1;

	if (a != -1 && b != -1)
		same = tls_bundle_map(a, &x) == 0 &&
		       tls_bundle_map(b, &y) == 0 && slice_eq(x, y);
	tls_bundle_unmap(&x);
	tls_bundle_unmap(&y);
	return same;
}

int
tls_bundle_next(struct slice *rest, enum tls_piece *type, struct slice *piece)
{
	uint32_t head[2];

	if (rest->n == 0)
		return 0;
	if (rest->n >= HEAD) {
		memcpy(head, rest->p, HEAD);
		if (head[0] > 0 && head[0] < TLS_PIECE_COUNT &&
		    head[1] <= rest->n - HEAD) {
			*type = (enum tls_piece)head[0];
			*piece = slice_make(rest->p + HEAD, head[1]);
			*rest = slice_skip(*rest, HEAD + (size_t)head[1]);
			return 1;
		}
	}
	errno = EBADMSG;
	return -1;
}
