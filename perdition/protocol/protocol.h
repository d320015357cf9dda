/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * protocol - what differs between IMAP4, POP3 and ManageSieve, as a table of
 * functions.
 *
 * Both sides of a session are here: the dialogue with the client before the
 * login, and the login at the real-server.  All of it is pure: bytes in,
 * struct and bytes out; no socket, no clock, no lookup, no logging.  So the
 * session never asks which protocol it serves, and a protocol can be fuzzed.
 */
#ifndef PERDITION_PROTOCOL_PROTOCOL_H
#define PERDITION_PROTOCOL_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/auth_event.h"
#include "common/buf.h"
#include "common/secret.h"
#include "common/slice.h"

/*
 * Bytes.  The client's input buffer: RFC 2683 section 3.2.1.5 wants 8000 for
 * a command, and a SASL line with long names more; a command that does not
 * fit is refused and its rest is thrown away, never parsed.
 */
#define PROTOCOL_INPUT_MAX 16384
#define PROTOCOL_OUTPUT_MAX 16384 /* replies that wait to be sent */
#define PROTOCOL_REPLY_MAX                                                     \
	4096                  /* what one call adds to out at most: have       \
			       * that room before you call */
#define PROTOCOL_TEXT_MAX 512 /* a server's text that is passed on */
#define PROTOCOL_CAPABILITY_MAX 2048

/* What the client said, decoded.  Wiped with credentials_clear(). */
struct credentials {
	size_t user_len, authz_len;
	char user[AUTH_USER_MAX]; /* authentication id; no NUL, CR, LF inside */
	char authz[AUTH_USER_MAX]; /* authorisation id, when has_authz */
	bool has_authz;            /* given and not empty */
	bool utf8;                 /* POP3: UTF8 was said, RFC 6856 */
	unsigned int hops;         /* proxies before us, as told by the tag */
	struct secret password;
};
void credentials_clear(struct credentials *);

/* Fixed for a listener; owned by the configuration, outlives all sessions. */
struct protocol_settings {
	const char
	    *capability; /* site's own text, or NULL or "" for the built-in */
	const char *ok_line;   /* text of the OK after a login */
	bool server_resp_line; /* pass the real-server's own text instead */
	bool login_disabled;   /* every login is refused, and it is announced */
	bool starttls;         /* may be offered (when not in TLS already) */
	bool need_tls;         /* no password in clear */
};

/* What the parser found in the client's bytes. */
enum request {
	REQUEST_MORE,     /* nothing complete: read more, or out holds a "+" */
	REQUEST_ANSWERED, /* a command was handled, its reply is in out */
	REQUEST_BAD,   /* a command was wrong, its reply is in out; counted */
	REQUEST_LOGIN, /* creds are filled; accept() or refuse() must follow */
	REQUEST_REFUSED,  /* a login that settings forbid (login_disabled, or
			   * need_tls  without TLS) was refused, the reply is in
			   * out; creds hold  the names if they were said, never
			   * a  password; counted */
	REQUEST_STARTTLS, /* the reply is in out: start TLS once it is sent */
	REQUEST_QUIT,     /* the reply is in out: close once it is sent */
	REQUEST_ABORT,    /* hostile or hopeless: send out, close */
};

/* Why a login failed, as the client may know it. */
enum refusal {
	REFUSE_CREDENTIALS, /* wrong user or password: [AUTHENTICATIONFAILED],
			       [AUTH] */
	REFUSE_TEMPORARY,   /* try again later: [UNAVAILABLE], [SYS/TEMP] */
	REFUSE_PRIVACY,     /* TLS is needed: [PRIVACYREQUIRED] */
	REFUSE_LOGIN_DISABLED, /* by the site; [UNAVAILABLE]/[SYS/PERM] */
	REFUSE_LOOP, /* proxies point at each other: [UNAVAILABLE]/[SYS/PERM] */
	REFUSE_COUNT
};

/* Why we close although the client did not ask. */
enum farewell {
	FAREWELL_IDLE,     /* autologout */
	FAREWELL_SHUTDOWN, /* we are going down */
	FAREWELL_TOO_MANY, /* connection limit, before the greeting */
	FAREWELL_ERRORS,   /* too many bad commands or failed logins */
	FAREWELL_COUNT
};

/* The end of a login at the real-server. */
struct server_result {
	bool ok;
	enum refusal refusal; /* when not ok */
	/* Response code without brackets, of those that clients are told
	 * (RFC 5530, RFC 2449 section 8, RFC 3206); empty: none. */
	size_t code_len, text_len, capability_len;
	char code[64];
	char text[PROTOCOL_TEXT_MAX]; /* its human text; no control bytes */
	/* IMAP: the capabilities that hold after login, space-separated. */
	char capability[PROTOCOL_CAPABILITY_MAX];
};

