/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * play_transcripts - plays tests/transcripts/NAME.txt against the session
 * engine, with fake peers and a clock that the transcript turns.
 *
 * Each file is played three times: as written, byte by byte, and with lines
 * that one peer sends in a row joined into one write.  See
 * tests/transcripts/README for the format.
 */
#include "config.h"

#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/play.h"

#include "common/banned.h"

#define TEXT_MAX 131072
#define ANY '\001' /* "*" in a pattern */

static char text[TEXT_MAX]; /* of the present step */
static char tag[64];        /* of the last command that a server got */

/* --- what one peer says in a row ---------------------------------------- */

static char pending[STREAM_MAX]; /* JOINED: not written yet */
static size_t pending_n;
static struct stream *pending_to;

static void
write_pending(struct play *p)
{
	if (pending_to != NULL)
		play_send(pending_to, pending, pending_n);
	pending_to = NULL;
	pending_n = 0;
	play_settle(p);
}

static void
say(struct play *p, struct stream *to, const char *bytes, size_t n)
{
	if (pending_to != to)
		write_pending(p);
	ck_assert_uint_le(n, sizeof(pending) - pending_n);
	memcpy(pending + pending_n, bytes, n);
	pending_n += n;
	pending_to = to;
	if (p->mode != JOINED)
		write_pending(p);
}

/* --- expectations ------------------------------------------------------- */

/* How much of s the pattern takes, or -1; ANY does not go past a line end. */
static long
match(const char *pattern, size_t pn, const char *s, size_t n)
{
	size_t i = 0;

	for (size_t k = 0; k < pn; k++) {
		if (pattern[k] == ANY) {
			for (size_t j = i;; j++) {
				long rest = match(
				    pattern + k + 1, pn - k - 1, s + j, n - j);

				if (rest >= 0)
					return (long)j + rest;
				if (j == n || s[j] == '\n')
					return -1;
			}
		}
		if (i == n || s[i] != pattern[k])
			return -1;
		i++;
	}
	return (long)i;
}

static void
take(struct stream *s, size_t n)
{
	memmove(s->got, s->got + n, s->n - n);
	s->n -= n;
}

/* The proxy's tags cannot be guessed, so a server has to remember them. */
static void
note_tag(const char *got, size_t n)
{
	size_t len = 0;

	if (n < 2 || got[0] != 'P' || got[1] < '0' || got[1] > '9')
		return;
	while (len < n && len < sizeof(tag) - 1 && got[len] != ' ')
		len++;
	memcpy(tag, got, len);
	tag[len] = '\0';
}

static _Noreturn void
wrong_bytes(const char *what, struct stream *s)
{
	s->got[s->n < STREAM_MAX ? s->n : s->n - 1] = '\0';
	play_wrong(what, s->n == 0 && s->ended ? "(closed)" : s->got);
}

static void
expect(struct stream *s, const char *pattern, size_t n)
{
	long used = match(pattern, n, s->got, s->n);

	if (used < 0)
		wrong_bytes("expected other bytes; got", s);
	note_tag(s->got, (size_t)used);
	take(s, (size_t)used);
}

/* pattern: with room for a line end, so that it has to match all of a line. */
static void
expect_log(struct play *p, char *pattern, size_t n)
{
	pattern[n++] = '\n';
	for (size_t i = 0; i < p->logged_n;) {
		char *end = memchr(p->logged + i, '\n', p->logged_n - i);
		size_t len = (size_t)(end - (p->logged + i)) + 1;

		if (match(pattern, n, p->logged + i, len) == (long)len) {
			memmove(p->logged + i, end + 1, p->logged_n - i - len);
			p->logged_n -= len;
			return;
		}
		i += len;
	}
	p->logged[p->logged_n] = '\0';
	play_wrong("no such line logged; logged", p->logged);
}

/* Any byte value, and no short period. */
static char
pattern_byte(size_t i)
{
	return (char)((uint32_t)i * 2654435761u >> 15);
}

static void
expect_bytes(struct stream *s, size_t n)
{
	if (s->n < n)
		wrong_bytes("fewer bytes", s);
	for (size_t i = 0; i < n; i++)
		if (s->got[i] != pattern_byte(i))
			play_wrong("another byte", "");
	take(s, n);
}

static void
say_bytes(struct play *p, struct stream *s, size_t n)
{
	char *bytes = malloc(n);

	ck_assert_ptr_nonnull(bytes);
	for (size_t i = 0; i < n; i++)
		bytes[i] = pattern_byte(i);
	say(p, s, bytes, n);
	free(bytes);
}

/* --- the file ----------------------------------------------------------- */

static int
hex(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c == '\0' ? NULL : strchr(digits, c);

	if (at == NULL)
		play_wrong("bad \\xHH", "");
	/* cppcheck-suppress nullPointerArithmetic; that does not return */
	return (int)(at - digits);
}

