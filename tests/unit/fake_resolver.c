/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_resolver - see fake_resolver.h.
 */
#include "config.h"

#include "fake_resolver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/banned.h"

unsigned int fake_asked;
int fake_failure;
const char *fake_reverse;

struct node {
	struct addrinfo info;
	struct sockaddr_storage ss;
};

static void
prepend(struct addrinfo **list, const char *text)
{
	struct node *n = calloc(1, sizeof(*n));
	struct addr a;

	if (n == NULL || addr_parse_ip(slice_str(text), &a) == -1)
		abort();
	n->info.ai_addrlen = addr_to_sockaddr(&a, &n->ss);
	n->info.ai_addr = (struct sockaddr *)&n->ss;
	n->info.ai_family = n->ss.ss_family;
	n->info.ai_next = *list;
	*list = &n->info;
}

static int
fake_getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **list)
{
	char text[32];

	(void)service;
	(void)hints;
	*list = NULL;
	fake_asked++;
	if (fake_failure != 0)
		return fake_failure;
	if (strcmp(host, "again.example") == 0)
		return EAI_AGAIN;
	if (strcmp(host, "one.example") == 0) {
		prepend(list, "192.0.2.9");
		return 0;
	}
	if (strcmp(host, "two.example") == 0) {
		for (int i = 0; i < 2; i++) {
			prepend(list, "192.0.2.2");
			prepend(list, "192.0.2.1");
			prepend(list, "2001:db8::2");
			prepend(list, "2001:db8::1");
		}
		return 0;
	}
	if (strcmp(host, "many.example") == 0) {
		for (int i = 40; i > 0; i--) {
			snprintf(text, sizeof(text), "192.0.2.%d", i);
			prepend(list, text);
		}
		return 0;
	}
	return EAI_NONAME;
}

static void
fake_freeaddrinfo(struct addrinfo *list)
{
	while (list != NULL) {
		struct addrinfo *next = list->ai_next;

		free(list); /* the first member of its node */
		list = next;
	}
}

static int
fake_getnameinfo(const struct sockaddr *sa, socklen_t len, char *host,
    socklen_t cap, char *service, socklen_t service_cap, int flags)
{
	(void)sa;
	(void)len;
	(void)service;
	(void)service_cap;
	(void)flags;
	fake_asked++;
	if (fake_failure != 0)
		return fake_failure;
	if (fake_reverse == NULL)
		return EAI_NONAME;
	snprintf(host, cap, "%s", fake_reverse);
	return 0;
}

const struct resolve_ops fake_resolver = {
	.getaddrinfo = fake_getaddrinfo,
	.freeaddrinfo = fake_freeaddrinfo,
	.getnameinfo = fake_getnameinfo,
};
