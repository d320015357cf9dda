/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lookup process in a child of its own, at the descriptors that the master
 * would give it.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/check_run.h"
#include "common/msg.h"
#include "map_scratch.h"
#include "perdition/lookup_role.h"
#include "perdition/request.h"

#include "common/banned.h"

#define SLOTS 3u
#define DEADLINE_MS 10000

static char at[] = "@", none[] = "", regex[] = "regex", bdb[] = "bdb",
	    modules[] = BUILT_MODULES, options[128];
static struct listener_config listener;
static struct config config;
static char *library, *library_opt;
static int control[2], logs[2], worker[SLOTS][2]; /* ours, the role's */
static pid_t pids[2];
static char packet[MSG_MAX];

static void
setup(void)
{
	scratch_make();
	scratch_write("rules", SLICE("^bob$ 192.0.2.1\n^bad$ 'not a host'\n"));
	snprintf(options, sizeof(options), "%s", scratch_path("rules"));
	listener = (struct listener_config){ .protocol = &protocol_imap4 };
	library = regex;
	library_opt = options;
	config = (struct config){
		.domain_delimiter = at,
		.explicit_domain = none,
		.map_library = { &library, 1 },
		.map_library_opt = { &library_opt, 1 },
		.module_dir = modules,
		.listeners = &listener,
		.listener_count = 1,
	};
	ck_assert_int_eq(msg_pair(control), 0);
	ck_assert_int_eq(msg_pair(logs), 0);
	for (unsigned int i = 0; i < SLOTS; i++)
		ck_assert_int_eq(msg_pair(worker[i]), 0);
}

/* In the child: each descriptor to its place, by way of high numbers. */
static void
place(int fd, int number)
{
	int high = fcntl(fd, F_DUPFD, 100);

	if (high == -1 || dup2(high, number) == -1)
		_exit(99);
	close(high);
}

static void
run_role(void)
{
	int from[3 + SLOTS], to[3 + SLOTS], n = 0;
	struct err err;

	from[n] = fcntl(control[1], F_DUPFD, 200);
	to[n++] = ROLE_FD_CONTROL;
	from[n] = fcntl(logs[1], F_DUPFD, 200);
	to[n++] = ROLE_FD_LOG;
	for (unsigned int i = 0; i < SLOTS; i++) {
		from[n] = fcntl(worker[i][1], F_DUPFD, 200);
		to[n++] = ROLE_FD_FIRST + (int)i;
	}
	for (int fd = 3; fd < 200; fd++)
		close(fd);
	for (int i = 0; i < n; i++)
		place(from[i], to[i]);
	for (int i = 0; i < n; i++)
		close(from[i]);
	if (lookup_role_run(&config, SLOTS, &err) == 0)
		exit(0);
	msg_send(ROLE_FD_CONTROL, slice_str(err.msg));
	exit(1);
}

static void
start(int which)
{
	fflush(NULL);
	pids[which] = fork();
	ck_assert_int_ne(pids[which], -1);
	if (pids[which] == 0)
		run_role();
}

static ssize_t
receive(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	ck_assert_int_eq(poll(&pfd, 1, DEADLINE_MS), 1);
	return msg_recv(fd, packet, sizeof(packet));
}

static void
expect_control(uint16_t type)
{
	struct msg_reader r;
	ssize_t n = receive(control[0]);

	ck_assert_int_gt(n, 0);
	msg_read_init(&r, slice_make(packet, (size_t)n));
	ck_assert_uint_eq(msg_get_u16(&r), type);
}

