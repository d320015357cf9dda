/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses: every odd spelling has one meaning or none.
 */
#include "config.h"

#include "common/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>

#include "tests/lib/check_run.h"
#include "common/banned.h"

static const struct {
	const char *in, *ip, *full; /* ip NULL: refused */
} ips[] = {
	{ "192.0.2.1", "192.0.2.1", "192.0.2.1" },
	{ "0.0.0.0", "0.0.0.0", "0.0.0.0" },
	{ "255.255.255.255", "255.255.255.255", "255.255.255.255" },
	{ "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.1" },
	{ "::FFFF:c000:0201", "192.0.2.1", "192.0.2.1" },
	{ "0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1", "192.0.2.1" },
	{ "::", "::", "0:0:0:0:0:0:0:0" },
	{ "::1", "::1", "0:0:0:0:0:0:0:1" },
	{ "2001:DB8::00AB", "2001:db8::ab", "2001:db8:0:0:0:0:0:ab" },
	{ "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", "2001:db8:0:0:1:0:0:1" },
	{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1",
	    "2001:db8:0:1:1:1:1:1" },
	{ "2001:db8::", "2001:db8::", "2001:db8:0:0:0:0:0:0" },
	{ "64:ff9b::192.0.2.33", "64:ff9b::c000:221",
	    "64:ff9b:0:0:0:0:c000:221" },
	{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
	{ "fe80::1%7", "fe80::1%7", "fe80:0:0:0:0:0:0:1" },
	{ "fe80::1%4294967295", "fe80::1%4294967295", "fe80:0:0:0:0:0:0:1" },
	{ "fe80::1", "fe80::1", "fe80:0:0:0:0:0:0:1" },
	{ "", NULL, NULL },
	{ "192.0.2", NULL, NULL },
	{ "192.0.2.", NULL, NULL },
	{ ".192.0.2.1", NULL, NULL },
	{ "192.0.2.1.", NULL, NULL },
	{ "192.0.2.1.5", NULL, NULL },
	{ "192.0..1", NULL, NULL },
	{ "3221225985", NULL, NULL },
	{ "127.1", NULL, NULL },
	{ "010.0.0.1", NULL, NULL }, /* 8.0.0.1 to some */
	{ "192.0.2.01", NULL, NULL },
	{ "192.0.2.00", NULL, NULL },
	{ "0x7f.0.0.1", NULL, NULL },
	{ "192.0.2.256", NULL, NULL },
	{ "192.0.2.99999999999999999999", NULL, NULL },
	{ "192.0.2.-1", NULL, NULL },
	{ "192.0.2.+1", NULL, NULL },
	{ " 192.0.2.1", NULL, NULL },
	{ "192.0.2.1 ", NULL, NULL },
	{ "192.0.2.1\n", NULL, NULL },
	{ "192.0.2.1:25", NULL, NULL },
	{ "192.0.2.1%1", NULL, NULL },
	{ "192.0.2.1/32", NULL, NULL },
	{ "[::1]", NULL, NULL },
	{ "::1%1", NULL, NULL }, /* not bound to an interface */
	{ "2001:db8::1%lo", NULL, NULL },
	{ "::ffff:192.0.2.1%1", NULL, NULL },
	{ "fe80::1%", NULL, NULL },
	{ "fe80::1%0", NULL, NULL },
	{ "fe80::1%07", NULL, NULL },
	{ "fe80::1%4294967296", NULL, NULL },
	{ "fe80::1%no-such-interface0", NULL, NULL },
	{ "fe80::1%absent0", NULL, NULL },
	{ ":", NULL, NULL },
	{ ":::", NULL, NULL },
	{ ":1", NULL, NULL },
	{ "1:", NULL, NULL },
	{ "::1::", NULL, NULL },
	{ "1:2:3:4:5:6:7", NULL, NULL },
	{ "1:2:3:4:5:6:7:8:9", NULL, NULL },
	{ "2001:db8::12345", NULL, NULL },
	{ "2001:db8::g", NULL, NULL },
	{ "::ffff:192.0.2.01", NULL, NULL },
	{ "::ffff:192.0.2", NULL, NULL },
	{ "::192.0.2.1:5", NULL, NULL },
	{ "0000000000000000000000000000000000000000000000000000::1", NULL,
	    NULL },
	{ "localhost", NULL, NULL },
};

START_TEST(parses_ip)
{
	char text[ADDR_TEXT_MAX];
	struct addr a, again;

	errno = 0;
	if (ips[_i].ip == NULL) {
		ck_assert_int_eq(addr_parse_ip(slice_str(ips[_i].in), &a), -1);
		ck_assert_int_eq(errno, EINVAL);
		return;
	}
	ck_assert_int_eq(addr_parse_ip(slice_str(ips[_i].in), &a), 0);
	ck_assert_uint_eq(a.port, 0);
	ck_assert_uint_eq(addr_write_ip(&a, text), strlen(ips[_i].ip));
	ck_assert_str_eq(text, ips[_i].ip);
	ck_assert_int_eq(addr_parse_ip(slice_str(text), &again), 0);
	ck_assert(addr_same_ip(&a, &again));
	ck_assert_uint_eq(addr_write_full(&a, text), strlen(ips[_i].full));
	ck_assert_str_eq(text, ips[_i].full);
}
END_TEST

START_TEST(refuses_nul)
{
	struct addr a;

	ck_assert_int_eq(addr_parse_ip(SLICE("192.0.2.1\0"), &a), -1);
	ck_assert_int_eq(addr_parse_ip(SLICE("::1\0"), &a), -1);
	ck_assert_int_eq(addr_parse_ip(SLICE("fe80::1%lo\0"), &a), -1);
	ck_assert_int_eq(addr_parse(SLICE("192.0.2.1:25\0"), true, &a), -1);
}
END_TEST

START_TEST(takes_interface_name)
{
	unsigned int lo = if_nametoindex("lo");
	struct addr a;

	if (lo == 0)
		return;
	ck_assert_int_eq(addr_parse_ip(SLICE("fe80::1%lo"), &a), 0);
	ck_assert_uint_eq(a.scope, lo);
}
END_TEST

#define BARE 1   /* taken where no port is needed */
#define NEEDED 2 /* taken where one is */
static const struct {
	const char *in, *out;
	int taken;
} ports[] = {
	{ "192.0.2.1:143", "192.0.2.1:143", BARE | NEEDED },
	{ "192.0.2.1:65535", "192.0.2.1:65535", BARE | NEEDED },
	{ "192.0.2.1:0", "192.0.2.1:0", BARE | NEEDED },
	{ "192.0.2.1", "192.0.2.1:0", BARE },
	{ "[2001:DB8::1]:143", "[2001:db8::1]:143", BARE | NEEDED },
	{ "[2001:db8::1]", "[2001:db8::1]:0", BARE },
	{ "2001:db8::1", "[2001:db8::1]:0", BARE },
	{ "2001:db8::1:143", "[2001:db8::1:143]:0",
	    BARE }, /* an address, not a port */
	{ "[::]:25", "[::]:25", BARE | NEEDED },
	{ "[::ffff:192.0.2.1]:25", "192.0.2.1:25", BARE | NEEDED },
	{ "[fe80::1%3]:25", "[fe80::1%3]:25", BARE | NEEDED },
	{ "", NULL, 0 },
	{ ":", NULL, 0 },
	{ ":143", NULL, 0 },
	{ "192.0.2.1:", NULL, 0 },
	{ "192.0.2.1:65536", NULL, 0 },
	{ "192.0.2.1:0143", NULL, 0 },
	{ "192.0.2.1:+1", NULL, 0 },
	{ "192.0.2.1:imap", NULL, 0 },
	{ "192.0.2.1:143 ", NULL, 0 },
	{ "192.0.2.1:143:", NULL, 0 },
	{ "[192.0.2.1]:143", NULL, 0 },
	{ "[::1", NULL, 0 },
	{ "::1]", NULL, 0 },
	{ "[]", NULL, 0 },
	{ "[", NULL, 0 },
	{ "[::1]143", NULL, 0 },
	{ "[::1]:", NULL, 0 },
	{ "[::1]:99999", NULL, 0 },
	{ "[[::1]]:25", NULL, 0 },
	{ "[::1]:25]", NULL, 0 },
};

START_TEST(parses_port)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	for (int need = 0; need < 2; need++) {
		int taken = ports[_i].taken & (need ? NEEDED : BARE);

		errno = 0;
		ck_assert_int_eq(
		    addr_parse(slice_str(ports[_i].in), need != 0, &a),
		    taken ? 0 : -1);
		ck_assert_int_eq(errno, taken ? 0 : EINVAL);
		if (!taken)
			continue;
		ck_assert_uint_eq(
		    addr_write_port(&a, text), strlen(ports[_i].out));
		ck_assert_str_eq(text, ports[_i].out);
	}
}
END_TEST

