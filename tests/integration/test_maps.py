# SPDX-License-Identifier: GPL-2.0-or-later
"""Several maps, one of which is slow, hung or gone: who needs it, who does
not, what is kept, and that a storm does not run it over."""

import threading

from fakeserver import FakeServer, imap_server
from harness import wait_for
from linemap import LineMap
from mapfront import MapTest


class Maps(MapTest):
    def setUp(self):
        super().setUp()
        self.table = {b"ann": f"OK {self.a}", b"bob": f"OK {self.b}"}
        self.gate = threading.Event()
        self.gate.set()
        self.addCleanup(self.gate.set)
        self.path = self.dir / "map.sock"
        self.map = LineMap(self.path, self.answer)
        self.addCleanup(self.map.close)
        self.rules = self.dir / "first.re"
        self.rules.write_text(f"^quick: {self.a}\n")
        self.rules.chmod(0o644)

    def answer(self, key, _fields):
        """What the table says, once the gate is open."""
        self.gate.wait(60)
        return self.table.get(key, "NOTFOUND")

    def both(self, **values):
        self.front(map_library=["regex", "daemon"],
                   map_library_opt=[self.rules, self.path], **values)

    def asked(self, name):
        return [key for key, _ in self.map.questions if key == name]

    def at_once(self, *users):
        """Each logs in, all at the same time; [(where, as whom, answer)]."""
        got = [None] * len(users)

        def one(i):
            got[i] = self.status(users[i])
        threads = [threading.Thread(target=one, args=(i,))
                   for i in range(len(users))]
        for t in threads:
            t.start()
        return threads, got

    def status(self, user):
        from lineclient import Imap
        with Imap("127.0.0.1", self.port) as client:
            return client.login(user, "secret")[0]

    def test_in_order(self):
        self.both()
        self.arrives("quick1", "a")
        self.arrives("bob", "b")
        self.arrives("other", "default")
        self.assertFalse(self.asked(b"quick1"))

    def test_hung_map_delays_nobody_else(self):
        self.both(map_timeout=30)
        self.gate.clear()
        # More than it has connections.
        threads, got = self.at_once(*[f"user{n}" for n in range(12)])
        wait_for("the first questions",
                 lambda: len(self.map.questions) == 4)
        for n in range(20):
            self.arrives(f"quick{n}", "a")
        self.assertEqual(got, [None] * 12)
        self.assertEqual(len(self.map.questions), 4)
        self.gate.set()
        for t in threads:
            t.join(30)
        self.assertTrue(all(g.startswith(b"OK") for g in got), got)

    def test_never_longer_than_map_timeout(self):
        self.both(map_timeout=1)
        self.gate.clear()
        self.refused("ann")
        self.arrives("quick", "a")
        self.gate.set()
        self.comes_to("ann", "a")

    def test_identical_questions_are_one(self):
        self.both()
        self.gate.clear()
        threads, got = self.at_once(*["ann"] * 10)
        wait_for("the question", lambda: self.asked(b"ann"))
        self.gate.set()
        for t in threads:
            t.join(30)
        self.assertTrue(all(g.startswith(b"OK") for g in got), got)
        self.assertLess(len(self.asked(b"ann")), 10)

    def test_no_fall_through(self):
        self.front(map_library=["daemon", "regex"],
                   map_library_opt=[self.path, self.rules])
        self.arrives("ann", "a")
        self.map.close()
        self.refused("quick")
        self.refused("other")

    def test_fall_through(self):
        self.front(map_library=["daemon", "regex"],
                   map_library_opt=[self.path, self.rules],
                   map_fallthrough=True)
        self.map.close()
        self.arrives("quick", "a")
        # Nobody can say that there is no such user: not the default server.
        self.refused("other")
        self.map.open()
        self.comes_to("other", "default")

    def test_kept(self):
        self.both(popmap_cache=3600)
        for _ in range(5):
            self.arrives("ann", "a")
            self.arrives("other", "default")
        self.assertEqual(len(self.asked(b"ann")), 1)
        self.assertEqual(len(self.asked(b"other")), 1)
        self.table[b"ann"] = f"OK {self.b}"
        self.arrives("ann", "a")
        self.change()  # reload: forgotten
        self.comes_to("ann", "b")

    def test_lifetime_of_the_answer(self):
        self.both(popmap_cache=3600)
        self.table[b"ann"] = f"OK {self.a} ttl=1"
        self.arrives("ann", "a")
        self.table[b"ann"] = f"OK {self.b}"
        self.comes_to("ann", "b")

    def test_known_users_while_the_map_is_gone(self):
        self.both(popmap_cache_stale=3600)
        self.arrives("ann", "a")
        self.map.close()
        self.arrives("ann", "a")
        self.refused("bob")
        self.arrives("ann", "a")
        self.map.open()
        self.table[b"ann"] = f"OK {self.b}"
        self.comes_to("bob", "b")
        self.comes_to("ann", "b")

    def test_known_users_while_the_map_hangs(self):
        self.both(popmap_cache_stale=3600, map_timeout=2)
        self.arrives("ann", "a")
        self.gate.clear()
        self.arrives("ann", "a")  # after map_timeout, once
        before = len(self.map.questions)
        for _ in range(5):  # and now at once
            self.arrives("ann", "a")
        self.assertLess(len(self.map.questions), before + 5)
        self.gate.set()

    def test_hung_resolver_delays_nobody_else(self):
        """Names are asked by others, too: here none can be resolved at all,
        and addresses go on."""
        self.rules.write_text(f"^quick: {self.a}\n^n: no-such.invalid\n")
        self.both()
        self.refused("n")
        self.arrives("quick", "a")
        self.assertTrue(self.daemon.wait_log("no-such.invalid"))

    def test_helpers_end_with_perdition(self):
        self.both()
        self.arrives("ann", "a")
        # The runner fails a test that leaves processes.
        self.daemon.stop()


class Name(MapTest):
    def test_server_by_name(self):
        note = []
        server = FakeServer(imap_server(note=note), "127.0.0.1")
        self.addCleanup(server.close)
        path = self.dir / "re"
        path.write_text(f"^ann$: localhost:{server.port}\n")
        path.chmod(0o644)
        self.front(map_library="regex", map_library_opt=path)
        for _ in range(3):
            self.login("ann")
        self.assertEqual(len([x for x in note
                              if x.upper().startswith(b"LOGIN")]), 3)
