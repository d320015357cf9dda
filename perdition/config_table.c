/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_table - every option of perdition, one row each.
 *
 * Parser, command line, --help, --dump_config, the manual page and the sample
 * file are made from these rows and nowhere else.
 */
#include "config.h"

#include "perdition/config.h"

#include <errno.h>
#include <openssl/obj_mac.h>
#include <stdlib.h>

#include "common/err.h"
#include "perdition/config_private.h"
#include "perdition/request.h"

#include "common/banned.h"

#define G_GENERAL "General"
#define G_LISTEN "Where clients connect"
#define G_DIALOGUE "What clients are told"
#define G_NAME "User names"
#define G_LOOKUP "Finding the real-server"
#define G_SERVER "Real-servers"
#define G_LIMIT "Time-outs and limits"
#define G_LOG "Logging"
#define G_PROCESS "Processes"
#define G_TLS "TLS"
#define G_TLS_LISTEN "TLS towards clients"
#define G_TLS_OUTGOING "TLS towards real-servers"

#define DEPTH_MAX 32

#define FIELD(f) offsetof(struct config, f)

static const struct option_names states[] = {
	{ "servername_lookup", NAME_SERVERNAME_LOOKUP },
	{ "local_authentication", NAME_LOCAL_AUTHENTICATION },
	{ "remote_login", NAME_REMOTE_LOGIN },
	{ "all", NAME_SERVERNAME_LOOKUP | NAME_LOCAL_AUTHENTICATION |
		     NAME_REMOTE_LOGIN },
	{ NULL, 0 },
};

static const struct option_names log_passwd_names[] = {
	{ "never", 0 },
	{ "fail", 1 },
	{ "ok", 2 },
	{ "always", 3 },
	{ NULL, 0 },
};

static const struct option_names ssl_modes[] = {
	{ "none", 0 },
	{ "ssl_listen", SSL_MODE_SSL_LISTEN },
	{ "ssl_outgoing", SSL_MODE_SSL_OUTGOING },
	{ "ssl_all", SSL_MODE_SSL_LISTEN | SSL_MODE_SSL_OUTGOING },
	{ "tls_listen", SSL_MODE_TLS_LISTEN },
	{ "tls_outgoing", SSL_MODE_TLS_OUTGOING },
	{ "tls_all", SSL_MODE_TLS_LISTEN | SSL_MODE_TLS_OUTGOING },
	{ "tls_listen_force", SSL_MODE_TLS_LISTEN_FORCE },
	{ "tls_outgoing_force", SSL_MODE_TLS_OUTGOING_FORCE },
	{ "tls_all_force",
	    SSL_MODE_TLS_LISTEN_FORCE | SSL_MODE_TLS_OUTGOING_FORCE },
	{ NULL, 0 },
};

static const struct option_names tls_versions[] = {
	{ "any", 0 },
	{ "sslv3", 0x300 },
	{ "tlsv1", 0x301 },
	{ "tlsv1.1", 0x302 },
	{ "tlsv1.2", 0x303 },
	{ "tlsv1.3", 0x304 },
	{ NULL, 0 },
};

const struct option_names config_client_certs[] = {
	{ "none", CLIENT_CERT_NONE },
	{ "optional", CLIENT_CERT_OPTIONAL },
	{ "required", CLIENT_CERT_REQUIRED },
	{ NULL, 0 },
};

/* OpenSSL's numbers of these fields. */
static const struct option_names user_fields[] = {
	{ "none", 0 },
	{ "commonName", NID_commonName },
	{ "emailAddress", NID_pkcs9_emailAddress },
	{ NULL, 0 },
};

/* add_domain: states and a depth in one list, two fields of the config. */

static struct config *
config_of_add_domain(void *field)
{
	return (struct config *)(void *)((char *)field - FIELD(add_domain));
}

static bool
find_state(struct slice word, unsigned int *value)
{
	size_t i;

	for (i = 0; states[i].name != NULL; i++) {
		if (slice_caseeq(word, slice_str(states[i].name))) {
			*value = states[i].value;
			return true;
		}
	}
	return false;
}

static int
add_domain_parse(const struct option_def *def, void *field, const char *text,
    struct err *err)
{
	struct config *c = config_of_add_domain(field);
	struct slice rest = slice_str(text);
	struct slice word;
	unsigned int set = 0;
	unsigned int value;
	uint64_t depth = 0;

	(void)def;
	while (rest.n > 0) {
		slice_cut(&rest, ',', &word);
		if (depth == 0 && find_state(word, &value))
			set |= value;
		else if (set == 0 || depth != 0 ||
			 slice_u64(word, DEPTH_MAX, &depth) == -1 || depth == 0)
			return err_set(err, EINVAL,
			    "servername_lookup, local_authentication, "
			    "remote_login or all, separated by commas, and "
			    "then "
			    "perhaps a number from 1 to %d",
			    DEPTH_MAX);
	}
	c->add_domain = set;
	c->add_domain_depth = depth == 0 ? 1 : (unsigned int)depth;
	return 0;
}