static struct addr
ip(const char *text)
{
	struct addr a;

	ck_assert_int_eq(addr_parse_ip(slice_str(text), &a), 0);
	return a;
}

START_TEST(sockaddrs)
{
	struct sockaddr_storage ss;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct addr a = ip("192.0.2.1"), b;

	a.port = 143;
	ck_assert_uint_eq(addr_to_sockaddr(&a, &ss), sizeof(in));
	memcpy(&in, &ss, sizeof(in));
	ck_assert_int_eq(in.sin_family, AF_INET);
	ck_assert_uint_eq(ntohl(in.sin_addr.s_addr), 0xc0000201);
	ck_assert_uint_eq(ntohs(in.sin_port), 143);
	ck_assert_int_eq(addr_from_sockaddr(&b, (struct sockaddr *)&ss), 0);
	ck_assert(addr_same_ip(&a, &b) && b.port == 143);

	/* As a dual-stack socket tells of an IPv4 client. */
	memset(&in6, 0, sizeof(in6));
	in6.sin6_family = AF_INET6;
	in6.sin6_addr = a.ip;
	in6.sin6_port = htons(143);
	ck_assert_int_eq(addr_from_sockaddr(&b, (struct sockaddr *)&in6), 0);
	ck_assert(addr_is_v4(&b) && addr_same_ip(&a, &b));

	a = ip("fe80::1%3");
	a.port = 25;
	ck_assert_uint_eq(addr_to_sockaddr(&a, &ss), sizeof(in6));
	memcpy(&in6, &ss, sizeof(in6));
	ck_assert_uint_eq(in6.sin6_scope_id, 3);
	ck_assert_int_eq(addr_from_sockaddr(&b, (struct sockaddr *)&ss), 0);
	ck_assert(addr_same_ip(&a, &b) && b.port == 25);

	ss.ss_family = AF_UNIX;
	errno = 0;
	ck_assert_int_eq(addr_from_sockaddr(&b, (struct sockaddr *)&ss), -1);
	ck_assert_int_eq(errno, EAFNOSUPPORT);
}
END_TEST

