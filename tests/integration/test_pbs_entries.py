# SPDX-License-Identifier: GPL-2.0-or-later
"""What perdition-pbs keeps of each login, and how the tools show and change
it, with and without a daemon, and all at the same time."""

import json
import subprocess
import threading
import time

from harness import wait_for
from pair import program
from test_pbs_daemon import PbsTestCase, line, record


def event(addr, user="bob", **kwargs):
    return record(addr, **kwargs).replace(b'user="bob"',
                                          b'user="%s"' % user.encode())


class EntriesTestCase(PbsTestCase):
    def objects(self, *args):
        done = self.daemon.run("list", "--json", *args, check=False)
        return {o["address"]: o for o in map(json.loads,
                                             done.stdout.splitlines())}

    def told(self, *events):
        """They have been dealt with when this returns."""
        sock, last = self.dial(), self.fresh()
        sock.sendall(b"".join(events) + event(last))
        self.wait_entry(last)


class Entries(EntriesTestCase):
    def test_users(self):
        pbs = self.start_pbs("socket")
        hostile = r'x\" 1\x0a\x00\\\xc3\xa9'
        a, b = self.fresh(), self.fresh()
        self.told(event(a, hostile), event(b, "ann"),
                  event(b, "eve", when=time.time() - 9))
        for _ in range(2):
            self.assertIn(f' "{hostile}"\n', pbs.run("list", a).stdout)
            found = self.objects(a, b)
            self.assertEqual(found[a]["user"], 'x" 1\n\0\\\xe9')
            self.assertEqual(found[b]["user"], "ann")  # the other was older
            pbs.stop()
            pbs.start()
        pbs.run("insert", b)
        self.assertEqual(self.objects(b)[b]["user"], "ann")
        log = wait_for("the line", lambda: [
            x for x in pbs.output().splitlines()
            if "event=relay-open" in x and f"address={b}" in x])
        self.assertIn("user=ann", log[0])

    def test_from_logout(self):
        self.start_pbs("both", timeout=1000, timeout_from="logout")
        now = int(time.time())
        long, short, logged = self.fresh(), self.fresh(), self.fresh()
        self.told(event(long, when=now - 990), event(short, when=now - 900),
                  event(long, kind="close", when=now - 100))
        self.assertEqual(int(self.db.get(long)), now + 900)
        self.assertEqual(int(self.db.get(short)), now + 100)
        login = line(logged, when=now - 900)
        close = line(logged, when=now - 50).split("Auth: ")
        ends = close[1].split(" ", 1)[0]
        self.write(login, f"{close[0]}Closing session: {ends} "
                          'authorisation_id=NONE authentication_id="bob" '
                          "received=1 sent=2\n")
        wait_for("the end of the session", lambda:
                 self.db.get(logged) == str(now + 950))
        self.assertEqual(self.objects(logged)[logged]["user"], "bob")

    def test_limit_of_a_user(self):
        pbs = self.start_pbs("socket", max_addresses_per_user=2, ipv6_mask=64)
        v4 = [self.fresh() for _ in range(3)]
        other = self.fresh()
        self.told(event(v4[0], "ann"), event(other, "eve"),
                  event(v4[1], "ann"), event(v4[2], "ann"))
        self.wait_gone(v4[0])
        for addr in (other, *v4[1:]):
            self.assertIsNotNone(self.db.get(addr))
        self.told(event("2001:db8::1", "ann"), event("2001:db8::2", "ann"))
        self.wait_gone(v4[2])
        self.assertIsNotNone(self.db.get("2001:db8::/64"))
        self.told(event(v4[0], "ann"), event(v4[1], "ann"))
        self.wait_gone("2001:db8::/64")
        self.assertIn("reason=max_addresses_per_user", pbs.output())

    def test_always(self):
        forever = "253402300799"
        pbs = self.start_pbs("socket", always=["203.0.113.4/31", "10.0.0.0/15",
                                               "2001:db8::/32"],
                             never="203.0.113.6/31")
        keys = {"203.0.113.4", "203.0.113.5", "10.0.0.0/16", "10.0",
                "10.1.0.0/16", "10.1", "2001:db8::/32", "2001:db8",
                "2001.0db8.0000.0000.0000.0000.0000.0000/32"}
        self.assertEqual(self.db.all(), dict.fromkeys(keys, forever))
        self.assertTrue(self.objects("10.1.2.3")["10.1.0.0/16"]["always"])
        pbs.run("purge")
        self.assertEqual(pbs.run("remove", "203.0.113.4",
                                 check=False).returncode, 1)
        self.assertEqual(set(self.db.all()), keys)
        self.assertEqual(pbs.run("export").stdout, "")
        # It is the configuration that lets them in, not what it has left.
        pbs.stop()
        at = pbs.argv.index("10.0.0.0/15")
        del pbs.argv[at - 1:at + 1]
        pbs.start()
        self.assertNotIn("10.0", self.db.all())
        self.assertIn("203.0.113.4", self.db.all())

    def test_export_and_import(self):
        pbs = self.start_pbs("socket", never="192.0.2.0/24")
        names = [self.fresh() for _ in range(300)]
        self.told(*(event(a, f"{a}\\xff") for a in names))
        text = pbs.run("export").stdout
        self.assertEqual(text.count('\\xff"\n'), 300)
        pbs.run("purge")
        for bad in ("192.0.2.1 %d \"\"\n" % (time.time() + 9), "192.0.3.1\n"):
            done = pbs.run("import", input=text + bad, check=False)
            self.assertIn(done.returncode, (65, 77), done.stderr)
            self.assertEqual(pbs.run("export").stdout, "")
        pbs.run("import", input=text)
        wait_for("all of it", lambda: pbs.run("export").stdout == text)
        # And without a daemon: the journal keeps what the next start needs.
        pbs.stop()
        pbs.run("purge")
        pbs.run("import", input=text)
        self.assertEqual(pbs.run("export").stdout, text)
        pbs.start()
        self.assertEqual(pbs.run("export").stdout, text)


