/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log process: what it writes, and what it makes of hostile packets. */
#include "config.h"

#include <check.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "perdition/log_role.h"
#include "perdition/request.h"

#include "common/banned.h"

#define LINES 5000 /* more than a pipe holds, less than the role's queue */

static int log_channel[2]; /* to read, to write */
static int control[2];     /* the master's, the role's */
static char path[64];
static char packet[MSG_MAX];
static pid_t child;
static int reader; /* of the log, where it is a FIFO */

/* The descriptors have fixed numbers; this process is a child of check's. */
static void
be_role(void)
{
	struct option_problems problems = { NULL, 0 };
	struct config c;
	struct log_role *lr;
	struct err err;
	char text[128];
	int n;
	int high[2];

	high[0] = fcntl(control[1], F_DUPFD_CLOEXEC, 50);
	high[1] = fcntl(log_channel[0], F_DUPFD_CLOEXEC, 50);
	close(control[0]);
	close(control[1]);
	close(log_channel[0]);
	close(log_channel[1]);
	dup2(high[0], ROLE_FD_CONTROL);
	dup2(high[1], ROLE_FD_LOG);
	n = snprintf(text, sizeof(text), "log_facility %s\n", path);
	if (config_load_text(&c, slice_make(text, (size_t)n), &problems) == -1)
		_exit(2);
	lr = log_role_open(&c, &err);
	if (lr == NULL || log_role_run(lr, &err) == -1)
		_exit(3);
	log_role_close(&lr);
	config_clear(&c);
	_exit(0);
}

static void
begin(void)
{
	struct pollfd pfd = { .events = POLLIN };
	uint16_t type = 0;

	ck_assert_int_eq(msg_pair(log_channel), 0);
	ck_assert_int_eq(msg_pair(control), 0);
	child = fork();
	ck_assert_int_ne(child, -1);
	if (child == 0)
		be_role();
	close(log_channel[0]);
	close(control[1]);
	pfd.fd = control[0];
	ck_assert_int_eq(poll(&pfd, 1, 10000), 1);
	ck_assert_int_eq(
	    msg_recv(control[0], (char *)&type, sizeof(type)), sizeof(type));
	ck_assert_uint_eq(type, CONTROL_READY);
}

static void
setup(void)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/perdition-test-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ne(fd, -1);
	close(fd);
	begin();
}

/* The log has a reader that does not read yet. */
static void
setup_fifo(void)
{
	snprintf(path, sizeof(path), "/tmp/perdition-test-%d", (int)getpid());
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ck_assert_int_ne(reader, -1);
	begin();
}

static void
wait_end(void)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
}

static void
send_control(enum request_type type)
{
	uint16_t number = (uint16_t)type;

	ck_assert_int_eq(msg_send(control[0],
			     slice_make((const char *)&number, sizeof(number))),
	    0);
}

/* Sends what stands behind the type. */
static void
send_batch(const struct msg_writer *body)
{
	struct msg_writer w;
	static char out[MSG_MAX];

	msg_write_init(&w, out, sizeof(out));
	msg_put_u16(&w, LOG_BATCH);
	msg_put_bytes(&w, body->p, body->n);
	ck_assert(!w.failed && !body->failed);
	ck_assert_int_eq(msg_send(log_channel[1], slice_make(out, w.n)), 0);
}

static void
put_record(struct msg_writer *w, unsigned int type, struct slice ident,
    struct slice text)
{
	msg_put_u8(w, (uint8_t)type);
	msg_put_u8(w, LOG_INFO);
	msg_put_u32(w, 4711);
	msg_put_slice(w, ident);
	msg_put_slice(w, text);
}

