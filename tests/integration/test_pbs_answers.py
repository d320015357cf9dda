# SPDX-License-Identifier: GPL-2.0-or-later
"""perdition-pbs answers MTAs over its sockets: what it says, whom, and through
reloads, restarts and crowds."""

import os
import resource
import signal
import socket
import stat
import subprocess
import time

from harness import wait_for
from mtaclient import Lookup, Policy, SocketMap
from test_pbs_daemon import STRANGER, PbsTestCase, record

HEADER = "X-POP-User"
BOB = "203.0.113.77"
BOB6 = "2001:db8:9::1"


class Answers(PbsTestCase):
    def start_answers(self, **values):
        """perdition-pbs with all sockets."""
        self.pbs("socket")
        where = self.daemon.dir
        self.sockets = {name: where / name
                        for name in ("policy", "socketmap", "lookup")}
        self.values = {f"{name}_socket": path
                       for name, path in self.sockets.items()}
        self.start_pbs("socket", **{**self.values, **values})

    def ask(self, address, kind=Policy, *args):
        name = {Policy: "policy", SocketMap: "socketmap",
                Lookup: "lookup"}[kind]
        with kind(self.sockets[name]) as asker:
            return asker.ask(address, *args)

    def everybody_says(self, address):
        """Whether address may relay, which all services must agree on."""
        said = {
            self.ask(address) == "OK",
            self.ask(address, SocketMap) == "OK 1",
            self.ask(address, SocketMap, "pbs") == "OK 1",
            self.ask(address, Lookup) == "yes",
        }
        self.assertEqual(len(said), 1)
        return said.pop()

    def log_in(self, *addresses, when=None):
        sock = self.dial()
        for address in addresses:
            sock.sendall(record(address, when=when))
            self.wait_entry(address)

    def test_life_of_an_entry(self):
        self.start_answers(policy_header=HEADER, timeout=100)
        self.assertFalse(self.everybody_says(BOB))
        self.assertEqual(self.ask(BOB), "DUNNO")
        self.assertEqual(self.ask(BOB, SocketMap), "NOTFOUND ")
        self.assertEqual(self.ask(BOB, Lookup), "no")
        self.log_in(BOB, BOB6)
        self.assertTrue(self.everybody_says(BOB))
        self.assertTrue(self.everybody_says(BOB6))
        self.assertEqual(self.ask("ipv6:2001:db8:9:0:0:0:0:1", SocketMap),
                         "OK 1")
        # The network that a login from IPv6 opens.
        self.assertTrue(self.everybody_says("2001:db8:9::ffff"))
        self.assertFalse(self.everybody_says("2001:db8:9:1::1"))
        self.assertFalse(self.everybody_says("203.0.113.78"))
        # Whose it is.
        self.assertEqual(self.ask(BOB, Policy, "DATA"),
                         f'PREPEND {HEADER}: user="bob" address={BOB}')
        self.assertEqual(self.ask("203.0.113.78", Policy, "DATA"), "DUNNO")
        self.assertEqual(self.ask(BOB, SocketMap, "pbsuser"), 'OK "bob"')
        self.assertEqual(self.ask(BOB, Lookup, "user"), '"bob"')
        self.assertEqual(self.ask(BOB, Lookup, "relay"), 'yes "bob"')
        self.assertEqual(self.ask("203.0.113.78", Lookup, "relay"), "no")
        self.daemon.run("remove", BOB)
        self.assertFalse(self.everybody_says(BOB))
        # So long before its end that a busy machine has time to see it.
        self.log_in("203.0.113.79", when=time.time() - 94)
        # One service first: the second may turn while all are being asked.
        wait_for("the end of its time",
                 lambda: self.ask("203.0.113.79") == "DUNNO")
        self.assertFalse(self.everybody_says("203.0.113.79"))
        self.assertTrue(self.everybody_says(BOB6))

    def test_traced(self):
        self.start_answers(ipv4_mask=24)
        self.log_in(BOB)
        for _ in range(3):
            self.ask(BOB)
        self.ask("203.0.113.5", Lookup)
        self.ask("203.0.113.6", Lookup, "relay")
        self.ask("192.0.2.1", Lookup, "relay")
        expected = [
            f"address={BOB} user=bob by={BOB} service=policy",
            "address=203.0.113.5 user=bob by=203.0.113.0/24 service=lookup",
            "address=203.0.113.6 user=bob by=203.0.113.0/24 service=lookup"]
        # The log is written after the answer.
        wait_for("the lines", lambda: len(self.traces()) >= len(expected))
        self.assertEqual(self.traces(), expected)

    def traces(self):
        return [line.partition("event=relay-allowed ")[2]
                for line in self.daemon.output().splitlines()
                if "event=relay-allowed " in line]

    def test_without_login(self):
        self.start_answers(always="198.51.100.0/24")
        self.assertTrue(self.everybody_says("198.51.100.200"))
        self.assertEqual(self.ask("198.51.100.200", Lookup, "relay"), "yes")
        self.assertFalse(self.everybody_says("198.51.101.1"))
        self.daemon.run("insert", "192.0.2.0/25")
        self.assertTrue(self.everybody_says("192.0.2.127"))
        self.assertFalse(self.everybody_says("192.0.2.128"))

    def test_strangers(self):
        self.start_answers()
        self.log_in(BOB)
        script = ("import sys; sys.path.insert(0, sys.argv[1]);"
                  "from mtaclient import Policy\n"
                  "try: print(Policy(sys.argv[2]).ask(sys.argv[3]))\n"
                  "except OSError: print()")
        # A copy: the tests' own directory may not be everybody's to read.
        lib = self.subdir("lib")
        source = (os.path.join(os.path.dirname(__file__), "..", "lib",
                               "mtaclient.py"))
        with open(source, encoding="ascii") as f:
            (lib / "mtaclient.py").write_text(f.read())

        def stranger_asks():
            done = subprocess.run(
                ["python3", "-c", script, str(lib),
                 str(self.sockets["policy"]), BOB], user=STRANGER,
                capture_output=True, text=True, timeout=20, check=False)
            self.assertEqual(done.stderr, "")
            return done.stdout.strip()

        self.assertEqual(stranger_asks(), "")
        self.assertIn('event=answer-refused uid=61234', self.daemon.output())
        self.daemon.stop()
        self.start_answers(mta_user=f"nobody,{STRANGER}")
        self.assertEqual(stranger_asks(), "OK")

    def test_reload(self):
        config = self.dir / "pbs.conf"
        config.write_text("")
        self.start_answers(config_file=config)
        self.log_in(BOB)
        with Policy(self.sockets["policy"]) as asker:
            self.assertEqual(asker.ask(BOB, "DATA"), "DUNNO")
            config.write_text(f"policy_header {HEADER}\nnever 203.0.113.1\n")
            self.daemon.send_signal(signal.SIGHUP)
            wait_for("the new configuration", lambda: asker.ask(
                BOB, "DATA").startswith(f"PREPEND {HEADER}: "))
            config.write_text(f"policy_header {HEADER}\nnever {BOB}\n")
            self.daemon.send_signal(signal.SIGHUP)
            wait_for("the new rule", lambda: asker.ask(BOB) == "DUNNO")
            # A bad one changes nothing.
            config.write_text("policy_header a:b\n")
            self.daemon.send_signal(signal.SIGHUP)
            wait_for("a refusal", lambda: "event=reload-refused"
                     in self.daemon.output())
            self.assertEqual(asker.ask(BOB), "DUNNO")

    def test_stop_and_kill(self):
        self.start_answers()
        self.log_in(BOB)
        with Policy(self.sockets["policy"]) as asker:
            self.assertEqual(asker.ask(BOB), "OK")
            self.assertEqual(self.daemon.stop(), 0)
            self.assertEqual(asker.closed(), b"")
        for path in self.sockets.values():
            self.assertFalse(path.exists())
        self.start(self.daemon)
        self.assertTrue(self.everybody_says(BOB))
        self.daemon.stop(signal.SIGKILL)
        self.assertTrue(stat.S_ISSOCK(self.sockets["policy"].stat().st_mode))
        self.start(self.daemon)
        wait_for("the sockets", lambda: self.everybody_says(BOB))

    def test_crowd(self):
        """Many at once, half of whom say nothing."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE,
                        (soft, hard))
        self.start_answers()
        self.log_in(BOB)
        askers = [Policy(self.sockets["policy"]) for _ in range(1000)]
        for asker in askers:
            self.addCleanup(asker.close)
        for _ in range(2):
            for asker in askers[::2]:
                asker.send(BOB)
            for asker in askers[::2]:
                self.assertEqual(asker.reply(), "OK")

    def test_slow_reader(self):
        """Who does not read is not waited for."""
        self.start_answers()
        self.log_in(BOB)
        with Policy(self.sockets["policy"]) as slow:
            slow.sock.settimeout(0.2)
            try:
                while True:
                    slow.send(BOB)
            except socket.timeout:
                pass
            self.assertEqual(self.ask(BOB), "OK")
            # Nor are logins and the database.
            self.log_in("203.0.113.80")

    def test_socket_of_another(self):
        self.start_answers()
        other = self.pbs("socket", socket="", state_dir="",
                         db_file=self.dir / "other.db", **self.values)
        done = subprocess.run([str(word) for word in other.argv],
                              capture_output=True, text=True, timeout=20,
                              check=False)
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn(f"{self.sockets['policy']}: another process answers",
                      done.stderr)
