/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * http - popmap module: a service that speaks the protocol of nginx's mail
 * proxy (http_auth.h).
 *
 * One connection, kept open.  No proxy, no redirect, no other scheme: a
 * question goes where the administrator said or nowhere.
 */
#include "config.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/addr.h"
#include "common/secret_file.h"
#include "perdition/modules/http_auth.h"
#include "perdition/modules/http_options.h"
#include "perdition/modules/map_answer.h"
#include "perdition/popmap.h"

#include "common/banned.h"

/* Bytes of a response's head, and of what is behind it, which nobody reads. */
#define HEAD_MAX (64 * 1024)
#define BODY_MAX (64 * 1024)

#if LIBCURL_VERSION_NUM >= 0x075500 /* the older one is deprecated then */
#define SET_PROTOCOLS(easy)                                                    \
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https")
#else
#define SET_PROTOCOLS(easy)                                                    \
	curl_easy_setopt(                                                      \
	    easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS))
#endif

extern const struct popmap_ops popmap_module;

struct popmap {
	bool global; /* curl_global_init(3) was called */
	struct http_options options;
	CURL *easy;
	char *where; /* scheme and host, for messages; no secret is in them */
	char why[CURL_ERROR_SIZE];
	size_t head, body; /* bytes of this response */
	struct http_reply reply;
};

/* --- what libcurl calls -------------------------------------------------- */

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct popmap *map = arg;

	n *= size;
	map->head += n;
	if (map->head > HEAD_MAX)
		return 0; /* ends the transfer */
	http_reply_line(&map->reply, slice_make(p, n));
	return n;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct popmap *map = arg;

	(void)p;
	n *= size;
	map->body += n;
	return map->body > BODY_MAX ? 0 : n;
}

/* --- the question -------------------------------------------------------- */

/* Appends one.  False without memory; the list is then as before. */
static bool
append(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer =
	    line == NULL ? NULL : curl_slist_append(*list, line);

	if (longer == NULL)
		return false;
	*list = longer;
	return true;
}

static bool
add(struct curl_slist **list, const char *name, struct slice value)
{
	char *line = http_auth_header(name, value);
	bool ok = append(list, line);

	free(line);
	return ok;
}

static bool
add_client(struct curl_slist **list, const struct sockaddr *sa)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	if (sa == NULL || addr_from_sockaddr(&a, sa) == -1)
		return true;
	return add(
	    list, "Client-IP", slice_make(text, addr_write_ip(&a, text)));
}

/* The headers of one request, or NULL when there is no memory. */
static struct curl_slist *
make_headers(const struct popmap *map, const struct popmap_query *q)
{
	const struct http_options *o = &map->options;
	const struct {
		const char *name, *text;
		bool wanted;
	} fixed[] = {
		{ "Auth-Method", "plain", true },
		{ "Auth-Pass", o->pass, o->pass != NULL },
		{ "Auth-Protocol", http_auth_protocol(q->protocol), true },
		{ "Auth-Login-Attempt", "1", true },
		{ "Auth-SSL", "on", q->client_tls },
	};
	struct curl_slist *list = NULL;
	bool ok = add(&list, "Auth-User", slice_make(q->key.p, q->key.n)) &&
		  add_client(&list, q->client_addr);

	for (size_t i = 0; ok && i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		if (fixed[i].wanted)
			ok =
			    add(&list, fixed[i].name, slice_str(fixed[i].text));
	}
	for (size_t i = 0; ok && i < o->headers; i++)
		ok = append(&list, o->header[i]);
	if (ok)
		return list;
	curl_slist_free_all(list);
	return NULL;
}

static long
at_most(unsigned int a, unsigned int b)
{
	return (long)(a < b ? a : b);
}

static int
perform(struct popmap *map, const struct popmap_query *q, long *code,
    struct popmap_error *err)
{
	const struct http_options *o = &map->options;
	long limit = at_most(
	    q->timeout_ms, o->timeout_ms == 0 ? q->timeout_ms : o->timeout_ms);
	CURLcode ret;

	if (limit == 0) /* to libcurl that is for ever */
		limit = 1;
	curl_easy_setopt(map->easy, CURLOPT_TIMEOUT_MS, limit);
	curl_easy_setopt(map->easy, CURLOPT_CONNECTTIMEOUT_MS,
	    at_most(o->connect_timeout_ms, (unsigned int)limit));
	map->head = map->body = 0;
	map->why[0] = '\0';
	memset(&map->reply, 0, sizeof(map->reply));
	ret = curl_easy_perform(map->easy);
	if (ret == CURLE_WRITE_ERROR)
		return map_error(err,
		    "%.200s: a response of more than %d "
		    "bytes",
		    map->where, HEAD_MAX);
	if (ret != CURLE_OK)
		return map_error(err, "%.200s: %.256s", map->where,
		    map->why[0] == '\0' ? curl_easy_strerror(ret) : map->why);
	curl_easy_getinfo(map->easy, CURLINFO_RESPONSE_CODE, code);
	return 0;
}

static int
http_lookup(struct popmap *map, const struct popmap_query *query,
    struct popmap_answer *answer, struct popmap_error *err)
{
	struct curl_slist *headers = make_headers(map, query);
	struct popmap_error why;
	long code = 0;
	int ret;

