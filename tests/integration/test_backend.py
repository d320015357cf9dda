# SPDX-License-Identifier: GPL-2.0-or-later
"""Real-servers that answer oddly, late or never."""

import socket
import threading
import time

from fakeserver import FakeServer, imap_server, pop3_server
from harness import TestCase, free_port, wait_for
from lineclient import Imap, Pop3
from pair import Perdition

FRONT = "127.0.0.1"


class Odd(TestCase):
    def server(self, script, **kwargs):
        server = FakeServer(script, **kwargs)
        self.addCleanup(server.close)
        return server

    def front_of(self, *addresses, proto="imap4", values=None):
        self.port = free_port(FRONT)
        self.front = self.start(Perdition(
            self, [(proto, FRONT, self.port)], None,
            {"outgoing_server": ",".join(addresses), **(values or {})}))

    def imap(self):
        client = Imap(FRONT, self.port)
        self.addCleanup(client.close)
        return client

    def login(self, user="alice", password="secret"):
        with Imap(FRONT, self.port) as client:
            return client.login(user, password)[0]

    def pop3(self):
        client = Pop3(FRONT, self.port)
        self.addCleanup(client.close)
        return client


class Imap4(Odd):
    def test_dead_first_candidate(self):
        """The next is tried within the same login, and the client never
        learns."""
        dead = f"127.0.0.1:{free_port()}"
        good = self.server(imap_server())
        self.front_of(dead, good.address)
        for _ in range(6):
            self.assertRegex(self.login(), rb"^OK ")
        self.assertEqual(good.connections, 6)
        line = self.front.wait_log("Auth: ")[0]
        self.assertIn(f'server="{good.address}"', line)

    def test_candidates_that_are_no_servers(self):
        """BYE, a greeting that is none, PREAUTH, an end, silence: the next."""
        bad = {
            "bye": lambda p: p.send("* BYE overloaded\r\n"),
            "preauth": lambda p: (p.send("* PREAUTH come in\r\n"),
                                  p.wait_end()),
            "ends": lambda p: None,
            "http": lambda p: (p.send("HTTP/1.1 400 Bad\r\n\r\n"),
                               p.wait_end()),
            "hangs": lambda p: p.wait_end(),
            "endless line": lambda p: [p.send(b"x" * 60000)
                                       for _ in range(5)],
        }
        good = self.server(imap_server())
        for name, script in bad.items():
            with self.subTest(name):
                odd = self.server(script)
                self.front_of(odd.address, good.address,
                              values={"server_timeout": 1})
                for _ in range(2):
                    self.assertRegex(self.login(), rb"^OK ")
                self.assertGreaterEqual(odd.connections, 1)
                self.front.stop()

    def test_round_robin_over_all_workers(self):
        servers = [self.server(imap_server()) for _ in range(3)]
        self.front_of(*(s.address for s in servers), values={"workers": 3})
        for _ in range(30):
            self.assertRegex(self.login(), rb"^OK ")
        self.assertEqual([s.connections for s in servers], [10, 10, 10])

    def test_all_dead_is_temporary(self):
        self.front_of(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")
        client = self.imap()
        for _ in range(2):
            status, _ = client.login("alice", "secret")
            self.assertRegex(status, rb"^NO \[UNAVAILABLE\]")
        line = self.front.wait_log("Auth: ")[0]
        self.assertIn('status="failed: Could not connect to server"', line)

    def test_untagged_lines_and_odd_tags(self):
        def script(peer):
            peer.send("* OK ready\r\n")
            while True:
                tag, rest = peer.command()
                if rest.upper().startswith(b"LOGIN"):
                    peer.send(b"* 1 EXISTS\r\n* OK [ALERT] hello\r\n"
                              b"zzz OK not yours\r\n* NO [NOTE] no matter\r\n"
                              b"* CAPABILITY IMAP4rev1 XODD\r\n")
                    peer.send(tag + b" OK done\r\n")
                elif rest.upper().startswith(b"CAPABILITY"):
                    peer.send(b"* CAPABILITY IMAP4rev1 XODD\r\n" + tag
                              + b" OK\r\n")
                else:
                    peer.send(tag + b" OK done\r\n")
        self.front_of(self.server(script).address)
        client = self.imap()
        self.assertRegex(client.login("alice", "secret")[0], rb"^OK ")
        self.assertIn(b"XODD", client.command("CAPABILITY")[1][0])

    def test_reasons_of_a_no(self):
        """A temporary one is not told as a wrong password; codes are passed
        on."""
        for answer, want in (
                (b"NO wrong", rb"^NO (?!\[UNAVAILABLE\])"),
                (b"NO [AUTHENTICATIONFAILED] no",
                 rb"^NO \[AUTHENTICATIONFAILED\]"),
                (b"NO [UNAVAILABLE] later", rb"^NO \[UNAVAILABLE\]"),
                (b"NO [EXPIRED] change it", rb"^NO \[EXPIRED\]"),
                (b"NO [INUSE] locked", rb"^NO \[INUSE\]"),
                (b"BAD what", rb"^NO ")):
            with self.subTest(answer):
                server = self.server(imap_server(login=answer))
                self.front_of(server.address)
                client = self.imap()
                self.assertRegex(client.login("alice", "wrong")[0], want)
                # Free to try again.
                self.assertRegex(client.command("NOOP")[0], rb"^OK")
                client.close()
                self.front.stop()

    def test_a_password_is_said_to_one_server_only(self):
        """One that has been told it and then hangs, or hangs up, ends the
        login: trying the next could lock the account."""
        def hangs_up(peer):
            peer.send("* OK ready\r\n")
            while b"LOGIN" not in peer.command()[1].upper():
                pass
        other = self.server(imap_server())
        for name, script in (("hangs up", hangs_up),
                             ("hangs", lambda p: (hangs_up(p), p.wait_end()))):
            with self.subTest(name):
                first = self.server(script)
                self.front_of(first.address, values={"server_timeout": 1})
                self.assertRegex(self.login(), rb"^NO \[UNAVAILABLE\]")
                self.assertEqual(first.connections, 1)
                self.front.stop()
        self.assertEqual(other.connections, 0)

    def test_odd_names_and_passwords_arrive(self):
        note = []
        server = self.server(imap_server(note=note))
        self.front_of(server.address)
        for user, password in ((b"al ice", b"se cret"), (b'"', b"\\"),
                               (b"{3}", b"{3+}"), ("ä".encode(), b"\xff\xfe"),
                               (b"%s%n", b"*"), (b"a" * 250, b"b" * 250)):
            client = self.imap()
            note.clear()
            client.send(b"a LOGIN {%d+}\r\n%s {%d+}\r\n%s\r\n"
                        % (len(user), user, len(password), password))
            self.assertRegex(client.finish(b"a")[0], rb"^OK ")
            said = [n for n in note if n.upper().startswith(b"LOGIN")]
            self.assertEqual(len(said), 1)
            self.assertEqual(_arguments(said[0][6:]), [user, password])

    def test_what_the_server_says_behind_its_ok(self):
        def then(peer):
            peer.send("* 3 EXISTS\r\n* OK [ALERT] behind\r\n")
            peer.wait_end()

        def script(peer):
            peer.send("* OK ready\r\n")
            while True:
                tag, rest = peer.command()
                if rest.upper().startswith(b"LOGIN"):
                    # One segment: the session must not lose what follows.
                    peer.send(tag + b" OK [CAPABILITY IMAP4rev1] in\r\n"
                              b"* 3 EXISTS\r\n")
                    then(peer)
                else:
                    peer.send(tag + b" OK\r\n")
        self.front_of(self.server(script).address)
        client = self.imap()
        self.assertRegex(client.login("alice", "secret")[0], rb"^OK ")
        self.assertEqual(client.readline(), b"* 3 EXISTS")
        self.assertEqual(client.readline(), b"* 3 EXISTS")
        self.assertEqual(client.readline(), b"* OK [ALERT] behind")

    def test_closing_at_once_after_the_login(self):
        server = self.server(imap_server(then=lambda p: None))
        self.front_of(server.address)
        client = self.imap()
        self.assertRegex(client.login("alice", "secret")[0], rb"^OK ")
        self.assertTrue(client.at_end())
        self.front.wait_log("Closing session: ")

    def test_half_closed_client_gets_its_answer(self):
        def then(peer):
            peer.wait_end()
            peer.send(b"y" * 300000 + b"\r\n")
        self.front_of(self.server(imap_server(then=then)).address)
        client = self.imap()
        client.login("alice", "secret")
        client.sock.shutdown(socket.SHUT_WR)
        self.assertEqual(len(client.readline()), 300000)
        self.assertTrue(client.at_end())

    def test_back_pressure(self):
        """A client that does not read does not fill perdition's memory."""
        sent = []

        def then(peer):
            peer.sock.settimeout(1)
            block = b"z" * 65536
            try:
                while sum(sent) < 200 << 20:
                    sent.append(peer.sock.send(block))
            except TimeoutError:
                pass
        self.front_of(self.server(imap_server(then=then)).address)
        client = self.imap()
        client.login("alice", "secret")
        wait_for("the server being held up",
                 lambda: sent and _still(sent), 20, 0.3)
        total = sum(sent)
        self.assertLess(total, 50 << 20)
        got = 0
        client.sock.settimeout(20)
        while got < total:
            got += len(client.sock.recv(1 << 20))

    def test_loop_is_noticed(self):
        """Two proxies that point at each other."""
        a, b = free_port(FRONT), free_port(FRONT)
        fronts = [self.start(Perdition(
            self, [("imap4", FRONT, me)], None,
            {"outgoing_server": f"{FRONT}:{other}", "server_timeout": 5},
            name=name)) for name, me, other in (("a", a, b), ("b", b, a))]
        with Imap(FRONT, a) as client:
            began = time.monotonic()
            status, _ = client.login("alice", "secret")
            self.assertRegex(status, rb"^NO ")
            self.assertLess(time.monotonic() - began, 20)
            self.assertRegex(client.command("NOOP")[0], rb"^OK")
        lines = [x for f in fronts for x in f.log_lines("Connect:")]
        # The checks for readiness are connections, too.
        self.assertLess(len(lines), 40)
        wait_for("a word about the loop",
                 lambda: [x for f in fronts for x in f.log_lines("loop")])

    def test_itself_as_the_server(self):
        self.port = free_port(FRONT)
        self.front = self.start(Perdition(
            self, [("imap4", FRONT, self.port)], None,
            {"outgoing_server": f"{FRONT}:{self.port}"}))
        self.assertRegex(self.login(), rb"^NO ")

    def test_slow_server_holds_up_nobody_else(self):
        """One worker, one lookup process: nothing blocks."""
        gate = threading.Event()
        self.addCleanup(gate.set)

        def slow(peer):
            peer.send("* OK ready\r\n")
            while True:
                tag, rest = peer.command()
                if b"slow" in rest:
                    gate.wait(20)
                peer.send(tag + b" OK done\r\n")
        self.front_of(self.server(slow).address, values={
            "workers": 1, "lookup_processes": 1})
        waiting = self.imap()
        waiting.send(b"a LOGIN slow secret\r\n")
        for _ in range(5):
            self.assertRegex(self.login("quick"), rb"^OK ")
        self.assertTrue(waiting.silent_for(0.1))
        gate.set()
        self.assertRegex(waiting.finish(b"a")[0], rb"^OK ")


class Pop3Server(Odd):
    def test_reasons(self):
        for answer, want in (
                (b"-ERR wrong", rb"^-ERR"),
                (b"-ERR [AUTH] wrong", rb"^-ERR \[AUTH\]"),
                (b"-ERR [IN-USE] locked", rb"^-ERR \[IN-USE\]"),
                (b"-ERR [SYS/TEMP] later", rb"^-ERR \[SYS/TEMP\]")):
            with self.subTest(answer):
                server = self.server(pop3_server(login=answer))
                self.front_of(server.address, proto="pop3")
                client = self.pop3()
                self.assertRegex(client.login("alice", "wrong"), want)
                self.assertRegex(client.command("NOOP"), rb"^(\+OK|-ERR)")
                client.close()
                self.front.stop()

    def test_dead_ones(self):
        bye = self.server(lambda p: p.send("-ERR not now\r\n"))
        good = self.server(pop3_server())
        self.front_of(f"127.0.0.1:{free_port()}", bye.address, good.address,
                      proto="pop3")
        for _ in range(4):
            self.assertRegex(self.pop3().login("alice", "secret"), rb"^\+OK")
        self.assertEqual(good.connections, 4)

    def test_all_dead(self):
        self.front_of(f"127.0.0.1:{free_port()}", proto="pop3")
        self.assertRegex(self.pop3().login("alice", "secret"),
                         rb"^-ERR \[SYS/TEMP\]")

    def test_password_with_spaces(self):
        note = []
        self.front_of(self.server(pop3_server(note=note)).address,
                      proto="pop3")
        self.pop3().login("alice", "  a  b ")
        self.assertIn(b"PASS   a  b ", note)


def _still(sent):
    before = sum(sent)
    time.sleep(0.25)  # nothing to wait for: that nothing comes is the point
    return sum(sent) == before


def _arguments(text):
    """IMAP strings, of any form."""
    found = []
    while text:
        if text.startswith(b'"'):
            value, i = b"", 1
            while text[i:i + 1] != b'"':
                i += text[i:i + 1] == b"\\"
                value += text[i:i + 1]
                i += 1
            text = text[i + 1:]
        elif text.startswith(b"{") and b"}\r\n" in text:
            size, _, rest = text[1:].partition(b"}\r\n")
            size = int(size.rstrip(b"+"))
            value, text = rest[:size], rest[size:]
        else:
            value, _, text = text.partition(b" ")
            text = b" " + text if text else text
        found.append(value)
        text = text.removeprefix(b" ")
    return found


class Sources(Odd):
    def test_bind_addresses(self):
        """Connections come from the addresses that were named, in turn; one
        that the host does not have is told and does no harm."""
        seen = []

        def script(peer):
            seen.append(peer.sock.getpeername()[0])
            imap_server()(peer)
        server = self.server(script)
        self.front_of(server.address, values={
            "workers": 1, "outgoing_bind_address":
            "127.0.0.31,127.0.0.32,::1,203.0.113.1"})
        for _ in range(6):
            self.assertRegex(self.login(), rb"^OK ")
        self.assertEqual(set(seen), {"127.0.0.31", "127.0.0.32"})
        for address in ("127.0.0.31", "127.0.0.32"):
            self.assertGreaterEqual(seen.count(address), 2)
        line = self.front.wait_log("option=outgoing_bind_address")
        self.assertEqual(len(line), 1)
        self.assertIn("203.0.113.1", line[0])
