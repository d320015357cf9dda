# SPDX-License-Identifier: GPL-2.0-or-later
"""make soak-pbs: the MTAs read in tight loops while thousands of logins a
second come, and perdition-pbs is ended or killed at random moments and started
again.  Whoever may relay is never refused and nobody else ever relays; what is
asked over a socket may fail while nobody is there to answer it, and only then.

Not among the tests that tests/run finds: it takes PERDITION_SOAK_MINUTES.
"""

import collections
import contextlib
import os
import random
import signal
import time

from addresses import CLIENTS4
from mtatest import MtaTestCase, glue
from pair import Pbs
from postfix import Postfix
from relaydb import RelayDb
from relayload import Asker, Logins

MINUTES = float(os.environ.get("PERDITION_SOAK_MINUTES", "10"))
RATE = int(os.environ.get("PERDITION_LOAD_RATE", "5000"))
APART = (5, 20)  # seconds from a start to the next end
SETTLE = 1  # second in which MTAs connect anew
KINDS = ("lmdb", "cdb")


class TimedAsker(Asker):
    """Remembers when a wrong answer was asked for and given."""

    def __init__(self, *args):
        super().__init__(*args)
        self.when = []  # (began, ended, may relay, answer)

    def turn(self):
        began, before = time.monotonic(), self.wrong.copy()
        super().turn()
        for may, answer in self.wrong - before:
            self.when.append((began, time.monotonic(), may, answer))


class Soak(MtaTestCase):
    def start_alone(self, **values):
        self.pbs = Pbs(self, "socket", self.pbs_values(**values),
                       prefix=self.pbs_prefix)
        for kind in KINDS:
            self.pbs.argv += ["--db_file",
                              f"{kind}:{self.pbs.dir}/relay.{kind}"]
        self.start(self.pbs)
        self.db = RelayDb(self.pbs.db)

    def start_mtas(self):
        super().start_mtas()
        for kind in KINDS:
            self.start(Postfix(
                self.machine, self.port(f"postfix {kind}"),
                glue("postfix", "relay-file.cf").replace("hash:", f"{kind}:"),
                f"postfix-{kind}"))

    def restart(self):
        number = random.choice((signal.SIGTERM, signal.SIGKILL))
        began = time.monotonic()
        self.pbs.stop(number)
        self.pbs.start()
        self.away.append((began, time.monotonic() + SETTLE))
        self.restarts[number.name] += 1

    def is_excused(self, way, began, ended, answer):
        """Nobody was there to ask; nobody gets in for that."""
        return way in self.socket_ways() and not answer.startswith("250") \
            and any(began < there and ended > gone
                    for gone, there in self.away)

    def run_for(self, seconds, askers):
        """Logins for so long, and on into the restart; how many."""
        end = time.monotonic() + seconds
        sender = Logins(self.pbs.socket, RATE)
        sender.start()
        self.addCleanup(sender.ending.set)
        while time.monotonic() < end:
            for worker in (sender, *askers.values()):
                if worker.error is not None:
                    raise worker.error
            time.sleep(0.1)
        self.restart()
        with contextlib.suppress(OSError):  # whoever it told has gone
            sender.end()
        return sender.sent

    def test_soak(self):
        self.restarts = collections.Counter()
        self.away = []  # (gone, there again) of perdition-pbs
        self.start_machine()
        self.start_alone(timeout=4, always=CLIENTS4[:5], log_facility="+",
                         db_changes_per_second=10)
        self.start_mtas()
        askers = {way: TimedAsker(port, CLIENTS4[:5], CLIENTS4[5:10])
                  for way, port in self.ways.items()}
        for asker in askers.values():
            self.addCleanup(asker.ending.set)
            asker.start()
        began = time.monotonic()
        logins = 0
        while time.monotonic() - began < 60 * MINUTES:
            logins += self.run_for(random.uniform(*APART), askers)
        wrong = 0
        for way, asker in askers.items():
            asker.end()
            bad = [(round(ended - began, 2), round(began, 2), may, answer)
                   for began, ended, may, answer in asker.when
                   if not self.is_excused(way, began, ended, answer)]
            wrong += len(bad)
            print(f"     {way:<18} {asker.sessions:>8} sessions, {len(bad)} "
                  f"wrong, {len(asker.when) - len(bad)} while nobody was there"
                  + "".join(f"\n       {b}" for b in bad))
        print(f"     {logins} logins in {time.monotonic() - began:.0f} s; "
              f"restarts: {dict(self.restarts)}; the file's time is "
              f"{os.stat(self.pbs.db).st_mtime - time.time():.0f} s ahead")
        self.assertEqual(wrong, 0)
