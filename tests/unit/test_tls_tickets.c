/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sessions resumed by another worker, while keys change under them. */
#include "config.h"

#include <check.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "perdition/tls/tls_sessions.h"
#include "perdition/tls/tls_tickets.h"
#include "tests/lib/check_run.h"
#include "tests/lib/tls_ends.h"

#include "common/banned.h"

#define LIFETIME 3600

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static int64_t
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static SSL_SESSION *last;

/* One connection, resuming session if it can be; a new one is in last. */
static bool
resumes(struct tls_ends *e, SSL_SESSION *session, int version)
{
	char got[16];
	struct err err;
	bool reused;

	SSL_CTX_set_max_proto_version(e->ctx, version);
	tls_ends_connect(e, session);
	ck_assert_msg(tls_ends_shake(e, 65536, &err) == 1, "%s", err.msg);
	(void)SSL_read(e->peer, got, sizeof(got)); /* TLS 1.3's tickets */
	reused = tls_resumed(e->ours);
	ck_assert_int_eq(reused, SSL_session_reused(e->peer) == 1);
	SSL_SESSION_free(last);
	last = SSL_get1_session(e->peer);
	tls_ends_disconnect(e);
	return reused;
}

START_TEST(all_workers)
{
	int fd;
	struct tls_tickets *master = tls_tickets_create(&fd);
	struct tls_tickets *one = tls_tickets_attach(fd),
			   *two = tls_tickets_attach(fd);
	struct tls_ends *a = tls_ends_create(one, LIFETIME),
			*b = tls_ends_create(two, LIFETIME);
	SSL_SESSION *first;

	ck_assert_int_eq(
	    (int)tls_tickets_rotate(master, LIFETIME, now()), LIFETIME);
	/* The listener's session context is the same for both: the
	 * configuration is. */
	ck_assert(!resumes(a, NULL, versions[_i]));
	ck_assert_ptr_nonnull(last);
	first = last;
	SSL_SESSION_up_ref(first);
	ck_assert(resumes(b, first, versions[_i]));
	ck_assert(resumes(a, last, versions[_i]));
	/* The next key: the old one still decrypts. */
	tls_tickets_rotate(master, LIFETIME, now() + LIFETIME);
	ck_assert(resumes(b, first, versions[_i]));
	/* The one after that: no more; but what was renewed does. */
	tls_tickets_rotate(master, LIFETIME, now() + 2 * LIFETIME);
	ck_assert(resumes(a, last, versions[_i]));
	ck_assert(!resumes(a, first, versions[_i]));
	SSL_SESSION_free(first);
	SSL_SESSION_free(last);
	last = NULL;
	tls_ends_destroy(&a);
	tls_ends_destroy(&b);
	tls_tickets_detach(&one);
	tls_tickets_detach(&two);
	tls_tickets_detach(&master);
	close(fd);
}
END_TEST

/* Without a key there are no tickets, and no failure. */
START_TEST(no_keys)
{
	int fd;
	struct tls_tickets *master = tls_tickets_create(&fd);
	struct tls_tickets *one = tls_tickets_attach(fd);
	struct tls_ends *a = tls_ends_create(one, LIFETIME);

	ck_assert(!resumes(a, NULL, versions[_i]));
	tls_tickets_rotate(master, LIFETIME, now());
	ck_assert(!resumes(a, last, versions[_i]));
	ck_assert(resumes(a, last, versions[_i]));
	ck_assert_int_eq((int)tls_tickets_rotate(master, 0, now()), 0);
	ck_assert(!resumes(a, last, versions[_i]));
	SSL_SESSION_free(last);
	last = NULL;
	tls_ends_destroy(&a);
	tls_tickets_detach(&one);
	tls_tickets_detach(&master);
	close(fd);
}
END_TEST

/* The master is gone: keys that are too old are of no use. */
START_TEST(no_master)
{
	int fd;
	struct tls_tickets *master = tls_tickets_create(&fd);
	struct tls_tickets *one = tls_tickets_attach(fd);
	struct tls_ends *a = tls_ends_create(one, LIFETIME);

	tls_tickets_rotate(master, LIFETIME, now() - 3 * LIFETIME);
	ck_assert(!resumes(a, NULL, versions[_i]));
	ck_assert(!resumes(a, last, versions[_i]));
	SSL_SESSION_free(last);
	last = NULL;
	tls_ends_destroy(&a);
	tls_tickets_detach(&one);
	tls_tickets_detach(&master);
	close(fd);
}
END_TEST

