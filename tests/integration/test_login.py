# SPDX-License-Identifier: GPL-2.0-or-later
"""Mail clients log in through perdition to the right server and get every
message byte for byte."""

import base64
import re

import clients
from harness import alive, wait_for
from lineclient import Imap, Pop3
from messages import as_sent, known_messages
from pair import Perdition, sanitized
from pairtest import FRONT, ONE, PASSWORDS, TWO, PairTestCase

# Header lines that a client puts into the copies it keeps.
OWN_MARKS = re.compile(rb"^(X-TUID|Content-Length|Lines): .*\n", re.M)


class RealClients(PairTestCase):
    """Each fetches the same mail from the server itself, too: some change
    what they store, and do so alike."""

    def setUp(self):
        super().setUp()
        self.start_dovecots(big=True)
        self.front = self.start(self.perdition())

    def fetch(self, client, protocol, host, user):
        folder = clients.empty_folder(
            self.dir, f"{client.__name__}-{protocol}-{host}-{user}")
        port = self.imap_port if protocol == "imap" else self.pop3_port
        got = client(folder, protocol, host, port, user, PASSWORDS[user],
                     len(self.mail[user]))
        return sorted(OWN_MARKS.sub(b"", m, count=2) for m in got)

    def check(self, client, protocols=("imap", "pop3"), intact=True):
        for protocol in protocols:
            for user, server in (("alice", ONE), ("bob", TWO)):
                with self.subTest(protocol=protocol, user=user):
                    got = self.fetch(client, protocol, FRONT, user)
                    if intact:
                        want = sorted(self.mail[user].values())
                    else:
                        want = self.fetch(client, protocol, server, user)
                    self.assertEqual(len(got), len(self.mail[user]))
                    self.assertTrue(got == want, "a message has changed")

    def test_curl(self):
        self.check(clients.curl)

    def test_mbsync(self):
        self.check(clients.mbsync, ["imap"])

    def test_fetchmail(self):
        # It breaks lines of 70,000 bytes.
        self.check(clients.fetchmail, intact=False)

    def test_mutt(self):
        self.check(clients.mutt)

    def test_raw(self):
        """Without any client's own ideas."""
        for user in PASSWORDS:
            with self.subTest(user=user):
                want = sorted(map(as_sent, self.mail[user].values()))
                self.assertTrue(sorted(self.imap(user).fetch_all()) == want)
                self.assertTrue(sorted(self.pop3(user).fetch_all()) == want)