static const char *
read_file(void)
{
	static char text[65536];
	FILE *f = fopen(path, "r");
	size_t n;

	ck_assert_ptr_nonnull(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	unlink(path);
	return text;
}

START_TEST(writes_and_stops)
{
	struct auth_event ev = { .kind = AUTH_LOGIN, .ok = true };
	char record[AUTH_LINE_MAX];
	struct msg_writer w;
	const char *text;
	ssize_t n;

	ck_assert_int_eq(addr_parse(SLICE("192.0.2.1:9"), true, &ev.client), 0);
	ck_assert_int_eq(addr_parse(SLICE("[::1]:143"), true, &ev.local), 0);
	memcpy(ev.protocol, "IMAP4", 6);
	n = auth_event_write_record(&ev, record, sizeof(record));
	ck_assert_int_gt(n, 0);
	msg_write_init(&w, packet, sizeof(packet));
	put_record(&w, LOG_RECORD_LINE, SLICE(""), SLICE("event=a"));
	put_record(&w, LOG_RECORD_AUTH, SLICE("imap4"),
	    slice_make(record, (size_t)n - 1));
	send_batch(&w);
	send_control(CONTROL_STOP); /* what is in the channel is written */
	wait_end();
	text = read_file();
	ck_assert_msg(
	    strstr(text, " perdition[4711]: event=a\n") != NULL, "%s", text);
	ck_assert_msg(strstr(text, " perdition.imap4[4711]: Auth: "
				   "192.0.2.1:9->[::1]:143 ") != NULL,
	    "%s", text);
}
END_TEST

/* A role that was taken over must not be able to forge other lines' shape. */
START_TEST(hostile_packets)
{
	static const char odd[] = "a\nAuth: b\r\x1b[1m\0c";
	struct msg_writer w;
	uint16_t type = 0x7777;
	const char *text;

	/* Another type; nothing but half a type. */
	msg_send(log_channel[1], slice_make((char *)&type, sizeof(type)));
	msg_send(log_channel[1], SLICE("x"));
	/* A record that is cut short, and one of another type. */
	msg_write_init(&w, packet, sizeof(packet));
	msg_put_u8(&w, LOG_RECORD_LINE);
	send_batch(&w);
	msg_write_init(&w, packet, sizeof(packet));
	put_record(&w, 99, SLICE(""), SLICE("event=unknown"));
	send_batch(&w);
	/* A length that lies. */
	msg_write_init(&w, packet, sizeof(packet));
	msg_put_u8(&w, LOG_RECORD_LINE);
	msg_put_u8(&w, LOG_INFO);
	msg_put_u32(&w, 1);
	msg_put_u32(&w, UINT32_MAX);
	send_batch(&w);
	/* Events that are none. */
	msg_write_init(&w, packet, sizeof(packet));
	put_record(&w, LOG_RECORD_AUTH, SLICE(""), SLICE("perdition-auth 1"));
	put_record(&w, LOG_RECORD_AUTH, SLICE(""), SLICE(""));
	/* Bytes and names that would look like something else. */
	put_record(&w, LOG_RECORD_LINE, SLICE("x]: Auth: y"),
	    slice_make(odd, sizeof(odd) - 1));
	put_record(&w, LOG_RECORD_LINE, SLICE("imap4"), SLICE("event=last"));
	send_batch(&w);
	send_control(CONTROL_STOP);
	wait_end();
	text = read_file();
	ck_assert_msg(
	    strstr(text, "perdition[4711]: a?Auth: b??[1m?c\n") != NULL, "%s",
	    text);
	ck_assert_ptr_nonnull(
	    strstr(text, " perdition.imap4[4711]: event=last\n"));
	ck_assert_ptr_null(strstr(text, "event=unknown"));
	ck_assert_ptr_null(strstr(text, "\nAuth:"));
}
END_TEST

/* The master is dead: it goes on until nobody can write any more. */
START_TEST(left_alone)
{
	struct msg_writer w;

	close(control[0]);
	msg_write_init(&w, packet, sizeof(packet));
	put_record(&w, LOG_RECORD_LINE, SLICE(""), SLICE("event=late"));
	send_batch(&w);
	close(log_channel[1]);
	wait_end();
	ck_assert_ptr_nonnull(strstr(read_file(), "event=late"));
}
END_TEST

static void
send_drain(void)
{
	struct msg_writer w;
	char drain[8];

	msg_write_init(&w, drain, sizeof(drain));
	msg_put_u16(&w, CONTROL_DRAIN);
	msg_put_u32(&w, 60);
	ck_assert_int_eq(msg_send(control[0], slice_make(drain, w.n)), 0);
}

/* Replaced: it leaves the channel to its successor. */
START_TEST(drained)
{
	send_drain();
	wait_end();
	unlink(path);
}
END_TEST

/* Until the role has taken all that was sent to it. */
static void
wait_taken(int fd)
{
	int left = 1;

	while (left > 0) {
		ck_assert_int_eq(ioctl(fd, SIOCOUTQ, &left), 0);
		poll(NULL, 0, 1);
	}
}

static void
send_lines(void)
{
	struct msg_writer w;
	char line[256];

	for (int i = 0; i < LINES; i++) {
		msg_write_init(&w, packet, sizeof(packet));
		snprintf(line, sizeof(line), "event=line number=%-180d", i);
		put_record(&w, LOG_RECORD_LINE, SLICE(""), slice_str(line));
		send_batch(&w);
		if (i % 100 == 0)
			wait_taken(log_channel[1]);
	}
	wait_taken(log_channel[1]);
}

static int
count_lines(void)
{
	char text[4096];
	int lines = 0;
	ssize_t n;

	ck_assert_int_eq(fcntl(reader, F_SETFL, 0), 0);
	while ((n = read(reader, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += text[i] == '\n';
	unlink(path);
	return lines;
}

/* Whoever reads the log takes what the role still holds when it is replaced,
 * and when all end. */
START_TEST(drained_before_a_slow_reader)
{
	send_lines();
	send_drain();
	wait_taken(control[0]);
	ck_assert_int_eq(count_lines(), LINES);
	wait_end();
}
END_TEST

START_TEST(stopped_before_a_slow_reader)
{
	send_lines();
	send_control(CONTROL_STOP);
	wait_taken(control[0]);
	ck_assert_int_eq(count_lines(), LINES);
	wait_end();
}
END_TEST

START_TEST(reopens)
{
	char other[80];
	struct msg_writer w;
	int i;

	snprintf(other, sizeof(other), "%s.1", path);
	ck_assert_int_eq(rename(path, other), 0);
	send_control(CONTROL_REOPEN);
	for (i = 0; i < 1000 && access(path, F_OK) == -1; i++)
		poll(NULL, 0, 10);
	msg_write_init(&w, packet, sizeof(packet));
	put_record(&w, LOG_RECORD_LINE, SLICE(""), SLICE("event=new"));
	send_batch(&w);
	send_control(CONTROL_STOP);
	wait_end();
	ck_assert_ptr_nonnull(strstr(read_file(), "event=new"));
	unlink(other);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("log_role");
	TCase *t = tcase_create("log_role");
	SRunner *r = srunner_create(s);
	int failed;

	suite_add_tcase(s, t);
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, writes_and_stops);
	tcase_add_test(t, hostile_packets);
	tcase_add_test(t, left_alone);
	tcase_add_test(t, drained);
	tcase_add_test(t, reopens);
	t = tcase_create("fifo");
	suite_add_tcase(s, t);
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup_fifo, NULL);
	tcase_add_test(t, drained_before_a_slow_reader);
	tcase_add_test(t, stopped_before_a_slow_reader);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
