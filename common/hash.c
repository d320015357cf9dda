/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a hash whose collisions cannot
 * be found without the key, for tables whose keys come from outside.
 */
#include "config.h"

#include "common/addr.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "common/banned.h"

int
hash_key_make(struct hash_key *key)
{
	ssize_t n;

	do
		n = getrandom(key, sizeof(*key), 0);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	if ((size_t)n != sizeof(*key)) { /* never, for so few bytes */
		errno = EIO;
		return -1;
	}
	return 0;
}

static uint64_t
rotate(uint64_t x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static inline void
absorb(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

/* n bytes, at most 8, least significant first. */
static inline uint64_t
load(const char *p, size_t n)
{
	uint64_t word = 0;

	if (n == sizeof(word)) {
		memcpy(&word, p, n);
		return le64toh(word);
	}
	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)(unsigned char)p[i] << (8 * i);
	return word;
}

uint64_t
hash_bytes(const struct hash_key *key, struct slice s)
{
	uint64_t v[4] = {
		key->k0 ^ 0x736f6d6570736575,
		key->k1 ^ 0x646f72616e646f6d,
		key->k0 ^ 0x6c7967656e657261,
		key->k1 ^ 0x7465646279746573,
	};
	size_t whole = s.n - s.n % 8;

	for (size_t i = 0; i < whole; i += 8)
		absorb(v, load(s.p + i, 8));
	absorb(v, (uint64_t)s.n << 56 |
		      (s.n == whole ? 0 : load(s.p + whole, s.n % 8)));
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
