# SPDX-License-Identifier: GPL-2.0-or-later
"""perdition-pbs is killed at random moments while it writes, again and again:
the files must be good for the MTAs, and nothing of what it had heard more than
a second before may be missing.

The environment's PERDITION_KILLS says how often ("make kill-pbs": 1,000).
"""

import os
import random
import signal
import socket
import subprocess
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
                time.sleep(0.002)

    def due(self, killed, until):
        """What must be there until then, though it was killed."""
        recent = range(max(0, len(self.told) - RATE * TIMEOUT),
                       len(self.told))
        return {address(n) for n in recent
                if self.told[n] < killed - ACKNOWLEDGED
                and int(self.told[n] - COARSE) + TIMEOUT > until}

    def look(self, killed):
        """Every type, after the start."""
        for kind in TYPES:
            have = self.entries(kind)
            self.assertIsNotNone(have, kind)
            self.assertIn(FIXED, have, kind)
            lost = self.due(killed, time.time()) - have
            self.assertEqual(lost, set(), f"{kind}: told of " + ", ".join(
                f"{killed - when:.2f}" for n, when in enumerate(self.told)
                if address(n) in lost) + " s before the kill")
        # What was in the socket is gone, and stays so.
        for n in range(len(self.told) - 1, -1, -1):
            if 0 < self.told[n] < killed - ACKNOWLEDGED:
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