/* What goes to the real-server; all borrowed during server_create(), which
 * keeps pointers: they live until server_destroy(). */
struct server_login {
	struct slice
	    user; /* rewritten for remote_login; the one to log in as */
	struct slice authz; /* empty: none; then user is plain */
	const struct secret *password;
	bool utf8;               /* say UTF8 first (POP3) */
	bool need_capability;    /* IMAP: learn the capabilities after login */
	unsigned int hops;       /* put into the tag, plus one */
	uint32_t nonce;          /* makes the tag unguessable */
	bool tls;                /* the connection is inside TLS */
	bool want_tls, need_tls; /* STARTTLS if offered; or fail */
};

/*
 * Whether all of it can be said in a line of any protocol: no CR, LF or NUL,
 * no empty user, nothing too long.  The one gate before a real-server's
 * commands.
 */
bool server_login_ok(const struct server_login *);

enum server_step {
	SERVER_MORE,     /* send what is in out (if any), read more */
	SERVER_DONE,     /* result is filled; what follows in the input is the
			  * session's and belongs to the client */
	SERVER_STARTTLS, /* start TLS; then call server_tls_started() */
	SERVER_UNUSABLE, /* not a server that can serve us now (BYE, greeting
			  * refused, not the protocol, PREAUTH): result.text
			  * says why; try the next candidate */
};

struct protocol_client; /* one client's dialogue; each protocol's own */
struct protocol_server; /* one login at a real-server */

struct protocol {
	const char *name;  /* "imap4" */
	const char *label; /* "IMAP4", as in the Auth line */
	const char *alpn;  /* "imap" */
	uint16_t port, tls_port;

	/* Settings are borrowed.  NULL with errno ENOMEM. */
	struct protocol_client *(*client_create)(
	    const struct protocol_settings *);
	void (*client_destroy)(struct protocol_client **);

	/*
	 * The greeting.  host: our name, for the banner.  It must not depend
	 * on any real-server.
	 */
	void (*client_greet)(
	    struct protocol_client *, struct slice host, struct buf *out);

	/*
	 * Look at all bytes received and not consumed.  At most one command is
	 * handled per call; call again while it is not REQUEST_MORE and bytes
	 * are left.  Never called between REQUEST_LOGIN and its answer: what
	 * the client pipelined waits in the buffer. in:       at most
	 * PROTOCOL_INPUT_MAX; when it is that long, the call consumes something
	 * or returns REQUEST_ABORT. consumed: set to the bytes of in that are
	 * done with; they may hold a password, so the caller wipes them. creds:
	 * filled only with REQUEST_LOGIN and REQUEST_REFUSED; the caller clears
	 * it.
	 */
	enum request (*client_parse)(struct protocol_client *, struct slice in,
	    size_t *consumed, struct credentials *creds, struct buf *out);

	/* TLS runs now: forget all that was said in clear.  Also called before
	 * client_greet() where TLS runs from the first byte. */
	void (*client_tls_started)(struct protocol_client *);

	/* Answer to REQUEST_LOGIN.  result: of the real-server, or NULL when it
	 * was not reached. */
	void (*client_refuse)(struct protocol_client *, enum refusal,
	    const struct server_result *result, struct buf *out);
	void (*client_accept)(struct protocol_client *,
	    const struct server_result *result, struct buf *out);
	void (*client_farewell)(
	    struct protocol_client *, enum farewell, struct buf *out);

	/* IMAP: whether server_login.need_capability is wanted. */
	bool (*client_wants_capability)(const struct protocol_client *);

	/*
	 * The real-server's side.  NULL with errno ENOMEM, or EINVAL when user,
	 * authz or password cannot be said in this protocol (CR, LF, NUL).
	 */
	struct protocol_server *(*server_create)(const struct server_login *);
	void (*server_destroy)(struct protocol_server **); /* wipes */

	/* As client_parse; called in a loop until SERVER_MORE with nothing
	 * consumed, or another step.  Input limit PROTOCOL_INPUT_MAX: a longer
	 * line is SERVER_UNUSABLE. */
	enum server_step (*server_parse)(struct protocol_server *,
	    struct slice in, size_t *consumed, struct server_result *result,
	    struct buf *out);
	void (*server_tls_started)(struct protocol_server *, struct buf *out);

	/* Whether the password has been said: then no other real-server may be
	 * told it in this login. */
	bool (*server_told)(const struct protocol_server *);
};

extern const struct protocol protocol_imap4;
extern const struct protocol protocol_pop3;

/* "imap4", "IMAP4S", "imaps" ...: NULL for an unknown name; *tls set to
 * whether it means TLS from the first byte. */
const struct protocol *protocol_find(struct slice name, bool *tls);

#endif
