# SPDX-License-Identifier: GPL-2.0-or-later
"""Popmap modules, query keys, names rewritten, defaults; a map that cannot
tell is a temporary failure, never the default server or a wrong password."""

import os
import subprocess

import pair
from fakeserver import FakeServer, imap_server
from harness import TestCase, free_port, wait_for
from lineclient import Imap, Pop3
from pair import Perdition

FRONT = "127.0.0.1"


class Popmap(TestCase):
    def setUp(self):
        super().setUp()
        self.notes = {"a": [], "b": [], "default": []}
        self.servers = {}
        for name, note in self.notes.items():
            self.servers[name] = FakeServer(imap_server(note=note))
            self.addCleanup(self.servers[name].close)
        self.a, self.b = (self.servers[n].address for n in "ab")

    def front(self, popmap=None, listen=None, **values):
        self.port = free_port(FRONT, "::1")
        self.daemon = self.start(Perdition(
            self, listen or [("imap4", FRONT, self.port)], popmap,
            {"outgoing_server": self.servers["default"].address, **values}))

    def login(self, user, password="secret", host=FRONT, source=None):
        """(where it arrived, as whom, the client's answer)"""
        for note in self.notes.values():
            note.clear()
        with Imap(host, self.port, source) as client:
            status = client.login(user, password)[0]
        for name, note in self.notes.items():
            for said in note:
                if said.upper().startswith(b"LOGIN"):
                    words = said.split(b" ")
                    return name, words[1].strip(b'"').decode(), status
        return None, None, status

    def arrives(self, user, where, name=None, **kwargs):
        got = self.login(user, **kwargs)
        self.assertEqual(got[:2], (where, name or user))
        self.assertRegex(got[2], rb"^OK")

    # --- regex -----------------------------------------------------------
    def test_regex(self):
        self.front("# a comment\n"
                   f"^a-(.*)$: {self.a}\n"
                   f"^b: {self.b}\n"
                   f"b$ {self.a}\n")
        self.arrives("a-1", "a")
        self.arrives("bx", "b")
        self.arrives("xb", "a")  # no implied anchors
        self.arrives("other", "default")

    def test_regex_back_references_and_users(self):
        self.front(f"^(.*)=(.*)$: $2-$1@{self.a}\n",
                   username_from_database=True)
        self.arrives("x=y", "a", "y-x")
        self.arrives("plain", "default")

    # --- bdb, gdbm and cdb -------------------------------------------------
    def flat(self, tool, module, suffix):
        text = f"alice:{self.a}\nbob:robert@{self.b}\n"
        path = self.dir / ("popmap." + suffix)
        made = subprocess.run([_tool(tool), str(path)], input=text, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ,
                                   **pair.sanitizer_env(self.reports)})
        self.assertEqual(made.returncode, 0, made.stderr)
        path.chmod(0o644)
        self.front(map_library=module, map_library_opt=path,
                   username_from_database=True)
        self.arrives("alice", "a")
        self.arrives("bob", "b", "robert")
        self.arrives("other", "default")

    def test_bdb(self):
        self.flat("makebdb", "bdb", "bdb.db")

    def test_gdbm(self):
        self.flat("makegdbm", "gdbm", "gdbm.db")

    def test_cdb(self):
        self.flat("makecdb", "cdb", "cdb")

    def test_cdb_of_another_program(self):
        """tinycdb reads our file, we read and follow one of tinycdb's."""
        path, new = self.dir / "popmap.cdb", self.dir / "new"
        subprocess.run([_tool("makecdb"), path], input=b"alice:h1\n",
                       timeout=20, check=True)
        said = subprocess.run(["cdb", "-q", path, "alice"], timeout=20,
                              stdout=subprocess.PIPE, check=True)
        self.assertEqual(said.stdout.strip(), b"h1")
        for where in "ab":
            subprocess.run(["cdb", "-c", "-m", "-t", new.name + ".tmp", new],
                           input=f"alice {self.servers[where].address}\n",
                           text=True, timeout=20, check=True, cwd=self.dir)
            new.chmod(0o644)
            os.rename(new, path)
            if where == "a":
                self.front(map_library="cdb", map_library_opt=path)
            self.arrives("alice", where)

    # --- hash --------------------------------------------------------------
    def pool(self, text):
        self.pools = self.dir / "popmap.hash"
        self.pools.write_text(text)
        self.pools.chmod(0o644)

    def reloaded(self):
        count = len(self.daemon.log_lines("event=reloaded"))
        self.daemon.reload()
        self.daemon.wait_log("event=reloaded", count + 1)

    def spread(self, users=12):
        """{user: where it arrives}"""
        return {u: self.login(u)[0]
                for u in (f"user{i}@example.org" for i in range(users))}

    def test_hash(self):
        self.pool(f"{self.a} name=a\n{self.b} name=b\n"
                  f"pool one\n{self.a}\n")
        self.front(map_library="hash", map_library_opt=self.pools)
        first = self.spread()
        self.assertEqual(set(first.values()), {"a", "b"})
        # In another order, and one is marked down: its users go to the other
        # one, and come back.
        self.pool(f"{self.b} name=b\n{self.a} name=a down\n")
        self.reloaded()
        self.assertEqual(set(self.spread().values()), {"b"})
        self.pool(f"{self.b} name=b\n{self.a} name=a\n")
        self.reloaded()
        self.assertEqual(self.spread(), first)
        self.assertEqual(self.servers["default"].connections, 0)

    def test_hash_named_pool_and_bad_file(self):
        self.pool(f"{self.a}\npool one\n{self.b}\n")
        self.front(map_library="hash", map_library_opt=f"{self.pools} pool=one")
        self.assertEqual(set(self.spread(4).values()), {"b"})
        # The old pool stays, and the log says where the mistake is.
        self.pool(f"{self.a}\npool one\n{self.a} weight=x\n")
        self.daemon.reload()
        self.daemon.wait_log("popmap.hash:3:")
        self.assertEqual(set(self.spread(4).values()), {"b"})

    def test_hash_goes_on_to_the_next(self):
        """The second of a user's order, when the first cannot be reached."""
        gone = f"{FRONT}:{free_port()}"
        self.pool(f"{self.a} name=a\n{gone} name=b\n")
        self.front(map_library="hash", map_library_opt=f"{self.pools} candidates=2")
        self.assertEqual(set(self.spread(6).values()), {"a"})
        self.pool(f"{gone} name=a\n{gone} name=b\npool dead\n{gone} down\n")
        self.reloaded()
        self.assertIsNone(self.login("user1")[0])
        self.assertEqual(self.servers["default"].connections, 0)

    def test_old_path_of_a_module(self):
        self.front(f"alice: {self.a}\n",
                   map_library="/usr/lib/libperditiondb_posix_regex.so.0")
        self.arrives("alice", "a")

    # --- keys and names ----------------------------------------------------
    def test_query_keys(self):
        self.front(f"^u=ann@x$: {self.a}\n^d=x/u=bert$: {self.b}\n",
                   query_key=r"u=\U,d=\d/u=\u")
        self.arrives("ann@x", "a")
        self.arrives("bert@x", "b")

    def test_query_key_addresses(self):
        self.front(f"^203\\.0\\.113\\.71$: {self.a}\n"
                   f"^127\\.0\\.0\\.1$: {self.b}\n", query_key=r"\i,\I")
        self.arrives("u", "a", source="203.0.113.71")
        self.arrives("u", "b", source="203.0.113.72")

    def test_names_in_each_state(self):
        self.front(f"^ann$: {self.a}\n", strip_domain="servername_lookup",
                   lower_case="servername_lookup")
        self.arrives("ANN@Example.org", "a")
        self.front(f"^ann@x$: {self.a}\n", strip_domain="remote_login")
        self.arrives("ann@x", "a", "ann")
        self.front(f"^ann@example.org$: {self.a}\n",
                   add_domain="servername_lookup",
                   explicit_domain="example.org")
        self.arrives("ann", "a")
        # The log shows what the client sent.
        self.daemon.wait_log('authentication_id="ann" ')

    def test_user_names_the_server(self):
        self.front(client_server_specification=True)
        got = self.login(f"ann@{self.a}")
        self.assertEqual(got[:2], ("a", "ann"))
        self.arrives("plain", "default")

    def test_no_lookup(self):
        self.front(f"^a$: {self.a}\n^n$: localhost:1\n", no_lookup=True)
        self.arrives("a", "a")
        self.assertRegex(self.login("n")[2], rb"^NO \[UNAVAILABLE\]")

    def test_a_name_from_the_hosts_file(self):
        host = f"localhost:{self.servers['a'].port}"
        self.front(f"^a$: {host}\n^n$: no-such-name.invalid:143\n")
        self.arrives("a", "a")
        self.assertRegex(self.login("n")[2], rb"^NO \[UNAVAILABLE\]")

    def test_ipv6_server(self):
        note = []
        six = FakeServer(imap_server(note=note), host="::1")
        self.addCleanup(six.close)
        self.front(f"^a$: {six.address}\n")
        self.login("a")
        self.assertTrue(note)

    # --- failures ----------------------------------------------------------
    def test_failed_lookup_is_temporary(self):
        """Not the default server, not a wrong password."""
        path = self.dir / "popmap.bdb.db"
        done = subprocess.run([_tool("makebdb"), str(path)],
                              input=f"alice:{self.a}\n", text=True, timeout=20)
        self.assertEqual(done.returncode, 0)
        path.chmod(0o644)
        self.front(map_library="bdb", map_library_opt=path)
        self.arrives("alice", "a")
        # In place of the old one, as an update would.
        broken = self.dir / "broken"
        broken.write_bytes(os.urandom(16384))
        broken.chmod(0o644)
        os.rename(broken, path)

        def refused():
            where, _, status = self.login("alice")
            return where is None and status.startswith(b"NO [UNAVAILABLE]")
        wait_for("a temporary refusal", refused)
        with Imap(FRONT, self.port) as client:
            client.login("alice", "secret")
            self.assertRegex(client.command("NOOP")[0], rb"^OK")
        lines = self.daemon.wait_log('status="failed: Could not determine '
                                     'server"')
        self.assertTrue(lines)
        self.assertEqual(self.servers["default"].connections, 0)

    def test_failed_lookup_by_pop3(self):
        path = self.dir / "popmap.re"
        path.write_text("^n$: no-such-name.invalid:110\n")
        path.chmod(0o644)
        port = free_port()
        self.start(Perdition(self, [("pop3", FRONT, port)], None, {
            "map_library": "regex", "map_library_opt": path}))
        with Pop3(FRONT, port) as client:
            self.assertRegex(client.login("n", "secret"),
                             rb"^-ERR \[SYS/TEMP\]")

    def test_answer_without_a_server(self):
        self.front("^a$: :143\n")
        where, _, status = self.login("a")
        self.assertIsNone(where)
        self.assertRegex(status, rb"^NO ")


def _tool(name):
    for folder in ("bin", "sbin"):
        path = pair.prefix() / folder / name
        if path.exists():
            return str(path)
    raise AssertionError(f"{name} is not installed")