class Dialogue(PairTestCase):
    def setUp(self):
        super().setUp()
        self.start_dovecots(messages=False)
        self.front = self.start(self.perdition(hosts=(FRONT, "::1")))

    def test_every_way_to_log_in(self):
        plain = base64.b64encode(b"\0alice\0secret")
        user, password = (base64.b64encode(x) for x in (b"alice", b"secret"))
        imap = {
            "atoms": [b"a LOGIN alice secret\r\n"],
            "quoted": [b'a LOGIN "alice" "secret"\r\n'],
            "literals": [b"a LOGIN {5}\r\n", b"alice {6}\r\n", b"secret\r\n"],
            "non-synchronising": [b"a LOGIN {5+}\r\nalice {6+}\r\nsecret\r\n"],
            "plain": [b"a AUTHENTICATE PLAIN\r\n", plain + b"\r\n"],
            "plain at once": [b"a AUTHENTICATE PLAIN " + plain + b"\r\n"],
            "login": [b"a AUTHENTICATE LOGIN\r\n", user + b"\r\n",
                      password + b"\r\n"],
        }
        for name, steps in imap.items():
            with self.subTest(imap=name):
                client = self.imap()
                for step in steps[:-1]:
                    client.send(step)
                    self.assertRegex(client.readline(), rb"^\+")
                client.send(steps[-1])
                self.assertRegex(client.finish(b"a")[0], rb"^OK ")
                self.assertRegex(client.command("SELECT INBOX")[0], rb"^OK")
        pop3 = {
            "user": [b"USER alice\r\n", b"PASS secret\r\n"],
            "plain": [b"AUTH PLAIN\r\n", plain + b"\r\n"],
            "plain at once": [b"AUTH PLAIN " + plain + b"\r\n"],
            "login": [b"AUTH LOGIN\r\n", user + b"\r\n", password + b"\r\n"],
        }
        for name, steps in pop3.items():
            with self.subTest(pop3=name):
                client = self.pop3()
                for step in steps[:-1]:
                    client.send(step)
                    self.assertRegex(client.readline(), rb"^\+")
                client.send(steps[-1])
                self.assertRegex(client.readline(), rb"^\+OK")
                self.assertEqual(client.command("STAT"), b"+OK 0 0")

    def test_ipv6(self):
        self.imap("alice", host="::1").command("NOOP")
        self.assertEqual(self.pop3("bob", host="::1").command("STAT"),
                         b"+OK 0 0")
        lines = self.front.wait_log("Auth: [::1]:", 2)
        self.assertIn(f"->[::1]:{self.imap_port} ", lines[0])

    def test_wrong_password_then_right(self):
        client = self.imap()
        status, _ = client.login("alice", "wrong")
        self.assertRegex(status, rb"^NO ")
        self.assertNotRegex(status, rb"UNAVAILABLE")
        status, _ = client.login("alice", "secret")
        self.assertRegex(status, rb"^OK ")
        client = self.pop3()
        self.assertRegex(client.login("alice", "wrong"), rb"^-ERR")
        self.assertRegex(client.login("alice", "secret"), rb"^\+OK")

    def test_unknown_user_is_no_word_about_users(self):
        client = self.imap()
        first = client.login("alice", "wrong")[0]
        second = client.login("nobody-of-that-name", "wrong")[0]
        self.assertRegex(second, rb"^NO ")
        self.assertEqual(first.partition(b"]")[0], second.partition(b"]")[0])

    def test_pipelined_commands_run_once_in_order(self):
        client = self.imap()
        client.send(b"a LOGIN alice secret\r\nb SELECT INBOX\r\n"
                    b"c NOOP\r\nd LOGOUT\r\n")
        for tag in (b"a", b"b", b"c", b"d"):
            self.assertRegex(client.finish(tag)[0], rb"^OK")
        client = self.pop3()
        client.send(b"USER alice\r\nPASS secret\r\nSTAT\r\nNOOP\r\nQUIT\r\n")
        self.assertRegex(client.readline(), rb"^\+OK")
        self.assertRegex(client.readline(), rb"^\+OK")
        self.assertEqual(client.readline(), b"+OK 0 0")
        self.assertRegex(client.readline(), rb"^\+OK")
        self.assertRegex(client.readline(), rb"^\+OK")
        self.assertTrue(client.at_end())

    def test_capabilities_are_true(self):
        client = self.imap()
        before = client.command("CAPABILITY")[1][0]
        self.assertIn(b"IMAP4rev1", before)
        self.assertNotIn(b"STARTTLS", before)
        # Not before the login what Dovecot alone can do.
        self.assertNotIn(b"THREAD", before)
        client.login("alice", "secret")
        after = client.command("CAPABILITY")[1][0]
        direct = Imap(ONE, self.imap_port)
        self.addCleanup(direct.close)
        direct.login("alice", "secret")
        self.assertEqual(after, direct.command("CAPABILITY")[1][0])

    def test_lines_in_the_log(self):
        source = "127.0.0.5"
        self.imap("alice", source).close()
        client = self.pop3(source=source)
        client.login('b" status="ok', "x")
        client.close()
        auth = self.front.wait_log("Auth: ", 2)
        local = f"{FRONT}:{self.imap_port}"
        self.assertRegex(auth[0], rf'perdition\.imap4\[\d+\]: Auth: '
                         rf'{re.escape(source)}:\d+->{re.escape(local)} '
                         rf'client-secure=plaintext authorisation_id=NONE '
                         rf'authentication_id="alice" '
                         rf'server="{re.escape(ONE)}:{self.imap_port}" '
                         rf'protocol=IMAP4 server-secure=plaintext '
                         rf'status="ok"$')
        self.assertIn(r'authentication_id="b\" status=\"ok"', auth[1])
        self.assertRegex(auth[1], r' status="failed: [^"]+"$')
        closing = self.front.wait_log("Closing session: ")
        self.assertRegex(closing[0], r'authorisation_id=NONE '
                         r'authentication_id="alice" received=\d+ sent=\d+$')
        self.front.wait_log("Closing NULL session: ")
        self.front.wait_log("Connect: ", 2)
        for line in self.front.output().splitlines():
            self.assertNotIn("secret", line)

    def test_many_at_once(self):
        held = []
        # More than 64 logins of one user under way are taken for a loop.
        for _ in range(1 if sanitized() else 4):
            more = [self.imap() for _ in range(50)]
            for client in more:
                client.send(b"a LOGIN alice secret\r\n")
            for client in more:
                self.assertRegex(client.finish(b"a")[0], rb"^OK ")
            held += more
        for client in held:
            client.send(b"b NOOP\r\n")
        for client in held:
            self.assertRegex(client.finish(b"b")[0], rb"^OK ")

    def test_append_a_big_literal(self):
        """The way up, in one go, through small buffers."""
        message = as_sent(known_messages("up")["big"])
        client = self.imap("alice")
        client.send(b"a APPEND INBOX {%d}\r\n" % len(message))
        self.assertRegex(client.readline(), rb"^\+")
        client.send(message + b"\r\n")
        self.assertRegex(client.finish(b"a")[0], rb"^OK ")
        self.assertTrue(client.fetch_all() == [message])