START_TEST(rotation)
{
	int fd;
	struct tls_tickets *master = tls_tickets_create(&fd);

	ck_assert_int_eq((int)tls_tickets_rotate(master, 100, 1000), 100);
	ck_assert_int_eq((int)tls_tickets_rotate(master, 100, 1040), 60);
	/* A shorter lifetime begins at once, a longer one with the next. */
	ck_assert_int_eq((int)tls_tickets_rotate(master, 50, 1041), 50);
	ck_assert_int_eq((int)tls_tickets_rotate(master, 500, 1042), 49);
	ck_assert_int_eq((int)tls_tickets_rotate(master, 500, 1091), 500);
	/* What has slept for long wakes with a new key. */
	ck_assert_int_eq((int)tls_tickets_rotate(master, 500, 99999), 500);
	/* Others can only read. */
	ck_assert_ptr_eq(
	    mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
	    MAP_FAILED);
	tls_tickets_detach(&master);
	close(fd);
}
END_TEST

/* --- the other side: sessions with real-servers ------------------------- */

static SSL_SESSION *
a_session(long until)
{
	int fd;
	struct tls_tickets *master = tls_tickets_create(&fd);
	struct tls_ends *e = tls_ends_create(master, until);
	SSL_SESSION *s;

	tls_tickets_rotate(master, LIFETIME, now());
	resumes(e, NULL, TLS1_2_VERSION);
	s = last;
	last = NULL;
	tls_ends_destroy(&e);
	tls_tickets_detach(&master);
	close(fd);
	ck_assert_ptr_nonnull(s);
	return s;
}

START_TEST(sessions)
{
	struct tls_sessions *t = tls_sessions_create();
	struct addr a = { .port = 993 }, b = { .port = 994 };
	uint64_t peer = tls_sessions_peer(t, "h", &a, "imap");
	int64_t wall = time(NULL);
	SSL_SESSION *s = a_session(86400);

	ck_assert_uint_ne(peer, tls_sessions_peer(t, "i", &a, "imap"));
	ck_assert_uint_ne(peer, tls_sessions_peer(t, "h", &b, "imap"));
	ck_assert_uint_ne(peer, tls_sessions_peer(t, "h", &a, "pop3"));
	ck_assert_ptr_null(tls_sessions_get(t, peer, wall));
	tls_sessions_put(t, peer, s, wall);
	ck_assert_ptr_eq(tls_sessions_get(t, peer, wall), s);
	ck_assert_ptr_null(tls_sessions_get(t, peer + 1, wall));
	/* The server is to show itself again after an hour. */
	ck_assert_ptr_null(tls_sessions_get(t, peer, wall + TLS_SESSIONS_AGE));
	ck_assert_ptr_null(tls_sessions_get(t, peer, wall));
	/* Or when its certificate is over. */
	s = a_session(600);
	tls_sessions_put(t, peer, s, wall);
	ck_assert_ptr_eq(tls_sessions_get(t, peer, wall + 500), s);
	ck_assert_ptr_null(tls_sessions_get(t, peer, wall + 660));
	tls_sessions_destroy(&t);
}
END_TEST

START_TEST(bounded)
{
	struct tls_sessions *t = tls_sessions_create();
	SSL_SESSION *s = a_session(86400);
	int64_t wall = time(NULL);

	for (uint64_t peer = 1; peer <= TLS_SESSIONS_MAX + 10; peer++) {
		SSL_SESSION_up_ref(s);
		tls_sessions_put(t, peer, s, wall);
		ck_assert_ptr_eq(tls_sessions_get(t, 1, wall), s);
	}
	/* The one that is used stays; the oldest of the others went. */
	for (uint64_t peer = 2; peer <= 11; peer++)
		ck_assert_ptr_null(tls_sessions_get(t, peer, wall));
	ck_assert_ptr_eq(tls_sessions_get(t, TLS_SESSIONS_MAX + 10, wall), s);
	tls_sessions_destroy(&t);
	SSL_SESSION_free(s);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("tls_tickets");

	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, all_workers, 0, COUNT(versions));
	tcase_add_loop_test(t, no_keys, 0, COUNT(versions));
	tcase_add_loop_test(t, no_master, 0, COUNT(versions));
	tcase_add_test(t, rotation);
	tcase_add_test(t, sessions);
	tcase_add_test(t, bounded);
	return check_run("tls_tickets", t);
}
