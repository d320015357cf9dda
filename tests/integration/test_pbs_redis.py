# SPDX-License-Identifier: GPL-2.0-or-later
"""perdition-pbs on three hosts whose clocks differ, which share who may relay
through a real Redis."""

import pathlib
import signal
import socket
import time

import pki
from harness import TestCase, sanitizer_env, wait_for
from pair import Pbs, options, program, sanitized
from redisserver import Redis, RedisError, Sentinel
from relaydb import RelayDb

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
# A sanitizer's runtime has to be the first that is loaded.
SKEWS = (0, 0, 0) if sanitized() else (0, 280, -340)


def record(addr, user="bob", when=None):
    user = user.replace("\\", "\\\\").replace('"', '\\"')
    host = f"[{addr}]" if ":" in addr else addr
    return (f"perdition-auth 1 kind=login time={int(when or time.time())} "
            f"session=1 protocol=IMAP4 client={host}:999 "
            "local=198.51.100.1:143 client-secure=plaintext "
            f'server-secure=plaintext status=ok authz=NONE user="{user}" '
            'server="a:143" reason="" received=0 sent=0\n').encode()


class Host(Pbs):
    """A perdition-pbs whose clock is some seconds ahead of ours."""

    def __init__(self, test, name, skew=0, **values):
        holder = test.subdir(name)
        self.test, self.skew = test, skew

        class Place:  # its own directory, as a host has its own disk
            dir = holder
            reports = test.reports

            @staticmethod
            def subdir(*args, **kwargs):
                return TestCase.subdir(Place, *args, **kwargs)

        super().__init__(Place, "socket", {"debug": True, **values})
        self.name = name
        self.relay = RelayDb(self.db)
        if skew:
            self.env.update(LD_PRELOAD=FAKETIME, FAKETIME=f"{skew:+d}s",
                            FAKETIME_DONT_FAKE_MONOTONIC="1",
                            NO_FAKE_STAT="1")

    def now(self):
        return time.time() + self.skew

    def login(self, *addresses, user="bob", ago=0):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.socket))
            sock.sendall(b"".join(record(a, user, self.now() - ago)
                                  for a in addresses))

    def has(self, addr):
        return self.relay.get(addr) is not None

    def left(self, addr):
        return int(self.relay.get(addr)) - self.now()

    def wait_has(self, *addresses, deadline=20):
        for addr in addresses:
            wait_for(f"{addr} on {self.name}", lambda a=addr: self.has(a),
                     deadline, 0.002)

    def wait_gone(self, addr, deadline=20):
        wait_for(f"{addr} gone from {self.name}",
                 lambda: not self.has(addr), deadline, 0.002)

    def wait_log(self, text, count=1):
        wait_for(f"{count} x {text!r} in the log of {self.name}",
                 lambda: self.output().count(text) >= count)


class SharedTestCase(TestCase):
    def setUp(self):
        super().setUp()
        self.n = 0

    def fresh(self):
        self.n += 1
        return f"198.18.{self.n >> 8}.{self.n & 255}"

    def start_hosts(self, skews=SKEWS, **values):
        self.hosts = []
        for i, skew in enumerate(skews):
            host = Host(self, f"mx{i + 1}", skew, **values)
            self.start(host)
            host.wait_log("event=redis-up")
            self.hosts.append(host)
        return self.hosts

    def start_redis(self, *args, **kwargs):
        self.redis = self.start(Redis(self, *args, **kwargs))
        return self.redis

    def everywhere(self, addr):
        for host in self.hosts:
            host.wait_has(addr)

    def nowhere(self, addr):
        for host in self.hosts:
            host.wait_gone(addr)


class Sharing(SharedTestCase):
    def test_login_and_remove(self):
        self.start_redis()
        a, b, c = self.start_hosts(redis_server=self.redis.address)
        one, two, v6 = self.fresh(), self.fresh(), "2001:db8:7::1"
        a.login(one, user='o"do\\d')
        b.login(two, v6)
        for addr in (one, two, v6, "2001:db8:7::/64"):
            self.everywhere(addr)
        for host in self.hosts:  # by its own clock
            self.assertAlmostEqual(host.left(one), 3600, delta=5)
        c.run("remove", one)
        self.nowhere(one)
        # What was removed opens again, at once.
        b.login(one)
        self.everywhere(one)
        a.run("insert", "--timeout", "100", self.fresh())
        self.everywhere(f"198.18.0.{self.n}")
        self.assertAlmostEqual(c.left(f"198.18.0.{self.n}"), 100, delta=5)
        b.run("purge")
        for addr in (one, two, v6):
            self.nowhere(addr)
        a.login(two)
        self.everywhere(two)
