/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * play - the world around one session engine under test: fake clients, fake
 * real-servers, a fake lookup, and what was logged.
 *
 * Everything happens in play_settle(), so that a transcript is the same each
 * time it is played.  Knows nothing of the transcripts' grammar.
 */
#ifndef TESTS_LIB_PLAY_H
#define TESTS_LIB_PLAY_H

#include <stdbool.h>
#include <stddef.h>

#include "perdition/session.h"

#define STREAM_MAX 262144 /* bytes that one peer has to send, or has got */
#define LOGGED_MAX 524288
#define CLIENTS_MAX 80
#define SERVERS_MAX 32
#define MAPS_MAX 16

enum mode { BY_LINE, BY_BYTE, JOINED, MODES };

struct stream {      /* one end that the transcript plays */
	int fd;      /* -1: not there, or closed by us */
	bool ended;  /* the proxy has closed it */
	bool paused; /* does not read */
	bool ending; /* sends no more once all is sent */
	size_t n;
	char got[STREAM_MAX]; /* received and not yet expected */
	size_t unsent_n;
	char unsent[STREAM_MAX]; /* to be sent as the socket takes it */
};

struct server {
	char name; /* first letter of the candidate */
	struct stream s;
};

struct map {
	size_t user_len;
	char user[128]; /* "*": any */
	char answer[256];
};

struct play {
	const char *file;
	unsigned int line;
	enum mode mode;
	char config_text[8192];
	struct config config;
	bool started;
	struct session_env env;
	int shared_fd;
	int log[2];
	char logged[LOGGED_MAX]; /* lines that no step has taken away */
	size_t logged_n;
	char history[LOGGED_MAX]; /* all lines */
	size_t history_n;
	struct stream client[CLIENTS_MAX];
	struct server server[SERVERS_MAX];
	size_t servers;
	int stalled[2]; /* a socket whose backlog is full, and what fills it */
	struct map map[MAPS_MAX];
	size_t maps;
	/* one open question, answered at the next settle */
	void *owner;
	struct lookup_question question;
};

/* Ends the test; says file and line. */
_Noreturn void play_wrong(const char *what, const char *detail);

struct play *play_create(const char *file, enum mode mode);
void play_start(struct play *);
void play_connect(struct play *, size_t client); /* its session begins */
void play_send(struct stream *, const char *text, size_t n);
void play_close(struct stream *);
/* Until nothing moves any more. */
void play_settle(struct play *);
void play_pass(struct play *, unsigned long seconds);
/* Ends all, and checks that nothing is left anywhere. */
void play_destroy(struct play **);

#endif
