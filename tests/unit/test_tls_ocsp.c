/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stapled response is shown while it is good, and no longer: its time may
 * end while perdition runs.
 */
#include "config.h"

#include <check.h>
#include <openssl/ocsp.h>
#include <stdlib.h>

#include "perdition/tls/tls.h"
#include "tests/lib/check_run.h"
#include "tests/lib/tls_ends.h"

#include "common/banned.h"

static struct err err;

/* Good from then to then, seconds from now; der: to be freed by OPENSSL_free().
 */
static int
make_response(
    const struct tls_ends *e, long from, long until, unsigned char **der)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	OCSP_CERTID *id =
	    OCSP_cert_to_id(EVP_sha1(), e->pair.cert, e->authority.cert);
	ASN1_TIME *this_update = X509_gmtime_adj(NULL, from);
	ASN1_TIME *next_update = X509_gmtime_adj(NULL, until);
	OCSP_RESPONSE *response;
	int n;

	ck_assert_ptr_nonnull(OCSP_basic_add1_status(basic, id,
	    V_OCSP_CERTSTATUS_GOOD, 0, NULL, this_update, next_update));
	ck_assert_int_eq(OCSP_basic_sign(basic, e->authority.cert,
			     e->authority.key, EVP_sha256(), NULL, 0),
	    1);
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	n = i2d_OCSP_RESPONSE(response, der);
	ck_assert_int_gt(n, 0);
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(this_update);
	ASN1_TIME_free(next_update);
	return n;
}

static const struct {
	long from, until;
	bool shown;
} times[] = {
	{ -3600, 3600, true },
	{ -3600, -2, false },
	{ 3600, 7200, false },
};

START_TEST(time_of_response)
{
	struct tls_ends *e = tls_ends_create(NULL, 3600);
	struct tls_bundle keys = { NULL, 0, 0 };
	unsigned char *der = NULL;
	const unsigned char *got = NULL;
	int n = make_response(e, times[_i].from, times[_i].until, &der);

	pki_bundle_pair(&keys, &e->pair);
	ck_assert_int_eq(tls_bundle_add(&keys, TLS_PIECE_OCSP,
			     slice_make((char *)der, (size_t)n)),
	    0);
	tls_listen_destroy(&e->listen);
	e->listen = tls_listen_create(
	    &e->config, slice_make(keys.p, keys.n), NULL, &err);
	ck_assert_msg(e->listen != NULL, "%s", err.msg);
	tls_ends_connect(e, NULL);
	SSL_set_tlsext_status_type(e->peer, TLSEXT_STATUSTYPE_ocsp);
	ck_assert_int_eq(tls_ends_shake(e, 65536, &err), 1);
	ck_assert_int_eq(SSL_get_tlsext_status_ocsp_resp(e->peer, &got),
	    times[_i].shown ? n : -1);
	if (times[_i].shown)
		ck_assert_int_eq(memcmp(got, der, (size_t)n), 0);
	OPENSSL_free(der);
	tls_bundle_clear(&keys);
	tls_ends_destroy(&e);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("ocsp");

	tcase_add_loop_test(t, time_of_response, 0, COUNT(times));
	return check_run("tls_ocsp", t);
}