/* \r \n \t \\ \* \< \xHH into text; returns how much of in that was. */
static size_t
unescape_one(const char *in, size_t n)
{
	if (in[1] == 'x') {
		text[n] = (char)(hex(in[2]) << 4 | hex(in[3]));
		return 4;
	}
	text[n] = in[1] == 'r' ? '\r' : in[1];
	if (in[1] == 'n')
		text[n] = '\n';
	if (in[1] == 't')
		text[n] = '\t';
	return 2;
}

/* <<TEXT>>N; repeats, \T is the tag; a bare "*" becomes star.  The length in
 * text. */
static size_t
unescape(const char *in, char star)
{
	size_t n = 0, from = 0;

	while (*in != '\0') {
		ck_assert_uint_lt(n, TEXT_MAX - 1);
		if (*in == '*') {
			text[n++] = star;
			in++;
		} else if (strncmp(in, "<<", 2) == 0) {
			from = n;
			in += 2;
		} else if (strncmp(in, ">>", 2) == 0) {
			size_t len = n - from;
			char *end;
			unsigned long times = strtoul(in + 2, &end, 10);

			ck_assert_uint_lt(from + len * times, TEXT_MAX);
			for (unsigned long i = 1; i < times; i++) {
				memcpy(text + n, text + from, len);
				n += len;
			}
			in = *end == ';' ? end + 1 : end;
		} else if (strncmp(in, "\\T", 2) == 0) {
			memcpy(text + n, tag, strlen(tag));
			n += strlen(tag);
			in += 2;
		} else if (*in != '\\') {
			text[n++] = *in++;
		} else {
			in += unescape_one(in, n++);
		}
	}
	return n;
}

/* "client", "client2" ...: connects when it is first named. */
static struct stream *
client_named(struct play *p, const char *name)
{
	unsigned long number = strtoul(name + 6, NULL, 10);
	size_t i = number == 0 ? 0 : number - 1;
	struct stream *s = &p->client[i];

	ck_assert_uint_lt(i, CLIENTS_MAX);

	if (s->fd == -1 && s->n == 0 && !s->ended && !s->paused) {
		write_pending(p);
		play_connect(p, i);
	}
	return s;
}

static struct stream *
peer_named(struct play *p, const char *name)
{
	if (strncmp(name, "client", 6) == 0)
		return client_named(p, name);
	write_pending(p); /* it may be what makes the connection */
	for (size_t i = p->servers; i-- > 0;)
		if (p->server[i].name == name[0])
			return &p->server[i].s;
	play_wrong("no connection to this server", name);
}

/* What stands in brackets instead of TEXT, sent by a peer.  False: none. */
static bool
peer_does(struct play *p, struct stream *s, const char *what)
{
	unsigned long n;

	if (sscanf(what, "(bytes %lu)", &n) == 1) {
		say_bytes(p, s, n);
		return true;
	}
	if (what[0] != '(')
		return false;
	write_pending(p);
	if (strcmp(what, "(close)") == 0)
		play_close(s);
	else if (strcmp(what, "(end)") == 0)
		s->ending = true;
	else if (strcmp(what, "(pause)") == 0)
		s->paused = true;
	else if (strcmp(what, "(resume)") == 0)
		s->paused = false;
	else if (strcmp(what, "(stuck)") == 0 && s->unsent_n == 0)
		play_wrong("all was taken", "");
	else if (strcmp(what, "(taken)") == 0 && s->unsent_n != 0)
		play_wrong("not all was taken", "");
	else if (strcmp(what, "(stuck)") != 0 && strcmp(what, "(taken)") != 0)
		return false;
	play_settle(p);
	return true;
}

/* The same at the other end.  False: none. */
static bool
peer_sees(struct stream *s, const char *what)
{
	unsigned long n;

	if (strcmp(what, "(nothing)") == 0) {
		if (s->n != 0 || s->ended)
			wrong_bytes("expected nothing; got", s);
		return true;
	}
	if (strcmp(what, "(closed)") == 0) {
		if (s->n != 0 || !s->ended)
			wrong_bytes("expected the end; got", s);
		return true;
	}
	if (sscanf(what, "(bytes %lu)", &n) == 1) {
		expect_bytes(s, n);
		return true;
	}
	return false;
}

/* No connection was made to this server. */
static void
expect_none(struct play *p, char name)
{
	write_pending(p);
	for (size_t i = 0; i < p->servers; i++)
		if (p->server[i].name == name)
			play_wrong("a connection was made", "");
}

