/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets for one who does not read: kept in their order, up to a bound.
 */
#include "config.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/check_run.h"
#include "common/msg.h"
#include "perdition/outbox.h"

#include "common/banned.h"

#define SIZE 1000
#define MOST (50 * 1024)

static struct outbox box;
static int channel[2]; /* ours, his */

static void
setup(void)
{
	box = (struct outbox){ .head = NULL };
	ck_assert_int_eq(msg_pair(channel), 0);
}

static void
teardown(void)
{
	outbox_clear(&box);
	ck_assert(outbox_is_empty(&box));
	ck_assert_uint_eq(box.bytes, 0);
	close(channel[0]);
	close(channel[1]);
}

static int
put(unsigned int number)
{
	char packet[SIZE];

	memset(packet, 'x', sizeof(packet));
	memcpy(packet, &number, sizeof(number));
	return outbox_send(
	    &box, channel[0], slice_make(packet, sizeof(packet)), MOST);
}

/* Whether there is one; it must be that. */
static bool
got(unsigned int number)
{
	char packet[SIZE];
	ssize_t n = msg_recv(channel[1], packet, sizeof(packet));

	if (n == -1 && errno == EAGAIN)
		return false;
	ck_assert_int_eq(n, SIZE);
	ck_assert_int_eq(memcmp(packet, &number, sizeof(number)), 0);
	return true;
}

START_TEST(at_once_where_it_can_be)
{
	ck_assert_int_eq(put(1), 0);
	ck_assert(outbox_is_empty(&box));
	ck_assert(got(1));
	ck_assert(!got(2));
}
END_TEST

START_TEST(in_order_and_bounded)
{
	unsigned int n = 0, taken = 0;

	while (put(n) == 0)
		n++;
	ck_assert_int_eq(errno, ENOBUFS);
	ck_assert(!outbox_is_empty(&box));
	ck_assert_uint_le(box.bytes, MOST);
	ck_assert_uint_gt(box.bytes, MOST - 2 * SIZE);
	/* One that would have room in the channel does not overtake. */
	ck_assert(got(taken));
	taken++;
	ck_assert_int_eq(put(n), -1);
	while (!outbox_is_empty(&box)) {
		ck_assert_int_eq(outbox_flush(&box, channel[0]), 0);
		ck_assert(got(taken));
		taken++;
	}
	ck_assert_uint_eq(box.bytes, 0);
	ck_assert_int_eq(put(n), 0);
	n++;
	while (got(taken))
		taken++;
	ck_assert_uint_eq(taken, n);
}
END_TEST

START_TEST(nobody_there)
{
	while (outbox_is_empty(&box))
		ck_assert_int_eq(put(0), 0);
	close(channel[1]);
	ck_assert_int_eq(outbox_flush(&box, channel[0]), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert(outbox_is_empty(&box));
	ck_assert_int_eq(put(0), -1);
	ck_assert_int_eq(errno, EPIPE);
	channel[1] = -1;
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("outbox");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, at_once_where_it_can_be);
	tcase_add_test(t, in_order_and_bounded);
	tcase_add_test(t, nobody_there);
	return check_run("outbox", t);
}
