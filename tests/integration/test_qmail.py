# SPDX-License-Identifier: GPL-2.0-or-later
"""The qmail wrapper between tcpserver and mailfront."""

import os
import select
import signal
import socket
import subprocess
import time

import pair
from addresses import CLIENTS4, CLIENTS6
from fakeserver import FakeSocket
from harness import free_port, wait_for
from lineclient import relays
from machine import Machine
from pairtest import FRONT, PairTestCase
from qmail import GLUE, Courier, Qmail
from relayload import record

# For whoever has a shell between setenv and the SMTP server: what it finds.
NOTE = """#!/bin/sh
printf '%s %s %s\\n' "${TCPREMOTEIP-$TCP6REMOTEIP}" "${RELAYCLIENT-unset}" \
    "${RELAYUSER-unset}" >>"${0%/*}/found"
exec "$@"
"""


class Setenv(PairTestCase):
    """The file alone."""

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


def login(addr, user):
    """As perdition tells of it; user: bytes, quoted."""
    return record(addr, int(time.time())).replace(b'user="bob"',
                                                  b'user="' + user + b'"')


class Daemon(PairTestCase):
    """The daemon, asked by the small program behind tcpserver; RELAYUSER."""

    def setUp(self):
        super().setUp()
        self.lookup = self.subdir("pbs", owner=pair.OWNER) / "lookup"
        self.env = pair.sanitizer_env(self.reports)

    def start_pbs(self, **values):
        self.pbs = self.start(pair.Pbs(self, values={
            "lookup_socket": self.lookup, **values}))
        return self.pbs

    def make_note(self):
        note = self.dir / "note"
        note.write_text(NOTE)
        note.chmod(0o755)
        return note

    def start_qmail(self, db, smtpd=(), host=FRONT, **kwargs):
        self.port = free_port(*{FRONT, host})
        self.env.update(kwargs.pop("env", {}))
        return self.start(Qmail(
            self.dir / "qmail", pair.program("perdition-pbs"), db, self.port,
            self.env, lookup=self.lookup, smtpd=(*smtpd, self.make_note()),
            **kwargs))

    def ask(self, addr, host=FRONT):
        """RCPT's code, and what the SMTP server had in its environment."""
        (self.dir / "found").unlink(missing_ok=True)
        code = relays(host, self.port, addr)[:3]
        address, *found = (self.dir / "found").read_text().split("\n")[0] \
            .split(" ", 2)
        self.assertIn(addr, address)
        return code, *found

    def log_in(self, addr, user=b"bob"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.pbs.socket))
            sock.sendall(login(addr, user))
            wait_for(f"{addr} in the list", lambda: self.pbs.run(
                "list", addr, check=False).returncode == 0)

    def test_end_to_end(self):
        self.start_dovecots(messages=False)
        self.start_pair(pbs_values={"lookup_socket": self.lookup})
        qmail = self.start_qmail(self.pbs.db, smtpd=[GLUE / "log-user"])
        known, stranger = CLIENTS4[:2]
        self.assertEqual(self.ask(known), ("550", "unset", "unset"))
        self.imap("alice", known).close()
        wait_for("the login", lambda: self.ask(known)[0] == "250")
        self.assertEqual(self.ask(known), ("250", "", "alice"))
        self.assertEqual(self.ask(stranger), ("550", "unset", "unset"))
        # Traced in both logs.
        self.assertRegex(qmail.output(), rf"(?m)^relay: pid=\d+ "
                         rf"address={known} user=alice$")
        self.assertNotRegex(qmail.output(), f"relay: .*{stranger}")
        wait_for("the daemon's line", lambda: f"event=relay-allowed address="
                 f"{known} user=alice by={known} service=lookup\n"
                 in self.pbs.output())
        # When the daemon is gone, the file is there; it knows no users.
        self.wait_entry(known)
        self.assertEqual(self.pbs.stop(), 0)
        self.assertEqual(self.ask(known), ("250", "", "unset"))
        self.assertEqual(self.ask(stranger), ("550", "unset", "unset"))

    def test_names(self):
        self.start_pbs(always="198.51.100.0/24")
        qmail = self.start_qmail(self.pbs.db, smtpd=[GLUE / "log-user"])
        for i, (name, want) in enumerate((
                (b"bob@example.org", "bob@example.org"),
                (b"a b", '"a b"'),
                (rb"$(id)`id`;\"'", r'''"$(id)`id`;\"'"'''),
                (rb"x\x0arelay: pid=1 user=eve\x0d\x00",
                 r'"x\x0arelay: pid=1 user=eve\x0d\x00"'),
                ("müller".encode(), r'"m\xc3\xbcller"'))):
            with self.subTest(name):
                self.log_in(CLIENTS4[i], name.replace("ü".encode(),
                                                      rb"\xc3\xbc"))
                self.assertEqual(self.ask(CLIENTS4[i]), ("250", "", want))
                self.assertEqual(qmail.output().count(f" user={want}\n"), 1)
        self.assertNotRegex(qmail.output(), "(?m)^relay: pid=1 ")
        # By an entry of nobody's.
        self.pbs.run("insert", CLIENTS4[10])
        for addr in (CLIENTS4[10], "198.51.100.7"):
            self.assertEqual(self.ask(addr), ("250", "", "unset"))

    def test_nobody_is_blamed_by_what_was_inherited(self):
        self.start_pbs()
        rules = self.dir / "rules"
        made = subprocess.run(
            ["tcprules", f"{rules}.cdb", f"{rules}.tmp"], check=True,
            input=f'{CLIENTS4[1]}:allow,RELAYUSER="eve"\n'
            f'{CLIENTS4[2]}:allow,RELAYCLIENT="",RELAYUSER="eve"\n'.encode())
        self.assertEqual(made.returncode, 0)
        self.start_qmail(self.pbs.db, env={
            "RELAYUSER": "eve", "RELAYCLIENT": "", "RULES": f"{rules}.cdb"})
        for addr in (CLIENTS4[1], CLIENTS4[3]):
            self.assertEqual(self.ask(addr), ("550", "unset", "unset"))
        self.log_in(CLIENTS4[1])
        self.log_in(CLIENTS4[2])
        self.assertEqual(self.ask(CLIENTS4[1]), ("250", "", "bob"))
        # He would relay without any login.
        self.assertEqual(self.ask(CLIENTS4[2]), ("250", "", "unset"))

    def test_ipv6(self):
        """ucspi-tcp-ipv6 names the client in TCP6REMOTEIP as well."""
        machine = self.start(Machine(self.dir / "machine", "ucspi-tcp-ipv6"))
        self.start_pbs()
        self.start_qmail(self.pbs.db, host="::1", prefix=machine.enter,
                         listen="0")
        known, stranger = CLIENTS6[0], CLIENTS6[-1]
        self.assertEqual(self.ask(known, "::1"), ("550", "unset", "unset"))
        self.log_in(known)
        self.log_in(CLIENTS4[0], b"eve")
        self.assertEqual(self.ask(known, "::1"), ("250", "", "bob"))
        self.assertEqual(self.ask(stranger, "::1")[0], "550")
        self.assertEqual(self.ask(CLIENTS4[0]), ("250", "", "eve"))

    def test_courier(self):
        """couriertcpd calls an IPv4 client ::ffff:a.b.c.d."""
        machine = self.start(Machine(self.dir / "machine", "courier"))
        self.start_pbs()
        self.port = free_port(FRONT, "::1")
        self.start(Courier(
            self.dir / "courier", machine, pair.program("perdition-pbs"),
            self.pbs.db, self.port, self.env, self.lookup,
            [self.make_note()]))
        four, six, stranger = CLIENTS4[0], CLIENTS6[0], CLIENTS4[1]
        for addr, host in ((four, FRONT), (six, "::1")):
            self.assertEqual(self.ask(addr, host), ("550", "unset", "unset"))
            self.log_in(addr)
            self.assertEqual(self.ask(addr, host), ("250", "", "bob"))
        self.assertEqual(self.ask(stranger), ("550", "unset", "unset"))
        self.assertIn(f"::ffff:{stranger} ",
                      (self.dir / "found").read_text())
        self.assertEqual(self.pbs.stop(), 0)
        self.assertEqual(self.ask(four), ("250", "", "unset"))

    def test_daemon_that_answers_otherwise(self):
        """The file decides when there is no answer, which is so in a second
        however the time goes by."""
        pbs = pair.Pbs(self)
        known, stranger = CLIENTS4[:2]
        pbs.run("insert", known)
        how = {"answer": lambda peer: None}
        fake = FakeSocket(lambda peer: how["answer"](peer), self.lookup)
        self.addCleanup(fake.close)
        self.start_qmail(pbs.db)

        def trickle(peer):
            peer.line()
            while not select.select([peer.sock], [], [], 0.3)[0]:
                peer.send(b"y")

        def silent(peer):
            peer.wait_end()

        def saying(text):
            def answer(peer):
                asked = peer.line()
                self.assertIn(asked.decode(),
                              (f"relay {known}", f"relay {stranger}"))
                peer.send(text)
            return answer

        for answer in (
                silent, trickle, saying(b""), saying(b"y"), saying(b"yes\n"),
                saying(b"no\n"), saying(b"yesterday"), saying(b"\0"),
                saying(b'no "bob"'), saying(b'"bob"'), saying(b"x" * 100000)):
            how["answer"] = answer
            self.assertEqual(self.ask(known), ("250", "", "unset"))
            self.assertEqual(self.ask(stranger), ("550", "unset", "unset"))
        # A word is a word, but no name is made of what is odd.
        for name in (b"", b"bob", b'"bob', b'"bob"x', b'"b\nb"', b'"b\\nb"',
                     b'"' + 900 * b"b" + b'"'):
            how["answer"] = saying(b"yes " + name)
            code = ("550", "unset", "unset") if len(name) > 900 \
                else ("250", "", "unset")
            self.assertEqual(self.ask(stranger), code)
        how["answer"] = saying(b'yes "bob"')
        self.assertEqual(self.ask(stranger), ("250", "", "bob"))
        how["answer"] = saying(b"no")
        self.assertEqual(self.ask(known), ("550", "unset", "unset"))

    def test_daemon_that_hangs(self):
        """Its socket takes connections as long as there is room."""
        self.start_pbs()
        self.start_qmail(self.pbs.db)
        self.log_in(CLIENTS4[0])
        self.pbs.send_signal(signal.SIGSTOP)
        self.addCleanup(self.pbs.send_signal, signal.SIGCONT)
        self.assertEqual(self.ask(CLIENTS4[0]), ("250", "", "unset"))
        self.assertEqual(self.ask(CLIENTS4[1]), ("550", "unset", "unset"))
        self.pbs.send_signal(signal.SIGCONT)
        self.assertEqual(self.ask(CLIENTS4[0]), ("250", "", "bob"))

    def found(self, *words, program="perdition-pbs-setenv", db="/none"):
        """What a program finds when these words come before it."""
        argv0, *mode = program.split()
        name = "perdition-pbs" + ("" if mode else "-setenv")
        self.assertEqual(argv0, name)
        done = subprocess.run(
            [pair.program(name), *mode, *words, "--db_file", db, "--", "sh",
             "-c", 'echo "${RELAYCLIENT-unset} ${RELAYUSER-unset}"; exit 7'],
            env={"PATH": os.environ["PATH"], "TCPREMOTEIP": CLIENTS4[0],
                 "RELAYUSER": "eve", **self.env},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            timeout=60)
        self.assertEqual(done.returncode, 7)
        return done.stdout.strip()

    def test_the_whole_program_asks_too(self):
        self.start_pbs()
        self.log_in(CLIENTS4[0])
        config = self.dir / "pbs.conf"
        config.write_text(f'lookup_socket "{self.lookup}"\n')
        ask = ("--lookup_socket", self.lookup)
        for program in ("perdition-pbs --mode setenv", "perdition-pbs-setenv"):
            with self.subTest(program):
                for words in (ask, ("--quiet", *ask), ("-f", config)):
                    self.assertEqual(self.found(*words, program=program),
                                     "bob")
                self.assertEqual(
                    self.found(program=program, db=self.pbs.db), "unset")
                self.assertEqual(self.found("-f", "/none", program=program),
                                 "unset unset")

    def test_nobody_asks_twice_in_vain(self):
        """Whom the small program has not heard, the whole one leaves alone."""
        fake = FakeSocket(lambda peer: peer.line(), self.lookup)
        self.addCleanup(fake.close)
        config = self.dir / "pbs.conf"
        config.write_text(f'lookup_socket "{self.lookup}"\n')
        self.assertEqual(self.found("--lookup_socket", self.lookup, "-f",
                                    config), "unset unset")
        self.assertEqual(fake.connections, 1)

    def test_both_ways_agree(self):
        known, unknown = CLIENTS4[:2]
        self.start_pbs(never="203.0.113.0/28", always="198.51.100.0/24",
                       ipv6_mask=64)
        self.pbs.run("insert", known, "2001:db8:9::1")
        rules = ["--never", "203.0.113.0/28", "--always", "198.51.100.0/24",
                 "--ipv6_mask", "64"]

        def ask(path, db, client):
            done = subprocess.run(
                [str(pair.program("perdition-pbs")) + "-setenv",
                 "--lookup_socket", path, "--db_file", db, *rules, "--",
                 "sh", "-c", 'echo "${RELAYCLIENT-unset}"; exit 7'],
                env={"PATH": os.environ["PATH"], "TCPREMOTEIP": client,
                     **self.env},
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
                self.assertEqual(ask(self.lookup, self.pbs.db, client),
                                 ask(absent, self.pbs.db, client))
        # By the socket it needs no file; with neither, nobody relays.
        self.assertEqual(ask(self.lookup, absent, known), "")
        self.assertEqual(ask(absent, absent, known), "unset")
