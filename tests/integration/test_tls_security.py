# SPDX-License-Identifier: GPL-2.0-or-later
"""The known attacks on STARTTLS and on TLS in mail, tried on a running
perdition from both sides."""

import contextlib
import re
import socket
import ssl
import subprocess
import time

from fakeserver import imap_server, pop3_server
from harness import own_kib, wait_for
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

    # What an attacker has put behind STARTTLS or STLS, in clear.
    EVIL = {
        "imap4": {
            "login": b"y LOGIN mallory sesame\r\n",
            "half": b"y LOGIN mall",
            "literal": b"y LOGIN {7}\r\nmallory {6}\r\nsesame\r\n",
            "many": b"".join(b"y%d NOOP\r\n" % n for n in range(50)),
        },
        "pop3": {
            "login": b"USER mallory\r\nPASS sesame\r\n",
            "half": b"USER mall",
            "many": b"NOOP\r\n" * 50,
        },
    }

    def plain(self, proto):
        return self.imap(IMAP_STARTTLS) if proto == "imap4" \
            else self.pop3(POP3_STARTTLS)

    def nothing_was_said(self, client, proto):
        """Inside TLS the first answer is to the first command inside, and
        nobody is logged in, half or whole."""
        if proto == "imap4":
            client.line("z NOOP")
            self.assertRegex(client.readline(), rb"^z OK ")
        else:
            client.line("PASS sesame")
            self.assertRegex(client.readline(), rb"^-ERR")
            client.line("QUIT")
            self.assertRegex(client.readline(), rb"^\+OK")
        self.assertEqual(self.seen, [])

    def test_injection(self):
        """In one segment with the command: thrown away, and told."""
        told = 0
        for proto, kinds in self.EVIL.items():
            verb = b"x STARTTLS\r\n" if proto == "imap4" else b"STLS\r\n"
            for name, data in kinds.items():
                with self.subTest(proto, data=name):
                    client = self.plain(proto)
                    client.send(verb + data)
                    self.assertRegex(client.readline(), rb"^(x OK |\+OK)")
                    client.start_tls(self.context(), NAME)
                    self.nothing_was_said(client, proto)
                    told += 1
                    line = self.front.wait_log("event=starttls-injection",
                                               told)[-1]
                    self.assertIn(f"bytes={len(data)}", line)

    def test_injection_split(self):
        """Cut anywhere, also within the command: a piece comes with the
        command, is thrown away, and the rest is no handshake; or all comes
        later. It is never executed."""
        for proto, kinds in self.EVIL.items():
            verb = b"x STARTTLS\r\n" if proto == "imap4" else b"STLS\r\n"
            data = verb + kinds["login"]
            for cut in (3, len(verb) - 1, len(verb), len(verb) + 5):
                with self.subTest(proto, cut=cut):
                    client = self.plain(proto)
                    client.send(data[:cut])
                    if cut < len(verb):
                        time.sleep(0.05)  # so that it is read by itself
                    else:
                        self.assertRegex(client.readline(),
                                         rb"^(x OK |\+OK)")
                    client.send(data[cut:])
                    if cut < len(verb):
                        self.assertRegex(client.readline(),
                                         rb"^(x OK |\+OK)")
                        client.start_tls(self.context(), NAME)
                        self.nothing_was_said(client, proto)
                    else:
                        self.assertNotRegex(self.rest(client), rb"y |OK|ERR")
                        self.assertEqual(self.seen, [])
        self.front.wait_log("speaks no TLS", 4)

    def rest(self, client):
        """All that comes until the connection ends."""
        data = client.pending
        with contextlib.suppress(ConnectionResetError):
            while True:
                chunk = client.sock.recv(4096)
                if not chunk:
                    break
                data += chunk
        return data

    def test_injection_pipelined(self):
        """The handshake's first message in the same segment as the command is
        bytes behind it like any others: they are thrown away, whether they
        begin with TLS or are TLS only."""
        for proto in self.EVIL:
            verb = b"x STARTTLS\r\n" if proto == "imap4" else b"STLS\r\n"
            with self.subTest(proto):
                client = self.plain(proto)
                there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
                tls = self.context().wrap_bio(back, there,
                                              server_hostname=NAME)
                with contextlib.suppress(ssl.SSLWantReadError):
                    tls.do_handshake()
                client.send(verb + there.read())
                self.assertRegex(client.readline(), rb"^(x OK |\+OK)")
                # The server waits for a handshake, and in vain.
                self.assertTrue(self.ends(client))
        self.front.wait_log("event=starttls-injection", 2)
        self.front.wait_log("no handshake in time", 2)

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
        self.pop.script = self.judge_pop3()
        client = self.starttls(self.pop3(POP3_STARTTLS))
        self.assertRegex(client.login("alice", "wrong-one"), rb"^-ERR")
        client.line("CAPA")
        self.assertRegex(client.readline(), rb"^\+OK")
        self.assertNotIn(b"STLS", client.multiline())
        self.assertRegex(client.login("alice", "sesame"), rb"^\+OK")
        for line in self.front.wait_log(" Auth: ", 4):
            self.assertIn("client-secure=starttls", line)

    def judge_pop3(self):
        def script(peer):
            peer.send("+OK ready\r\n")
            while True:
                line = peer.line()
                good = not line.startswith(b"PASS") or b"sesame" in line
                peer.send(b"+OK done\r\n" if good else b"-ERR wrong\r\n")
        return script

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
        """A client that means another protocol gets no handshake, however
        TLS begins."""
        for make, good, bad in (
                (self.imaps, "imap", "pop3"), (self.pop3s, "pop3", "imap"),
                (self.imap_tls, "imap", "pop3"),
                (self.pop3_tls, "pop3", "imap")):
            client = make(self.context(alpn=["h2", good]))
            self.assertEqual(client.sock.selected_alpn_protocol(), good)
            for offer in ([bad], ["h2", "http/1.1"], ["ima", "pop33"]):
                with self.assertRaises(ssl.SSLError) as caught:
                    make(self.context(alpn=offer))
                self.assertIn("NO_APPLICATION_PROTOCOL",
                              str(caught.exception).upper().replace(" ", "_"))
            self.assertIsNone(make(self.context())
                              .sock.selected_alpn_protocol())
        self.front.wait_log("ALPN", 12)

    def imaps(self, context):
        return self.imap(IMAPS, tls=context)

    def pop3s(self, context):
        return self.pop3(POP3S, tls=context)

    def imap_tls(self, context):
        return self.starttls(self.imap(IMAP_STARTTLS), context)

    def pop3_tls(self, context):
        return self.starttls(self.pop3(POP3_STARTTLS), context)

    def test_other_protocols(self):
        """HTTP in clear on a TLS port is no handshake; inside TLS it is the
        end."""
        request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        for port in (IMAPS, POP3S):
            with socket.create_connection((FRONT, self.ports[port]), 10) \
                    as sock:
                sock.sendall(request)
                with contextlib.suppress(ConnectionResetError):
                    self.assertNotIn(b"HTTP", sock.recv(4096))
        self.front.wait_log("speaks no TLS", 2)
        for make in (self.imaps, self.pop3s, self.imap_tls, self.pop3_tls):
            client = make(self.context())
            client.send(request)
            self.assertTrue(self.ends(client))

    def ends(self, client):
        """The other side ends it, whatever it says before; a connection that
        stays is an error (TimeoutError)."""
        with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
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
            return sum(map(own_kib, self.front.roles()["worker"]))

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
                          if b"sesame" in x or re.match(
                              rb"LOGIN|AUTH|USER|PASS|APOP", x.upper())], [])

    def test_response_injection(self):
        """Bytes behind the server's OK to STARTTLS, or STLS, are never an
        answer to what is said inside, however they come; the server may go on
        with a good handshake."""
        def in_one_segment(peer, ok, evil):
            peer.send(ok + evil)

        def split(peer, ok, evil):
            data = ok + evil
            for at in range(0, len(data), 7):
                peer.send(data[at:at + 7])
                time.sleep(0.001)

        def delayed(peer, ok, evil):
            peer.send(ok)
            time.sleep(0.05)
            peer.send(evil)

        def imap4(way):
            def script(peer):
                peer.send("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n")
                tag, _ = self.note(peer)
                way(peer, tag + b" OK begin\r\n",
                    b"* CAPABILITY IMAP4rev1 EVIL\r\n"
                    + tag + b" OK logged in\r\n")
                peer.start_tls(self.back_context)
                while True:
                    tag, _ = self.note(peer)
                    peer.send(tag + b" OK done\r\n")
            return script

        def pop3(way):
            def script(peer):
                peer.send("+OK ready\r\n")
                while True:
                    line = peer.line()
                    self.heard.append(line)
                    if line.upper() == b"STLS":
                        break
                    peer.send("+OK\r\nSTLS\r\nUSER\r\n.\r\n")
                way(peer, b"+OK begin\r\n", b"+OK EVIL\r\n" * 3)
                peer.start_tls(self.back_context)
                while True:
                    self.heard.append(peer.line())
                    peer.send("+OK\r\n")
            return script
        for proto, script in (("imap4", imap4), ("pop3", pop3)):
            for way in (in_one_segment, split, delayed):
                with self.subTest(proto, way=way.__name__):
                    self.heard.clear()
                    self.front_of(script(way), "starttls", proto)
                    if proto == "imap4":
                        self.assertNotIn(b"EVIL", self.refused())
                    else:
                        self.assertRegex(
                            self.pop3().login("alice", "sesame"),
                            rb"^-ERR \[SYS/TEMP\]")
                    self.assertRegex(
                        self.front.wait_log("event=server-failed")[0],
                        "more behind ST|speaks no TLS")
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
        """The OK to STARTTLS comes before STARTTLS was said, with the answer
        to CAPABILITY, whose tag the server knows: nothing follows in
        clear."""
        def script(peer):
            peer.send("* OK ready\r\n")
            tag, rest = self.note(peer)
            assert rest.upper() == b"CAPABILITY", rest
            peer.send(b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + tag
                      + b" OK done\r\n" + (tag + b" OK begin\r\n") * 5)
            with contextlib.suppress(EOFError):
                while True:
                    self.note(peer)
        self.front_of(script, "starttls", ssl_handshake_timeout=1)
        self.refused()
        self.no_password()
        self.assertLessEqual(len(self.heard), 2)

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

    def test_bye_before_tls(self):
        """The server says goodbye, with a word to the user, instead of
        STARTTLS: only that it failed reaches the client."""
        for word in (b"* BYE [ALERT] call 555-EVIL\r\n",
                     b"* BYE [REFERRAL imap://evil.test/] move\r\n"):
            def script(peer, word=word):
                peer.send("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
                self.note(peer)
                peer.send(word)
            self.front_of(script, "starttls")
            self.assertNotRegex(self.refused(), rb"(?i)evil|ALERT|REFERRAL")
            self.no_password()
            self.stop_front()

    def test_stale_capabilities_pop3(self):
        """What the server could before STLS counts no more inside."""
        def script(peer):
            peer.send("+OK ready\r\n")
            inside = False
            while True:
                line = peer.line()
                word = line.split(b" ")[0].upper()
                if inside:
                    self.heard.append(word)
                if word == b"STLS":
                    peer.send("+OK begin\r\n")
                    peer.start_tls(self.back_context)
                    inside = True
                elif word == b"CAPA":
                    peer.send(b"+OK\r\nUSER\r\n.\r\n" if inside else
                              b"+OK\r\nSTLS\r\nSASL PLAIN\r\n"
                              b"EVIL\r\n.\r\n")
                elif word == b"AUTH":
                    peer.send("-ERR not here\r\n")
                else:
                    peer.send("+OK\r\n")
        self.front_of(script, "starttls", "pop3")
        self.assertRegex(self.pop3().login("alice", "sesame"), rb"^\+OK")
        self.assertNotIn(b"AUTH", self.heard)

    def test_hangs_in_the_handshake(self):
        """A refusal, in time, wherever the server falls silent."""
        def implicit(peer):
            peer.wait_end()

        def starttls(peer):
            peer.send("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n")
            tag, _ = self.note(peer)
            peer.send(tag + b" OK begin\r\n")
            peer.wait_end()
        for script in (implicit, starttls):
            with self.subTest(script.__name__):
                self.front_of(script, script.__name__, ssl_handshake_timeout=1)
                self.refused()
                self.front.wait_log("ssl_handshake_timeout")
                self.no_password()
                self.stop_front()

    def test_no_tls_at_all(self):
        """A server in clear where TLS from the first byte is meant."""
        self.front_of(imap_server(note=self.heard), "implicit")
        self.refused()
        self.front.wait_log("speaks no TLS")
        self.no_password()

    def test_pop3(self):
        """STLS refused, not announced."""
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
                ("refused", answering(b"STLS\r\nUSER\r\n", b"-ERR no\r\n"))):
            with self.subTest(name):
                self.heard.clear()
                self.front_of(script, "starttls", "pop3")
                self.assertRegex(self.pop3().login("alice", "sesame"),
                                 rb"^-ERR \[SYS/TEMP\]")
                self.no_password()
                self.stop_front()
