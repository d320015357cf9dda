/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regex_scan - see regex_scan.h.
 */
#include "config.h"

#include "perdition/modules/regex_scan.h"

#include <string.h>

#include "common/banned.h"

/* Behind "[:alpha:]", "[.a.]" or "[=a=]", of which re is the bracket. */
static const char *
skip_class(const char *re)
{
	char end[3] = { re[1], ']', '\0' };
	const char *p = strstr(re + 2, end);

	return p == NULL ? re + strlen(re) : p + 2;
}

const char *
regex_skip_brackets(const char *re)
{
	re++;
	if (*re == '^')
		re++;
	if (*re == ']')
		re++;
	while (*re != '\0' && *re != ']') {
		if (re[0] == '[' && re[1] != '\0' && strchr(":.=", re[1]))
			re = skip_class(re);
		else
			re++;
	}
	return *re == '\0' ? re : re + 1;
}

bool
regex_has_back_reference(const char *re)
{
	while (*re != '\0') {
		if (*re == '[') {
			re = regex_skip_brackets(re);
		} else if (*re == '\\' && re[1] != '\0') {
			if (re[1] >= '1' && re[1] <= '9')
				return true;
			re += 2;
		} else {
			re++;
		}
	}
	return false;
}