class OldStyle(PairTestCase):
    """One protocol, command line alone, as with perdition 2.2."""

    def test_links_select_the_protocol(self):
        self.start_dovecots(messages=False)
        import pair
        import harness
        for name, port, client in (
                ("perdition.imap4", self.imap_port, Imap),
                ("perdition.pop3", self.pop3_port, Pop3)):
            argv = [pair.program(name), "--no_daemon", "-f", "/dev/null",
                    "-F", "+", "-b", FRONT, "-l", port, "-M", "",
                    "-s", f"{ONE}:{port}", "--pid_file", ""]

            def ready(port=port, client=client):
                with client(FRONT, port, timeout=2) as one:
                    return one.greeting
            self.start(harness.Daemon(
                name, argv, self.dir / name, ready=ready,
                env=pair.sanitizer_env(self.reports)))
        self.imap("alice")
        self.pop3("alice")

    def test_without_root(self):
        """Where ports and files allow it."""
        from pair import OWNER, Pbs
        from relaydb import RelayDb
        become = ("setpriv", f"--reuid={OWNER[0]}", f"--regid={OWNER[1]}",
                  "--clear-groups")
        self.start_dovecots(messages=False)
        pbs = Pbs(self)
        front = self.perdition({"auth_socket": pbs.socket})
        for daemon in (pbs, front):
            daemon.argv[:0] = become
            daemon.argv = [str(a) for a in daemon.argv]
            self.start(daemon)
        self.imap("alice", "203.0.113.80")
        self.pop3("bob", "203.0.113.81")
        db = RelayDb(pbs.db)
        for addr in ("203.0.113.80", "203.0.113.81"):
            wait_for("an entry", lambda a=addr: db.get(a))

    def test_short_names_of_config_and_daemon(self):
        """In the background, with a pid file, and ended by it."""
        import os
        import pair
        import signal
        import subprocess
        self.start_dovecots(messages=False)
        pid_file = self.dir / "perdition.pid"
        front = Perdition(self, [("imap4", FRONT, self.imap_port)], None, {
            "no_daemon": None, "pid_file": pid_file,
            "outgoing_server": f"{ONE}:{self.imap_port}",
            "log_facility": self.dir / "front.log"})
        subprocess.run([pair.program("perdition"), "-f", front.config],
                       check=True, timeout=30, stdin=subprocess.DEVNULL,
                       env={**os.environ, **front.env})
        pid = int(wait_for("the pid file", pid_file.read_text))
        try:
            wait_for("perdition ready", front._answers)
            self.imap("alice").close()
        finally:
            os.kill(pid, signal.SIGTERM)
            wait_for("the end", lambda: not alive(pid))
        self.assertFalse(pid_file.exists())