static int
add_domain_print(const struct option_def *def, const void *field, size_t i,
    char *out, size_t cap)
{
	const struct config *c =
	    (const struct config *)(const void *)((const char *)field -
						  FIELD(add_domain));
	size_t n = 0;
	size_t s;
	int len;

	(void)def;
	if (i > 0 || cap == 0)
		return -1;
	out[0] = '\0';
	for (s = 0; s < 3; s++) {
		if ((c->add_domain & states[s].value) == 0)
			continue;
		len = snprintf(
		    out + n, cap - n, "%s%s", n > 0 ? "," : "", states[s].name);
		if (len < 0 || (size_t)len >= cap - n)
			return -1;
		n += (size_t)len;
	}
	if (n > 0 && c->add_domain_depth > 1) {
		len = snprintf(out + n, cap - n, ",%u", c->add_domain_depth);
		if (len < 0 || (size_t)len >= cap - n)
			return -1;
		n += (size_t)len;
	}
	return (int)n;
}

static void
add_domain_clear(const struct option_def *def, void *field)
{
	struct config *c = config_of_add_domain(field);

	(void)def;
	c->add_domain = 0;
	c->add_domain_depth = 0;
}

static const struct option_type option_add_domain = {
	.arg = "STATE[,STATE...][,DEPTH]",
	.parse = add_domain_parse,
	.print = add_domain_print,
	.clear = add_domain_clear,
};

#define STATES_ARG "STATE[,STATE...]"
#define STATES_HELP                                                            \
	"STATE is servername_lookup, local_authentication, remote_login or "   \
	"all."

