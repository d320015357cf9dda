# SPDX-License-Identifier: GPL-2.0-or-later
"""The qmail wrapper between tcpserver and mailfront."""

import os
import subprocess

import pair
from addresses import CLIENTS4
from harness import free_port
from lineclient import relays
from pairtest import FRONT, PairTestCase
from qmail import Qmail


class Setenv(PairTestCase):
    def start_qmail(self, db, **env):
        self.port = free_port(FRONT)
        return self.start(Qmail(self.dir / "qmail",
                                pair.program("perdition-pbs"), db, self.port,
                                {**pair.sanitizer_env(self.reports), **env}))

    def relays(self, addr):
        return relays(FRONT, self.port, addr)[:3] == "250"

    def test_end_to_end(self):
        self.start_dovecots(messages=False)
        self.start_pair(pbs_values={"timeout": 4})
        self.start_qmail(self.pbs.db)
        a, b = CLIENTS4[:2]
        self.assertFalse(self.relays(a))
        self.imap("alice", a).close()
        self.wait_entry(a)
        self.assertTrue(self.relays(a))
        self.assertFalse(self.relays(b))
        # Local mail is taken from everybody.
        self.assertRegex(relays(FRONT, self.port, b, "x@mx.test"), "^250")
        self.wait_no_entry(a)
        self.assertFalse(self.relays(a))

    def test_inherited_relayclient_is_dropped(self):
        pbs = pair.Pbs(self)
        pbs.run("insert", CLIENTS4[0])
        self.start_qmail(pbs.db, RELAYCLIENT="")
        self.assertTrue(self.relays(CLIENTS4[0]))
        self.assertFalse(self.relays(CLIENTS4[1]))

    def test_without_a_database_smtp_goes_on(self):
        self.start_qmail(self.dir / "missing.db")
        self.assertFalse(self.relays(CLIENTS4[0]))
        self.assertFalse((self.dir / "missing.db").exists())

    def test_a_record_past_its_time_is_dead(self):
        import relaydb
        db = self.dir / "old.db"
        relaydb.write(db, {CLIENTS4[0]: "1000000000",
                           CLIENTS4[1]: "99999999999"})
        self.start_qmail(db)
        self.assertFalse(self.relays(CLIENTS4[0]))
        self.assertTrue(self.relays(CLIENTS4[1]))

    def run_setenv(self, db, **env):
        done = subprocess.run(
            [pair.program("perdition-pbs"), "--mode", "setenv", "--db_file",
             db, "--", "sh", "-c", 'echo "${RELAYCLIENT-unset}"; exit 7'],
            env={"PATH": os.environ["PATH"],
                 **pair.sanitizer_env(self.reports), **env},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual(done.returncode, 7)
        return done.stdout.strip()

    def test_environment(self):
        pbs = pair.Pbs(self)
        pbs.run("insert", CLIENTS4[0], "2001:db8:9::1")
        known, unknown = CLIENTS4[:2]
        cases = [
            ({"TCPREMOTEIP": known}, ""),
            ({"TCPREMOTEIP": unknown}, "unset"),
            ({"TCPREMOTEIP": "::ffff:" + known}, ""),
            ({"TCPREMOTEIP": "2001:DB8:9:0::1"}, ""),
            ({"TCPREMOTEIP": "x" * 5000}, "unset"),
            ({"TCPREMOTEIP": ""}, "unset"),
            ({}, "unset"),
            # One that is set already stays as it is.
            ({"TCPREMOTEIP": unknown, "RELAYCLIENT": "@x"}, "@x"),
            ({"TCPREMOTEIP": known, "RELAYCLIENT": "@x"}, "@x"),
        ]
        for env, want in cases:
            with self.subTest(**env):
                self.assertEqual(self.run_setenv(pbs.db, **env), want)
        with self.subTest("foreign file"):
            junk = self.dir / "junk.db"
            junk.write_bytes(b"not a database" * 500)
            self.assertEqual(self.run_setenv(junk, TCPREMOTEIP=known),
                             "unset")

    def test_the_small_program_asks_the_daemon(self):
        known, unknown = CLIENTS4[:2]
        socket = self.subdir("pbs", owner=pair.OWNER) / "lookup"
        pbs = self.start(pair.Pbs(self, values={
            "lookup_socket": socket, "never": "203.0.113.0/28",
            "always": "198.51.100.0/24", "ipv6_mask": 64}))
        pbs.run("insert", known, "2001:db8:9::1")
        rules = ["--never", "203.0.113.0/28", "--always", "198.51.100.0/24",
                 "--ipv6_mask", "64"]

        def ask(path, db, client):
            done = subprocess.run(
                [str(pair.program("perdition-pbs")) + "-setenv",
                 "--lookup_socket", path, "--db_file", db, *rules, "--",
                 "sh", "-c", 'echo "${RELAYCLIENT-unset}"; exit 7'],
                env={"PATH": os.environ["PATH"], "TCPREMOTEIP": client,
                     **pair.sanitizer_env(self.reports)},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                timeout=30)
            self.assertEqual(done.returncode, 7)
            return done.stdout.strip()

        absent = self.dir / "absent"
        for client in (known, "::ffff:" + known, unknown, "203.0.113.3",
                       "198.51.100.9", "::ffff:198.51.100.9",
                       "2001:DB8:9:0::2", "2001:db8:9:1::1", "fe80::1%lo",
                       "127.0.0.1", "::1", "junk", "", "x" * 5000):
            with self.subTest(client=client[:40]):
                self.assertEqual(ask(socket, pbs.db, client),
                                 ask(absent, pbs.db, client))
        # By the socket it needs no file; with neither, nobody relays.
        self.assertEqual(ask(socket, absent, known), "")
        self.assertEqual(ask(absent, absent, known), "unset")
