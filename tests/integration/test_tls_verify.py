# SPDX-License-Identifier: GPL-2.0-or-later
"""What a real-server may show: each bad certificate is a temporary failure
with its reason in the log, no password reaches the server, and just the
option for it lets it pass."""

import ssl

from fakeserver import imap_server, pop3_server
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

    def back(self, pair, mode, seen):
        context = self.server_context(pair)
        script = implicit(context, imap_server(note=seen)) \
            if mode == "implicit" else starttls_imap(context, seen)
        return self.server(script, host=BACK)

    def logins(self, client):
        return client.login("alice", "sesame")[0]

    def test_refused_and_loosened(self):
        for name, (pair, reason, option) in self.kinds().items():
            for mode in ("implicit", "starttls"):
                with self.subTest(name, mode=mode):
                    seen = []
                    server = self.back(pair, mode, seen)
                    values = {"outgoing_server": f"{server.address}?tls={mode}"}
                    if name == "revoked":
                        values["ssl_outgoing_crl_file"] = self.authority.crl()
                    self.start_front([("imap4", "tls=none")], values)
                    client = self.imap()
                    self.assertRegex(self.logins(client),
                                     rb"^NO \[UNAVAILABLE\] ")
                    line = self.front.wait_log("event=server-failed")[0]
                    self.assertIn(reason, line)
                    self.assertEqual(
                        [x for x in seen if b"LOGIN" in x.upper()
                         or b"sesame" in x], [])
                    # It is free to try again.
                    self.assertRegex(client.command("NOOP")[0], rb"^OK")
                    self.stop_front()
                    values[option] = True
                    self.start_front([("imap4", "tls=none")], values)
                    self.assertRegex(self.logins(self.imap()), rb"^OK ")
                    loose = [x for x in self.front.log_lines(option)
                             if "event=config" in x]
                    self.assertEqual(len(loose), 1)
                    self.assertNotIn("sesame", self.front.output())
                    if option != "ssl_no_cn_verify":
                        self.front.wait_log("event=certificate-accepted")
                    self.stop_front()
                    server.close()

    def test_pop3(self):
        pair = self.authority.issue("expired", [BACK], start=-9, end=-2)
        server = self.server(implicit(self.server_context(pair),
                                      pop3_server()), host=BACK)
        self.start_front([("pop3", "")], {
            "outgoing_server": f"pop3s://{server.address}"})
        self.assertRegex(self.pop3().login("alice", "sesame"),
                         rb"^-ERR \[SYS/TEMP\] ")
        self.front.wait_log("certificate has expired")

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
        server = self.back(pair, "implicit", [])
        self.start_front([("imap4", "")], {
            "outgoing_server": f"imaps://{server.address}",
            "ssl_ca_file": pair.cert})
        self.assertRegex(self.logins(self.imap()), rb"^OK ")

    def test_name(self):
        """A server that is named by a name is asked for by it (SNI), and must
        be it."""
        asked = []
        context = self.server_context(
            self.authority.issue("named", ["localhost"]))
        context.sni_callback = lambda sock, name, ctx: asked.append(name)
        server = self.server(implicit(context, imap_server()))
        self.start_front([("imap4", "")], {
            "outgoing_server": f"imaps://localhost:{server.port}"})
        self.assertRegex(self.logins(self.imap()), rb"^OK ")
        self.assertEqual(asked, ["localhost"])

    def test_resumption(self):
        """A session with the same real-server is resumed."""
        for maximum in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(maximum):
                resumed = []
                context = self.server_context(
                    self.authority.issue("resume", [BACK]), maximum)

                def script(peer, context=context, resumed=resumed):
                    peer.start_tls(context)
                    resumed.append(peer.sock.session_reused)
                    imap_server()(peer)
                server = self.server(script, host=BACK)
                self.start_front([("imap4", "")], {
                    "outgoing_server": f"imaps://{server.address}",
                    "workers": 1})
                for _ in range(4):
                    client = self.imap()
                    self.assertRegex(self.logins(client), rb"^OK ")
                    client.command("LOGOUT")
                self.assertEqual(resumed, [False, True, True, True])
                self.stop_front()

    def test_versions(self):
        """Nothing below TLS 1.2, unless it is asked for."""
        pair = self.authority.issue("old", [BACK])
        context = self.server_context(pair)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        for values, status in (
                ({}, rb"^NO \[UNAVAILABLE\] "),
                ({"ssl_outgoing_min_proto_version": "tlsv1"}, rb"^OK ")):
            server = self.server(implicit(context, imap_server()), host=BACK)
            self.start_front([("imap4", "")], {
                "outgoing_server": f"imaps://{server.address}", **values})
            self.assertRegex(self.logins(self.imap()), status)
            self.stop_front()
