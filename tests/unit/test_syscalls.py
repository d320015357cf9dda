#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How many system calls of a worker a login costs: nearly all of its time is
spent in them, and unlike time they can be counted.  A change that needs more
says here why."""

import collections
import os
import re
import signal
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
from test_perdition_run import (PROGRAM, Case, RealServer,  # noqa: E402
                                connect, wait_for)

WARM, LOGINS = 10, 100

# One client after the other, the dearest way: nothing is done for two at once.
# recvfrom: LOGIN, the map's answer, greeting, capabilities and OK of the
# server, LOGOUT and its answer, two ends, and one that finds nothing.
# sendto: greeting, CAPABILITY and LOGIN to the server, OK, LOGOUT and its
# answer, and the lines of the log.
MOST = {
    "accept4": 2, "socket": 1, "connect": 1, "close": 2, "setsockopt": 1,
    "recvfrom": 10, "sendto": 9, "sendmmsg": 1, "epoll_ctl": 3, "shutdown": 1,
    "epoll_wait": 20,
}
MOST_IN_ALL = 52


class Syscalls(Case):
    def setUp(self):
        super().setUp()
        self.real = RealServer()

    def tearDown(self):
        self.real.socket.close()
        super().tearDown()

    def login(self):
        s, f = connect(self.port)
        with s, f:
            self.assertIn(b"* OK", f.readline())
            s.sendall(b"a LOGIN alice secret\r\n")
            line = f.readline()
            while not line.startswith(b"a "):
                line = f.readline()
            self.assertIn(b"a OK", line)
            s.sendall(b"b LOGOUT\r\n")
            self.assertIn(b"b OK", f.readline())

    def calls(self):
        """Of the worker, {name: per login}."""
        self.write_conf("no_daemon", "no_lookup")
        with open(self.conf, "r+", encoding="ascii") as f:
            text = f.read().replace("workers 2", "workers 1").replace(
                "127.0.0.1:1\n", "127.0.0.1:%d\n" % self.real.port)
            f.seek(0)
            f.truncate()
            f.write(text)
        trace = os.path.join(self.dir, "trace")
        tracer = subprocess.Popen(
            ["strace", "-ff", "-qq", "-o", trace, PROGRAM, "-f", self.conf],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        try:
            self.logged("event=started")
            for _ in range(WARM + LOGINS + 1):
                self.login()
            with open(self.pid_file, encoding="ascii") as f:
                master = int(f.read())
            os.kill(master, signal.SIGTERM)
            wait_for(lambda: tracer.poll() is not None, "the end")
        finally:
            tracer.kill()
            tracer.wait()
        for name in os.listdir(self.dir):
            if not name.startswith("trace."):
                continue
            with open(os.path.join(self.dir, name), encoding="utf-8",
                      errors="replace") as f:
                found = self.per_login(f.readlines())
            if found:
                return found
        self.fail("no process has accepted all clients")

    def per_login(self, lines):
        """From one client's beginning to another's, some time later."""
        begins = [n for n, x in enumerate(lines)
                  if re.match(r"accept4\(.* = \d+$", x)]
        if len(begins) < WARM + LOGINS:
            return None
        names = collections.Counter(
            re.match(r"\w+", x)[0] for x in lines[begins[WARM]:begins[
                WARM + LOGINS - 1]] if re.match(r"\w+\(", x))
        return {x: n / (LOGINS - 1) for x, n in names.items()}

    def test_login(self):
        found = self.calls()
        table = "\n".join("%-12s %6.2f" % (x, n) for n, x in sorted(
            ((n, x) for x, n in found.items()), reverse=True))
        print("System calls of a worker for a login:\n" + table)
        for name, most in MOST.items():
            self.assertLessEqual(found.get(name, 0), most + 0.2, table)
        self.assertLessEqual(sum(found.values()), MOST_IN_ALL, table)
        # It was a login that was counted.
        self.assertGreaterEqual(found.get("connect", 0), 0.9, table)


def sanitized():
    with open("../../config.h", encoding="ascii") as f:
        return "#define SANITIZE" in f.read()


if __name__ == "__main__":
    if sanitized():
        print("not counted with sanitizers: they make calls of their own")
        sys.exit(0)
    if subprocess.run(["strace", "-V"], check=False,
                      capture_output=True).returncode != 0:
        print("strace is not there")
        sys.exit(77)
    sys.exit(not unittest.main(exit=False).result.wasSuccessful())