static int
exit_status(int which)
{
	int status;

	ck_assert_int_eq(waitpid(pids[which], &status, 0), pids[which]);
	pids[which] = 0;
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
stop(uint16_t type, int which)
{
	ck_assert_int_eq(
	    msg_send(control[0], slice_make((char *)&type, sizeof(type))), 0);
	ck_assert_int_eq(exit_status(which), 0);
}

/* One more question in the packet that w writes. */
static void
put_question(struct msg_writer *w, uint64_t id, const char *user,
    uint16_t listener_index)
{
	struct lookup_question q = { .id = id, .listener = listener_index };
	char text[1024];
	long n;

	q.user_len = strlen(user);
	memcpy(q.user, user, q.user_len);
	n = lookup_question_write(&q, text, sizeof(text));
	ck_assert_int_gt(n, 0);
	msg_put_slice(w, slice_make(text, (size_t)n));
}

static struct msg_writer
new_packet(void)
{
	struct msg_writer w;

	msg_write_init(&w, packet, sizeof(packet));
	msg_put_u16(&w, LOOKUP_ASK);
	return w;
}

static size_t
question(uint64_t id, const char *user, uint16_t listener_index)
{
	struct msg_writer w = new_packet();

	put_question(&w, id, user, listener_index);
	return w.n;
}

static void
ask(unsigned int slot, uint64_t id, const char *user)
{
	size_t n = question(id, user, 0);

	ck_assert_int_eq(msg_send(worker[slot][0], slice_make(packet, n)), 0);
}

/* The next packet of answers; whether the map is called quick. */
static bool
receive_answers(unsigned int slot, struct msg_reader *r)
{
	ssize_t n = receive(worker[slot][0]);
	uint8_t quick;

	ck_assert_int_gt(n, 2);
	msg_read_init(r, slice_make(packet, (size_t)n));
	ck_assert_uint_eq(msg_get_u16(r), LOOKUP_ANSWER);
	quick = msg_get_u8(r);
	ck_assert_uint_le(quick, 1);
	ck_assert_uint_gt(r->rest.n, 0);
	return quick == 1;
}

static const struct lookup_answer *
next_answer(struct msg_reader *r)
{
	static struct lookup_answer a;

	ck_assert_int_eq(lookup_answer_parse(msg_get_slice(r), &a), 0);
	ck_assert(!r->failed);
	return &a;
}

static void
expect_answer(unsigned int slot, uint64_t id, enum lookup_status status)
{
	const struct lookup_answer *a;
	struct msg_reader r;

	receive_answers(slot, &r);
	a = next_answer(&r);
	ck_assert_uint_eq(a->id, id);
	ck_assert_int_eq(a->status, status);
	ck_assert(msg_read_done(&r));
}

START_TEST(answers)
{
	start(0);
	expect_control(CONTROL_READY);
	ask(0, 11, "bob");
	expect_answer(0, 11, LOOKUP_FOUND);
	ask(2, 12, "nobody");
	expect_answer(2, 12, LOOKUP_NONE);
	ask(1, 13, "bad");
	expect_answer(1, 13, LOOKUP_FAILED);
	for (uint64_t i = 0; i < 50; i++)
		ask(1, i, "bob");
	for (uint64_t i = 0; i < 50; i++)
		expect_answer(1, i, LOOKUP_FOUND);
	stop(CONTROL_STOP, 0);
	/* What it had to say came by the log channel. */
	ck_assert_int_gt(receive(logs[0]), 0);
}
END_TEST

/* Many in one packet: all answered, in their order, in few packets; what is
 * behind a malformed one is not. */
START_TEST(many_in_one_packet)
{
	struct msg_writer w;
	struct msg_reader r = { .rest = { NULL, 0 } };
	unsigned int packets = 0;

	start(0);
	expect_control(CONTROL_READY);
	w = new_packet();
	for (uint64_t i = 0; i < 30; i++)
		put_question(&w, i, i % 3 == 2 ? "nobody" : "bob", 0);
	put_question(&w, 30, "bob", 1); /* there is no such listener */
	put_question(&w, 31, "bob", 0);
	ck_assert(!w.failed);
	ck_assert_int_eq(msg_send(worker[0][0], slice_make(packet, w.n)), 0);
	for (uint64_t i = 0; i < 30; i++) {
		const struct lookup_answer *a;

		if (r.rest.n == 0) {
			receive_answers(0, &r);
			packets++;
		}
		a = next_answer(&r);
		ck_assert_uint_eq(a->id, i);
		ck_assert_int_eq(
		    a->status, i % 3 == 2 ? LOOKUP_NONE : LOOKUP_FOUND);
	}
	ck_assert(msg_read_done(&r));
	ck_assert_uint_le(packets, 2);
	ask(0, 99, "bob");
	expect_answer(0, 99, LOOKUP_FOUND);
	stop(CONTROL_STOP, 0);
}
END_TEST

/* A map in a file answers sooner than a packet is sent, and is called so once
 * it has shown that; not from the first question on. */
START_TEST(a_quick_map)
{
	struct msg_reader r;
	bool quick = false;

	start(0);
	expect_control(CONTROL_READY);
	ask(0, 1, "bob");
	ck_assert(!receive_answers(0, &r));
	for (uint64_t i = 2; !quick; i++) {
		ck_assert_uint_lt(i, 20000);
		ask(0, i, "bob");
		quick = receive_answers(0, &r);
	}
	stop(CONTROL_STOP, 0);
}
END_TEST

START_TEST(drain_ends_too)
{
	start(0);
	expect_control(CONTROL_READY);
	stop(CONTROL_DRAIN, 0);
}
END_TEST

START_TEST(hostile_packets)
{
	uint16_t type = CONTROL_READY;
	size_t n;

	start(0);
	expect_control(CONTROL_READY);
	ck_assert_int_eq(msg_send(worker[0][0], SLICE("x")), 0);
	ck_assert_int_eq(
	    msg_send(worker[0][0], slice_make((char *)&type, 2)), 0);
	n = question(1, "bob", 0);
	ck_assert_int_eq(msg_send(worker[0][0], slice_make(packet, n - 1)), 0);
	n = question(2, "bob", 1); /* there is no such listener */
	ck_assert_int_eq(msg_send(worker[0][0], slice_make(packet, n)), 0);
	memset(packet, 'x', sizeof(packet));
	ck_assert_int_eq(
	    msg_send(worker[0][0], slice_make(packet, sizeof(packet))), 0);
	type = 999; /* the master is not hostile, but may be newer */
	ck_assert_int_eq(msg_send(control[0], slice_make((char *)&type, 2)), 0);
	ask(0, 3, "bob");
	expect_answer(0, 3, LOOKUP_FOUND);
	stop(CONTROL_STOP, 0);
}
END_TEST

/* Two of them read the same channels; every question has one answer. */
START_TEST(several_share_the_work)
{
	bool seen[40] = { false };

	start(0);
	expect_control(CONTROL_READY);
	start(1);
	expect_control(CONTROL_READY);
	for (uint64_t i = 0; i < 40; i++)
		ask((unsigned int)i % SLOTS, i, "bob");
	for (uint64_t i = 0; i < 40; i++) {
		const struct lookup_answer *a;
		struct msg_reader r;

		receive_answers((unsigned int)i % SLOTS, &r);
		a = next_answer(&r);
		ck_assert_uint_lt(a->id, 40);
		ck_assert(!seen[a->id]);
		seen[a->id] = true;
	}
	/* The master is gone. */
	close(control[0]);
	close(control[1]);
	ck_assert_int_eq(exit_status(0), 0);
	ck_assert_int_eq(exit_status(1), 0);
}
END_TEST

/* A worker that does not read its answers, because it is stopped say, stops
 * nobody else; and when it does read them they are all there. */
START_TEST(stuck_worker)
{
	int few = 1; /* bytes; the least there may be: some answers */

	ck_assert_int_eq(
	    setsockopt(worker[0][1], SOL_SOCKET, SO_SNDBUF, &few, sizeof(few)),
	    0);
	start(0);
	expect_control(CONTROL_READY);
	for (uint64_t i = 0; i < 50; i++) {
		ask(0, i, "bob");
		ask(1, i, "bob");
		expect_answer(1, i, LOOKUP_FOUND);
	}
	for (uint64_t i = 0; i < 50; i++)
		expect_answer(0, i, LOOKUP_FOUND);
	ask(0, 50, "bob");
	expect_answer(0, 50, LOOKUP_FOUND);
	stop(CONTROL_STOP, 0);
}
END_TEST

START_TEST(cannot_start)
{
	static char missing[] = "/no/such/map";
	ssize_t n;

	library = bdb;
	library_opt = missing;
	start(0);
	n = receive(control[0]);
	ck_assert_int_gt(n, 0);
	ck_assert(slice_eq(slice_make(packet, (size_t)n),
	    SLICE("popmap bdb: /no/such/map: No such file or directory")));
	ck_assert_int_eq(exit_status(0), 1);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("lookup_role");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, scratch_remove);
	tcase_add_test(t, answers);
	tcase_add_test(t, many_in_one_packet);
	tcase_add_test(t, a_quick_map);
	tcase_add_test(t, drain_ends_too);
	tcase_add_test(t, hostile_packets);
	tcase_add_test(t, several_share_the_work);
	tcase_add_test(t, stuck_worker);
	tcase_add_test(t, cannot_start);
	return check_run("lookup_role", t);
}