START_TEST(kinds)
{
	struct addr v4 = ip("127.9.9.9"), v6 = ip("::1"), other = ip("::2");
	struct addr compatible = ip("::127.0.0.1");

	ck_assert(addr_is_v4(&v4) && !addr_is_v4(&v6));
	ck_assert(addr_is_loopback(&v4) && addr_is_loopback(&v6));
	ck_assert(!addr_is_loopback(&other));
	ck_assert(!addr_is_v4(&compatible) && !addr_is_loopback(&compatible));
	v4 = ip("::ffff:127.0.0.1");
	ck_assert(addr_is_loopback(&v4));
	v4 = ip("128.0.0.1");
	ck_assert(!addr_is_loopback(&v4));
	v6 = ip("fe80::1%3");
	other = ip("fe80::1%4");
	ck_assert(!addr_same_ip(&v6, &other));
}
END_TEST

static const struct {
	const char *in;
	unsigned int v4, v6;
	const char *out;
} masks[] = {
	{ "192.0.2.255", 32, 0, "192.0.2.255" },
	{ "192.0.2.255", 99, 0, "192.0.2.255" },
	{ "192.0.2.255", 25, 0, "192.0.2.128" },
	{ "192.0.2.255", 24, 0, "192.0.2.0" },
	{ "192.0.2.255", 0, 128, "0.0.0.0" },
	{ "2001:db8:1:2:3:4:5:6", 0, 128, "2001:db8:1:2:3:4:5:6" },
	{ "2001:db8:1:2:3:4:5:6", 0, 999, "2001:db8:1:2:3:4:5:6" },
	{ "2001:db8:1:2:3:4:5:6", 0, 64, "2001:db8:1:2::" },
	{ "2001:db8:1:2:3:4:5:6", 0, 63, "2001:db8:1:2::" },
	{ "2001:db8:1:3:3:4:5:6", 0, 63, "2001:db8:1:2::" },
	{ "2001:db8:1:2:3:4:5:6", 32, 0, "::" },
	{ "fe80::1%5", 32, 64, "fe80::" },
};

START_TEST(is_masked)
{
	char text[ADDR_TEXT_MAX];
	struct addr a = ip(masks[_i].in);

	a.port = 5;
	addr_mask(&a, masks[_i].v4, masks[_i].v6);
	addr_write_ip(&a, text);
	ck_assert_str_eq(text, masks[_i].out);
	ck_assert_uint_eq(a.port, 0);
	ck_assert_uint_eq(a.scope, 0);
}
END_TEST