	answer->n = 0;
	if (headers == NULL)
		return map_error(err, "out of memory");
	curl_easy_setopt(map->easy, CURLOPT_HTTPHEADER, headers);
	ret = perform(map, query, &code, err);
	curl_easy_setopt(map->easy, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	if (ret == -1)
		return -1;
	ret = http_reply_answer(
	    &map->reply, code, query->delimiter, answer, &why);
	if (ret == -1)
		map_error(err, "%.200s: %.250s", map->where, why.msg);
	return ret;
}

/* --- opening ------------------------------------------------------------- */

static int
set_password(CURL *easy, struct slice password)
{
	char *copy = slice_dup(password);
	CURLcode ret = CURLE_OUT_OF_MEMORY;

	if (copy != NULL) {
		ret = curl_easy_setopt(easy, CURLOPT_PASSWORD, copy);
		secret_wipe(copy, password.n);
	}
	free(copy);
	return ret == CURLE_OK ? 0 : -1;
}

static int
set_credentials(struct popmap *map, struct popmap_error *err)
{
	const struct http_options *o = &map->options;
	struct secret password;
	struct err why;
	int ret;

	if (o->user == NULL)
		return 0;
	if (secret_read_file(o->password_file, &password, &why) == -1)
		return map_error(err, "password_file %s", why.msg);
	curl_easy_setopt(map->easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
	ret = set_password(map->easy, secret_get(&password));
	secret_clear(&password);
	if (ret == -1 ||
	    curl_easy_setopt(map->easy, CURLOPT_USERNAME, o->user) != CURLE_OK)
		return map_error(err, "out of memory");
	return 0;
}

/* A file that is wrong is to stop the start, not each login. */
static int
check_files(const struct http_options *o, struct popmap_error *err)
{
	const struct {
		const char *name, *path;
	} files[] = {
		{ "cafile", o->ca_file },
		{ "cert", o->cert },
		{ "key", o->key },
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (files[i].path != NULL && access(files[i].path, R_OK) == -1)
			return map_error(err, "%s %.200s: %s", files[i].name,
			    files[i].path, strerror(errno));
	}
	return 0;
}

static int
check_url(struct popmap *map, struct popmap_error *err)
{
	char *scheme = NULL, *host = NULL, *user = NULL;
	CURLU *url = curl_url();
	int ret = -1;

	if (url == NULL ||
	    curl_url_set(url, CURLUPART_URL, map->options.url, 0) !=
		CURLUE_OK ||
	    curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
		map_error(err, "url: not a URL");
	} else if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK) {
		map_error(err, "url: put the name into user=, the password "
			       "into a file and that into password_file=");
	} else if (asprintf(&map->where, "%s://%s", scheme, host) == -1) {
		map->where = NULL;
		map_error(err, "out of memory");
	} else {
		ret = 0;
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(user);
	curl_url_cleanup(url);
	return ret;
}

static int
set_up(struct popmap *map, struct popmap_error *err)
{
	const struct http_options *o = &map->options;
	CURL *easy = map->easy = curl_easy_init();

	if (easy == NULL)
		return map_error(err, "out of memory");
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, map->why);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* nor the environment's */
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, map);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, map);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, o->no_verify ? 0L : 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, o->no_verify ? 0L : 2L);
	curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, o->unix_path);
	if (o->ca_file != NULL) {
		curl_easy_setopt(easy, CURLOPT_CAINFO, o->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	}
	curl_easy_setopt(easy, CURLOPT_SSLCERT, o->cert);
	curl_easy_setopt(easy, CURLOPT_SSLKEY, o->key);
	if (SET_PROTOCOLS(easy) != CURLE_OK ||
	    curl_easy_setopt(easy, CURLOPT_URL, o->url) != CURLE_OK)
		return map_error(err, "libcurl cannot be set up for this");
	return 0;
}

static void
http_close(struct popmap **mp)
{
	struct popmap *map = *mp;

	if (map == NULL)
		return;
	curl_easy_cleanup(map->easy);
	http_options_clear(&map->options);
	free(map->where);
	if (map->global)
		curl_global_cleanup();
	free(map);
	*mp = NULL;
}

static int
http_open(struct popmap **mp, const char *options, const char *sysconfdir,
    struct popmap_error *err)
{
	struct popmap *map = calloc(1, sizeof(*map));

	(void)sysconfdir;
	*mp = map;
	if (map == NULL)
		return map_error(err, "out of memory");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		map_error(err, "libcurl cannot be initialised");
		goto out;
	}
	map->global = true;
	if (http_options_read(&map->options, options, err) == 0 &&
	    check_url(map, err) == 0 && check_files(&map->options, err) == 0 &&
	    set_up(map, err) == 0 && set_credentials(map, err) == 0)
		return 0;
out:
	http_close(mp);
	return -1;
}

const struct popmap_ops popmap_module = {
	.abi = POPMAP_ABI,
	.name = "http",
	.flags = POPMAP_ANY_PORT,
	.open = http_open,
	.lookup = http_lookup,
	.close = http_close,
};
