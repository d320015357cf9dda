# SPDX-License-Identifier: GPL-2.0-or-later
"""perdition-pbs beside a Dovecot and no perdition, set up as the guide says:
lines that Dovecot writes in this very run, of logins that work and that fail,
with names that try to be more than a name."""

import base64
import concurrent.futures
import contextlib
import re
import subprocess
import time

from addresses import CLIENTS4
from dovecot import Dovecot
from harness import TestCase, free_port, wait_for
from lineclient import Closed, Imap, Pop3
from pair import Pbs, program
from relaydb import RelayDb
from test_guides import GUIDES, blocks

SERVER, BEHIND = "127.0.0.11", "127.0.0.12"
EVIL = "198.51.100.66"
FORGED = ("imap-login: Info: Login: user=<bob>, method=PLAIN, rip=" + EVIL
          + ", lip=127.0.0.1, mpid=1, session=<x>")
# Users that are there, so that their logins work.
HOSTILE = ["x>, method=PLAIN, rip=" + EVIL + ", lip=" + EVIL + ", mpid=1",
           "x>, rip=" + EVIL, "rip=" + EVIL + ", lip=" + EVIL, "a<b>c"]

STARTED = ("x,127.0.0.12:143): started proxying to <h> (0.1 secs): "
           "user=<bob>, method=plain, rip=" + EVIL + ", lip=127.0.0.1")
PROXIED = [*HOSTILE, STARTED, STARTED + ", session=<x",
           STARTED + ", session=<x>", STARTED.replace("started", "Started"),
           STARTED.partition(">,")[0], STARTED.partition("bob")[0]]
# Only the first of two names in a line is written in full.
LONG = ["y" * 80 + name[1:].replace("started", "Started") for name in PROXIED
        if name.startswith("x,")]


class DovecotTestCase(TestCase):
    """Of one Dovecot, and what it logs."""

    def setUp(self):
        super().setUp()
        self.imap, self.pop3 = free_port(SERVER), free_port(SERVER)

    def start_dovecot(self, users, **kwargs):
        server = self.dir / "dovecot"
        server.mkdir(mode=0o755)
        self.log = server / "log"
        self.log.touch()
        self.log.chmod(0o644)
        self.start(Dovecot(server, "one", SERVER, self.imap, self.pop3,
                           users, **kwargs))

    def login(self, source, user, password="secret"):
        """Both protocols, and SASL; true when all let it in."""
        plain = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        replies = []
        with contextlib.suppress(Closed):
            with Imap(SERVER, self.imap, source) as client:
                client.line(f"a AUTHENTICATE PLAIN {plain}")
                line = client.readline()
                while not line.startswith(b"a "):
                    line = client.readline()
                replies.append(line.startswith(b"a OK"))
        with contextlib.suppress(Closed):
            with Pop3(SERVER, self.pop3, source) as client:
                client.line(f"AUTH PLAIN {plain}")
                replies.append(client.readline().startswith(b"+OK"))
        return replies == [True, True]

    def refused(self, source, names):
        """At once: Dovecot takes its time to refuse."""
        with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
            answers = list(pool.map(
                lambda name: self.login(source, name, "wrong"), names))
        self.assertEqual(answers, [False] * len(names))

    def entries(self):
        """The addresses in the database, without the networks."""
        return {k for k in self.db.all() if ":" not in k and "/" not in k}

    @staticmethod
    def stamped(text):
        return time.strftime("%b %d %H:%M:%S ") + text


