# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits on connections, and time limits."""

import time

from addresses import CLIENTS4
from fakeserver import FakeServer, imap_server
from harness import DEADLINE, TestCase, free_port, wait_for
from lineclient import Closed, Imap, LineClient, Pop3
from pair import Perdition

FRONT = "127.0.0.1"


class Limits(TestCase):
    def front(self, proto="imap4", **values):
        self.server = FakeServer(imap_server())
        self.addCleanup(self.server.close)
        self.port = free_port()
        self.daemon = self.start(Perdition(
            self, [(proto, FRONT, self.port)], None,
            {"outgoing_server": self.server.address, "workers": 2, **values}))
        # The readiness check's own connection must be gone.
        self.daemon.wait_log("Closing NULL session: ")

    def connect(self, source=None):
        client = Imap(FRONT, self.port, source)
        self.addCleanup(client.close)
        return client

    def accepted(self, source=None):
        """Whether one more gets in; the client, or None."""
        try:
            client = self.connect(source)
        except (Closed, ConnectionResetError):
            return None
        if client.greeting.startswith(b"* OK"):
            return client
        self.assertRegex(client.greeting, rb"^\* BYE")
        self.assertTrue(client.at_end())
        return None

    def test_connections_in_all(self):
        self.front(connection_limit=10)
        held = [self.accepted() for _ in range(10)]
        self.assertTrue(all(held))
        self.assertIsNone(self.accepted())
        self.assertRegex(held[0].login("alice", "secret")[0], rb"^OK ")
        self.assertIsNone(self.accepted())
        held.pop().close()
        held.pop(0).close()
        wait_for("room", self.accepted)
        wait_for("room", self.accepted)
        self.assertIsNone(self.accepted())

    def test_connections_of_an_address(self):
        self.front(connection_limit_per_address=3)
        a, b = CLIENTS4[:2]
        held = [self.accepted(a) for _ in range(3)]
        self.assertTrue(all(held))
        self.assertIsNone(self.accepted(a))
        self.assertTrue(all([self.accepted(b) for _ in range(3)]))
        self.assertIsNone(self.accepted(b))
        held.pop().close()
        wait_for("room", lambda: self.accepted(a))

    def test_silence_before_the_login(self):
        self.front(authenticate_timeout=1)
        began = time.monotonic()
        client = self.connect()
        self.assertRegex(client.readline(), rb"^\* BYE")
        self.assertTrue(client.at_end())
        self.assertGreater(time.monotonic() - began, 0.7)

    def test_time_for_the_login(self):
        """Talking without logging in is no way round it."""
        self.front(login_time=2)
        began = time.monotonic()
        client = self.connect()
        try:
            while time.monotonic() - began < DEADLINE:
                status, untagged = client.command("NOOP")
                if any(u.startswith(b"* BYE") for u in untagged):
                    break
                time.sleep(0.1)  # a slow talker
        except (Closed, OSError):
            pass
        took = time.monotonic() - began
        self.assertGreater(took, 1.5)
        self.assertLess(took, DEADLINE)

    def test_login_time_does_not_end_a_session(self):
        self.front(login_time=4)
        client = self.connect()
        client.login("alice", "secret")
        self.assertTrue(client.silent_for(5.5))
        self.assertRegex(client.command("NOOP")[0], rb"^OK")

    def test_idle_session(self):
        self.front(timeout=3)
        client = self.connect()
        client.login("alice", "secret")
        begin = time.monotonic()
        while time.monotonic() - begin < 4.5:
            began = time.monotonic()
            self.assertRegex(client.command("NOOP")[0], rb"^OK")
            time.sleep(0.2)  # not idle
        while client.sock.recv(4096):
            pass
        self.assertGreater(time.monotonic() - began, 2.7)
        self.daemon.wait_log("Closing session: ")

    def test_delay_after_a_failure_is_no_sleep(self):
        server = FakeServer(imap_server(login=b"NO [AUTHENTICATIONFAILED] no"))
        self.addCleanup(server.close)
        self.front(failure_delay=4, workers=1,
                   outgoing_server=server.address)
        slow, quick = self.connect(), self.connect()
        began = time.monotonic()
        slow.send(b"a LOGIN alice wrong\r\n")
        for _ in range(5):
            self.assertRegex(quick.command("NOOP")[0], rb"^OK")
        self.assertLess(time.monotonic() - began, 3.9)
        self.assertRegex(slow.finish(b"a")[0], rb"^NO ")
        self.assertGreater(time.monotonic() - began, 3.9)

    def test_many_bad_commands_end_the_session(self):
        self.front()
        client = self.connect()
        client.send(b"a FROBNICATE\r\n" * 1000)
        with self.assertRaises((Closed, OSError)):
            for _ in range(1000):
                client.readline()

    def test_long_lines_and_literals_are_bounded(self):
        self.front()
        for text in (b"a LOGIN " + b"x" * (1 << 20),
                     b"a LOGIN {999999999999}\r\n",
                     b"a LOGIN {4000000+}\r\n" + b"x" * 4000000,
                     b"x" * 100000 + b"\r\n", b"\0\r\n" * 100):
            client = self.connect()
            try:
                client.send(text + b"\r\nb NOOP\r\n")
                while not client.readline().startswith(b"b "):
                    pass
            except (Closed, OSError):
                pass
            client.close()
        self.assertRegex(self.connect().login("alice", "secret")[0], rb"^OK")

    def test_http_is_no_mail(self):
        self.front()
        client = LineClient(FRONT, self.port)
        self.addCleanup(client.close)
        client.readline()
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\n\r\na LOGIN b c\r\n")
        with self.assertRaises((Closed, OSError)):
            for _ in range(100):
                self.assertNotRegex(client.readline(), rb"^a OK")

    def test_pop3_idle(self):
        self.front("pop3", authenticate_timeout=1)
        client = Pop3(FRONT, self.port)
        self.addCleanup(client.close)
        while client.sock.recv(4096):
            pass
