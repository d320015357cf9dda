# SPDX-License-Identifier: GPL-2.0-or-later
"""Two thousand sessions at once on the default configuration."""

import selectors
import socket

from harness import TestCase, children, free_port, pss_kib
from lineclient import Imap
from pair import Perdition, sanitized

FRONT = "127.0.0.1"
SESSIONS = 200 if sanitized() else 2000
LIMIT_KIB = 40 * 1024


class LightServer:
    """An IMAP server for thousands of sessions, in a process of its own, so
    that it is not the tests' descriptors that run out."""

    def __init__(self):
        import os
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.sock.getsockname()[1]
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._serve()
            finally:
                os._exit(0)
        self.sock.close()

    def close(self):
        import os
        import signal
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def _serve(self):
        selector = selectors.DefaultSelector()
        selector.register(self.sock, selectors.EVENT_READ)
        kept = {}
        while True:
            for key, _ in selector.select():
                if key.fileobj is self.sock:
                    sock, _ = self.sock.accept()
                    kept[sock] = b""
                    sock.sendall(b"* OK [CAPABILITY IMAP4rev1] light\r\n")
                    selector.register(sock, selectors.EVENT_READ)
                    continue
                sock = key.fileobj
                data = sock.recv(8192)
                if not data:
                    selector.unregister(sock)
                    kept.pop(sock)
                    sock.close()
                    continue
                *lines, kept[sock] = (kept[sock] + data).split(b"\r\n")
                for line in lines:
                    tag = line.split(b" ")[0]
                    sock.sendall(b"* CAPABILITY IMAP4rev1\r\n" + tag
                                 + b" OK done\r\n")


class Memory(TestCase):
    def test_sessions(self):
        server = LightServer()
        self.addCleanup(server.close)
        port = free_port()
        front = self.start(Perdition(
            self, [("imap4", FRONT, port)], f".*: 127.0.0.1:{server.port}\n"))
        held = []
        self.addCleanup(lambda: [c.close() for c in held])
        for i in range(SESSIONS):
            client = Imap(FRONT, port, f"127.0.{1 + i // 200}.{1 + i % 200}")
            client.send(b"a LOGIN alice secret\r\n")
            held.append(client)
            if len(held) % 50 == 0:
                for one in held[-50:]:
                    self.assertRegex(one.finish(b"a")[0], rb"^OK ")
        for client in held:
            client.send(b"b NOOP\r\n")
        for client in held:
            self.assertRegex(client.finish(b"b")[0], rb"^OK ")
        pids = [front.pid, *children(front.pid)]
        total = sum(map(pss_kib, pids))
        print(f"     {SESSIONS} sessions: {total / 1024:.1f} MiB PSS in "
              f"{len(pids)} processes")
        if not sanitized():
            self.assertLess(total, LIMIT_KIB)