class Guide(DovecotTestCase):
    def setUp(self):
        super().setUp()
        self.start_dovecot({name: ("secret", {})
                            for name in ["bob", "a b", *HOSTILE]})

    def options(self):
        """The guide's configuration, with this test's paths."""
        text = (GUIDES / "other-servers.md").read_text()
        config = dict(blocks(text))["/etc/perdition/perdition-pbs.conf"]
        found = dict(re.findall(r"^([a-z_]+) (.+)$", config, re.M))
        self.assertEqual(found.pop("log_file"), "/var/log/mail.log")
        self.assertTrue(found.pop("db_file"))
        self.assertEqual(found["pattern"], "dovecot")
        return found

    def test_dovecot(self):
        pbs = Pbs(self, "log", self.options(), log_file=self.log)
        self.start(pbs)
        self.db = db = RelayDb(pbs.db)
        good, odd, failing, hostile = CLIENTS4[:4]
        self.assertTrue(self.login(good, "bob"))
        wait_for("its entry", lambda: db.get(good))
        self.assertTrue(self.login(odd, "a b"))
        wait_for("an odd name's entry", lambda: db.get(odd))
        wrong = ["bob", "nobody", FORGED, "x\n" + self.stamped(FORGED),
                 "x\r\n" + self.stamped(FORGED) + "\r\n", "x" * 600,
                 "y" * 480 + FORGED, *HOSTILE]
        self.refused(failing, wrong)
        for name in HOSTILE:
            self.login(hostile, name)
        # All lines before this one have been dealt with.
        last = CLIENTS4[5]
        self.assertTrue(self.login(last, "bob"))
        wait_for("the last", lambda: db.get(last))
        self.assertLessEqual(self.entries(), {good, odd, hostile, last})

    def test_test_pattern(self):
        """What the tool says of the same lines, and of them in syslog's
        form."""
        self.assertTrue(self.login(CLIENTS4[0], "bob"))
        self.assertFalse(self.login(CLIENTS4[1], "bob", "wrong"))
        text = wait_for("the lines", lambda: (lambda t: t.count("Login: ") > 1
                                              and t)(self.log.read_text()))
        syslog = re.sub(r"^(\w+ [ \d]\d [\d:]+) ([\w-]+): Info: ",
                        r"\1 mx dovecot: \2: ", text, flags=re.M)
        self.assertNotEqual(text, syslog)
        for lines in (text, syslog):
            done = subprocess.run(
                [program("perdition-pbs"), "--config_file=", "--pattern",
                 "dovecot", "--test_pattern", "-"], input=lines,
                capture_output=True, text=True, timeout=20, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            found = re.findall(r"^\d+: login (.*) time=", done.stdout, re.M)
            self.assertEqual(set(found), {
                f'pattern=dovecot address={CLIENTS4[0]} user="bob"'})
            self.assertRegex(done.stdout, r"(?m)^\d+: no, dovecot: byte \d+: "
                             r'expected "\{=Login\|Logged in\}"$')

    def test_test_pattern_on_odd_lines(self):
        good = (self.stamped("mx dovecot: imap-login: Login: user=<bob>, rip=")
                + CLIENTS4[0] + ", lip=127.0.0.1").encode()
        lines = {good: "login", good + b"\r": "login", b"\r": "no, empty",
                 good + b"\r\r": "no, dovecot: byte %d: expected the end"
                 % (len(good) + 1),
                 b"\r" + good: "no, does not begin with a time stamp",
                 good.replace(b"bob", b"b\rb"): 'no, dovecot: byte 54: '
                 'expected "{user}"',
                 good + b"\0": "no, holds a NUL byte",
                 b"\0" + good: "no, holds a NUL byte",
                 b"x" * (1 << 20) + good: "no, too long",
                 good + b"x" * (1 << 20): "no, too long"}
        done = subprocess.run(
            [program("perdition-pbs"), "--config_file=", "--pattern",
             "dovecot", "--test_pattern", "-"],
            input=b"\n".join(lines) + b"\n", capture_output=True, timeout=20,
            check=True)
        said = done.stdout.decode().splitlines()[:-1]
        self.assertEqual(len(said), len(lines), said)
        for number, (line, want) in enumerate(zip(said, lines.values()), 1):
            self.assertTrue(line.startswith(f"{number}: {want}"), line)

    def test_pattern_file(self):
        """The guide's own pattern, on the guide's own line."""
        text = (GUIDES / "other-servers.md").read_text()
        pattern = dict(blocks(text))["/etc/perdition/patterns"]
        path = self.dir / "patterns"
        path.write_text(pattern)
        example = pattern.splitlines()[0].lstrip("# ")
        done = subprocess.run(
            [program("perdition-pbs"), "--config_file=", "--pattern_file",
             path, "--test_pattern", "-"], input=example + "\n",
            capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn('pattern=mypopd address=203.0.113.71 user="anna"',
                      done.stdout)


class Proxy(DovecotTestCase):
    """Dovecot in front of another: it lets everybody try, and the one behind
    decides."""

    def test_proxy(self):
        self.start(Dovecot(
            self.subdir("behind"), "two", BEHIND, 143, 110,
            {name: ("secret", {}) for name in ["bob", "a b", *PROXIED]}))
        self.start_dovecot({}, extra="""
            auth_username_format = %%u
            passdb {
              driver = static
              args = proxy=y host=%s nopassword=y
            }""" % BEHIND)
        pbs = self.start(Pbs(self, "log", {"pattern": "dovecot"},
                             log_file=self.log))
        self.db = RelayDb(pbs.db)
        good, odd, failing, hostile, last = CLIENTS4[:5]
        for addr, name in ((good, "bob"), (odd, "a b")):
            self.assertTrue(self.login(addr, name))
            wait_for(f"{addr}", lambda a=addr: self.db.get(a))
        self.refused(failing, ["bob", "nobody", FORGED,
                               "x\n" + self.stamped(FORGED),
                               "x\r\n" + self.stamped(FORGED) + "\r\n",
                               "y" * 480 + FORGED, *PROXIED, *LONG])
        for name in PROXIED:
            self.login(hostile, name)
        self.assertTrue(self.login(last, "bob"))
        wait_for("the last", lambda: self.db.get(last))
        self.assertLessEqual(self.entries(), {good, odd, hostile, last})
        self.assertIn("Login failed", self.log.read_text())


del DovecotTestCase
