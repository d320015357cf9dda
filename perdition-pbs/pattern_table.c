/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pattern_table - how POP and IMAP servers tell of a login that worked.
 *
 * Real lines of each are in tests/corpus/logs.  In all of them the client
 * chooses the user's name, and of some the name of its host; so a name that
 * holds the byte behind {user} is not taken, and the line with it.
 */
#include "config.h"

#include "perdition-pbs/pattern_table.h"

#include "common/banned.h"

/* What follows "imap-login: "; of 2.4 with "Logged in", before with "Login".
 * Dovecot writes a name of 80 bytes at most and no control characters. */
#define DOVECOT_CLIENT                                                         \
	">{?, method={word}?}, rip={client}, lip={address}"                    \
	"{?, mpid={number}?}{?, TLS?}{?, secured?}{?, session=<{word}>?}"
#define DOVECOT "{=Login|Logged in}: user=<{user}" DOVECOT_CLIENT

/*
 * As a proxy, when the server behind has let the user in.  Of a login that it
 * refused the line goes on with "Login failed" there, behind a name that is not
 * cut as the second one is; so that no field may take whatever stands behind
 * the first: a name with all of this line in it would swallow that.
 * Of a name that holds line ends 2.4 makes lines that look like any other of
 * its own: it must not let them in.
 */
#define DOVECOT_PROXY                                                          \
	"proxy({user}," DOVECOT_SERVER "): Started proxying to "               \
	"{?remote host?}{?<{host}>?}{? (<{host}>)?}"                           \
	"{? from {address}?}{? (master {word})?} "                             \
	"({number}.{number} secs{?, {number} reconnects?}): "                  \
	"user=<{same}" DOVECOT_CLIENT
/* ADDRESS:PORT; of 2.4 in brackets if it is IPv6, and NAME[ADDRESS]:PORT too,
 * where 2.3 puts the name behind, as <NAME> or <ADDRESS> (<NAME>). */
#define DOVECOT_SERVER "{?[?}{host}{?]:{number}?}{?[{address}]:{number}?}"

#define DOVECOT_SYSLOG "{syslog}{=imap|pop3|managesieve}-login: "
/* A log file of its own. */
#define DOVECOT_FILE "{stamp} {=imap|pop3|managesieve}-login: Info: "

/* It cuts the name at 80 bytes, and the host too. */
#define UW "{syslog}{=Login |Authenticated |Auth |APOP }user={user}"

const struct pattern_def pattern_table[] = {
	{ "perdition", { "perdition", "perdition.*" },
	    { { PATTERN_LOGIN, "{syslog}{perdition}" } } },
	{ "dovecot", { "dovecot" },
	    { { PATTERN_LOGIN, DOVECOT_SYSLOG DOVECOT },
		{ PATTERN_LOGIN, DOVECOT_SYSLOG DOVECOT_PROXY },
		{ PATTERN_LOGIN, DOVECOT_FILE DOVECOT },
		{ PATTERN_LOGIN, DOVECOT_FILE DOVECOT_PROXY } } },
	/*
	 * Its logger cuts what is longer than 511 bytes and writes the rest
	 * as a line of its own, so that a long user name, in a login that
	 * failed, makes a line of the name's end and of what follows it:
	 *   LOGIN, user=bob, ip=[CLIENT], port=[1]
	 * which is just what pop3d writes of one that worked.  So for pop3d
	 * it is the end of the session that counts.
	 */
	{ "courier", { "imapd", "imapd-ssl", "pop3d", "pop3d-ssl" },
	    { { PATTERN_LOGIN, "{syslog}LOGIN, user={user}, ip=[{client}]"
			       "{?, port=[{number}]?}, protocol={word}"
			       "{?, starttls={number}?}" },
		{ PATTERN_LOGIN,
		    "{syslog}{=LOGOUT|DISCONNECTED|TIMEOUT}, user={user}, "
		    "ip=[{client}]{?, port=[{number}]?}, top={number}, "
		    "retr={number}{?, rcvd={number}, sent={number}?}, "
		    "time={number}{?, stls={number}?}" } } },
	{ "cyrus",
	    { "imap", "imaps", "pop3", "pop3s", "cyrus/imap", "cyrus/imaps",
		"cyrus/pop3", "cyrus/pop3s" },
	    { { PATTERN_LOGIN,
		  "{syslog}login: {host} [{client}] {user} {word} User logged "
		  "in{? SESSIONID=<{word}>?}" },
		{ PATTERN_LOGIN,
		    "{syslog}login: [{client}] {user} {word} User logged "
		    "in{? SESSIONID=<{word}>?}" } } },
	{ "uw", { "imapd", "ipop3d", "ipop2d" },
	    { { PATTERN_LOGIN, UW " host={host} [{client}]{? mech={word}?}"
				  "{? nmsgs={number}/{number}?}" },
		{ PATTERN_LOGIN, UW " host=[{client}]{? mech={word}?}"
				    "{? nmsgs={number}/{number}?}" } } },
	{ "qpopper", { "qpopper", "popper", "in.qpopper", "in.popper" },
	    { { PATTERN_LOGIN,
		"{syslog}({word}) POP login by user \"{user}\" at ({host}) "
		"{client}{? [{word}:{number}]?}" } } },
	{ "popa3d", { "popa3d" },
	    { { PATTERN_BEGIN, "{syslog}Session from {client}" },
		{ PATTERN_LOGIN, "{syslog}Authentication passed for {user}" },
		{ PATTERN_END, "{syslog}Authentication failed for {text}" } } },
	/* Not with IPv6: behind a name that holds colons an IPv4 address would
	 * make one. */
	{ "vpopmail", { "vpopmail" },
	    { { PATTERN_LOGIN,
		"{syslog}vchkpw-{=pop3: |pop3s: |imap: |imaps: |110: |143: "
		"|993: |995: }{?({word}) ?}login success "
		"{user}:{client4}" } } },
	/*
	 * Only through syslog, whose daemon makes something else of the line
	 * ends in a message: into its own file nginx writes the user's name
	 * as it came, line ends and all, also of a login that failed.
	 */
	{ "nginx", { "nginx" },
	    { { PATTERN_LOGIN,
		"{syslog}{stamp} [info] {number}#{number}: *{number} client "
		"logged in, client: {client}, server: {address}, login: "
		"\"{user}\", upstream: {address}"
		"{?, [{address}-{address}] <=> [{address}-{address}]?}" } } },
	/* The protocol log of the front end, whose client is the client;
	 * the user is empty where the login failed.  Not its file: nothing is
	 * known of line ends there. */
	{ "exchange",
	    { "MSExchangeIMAP4", "MSExchangeImap4", "MSExchangePOP3",
		"MSExchangePop3" },
	    { { PATTERN_LOGIN,
		"{syslog}{stamp},{word},{number},{address},{client},{user},"
		"{number},{number},{number},{=login,|authenticate,|pass,|auth,}"
		"{text},{=R=OK,|R=ok,|R=OK;|R=ok;|\"R=OK;|\"R=ok;}{text}" } } },
	{ NULL, { NULL }, { { PATTERN_LOGIN, NULL } } },
};
