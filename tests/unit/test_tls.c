/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS over a socket that is never ready when it is wanted: every byte by
 * itself, writes that are not taken, ends of all kinds.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "perdition/tls/tls.h"
#include "tests/lib/check_run.h"
#include "tests/lib/tls_ends.h"

#include "common/banned.h"

#define MEGA (1024 * 1024)

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
static struct tls_ends *e;
static struct err err;

static void
setup(void)
{
	e = tls_ends_create(NULL, 3600);
}

static void
teardown(void)
{
	tls_ends_destroy(&e);
}

/* A connection that both have agreed on. */
static void
open_ends(int version)
{
	SSL_CTX_set_max_proto_version(e->ctx, version);
	tls_ends_connect(e, NULL);
	ck_assert_msg(tls_ends_shake(e, 65536, &err) == 1, "%s", err.msg);
}

static void
peer_says(const char *text)
{
	ck_assert_int_gt(SSL_write(e->peer, text, (int)strlen(text)), 0);
}

static void
we_hear(const char *text)
{
	char got[256];
	ssize_t n = tls_read(e->ours, got, sizeof(got));

	ck_assert_int_eq(n, (ssize_t)strlen(text));
	ck_assert(slice_eq(slice_make(got, (size_t)n), slice_str(text)));
}

START_TEST(byte_by_byte)
{
	char got[64];

	SSL_CTX_set_max_proto_version(e->ctx, versions[_i]);
	tls_ends_connect(e, NULL);
	ck_assert_int_eq(tls_ends_shake(e, 1, &err), 1);
	ck_assert_str_eq(tls_server_name(e->ours), "mail.test");
	ck_assert(!tls_resumed(e->ours));
	peer_says("a LOGIN b c\r\n");
	while (BIO_ctrl_pending(SSL_get_wbio(e->peer)) > 1) {
		tls_ends_move(e, 1);
		errno = 0;
		ck_assert_int_eq(tls_read(e->ours, got, sizeof(got)), -1);
		ck_assert_int_eq(errno, EAGAIN);
		/* Half a record will be announced by the socket. */
		ck_assert(!tls_pending(e->ours));
	}
	tls_ends_move(e, 1);
	we_hear("a LOGIN b c\r\n");
	ck_assert_int_eq(tls_write(e->ours, SLICE("a OK"), 0), 4);
	tls_ends_move(e, 1);
	ck_assert_int_eq(SSL_read(e->peer, got, sizeof(got)), 4);
}
END_TEST

