# SPDX-License-Identifier: GPL-2.0-or-later
"""What the options ssl_... do to what is shown to clients, and ssl_mode's words
to both sides."""

import re
import subprocess

from fakeserver import imap_server, pop3_server
from pki import Authority, openssl
from tlstest import FRONT, TlsTestCase

BACK = "127.0.0.11"
IMAPS = [("imap4s", "")]
AES128 = "ECDHE-ECDSA-AES128-GCM-SHA256"
AES256 = "ECDHE-ECDSA-AES256-GCM-SHA384"


class Shown(TlsTestCase):
    def front_with(self, **values):
        return self.start_front(IMAPS, {"outgoing_server": f"{FRONT}:1",
                                        **values})

    def s_client(self, *args):
        """What the openssl command tells of a handshake."""
        return subprocess.run(
            ["openssl", "s_client", "-connect", f"{FRONT}:{self.ports[0]}",
             "-CAfile", str(self.authority.cert), *map(str, args)],
            input=b"a LOGOUT\r\n", stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=30,
            check=False).stdout.decode(errors="replace")

    def cipher(self, *args):
        """The cipher that was agreed on; "" when there was no handshake."""
        found = re.search(r"Cipher is (\S+)", self.s_client(*args))
        return found[1].replace("(NONE)", "") if found else ""

    def test_ciphers(self):
        both = ["-tls1_2", "-cipher", f"{AES256}:{AES128}"]
        self.front_with()
        self.assertEqual(self.cipher(*both), AES128)  # ours decides
        self.stop_front()
        self.front_with(ssl_no_cipher_server_preference=True)
        self.assertEqual(self.cipher(*both), AES256)  # the client's does
        self.stop_front()
        self.front_with(
            ssl_listen_ciphers=f"{AES256}:TLS_CHACHA20_POLY1305_SHA256")
        self.assertEqual(self.cipher(*both), AES256)
        self.assertEqual(self.cipher("-tls1_2", "-cipher", AES128), "")
        self.assertEqual(self.cipher("-tls1_3"),
                         "TLS_CHACHA20_POLY1305_SHA256")

    def test_versions(self):
        old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"]
        for values, taken, refused in (
                ({}, [["-tls1_2"], ["-tls1_3"]], [old]),
                ({"ssl_listen_min_proto_version": "tlsv1.3"}, [["-tls1_3"]],
                 [["-tls1_2"], old]),
                ({"ssl_listen_max_proto_version": "tlsv1.2"}, [["-tls1_2"]],
                 [["-tls1_3"], old]),
                ({"ssl_listen_min_proto_version": "tlsv1",
                  "ssl_listen_ciphers": "DEFAULT@SECLEVEL=0"},
                 [old, ["-tls1_2"], ["-tls1_3"]], [])):
            with self.subTest(values):
                self.front_with(**values)
                for args in taken:
                    self.assertNotEqual(self.cipher(*args), "", args)
                for args in refused:
                    self.assertEqual(self.cipher(*args), "", args)
                self.stop_front()

    def test_diffie_hellman(self):
        """The very oldest clients need RSA and parameters of one's own."""
        rsa = self.authority.issue("rsa", ["mail.test"], kind="rsa")
        params = self.dir / "dh.pem"
        params.write_bytes(openssl("genpkey", "-genparam", "-algorithm", "DH",
                                   "-pkeyopt", "group:ffdhe2048"))
        args = ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"]
        values = {"ssl_cert_file": rsa.cert, "ssl_key_file": rsa.key}
        self.front_with(**values)
        self.assertEqual(self.cipher(*args), "")
        self.stop_front()
        self.front_with(**values, ssl_dh_params_file=params)
        self.assertIn("Server Temp Key: DH, 2048 bits", self.s_client(*args))

    def test_chain_file(self):
        """Sent along with a certificate that stands alone in its file, so
        that a client finds its way to the root."""
        between = self.authority.issue("between", cn="Between", ca=True)
        below = Authority(self.dir / "below", "Between",
                          own=(between.cert, between.key))
        leaf = below.issue("leaf", ["mail.test"])
        values = {"ssl_cert_file": leaf.cert, "ssl_key_file": leaf.key}
        for more, code in (({}, 21), ({"ssl_ca_chain_file": between.cert}, 0)):
            self.front_with(**values, **more)
            self.assertIn(f"Verify return code: {code} ",
                          self.s_client("-servername", "mail.test"))
            self.stop_front()

    def test_compression(self):
        """Accepted, warned about, without effect."""
        self.front_with(ssl_listen_compression=True,
                        ssl_outgoing_compression=True)
        for side in ("listen", "outgoing"):
            line = self.front.wait_log(f"option=ssl_{side}_compression")[0]
            self.assertIn("without effect", line)
        self.assertIn("Compression: NONE", self.s_client("-tls1_2", "-comp"))


