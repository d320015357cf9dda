/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SipHash (Aumasson and Bernstein, 2012): a hash whose collisions cannot be
 * found without the key, for tables whose keys come from outside.
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
absorb(uint64_t v[4], uint64_t word, int rounds)
{
	v[3] ^= word;
	for (int i = 0; i < rounds; i++)
		sip_round(v);
	v[0] ^= word;
}

/* Eight bytes, least significant first. */
static inline uint64_t
load(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return le64toh(word);
}

/* The bytes of s behind the last whole word, fewer than eight. */
static inline uint64_t
load_rest(struct slice s)
{
	size_t n = s.n % 8;
	uint64_t word = 0;

	if (n > 0 && s.n > 8) /* in one piece, with some before them */
		return load(s.p + s.n - 8) >> (64 - 8 * n);
	for (size_t i = 0; i < n; i++)
		word |= (uint64_t)(unsigned char)s.p[s.n - n + i] << (8 * i);
	return word;
}

/* Inlined with its numbers of rounds: this is the inner loop of tables. */
static inline uint64_t
sip(const struct hash_key *key, struct slice s, int rounds, int last_rounds)
{
	uint64_t v[4] = {
		key->k0 ^ 0x736f6d6570736575,
		key->k1 ^ 0x646f72616e646f6d,
		key->k0 ^ 0x6c7967656e657261,
		key->k1 ^ 0x7465646279746573,
	};
	size_t whole = s.n - s.n % 8;

	for (size_t i = 0; i < whole; i += 8)
		absorb(v, load(s.p + i), rounds);
	absorb(v, (uint64_t)s.n << 56 | load_rest(s), rounds);
	v[2] ^= 0xff;
	for (int i = 0; i < last_rounds; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t
hash_bytes(const struct hash_key *key, struct slice s)
{
	return sip(key, s, 2, 4);
}

uint64_t
hash_quick(const struct hash_key *key, struct slice s)
{
	return sip(key, s, 1, 3);
}
