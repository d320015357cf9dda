# SPDX-License-Identifier: GPL-2.0-or-later
"""What a real-server may show: each bad certificate is a temporary failure
with its reason in the log, no password reaches the server, and just the
option for it lets it pass."""

import contextlib
import re
import ssl

from fakeserver import imap_server, pop3_server
from harness import wait_for
from pki import Authority, self_signed
from tlstest import TlsTestCase

BACK = "127.0.0.11"


def starttls_imap(context, seen):
    """A script: offers STARTTLS and serves after it."""
    after = imap_server(greeting=b"", note=seen)

    def script(peer):
        peer.send("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n")
        tag, rest = peer.command()
        while rest.upper() != b"STARTTLS":
            seen.append(rest)
            peer.send(b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n"
                      + tag + b" OK done\r\n")
            tag, rest = peer.command()
        peer.send(tag + b" OK begin\r\n")
        peer.start_tls(context)
        quiet = Unheard(peer)
        after(quiet)
    return script


def stls_pop3(context, seen):
    """The same for POP3."""
    after = pop3_server(note=seen)

    def script(peer):
        peer.send("+OK ready\r\n")
        while True:
            line = peer.line().upper()
            seen.append(line)
            if line == b"STLS":
                break
            peer.send(b"+OK\r\nSTLS\r\nUSER\r\n.\r\n" if line == b"CAPA"
                      else b"-ERR first TLS\r\n")
        peer.send("+OK begin\r\n")
        peer.start_tls(context)
        after(Unheard(peer))
    return script


class Unheard:
    """A peer whose first line, a greeting, is not sent."""

    def __init__(self, peer):
        self.peer, self.first = peer, True

    def send(self, data):
        if self.first:
            self.first = False
            return
        self.peer.send(data)

    def __getattr__(self, name):
        return getattr(self.peer, name)


def implicit(context, script):
    def wrapped(peer):
        peer.start_tls(context)
        script(peer)
    return wrapped


