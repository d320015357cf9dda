/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session_state - the inside of a session, for the files that it is made of:
 * session.c (life, states), dialogue.c (the client before its login),
 * backend.c (finding, reaching and logging in at the real-server),
 * session_log.c (the lines that others read).
 */
#ifndef PERDITION_SESSION_STATE_H
#define PERDITION_SESSION_STATE_H

#include "common/buf.h"
#include "perdition/bridge.h"
#include "perdition/conn.h"
#include "perdition/session.h"
#include "perdition/slab.h"
#include "perdition/spares.h"

enum session_state {
	SESSION_TLS,        /* the client's handshake */
	SESSION_COMMAND,    /* a command of the pre-login dialogue */
	SESSION_LOOKUP,     /* the user's real-server */
	SESSION_CONNECT,    /* the first byte of the real-server */
	SESSION_SERVER_TLS, /* the handshake with the real-server */
	SESSION_SERVER,     /* the end of the login there */
	SESSION_REFUSED,    /* the delay after a failed login */
	SESSION_RELAY,      /* either side */
	SESSION_FAREWELL,   /* the last reply to be sent */
	SESSION_CLOSED,
	SESSION_STATE_COUNT
};

enum event_type {
	EVENT_CLIENT, /* ready: its socket */
	EVENT_SERVER, /* ready: the real-server's socket */
	EVENT_TIMER,
	EVENT_ANSWER, /* of the lookup */
	EVENT_NEXT,   /* the socket of the last real-server is gone */
};

struct event {
	enum event_type type;
	unsigned int ready; /* LOOP_READ ... */
	const struct lookup_answer *answer;
};

struct candidate {
	struct addr addr;
	enum tls_mode tls;
	char host[LOOKUP_HOST_MAX];
};

/*
 * All that is needed until the login has succeeded, and no longer: it holds
 * the password.  Buffers are there only while something is in them.
 */
struct login {
	struct protocol_client *client;
	struct buf *in, *out; /* from and to the client */
	struct credentials creds;
	bool active;              /* between REQUEST_LOGIN and its answer */
	uint64_t user_hash;       /* counted in shared while active */
	uint64_t question;        /* id, or 0 */
	unsigned int bad, failed; /* commands, logins */

	/* at the real-server */
	struct candidate *candidate;
	size_t candidates, next;
	char name[AUTH_USER_MAX]; /* to log in as, rewritten */
	size_t name_len;
	char domain[LOOKUP_DOMAIN_MAX];
	struct protocol_server *server;
	struct buf *server_in, *server_out;
	bool self;           /* a candidate was this very listener */
	const char *trouble; /* REASON of the last candidate's failure */

	/* the answer that waits for its delay */
	enum refusal refusal;
	bool has_result;
	struct server_result result;
};

/* Who is logged in, and where: kept for the lines of a living session. */
struct identity {
	uint16_t user_len, authz_len, server_len;
	bool has_authz;
	uint8_t server_tls; /* enum auth_tls */
	char bytes[];       /* user, authz, server */
};

/* Enough for most, so that a session is one piece of memory. */
#define IDENTITY_ROOM 72

#define SESSION_HANDLE_CLIENT 1u
#define SESSION_HANDLE_SERVER 2u
#define SESSION_HANDLE_TIMER 4u

struct session {
	struct session_env *env;
	struct session *prev, *next; /* in env */
	const struct listener_config *listener;
	uint64_t id;
	struct addr client_addr, local_addr;
	struct conn client, server;
	struct loop_timer timer;
	enum session_state state;
	unsigned int
	    handles;    /* SESSION_HANDLE_...: what the loop still knows */
	uint64_t began; /* ms of the loop's clock */
	uint64_t last_active; /* relay */
	uint64_t relog_due;
	uint64_t address_hash; /* counted in shared, or 0 */
	struct login *login;   /* NULL once in relay */
	struct identity *identity;
	struct bridge bridge;
	union { /* of the identity, unless it is longer */
		struct identity identity;
		char bytes[IDENTITY_ROOM];
	} room;
};

