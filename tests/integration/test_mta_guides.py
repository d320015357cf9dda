# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guides of mta-glue tell an administrator to type is typed, step by
step, on a machine where the paths are those of the guide."""

import os
import re
import signal
import subprocess

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
        # A process of before the reload may answer once more.
        wait_for("the file is asked",
                 lambda: self.answer().startswith("250 "))
        self.assertRegex(self.type(10), r"^\d+\n$")
        self.assertRegex(self.answer(CLIENTS4[0]), "^554 ")
        *when, user, command = self.guide.block(10, 1).split(None, 6)
        self.assertEqual((when, user), (["*"] * 5, "nobody"))
        self.machine.run(f"setpriv --reuid={user} --clear-groups {command}")
        self.assertRegex(self.answer(), "^250 ")


class EximGuide(GuideTestCase):
    mta = "exim"

    def test_whole(self):
        self.all_steps(False, "/etc/exim4/exim4.conf.localmacros")

    def test_split(self):
        self.all_steps(True, "/etc/exim4/conf.d/main/000_relay-authorization")

    def all_steps(self, split, macros):
        """macros: the file of step 5."""
        self.start_machine("exim")
        self.start_pair_by_guide()
        self.exim = Exim(self.machine, self.port, split=split)
        # As the package starts it.
        self.exim.argv.remove("-C")
        self.exim.argv.remove(self.exim.config)
        self.machine.run("update-exim4.conf")
        self.start(self.exim)
        self.machine.run(f"touch '{macros}'; cp '{macros}' /etc/was")
        for snippet in ("relay-file", "relay-socket"):
            with self.subTest(snippet):
                self.machine.run(f"cp /etc/was '{macros}'")
                self.steps(snippet, 1 if split else 0)
                self.assertIn("RELAY_AUTHORIZATION", self.machine.read(macros))

    def steps(self, snippet, number):
        """From 5 on; number: of the block there."""
        self.machine.run(self.guide.block(5, number).replace("relay-file",
                                                             snippet))
        self.assertIn("$sender_host_address", self.type(6))
        self.pbs_run("remove", CLIENT)
        self.assertEqual(self.type(7).strip(), "")
        if snippet == "relay-file":
            self.check_second_look()
        self.restart()
        self.assertRegex(self.answer(), "^550 relay not permitted")
        self.log_in()
        self.assertRegex(self.answer(), "^250 Accepted")
        self.assertRegex(self.type(7), r"^\d+\n$")

    def check_second_look(self):
        """What is not found may have been missed, and is looked for in the
        file opened anew: halted there, Exim finds what has come since."""
        trace = self.dir / "trace"
        # Berkeley DB opens a file twice, and then Exim for the second look.
        with subprocess.Popen(
                [*self.machine.enter, "strace", "-f", "-o", trace, "-P",
                 "/var/lib/perdition-pbs/relay.db", "-P",
                 "//var/lib/perdition-pbs/relay.db", "-e", "trace=openat",
                 "-e", "inject=openat:signal=SIGSTOP:when=3",
                 "exim4", "-bh", CLIENT], text=True, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as exim:
            self.addCleanup(exim.kill)
            exim.stdin.write("HELO x\nMAIL FROM:<a@example.org>\n"
                             "RCPT TO:<someone@example.net>\nQUIT\n")
            exim.stdin.close()
            halted = wait_for("the second look", lambda: re.search(
                r"(?m)^(\d+) +--- stopped by SIGSTOP", trace.read_text()))
            opened = re.findall(r'"(/*)/var/lib/perdition-pbs/relay\.db"',
                                trace.read_text())
            self.assertEqual(opened, ["", "", "/"])
            self.pbs_run("insert", CLIENT)
            os.kill(int(halted[1]), signal.SIGCONT)
            self.assertRegex(exim.stdout.read(), "(?m)^250 Accepted")
        self.pbs_run("remove", CLIENT)

    def pbs_run(self, mode, *args):
        self.machine.run(" ".join([
            self.guide.block(4).replace("list", mode).rstrip(), *args]),
            check=False)

    def restart(self):
        """There is no systemd to do step 8."""
        self.assertEqual(self.guide.block(8), "systemctl restart exim4\n")
        self.exim.stop()
        self.exim.start()


class SendmailGuide(GuideTestCase):
    mta = "sendmail"

    def test_steps(self):
        self.start_machine("sendmail")
        sendmail = Sendmail(self.subdir("mail"), "/nowhere.db", self.port)
        self.machine.bind(sendmail.dir, "/etc/mail")
        # Debian's alternatives make this link.
        self.machine.run("ln -sf /usr/libexec/sendmail/sendmail /usr/sbin/")
        sendmail.argv = [*self.machine.enter, "/usr/sbin/sendmail", "-bD",
                         "-C", "/etc/mail/sendmail.cf"]
        plain = self.without_relaying(sendmail.dir / "sendmail.mc")
        self.start_pair_by_guide()
        for snippet in ("relay-authorization-map", "relay-authorization",
                        "relay-authorization-socket"):
            with self.subTest(snippet):
                self.write_mc(plain, snippet)
                self.steps(sendmail, snippet)

    def without_relaying(self, path):
        """What an administrator may have had before."""
        return "include(`/usr/share/sendmail/cf/m4/cf.m4')dnl\n" + "".join(
            line for line in path.read_text().splitlines(True)
            if "RELAY_AUTHORIZATION" not in line and "include(" not in line)

    def write_mc(self, plain, snippet):
        """Step 5."""
        lines = self.guide.block(5).replace("relay-authorization-map", snippet)
        self.machine.write("/etc/mail/sendmail.mc", plain.replace(
            "MAILER(", lines + "MAILER(", 1))

    def steps(self, sendmail, snippet):
        """From 6 on."""
        self.machine.run(self.guide.block(4).replace("list", "purge"))
        name = "pbs" if snippet.endswith("map") else "drac"
        self.machine.run(self.guide.block(6).replace("Kpbs", f"K{name}"))
        ask = self.guide.block(7).replace("/map pbs", f"/map {name}")
        self.assertIn(f"{name} ({CLIENT}) no match",
                      self.machine.run(ask).stdout)
        self.assertEqual(self.guide.block(8).splitlines()[1:],
                         ["systemctl restart sendmail"])
        self.machine.run(self.guide.block(8).splitlines()[0])
        sendmail.stop()
        self.start(sendmail)
        self.assertRegex(self.answer(), "^550 5.7.1 .*Relaying denied")
        self.log_in()
        self.assertRegex(self.answer(), "^250 2.1.5 .*Recipient ok")
        ask = ask.replace(".new", "")
        self.assertRegex(self.machine.run(ask).stdout,
                         rf"{name} \({CLIENT}\) returns \d+ \(0\)")
        self.assertRegex(self.answer(CLIENTS4[0]), "^550 ")


class QmailGuide(GuideTestCase):
    mta = "qmail"

    def test_steps(self):
        self.start_machine("ucspi-tcp-ipv6")
        self.start_pair_by_guide()
        self.type(5)
        self.type(6)
        self.assertEqual(self.type(7), "unset unset\n")
        db, smtpd = (self.machine.read(f"/etc/qmail-smtpd/env/{name}").strip()
                     for name in ("RELAY_DB", "SMTPD"))
        self.assertIn(db, self.guide.block(6, 1))
        words = self.guide.block(6, 1).replace("\\\n", "").split()
        lookup = words[words.index("--lookup_socket") + 1]
        qmail = self.start(Qmail(
            self.dir / "qmail", "/usr/sbin/perdition-pbs", db, self.port,
            {**sanitizer_env(self.reports), "SMTP_USER": "qmaild"},
            prefix=self.machine.enter, run="/etc/qmail-smtpd/run", listen="0",
            lookup=lookup, smtpd=smtpd.split()[:-1]))
        self.assertRegex(self.answer(), "^550 ")
        self.log_in()
        self.assertEqual(self.type(7), " alice\n")
        self.assertRegex(self.answer(), "^250 ")
        self.assertRegex(self.answer(CLIENTS4[0]), "^550 ")
        line = self.guide.block(9).strip().replace("bob@example.org", "alice")
        wait_for("who relayed", lambda: re.search(
            line.replace("4711", r"\d+"), qmail.output()))
        self.assertIn("event=relay-allowed", self.pbs.output())
        # Nobody may ask but who is named.
        self.assertNotIn("event=answer-refused", self.pbs.output())
        # Without it.
        self.assertEqual(self.pbs.stop(), 0)
        self.assertEqual(self.type(7), " unset\n")
        self.assertRegex(self.answer(), "^250 ")
        self.assertRegex(self.answer(CLIENTS4[0]), "^550 ")


del GuideTestCase, PairTestCase
