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
#define DOVECOT                                                                \
	"{=Login|Logged in}: user=<{user}>{?, method={word}?}, rip={client}, " \
	"lip={address}{?, mpid={number}?}{?, TLS?}{?, secured?}"               \
	"{?, session=<{word}>?}"

const struct pattern_def pattern_table[] = {
	{ "perdition", { "perdition", "perdition.*" },
	    { { PATTERN_LOGIN, "{syslog}{perdition}" } } },
	{ "dovecot", { "dovecot" },
	    { { PATTERN_LOGIN,
		  "{syslog}{=imap|pop3|managesieve}-login: " DOVECOT },
		/* A log file of its own. */
		{ PATTERN_LOGIN, "{stamp} {=imap|pop3|managesieve}-login: "
				 "Info: " DOVECOT } } },
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
			       "{?, port=[{number}]?}, protocol={word}" },
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
	{ NULL, { NULL }, { { PATTERN_LOGIN, NULL } } },
};
