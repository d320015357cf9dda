# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guides of mta-glue tell an administrator to type is typed, step by
step, on a machine where the paths are those of the guide."""

from addresses import CLIENTS4
from exim import Exim
from guide import Guide
from harness import Daemon, free_port, sanitizer_env, wait_for
from lineclient import relays
from machine import Machine
from mtatest import GLUE
from pairtest import FRONT, PairTestCase
from postfix import Postfix
from qmail import Qmail
from sendmail import Sendmail

# What a guide has for an example.
CLIENT = "198.51.100.7"


class GuideTestCase(PairTestCase):
    mta = None  # below mta-glue, and for Machine

    def setUp(self):
        super().setUp()
        self.guide = Guide(GLUE / self.mta / "README.md")
        self.assertEqual(list(self.guide.blocks), list(range(1, 11)))
        self.port = free_port(FRONT, "::1")

    def start_machine(self, *names):
        self.machine = self.start(Machine(self.dir / "machine", *names))

    def type(self, step, number=0):
        """The output."""
        return self.machine.run(self.guide.block(step, number)).stdout

    def start_pair_by_guide(self):
        """Steps 1 to 4."""
        self.type(1)
        # To be ended with the test, and heard.
        command = f"exec {self.guide.block(2).rstrip()} --no_daemon " \
            "--log_facility + --log_file ''"
        self.pbs = Daemon(
            "perdition-pbs", ["sh", "-c", command], self.dir / "pbs.output",
            prefix=self.machine.enter, env=sanitizer_env(self.reports),
            ready=lambda: "event=start " in self.pbs.output())
        self.start(self.pbs)
        name, value = self.guide.block(3).split()
        self.start_dovecots(messages=False)
        front = self.perdition({name: value})
        front.argv = [*self.machine.enter, *front.argv]
        self.start(front)
        self.assertNotIn(CLIENT, self.type(4))

    def log_in(self, addr=CLIENT):
        self.imap("alice", addr).close()
        wait_for(f"{addr} in the list", lambda: addr in self.type(4))

    def answer(self, addr=CLIENT, recipient="someone@example.net"):
        return relays(FRONT, self.port, addr, recipient)


class PostfixGuide(GuideTestCase):
    mta = "postfix"

    def test_steps(self):
        self.start_machine("postfix")
        self.machine.run("mkdir -p /var/spool/postfix")
        self.start_pair_by_guide()
        self.start(Postfix(self.machine, self.port))
        self.type(5)
        shown = self.type(6)
        self.assertIn("check_policy_service", shown)
        self.assertNotRegex(shown, "(?i)warning|error|fatal")
        self.type(7)
        self.assertRegex(self.answer(), "^554 5.7.1 .*Relay access denied")
        self.log_in()
        self.assertRegex(self.answer(), "^250 2.1.5 Ok")
        self.assertRegex(self.answer(CLIENTS4[0]), "^554 ")
        wait_for("who relayed", lambda: "event=relay-allowed" in
                 self.pbs.output() and "user=alice" in self.pbs.output())
        self.assertEqual(self.pbs.stop(), 0)
        self.assertRegex(self.answer(), "^554 ")
        self.assertRegex(self.answer(recipient="postmaster@mx.test"), "^250 ")
        # Step 10: the same with the file.
        self.machine.run(self.guide.block(5).replace("policy", "file"))
        self.type(7)
        self.assertRegex(self.answer(), "^250 ")
        self.assertRegex(self.type(10), r"^\d+\n$")
        self.assertRegex(self.answer(CLIENTS4[0]), "^554 ")
        *when, user, command = self.guide.block(10, 1).split(None, 6)
        self.assertEqual((when, user), (["*"] * 5, "nobody"))
        self.machine.run(f"setpriv --reuid={user} --clear-groups {command}")
        self.assertRegex(self.answer(), "^250 ")


class EximGuide(GuideTestCase):
    mta = "exim"

    def test_steps(self):
        self.start_machine("exim")
        self.start_pair_by_guide()
        self.exim = Exim(self.machine, self.port)
        # As the package starts it.
        self.exim.argv.remove("-C")
        self.exim.argv.remove(self.exim.config)
        self.machine.run("update-exim4.conf")
        self.start(self.exim)
        for snippet in ("relay-file", "relay-socket"):
            with self.subTest(snippet):
                self.steps(snippet)

    def steps(self, snippet):
        """From 5 on."""
        self.machine.run("cp -n /etc/exim4/exim4.conf.localmacros /etc/was; "
                         "cp /etc/was /etc/exim4/exim4.conf.localmacros")
        self.machine.run(self.guide.block(5).replace("relay-file", snippet))
        self.assertIn("RELAY_AUTHORIZATION", self.machine.read(
            "/etc/exim4/exim4.conf.localmacros"))
        self.assertIn("$sender_host_address", self.type(6))
        self.pbs_run("remove", CLIENT)
        self.assertEqual(self.type(7).strip(), "")
        self.restart()
        self.assertRegex(self.answer(), "^550 relay not permitted")
        self.log_in()
        self.assertRegex(self.answer(), "^250 Accepted")
        self.assertRegex(self.type(7), r"^\d+\n$")

    def pbs_run(self, mode, *args):
        self.machine.run(" ".join([
            self.guide.block(4).replace("list", mode).rstrip(), *args]),
            check=False)

    def restart(self):
        """There is no systemd to do step 8."""
        self.assertEqual(self.guide.block(8), "systemctl restart exim4\n")
        self.exim.stop()
        self.exim.start()


del GuideTestCase, PairTestCase
