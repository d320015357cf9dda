/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request - what the roles of perdition may say to each other.
 *
 * Each role is executed afresh with --role and finds its descriptors at fixed
 * numbers.  All channels are SOCK_SEQPACKET; a packet begins with a u16 of
 * enum request_type.  The master keeps both ends of each channel, so what was
 * sent to a role that died is read by the one that replaces it.
 *
 *   worker k <--lookup channel k--> lookup processes (all of them read the
 *            same end: whichever is free takes the next question)
 *   worker, lookup, master --log channel--> log process (one end for all)
 *   master <--control channel--> every role
 */
#ifndef PERDITION_REQUEST_H
#define PERDITION_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/auth_event.h"
#include "common/msg.h"
#include "perdition/tls/tls_mode.h"

#define ROLE_FD_CONFIG 3 /* memfd with the configuration's text, to be read */
#define ROLE_FD_CONTROL 4
#define ROLE_FD_LOG 5    /* to write; the log role's to read */
#define ROLE_FD_SHARED 6 /* memfd of shared.h; every role has one */
/* Workers only; the first and the last not there when no listener has TLS. */
#define ROLE_FD_TLS_KEYS 7  /* memfd, tls_bundle.h */
#define ROLE_FD_TLS_TRUST 8 /* memfd, tls_bundle.h */
#define ROLE_FD_TICKETS 9   /* memfd, tls_tickets.h; not with inetd */
#define ROLE_FD_FIRST                                                          \
	10 /* worker: lookup channel, then the listeners' sockets              \
	    * in the configuration's order;                                    \
	    * lookup: the workers' channels, one a slot */

#define WORKER_SLOTS 64 /* living workers, draining ones with them */

enum request_type {
	/* master to role; no payload but where said */
	CONTROL_DRAIN = 1, /* u32 seconds, 0 none: stop accepting, end with the
			      last session */
	CONTROL_STOP,      /* end now */
	CONTROL_REOPEN,    /* log: open the file again */
	CONTROL_ANNOUNCE,  /* worker: relog every living session, in small steps
			    */
	CONTROL_LOOKUP_LOST, /* worker: a lookup process ended: ask again what
				is open */
	/* role to master */
	CONTROL_READY,  /* start-up is done */
	CONTROL_FAILED, /* slice: why the role cannot start; it then exits */
	CONTROL_WANT_ANNOUNCE, /* log: perdition-pbs is connected anew, or this
				  log process takes no more */

	LOOKUP_ASK,    /* worker to lookup: slices, each a question */
	LOOKUP_ANSWER, /* lookup to worker: u8, 1 when the map answers so
			  quickly that questions are better sent together than
			  spread over the lookup processes; slices, each an
			  answer */

	/* any role to log: records of log_record until the packet's end */
	LOG_BATCH,
};

/*
 * LOG_BATCH: the u16 type, then records:
 *   u8 LOG_RECORD_LINE, u8 level, u32 pid, slice ident, slice line
 *   u8 LOG_RECORD_AUTH, u8 level, u32 pid, slice ident, slice record
 * The ident is the protocol's name ("imap4") or empty; the log process writes
 * "perdition.imap4".  record is auth_event's stream form without newline; the
 * log process writes its log form to the log and the record to perdition-pbs.
 */
enum log_record { LOG_RECORD_LINE = 1, LOG_RECORD_AUTH };

#define LOOKUP_CANDIDATES_MAX 32 /* addresses in one answer */
#define LOOKUP_HOST_MAX 256      /* bytes with NUL */
#define LOOKUP_DOMAIN_MAX 256

struct lookup_question {
	uint64_t id;       /* the worker's own; comes back in the answer */
	uint16_t listener; /* index in config.listeners */
	struct addr client, local;
	bool client_tls; /* the client's connection is encrypted */
	size_t user_len;
	char user[AUTH_USER_MAX]; /* as the client sent it */
};

enum lookup_status {
	LOOKUP_FOUND,  /* candidates hold at least one address */
	LOOKUP_NONE,   /* no such user, and no default server */
	LOOKUP_FAILED, /* the map or the resolver cannot tell: temporary */
	LOOKUP_DENIED, /* user named a server badly
			  (client_server_specification) */
};

struct lookup_candidate {
	struct addr addr;           /* with port */
	char host[LOOKUP_HOST_MAX]; /* as the map said, for the log and the TLS
				       name */
	enum tls_mode tls;
	bool same; /* another address of the host before it */
};

struct lookup_answer {
	uint64_t id;
	enum lookup_status status;
	/* candidates are the default servers: begin with the next in turn */
	bool defaults;
	/* login_user replaces what the client sent: by the map's answer
	 * (username_from_database), or by removing the server specification.
	 * The states' rewriting is still to be done on it. */
	bool has_user;
	size_t user_len;
	char user[AUTH_USER_MAX];
	char domain[LOOKUP_DOMAIN_MAX]; /* for add_domain; "" when none was
					   found */
	char text[256];                 /* LOOKUP_FAILED: why, for the log */
	size_t n;
	struct lookup_candidate candidate[LOOKUP_CANDIDATES_MAX];
};

/* One slice of the packet: encode, bytes written, or -1; decode strictly, 0,
 * or -1 with errno EBADMSG. */
long lookup_question_write(
    const struct lookup_question *, char *out, size_t cap);
int lookup_question_parse(struct slice, struct lookup_question *);
long lookup_answer_write(const struct lookup_answer *, char *out, size_t cap);
int lookup_answer_parse(struct slice, struct lookup_answer *);

#endif
