# SPDX-License-Identifier: GPL-2.0-or-later
"""kill -9 of any process at any moment: the ports go on answering, the
database stays readable, and what perdition-pbs knew comes back."""

import os
import signal

from addresses import CLIENTS4
from harness import alive, wait_for
from lineclient import Imap
from pairtest import FRONT, PASSWORDS, PairTestCase


class Kill(PairTestCase):
    def setUp(self):
        super().setUp()
        self.start_dovecots(messages=False)

    def logs_in(self, source=None):
        with Imap(FRONT, self.imap_port, source) as client:
            status, _ = client.login("alice", PASSWORDS["alice"])
            return status.startswith(b"OK ")

    @staticmethod
    def end(pid):
        """Only then: a worker that is dying may take one last client."""
        os.kill(pid, signal.SIGKILL)
        wait_for(f"the end of {pid}", lambda: not alive(pid))

    def kill_role(self, role):
        roles = self.front.roles()
        self.assertIn(role, roles)
        for pid in roles[role]:
            self.end(pid)
            self.assertTrue(wait_for(f"a login after the end of a {role}",
                                     self.logs_in))
        wait_for(f"a new {role}", lambda: len(
            self.front.roles().get(role, [])) == len(roles[role]))
        new = self.front.roles()[role]
        self.assertFalse(set(new) & set(roles[role]))
        self.assertTrue(self.logs_in())

    def test_each_role(self):
        self.front = self.start(self.perdition({"workers": 2}))
        for role in ("worker", "lookup", "log"):
            with self.subTest(role):
                self.kill_role(role)

    def test_other_workers_sessions_live_on(self):
        self.front = self.start(self.perdition({"workers": 2}))
        held = [self.imap("alice") for _ in range(40)]
        self.end(self.front.roles()["worker"][0])
        living = 0
        for client in held:
            try:
                living += client.command("NOOP")[0].startswith(b"OK")
            except (AssertionError, OSError):
                pass
        self.assertGreater(living, 0)
        for _ in range(12):
            self.assertTrue(self.logs_in())

    def test_no_connection_waits_for_ever(self):
        """What was in the dead worker's queue is served by the next."""
        self.front = self.start(self.perdition({"workers": 2}))
        for _ in range(5):
            self.end(self.front.roles()["worker"][0])
            for _ in range(4):
                self.assertTrue(self.logs_in())
            wait_for("two workers",
                     lambda: len(self.front.roles()["worker"]) == 2)

    def test_master(self):
        """Its children end with it, and it can be started at once again."""
        self.front = self.start(self.perdition())
        pids = [p for some in self.front.roles().values() for p in some]
        self.front.send_signal(signal.SIGKILL)
        self.front.proc.wait()
        wait_for("the end of its children", lambda: not any(
            alive(p) for p in pids))
        self.front.start()
        self.assertTrue(self.logs_in())

    def test_perdition_pbs(self):
        """Entries of living sessions come back by themselves."""
        self.start_pair()
        held = [self.imap("alice", a) for a in CLIENTS4[:8]]
        for addr in CLIENTS4[:8]:
            self.wait_entry(addr)
        for lose in (False, True):
            with self.subTest(database_lost=lose):
                self.kill(self.pbs)
                # The database stays as it was, whole.
                self.assertEqual(set(self.db.all()), set(CLIENTS4[:8]))
                self.assertTrue(self.logs_in())
                if lose:
                    for path in self.pbs.dir.iterdir():
                        path.unlink()
                self.pbs.start()
                for addr in CLIENTS4[:8]:
                    self.wait_entry(addr)
        del held

    def test_perdition_pbs_while_it_writes(self):
        """Over and over, under a stream of logins, with Sendmail reading."""
        self.start_pair()
        self.start_sendmail()
        held = self.imap("alice", CLIENTS4[0])
        self.wait_entry(CLIENTS4[0])
        for i in range(6):
            for addr in CLIENTS4[1:]:
                self.assertTrue(self.logs_in(addr))
            self.kill(self.pbs)
            self.assertTrue(self.rcpt(CLIENTS4[0]))
            self.assertIn(CLIENTS4[0], self.db.all())
            self.pbs.start()
        self.wait_entry(CLIENTS4[-1])
        self.assertEqual(held.command("NOOP")[0][:2], b"OK")

    def test_log_source_resumes(self):
        """With the log as the source: what was written meanwhile counts."""
        self.start_pair("log")
        self.assertTrue(self.logs_in(CLIENTS4[0]))
        self.wait_entry(CLIENTS4[0])
        self.kill(self.pbs)
        self.assertTrue(self.logs_in(CLIENTS4[1]))
        self.front.stop()
        self.pbs.start()
        self.wait_entry(CLIENTS4[1])
        self.assertIn(CLIENTS4[0], self.db.all())

    def test_real_server(self):
        """A Dovecot that dies takes its users' sessions, nobody else's."""
        self.front = self.start(self.perdition())
        alice, bob = self.imap("alice"), self.imap("bob")
        self.servers["one"].stop()
        self.assertTrue(alice.at_end())
        self.assertRegex(bob.command("NOOP")[0], rb"^OK")
        self.assertRegex(self.imap().login("alice", "secret")[0],
                         rb"^NO \[UNAVAILABLE\]")
        self.servers["one"].start()
        wait_for("alice being served again", self.logs_in)