/* What does not fit the caller's buffer is not announced by the socket. */
START_TEST(pending)
{
	char got[4];

	open_ends(versions[_i]);
	peer_says("12345678");
	peer_says("abcd");
	tls_ends_move(e, 65536);
	ck_assert_int_eq(tls_read(e->ours, got, 4), 4);
	ck_assert(tls_pending(e->ours));
	ck_assert_int_eq(tls_read(e->ours, got, 4), 4);
	ck_assert(tls_pending(e->ours));
	ck_assert_int_eq(tls_read(e->ours, got, 4), 4);
	ck_assert(slice_eq(slice_make(got, 4), SLICE("abcd")));
	ck_assert_int_eq(tls_read(e->ours, got, 4), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert(!tls_pending(e->ours));
}
END_TEST

/* Data in the same packet as the end of the handshake is not overlooked. */
START_TEST(data_behind_the_handshake)
{
	SSL_CTX_set_max_proto_version(e->ctx, versions[_i]);
	tls_ends_connect(e, NULL);
	for (int i = 0; i < 10 && SSL_do_handshake(e->peer) != 1; i++) {
		tls_ends_move(e, 65536);
		ck_assert_int_eq(tls_handshake(e->ours, &err) == -1, 0);
		tls_ends_move(e, 0);
	}
	peer_says("at once");
	tls_ends_move(e, 65536);
	if (versions[_i] == TLS1_3_VERSION)
		ck_assert_int_eq(tls_handshake(e->ours, &err), 1);
	we_hear("at once");
}
END_TEST

START_TEST(ends)
{
	char got[16];

	open_ends(versions[_i]);
	peer_says("bye");
	SSL_shutdown(e->peer);
	tls_ends_move(e, 65536);
	we_hear("bye");
	/* The end is still to be told, and the socket is silent. */
	ck_assert(tls_pending(e->ours));
	ck_assert_int_eq(tls_read(e->ours, got, sizeof(got)), 0);
	ck_assert(!tls_pending(e->ours));
	ck_assert_int_eq(tls_read(e->ours, got, sizeof(got)), 0);
	/* It may still listen. */
	ck_assert_int_eq(tls_write(e->ours, SLICE("ok"), 0), 2);
	tls_shutdown(e->ours);
	tls_ends_move(e, 65536);
	ck_assert_int_eq(SSL_read(e->peer, got, sizeof(got)), 2);
	ck_assert_int_eq(SSL_read(e->peer, got, sizeof(got)), 0);
	ck_assert(SSL_get_shutdown(e->peer) & SSL_RECEIVED_SHUTDOWN);
}
END_TEST

START_TEST(ends_without_a_word)
{
	char got[16];

	open_ends(versions[_i]);
	peer_says("bye");
	tls_ends_move(e, 65536);
	close(e->fd[1]);
	e->fd[1] = -1;
	we_hear("bye");
	ck_assert_int_eq(tls_read(e->ours, got, sizeof(got)), 0);
}
END_TEST

/* Once broken, always broken; and no close_notify into it. */
START_TEST(damaged)
{
	char got[16];

	open_ends(versions[_i]);
	peer_says("good");
	tls_ends_move(e, 65536);
	ck_assert_int_eq(
	    write(e->fd[1], "\27\3\3\0\24aaaaaaaaaaaaaaaaaaaa", 25), 25);
	we_hear("good");
	ck_assert(tls_pending(e->ours));
	ck_assert_int_eq(tls_read(e->ours, got, sizeof(got)), -1);
	ck_assert_int_eq(errno, EPROTO);
	ck_assert_int_eq(tls_read(e->ours, got, sizeof(got)), -1);
	ck_assert_int_eq(tls_write(e->ours, SLICE("x"), 0), -1);
}
END_TEST

static const struct {
	struct slice bytes; /* empty: the end of the connection */
	const char *why;
} no_handshakes[] = {
	{ SLICE("GET / HTTP/1.0\r\n\r\n"), "speaks no TLS" },
	{ SLICE("a LOGIN b c\r\n\r\n\r\n"), "speaks no TLS" },
	{ SLICE("USER bob\r\nPASS x\r\n"), "speaks no TLS" },
	{ SLICE(""), "closed during the handshake" },
};

START_TEST(no_handshake)
{
	struct slice s = no_handshakes[_i].bytes;

	tls_ends_connect(e, NULL);
	if (s.n > 0) {
		ck_assert_int_eq(write(e->fd[1], s.p, s.n), (ssize_t)s.n);
	} else {
		close(e->fd[1]);
		e->fd[1] = -1;
	}
	ck_assert_int_eq(tls_handshake(e->ours, &err), -1);
	ck_assert_msg(
	    strstr(err.msg, no_handshakes[_i].why) != NULL, "%s", err.msg);
}
END_TEST

/* What the peer does not like about us, in its words. */
START_TEST(alert)
{
	SSL_CTX_set_max_proto_version(e->ctx, versions[_i]);
	SSL_CTX_set_verify(e->ctx, SSL_VERIFY_PEER, NULL);
	tls_ends_connect(e, NULL);
	for (int i = 0; i < 10; i++) {
		(void)SSL_do_handshake(e->peer);
		tls_ends_move(e, 65536);
		if (tls_handshake(e->ours, &err) == -1)
			break;
		tls_ends_move(e, 65536);
		ck_assert_int_lt(i, 9);
	}
	ck_assert_str_eq(err.msg, "the other side refused: unknown CA");
}
END_TEST

START_TEST(no_word_to_the_dead)
{
	char got[16];

	open_ends(versions[_i]);
	e->raw_n = 0;
	tls_destroy(&e->ours); /* says so */
	tls_ends_move(e, 65536);
	ck_assert_uint_gt(e->raw_n, 0);
	ck_assert_int_eq(SSL_read(e->peer, got, sizeof(got)), 0);
	ck_assert(SSL_get_shutdown(e->peer) & SSL_RECEIVED_SHUTDOWN);
}
END_TEST

/* --- writing ------------------------------------------------------------ */

/* The lengths of the records in what ours has sent. */
static size_t
records(size_t *out, size_t cap)
{
	size_t at = 0, n = 0;

	while (at + 5 <= e->raw_n) {
		size_t len = (size_t)e->raw[at + 3] << 8 | e->raw[at + 4];

		ck_assert_uint_lt(n, cap);
		out[n++] = len;
		at += 5 + len;
	}
	ck_assert_uint_eq(at, e->raw_n);
	return n;
}

/* A socket that takes little; what was not taken is offered again, and more
 * behind it. */
START_TEST(partial_writes)
{
	char *all = malloc(MEGA), *got = malloc(MEGA);
	int size = 4096;
	size_t done = 0, have = 0, refused = 0;

	for (size_t i = 0; i < MEGA; i++)
		all[i] = (char)(i * 7 + i / 251);
	open_ends(versions[_i]);
	setsockopt(e->fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	e->raw_n = 0;
	while (have < MEGA) {
		int n;

		if (done < MEGA) {
			/* Never less than what was offered before. */
			size_t offer = MEGA - done;
			ssize_t w;

			if (offer > 50000 + refused % 7)
				offer = 50000 + refused % 7;
			w = tls_write(
			    e->ours, slice_make(all + done, offer), 0);
			ck_assert_int_ge(w, 0);
			done += (size_t)w;
			refused += (size_t)w < offer;
		}
		tls_ends_move(e, 65536);
		e->raw_n = 0;
		while (
		    (n = SSL_read(e->peer, got + have, (int)(MEGA - have))) > 0)
			have += (size_t)n;
	}
	ck_assert_uint_gt(refused, 10);
	ck_assert_int_eq(memcmp(all, got, MEGA), 0);
	free(all);
	free(got);
}
END_TEST

/* A packet first, then ever more, up to 16 KiB; after a second of silence
 * from the beginning. */
START_TEST(growing_records)
{
	static char data[200000];
	size_t len[64], n, overhead = 40;

	open_ends(versions[_i]);
	for (uint64_t now = 5000; now <= 7000; now += 2000) {
		size_t done = 0;

		e->raw_n = 0;
		while (done < sizeof(data)) {
			ssize_t w = tls_write(e->ours,
			    slice_make(data + done, sizeof(data) - done), now);

			ck_assert_int_ge(w, 0);
			done += (size_t)w;
			tls_ends_move(e, 65536);
		}
		n = records(len, 64);
		ck_assert_uint_le(len[0], 1400 + overhead);
		for (size_t i = 1; i + 1 < n; i++)
			ck_assert_uint_ge(len[i], len[i - 1]);
		ck_assert_uint_ge(len[n - 2], 16384);
		ck_assert_uint_le(len[n - 2], 16384 + overhead);
		ck_assert_uint_le(n, 20);
	}
	/* Within a burst it does not begin again. */
	e->raw_n = 0;
	ck_assert_int_eq(
	    tls_write(e->ours, slice_make(data, 10000), 7500), 10000);
	tls_ends_move(e, 65536);
	ck_assert_uint_eq(records(len, 64), 1);
}
END_TEST

/* The peer changes its keys, and asks us to: an answer in the midst of it. */
START_TEST(keys_change)
{
	char got[64];

	open_ends(TLS1_3_VERSION);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(
		    SSL_key_update(e->peer, SSL_KEY_UPDATE_REQUESTED), 1);
		peer_says("one");
		tls_ends_move(e, 65536);
		we_hear("one");
		ck_assert_int_eq(tls_write(e->ours, SLICE("two"), 0), 3);
		tls_ends_move(e, 65536);
		ck_assert_int_eq(SSL_read(e->peer, got, sizeof(got)), 3);
	}
}
END_TEST

START_TEST(no_renegotiation)
{
	char got[16];

	open_ends(TLS1_2_VERSION);
	ck_assert_int_eq(SSL_renegotiate(e->peer), 1);
	(void)SSL_do_handshake(e->peer);
	tls_ends_move(e, 65536);
	/* A warning is the answer; nothing else happens. */
	ck_assert_int_eq(tls_read(e->ours, got, sizeof(got)), -1);
	tls_ends_move(e, 65536);
	ck_assert_int_le(SSL_read(e->peer, got, sizeof(got)), 0);
}
END_TEST

START_TEST(first_refusal_counts)
{
	tls_ends_connect(e, NULL);
	tls_refuse(e->ours, "the reason");
	tls_refuse(e->ours, "another");
	ck_assert_int_eq(write(e->fd[1], "GET / HTTP/1.0\r\n", 16), 16);
	ck_assert_int_eq(tls_handshake(e->ours, &err), -1);
	ck_assert_str_eq(err.msg, "the reason");
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("tls");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, byte_by_byte, 0, COUNT(versions));
	tcase_add_loop_test(t, pending, 0, COUNT(versions));
	tcase_add_loop_test(t, data_behind_the_handshake, 0, COUNT(versions));
	tcase_add_loop_test(t, ends, 0, COUNT(versions));
	tcase_add_loop_test(t, ends_without_a_word, 0, COUNT(versions));
	tcase_add_loop_test(t, damaged, 0, COUNT(versions));
	tcase_add_loop_test(t, no_handshake, 0, COUNT(no_handshakes));
	tcase_add_loop_test(t, alert, 0, COUNT(versions));
	tcase_add_loop_test(t, no_word_to_the_dead, 0, COUNT(versions));
	tcase_add_loop_test(t, partial_writes, 0, COUNT(versions));
	tcase_add_loop_test(t, growing_records, 0, COUNT(versions));
	tcase_add_test(t, keys_change);
	tcase_add_test(t, no_renegotiation);
	tcase_add_test(t, first_refusal_counts);
	return check_run("tls", t);
}