/* "client->proxy TEXT", "proxy->a TEXT", "a->proxy TEXT" ... */
static void
step_bytes(struct play *p, const char *actor, const char *rest)
{
	bool from_proxy = strncmp(actor, "proxy->", 7) == 0;
	struct stream *s;

	if (from_proxy && strcmp(rest, "(none)") == 0) {
		expect_none(p, actor[7]);
		return;
	}
	s = peer_named(p, from_proxy ? actor + 7 : actor);
	if (from_proxy) {
		write_pending(p);
		if (!peer_sees(s, rest))
			expect(s, text, unescape(rest, ANY));
	} else if (!peer_does(p, s, rest)) {
		say(p, s, text, unescape(rest, '*'));
	}
}

static bool
contains(const char *lines, size_t n, const char *what)
{
	return memmem(lines, n, what, strlen(what)) != NULL;
}

/* "USER ANSWER", each with its escapes. */
static void
set_map(struct play *p, const char *rest)
{
	struct map *m = &p->map[p->maps++];
	char user[128];
	size_t n;

	ck_assert_uint_le(p->maps, MAPS_MAX);
	ck_assert_int_eq(sscanf(rest, "%127s", user), 1);
	m->user_len = unescape(user, '*');
	ck_assert_uint_le(m->user_len, sizeof(m->user));
	memcpy(m->user, text, m->user_len);
	rest += strcspn(rest, " ");
	rest += strspn(rest, " ");
	n = unescape(rest, '*');
	ck_assert_uint_lt(n, sizeof(m->answer));
	memcpy(m->answer, text, n);
	m->answer[n] = '\0';
}

/* Before the first step.  False: it is a step. */
static bool
set_up(struct play *p, const char *word, const char *rest)
{
	size_t n = strlen(p->config_text);

	if (strcmp(word, "config") == 0) {
		snprintf(p->config_text + n, sizeof(p->config_text) - n, "%s\n",
		    rest);
		return true;
	}
	if (strcmp(word, "map") == 0) {
		set_map(p, rest);
		return true;
	}
	return false;
}

static void
announce(struct play *p)
{
	session_announce_all(&p->env);
	play_pass(p, 0);
}

static void
end_all(struct play *p)
{
	session_end_all(&p->env);
	play_settle(p);
}

static void
step(struct play *p, char *line)
{
	char *rest = line + strcspn(line, " \t");

	if (*rest != '\0')
		*rest++ = '\0';
	rest += strspn(rest, " \t");
	if (set_up(p, line, rest))
		return;
	if (!p->started) {
		play_start(p);
		play_connect(p, 0);
	}
	if (strstr(line, "->") != NULL) {
		step_bytes(p, line, rest);
		return;
	}
	write_pending(p);
	if (line[0] == '@')
		play_pass(p, strtoul(line + 2, NULL, 10));
	else if (strcmp(line, "log") == 0)
		expect_log(p, text, unescape(rest, ANY));
	else if (strcmp(line, "nolog") == 0 &&
		 contains(p->logged, p->logged_n, rest))
		play_wrong("logged", rest);
	else if (strcmp(line, "secret") == 0 &&
		 contains(p->history, p->history_n, rest))
		play_wrong("a secret was logged", rest);
	else if (strcmp(line, "announce") == 0)
		announce(p);
	else if (strcmp(line, "shutdown") == 0)
		end_all(p);
	else if (strcmp(line, "nolog") != 0 && strcmp(line, "secret") != 0)
		play_wrong("no such step", line);
}

static const char *directory;
static char **files;
static int file_count;

START_TEST(transcript)
{
	struct play *p =
	    play_create(files[_i / MODES], (enum mode)(_i % MODES));
	char path[4096], *line = NULL;
	size_t cap = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", directory, p->file);
	f = fopen(path, "re");
	ck_assert_ptr_nonnull(f);
	while (getline(&line, &cap, f) != -1) {
		p->line++;
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '#' && line[0] != '\0')
			step(p, line);
	}
	fclose(f);
	free(line);
	ck_assert_msg(p->started, "%s: empty", p->file);
	write_pending(p);
	play_destroy(&p);
}
END_TEST

static int
is_transcript(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 4 && strcmp(d->d_name + n - 4, ".txt") == 0;
}

int
main(void)
{
	const char *srcdir = getenv("srcdir");
	static char path[4096];
	struct dirent **entries;
	SRunner *runner;
	Suite *suite = suite_create("transcripts");
	TCase *tc = tcase_create("transcripts");
	int failed;

	snprintf(path, sizeof(path), "%s/../transcripts",
	    srcdir == NULL ? "." : srcdir);
	directory = path;
	file_count = scandir(directory, &entries, is_transcript, alphasort);
	if (file_count <= 0) {
		fprintf(stderr, "%s: no transcripts\n", directory);
		return EXIT_FAILURE;
	}
	files = calloc((size_t)file_count, sizeof(*files));
	for (int i = 0; i < file_count; i++) {
		files[i] = strdup(entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	tcase_add_loop_test(tc, transcript, 0, file_count * MODES);
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	for (int i = 0; i < file_count; i++)
		free(files[i]);
	free(files);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
