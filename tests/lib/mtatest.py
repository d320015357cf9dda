# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of the four MTAs side by side begin with: all of them on one
database, each by the files of mta-glue as they are."""

import time

from exim import Exim
from harness import TOP, free_port, sanitizer_env, wait_for
from lineclient import relays
from machine import Machine
from pair import Pbs, program
from pairtest import FRONT, PairTestCase
from postfix import Postfix
from qmail import Qmail
from relaydb import RelayDb
from sendmail import Sendmail

GLUE = TOP / "mta-glue"
FRONT6 = "::1"


def glue(mta, name):
    return (GLUE / mta / name).read_text()


class MtaTestCase(PairTestCase):
    """self.ways: {what an MTA asks in which way: its port}."""

    def setUp(self):
        super().setUp()
        self.ways = {}

    def start_alone(self, values=None):
        """perdition-pbs without perdition; self.pbs and self.db."""
        self.pbs = self.start(Pbs(self, "socket", values))
        self.db = RelayDb(self.pbs.db)

    def port(self, way):
        return self.ways.setdefault(way, free_port(FRONT, FRONT6))

    def start_all(self):
        """Every way in which self.pbs may be asked.  On the machine it seems
        to be set up as the guides say."""
        self.machine = self.start(Machine(self.dir / "machine", "postfix",
                                          "exim"))
        self.machine.bind(self.pbs.dir, "/var/lib/perdition-pbs")
        for way, snippet in (("drac", "relay-authorization.m4"),
                             ("map", "relay-authorization-map.m4")):
            way = f"sendmail {way}"
            self.start(Sendmail(self.dir / way.replace(" ", "-"), self.pbs.db,
                                self.port(way), ipv6=True, snippet=snippet))
        self.postfix = self.start(Postfix(
            self.machine, self.port("postfix hash"),
            glue("postfix", "relay-file.cf")))
        self.start(Exim(self.machine, self.port("exim dbm"),
                        glue("exim", "relay-file")
                        + glue("exim", "localmacros")))
        self.start(Qmail(self.dir / "qmail", program("perdition-pbs"),
                         self.pbs.db, self.port("qmail setenv"),
                         sanitizer_env(self.reports)))

    def answers(self, source, recipient="someone@example.net", ways=None):
        """{way: the answer to RCPT TO}"""
        host = FRONT6 if ":" in source else FRONT
        return {way: relays(host, self.ways[way], source, recipient)
                for way in ways or self.ways
                if host == FRONT or not way.startswith("qmail")}

    def assert_relay(self, *sources, ways=None):
        for source in sources:
            for way, answer in self.answers(source, ways=ways).items():
                self.assertRegex(answer, "^250 ", f"{way} for {source}")

    def assert_no_relay(self, *sources, ways=None):
        for source in sources:
            for way, answer in self.answers(source, ways=ways).items():
                self.assertRegex(answer, "^55[034] ", f"{way} for {source}")

    def assert_local(self, *sources):
        for source in sources:
            for way, answer in self.answers(
                    source, "postmaster@mx.test").items():
                self.assertRegex(answer, "^250 ", f"{way} for {source}")

    def log_in(self, *sources):
        for source in sources:
            host = FRONT6 if ":" in source else FRONT
            self.imap("alice", source, host=host).close()

    def wait_over(self, when):
        """Until the clock is past when, seconds since the epoch."""
        wait_for("its time is over", lambda: time.time() > when)
