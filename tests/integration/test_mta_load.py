# SPDX-License-Identifier: GPL-2.0-or-later
"""The MTAs read while thousands of changes a second are written: nobody is
refused who may relay, nobody relays who may not, and no read fails.

The environment's PERDITION_LOAD_SECONDS and PERDITION_LOAD_RATE (logins a
second) make more of it.
"""

import os
import time

from addresses import CLIENTS4
from harness import wait_for
from mtatest import MtaTestCase
from relayload import Asker, Logins, is_right

SECONDS = float(os.environ.get("PERDITION_LOAD_SECONDS", "20"))
RATE = int(os.environ.get("PERDITION_LOAD_RATE", "5000"))


class UnderLoad(MtaTestCase):
    def toggle(self, addr):
        """addr comes and goes; each MTA must know as soon as it is the turn
        of that change (db_changes_per_second), and not only sometimes.
        Returns how many answers were looked at."""
        for mode, may in (("insert", True), ("remove", False)):
            self.pbs.run(mode, addr)
            wait_for(f"{mode} at all of them", lambda may=may: all(
                is_right(x, may) for x in self.answers(addr).values()))
            for way, answer in self.answers(addr).items():
                self.assertTrue(is_right(answer, may),
                                f"{way} after {mode}: {answer}")
        return 4 * len(self.ways)

    def test_readers_are_never_wrong(self):
        self.start_machine()
        self.start_alone(timeout=4, quiet=True)
        self.start_mtas()
        may, may_not, toggled = CLIENTS4[:5], CLIENTS4[5:10], CLIENTS4[10]
        self.pbs.run("insert", "--timeout", str(int(SECONDS) + 3600), *may)
        began = time.monotonic()
        logins = Logins(self.pbs.socket, RATE)
        askers = {way: Asker(port, may, may_not)
                  for way, port in self.ways.items()}
        looked = 0
        for worker in (logins, *askers.values()):
            self.addCleanup(worker.ending.set)
            worker.start()
        while time.monotonic() - began < SECONDS:
            looked += self.toggle(toggled)
        for worker in (logins, *askers.values()):
            worker.end()
        took = time.monotonic() - began
        print(f"     {logins.sent / took:.0f} logins/s; sessions/s: "
              + ", ".join(f"{way} {asker.sessions / took:.0f}"
                          for way, asker in askers.items())
              + f"; {looked} answers after a change")
        for way, asker in askers.items():
            self.assertEqual(dict(asker.wrong), {}, way)
            self.assertGreater(asker.sessions, 10, way)
        # All of it was taken in, or the load was none.
        last = logins.sent - 1
        wait_for("the last login's entry", lambda: self.db.get(
            f"10.{last >> 16 & 255}.{last >> 8 & 255}.{last & 255}"))
