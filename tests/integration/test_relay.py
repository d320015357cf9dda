# SPDX-License-Identifier: GPL-2.0-or-later
"""A login opens the relay for its address, for a while, and nothing else
does."""

import statistics
import time

from addresses import CLIENTS4, CLIENTS6
from harness import wait_for
from lineclient import relays
from pairtest import FRONT, PairTestCase

FULL6 = "2001:db8:9:0:0:0:0:1"
TIMEOUT = 8  # of entries that are waited for; a few SMTP sessions fit in


class Relay(PairTestCase):
    def relay_through(self, source):
        self.start_dovecots(messages=False)
        self.start_pair(source, {"timeout": TIMEOUT})
        self.start_sendmail()
        a, b, stranger = CLIENTS4[:3]
        self.assertFalse(self.rcpt(a))
        self.imap("alice", a).close()
        self.wait_entry(a)
        self.assertTrue(self.rcpt(a))
        self.assertFalse(self.rcpt(stranger))
        before = int(time.time())
        self.pop3("bob", b).close()
        expires = int(self.wait_entry(b))
        self.assertGreaterEqual(expires, before + TIMEOUT)
        self.assertLessEqual(expires, time.time() + TIMEOUT)
        self.assertTrue(self.rcpt(b))
        self.wait_no_entry(a)
        self.wait_no_entry(b)
        # Not before its time, and gone within a second, or a few when the
        # machine is busy.
        self.assertGreater(time.time(), expires - 1)
        self.assertLess(time.time() - expires, 10)
        self.assertFalse(self.rcpt(b))
        self.assertEqual(relays(FRONT, self.smtp_port, a)[:3], "550")

    def test_by_stream(self):
        self.relay_through("socket")

    def test_by_log(self):
        self.relay_through("log")

    def test_ipv6(self):
        self.start_dovecots(messages=False)
        self.start_pair(values=None, hosts=(FRONT, "::1"),
                        pbs_values={"ipv6_mask": 128})
        self.start_sendmail(ipv6=True)
        addr, other = CLIENTS6[0], CLIENTS6[1]
        self.assertFalse(self.rcpt(addr, "::1"))
        self.imap("alice", addr, host="::1")
        self.wait_entry(FULL6)
        # Postfix and Exim ask for the short form.
        self.wait_entry(addr)
        self.assertTrue(self.rcpt(addr, "::1"))
        self.assertFalse(self.rcpt(other, "::1"))

    def test_failed_logins_open_nothing(self):
        self.start_dovecots(messages=False)
        self.start_pair("both")
        evil = CLIENTS4[0]
        victim = CLIENTS4[5]
        forged = [
            f'x" status="ok" Auth: {victim}:1->127.0.0.1:143 '
            f'client-secure=plaintext authorisation_id=NONE '
            f'authentication_id="bob" server="h:143" protocol=IMAP4 '
            f'server-secure=plaintext status="ok"',
            f'Auth: {victim}:1->127.0.0.1:143',
            f'{victim}', 'alice', f'x" user="{victim}', "\\", '"', "\\x0a",
            f"perdition-auth 1 client={victim}:1 status=ok",
            "x'; --", "%s%n", "a" * 500,
        ]
        for name in forged:
            client = self.imap(source=evil)
            self.assertRegex(client.login(name, "wrong")[0], rb"^(NO|BAD) ")
            client = self.pop3(source=evil)
            self.assertRegex(client.login(name, 'x" status="ok"'), rb"^-ERR")
        # A tag and a banner's worth of text are no way in either.
        client = self.imap(source=evil)
        client.line(f'Auth:{victim} LOGIN alice wrong')
        client.readline()
        # What comes after all that has been taken in shows that it was.
        last = CLIENTS4[9]
        self.imap("alice", last)
        self.wait_entry(last)
        self.assertEqual(set(self.db.all()), {last})

    def latency(self, source):
        """From the client's OK, which comes no later than the Auth line."""
        self.start_dovecots(messages=False)
        self.start_pair(source)
        took = []
        for addr in CLIENTS4:
            client = self.imap(source=addr)
            client.login("alice", "secret")
            began = time.monotonic()
            self.wait_entry(addr)
            took.append((time.monotonic() - began) * 1000)
        print(f"     {source}: new entry readable after {min(took):.1f} ms at "
              f"best, median {statistics.median(took):.1f} ms, "
              f"{max(took):.1f} ms at worst")
        # The goal is 50 ms for each on a quiet machine.  This one may be busy,
        # but what waits for a tick is seldom so early.
        self.assertLess(sorted(took)[len(took) // 4], 50)

    def test_latency_by_stream(self):
        self.latency("socket")

    def test_latency_by_log(self):
        self.latency("log")

    def test_an_open_smtp_session_sees_the_change(self):
        from lineclient import Smtp
        self.start_dovecots(messages=False)
        self.start_pair()
        self.start_sendmail()
        for addr in CLIENTS4[:5]:
            with Smtp(FRONT, self.smtp_port, addr) as smtp:
                self.assertRegex(smtp.rcpt("x@example.net"), "^550")
                self.imap("alice", addr).close()
                self.wait_entry(addr)
                self.assertRegex(smtp.rcpt("x@example.net"), "^250")

    def test_never_and_loopback(self):
        self.start_dovecots(messages=False)
        a, b = CLIENTS4[0], CLIENTS4[1]
        self.start_pair(pbs_values={"never": f"{a}/32"})
        self.imap("alice", a)
        self.imap("alice", "127.0.0.9")
        self.imap("alice", b)
        self.wait_entry(b)
        self.assertEqual(set(self.db.all()), {b})

    def test_living_session_keeps_its_entry(self):
        self.start_dovecots(messages=False)
        self.start_pair(pbs_values={"timeout": 4}, values={"connect_relog": 1})
        addr = CLIENTS4[0]
        client = self.imap("alice", addr)
        first = int(self.wait_entry(addr))
        wait_for("a later expiry",
                 lambda: int(self.db.get(addr) or 0) > first + 4)
        client.close()
        self.wait_no_entry(addr)


class Tools(PairTestCase):
    """list, insert, remove, purge and expire, with the daemon and without."""

    def test_by_hand(self):
        from pair import Pbs
        self.pbs = Pbs(self, "socket", {"timeout": 60})
        from relaydb import RelayDb
        self.db = RelayDb(self.pbs.db)
        a, b = CLIENTS4[:2]
        self.pbs.run("insert", "--timeout", "60", a, b, "2001:DB8:9::1")
        listed = self.pbs.run("list").stdout
        for text in (a, b, "2001:db8:9::1"):
            self.assertIn(text, listed)
        self.pbs.run("remove", a)
        self.assertNotIn(a, self.pbs.run("list").stdout)
        self.assertIsNone(self.db.get(a))
        self.assertIsNotNone(self.db.get(b))
        self.pbs.run("insert", "--timeout", "1", a)
        ends = int(self.db.get(a))
        wait_for("its time is over", lambda: time.time() > ends + 1)
        self.pbs.run("expire")
        self.assertIsNone(self.db.get(a))
        self.assertIsNotNone(self.db.get(b))
        self.pbs.run("purge")
        self.assertEqual(self.db.all(), {})

    def test_names_as_links(self):
        import subprocess
        import pair
        self.pbs = pair.Pbs(self, "socket")
        self.pbs.run("insert", CLIENTS4[0])
        done = subprocess.run(
            [pair.program("perdition-pbs-list"), "-D", self.pbs.db],
            stdout=subprocess.PIPE, text=True, check=True, timeout=30)
        self.assertIn(CLIENTS4[0], done.stdout)