/* clang-format off */
static const struct option_def defs[] = {
	/* --- general ---------------------------------------------------- */
	{ .name = "help", .letter = 'h', .type = &option_bool,
	    .offset = FIELD(help), .group = G_GENERAL, .flags = OPTION_COMMAND,
	    .help = "Show all options and end." },
	{ .name = "version", .type = &option_bool,
	    .offset = FIELD(version), .group = G_GENERAL,
	    .flags = OPTION_COMMAND,
	    .help = "Show the version and end." },
	{ .name = "config_file", .letter = 'f', .type = &option_path,
	    .offset = FIELD(config_file), .group = G_GENERAL,
	    .flags = OPTION_COMMAND,
	    .help = "Read this configuration file. Without it the first that "
		"is there is read of NAME.conf, perdition.PROTOCOL.conf and "
		"perdition.conf in the configuration directory, where NAME is "
		"the name that the program was called by." },
	{ .name = "dump_config", .type = &option_bool,
	    .offset = FIELD(dump_config), .group = G_GENERAL,
	    .flags = OPTION_COMMAND,
	    .help = "Show the effective configuration, as a file that can be "
		"read again, and end. It may hold the secrets of "
		"map_library_opt." },
	{ .name = "check_config", .type = &option_bool,
	    .offset = FIELD(check_config), .group = G_GENERAL,
	    .flags = OPTION_COMMAND,
	    .help = "Check the configuration and end, with status 0 when it is "
		"good, or else as a start would end: 78 mostly, 66 when a "
		"file is not there. TLS files are read and maps are opened; "
		"a database that is down is no error." },
	{ .name = "route", .type = &option_string, .offset = FIELD(route),
	    .dflt = "", .arg = "USER", .group = G_GENERAL,
	    .flags = OPTION_COMMAND,
	    .help = "Show where this user would be sent and why: the maps that "
		"are asked, for which keys, how long each takes and what it "
		"answers, the names in the three states, and the servers. "
		"Status 0: there is one; 67: none; 75: it cannot be told "
		"now." },
	{ .name = "from", .type = &option_string, .offset = FIELD(route_from),
	    .dflt = "", .arg = "ADDRESS[:PORT]", .group = G_GENERAL,
	    .flags = OPTION_COMMAND,
	    .help = "With route: the client's address." },
	{ .name = "to", .type = &option_string, .offset = FIELD(route_to),
	    .dflt = "", .arg = "ADDRESS[:PORT]", .group = G_GENERAL,
	    .flags = OPTION_COMMAND,
	    .help = "With route: the address that the client connects to; the "
		"first listener's without it." },
	{ .name = "no_daemon", .type = &option_bool,
	    .offset = FIELD(no_daemon), .group = G_GENERAL,
	    .help = "Stay in the foreground." },
	{ .name = "inetd_mode", .letter = 'i', .type = &option_bool,
	    .offset = FIELD(inetd_mode), .group = G_GENERAL,
	    .help = "Serve the one client that is on standard input, and end. "
		"Assumed when standard input is a connected socket." },
	{ .name = "pid_file", .type = &option_path,
	    .offset = FIELD(pid_file), .group = G_GENERAL,
	    .dflt = LOCALSTATEDIR "/run/<basename>/<basename>.pid",
	    .help = "Write the process id of the master to this file. "
		"<basename> stands for the name that the program was called "
		"by. Empty: no file. A link, a file with a second name and a FIFO "
		"are refused." },
	{ .name = "username", .letter = 'u', .type = &option_string,
	    .offset = FIELD(username), .dflt = "nobody", .arg = "NAME",
	    .group = G_GENERAL,
	    .help = "Run as this user all that speaks to the network, when "
		"started by root." },
	{ .name = "group", .letter = 'g', .type = &option_string,
	    .offset = FIELD(group), .dflt = "nogroup", .arg = "NAME",
	    .group = G_GENERAL,
	    .help = "Run as this group, when started by root." },

	/* --- where clients connect -------------------------------------- */
	{ .name = "listen", .type = &option_strings,
	    .offset = FIELD(listen),
	    .arg = "PROTOCOL://ADDR[:PORT][?tls=MODE]",
	    .group = G_LISTEN,
	    .help = "Listen here. May be given many times, with different "
		"protocols: imap4://[::1]:143, pop3s://192.0.2.1, or imap4://* "
		"for all addresses of both families. MODE is none, "
		"starttls_optional, starttls (no password before it) or "
		"implicit (TLS from the first byte, as imap4s and pop3s are "
		"without it); else ssl_mode decides. &client_cert=none, "
		"optional or required may follow, in place of "
		"ssl_client_cert. Takes the place of protocol, bind_address "
		"and listen_port." },
	{ .name = "protocol", .letter = 'P', .type = &option_string,
	    .offset = FIELD(protocol), .dflt = "POP3", .arg = "PROTOCOL",
	    .group = G_LISTEN,
	    .help = "POP3, POP3S, IMAP4, IMAP4S or MANAGESIEVE. Without it the "
		"part behind the dot of the name that the program was called "
		"by decides, as in perdition.imap4." },
	{ .name = "bind_address", .letter = 'b', .type = &option_string,
	    .offset = FIELD(bind_address), .dflt = "",
	    .arg = "ADDR[:PORT][,...]", .group = G_LISTEN,
	    .help = "Listen on these addresses only. Empty: on all." },
	{ .name = "listen_port", .letter = 'l', .type = &option_string,
	    .offset = FIELD(listen_port), .dflt = "", .arg = "PORT",
	    .group = G_LISTEN,
	    .help = "Listen on this port, a number or a service's name. Empty: "
		"the protocol's own." },
	{ .name = "tcp_keepalive", .type = &option_bool,
	    .offset = FIELD(tcp_keepalive), .group = G_LISTEN,
	    .help = "Have the system probe silent connections, to clients and "
		"to real-servers." },

	/* --- what clients are told -------------------------------------- */
	{ .name = "no_bind_banner", .letter = 'B', .type = &option_bool,
	    .offset = FIELD(no_bind_banner), .group = G_DIALOGUE,
	    .help = "Greet with the host's own name instead of the address "
		"that the client connected to." },
	{ .name = "capability", .letter = 'I', .type = &option_string,
	    .offset = FIELD(capability), .dflt = "", .group = G_DIALOGUE,
	    .help = "Deprecated. Use imap_capability, pop_capability or "
		"managesieve_capability, which win over this one." },
	{ .name = "imap_capability", .type = &option_string,
	    .offset = FIELD(imap_capability), .dflt = "", .group = G_DIALOGUE,
	    .help = "IMAP4 capabilities to announce before the login. Empty: "
		"IMAP4rev1 and what perdition itself supports." },
	{ .name = "pop_capability", .type = &option_string,
	    .offset = FIELD(pop_capability), .dflt = "", .group = G_DIALOGUE,
	    .help = "POP3 capabilities to announce before the login, separated "
		"by dots or by two spaces. Empty: UIDL, USER and what "
		"perdition itself supports." },
	{ .name = "managesieve_capability", .type = &option_string,
	    .offset = FIELD(managesieve_capability), .dflt = "",
	    .group = G_DIALOGUE,
	    .help = "ManageSieve capabilities to announce before the login, "
		"quoted strings separated by two spaces." },
	{ .name = "ok_line", .letter = 'O', .type = &option_string,
	    .offset = FIELD(ok_line), .dflt = "You are so in",
	    .group = G_DIALOGUE,
	    .help = "Text of the answer to a successful login." },
	{ .name = "server_resp_line", .letter = 'o', .type = &option_bool,
	    .offset = FIELD(server_resp_line), .group = G_DIALOGUE,
	    .help = "Pass on the real-server's own answer to the login instead "
		"of ok_line." },
	{ .name = "server_ok_line", .type = &option_bool,
	    .offset = FIELD(server_resp_line), .group = G_DIALOGUE,
	    .alias_of = "server_resp_line",
	    .help = "Another name of server_resp_line." },
	{ .name = "login_disabled", .type = &option_bool,
	    .offset = FIELD(login_disabled), .group = G_DIALOGUE,
	    .help = "Refuse all logins, and announce it where the protocol "
		"can." },

	/* --- user names ------------------------------------------------- */
	{ .name = "domain_delimiter", .letter = 'D', .type = &option_string,
	    .offset = FIELD(domain_delimiter), .dflt = "@", .group = G_NAME,
	    .help = "What stands between user and domain; may be longer than "
		"one character. The last one in the name counts." },
	{ .name = "add_domain", .letter = 'A', .type = &option_add_domain,
	    .offset = FIELD(add_domain), .dflt = "", .group = G_NAME,
	    .help = "In these states add the domain that the reverse lookup of "
		"the local address gives, without its first DEPTH (1) labels, "
		"to names that have none. " STATES_HELP },
	{ .name = "explicit_domain", .letter = 'e', .type = &option_string,
	    .offset = FIELD(explicit_domain), .dflt = "", .arg = "DOMAIN",
	    .group = G_NAME,
	    .help = "With add_domain: add this domain." },
	{ .name = "strip_domain", .letter = 'S', .type = &option_set,
	    .offset = FIELD(strip_domain), .dflt = "", .arg = STATES_ARG,
	    .names = states, .group = G_NAME,
	    .help = "Remove delimiter and domain in these states. "
		STATES_HELP },
	{ .name = "lower_case", .type = &option_set,
	    .offset = FIELD(lower_case), .dflt = "", .arg = STATES_ARG,
	    .names = states, .group = G_NAME,
	    .help = "Turn the name to lower case in these states. "
		STATES_HELP },
	{ .name = "client_server_specification", .letter = 'c',
	    .type = &option_bool, .offset = FIELD(client_server_specification),
	    .group = G_NAME,
	    .help = "Users may name their real-server: "
		"user<delimiter>server[:port]." },
	{ .name = "username_from_database", .letter = 'U',
	    .type = &option_bool, .offset = FIELD(username_from_database),
	    .group = G_NAME,
	    .help = "Log in with the user name that the map gives, when it "
		"gives one." },

	/* --- finding the real-server ------------------------------------ */
	{ .name = "map_library", .letter = 'M', .type = &option_texts,
	    .offset = FIELD(map_library), .dflt = "gdbm", .arg = "NAME|FILE",
	    .group = G_LOOKUP,
	    .help = "Module that finds a user's real-server: a name such as "
		"regex, ldap or gdbm, or a file; popmap(5) has them all. May "
		"be given several times: the maps are asked in this order, "
		"each for all keys, and the first answer counts. Empty: no "
		"lookup." },
	{ .name = "map_library_opt", .letter = 'm', .type = &option_texts,
	    .offset = FIELD(map_library_opt), .dflt = "", .group = G_LOOKUP,
	    .arg = "OPTIONS", .flags = OPTION_SECRET,
	    .help = "Handed to the module, which documents it. Of several, the "
		"first belongs to the first map_library, and so on; \"\" stands "
		"for a map that has none." },
	{ .name = "map_fallthrough", .type = &option_bool,
	    .offset = FIELD(map_fallthrough), .group = G_LOOKUP,
	    .help = "When a map cannot tell, ask the next one. Without this, "
		"the login is a temporary failure then: the next map might "
		"send the user to a wrong server." },
	{ .name = "module_dir", .type = &option_path,
	    .offset = FIELD(module_dir), .dflt = MODULEDIR, .arg = "DIRECTORY",
	    .group = G_LOOKUP,
	    .help = "Where modules are looked for by name." },
	{ .name = "map_timeout", .type = &option_seconds,
	    .offset = FIELD(map_timeout), .dflt = "10", .min = 1, .max = 600,
	    .group = G_LOOKUP,
	    .help = "A lookup that takes longer is a temporary failure. The "
		"map has nine tenths of it." },
	{ .name = "map_connections", .type = &option_uint,
	    .offset = FIELD(map_connections), .dflt = "4", .min = 1,
	    .max = 64, .group = G_LOOKUP,
	    .help = "How many questions a map that asks others (ldap, mysql "
		"and the like) is asked at once, each by a process with a "
		"connection of its own, started when needed. For each of "
		"lookup_processes." },
	{ .name = "popmap_cache", .type = &option_seconds,
	    .offset = FIELD(popmap_cache), .dflt = "0", .max = 86400,
	    .group = G_LOOKUP,
	    .help = "What such a map answers, also that there is no such user, "
		"counts for this long, unless the answer has a lifetime of "
		"its own. 0: each login asks anew." },
	{ .name = "popmap_cache_stale", .type = &option_seconds,
	    .offset = FIELD(popmap_cache_stale), .dflt = "0",
	    .max = 7 * 86400, .group = G_LOOKUP,
	    .help = "While such a map cannot tell, an answer that is no older "
		"than this goes on counting: who logged in lately still can. "
		"0: no." },
	{ .name = "popmap_cache_size", .type = &option_uint,
	    .offset = FIELD(popmap_cache_size), .dflt = "100000", .min = 1,
	    .max = 100000000, .group = G_LOOKUP,
	    .help = "How many answers are kept for the two above, about 300 "
		"bytes each; the least recently used go first." },
	{ .name = "query_key", .type = &option_string,
	    .offset = FIELD(query_key), .dflt = "", .arg = "FORMAT[,FORMAT...]",
	    .group = G_LOOKUP,
	    .help = "Keys to ask the map for, in order; the first that is "
		"there counts. In a FORMAT, \\U is the user's name, \\u what "
		"stands before the delimiter, \\D the delimiter, \\d the "
		"domain, \\i and \\p the client's address and port, \\I and "
		"\\P the local ones, \\\\ a backslash. In a file, write it in "
		"double quotes. Empty: the user's name." },
	{ .name = "no_lookup", .letter = 'n', .type = &option_bool,
	    .offset = FIELD(no_lookup), .group = G_LOOKUP,
	    .help = "Resolve no names at all: addresses and port numbers must "
		"be given everywhere." },

	/* --- real-servers ----------------------------------------------- */
	{ .name = "outgoing_server", .letter = 's', .type = &option_string,
	    .offset = FIELD(outgoing_server), .dflt = "",
	    .arg = "SERVER[:PORT][,...]", .group = G_SERVER,
	    .help = "Real-servers, in turn, for users that the map does not "
		"know. As in a map, one may say how it is spoken to: "
		"imaps://SERVER[:PORT] for TLS from the first byte, "
		"imap://SERVER?tls=MODE with a mode as for listen, or "
		"SERVER?tls=MODE for any protocol. What does not say follows "
		"ssl_mode." },
	{ .name = "outgoing_bind_address", .type = &option_string,
	    .offset = FIELD(outgoing_bind_address), .dflt = "",
	    .arg = "ADDRESS[,...]", .group = G_SERVER,
	    .help = "Addresses of this host that connections to real-servers "
		"come from, in turn. One address has ports for some 28,000 "
		"sessions with one real-server (60,000 when all ports are "
		"free for it): a large site needs several. Without it, or for "
		"a server of another family, the system chooses." },
	{ .name = "outgoing_port", .letter = 'p', .type = &option_string,
	    .offset = FIELD(outgoing_port), .dflt = "", .arg = "PORT",
	    .group = G_SERVER,
	    .help = "Port of the real-servers, a number or a service's name. "
		"Empty: the protocol's own. Not for servers that are written "
		"with a scheme, which has a port." },
	{ .name = "connect_timeout", .type = &option_seconds,
	    .offset = FIELD(connect_timeout), .dflt = "5", .min = 1,
	    .max = 600, .group = G_SERVER,
	    .help = "Try the next address of a real-server after this long." },
	{ .name = "server_timeout", .type = &option_seconds,
	    .offset = FIELD(server_timeout), .dflt = "30", .min = 1,
	    .max = 3600, .group = G_SERVER,
	    .help = "How long each answer of a real-server may take during the "
		"login." },
	{ .name = "authenticate_in", .letter = 'a', .type = &option_bool,
	    .offset = FIELD(authenticate_in), .group = G_SERVER,
	    .help = "Check the password here before the real-server is asked. "
		"PAM is not part of this build: refused." },

	/* --- time-outs and limits --------------------------------------- */
	{ .name = "timeout", .letter = 't', .type = &option_seconds,
	    .offset = FIELD(timeout), .dflt = "1800", .group = G_LIMIT,
	    .help = "End a session that nothing went through for this long. "
		"0: never." },
	{ .name = "authenticate_timeout", .type = &option_seconds,
	    .offset = FIELD(authenticate_timeout), .dflt = "1800",
	    .group = G_LIMIT,
	    .help = "End a connection that was silent this long before its "
		"login. 0: never." },
	{ .name = "login_time", .type = &option_seconds,
	    .offset = FIELD(login_time), .dflt = "180", .group = G_LIMIT,
	    .help = "End a connection that has not logged in this long after "
		"it was made, silent or not. 0: never." },
	{ .name = "failure_delay", .type = &option_seconds,
	    .offset = FIELD(failure_delay), .dflt = "2", .max = 60,
	    .group = G_LIMIT,
	    .help = "Wait this long with the answer to a failed login, twice "
		"as long after each further one, up to eight times." },
	{ .name = "connection_limit", .letter = 'L', .type = &option_uint,
	    .offset = FIELD(connection_limit), .dflt = "0", .group = G_LIMIT,
	    .help = "Connections at the same time. 0: no limit." },
	{ .name = "connection_limit_per_address", .type = &option_uint,
	    .offset = FIELD(connection_limit_per_address), .dflt = "0",
	    .group = G_LIMIT,
	    .help = "Connections at the same time from one address. 0: no "
		"limit." },
	{ .name = "drain_timeout", .type = &option_seconds,
	    .offset = FIELD(drain_timeout), .dflt = "0", .group = G_LIMIT,
	    .help = "After a reload, or when told to end, give open sessions "
		"this long. 0: until the last of them ends." },

	/* --- logging ---------------------------------------------------- */
	{ .name = "log_facility", .letter = 'F', .type = &option_string,
	    .offset = FIELD(log_facility), .dflt = "mail",
	    .arg = "FACILITY|FILE|-|+", .group = G_LOG,
	    .help = "Where the log goes: a facility of syslog, a file (with "
		"its whole path), - for standard output or + for standard "
		"error, which both imply no_daemon." },
	{ .name = "syslog_socket", .type = &option_path,
	    .offset = FIELD(syslog_socket), .dflt = "", .group = G_LOG,
	    .help = "Socket of syslog. Empty: /dev/log." },
	{ .name = "auth_socket", .type = &option_path,
	    .offset = FIELD(auth_socket), .dflt = "", .group = G_LOG,
	    .help = "Tell each login to perdition-pbs through this socket of "
		"its. Empty: do not." },
	{ .name = "connect_relog", .type = &option_seconds,
	    .offset = FIELD(connect_relog), .dflt = "300", .group = G_LOG,
	    .help = "Log the Auth line of a living session again this often. "
		"0: never." },
	{ .name = "debug", .letter = 'd', .type = &option_bool,
	    .offset = FIELD(debug), .group = G_LOG,
	    .help = "Log what helps to find a mistake." },
	{ .name = "quiet", .letter = 'q', .type = &option_bool,
	    .offset = FIELD(quiet), .group = G_LOG,
	    .help = "Log errors only. Lines about logins are still sent to "
		"auth_socket." },
	{ .name = "connection_logging", .letter = 'C', .type = &option_bool,
	    .offset = FIELD(connection_logging), .group = G_LOG,
	    .help = "With debug: log the dialogue before the login, without "
		"passwords." },
	{ .name = "log_passwd", .type = &option_enum,
	    .offset = FIELD(log_passwd), .dflt = "never",
	    .arg = "never|fail|ok|always", .names = log_passwd_names,
	    .group = G_LOG, .flags = OPTION_HIDDEN,
	    .help = "Taken for the sake of old files, without effect: no "
		"password is ever logged." },

	/* --- processes -------------------------------------------------- */
	{ .name = "workers", .type = &option_uint,
	    .offset = FIELD(workers), .dflt = "0", .max = WORKER_SLOTS / 2,
	    .group = G_PROCESS,
	    .help = "Processes that hold the connections. 0: one for each "
		"processor; more where the limit of files (two for each "
		"session) is so low that they could not hold 32,000 sessions." },
	{ .name = "lookup_processes", .type = &option_uint,
	    .offset = FIELD(lookup_processes), .dflt = "1", .min = 1,
	    .max = 64, .group = G_PROCESS,
	    .help = "Processes that answer the workers' questions. One does "
		"for some ten thousand logins a second: it never waits, but "
		"has others wait for maps and the resolver. Each keeps answers "
		"and connections of its own." },

	/* --- TLS -------------------------------------------------------- */
	{ .name = "ssl_mode", .type = &option_set,
	    .offset = FIELD(ssl_mode), .dflt = "", .arg = "MODE[,MODE...]",
	    .names = ssl_modes, .group = G_TLS,
	    .help = "Where TLS is used. ssl_listen and ssl_outgoing: from the "
		"first byte, towards clients and towards real-servers; "
		"tls_listen, tls_outgoing: by STARTTLS, where the other side "
		"wants it or offers it; with _force: no password before "
		"STARTTLS; ..._all: both sides. A listener or a real-server "
		"that says its own mode is not bound to this one." },
	{ .name = "ssl_handshake_timeout", .type = &option_seconds,
	    .offset = FIELD(ssl_handshake_timeout), .dflt = "30", .min = 1,
	    .max = 600, .group = G_TLS,
	    .help = "End a connection whose TLS handshake takes longer, to a "
		"client or to a real-server." },
	{ .name = "ssl_cert_verify_depth", .type = &option_uint,
	    .offset = FIELD(ssl_cert_verify_depth), .dflt = "9", .max = 100,
	    .group = G_TLS,
	    .help = "Most certificates between the other side's own and one "
		"that is trusted." },

	/* --- TLS towards clients ---------------------------------------- */
	{ .name = "ssl_cert_file", .type = &option_strings, .arg = "FILE",
	    .offset = FIELD(ssl_cert_file), .group = G_TLS_LISTEN,
	    .dflt = SYSCONFDIR "/perdition/perdition.crt.pem",
	    .help = "Certificate shown to clients, with its chain behind it. "
		"May be given once for each kind of key, to have an ECDSA and "
		"an RSA certificate side by side. A private key in the same "
		"file is used; without one, that of ssl_key_file. FILE.ocsp, "
		"an OCSP response in DER, is stapled when it is there." },
	{ .name = "ssl_key_file", .type = &option_strings, .arg = "FILE",
	    .offset = FIELD(ssl_key_file), .group = G_TLS_LISTEN,
	    .dflt = SYSCONFDIR "/perdition/perdition.key.pem",
	    .help = "Private key of ssl_cert_file; for several certificates "
		"given in the same order." },
	{ .name = "ssl_cert_dir", .type = &option_path,
	    .offset = FIELD(ssl_cert_dir), .dflt = "", .arg = "DIRECTORY",
	    .group = G_TLS_LISTEN,
	    .help = "More certificates, chosen by the name that the client "
		"asks for (SNI): directories with fullchain.pem and "
		"privkey.pem, as certbot makes them, and files NAME.pem with "
		"chain and key. The names are those in the certificates." },
	{ .name = "ssl_ca_chain_file", .type = &option_path,
	    .offset = FIELD(ssl_ca_chain_file), .dflt = "",
	    .group = G_TLS_LISTEN,
	    .help = "Certificates to send along with one's own whose file "
		"holds no others." },
	{ .name = "ssl_passphrase_file", .type = &option_path,
	    .offset = FIELD(ssl_passphrase_file), .dflt = "",
	    .group = G_TLS_LISTEN,
	    .help = "The first line of this file is the private keys' pass "
		"phrase." },
	{ .name = "ssl_passphrase_fd", .type = &option_string,
	    .offset = FIELD(ssl_passphrase_fd), .dflt = "", .arg = "NUMBER",
	    .group = G_TLS_LISTEN,
	    .help = "Read the private keys' pass phrase, one line, from this "
		"descriptor, once." },
	{ .name = "ssl_listen_min_proto_version", .type = &option_enum,
	    .offset = FIELD(ssl_listen_min_proto_version), .dflt = "tlsv1.2",
	    .arg = "VERSION", .names = tls_versions, .group = G_TLS_LISTEN,
	    .help = "Lowest version for clients: tlsv1, tlsv1.1, tlsv1.2 or "
		"tlsv1.3. Those below tlsv1.2 are broken (RFC 8996) and make "
		"OpenSSL take weak keys and ciphers too." },
	{ .name = "ssl_listen_max_proto_version", .type = &option_enum,
	    .offset = FIELD(ssl_listen_max_proto_version), .dflt = "any",
	    .arg = "VERSION", .names = tls_versions, .group = G_TLS_LISTEN,
	    .help = "Highest version for clients." },
	{ .name = "ssl_listen_ciphers", .type = &option_string,
	    .offset = FIELD(ssl_listen_ciphers), .dflt = "",
	    .arg = "CIPHER[:CIPHER...]", .group = G_TLS_LISTEN,
	    .help = "Ciphers for clients, as OpenSSL writes them; those of TLS "
		"1.3 (TLS_...) may be among them. Empty: those with forward "
		"secrecy and authenticated encryption (RFC 9325)." },
	{ .name = "ssl_no_cipher_server_preference", .type = &option_bool,
	    .offset = FIELD(ssl_no_cipher_server_preference),
	    .group = G_TLS_LISTEN,
	    .help = "Let the client choose the cipher." },
	{ .name = "ssl_dh_params_file", .type = &option_path,
	    .offset = FIELD(ssl_dh_params_file), .dflt = "",
	    .group = G_TLS_LISTEN,
	    .help = "Parameters for Diffie-Hellman without elliptic curves, "
		"which is only used with them. Very old clients need it." },
	{ .name = "ssl_ticket_lifetime", .type = &option_seconds,
	    .offset = FIELD(ssl_ticket_lifetime), .dflt = "6h",
	    .max = 7 * 24 * 3600, .group = G_TLS_LISTEN,
	    .help = "How long a client can resume its session, which saves "
		"most of a handshake. The keys for it change as often and are "
		"never stored. 0: not at all." },
	{ .name = "ssl_client_cert", .type = &option_enum,
	    .offset = FIELD(ssl_client_cert), .dflt = "none",
	    .arg = "none|optional|required", .names = config_client_certs,
	    .group = G_TLS_LISTEN,
	    .help = "Ask clients for a certificate. optional: one that is "
		"shown must be good; required: without one there is no "
		"connection." },
	{ .name = "ssl_client_ca_file", .type = &option_path,
	    .offset = FIELD(ssl_client_ca_file), .dflt = "",
	    .group = G_TLS_LISTEN,
	    .help = "Authorities of clients' certificates. Empty: ssl_ca_file "
		"and ssl_ca_path, but never those of the system." },
	{ .name = "ssl_client_cert_user", .type = &option_enum,
	    .offset = FIELD(ssl_client_cert_user), .dflt = "none",
	    .arg = "none|commonName|emailAddress", .names = user_fields,
	    .group = G_TLS_LISTEN,
	    .help = "Users may only log in as whom this field of their "
		"certificate's subject names." },
	{ .name = "ssl_listen_crl_file", .type = &option_path,
	    .offset = FIELD(ssl_listen_crl_file), .dflt = "",
	    .group = G_TLS_LISTEN,
	    .help = "Lists of revoked clients' certificates: one of each "
		"authority in the chain is needed then." },
	{ .name = "ssl_no_client_cert_verify", .type = &option_bool,
	    .offset = FIELD(ssl_no_client_cert_verify),
	    .group = G_TLS_LISTEN,
	    .help = "Take any certificate from clients: it proves nothing "
		"then." },
	{ .name = "ssl_listen_compression", .type = &option_bool,
	    .offset = FIELD(ssl_listen_compression), .group = G_TLS_LISTEN,
	    .help = "Taken with a warning, without effect." },

	/* --- TLS towards real-servers ----------------------------------- */
	{ .name = "ssl_ca_file", .type = &option_path,
	    .offset = FIELD(ssl_ca_file), .dflt = "",
	    .group = G_TLS_OUTGOING,
	    .help = "Authorities that are trusted, in one file; a "
		"real-server's own certificate may be among them. When neither "
		"this nor ssl_ca_path gives any, those that the system "
		"trusts." },
	{ .name = "ssl_ca_path", .type = &option_path,
	    .offset = FIELD(ssl_ca_path), .group = G_TLS_OUTGOING,
	    .dflt = SYSCONFDIR "/perdition/perdition.ca/", .arg = "DIRECTORY",
	    .help = "Authorities that are trusted, in the files of a "
		"directory." },
	{ .name = "ssl_outgoing_crl_file", .type = &option_path,
	    .offset = FIELD(ssl_outgoing_crl_file), .dflt = "",
	    .group = G_TLS_OUTGOING,
	    .help = "Lists of revoked real-servers' certificates: one of each "
		"authority in the chain is needed then." },
	{ .name = "ssl_outgoing_min_proto_version", .type = &option_enum,
	    .offset = FIELD(ssl_outgoing_min_proto_version),
	    .dflt = "tlsv1.2", .arg = "VERSION", .names = tls_versions,
	    .group = G_TLS_OUTGOING,
	    .help = "Lowest version for real-servers; see "
		"ssl_listen_min_proto_version." },
	{ .name = "ssl_outgoing_max_proto_version", .type = &option_enum,
	    .offset = FIELD(ssl_outgoing_max_proto_version), .dflt = "any",
	    .arg = "VERSION", .names = tls_versions,
	    .group = G_TLS_OUTGOING,
	    .help = "Highest version for real-servers." },
	{ .name = "ssl_outgoing_ciphers", .type = &option_string,
	    .offset = FIELD(ssl_outgoing_ciphers), .dflt = "",
	    .arg = "CIPHER[:CIPHER...]", .group = G_TLS_OUTGOING,
	    .help = "Ciphers for real-servers. Empty: OpenSSL's default." },
	{ .name = "ssl_no_cert_verify", .type = &option_bool,
	    .offset = FIELD(ssl_no_cert_verify), .group = G_TLS_OUTGOING,
	    .help = "Take any certificate, from real-servers and from "
		"clients. Who is in between reads the passwords." },
	{ .name = "ssl_no_cn_verify", .type = &option_bool,
	    .offset = FIELD(ssl_no_cn_verify), .group = G_TLS_OUTGOING,
	    .help = "Do not compare the real-server's name with its "
		"certificate: any trusted certificate will do." },
	{ .name = "ssl_ca_accept_self_signed", .type = &option_bool,
	    .offset = FIELD(ssl_ca_accept_self_signed),
	    .group = G_TLS_OUTGOING,
	    .help = "Take a chain that ends at an authority that is not "
		"trusted." },
	{ .name = "ssl_cert_accept_self_signed", .type = &option_bool,
	    .offset = FIELD(ssl_cert_accept_self_signed),
	    .group = G_TLS_OUTGOING,
	    .help = "Take a certificate that is signed by itself. Naming it in "
		"ssl_ca_file is as easy, and safe." },
	{ .name = "ssl_cert_accept_expired", .type = &option_bool,
	    .offset = FIELD(ssl_cert_accept_expired),
	    .group = G_TLS_OUTGOING,
	    .help = "Take a certificate that has expired." },
	{ .name = "ssl_cert_accept_not_yet_valid", .type = &option_bool,
	    .offset = FIELD(ssl_cert_accept_not_yet_valid),
	    .group = G_TLS_OUTGOING,
	    .help = "Take a certificate whose time has not come." },
	{ .name = "ssl_outgoing_compression", .type = &option_bool,
	    .offset = FIELD(ssl_outgoing_compression),
	    .group = G_TLS_OUTGOING,
	    .help = "Taken with a warning, without effect." },
	{ .name = NULL },
};
/* clang-format on */

const struct option_table config_options = {
	.defs = defs,
	.program = "perdition",
	.config_size = sizeof(struct config),
};
