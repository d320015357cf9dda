# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes through TLS in both directions at once, with readers that pause; and
what a session holds while nothing passes."""

import contextlib
import random
import ssl
import threading
import time

from fakeserver import imap_server
from harness import own_kib, wait_for
from pair import sanitized
from tlstest import TlsTestCase

BACK = "127.0.0.11"
SIZE = 5 * 1024 * 1024


def echo(peer):
    """Sends back what it gets, in pieces of other sizes."""
    chance = random.Random(3)
    while True:
        data = peer.sock.recv(chance.randrange(1, 40000))
        if not data:
            return
        peer.sock.sendall(data)


class Relay(TlsTestCase):
    def setUp(self):
        super().setUp()
        self.after = echo  # the login
        context = self.server_context(self.authority.issue("back", [BACK]))
        script = imap_server(then=lambda peer: self.after(peer))

        def tls(peer):
            peer.start_tls(context)
            script(peer)
        self.plain = self.server(script, host=BACK)
        self.secure = self.server(tls, host=BACK)
        self.start_front(
            [("imap4", ""), ("imap4s", "")], popmap=(
                f"^plain$: {self.plain.address}\n"
                f"^tls$: imaps://{self.secure.address}\n"))

    def session(self, way_in, user, **kwargs):
        client = self.imap(1, tls=self.context(**kwargs)) \
            if way_in == "tls" else self.imap(0)
        self.assertRegex(client.login(user, "sesame")[0], rb"^OK ")
        return client

    def test_both_ways_at_once(self):
        data = random.Random(5).randbytes(SIZE)
        for way_in, out, version in (
                ("plain", "plain", None),
                ("tls", "plain", ssl.TLSVersion.TLSv1_3),
                ("plain", "tls", None),
                ("tls", "tls", ssl.TLSVersion.TLSv1_3),
                ("tls", "tls", ssl.TLSVersion.TLSv1_2)):
            with self.subTest(way_in=way_in, out=out, version=version):
                client = self.session(way_in, out, maximum=version)
                self.exchange(client, data)
                client.close()

    def exchange(self, client, data):
        """All of it out, by a thread, and the same back, with pauses."""
        chance = random.Random(7)

        def send():
            at = 0
            while at < len(data):
                n = chance.randrange(1, 100000)
                client.sock.sendall(data[at:at + n])
                at += n
        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        time.sleep(0.2)  # so that everything in between is full
        got = [client.pending]
        have = len(client.pending)
        pauses = 0
        while have < len(data):
            piece = client.sock.recv(65536)
            self.assertTrue(piece)
            got.append(piece)
            have += len(piece)
            if have > pauses * SIZE // 8:
                pauses += 1
                time.sleep(0.02)
        thread.join(30)
        self.assertTrue(b"".join(got) == data)

    def test_the_server_ends(self):
        """The client has all that was sent before the end, and is told that it
        is the end (close_notify)."""
        data = random.Random(9).randbytes(300000)
        self.after = lambda peer: peer.send(data)
        for out in ("plain", "tls"):
            client = self.session("tls", out)
            got = client.pending
            while piece := client.sock.recv(65536):
                got += piece
            self.assertTrue(got == data)

    def test_the_client_ends(self):
        """What it sent last still reaches the server."""
        heard = []

        def listen(peer):
            with contextlib.suppress(OSError):
                while data := peer.sock.recv(65536):
                    heard.append(data)
            heard.append(b"end")
        self.after = listen
        for out in ("plain", "tls"):
            heard.clear()
            client = self.session("tls", out)
            client.send(b"x LOGOUT\r\n")
            with contextlib.suppress(OSError):
                client.sock.unwrap()
            client.close()
            wait_for("the end", lambda: heard and heard[-1] == b"end")
            self.assertEqual(b"".join(heard), b"x LOGOUT\r\nend")

    def test_idle_sessions_hold_no_buffers(self):
        """A record's buffers, 34 KiB, are there while bytes pass, and no
        longer."""
        def memory():
            return sum(map(own_kib, self.front.roles()["worker"]))

        def more(count, way_in, out):
            for _ in range(count):
                client = self.session(way_in, out)
                client.send(b"x" * 5000)
                client.read(5000)
        for way_in, out, most in (("tls", "plain", 30), ("plain", "tls", 30),
                                  ("tls", "tls", 55)):
            with self.subTest(way_in=way_in, out=out):
                more(60, way_in, out)
                before = memory()
                more(100, way_in, out)
                each = (memory() - before) / 100
                if not sanitized():  # which keeps for a while what was freed
                    self.assertLess(each, most)
