/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pbs_config_table - the options of perdition-pbs.
 */
#include "config.h"

#include "perdition-pbs/pbs_config.h"
#include "perdition-pbs/relay_pace.h"

#include "common/banned.h"

#ifdef HAVE_BDB
#define DEFAULT_DB "/etc/mail/popauth.db"
#else
#define DEFAULT_DB "lmdb:/etc/mail/popauth.lmdb"
#endif

#define FIELD(name) offsetof(struct pbs_config, name)

#define G_DB "Database"
#define G_SOURCE "Sources"
#define G_ANSWER "Answers to MTAs"
#define G_RULE "Who is let in"
#define G_SHARE "Several hosts"
#define G_PROCESS "Process"
#define G_LOG "Logging"
#define G_OTHER "Other"

static const struct option_names modes[] = {
	{ "daemon", PBS_DAEMON },
	{ "list", PBS_LIST },
	{ "insert", PBS_INSERT },
	{ "remove", PBS_REMOVE },
	{ "purge", PBS_PURGE },
	{ "expire", PBS_EXPIRE },
	{ "export", PBS_EXPORT },
	{ "import", PBS_IMPORT },
	{ "setenv", PBS_SETENV },
	{ NULL, 0 },
};

static const struct option_names timeout_from[] = {
	{ "login", PBS_FROM_LOGIN },
	{ "logout", PBS_FROM_LOGOUT },
	{ NULL, 0 },
};

