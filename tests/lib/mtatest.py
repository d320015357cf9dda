# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of the four MTAs side by side begin with: all of them on one
database, each by the files of mta-glue as they are."""

import time

from exim import Exim
from harness import TOP, free_port, sanitizer_env, wait_for
from lineclient import relays
from machine import Machine
from pair import OWNER, Pbs, program
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

    def start_machine(self):
        """On it, perdition-pbs will seem to be set up as the guides say."""
        self.machine = self.start(Machine(self.dir / "machine", "postfix",
                                          "exim", "ucspi-tcp-ipv6"))
        # Who may ask is found by the names of accounts that it has.
        self.pbs_prefix = self.machine.enter
        self.sockets = self.subdir("sockets", owner=OWNER)
        self.machine.bind(self.subdir("pbs", owner=OWNER),
                          "/var/lib/perdition-pbs")
        self.machine.bind(self.sockets, "/run/perdition-pbs")

    def pbs_values(self, **values):
        """Options of perdition-pbs, with those for all ways of asking."""
        return {"policy_socket": self.sockets / "policy",
                "socketmap_socket": self.sockets / "socketmap",
                "lookup_socket": self.sockets / "lookup", **values}

    def start_alone(self, **values):
        """perdition-pbs without perdition; self.pbs and self.db."""
        self.pbs = self.start(Pbs(self, "socket", self.pbs_values(**values),
                                  prefix=self.pbs_prefix))
        self.db = RelayDb(self.pbs.db)

    def port(self, way):
        return self.ways.setdefault(way, free_port(FRONT, FRONT6))

    def start_mtas(self):
        """Every way in which self.pbs may be asked."""
        for way, snippet in (("drac", "relay-authorization.m4"),
                             ("map", "relay-authorization-map.m4"),
                             ("socket", "relay-authorization-socket.m4")):
            self.start(Sendmail(
                self.dir / f"sendmail-{way}", self.pbs.db,
                self.port(f"sendmail {way}"), ipv6=True, snippet=snippet,
                socket=self.sockets / "socketmap"))
        self.postfix = {}
        for way in ("file", "policy", "socketmap"):
            name = f"postfix-{way}"
            self.machine.bind(self.sockets, f"/var/spool/{name}/perdition-pbs")
            self.postfix[way] = self.start(Postfix(
                self.machine, self.port(f"postfix {way}"),
                glue("postfix", f"relay-{way}.cf"), name))
        for way in ("file", "socket"):
            self.start(Exim(
                self.machine, self.port(f"exim {way}"),
                glue("exim", f"relay-{way}") + glue("exim", "localmacros"),
                f"exim-{way}"))
        # Not one of socket_ways(): without an answer it reads the file.
        for way, lookup in (("file", ""),
                            ("daemon", self.sockets / "lookup")):
            self.start(Qmail(self.dir / f"qmail-{way}",
                             program("perdition-pbs"), self.pbs.db,
                             self.port(f"qmail {way}"),
                             sanitizer_env(self.reports), lookup=lookup,
                             prefix=self.machine.enter, listen="0"))

    def socket_ways(self):
        return [way for way in self.ways
                if way.endswith(("socket", "socketmap", "policy"))]

    def answers(self, source, recipient="someone@example.net", ways=None):
        """{way: the answer to RCPT TO}"""
        host = FRONT6 if ":" in source else FRONT
        return {way: relays(host, self.ways[way], source, recipient)
                for way in ways or self.ways}

    def assert_relay(self, *sources, ways=None):
        for source in sources:
            for way, answer in self.answers(source, ways=ways).items():
                self.assertRegex(answer, "^250 ", f"{way} for {source}")

    def assert_no_relay(self, *sources, ways=None, down=False):
        """down: what is to be asked is missing, for which Postfix has no word
        but 451, unless default_action gives it one."""
        for source in sources:
            for way, answer in self.answers(source, ways=ways).items():
                late = down and way in ("postfix file", "postfix socketmap")
                self.assertRegex(answer, "^(55[04]|451 4.3.5) " if late
                                 else "^55[034] ", f"{way} for {source}")

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
        """Until the clock is past when, seconds since the epoch; for an MTA
        too, since time(2) is some milliseconds behind."""
        wait_for("its time is over", lambda: time.time() > when + 0.1)
