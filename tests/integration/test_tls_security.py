# SPDX-License-Identifier: GPL-2.0-or-later
"""The known attacks on STARTTLS and on TLS in mail, tried on a running
perdition from both sides."""

import contextlib
import socket
import ssl
import subprocess
import time

from fakeserver import imap_server, pop3_server
from harness import pss_kib, wait_for
from lineclient import Closed
from pair import sanitized
from tlstest import FRONT, NAME, TlsTestCase

BACK = "127.0.0.11"
IMAP_STARTTLS, POP3_STARTTLS, IMAPS, POP3S = range(4)
LISTENERS = [("imap4", "tls=starttls"), ("pop3", "tls=starttls"),
             ("imap4s", ""), ("pop3s", "")]


class Attack(TlsTestCase):
    def tearDown(self):
        """Whatever was tried, no password is in any log."""
        if hasattr(self, "front"):
            self.assertNotRegex(self.front.output(), r"sesame|wrong-one")
        super().tearDown()


class Clients(Attack):
    def setUp(self):
        super().setUp()
        self.seen = []
        self.back = self.server(imap_server(
            note=self.seen, login=b"OK in"), host=BACK)
        self.pop = self.server(pop3_server(note=self.seen), host=BACK)
        self.start_front(LISTENERS, popmap=(
            f"^..*$: imap://{self.back.address},pop3://{self.pop.address}\n"),
            values={"ssl_handshake_timeout": 3, "debug": True})

    def test_injection(self):
        """What is sent in clear behind STARTTLS is never executed, in one
        segment, split, or after a literal's announcement."""
        after = {
            "login": b"y LOGIN mallory sesame\r\n",
            "half": b"y LOGIN mall",
            "literal": b"y LOGIN {7}\r\nmallory {6}\r\nsesame\r\n",
            "many": b"".join(b"y%d NOOP\r\n" % n for n in range(50)),
        }
        for name, data in after.items():
            with self.subTest(name):
                client = self.imap(IMAP_STARTTLS)
                client.send(b"x STARTTLS\r\n" + data)
                self.assertRegex(client.readline(), rb"^x OK ")
                client.start_tls(self.context(), NAME)
                client.line("z NOOP")
                # The answer to the first command inside, and to no other.
                self.assertRegex(client.readline(), rb"^z OK ")
                self.front.wait_log("event=starttls-injection")
        client = self.pop3(POP3_STARTTLS)
        client.send(b"STLS\r\nUSER mallory\r\nPASS sesame\r\n")
        self.assertRegex(client.readline(), rb"^\+OK")
        client.start_tls(self.context(), NAME)
        client.line("PASS sesame")
        self.assertRegex(client.readline(), rb"^-ERR")
        self.assertEqual(self.seen, [])

    def test_injection_delayed(self):
        """In clear after the go-ahead: it is no handshake, and the end."""
        client = self.imap(IMAP_STARTTLS)
        client.line("x STARTTLS")
        self.assertRegex(client.readline(), rb"^x OK ")
        client.send(b"y LOGIN mallory sesame\r\n")
        with contextlib.suppress(ConnectionResetError):
            rest = client.sock.recv(4096)
            self.assertNotIn(b"y ", rest)
        self.front.wait_log("speaks no TLS")
        self.assertEqual(self.seen, [])

    def test_split_command(self):
        client = self.imap(IMAP_STARTTLS)
        for part in (b"x STAR", b"TTLS", b"\r", b"\n"):
            client.send(part)
            time.sleep(0.02)
        self.assertRegex(client.readline(), rb"^x OK ")
        client.start_tls(self.context(), NAME)
        self.assertRegex(client.login("alice", "sesame")[0], rb"^OK ")

    def test_twice(self):
        """STARTTLS inside TLS is refused and not announced; before TLS no
        login is possible, and that is announced."""
        client = self.imap(IMAP_STARTTLS)
        self.assertIn(b"STARTTLS", client.greeting)
        self.assertIn(b"LOGINDISABLED", client.greeting)
        self.assertRegex(client.login("alice", "sesame")[0],
                         rb"^NO \[PRIVACYREQUIRED\]")
        self.starttls(client)
        status, lines = client.command("CAPABILITY")
        self.assertNotRegex(b" ".join(lines), rb"STARTTLS|LOGINDISABLED")
        self.assertRegex(client.command("STARTTLS")[0], rb"^BAD")
        self.assertRegex(client.login("alice", "sesame")[0], rb"^OK ")
        inside = self.imap(IMAPS, tls=self.context())
        self.assertNotIn(b"STARTTLS", inside.greeting)
        self.assertRegex(inside.command("STARTTLS")[0], rb"^BAD")
        pop = self.pop3(POP3S, tls=self.context())
        self.assertRegex(pop.command("STLS"), rb"^-ERR")
        pop = self.pop3(POP3_STARTTLS)
        self.assertRegex(pop.command("USER alice"), rb"^-ERR")
        self.starttls(pop)
        self.assertRegex(pop.command("STLS"), rb"^-ERR")
        self.assertRegex(pop.login("alice", "sesame"), rb"^\+OK")

    def test_wrong_then_right(self):
        """A failed login does not make the session forget that it is
        encrypted."""
        self.back.script = self.judge()
        client = self.starttls(self.imap(IMAP_STARTTLS))
        self.assertRegex(client.login("alice", "wrong-one")[0], rb"^NO ")
        status, lines = client.command("CAPABILITY")
        self.assertNotRegex(b" ".join(lines), rb"STARTTLS|LOGINDISABLED")
        self.assertRegex(client.login("alice", "sesame")[0], rb"^OK ")
        for line in self.front.wait_log(" Auth: ", 2):
            self.assertIn("client-secure=starttls", line)

    def judge(self):
        def script(peer):
            peer.send("* OK [CAPABILITY IMAP4rev1 LITERAL+] ready\r\n")
            while True:
                tag, rest = peer.command()
                good = b"LOGIN" not in rest.upper() or b"sesame" in rest
                peer.send(tag + (b" OK done\r\n" if good
                                 else b" NO wrong\r\n"))
        return script

    def test_alpn(self):
        """A client that means another protocol gets no handshake."""
        for number, good, bad in ((IMAPS, "imap", "pop3"),
                                  (POP3S, "pop3", "imap")):
            make = self.imap if number == IMAPS else self.pop3
            client = make(number, tls=self.context(alpn=["h2", good]))
            self.assertEqual(client.sock.selected_alpn_protocol(), good)
            for offer in ([bad], ["h2", "http/1.1"], ["ima", "pop33"]):
                with self.assertRaises(ssl.SSLError) as caught:
                    make(number, tls=self.context(alpn=offer))
                self.assertIn("NO_APPLICATION_PROTOCOL",
                              str(caught.exception).upper().replace(" ", "_"))
            self.assertIsNone(make(number, tls=self.context())
                              .sock.selected_alpn_protocol())
        self.front.wait_log("ALPN")

    def test_other_protocols(self):
        """HTTP in clear on a TLS port, and inside TLS."""
        with socket.create_connection((FRONT, self.ports[IMAPS]), 10) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                self.assertNotIn(b"HTTP", sock.recv(4096))
        client = self.imap(IMAPS, tls=self.context())
        with contextlib.suppress(OSError):
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(self.ends(client))

    def ends(self, client):
        with contextlib.suppress(OSError, Closed):
            while client.sock.recv(4096):
                pass
        return True

    def test_old_versions(self):
        context = self.context(maximum=ssl.TLSVersion.TLSv1_1,
                               minimum=ssl.TLSVersion.TLSv1)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with self.assertRaises(ssl.SSLError):
            self.imap(IMAPS, tls=context)
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
                              (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            client = self.imap(IMAPS, tls=self.context(
                maximum=version, minimum=version))
            self.assertEqual(client.sock.version(), name)

    def test_weak_ciphers(self):
        """No CBC, no key exchange without forward secrecy."""
        context = self.context(maximum=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers("AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA:"
                            "ECDHE-RSA-AES128-SHA256:AES256-SHA")
        with self.assertRaises(ssl.SSLError):
            self.imap(IMAPS, tls=context)

    def test_renegotiation(self):
        """A client may not begin one: each is work for the server."""
        proc = subprocess.Popen(
            ["openssl", "s_client", "-connect",
             f"{FRONT}:{self.ports[IMAPS]}", "-tls1_2"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        try:
            out = b""
            while b"* OK " not in out:
                chunk = proc.stdout.read1(65536)
                self.assertTrue(chunk, out)
                out += chunk
            proc.stdin.write(b"R\n")
            proc.stdin.flush()
            out = proc.communicate(timeout=20)[0]
        finally:
            proc.kill()
            proc.wait()
        self.assertIn(b"no renegotiation", out.lower())

    def test_stops_in_the_middle(self):
        """A client that stops in its handshake is ended in time, on either
        kind of port."""
        silent = socket.create_connection((FRONT, self.ports[IMAPS]), 20)
        self.addCleanup(silent.close)
        half = socket.create_connection((FRONT, self.ports[POP3S]), 20)
        self.addCleanup(half.close)
        half.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        client = self.imap(IMAP_STARTTLS)
        client.line("x STARTTLS")
        client.readline()
        for sock in (silent, half, client.sock):
            sock.settimeout(20)
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(sock.recv(4096), b"")
        self.assertEqual(
            len(self.front.wait_log("no handshake in time", 3)), 3)

    def test_names_without_end(self):
        """Names that clients ask for (SNI) leave nothing behind."""
        def memory():
            return sum(map(pss_kib, self.front.roles()["worker"]))

        context = self.context()
        context.check_hostname = False

        def ask(first, count):
            for number in range(first, first + count):
                with socket.create_connection(
                        (FRONT, self.ports[IMAPS]), 10) as sock:
                    name = f"{'x' * 60}.{number}.test"
                    with context.wrap_socket(sock, server_hostname=name) as t:
                        t.recv(100)
        ask(0, 50)
        before = memory()
        ask(50, 200)
        wait_for("the sessions' ends", lambda: len(
            self.front.log_lines("Closing NULL session")) >= 250)
        # 250 names of 64 bytes would be little; certificates and contexts for
        # each would be megabytes.
        if not sanitized():  # which keeps for a while what was freed
            self.assertLess(memory(), before + 2048)

    def test_pipelined_behind_login(self):
        """In one record: the rest is the real-server's, once and in order."""
        client = self.imap(IMAPS, tls=self.context())
        client.send(b"a LOGIN alice sesame\r\n" + b"".join(
            b"b%d NOOP\r\n" % n for n in range(300)))
        self.assertRegex(client.finish(b"a")[0], rb"^OK")
        for number in range(300):
            self.assertRegex(client.readline(), rb"^b%d OK" % number)
        self.assertEqual([x for x in self.seen if x == b"NOOP"],
                         [b"NOOP"] * 300)


class Servers(Attack):
    def front_of(self, script, mode, proto="imap4", **values):
        self.server_ = self.server(script, host=BACK)
        self.start_front([(proto, "tls=none")], {
            "outgoing_server": f"{self.server_.address}?tls={mode}",
            "server_timeout": 3, **values})

    def refused(self):
        status, lines = self.imap().login("alice", "sesame")
        self.assertRegex(status, rb"^NO \[UNAVAILABLE\] ")
        return b"".join(lines) + status

    def setUp(self):
        super().setUp()
        self.heard = []
        self.back_pair = self.authority.issue("back", [BACK])
        self.back_context = self.server_context(self.back_pair)

    def note(self, peer):
        """The next command, written down."""
        tag, rest = peer.command()
        self.heard.append(rest)
        return tag, rest

    def no_password(self):
        self.assertEqual([x for x in self.heard
                          if b"sesame" in x or b"LOGIN" in x.upper()
                          or b"AUTH" in x.upper()], [])

    def test_response_injection(self):
        """Bytes behind the server's OK to STARTTLS are never an answer to what
        is said inside."""
        def in_one_segment(peer, tag, evil):
            peer.send(tag + b" OK begin\r\n" + evil)
            peer.wait_end()

        def split(peer, tag, evil):
            data = tag + b" OK begin\r\n" + evil
            for at in range(0, len(data), 3):
                peer.send(data[at:at + 3])
                time.sleep(0.002)
            peer.wait_end()

        def delayed(peer, tag, evil):
            peer.send(tag + b" OK begin\r\n")
            time.sleep(0.1)
            peer.send(evil)
            peer.wait_end()

        def followed_by_tls(peer, tag, evil):
            peer.send(tag + b" OK begin\r\n" + evil)
            peer.start_tls(self.back_context)
            while True:
                self.note(peer)

        for way in (in_one_segment, split, delayed, followed_by_tls):
            with self.subTest(way.__name__):
                self.heard.clear()

                def script(peer, way=way):
                    peer.send("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n")
                    tag, _ = self.note(peer)
                    way(peer, tag, b"* CAPABILITY IMAP4rev1 EVIL\r\n"
                        + tag + b" OK logged in\r\n")
                self.front_of(script, "starttls")
                self.assertNotIn(b"EVIL", self.refused())
                self.no_password()
                self.stop_front()

    def test_stripped(self):
        """STARTTLS not announced, or refused: the end where it is required;
        where it is optional, on in clear."""
        def without(peer):
            imap_server(note=self.heard)(peer)

        def refusing(answer):
            def script(peer):
                peer.send("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
                while True:
                    tag, rest = self.note(peer)
                    peer.send(tag + (answer if rest.upper() == b"STARTTLS"
                                     else b" OK done") + b"\r\n")
            return script
        for name, script in (("not announced", without),
                             ("NO", refusing(b" NO not now")),
                             ("BAD", refusing(b" BAD what"))):
            with self.subTest(name):
                self.heard.clear()
                self.front_of(script, "starttls")
                self.refused()
                self.no_password()
                self.front.wait_log("event=server-failed")
                self.stop_front()
        self.front_of(without, "starttls_optional")
        self.assertRegex(self.imap().login("alice", "sesame")[0], rb"^OK ")
        self.assertIn("server-secure=plaintext",
                      self.front.wait_log(" Auth: ")[0])

    def test_early_ok(self):
        """An OK for a tag that the server has guessed, before STARTTLS was
        said."""
        def script(peer):
            peer.send("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"
                      + "".join(f"P1.{n} OK begin\r\na{n} OK begin\r\n"
                                for n in range(20)))
            with contextlib.suppress(EOFError):
                while True:
                    self.note(peer)
        self.front_of(script, "starttls")
        self.refused()
        self.no_password()

    def test_preauth(self):
        """A session that is somebody's already cannot be secured."""
        def script(peer):
            peer.send("* PREAUTH [CAPABILITY IMAP4rev1] welcome\r\n")
            with contextlib.suppress(EOFError):
                while True:
                    self.note(peer)
        for mode in ("starttls", "starttls_optional"):
            with self.subTest(mode):
                self.front_of(script, mode)
                self.refused()
                self.no_password()
                self.stop_front()

    def test_words_before_tls(self):
        """An alert or a referral in clear never reaches the client."""
        def script(peer):
            peer.send("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"
                      "* NO [ALERT] call 555-EVIL\r\n")
            tag, _ = self.note(peer)
            peer.send(b"* OK [REFERRAL imap://evil.test/] move\r\n"
                      + tag + b" OK begin\r\n")
            peer.start_tls(self.back_context)
            while True:
                tag, rest = self.note(peer)
                if not rest.upper().startswith(b"LOGIN"):
                    peer.send(b"* CAPABILITY IMAP4rev1 LITERAL+\r\n")
                peer.send(tag + b" OK done\r\n")
        self.front_of(script, "starttls")
        status, lines = self.imap().login("alice", "sesame")
        self.assertRegex(status, rb"^OK ")
        self.assertNotRegex(b"".join(lines) + status, rb"EVIL|evil|ALERT")

    def test_stale_capabilities(self):
        """What the server could before TLS counts no more inside."""
        def script(peer):
            peer.send("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED "
                      "AUTH=EVIL] ready\r\n")
            tag, _ = self.note(peer)
            peer.send(tag + b" OK begin\r\n")
            peer.start_tls(self.back_context)
            while True:
                tag, rest = self.note(peer)
                if rest.upper().startswith(b"LOGIN"):
                    peer.send(tag + b" OK in\r\n")
                else:
                    peer.send(b"* CAPABILITY IMAP4rev1 LITERAL+\r\n"
                              + tag + b" OK done\r\n")
        self.front_of(script, "starttls")
        self.assertRegex(self.imap().login("alice", "sesame")[0], rb"^OK ")

    def test_hangs_in_the_handshake(self):
        """The next candidate, or a refusal, in time."""
        def script(peer):
            peer.wait_end()
        self.front_of(script, "implicit", ssl_handshake_timeout=1)
        self.refused()
        self.front.wait_log("ssl_handshake_timeout")

    def test_no_tls_at_all(self):
        """A server in clear where TLS from the first byte is meant."""
        self.front_of(imap_server(note=self.heard), "implicit")
        self.refused()
        self.front.wait_log("speaks no TLS")
        self.no_password()

    def test_pop3(self):
        """STLS refused, not announced, with bytes behind its answer."""
        def answering(capabilities, stls):
            def script(peer):
                peer.send("+OK ready\r\n")
                while True:
                    line = peer.line()
                    self.heard.append(line)
                    word = line.upper()
                    if word == b"CAPA":
                        peer.send(b"+OK\r\n" + capabilities + b".\r\n")
                    elif word == b"STLS":
                        peer.send(stls)
                    else:
                        peer.send(b"+OK\r\n")
            return script
        for name, script in (
                ("not announced", answering(b"USER\r\n", b"-ERR what\r\n")),
                ("refused", answering(b"STLS\r\nUSER\r\n", b"-ERR no\r\n")),
                ("injection", answering(b"STLS\r\nUSER\r\n",
                                        b"+OK begin\r\n+OK\r\n+OK\r\n"))):
            with self.subTest(name):
                self.heard.clear()
                self.front_of(script, "starttls", "pop3")
                self.assertRegex(self.pop3().login("alice", "sesame"),
                                 rb"^-ERR \[SYS/TEMP\]")
                self.assertEqual(
                    [x for x in self.heard
                     if b"sesame" in x or b"USER alice" in x], [])
                self.stop_front()