/* --- session.c ---------------------------------------------------------- */

/* The login is over, well or not: wipes what belonged to this attempt. */
void session_attempt_clear(struct session *);
void session_server_close(struct session *);
/*
 * Takes fd, even on failure.  Must not be called while
 * SESSION_HANDLE_SERVER is set: EVENT_NEXT comes when it is gone.
 * 0, or -1 with errno.
 */
int session_server_open(struct session *, int fd);
void session_login_free(struct session *); /* wipes all of s->login */
void session_timer(struct session *, uint64_t ms);

/* --- dialogue.c --------------------------------------------------------- */

int dialogue_open(struct session *); /* makes s->login; 0, or -1: close */
enum session_state dialogue_greet(struct session *);
/* The go-ahead for STARTTLS is to be sent, and then TLS to begin. */
enum session_state dialogue_starttls(struct session *);
/* TLS runs with the client. */
enum session_state dialogue_secured(struct session *);
/* ms (0: none), but never past the time for the whole login. */
void dialogue_timer(struct session *, uint64_t ms);
enum session_state dialogue_event(struct session *, const struct event *);
enum session_state dialogue_farewell(struct session *, enum farewell);
enum session_state dialogue_refused_event(
    struct session *, const struct event *);
enum session_state dialogue_farewell_event(
    struct session *, const struct event *);
/*
 * The login has failed: log it, let the client know after the delay.
 * result: the real-server's answer, or NULL.  reason: as in the Auth line.
 */
enum session_state dialogue_refuse(struct session *, enum refusal,
    const char *reason, const struct server_result *result);

/*
 * The client's socket is ready while its login is under way: what it sends
 * waits in the socket; that it hung up shows later.
 */
enum session_state dialogue_paused(struct session *, const struct event *);
/* Who is looked up and owns the mailbox: the authorisation id if one was
 * given, else the user. */
struct slice dialogue_user(const struct login *);

/* --- backend.c ---------------------------------------------------------- */

enum session_state backend_lookup(struct session *);
enum session_state backend_lookup_event(struct session *, const struct event *);
enum session_state backend_connect_event(
    struct session *, const struct event *);
enum session_state backend_server_event(struct session *, const struct event *);
/* The candidate in turn does not serve: the next, or a refusal. */
enum session_state backend_lost(
    struct session *, const char *why, struct slice detail);
/* TLS runs with the real-server. */
enum session_state backend_secured(struct session *);

/* --- session_tls.c ------------------------------------------------------ */

/* TLS begins on the client's connection, whose clear text is all dealt with. */
enum session_state session_tls_accept(struct session *);
enum session_state session_tls_event(struct session *, const struct event *);
/* The same with the real-server. */
enum session_state session_tls_connect(struct session *);
enum session_state session_tls_server_event(
    struct session *, const struct event *);
/*
 * Whether the login's user is the one that the client's certificate names,
 * where ssl_client_cert_user asks for that.  A certificate that names nobody
 * stands for nobody.
 */
bool session_tls_user_ok(const struct session *);
enum auth_tls session_tls_client(const struct session *);
enum auth_tls session_tls_server(const struct session *);

/* --- relay.c ------------------------------------------------------------ */

enum session_state relay_start(struct session *);
enum session_state relay_event(struct session *, const struct event *);

/* --- session_log.c ------------------------------------------------------ */

/* "HOST:PORT" of the candidate in turn; its length, 0 for none. */
size_t session_server_text(const struct session *, char out[AUTH_SERVER_MAX]);
void session_log_connect(const struct session *);
void session_log_failed(const struct session *, const char *reason);
void session_log_auth(const struct session *, enum auth_kind);
void session_log_close(const struct session *);
/* With connection_logging: one line of the dialogue, without arguments that
 * may hold a secret. */
void session_log_dialogue(const struct session *, const char *from,
    struct slice text, bool words_only);

#endif
