# SPDX-License-Identifier: GPL-2.0-or-later
"""Popmap module nis, with a real ypserv and ypbind."""

import re
import signal
import subprocess

import pair
from harness import sanitizer_env, wait_for
from mapfront import HOSTILE, MapTest
from nis import Nis

MAP = "user_mail_server"
ODD = [b"o'brien", b"100%", b"*", b"a*)(uid=*", b"x\\y", b"\xff\xfe\x80",
       b"$(id)`id`", b'"q"']


def preload():
    """AddressSanitizer puts itself between programs and the functions xdr_*,
    and looks for these when a program starts: a module's library that comes
    later is not found, and calls to it end in a crash."""
    def needed(file, name):
        done = subprocess.run(["ldd", file], check=True, text=True,
                              stdout=subprocess.PIPE, timeout=30)
        return re.findall(rf"=> (\S*/{name}\.so\S*)", done.stdout)
    return " ".join(needed(pair.program("perdition"), "libasan")
                    + needed(pair.modules() / "popmap_nis.so", "libtirpc"))


class NisMap(MapTest):
    def setUp(self):
        super().setUp()
        self.nis = Nis(self)
        if pair.sanitized():
            # The leak check itself crashes with that library loaded so.
            self.environment = {
                "LD_PRELOAD": preload(),
                "ASAN_OPTIONS": sanitizer_env(self.reports)["ASAN_OPTIONS"]
                + ":detect_leaks=0"}
        table = {b"ann": self.a, b"bob@x": f"robert@{self.b}",
                 b"two": f"127.0.0.1:1, {self.b}", b"bad": "h,,",
                 **{name: self.b for name in ODD}}
        self.nis.make(MAP, {k: v.encode() for k, v in table.items()})

    def ask(self, option="", **values):
        self.front(map_library="nis", map_library_opt=option, **values)

    def test_answers(self):
        self.nis.bind()
        self.ask()
        self.arrives("ann", "a")
        self.arrives("bob@x", "b", "robert")
        self.arrives("two", "b")
        self.arrives("other", "default")
        for name in ODD:
            self.arrives(name, "b")
        self.hostile([x for x in HOSTILE if x not in ODD])
        self.refused("bad")
        self.arrives("ann", "a")

    def test_map_and_domain_of_the_option(self):
        self.nis.make("other", {b"ann": self.b.encode()}, "elsewhere.test")
        self.nis.bind("mail.test", "elsewhere.test")
        self.ask()
        self.arrives("ann", "a")
        self.change(map_library_opt="other domain=elsewhere.test")
        self.comes_to("ann", "b")
        # What does not exist is no reason to send users elsewhere.
        self.change(map_library_opt="nosuch domain=elsewhere.test")
        self.refused_at_last("ann")
        # On a busy machine it may be ended before it has said why.
        wait_for("the module's words", lambda: self.login("ann") and
                 "map nis: " in self.daemon.output(), 60)

    def refused_at_last(self, user):
        wait_for("a refusal", lambda: self.login(user)[2].startswith(
            b"NO [UNAVAILABLE]"))

    def test_map_changes(self):
        self.nis.bind()
        self.ask()
        self.arrives("ann", "a")
        self.nis.make(MAP, {b"ann": self.b.encode()})
        self.comes_to("ann", "b")

    def test_no_domain(self):
        self.nis.set_domain("(none)")
        self.ask()
        self.refused("ann")
        self.daemon.wait_log("this machine has no NIS domain")
        self.nis.set_domain("mail.test")
        self.nis.bind()
        self.arrives("ann", "a")

    def test_no_ypbind(self):
        self.ask()
        self.refused("ann")
        self.nis.bind()
        self.arrives("ann", "a")

    def test_server_killed_and_back(self):
        self.nis.bind()
        self.ask()
        self.arrives("ann", "a")
        self.nis.ypserv.stop(signal.SIGKILL)
        self.refused("ann")
        self.nis.ypserv.start()
        self.comes_to("ann", "a")
        self.arrives("other", "default")

    def test_server_hangs(self):
        self.nis.bind()
        self.ask(map_timeout=3)
        self.arrives("ann", "a")
        self.nis.ypserv.send_signal(signal.SIGSTOP)
        self.refused("ann")
        self.nis.ypserv.send_signal(signal.SIGCONT)
        self.comes_to("ann", "a")
        self.arrives("other", "default")