static const struct option_def defs[] = {
	{ .name = "mode",
	    .letter = 'm',
	    .type = &option_enum,
	    .offset = FIELD(mode),
	    .dflt = "daemon",
	    .names = modes,
	    .group = G_OTHER,
	    .help = "What to do. Run as perdition-pbs-list and so on, the "
		    "program's name tells." },
	{ .name = "db_file",
	    .letter = 'D',
	    .type = &option_strings,
	    .offset = FIELD(db_file),
	    .dflt = DEFAULT_DB,
	    .arg = "[TYPE:]FILE",
	    .group = G_DB,
	    .help = "The file that the MTAs read, as Postfix calls its type: "
		    "hash (Berkeley DB, for Sendmail, Postfix and Exim; what "
		    "a path alone is), lmdb (Postfix) or cdb (Postfix, Exim). "
		    "Given several times, all of them are kept, and the first "
		    "is what the tools and setenv read. It should be alone in "
		    "a directory that the daemon's user owns and nobody else "
		    "may write to; a cdb file needs that, since it can only "
		    "be replaced, and is best for some 100,000 entries at "
		    "most." },
	{ .name = "db_changes_per_second",
	    .type = &option_uint,
	    .offset = FIELD(db_changes_per_second),
	    .dflt = "10",
	    .min = 1,
	    .max = RELAY_PACE_MAX,
	    .arg = "NUMBER",
	    .group = G_DB,
	    .help = "Change a db_file at most so often. As many new addresses "
		    "in a second are seen by the MTAs at once; of more, those "
		    "that come in between are joined and wait for their turn. "
		    "Each change moves the file's time a second on, which is "
		    "how MTAs learn of it, so under a lasting load that time "
		    "runs ahead of the clock, by up to 30 seconds for each of "
		    "NUMBER, where changes get fewer until there is one a "
		    "second. With 1 it never runs ahead." },
	{ .name = "prefix",
	    .letter = 'p',
	    .type = &option_string,
	    .offset = FIELD(prefix),
	    .dflt = "",
	    .arg = "TEXT",
	    .group = G_DB,
	    .help = "Put this, in lower case, before each address in the "
		    "database. Sendmail's FEATURE(drac), Postfix and Exim "
		    "want none." },
	{ .name = "timeout",
	    .letter = 't',
	    .type = &option_seconds,
	    .offset = FIELD(timeout),
	    .dflt = "3600",
	    .min = 1,
	    .max = 366 * 24 * 60 * 60,
	    .group = G_DB,
	    .help = "How long a login lets its client's address relay. For "
		    "insert: how long the addresses given are let in." },
	{ .name = "timeout_from",
	    .type = &option_enum,
	    .offset = FIELD(timeout_from),
	    .dflt = "login",
	    .names = timeout_from,
	    .group = G_DB,
	    .help = "Whether timeout counts from the login or from the end of "
		    "the session. perdition tells again of each session that "
		    "lives, every connect_relog seconds, which prolongs in "
		    "either case: so an address stays let in for as long as "
		    "its session is told of, and if no end of it is heard, "
		    "for timeout after it was told of last. Logs of other "
		    "servers do not tell of the end." },
	{ .name = "log_file",
	    .letter = 'L',
	    .type = &option_strings,
	    .offset = FIELD(log_file),
	    .dflt = "/var/log/mail.log",
	    .arg = "FILE|GLOB",
	    .group = G_SOURCE,
	    .help = "Learn of logins from this log, through rotation and "
		    "restarts. It need not exist yet. May be given more than "
		    "once, and with the wildcards *, ? and [ ] of the shell: "
		    "/srv/*/maillog; files that come to match later are read "
		    "from their beginning, and those whose names begin with "
		    "that of another match (mail.log.1 beside mail.log) are "
		    "taken for rotated and left out. At most 256 files. "
		    "Whoever can write to the system's log can forge logins "
		    "there: prefer socket where other users have accounts. "
		    "With - standard input is read, in the foreground and to "
		    "its end, which ends the daemon, so that who feeds it "
		    "learns of that. Empty: no log." },
	{ .name = "journal",
	    .type = &option_bool,
	    .offset = FIELD(journal),
	    .group = G_SOURCE,
	    .help = "Learn of logins from the systemd journal, beside "
		    "log_file (which should be empty where both have the same "
		    "lines). Any user can write what looks like a server's "
		    "line there: say with journal_match whose lines count." },
	{ .name = "journal_match",
	    .type = &option_strings,
	    .offset = FIELD(journal_match),
	    .arg = "FIELD=VALUE",
	    .group = G_SOURCE,
	    .help = "Take only entries of the journal with this value, such "
		    "as _SYSTEMD_UNIT=perdition.service; of several for one "
		    "field any will do, and of each field there has to be "
		    "one. The sender can choose SYSLOG_IDENTIFIER and other "
		    "fields that do not begin with _." },
	{ .name = "journal_dir",
	    .type = &option_path,
	    .offset = FIELD(journal_dir),
	    .dflt = "",
	    .group = G_SOURCE,
	    .help = "Read the journal files in this directory, such as "
		    "/var/log/journal/remote, where other hosts' are "
		    "collected. Empty: this host's own." },
	{ .name = "pattern",
	    .type = &option_strings,
	    .offset = FIELD(pattern),
	    .dflt = "perdition",
	    .arg = "NAME",
	    .group = G_SOURCE,
	    .help = "Take logins of this server from log_file; repeated for "
		    "several. See PATTERNS. With pattern_file or regex "
		    "perdition has to be named to be among them." },
	{ .name = "pattern_file",
	    .type = &option_path,
	    .offset = FIELD(pattern_file),
	    .dflt = "",
	    .group = G_SOURCE,
	    .help = "And of the servers whose patterns this file defines. See "
		    "PATTERNS. Empty: none." },
	{ .name = "test_pattern",
	    .type = &option_path,
	    .offset = FIELD(test_pattern),
	    .flags = OPTION_COMMAND,
	    .group = G_OTHER,
	    .help = "Tell for each line of this file (- for standard input) "
		    "what the patterns make of it, and end; status 1 when "
		    "there is no login." },
	{ .name = "regex",
	    .letter = 'r',
	    .type = &option_string,
	    .offset = FIELD(regex),
	    .dflt = "",
	    .arg = "REGEX",
	    .group = G_SOURCE,
	    .help = "A POSIX extended regular expression to find logins in "
		    "lines of log_file that no pattern takes: its first "
		    "group is the client's address, its second the user. It is "
		    "applied to the whole line; unless it begins with ^ and "
		    "ends with $, and matches all that lies between, a user "
		    "name can be made to look like a login." },
	{ .name = "socket",
	    .type = &option_path,
	    .offset = FIELD(socket),
	    .dflt = LOCALSTATEDIR "/run/perdition-pbs/auth.sock",
	    .group = G_SOURCE,
	    .help = "Learn of logins through this Unix socket: the auth_socket "
		    "of perdition. Empty: no socket." },
	{ .name = "socket_user",
	    .type = &option_string,
	    .offset = FIELD(socket_user),
	    .dflt = "nobody",
	    .arg = "USER[,USER...]",
	    .group = G_SOURCE,
	    .help = "Whose processes may tell of logins through socket, by "
		    "name or number, beside root and the daemon's own user. "
		    "It is perdition's option username." },
	{ .name = "socket_mode",
	    .type = &option_string,
	    .offset = FIELD(socket_mode),
	    .dflt = "0666",
	    .arg = "OCTAL",
	    .group = G_SOURCE,
	    .help = "Permissions of socket. Who may use it is decided by "
		    "socket_user whatever they are." },
	{ .name = "policy_socket",
	    .type = &option_path,
	    .offset = FIELD(policy_socket),
	    .dflt = "",
	    .group = G_ANSWER,
	    .help = "Answer Postfix's check_policy_service through this Unix "
		    "socket. Empty, as for the other sockets here: no such "
		    "socket." },
	{ .name = "policy_header",
	    .type = &option_string,
	    .offset = FIELD(policy_header),
	    .dflt = "",
	    .arg = "NAME",
	    .group = G_ANSWER,
	    .help = "Put a header field of this name, with the user and the "
		    "address, into a message whose client may relay, when "
		    "Postfix asks in smtpd_data_restrictions. Empty: none." },
	{ .name = "socketmap_socket",
	    .type = &option_path,
	    .offset = FIELD(socketmap_socket),
	    .dflt = "",
	    .group = G_ANSWER,
	    .help = "Answer socket maps of Sendmail and socketmap: tables of "
		    "Postfix through this Unix socket." },
	{ .name = "lookup_socket",
	    .type = &option_path,
	    .offset = FIELD(lookup_socket),
	    .dflt = "",
	    .group = G_ANSWER,
	    .help = "Answer lines, as Exim's readsocket sends them, through "
		    "this Unix socket. setenv asks there before it reads "
		    "the file." },
	{ .name = "mta_user",
	    .type = &option_string,
	    .offset = FIELD(mta_user),
	    .dflt = "",
	    .arg = "USER[,USER...]",
	    .group = G_ANSWER,
	    .help = "Whose processes may ask through these sockets, by name "
		    "or number, beside root (as Sendmail does) and the "
		    "daemon's own user. Empty: postfix, Debian-exim and exim, "
		    "as many of them as there are." },
	{ .name = "never",
	    .type = &option_strings,
	    .offset = FIELD(never),
	    .arg = "NETWORK",
	    .group = G_RULE,
	    .help = "Never let an address of this network in, whoever logs in "
		    "from there: for one's own proxies and webmail servers and "
		    "for gateways that many share. 192.0.2.0/24, "
		    "2001:db8::/32 or an address alone." },
	{ .name = "always",
	    .type = &option_strings,
	    .offset = FIELD(always),
	    .arg = "NETWORK",
	    .group = G_RULE,
	    .help = "Let the addresses of this network in without any login. "
		    "It may not overlap with never, which goes first. "
		    "Networks are put into the database where MTAs cut "
		    "addresses: 10.0.0.0/8 as 256 networks /16, 192.0.2.64/26 "
		    "as 64 addresses. FEATURE(drac) finds addresses only." },
	{ .name = "allow_loopback",
	    .type = &option_bool,
	    .offset = FIELD(allow_loopback),
	    .group = G_RULE,
	    .help = "Let loopback addresses in too." },
	{ .name = "ipv4_mask",
	    .type = &option_uint,
	    .offset = FIELD(ipv4_mask),
	    .dflt = "32",
	    .min = RELAY_V4_MASK_MIN,
	    .max = 32,
	    .arg = "BITS",
	    .group = G_RULE,
	    .help = "With less than 32 a login lets in the whole network of "
		    "that size around the client." },
	{ .name = "ipv6_mask",
	    .type = &option_uint,
	    .offset = FIELD(ipv6_mask),
	    .dflt = "64",
	    .min = RELAY_V6_MASK_MIN,
	    .max = 128,
	    .arg = "BITS",
	    .group = G_RULE,
	    .help = "The same for IPv6, where the machines of one household "
		    "change their addresses within a /64 at will. Networks "
		    "are found by setenv, Postfix and Sendmail's access_db; "
		    "FEATURE(drac) asks for the address that has logged in." },
	{ .name = "max_entries",
	    .type = &option_uint,
	    .offset = FIELD(max_entries),
	    .dflt = "10000000",
	    .min = 16,
	    .max = RELAY_STORE_MAX,
	    .group = G_RULE,
	    .help = "At most so many addresses and networks; beyond, the one "
		    "that would expire next goes. If a reload lowers it, the "
		    "excess goes bit by bit." },
	{ .name = "max_new_per_second",
	    .type = &option_uint,
	    .offset = FIELD(max_new_per_second),
	    .dflt = "100000",
	    .min = 1,
	    .max = 1000000000,
	    .group = G_RULE,
	    .help = "Logins from further new addresses within a second are "
		    "not heeded." },
	{ .name = "max_addresses_per_user",
	    .type = &option_uint,
	    .offset = FIELD(max_addresses_per_user),
	    .dflt = "0",
	    .max = RELAY_STORE_MAX,
	    .group = G_RULE,
	    .help = "A user who logs in from more addresses than this loses "
		    "the one that was heard of longest ago: a password that "
		    "many machines know opens few of them. An address belongs "
		    "to who logged in from there last. 0: any number." },
	{ .name = "redis_server",
	    .type = &option_strings,
	    .offset = FIELD(redis_server),
	    .arg = "HOST[:PORT]|PATH",
	    .group = G_SHARE,
	    .help = "Share who may relay with the perdition-pbs of other "
		    "hosts through this Redis server, or one that listens on "
		    "a Unix socket. Given more than once, the first one that "
		    "is there and may be written to. Each host goes on to "
		    "answer from its own memory and db_file, whether Redis is "
		    "there or not." },
	{ .name = "redis_sentinel",
	    .type = &option_string,
	    .offset = FIELD(redis_sentinel),
	    .dflt = "",
	    .arg = "MASTER-NAME",
	    .group = G_SHARE,
	    .help = "Each redis_server is a Sentinel, port 26379 unless it "
		    "says another; ask them where the master of this name "
		    "is." },
	{ .name = "redis_user",
	    .type = &option_string,
	    .offset = FIELD(redis_user),
	    .dflt = "",
	    .arg = "USER",
	    .group = G_SHARE,
	    .help = "Log in to Redis as this ACL user; empty: as the default "
		    "one, if there is a password." },
	{ .name = "redis_password_file",
	    .type = &option_path,
	    .offset = FIELD(redis_password_file),
	    .dflt = "",
	    .group = G_SHARE,
	    .help = "With the password in the first line of this file, which "
		    "is read at the start, before root is given up." },
	{ .name = "redis_sentinel_password_file",
	    .type = &option_path,
	    .offset = FIELD(redis_sentinel_password_file),
	    .dflt = "",
	    .group = G_SHARE,
	    .help = "The same for the Sentinels. Empty: they ask for none." },
	{ .name = "redis_db",
	    .type = &option_uint,
	    .offset = FIELD(redis_db),
	    .dflt = "0",
	    .max = 65535,
	    .arg = "NUMBER",
	    .group = G_SHARE,
	    .help = "Use this database of the Redis server." },
	{ .name = "redis_prefix",
	    .type = &option_string,
	    .offset = FIELD(redis_prefix),
	    .dflt = "perdition-pbs:",
	    .arg = "TEXT",
	    .group = G_SHARE,
	    .help = "What the name of the key begins with, a stream called "
		    "changes. Hosts with the same one share." },
	{ .name = "redis_maxlen",
	    .type = &option_uint,
	    .offset = FIELD(redis_maxlen),
	    .dflt = "10000000",
	    .min = 1000,
	    .max = 4000000000u,
	    .arg = "NUMBER",
	    .group = G_SHARE,
	    .help = "At most about so many entries in that stream (XADD "
		    "MAXLEN ~); the same on all hosts. What is older than "
		    "timeout is removed anyway." },
	{ .name = "redis_tls",
	    .type = &option_bool,
	    .offset = FIELD(redis_tls),
	    .group = G_SHARE,
	    .help = "Use TLS, to the Sentinels too. The server's certificate "
		    "must be for the host that redis_server (or the Sentinel) "
		    "names." },
	{ .name = "redis_tls_ca_cert_file",
	    .type = &option_path,
	    .offset = FIELD(redis_tls_ca_cert_file),
	    .dflt = "",
	    .group = G_SHARE,
	    .help = "The authorities that are trusted, PEM. Empty: those that "
		    "the system trusts." },
	{ .name = "redis_tls_cert_file",
	    .type = &option_path,
	    .offset = FIELD(redis_tls_cert_file),
	    .dflt = "",
	    .group = G_SHARE,
	    .help = "The certificate to show to a server that asks for one, "
		    "PEM." },
	{ .name = "redis_tls_key_file",
	    .type = &option_path,
	    .offset = FIELD(redis_tls_key_file),
	    .dflt = "",
	    .group = G_SHARE,
	    .help = "Its private key. Empty: in redis_tls_cert_file." },
	{ .name = "redis_tls_name",
	    .type = &option_string,
	    .offset = FIELD(redis_tls_name),
	    .dflt = "",
	    .arg = "NAME",
	    .group = G_SHARE,
	    .help = "The server's certificate must be for this name instead: "
		    "Sentinels usually tell addresses, which certificates "
		    "seldom hold." },
	{ .name = "state_dir",
	    .type = &option_path,
	    .offset = FIELD(state_dir),
	    .dflt = LOCALSTATEDIR "/lib/perdition-pbs",
	    .group = G_PROCESS,
	    .help = "Where the daemon keeps, in a file for each db_file, who "
		    "may relay and how far the log has been read, for its "
		    "next start. Empty: nowhere; then it starts with what it "
		    "finds in db_file and at the end of the log." },
	{ .name = "pid_file",
	    .type = &option_path,
	    .offset = FIELD(pid_file),
	    .dflt = LOCALSTATEDIR "/run/perdition-pbs/perdition-pbs.pid",
	    .group = G_PROCESS,
	    .help = "The process id is written to this file. Empty: none. A "
		    "link, a file with a second name and a FIFO are refused." },
	{ .name = "user",
	    .letter = 'u',
	    .type = &option_string,
	    .offset = FIELD(user),
	    .dflt = "nobody",
	    .arg = "USER",
	    .group = G_PROCESS,
	    .help = "Started by root, become this user. A user of its own "
		    "is better: nobody else's processes can then touch the "
		    "database." },
	{ .name = "group",
	    .letter = 'g',
	    .type = &option_string,
	    .offset = FIELD(group),
	    .dflt = "",
	    .arg = "GROUP",
	    .group = G_PROCESS,
	    .help = "And this group; empty: the user's own. The group of "
		    "log_file is kept as well, if it may read that." },
	{ .name = "no_daemon",
	    .letter = 'n',
	    .type = &option_bool,
	    .offset = FIELD(no_daemon),
	    .group = G_PROCESS,
	    .help = "Stay in the foreground." },
	{ .name = "log_facility",
	    .letter = 'F',
	    .type = &option_string,
	    .offset = FIELD(log_facility),
	    .dflt = "mail",
	    .arg = "FACILITY|FILE|-|+",
	    .group = G_LOG,
	    .help = "Log to syslog with this facility, to a file (a path that "
		    "begins with /), to standard output (-) or to standard "
		    "error (+); both of the last imply no_daemon." },
	{ .name = "debug",
	    .letter = 'd',
	    .type = &option_bool,
	    .offset = FIELD(debug),
	    .group = G_LOG,
	    .help = "Log more." },
	{ .name = "quiet",
	    .letter = 'q',
	    .type = &option_bool,
	    .offset = FIELD(quiet),
	    .group = G_LOG,
	    .help = "Log only errors." },
	{ .name = "config_file",
	    .letter = 'f',
	    .type = &option_path,
	    .offset = FIELD(config_file),
	    .dflt = SYSCONFDIR "/perdition/perdition-pbs.conf",
	    .flags = OPTION_COMMAND,
	    .group = G_OTHER,
	    .help = "Read options from here." },
	{ .name = "json",
	    .type = &option_bool,
	    .offset = FIELD(json),
	    .flags = OPTION_COMMAND,
	    .group = G_OTHER,
	    .help = "For list: print an object of JSON a line." },
	{ .name = "dump_config",
	    .type = &option_bool,
	    .offset = FIELD(dump_config),
	    .flags = OPTION_COMMAND,
	    .group = G_OTHER,
	    .help = "Print the effective configuration and end." },
	{ .name = "version",
	    .letter = 'v',
	    .type = &option_bool,
	    .offset = FIELD(version),
	    .flags = OPTION_COMMAND,
	    .group = G_OTHER,
	    .help = "Print the version and end." },
	{ .name = "help",
	    .letter = 'h',
	    .type = &option_bool,
	    .offset = FIELD(help),
	    .flags = OPTION_COMMAND,
	    .group = G_OTHER,
	    .help = "Print this and end." },
	{ .name = NULL },
};

const struct option_table pbs_options = {
	.defs = defs,
	.program = "perdition-pbs",
	.config_size = sizeof(struct pbs_config),
};
