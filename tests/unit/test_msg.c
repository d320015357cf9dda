/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between roles: every way in which a hostile one may be too short,
 * and what a packet socket does when it is full or its other end is gone.
 */
#include "config.h"

#include "common/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lib/check_run.h"
#include "common/banned.h"

static void
write_one_of_each(struct msg_writer *w)
{
	msg_put_u8(w, 0xfe);
	msg_put_u16(w, 0xfedc);
	msg_put_u32(w, 0xfedcba98);
	msg_put_u64(w, 0xfedcba9876543210);
	msg_put_slice(w, SLICE("a\0b"));
	msg_put_slice(w, slice_make(NULL, 0));
	msg_put_bytes(w, "xyz", 3);
	msg_put_bytes(w, NULL, 0);
}

START_TEST(round_trip)
{
	char mem[64], xyz[3];
	struct msg_writer w;
	struct msg_reader r;

	msg_write_init(&w, mem, sizeof(mem));
	write_one_of_each(&w);
	ck_assert(!w.failed);
	msg_read_init(&r, slice_make(mem, w.n));
	ck_assert_uint_eq(msg_get_u8(&r), 0xfe);
	ck_assert_uint_eq(msg_get_u16(&r), 0xfedc);
	ck_assert_uint_eq(msg_get_u32(&r), 0xfedcba98);
	ck_assert_uint_eq(msg_get_u64(&r), 0xfedcba9876543210);
	ck_assert(slice_eq(msg_get_slice(&r), SLICE("a\0b")));
	ck_assert_uint_eq(msg_get_slice(&r).n, 0);
	ck_assert(!msg_read_done(&r));
	msg_get_bytes(&r, xyz, sizeof(xyz));
	ck_assert_int_eq(memcmp(xyz, "xyz", 3), 0);
	msg_get_bytes(&r, NULL, 0);
	ck_assert(msg_read_done(&r));
}
END_TEST

START_TEST(writer_too_small) /* at every length */
{
	char mem[64];
	struct msg_writer w;
	size_t full;

	msg_write_init(&w, mem, sizeof(mem));
	write_one_of_each(&w);
	full = w.n;
	for (size_t cap = 0; cap < full; cap++) {
		memset(mem, '!', sizeof(mem));
		msg_write_init(&w, mem, cap);
		write_one_of_each(&w);
		ck_assert(w.failed);
		ck_assert_uint_le(w.n, cap);
		for (size_t i = cap; i < sizeof(mem); i++)
			ck_assert_int_eq(mem[i], '!');
	}
}
END_TEST

START_TEST(reader_past_the_end)
{
	struct msg_reader r;
	char two[2] = { 'x', 'x' };

	msg_read_init(&r, SLICE("\1"));
	ck_assert_uint_eq(msg_get_u16(&r), 0);
	ck_assert(r.failed);
	/* From then on all is empty, also what would still be there. */
	ck_assert_uint_eq(msg_get_u8(&r), 0);
	ck_assert_uint_eq(msg_get_u64(&r), 0);
	ck_assert_uint_eq(msg_get_slice(&r).n, 0);
	msg_get_bytes(&r, two, sizeof(two));
	ck_assert_int_eq(two[0], 0);
	ck_assert(!msg_read_done(&r));
}
END_TEST

START_TEST(slice_longer_than_the_message)
{
	static const uint32_t lengths[] = { 4, UINT32_MAX, 0x80000000 };
	char mem[7];
	struct msg_reader r;

	memset(mem, 0, sizeof(mem));
	memcpy(mem, &lengths[_i], 4);
	msg_read_init(&r, slice_make(mem, sizeof(mem)));
	ck_assert_uint_eq(msg_get_slice(&r).n, 0);
	ck_assert(r.failed);
}
END_TEST

static const struct {
	struct slice in;
	bool fits;
} texts[] = {
	{ SLICE(""), true },
	{ SLICE("abc"), true },
	{ SLICE("abcd"), false }, /* no room for its NUL */
	{ SLICE("a\0b"), false },
};

START_TEST(text)
{
	char mem[16], out[4];
	struct msg_writer w;
	struct msg_reader r;

	msg_write_init(&w, mem, sizeof(mem));
	msg_put_slice(&w, texts[_i].in);
	msg_read_init(&r, slice_make(mem, w.n));
	ck_assert(msg_get_text(&r, out, sizeof(out)) == texts[_i].fits);
	if (texts[_i].fits)
		ck_assert(slice_eq(slice_str(out), texts[_i].in));
	ck_assert(msg_read_done(&r));
}
END_TEST

START_TEST(packets)
{
	char mem[16];
	int fd[2];

	ck_assert_int_eq(msg_pair(fd), 0);
	ck_assert(fcntl(fd[0], F_GETFD) & FD_CLOEXEC);
	ck_assert(fcntl(fd[1], F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(msg_recv(fd[1], mem, sizeof(mem)), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_eq(msg_send(fd[0], SLICE("one")), 0);
	ck_assert_int_eq(msg_send(fd[0], SLICE("longer than 16 bytes")), 0);
	ck_assert_int_eq(msg_send(fd[0], SLICE("sixteen bytes...")), 0);
	ck_assert_int_eq(msg_recv(fd[1], mem, sizeof(mem)), 3);
	ck_assert_int_eq(msg_recv(fd[1], mem, sizeof(mem)), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_int_eq(msg_recv(fd[1], mem, sizeof(mem)), 16);
	ck_assert_int_eq(memcmp(mem, "sixteen bytes...", 16), 0);
	close(fd[0]);
	ck_assert_int_eq(msg_recv(fd[1], mem, sizeof(mem)), 0);
	ck_assert_int_eq(msg_send(fd[1], SLICE("x")), -1); /* no SIGPIPE */
	ck_assert_int_eq(errno, EPIPE);
	close(fd[1]);
}
END_TEST

START_TEST(gone_with_packets_unread)
{
	char mem[16];
	int fd[2];

	ck_assert_int_eq(msg_pair(fd), 0);
	ck_assert_int_eq(msg_send(fd[0], SLICE("unread")), 0);
	close(fd[1]);
	ck_assert_int_eq(msg_recv(fd[0], mem, sizeof(mem)), 0);
	close(fd[0]);
}
END_TEST

START_TEST(full)
{
	static char large[MSG_MAX + 1];
	int fd[2], sent = 0;

	ck_assert_int_eq(msg_pair(fd), 0);
	while (msg_send(fd[0], slice_make(large, MSG_MAX)) == 0)
		ck_assert_int_lt(++sent, 10000);
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_int_ge(sent, 1);
	ck_assert_int_eq(msg_recv(fd[1], large, sizeof(large)), MSG_MAX);
	ck_assert_int_eq(msg_send(fd[0], slice_make(large, MSG_MAX)), 0);
	ck_assert_int_eq(msg_send(fd[0], slice_make(large, MSG_MAX + 1)), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_int_eq(msg_send(fd[0], slice_make(large, 0)), -1);
	ck_assert_int_eq(errno, EINVAL);
	close(fd[0]);
	close(fd[1]);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("msg");

	tcase_add_test(tc, round_trip);
	tcase_add_test(tc, writer_too_small);
	tcase_add_test(tc, reader_past_the_end);
	tcase_add_loop_test(tc, slice_longer_than_the_message, 0, 3);
	tcase_add_loop_test(tc, text, 0, COUNT(texts));
	tcase_add_test(tc, packets);
	tcase_add_test(tc, gone_with_packets_unread);
	tcase_add_test(tc, full);
	return check_run("msg", tc);
}
