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

static inline uint64_t
rotate(uint64_t x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

/* By name and by value: an array would be kept in memory between the steps. */
struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline struct sip
sip_round(struct sip s)
{
	s.v0 += s.v1;
	s.v1 = rotate(s.v1, 13) ^ s.v0;
	s.v0 = rotate(s.v0, 32);
	s.v2 += s.v3;
	s.v3 = rotate(s.v3, 16) ^ s.v2;
	s.v0 += s.v3;
	s.v3 = rotate(s.v3, 21) ^ s.v0;
	s.v2 += s.v1;
	s.v1 = rotate(s.v1, 17) ^ s.v2;
	s.v2 = rotate(s.v2, 32);
	return s;
}

/* rounds: 1 to 4. */
static inline struct sip
sip_rounds(struct sip s, int rounds)
{
	s = sip_round(s);
	s = rounds > 1 ? sip_round(s) : s;
	s = rounds > 2 ? sip_round(s) : s;
	return rounds > 3 ? sip_round(s) : s;
}

static inline struct sip
absorb(struct sip s, uint64_t word, int rounds)
{
	s.v3 ^= word;
	s = sip_rounds(s, rounds);
	s.v0 ^= word;
	return s;
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
static inline __attribute__((always_inline)) uint64_t
sip(const struct hash_key *key, struct slice in, int rounds, int last_rounds)
{
	struct sip s = {
		key->k0 ^ 0x736f6d6570736575,
		key->k1 ^ 0x646f72616e646f6d,
		key->k0 ^ 0x6c7967656e657261,
		key->k1 ^ 0x7465646279746573,
	};
	size_t whole = in.n - in.n % 8;

	for (size_t i = 0; i < whole; i += 8)
		s = absorb(s, load(in.p + i), rounds);
	s = absorb(s, (uint64_t)in.n << 56 | load_rest(in), rounds);
	s.v2 ^= 0xff;
	s = sip_rounds(s, last_rounds);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
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