class AtOnce(EntriesTestCase):
    """Many processes, with the daemon there, stopped and back."""

    WORKERS, ROUNDS = 6, 12

    def tool(self, mode, *args, text=None):
        done = self.daemon.run(mode, *args, check=False, input=text)
        # 1: a look at what another has just removed; 75: another tool has it
        # for too long; try later.
        if done.returncode not in (0, 1, 75):
            self.failed.append((mode, args, done.returncode, done.stderr))
        return done.returncode

    def work(self, number):
        mine = f"198.18.{100 + number}."
        for i in range(self.ROUNDS):
            keep, shut = mine + str(2 * i + 1), mine + str(2 * i + 2)
            if self.tool("insert", keep, shut) == 0:
                self.kept.append((keep, shut))
            if self.tool("remove", shut) != 75:
                self.shut.append(shut)
            self.tool("list", keep)
            self.tool("expire")
            env = dict(TCPREMOTEIP=keep)
            if subprocess.run(
                    [program("perdition-pbs"), "--mode", "setenv", "--db_file",
                     self.daemon.db, "--", "/usr/bin/env"], env=env,
                    stdout=subprocess.PIPE, timeout=60,
                    check=True).stdout.count(b"RELAYCLIENT=") == 0 \
                    and (keep, shut) in self.kept:
                self.failed.append(("setenv", keep))
            if i % 4 == 0:
                self.tool("import", text=self.tool_text(mine, i))

    @staticmethod
    def tool_text(mine, i):
        return f'{mine}{200 + i} {int(time.time()) + 500} "ann"\n'

    def run_all(self):
        self.kept, self.shut, self.failed = [], [], []
        threads = [threading.Thread(target=self.work, args=(n,))
                   for n in range(self.WORKERS)]
        for t in threads:
            t.start()
        return threads

    def check(self):
        self.assertEqual(self.failed, [])
        self.assertTrue(self.kept and self.shut)
        there = self.db.all()
        for keep, _ in self.kept:
            self.assertIn(keep, there)
        for shut in self.shut:
            self.assertNotIn(shut, there)
        self.verify()

    def test_with_a_daemon(self):
        self.start_pbs("socket")
        threads = self.run_all()
        sock = self.dial()
        while any(t.is_alive() for t in threads):
            sock.sendall(event(self.fresh()))
            threads[0].join(0.01)
        for t in threads:
            t.join()
        self.told()
        self.check()

    def test_without_a_daemon(self):
        self.start_pbs("socket").stop()
        for t in self.run_all():
            t.join()
        self.check()
        self.daemon.start()
        self.check()
