/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A map library with the interface of perdition 2.2, for tests; LEGACY_GET2
 * selects which of the two functions it has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>

extern struct utsname *system_uname;
extern struct sockaddr_storage *peername, *sockname;

int dbserver_init(char *options);
int dbserver_fini(void);
int dbserver_get(
    const char *key, const char *options, char **value, size_t *len);
int dbserver_get2(const char *key, const char *options, char **user,
    char **server, char **port);

static int initialised;

int
dbserver_init(char *options)
{
	if (strcmp(options, "bad") == 0)
		return -1;
	initialised++;
	return 0;
}

int
dbserver_fini(void)
{
	initialised--;
	return 0;
}

static int
code(const char *key)
{
	if (!initialised || system_uname->sysname[0] == '\0' ||
	    peername->ss_family != AF_INET || sockname->ss_family != AF_INET)
		return -3;
	if (strcmp(key, "access") == 0)
		return -1;
	if (strcmp(key, "none") == 0)
		return -2;
	if (strcmp(key, "other") == 0)
		return -3;
	return 0;
}

#ifdef LEGACY_GET2
int
dbserver_get2(const char *key, const char *options, char **user, char **server,
    char **port)
{
	if (strcmp(key, "six") == 0) {
		*server = strdup("2001:db8::1");
		*port = strdup("143");
	} else if (strcmp(key, "user") == 0) {
		*user = strdup("alice");
		*server = strdup(options);
		*port = strdup("");
	} else if (strcmp(key, "long") == 0) {
		*server = calloc(1, 5000);
		memset(*server, 'x', 4999);
	} else if (strcmp(key, "empty") != 0) {
		*server = strdup(options);
	}
	return code(key);
}
#else
int
dbserver_get(const char *key, const char *options, char **value, size_t *len)
{
	char text[128];

	*len = (size_t)snprintf(text, sizeof(text), "%s%s:143",
	    strcmp(key, "user") == 0 ? "alice@" : "", options);
	if (strcmp(key, "empty") == 0)
		*len = 0;
	else
		*value = strdup(text);
	(*len)++; /* the NUL */
	if (strcmp(key, "long") == 0) {
		*value = realloc(*value, 5000);
		memset(*value, 'x', 5000);
		*len = 5000;
	}
	return code(key);
}
#endif
