# SPDX-License-Identifier: GPL-2.0-or-later
"""Logins by the thousand, and MTAs that are asked meanwhile: for the test of a
few seconds and for the soak test of minutes.
"""

import collections
import itertools
import socket
import threading
import time

from lineclient import relays

TICK = 0.005  # seconds


def record(addr, when, user="bob"):
    """A login as perdition's log process tells of it."""
    host = f"[{addr}]" if ":" in addr else addr
    return (f"perdition-auth 1 kind=login time={when} session=1 "
            f"protocol=IMAP4 client={host}:999 local=198.51.100.1:143 "
            "client-secure=plaintext server-secure=plaintext "
            f'status=ok authz=NONE user="{user}" server="a:143" '
            'reason="" received=0 sent=0\n').encode()


class Worker(threading.Thread):
    """Calls self.turn() until it is ended; what turn() raises is raised again
    in end()."""

    def __init__(self):
        super().__init__(daemon=True)
        self.ending = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self.ending.is_set():
                self.turn()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def end(self):
        self.ending.set()
        self.join()
        if self.error is not None:
            raise self.error


class Logins(Worker):
    """Logins from ever new addresses of 10.0.0.0/8, rate a second; each makes
    a change, and another one when its time is over."""

    def __init__(self, path, rate):
        super().__init__()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(path))
        self.rate = rate
        self.sent = 0
        self.began = time.monotonic()

    def turn(self):
        due = int((time.monotonic() - self.began) * self.rate)
        when = int(time.time())
        self.sock.sendall(b"".join(
            record(f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}", when)
            for n in range(self.sent, due)))
        self.sent = max(self.sent, due)
        time.sleep(TICK)

    def end(self):
        super().end()
        self.sock.close()


class Asker(Worker):
    """One session after the other with one MTA: from addresses that may relay
    all the time and from others that never may, in turn."""

    def __init__(self, port, may, may_not, host="127.0.0.1"):
        super().__init__()
        self.host, self.port = host, port
        self.sources = itertools.cycle(
            [(addr, good) for pair in zip(may, may_not)
             for addr, good in zip(pair, (True, False))])
        self.sessions = 0
        self.wrong = collections.Counter()  # {(may relay, answer): times}

    def turn(self):
        source, may = next(self.sources)
        answer = relays(self.host, self.port, source)
        self.sessions += 1
        if not is_right(answer, may):
            self.wrong[may, answer.replace(source, "CLIENT")] += 1


def is_right(answer, may):
    """A temporary failure never is."""
    return answer.startswith(("250 ",) if may else ("550 ", "554 "))
