# SPDX-License-Identifier: GPL-2.0-or-later
"""perdition-pbs is killed at random moments while it writes, again and again:
the files must be good for the MTAs, and nothing of what it had heard more than
a second before may be missing.

The environment's PERDITION_KILLS says how often ("make kill-pbs": 1,000).
"""

import array
import fcntl
import os
import random
import signal
import socket
import subprocess
import termios
import time

from harness import TestCase, wait_for
from pair import Pbs, sanitized
from relaydb import RelayDb
from relayload import record

KILLS = int(os.environ.get("PERDITION_KILLS", "20"))
RATE = 5000  # logins a second
TIMEOUT = 6  # seconds that an entry lives
ACKNOWLEDGED = 1  # seconds after which it must not get lost
COARSE = 0.02  # seconds that the daemon's clock, time(2), may be behind
FIXED = "203.0.113.77"  # is let in all the time
TYPES = ("hash", "lmdb", "cdb")


def unread(sock):
    """Whether the peer has something of ours still to read (SIOCOUTQ)."""
    n = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, n)
    return n[0] > 0


def address(n):
    return f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"


class Killed(TestCase):
    def setUp(self):
        super().setUp()
        self.random = random.Random(os.environ.get("PERDITION_SEED", "1"))
        self.pbs = Pbs(self, "socket", {
            "timeout": TIMEOUT, "always": FIXED})
        folder = self.pbs.dir
        self.names = {"hash": str(self.pbs.db),
                      "lmdb": f"lmdb:{folder}/relay.lmdb",
                      "cdb": f"cdb:{folder}/relay.cdb"}
        for name in ("lmdb", "cdb"):
            self.pbs.argv += ["--db_file", self.names[name]]
        self.db = RelayDb(self.pbs.db)
        self.told = []  # when address n was told of; 0: lost, and may be
        self.heard = []  # when the daemon had read address n, at the latest
        self.torn = dict.fromkeys(TYPES, 0)

    def entries(self, kind):
        """The addresses in the file, as a reader finds them that has its
        lock; None when it cannot be read."""
        if kind == "hash":
            try:
                return set(self.db.all())
            except OSError:
                return None
        done = self.pbs.run("list", check=False, db=self.names[kind])
        if done.returncode != 0:
            return None
        return {line.split()[0] for line in done.stdout.splitlines()}

    def tell_until(self, end):
        with socket.socket(socket.AF_UNIX) as sock:
            # The one of the killed daemon may still have the name.
            wait_for("the socket", lambda: sock.connect(str(self.pbs.socket))
                     is None, interval=0.001)
            began, sent = time.monotonic(), 0
            while (now := time.monotonic()) < end:
                due = int((now - began) * RATE)
                n, when = len(self.told), time.time()
                sock.sendall(b"".join(record(address(n + i), int(when))
                                      for i in range(due - sent)))
                self.told += [when] * (due - sent)
                sent = due
                if not unread(sock):
                    self.hear()
                time.sleep(0.002)

    def hear(self):
        self.heard += [time.time()] * (len(self.told) - len(self.heard))

    def due(self, killed, until):
        """What must be there until then, though it was killed."""
        recent = range(max(0, len(self.told) - RATE * TIMEOUT),
                       len(self.heard))
        return {address(n) for n in recent
                if self.told[n] and self.heard[n] < killed - ACKNOWLEDGED
                and int(self.told[n] - COARSE) + TIMEOUT > until}

    def look(self, killed):
        """Every type, after the start."""
        for kind in TYPES:
            have = self.entries(kind)
            self.assertIsNotNone(have, kind)
            self.assertIn(FIXED, have, kind)
            lost = self.due(killed, time.time()) - have
            self.assertEqual(lost, set(), f"{kind}: told of " + ", ".join(
                f"{killed - when:.2f}" for n, when in enumerate(self.heard)
                if address(n) in lost) + " s before the kill")
        # What was in the socket is gone, and stays so.
        self.hear()
        for n in range(len(self.told) - 1, -1, -1):
            if self.told[n] and self.heard[n] < killed - ACKNOWLEDGED:
                break
            if address(n) not in have:
                self.told[n] = 0
        done = subprocess.run(["db5.3_verify", str(self.pbs.db)], text=True,
                              capture_output=True, timeout=20)
        self.assertEqual(done.returncode, 0, done.stderr)

    def one_round(self):
        self.tell_until(time.monotonic() + self.random.uniform(0.02, 0.3))
        os.kill(self.pbs.pid, signal.SIGKILL)
        killed = time.time()
        self.pbs.stop()
        # What the MTAs have until it is back.
        for kind in TYPES:
            have = self.entries(kind)
            if have is None or FIXED not in have:
                self.torn[kind] += 1
        began = time.monotonic()
        self.pbs.start()
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.look(killed)

    def test_files_are_good(self):
        self.slowest = 0
        self.start(self.pbs)
        began = time.monotonic()
        for _ in range(KILLS):
            self.one_round()
        print(f"     {KILLS} kills in {time.monotonic() - began:.0f} s; "
              f"{len(self.told)} logins; slowest start {self.slowest:.2f} s; "
              "torn before the start: "
              + ", ".join(f"{k} {n}" for k, n in self.torn.items()))
        # Types that are never written over while they have the name.
        self.assertEqual((self.torn["lmdb"], self.torn["cdb"]), (0, 0))
        self.assertLessEqual(self.torn["hash"], 1 + KILLS // 100)
        if not sanitized():
            self.assertLess(self.slowest, 10)


class KilledWithJournal(TestCase):
    """The journal is made anew slice by slice: killed meanwhile, or while it
    ends."""

    COUNT = 40000  # entries: ten slices

    def setUp(self):
        super().setUp()
        self.random = random.Random(os.environ.get("PERDITION_SEED", "1"))
        self.lookup = self.dir / "pbs" / "lookup.sock"
        self.pbs = Pbs(self, "socket", {
            "timeout": 3600, "max_new_per_second": 1000000,
            "lookup_socket": self.lookup, "db_changes_per_second": 1})
        self.when = int(time.time()) - 3000
        self.heard = []  # (when, until when all of the entries live)

    def knows(self, addr):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.lookup))
            sock.sendall(f"get {addr}\n".encode())
            return sock.recv(100).startswith(b"yes")

    def is_made(self):
        return any(self.pbs.dir.glob("*.journal.new"))

    def tell_all(self, sock):
        """Each for a second longer; whether a snapshot was begun meanwhile,
        which ends it."""
        self.when += 1
        for first in range(0, self.COUNT, 1000):
            sock.sendall(b"".join(record(address(n), self.when)
                                  for n in range(first, first + 1000)))
            if self.is_made():
                return True
        last = f"198.18.{self.when >> 8 & 255}.{self.when & 255}"
        sock.sendall(record(last, self.when))
        wait_for("the last", lambda: self.knows(last))
        self.heard.append((time.time(), self.when + 3600))
        return False

    def tell_until_snapshot(self):
        with socket.socket(socket.AF_UNIX) as sock:
            wait_for("the socket", lambda: sock.connect(str(self.pbs.socket))
                     is None, interval=0.001)
            if self.tell_all(sock):
                return
            wait_for("it to count", lambda: time.time()
                     > self.heard[-1][0] + ACKNOWLEDGED + COARSE)
            for _ in range(100):
                if self.tell_all(sock):
                    return
        self.fail("no snapshot was begun")

    def kill(self):
        os.kill(self.pbs.pid, signal.SIGKILL)
        killed = time.time()
        self.pbs.stop()
        return killed

    def look(self, killed):
        """After a start: all that it had heard of, and for as long."""
        self.pbs.start()
        self.assertFalse(self.is_made())
        due = max(until for when, until in self.heard
                  if when < killed - ACKNOWLEDGED)
        have = {}
        for line in self.pbs.run("list").stdout.splitlines():
            addr, expires = line.split()[:2]
            have[addr] = int(expires)
        short = [n for n in range(self.COUNT)
                 if not due <= have.get(address(n), 0) <= self.when + 3600]
        self.assertEqual(short, [])
        self.assertNotIn("journal-error", self.pbs.output())

    def rounds(self, end):
        self.start(self.pbs)
        for _ in range(max(3, KILLS // 10)):
            self.tell_until_snapshot()
            end()
            self.look(self.kill())

    def test_in_the_middle_of_a_snapshot(self):
        self.rounds(lambda: None)

    def test_anywhere_in_a_snapshot(self):
        self.rounds(lambda: time.sleep(self.random.uniform(0, 0.1)))

    def test_at_the_end(self):
        def end():
            self.pbs.send_signal(signal.SIGTERM)
            time.sleep(self.random.uniform(0, 0.03))

        self.rounds(end)