class Verify(TlsTestCase):
    def setUp(self):
        super().setUp()
        self.other = Authority(self.dir / "other", "Unknown authority")

    def kinds(self):
        """{name: (pair, reason in the log, the option that lets it pass)}"""
        issue = self.authority.issue
        revoked = issue("revoked", [BACK])
        self.authority.revoke(revoked)
        chain = self.other.issue("untrusted", [BACK])
        with_root = chain.cert.with_name("with-root.pem")
        with_root.write_bytes(chain.cert.read_bytes()
                              + self.other.cert.read_bytes())
        chained = type(chain)(with_root, chain.key)
        return {
            "expired": (issue("expired", [BACK], start=-9, end=-2),
                        "certificate has expired", "ssl_cert_accept_expired"),
            "not yet valid": (issue("notyet", [BACK], start=2),
                              "certificate is not yet valid",
                              "ssl_cert_accept_not_yet_valid"),
            "self-signed": (self_signed(self.dir / "self", [BACK]),
                            "self-signed certificate",
                            "ssl_cert_accept_self_signed"),
            "self-signed authority": (chained,
                                      "self-signed certificate in "
                                      "certificate chain",
                                      "ssl_ca_accept_self_signed"),
            "untrusted": (chain, "unable to get local issuer certificate",
                          "ssl_no_cert_verify"),
            "wrong name": (issue("wrong", ["127.0.0.99", "other.test"]),
                           "mismatch", "ssl_no_cn_verify"),
            "revoked": (revoked, "certificate revoked", "ssl_no_cert_verify"),
        }

    def back(self, pair, mode, seen, proto="imap4"):
        context = self.server_context(pair)
        if mode == "implicit":
            script = implicit(context, (imap_server if proto == "imap4"
                                        else pop3_server)(note=seen))
        else:
            script = (starttls_imap if proto == "imap4"
                      else stls_pop3)(context, seen)
        return self.server(script, host=BACK)

    def logins(self, client):
        return client.login("alice", "sesame")[0]

    def no_password(self, seen):
        self.assertEqual([x for x in seen if b"sesame" in x or re.match(
            rb"LOGIN|AUTH|USER|PASS|APOP", x.upper())], [])

    def test_refused(self):
        """Each kind, either protocol, however TLS begins: a temporary failure
        with its reason in the log, and never on in clear."""
        popmap, cases = [], []
        for name, (pair, reason, _) in self.kinds().items():
            for mode in ("implicit", "starttls", "starttls_optional"):
                for proto in ("imap4", "pop3"):
                    seen = []
                    server = self.back(pair, mode, seen, proto)
                    user = f"user{len(cases)}"
                    popmap.append(f"^{user}$: {server.address}?tls={mode}\n")
                    cases.append((name, mode, proto, user, server, reason,
                                  seen))
        self.start_front([("imap4", "tls=none"), ("pop3", "tls=none")],
                         {"ssl_outgoing_crl_file": self.authority.crl()},
                         "".join(popmap))
        for name, mode, proto, user, server, reason, seen in cases:
            with self.subTest(name, mode=mode, proto=proto):
                if proto == "imap4":
                    client = self.imap()
                    self.assertRegex(client.login(user, "sesame")[0],
                                     rb"^NO \[UNAVAILABLE\] ")
                    # It is free to try again.
                    self.assertRegex(client.command("NOOP")[0], rb"^OK")
                else:
                    client = self.pop3(1)
                    self.assertRegex(client.login(user, "sesame"),
                                     rb"^-ERR \[SYS/TEMP\] ")
                    self.assertRegex(client.command("NOOP"), rb"^(\+OK|-ERR)")
                lines = [x for x in self.front.wait_log(server.address)
                         if "event=server-failed" in x]
                self.assertEqual(len(lines), 1)
                self.assertIn(reason, lines[0])
                self.no_password(seen)
        self.assertNotIn("sesame", self.front.output())

    def test_loosened(self):
        """Just the option for it lets it pass, and says so."""
        for name, (pair, _, option) in self.kinds().items():
            for mode in ("implicit", "starttls"):
                with self.subTest(name, mode=mode):
                    server = self.back(pair, mode, [])
                    values = {"outgoing_server": f"{server.address}?tls={mode}",
                              option: True}
                    if name == "revoked":
                        values["ssl_outgoing_crl_file"] = self.authority.crl()
                    self.start_front([("imap4", "tls=none")], values)
                    self.assertRegex(self.logins(self.imap()), rb"^OK ")
                    loose = [x for x in self.front.log_lines(option)
                             if "event=config" in x]
                    self.assertEqual(len(loose), 1)
                    for line in self.front.wait_log(
                            "event=certificate-accepted"):
                        self.assertIn(f"option={option} ", line)
                        self.assertIn(f"server={BACK}", line)
                    self.assertNotIn("sesame", self.front.output())
                    self.stop_front()

    def test_one_option_lets_one_thing_pass(self):
        """Expired and of the wrong name: one option for one of them is not
        enough."""
        pair = self.authority.issue("both", ["127.0.0.99"], start=-9, end=-2)
        for options, status in (
                (["ssl_cert_accept_expired"], rb"^NO \[UNAVAILABLE\] "),
                (["ssl_no_cn_verify"], rb"^NO \[UNAVAILABLE\] "),
                (["ssl_cert_accept_self_signed", "ssl_ca_accept_self_signed",
                  "ssl_cert_accept_not_yet_valid"],
                 rb"^NO \[UNAVAILABLE\] "),
                (["ssl_cert_accept_expired", "ssl_no_cn_verify"], rb"^OK ")):
            with self.subTest(options):
                server = self.back(pair, "implicit", [])
                self.start_front([("imap4", "")], {
                    "outgoing_server": f"imaps://{server.address}",
                    **{option: True for option in options}})
                self.assertRegex(self.logins(self.imap()), status)
                self.stop_front()

    def test_next_candidate(self):
        """The second server is good: the client never learns."""
        bad = self.back(self.authority.issue("bad", [BACK], end=-1, start=-5),
                        "implicit", [])
        good = self.back(self.authority.issue("good", [BACK]), "implicit", [])
        self.start_front([("imap4", "")], {}, popmap=(
            f"^alice$: imaps://{bad.address},imaps://{good.address}\n"))
        for _ in range(3):
            self.assertRegex(self.logins(self.imap()), rb"^OK ")
        self.assertIn(f'server="{good.address}"',
                      self.front.wait_log(" Auth: ")[0])

    def test_pinned(self):
        """A server's own certificate, named in ssl_ca_file, is trusted."""
        pair = self_signed(self.dir / "pinned", [BACK])
        for mode in ("implicit", "starttls"):
            server = self.back(pair, mode, [])
            self.start_front([("imap4", "tls=none")], {
                "outgoing_server": f"{server.address}?tls={mode}",
                "ssl_ca_file": pair.cert})
            self.assertRegex(self.logins(self.imap()), rb"^OK ")
            self.stop_front()

    def test_name(self):
        """A server that is named by a name is asked for by it (SNI) and for
        its protocol (ALPN), and must be it; an address is no name to ask for
        (RFC 6066)."""
        asked, chosen = [], []
        context = self.server_context(
            self.authority.issue("named", ["localhost", BACK]))
        context.sni_callback = lambda sock, name, ctx: asked.append(name)

        def noting(make):
            def script(peer):
                make(peer)
                chosen.append(peer.sock.selected_alpn_protocol())
            return script
        for proto, alpn in (("imap4", "imap"), ("pop3", "pop3")):
            for mode in ("implicit", "starttls"):
                for host, name in (("localhost", "localhost"), (BACK, None)):
                    with self.subTest(proto, mode=mode, host=host):
                        asked.clear()
                        chosen.clear()
                        context.set_alpn_protocols(["h2", alpn])
                        after = imap_server() if proto == "imap4" \
                            else pop3_server()
                        server = self.server(noting(
                            implicit(context, self.until_login(after))
                            if mode == "implicit" else self.until_login(
                                (starttls_imap if proto == "imap4"
                                 else stls_pop3)(context, []))),
                            host="127.0.0.1" if name else BACK)
                        self.start_front([(proto, "tls=none")], {
                            "outgoing_server":
                                f"{host}:{server.port}?tls={mode}"})
                        if proto == "imap4":
                            self.assertRegex(self.logins(self.imap()),
                                             rb"^OK ")
                        else:
                            self.assertRegex(
                                self.pop3().login("alice", "sesame"), rb"^\+OK")
                        self.stop_front()
                        self.assertEqual(asked, [name])
                        wait_for("the script's end", lambda: chosen)
                        self.assertEqual(chosen, [alpn])

    def until_login(self, script):
        """Its end is no error."""
        def wrapped(peer):
            with contextlib.suppress(EOFError, OSError):
                script(peer)
        return wrapped

    def test_resumption(self):
        """A session with the same real-server is resumed, however TLS
        begins."""
        for maximum in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for mode in ("implicit", "starttls"):
                with self.subTest(maximum, mode=mode):
                    self.resumes(maximum, mode)

    def resumes(self, maximum, mode):
        resumed = []
        context = self.server_context(
            self.authority.issue("resume", [BACK]), maximum)

        def noting(peer):
            serve = peer.start_tls

            def start_tls(context):
                serve(context)
                resumed.append(peer.sock.session_reused)
            peer.start_tls = start_tls
            (implicit(context, imap_server()) if mode == "implicit"
             else starttls_imap(context, []))(peer)
        server = self.server(noting, host=BACK)
        self.start_front([("imap4", "tls=none")], {
            "outgoing_server": f"{server.address}?tls={mode}", "workers": 1})
        for _ in range(4):
            client = self.imap()
            self.assertRegex(self.logins(client), rb"^OK ")
            client.command("LOGOUT")
        self.assertEqual(resumed, [False, True, True, True])
        self.stop_front()

    def test_versions(self):
        """Nothing below TLS 1.2, unless it is asked for; nothing above what
        is asked for."""
        pair = self.authority.issue("old", [BACK])
        old = self.server_context(pair)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("DEFAULT@SECLEVEL=0")
        new = self.server_context(pair)
        new.minimum_version = ssl.TLSVersion.TLSv1_3
        good, bad = rb"^OK ", rb"^NO \[UNAVAILABLE\] "
        for context, values, status in (
                (old, {}, bad),
                (old, {"ssl_outgoing_min_proto_version": "tlsv1"}, good),
                (new, {}, good),
                (new, {"ssl_outgoing_max_proto_version": "tlsv1.2"}, bad)):
            for mode in ("implicit", "starttls"):
                with self.subTest(values, mode=mode):
                    server = self.server(
                        implicit(context, imap_server())
                        if mode == "implicit" else starttls_imap(context, []),
                        host=BACK)
                    self.start_front([("imap4", "tls=none")], {
                        "outgoing_server": f"{server.address}?tls={mode}",
                        **values})
                    self.assertRegex(self.logins(self.imap()), status)
                    self.stop_front()

    def test_ciphers(self):
        """ssl_outgoing_ciphers, of either version."""
        context = self.server_context(self.authority.issue("ciphers", [BACK]))
        got = []

        def script(peer):
            peer.start_tls(context)
            got.append(peer.sock.cipher()[0])
            imap_server()(peer)
        server = self.server(script, host=BACK)
        for name, version in (("TLS_CHACHA20_POLY1305_SHA256", "tlsv1.3"),
                              ("ECDHE-ECDSA-AES256-GCM-SHA384", "tlsv1.2")):
            self.start_front([("imap4", "tls=none")], {
                "outgoing_server": f"{server.address}?tls=implicit",
                "ssl_outgoing_ciphers": name,
                "ssl_outgoing_max_proto_version": version})
            self.assertRegex(self.logins(self.imap()), rb"^OK ")
            self.assertEqual(got.pop(), name)
            self.stop_front()

    def test_chain(self):
        """Authorities in a directory (ssl_ca_path); how long a chain may be
        (ssl_cert_verify_depth)."""
        between = self.authority.issue("between", cn="Between", ca=True)
        below = Authority(self.dir / "below", "Between",
                          own=(between.cert, between.key))
        pair = below.issue("leaf", [BACK])
        chained = pair.cert.with_name("chain.pem")
        chained.write_bytes(pair.cert.read_bytes() + between.cert.read_bytes())
        server = self.back(type(pair)(chained, pair.key), "implicit", [])
        where = self.subdir("authorities")
        (where / "root.pem").write_bytes(self.authority.cert.read_bytes())
        for values, status in (
                ({"ssl_ca_path": where}, rb"^OK "),
                ({"ssl_ca_path": self.subdir("nothing")},
                 rb"^NO \[UNAVAILABLE\] "),
                ({"ssl_ca_path": where, "ssl_cert_verify_depth": 1}, rb"^OK "),
                ({"ssl_ca_path": where, "ssl_cert_verify_depth": 0},
                 rb"^NO \[UNAVAILABLE\] ")):
            with self.subTest(values):
                self.start_front([("imap4", "tls=none")], {
                    "outgoing_server": f"{server.address}?tls=implicit",
                    "ssl_ca_file": None, **values})
                self.assertRegex(self.logins(self.imap()), status)
                self.stop_front()