class Modes(TlsTestCase):
    """Each word of ssl_mode, towards servers that speak in clear, that offer
    STARTTLS, and that begin with TLS."""

    def setUp(self):
        super().setUp()
        self.pair = self.authority.issue("front", ["mail.test"])
        self.back = self.server_context(self.authority.issue("back", [BACK]))

    def clear(self, proto):
        return imap_server() if proto == "imap4" else pop3_server()

    def offering(self, proto):
        def imap4(peer):
            peer.send("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
            tag, rest = peer.command()
            if rest.upper() == b"STARTTLS":
                peer.send(tag + b" OK begin\r\n")
                peer.start_tls(self.back)
                tag, rest = peer.command()
            while True:
                if rest.upper() == b"CAPABILITY":
                    peer.send("* CAPABILITY IMAP4rev1\r\n")
                peer.send(tag + b" OK done\r\n")
                tag, rest = peer.command()

        def pop3(peer):
            peer.send("+OK ready\r\n")
            while True:
                word = peer.line().upper()
                if word == b"CAPA":
                    peer.send("+OK\r\nSTLS\r\nUSER\r\n.\r\n")
                    continue
                peer.send("+OK\r\n")
                if word == b"STLS":
                    peer.start_tls(self.back)
        return imap4 if proto == "imap4" else pop3

    def implicit(self, proto):
        def script(peer):
            peer.start_tls(self.back)
            self.clear(proto)(peer)
        return script

    def test_outgoing(self):
        clear, offering, implicit = range(3)
        plaintext, starttls, secure = "plaintext", "starttls", "ssl"
        in_clear = {clear: plaintext, offering: plaintext}
        words = {
            "": in_clear, "none": in_clear, "ssl_listen": in_clear,
            "tls_listen_force": in_clear,
            "ssl_outgoing": {implicit: secure, clear: None, offering: None},
            "ssl_all": {implicit: secure, clear: None, offering: None},
            "tls_outgoing": {clear: plaintext, offering: starttls},
            "tls_all": {clear: plaintext, offering: starttls},
            "tls_outgoing_force": {offering: starttls, clear: None},
            "tls_all_force": {offering: starttls, clear: None},
        }
        for proto in ("imap4", "pop3"):
            servers = [self.server(make(proto), host=BACK)
                       for make in (self.clear, self.offering, self.implicit)]
            popmap = "".join(f"^user{n}$: {s.address}\n"
                             for n, s in enumerate(servers))
            for word, works in words.items():
                with self.subTest(proto, ssl_mode=word):
                    self.start_front(
                        [(proto, "tls=none")],
                        {"ssl_mode": word}, popmap)
                    for number, kind in works.items():
                        self.attempt(proto, number, kind)
                    self.assertNotIn("sesame", self.front.output())
                    self.stop_front()

    def attempt(self, proto, number, secure):
        """secure: of the login's line; None: it must fail."""
        user = f"user{number}"
        if proto == "imap4":
            status = self.imap().login(user, "sesame")[0]
            good, bad = rb"^OK ", rb"^NO \[UNAVAILABLE\] "
        else:
            status = self.pop3().login(user, "sesame")
            good, bad = rb"^\+OK", rb"^-ERR \[SYS/TEMP\] "
        self.assertRegex(status, good if secure else bad, user)
        if secure:
            line = self.front.wait_log(f'authentication_id="{user}"')[0]
            self.assertIn(f"server-secure={secure}", line)

    def test_listen(self):
        """What a client meets."""
        for word, implicit, offered, forced in (
                ("", False, False, False),
                ("tls_outgoing_force", False, False, False),
                ("ssl_listen", True, False, False),
                ("ssl_all", True, False, False),
                ("tls_listen", False, True, False),
                ("tls_all", False, True, False),
                ("tls_listen_force", False, True, True),
                ("tls_all_force", False, True, True)):
            for proto in ("imap4", "pop3"):
                with self.subTest(word, proto=proto):
                    self.start_front([(proto + ("s" if implicit else ""),
                                       "" if implicit else None)],
                                     {"ssl_mode": word,
                                      "outgoing_server": f"{FRONT}:1"})
                    make = self.imap if proto == "imap4" else self.pop3
                    client = make(tls=self.context() if implicit else None)
                    if proto == "imap4":
                        said = b" ".join(client.command("CAPABILITY")[1])
                        status = client.login("alice", "sesame")[0]
                        refused = b"PRIVACYREQUIRED" in status
                    else:
                        client.line("CAPA")
                        client.readline()
                        said = b" ".join(client.multiline()) \
                            .replace(b"STLS", b"STARTTLS")
                        refused = client.command("USER alice") \
                            .startswith(b"-ERR")
                    self.assertEqual(b"STARTTLS" in said, offered)
                    self.assertEqual(refused, forced)
                    self.stop_front()