static const struct {
	const char *net, *in, *out; /* in is in it, out is not */
} nets[] = {
	{ "192.0.2.0/24", "192.0.2.77", "192.0.3.0" },
	{ "192.0.2.1", "192.0.2.1", "192.0.2.2" },
	{ "192.0.2.1/32", "192.0.2.1", "192.0.2.0" },
	{ "0.0.0.0/0", "203.0.113.9", "2001:db8::1" },
	{ "2001:db8::/32", "2001:db8:ffff::1", "2001:db9::" },
	{ "2001:db8::1", "2001:db8::1", "2001:db8::2" },
	{ "::/0", "2001:db8::1", "192.0.2.1" },
	{ "::ffff:192.0.2.0/120", "192.0.2.5", "192.0.3.5" },
	{ "fe80::/10", "fe80::1%2", "fec0::" },
	{ "::1", "::1", "127.0.0.1" },
};

START_TEST(has)
{
	struct addr_net net;
	struct addr in = ip(nets[_i].in), out = ip(nets[_i].out);

	ck_assert_int_eq(addr_net_parse(slice_str(nets[_i].net), &net), 0);
	ck_assert(addr_net_has(&net, &in));
	ck_assert(!addr_net_has(&net, &out));
}
END_TEST

static const char *const bad_nets[] = { "", "/", "/24", "192.0.2.0/",
	"192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/024", "192.0.2.0/-1",
	"192.0.2.0/24/", "192.0.2.0/24 ", "192.0.2/24", "2001:db8::/129",
	"2001:db8::1/64", "fe80::1%1", "[2001:db8::]/32",
	"192.0.2.0/255.255.255.0", "example.com" };

START_TEST(refuses_net)
{
	struct addr_net net;

	errno = 0;
	ck_assert_int_eq(addr_net_parse(slice_str(bad_nets[_i]), &net), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

/* Appendix A of the SipHash paper, and neighbours from its test vectors; of
 * SipHash-1-3 those of Rust's library. */
START_TEST(hashes)
{
	const struct hash_key key = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	static const struct {
		size_t n;
		uint64_t hash, quick;
	} vectors[] = {
		{ 0, 0x726fdb47dd0e0e31, 0xabac0158050fc4dc },
		{ 1, 0x74f839c593dc67fd, 0xc9f49bf37d57ca93 },
		{ 7, 0xab0200f58b01d137, 0xd3927d989bb11140 },
		{ 8, 0x93f5f5799a932462, 0x369095118d299a8e },
		{ 9, 0x9e0082df0ba9e4b0, 0x25a48eb36c063de4 },
		{ 15, 0xa129ca6149be45e5, 0xd320d86d2a519956 },
		{ 16, 0x3f2acc7f57c29bdb, 0xcc4fdd1a7d908b66 },
		{ 17, 0x699ae9f52cbe4794, 0x9cf2689063dbd80c },
	};
	struct hash_key random, other;
	char in[17];

	for (size_t i = 0; i < sizeof(in); i++)
		in[i] = (char)i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		struct slice s = slice_make(in, vectors[i].n);

		ck_assert_uint_eq(hash_bytes(&key, s), vectors[i].hash);
		ck_assert_uint_eq(hash_quick(&key, s), vectors[i].quick);
	}
	ck_assert_uint_eq(
	    hash_bytes(&key, slice_make(NULL, 0)), vectors[0].hash);
	ck_assert_int_eq(hash_key_make(&random), 0);
	ck_assert_int_eq(hash_key_make(&other), 0);
	ck_assert(random.k0 != other.k0 || random.k1 != other.k1);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("addr");

	tcase_add_loop_test(tc, parses_ip, 0, COUNT(ips));
	tcase_add_test(tc, refuses_nul);
	tcase_add_test(tc, takes_interface_name);
	tcase_add_loop_test(tc, parses_port, 0, COUNT(ports));
	tcase_add_test(tc, sockaddrs);
	tcase_add_test(tc, kinds);
	tcase_add_loop_test(tc, is_masked, 0, COUNT(masks));
	tcase_add_loop_test(tc, has, 0, COUNT(nets));
	tcase_add_loop_test(tc, refuses_net, 0, COUNT(bad_nets));
	tcase_add_test(tc, hashes);
	return check_run("addr", tc);
}
