# SPDX-License-Identifier: GPL-2.0-or-later
"""Popmap module daemon: programmes that perdition starts, and one that runs
already."""

import os
import signal
import threading
import urllib.parse

from harness import TOP, alive, children, cmdline, wait_for
from linemap import LineMap
from mapfront import HOSTILE, MapTest

EXAMPLES = TOP / "contrib" / "popmap"


class Command(MapTest):
    def option(self, *words):
        return "command=" + " ".join(str(w) for w in words)

    def example(self, name):
        """A copy where everybody may come: the sources may lie deeper."""
        path = self.dir / name
        # Answers that are kept would hide what the tests look for.
        path.write_bytes((EXAMPLES / name).read_bytes()
                         .replace(b" ttl=60", b"").replace(b" ttl=10", b""))
        path.chmod(0o755)
        return path

    def table(self, text, name="users"):
        path = self.dir / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def programmes(self, word="popmap-"):
        return [p for p in children(self.daemon.pid)
                if any(word in w for w in cmdline(p))]

    def start_table(self, text, **values):
        self.front(map_library="daemon", map_library_opt=self.option(
            self.example("popmap-table"), self.table(text)), **values)

    def test_directory(self):
        users = self.subdir("users")
        odd = [b"o'brien", b"a b", "j\u00f6rg".encode(), b"x/../y", b"a\r\nb",
               b"%41"]
        texts = {"ann": self.a, "bob@x.example": f"robert@{self.b}",
                 "two": f"127.0.0.1:1,{self.b}"}
        for name in odd:
            texts[urllib.parse.quote_from_bytes(name, safe="@:+~")] = self.b
        for name, text in texts.items():
            (users / name).write_text(text + "\n")
        self.front(map_library="daemon", connect_timeout=5,
                   map_library_opt=self.option(
                       self.example("popmap-directory"), users))
        self.arrives("ann", "a")
        self.arrives("bob@x.example", "b", "robert")
        self.arrives("two", "b")
        self.arrives("other", "default")
        self.hostile([x for x in HOSTILE if x not in odd])
        for name in odd:
            where = self.login(name)[0]
            # A name with a line's end may be refused before it is looked up.
            self.assertIn(where, ("b", None) if b"\n" in name else ("b",))
        users.rename(self.dir / "gone")
        self.refused("ann")
        self.daemon.wait_log("says: ")

    def test_table(self):
        self.start_table(f"ann {self.a}\nbob@x robert@{self.b}\n")
        self.arrives("ann", "a")
        self.arrives("bob@x", "b", "robert")
        self.arrives("other", "default")
        self.hostile()
        self.arrives("ann", "a")

    def test_killed(self):
        self.start_table(f"ann {self.a}\n")
        self.arrives("ann", "a")
        for _ in range(5):
            (pid,) = self.programmes()
            os.kill(pid, signal.SIGKILL)
            wait_for("its end", lambda p=pid: not alive(p))
            self.arrives("ann", "a")
            self.assertNotIn(pid, self.programmes())

    def test_hung(self):
        self.start_table(f"ann {self.a}\nbob {self.b}\n", map_timeout=3)
        self.comes_to("ann", "a")
        (pid,) = self.programmes()
        os.kill(pid, signal.SIGSTOP)
        self.refused("ann")
        os.kill(pid, signal.SIGCONT)
        # The late answer is not for bob.
        self.comes_to("bob", "b")
        self.assertEqual(self.programmes(), [pid])
        os.kill(pid, signal.SIGSTOP)
        self.comes_to("bob", "b")
        self.assertNotEqual(self.programmes(), [pid])

    def test_dies_with_the_lookup_process(self):
        self.start_table(f"ann {self.a}\n")
        self.arrives("ann", "a")
        (pid,) = self.programmes()
        (lookup,) = self.daemon.roles()["lookup"]
        os.kill(lookup, signal.SIGKILL)
        wait_for("its end", lambda: not alive(pid))
        self.comes_to("ann", "a")

    def test_reload(self):
        self.start_table(f"ann {self.a}\n")
        self.arrives("ann", "a")
        (pid,) = self.programmes()
        self.change(map_library_opt=self.option(
            self.dir / "popmap-table",
            self.table(f"ann {self.b}\n", "others")))
        self.comes_to("ann", "b")
        wait_for("the old one's end", lambda: not alive(pid))
        self.assertEqual(len(self.programmes()), 1)

    def test_what_it_gets(self):
        """No descriptor of ours, no signal ignored, arguments as quoted."""
        script = self.dir / "popmap-idle"
        script.write_text("#!/bin/sh\nread -r id key rest\n"
                          f"echo \"$id OK {self.a}\"\nread -r id\n")
        script.chmod(0o755)
        # In single quotes for perdition.conf, in double ones for the module.
        self.front(map_library="daemon", map_library_opt=self.option(
            script, "'\"a  b\"'", "'\"\"'", "$HOME"))
        self.arrives("ann", "a")
        (pid,) = self.programmes()
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            self.assertIn(b"a  b\0\0$HOME\0", file.read())
        self.assertLessEqual(set(os.listdir(f"/proc/{pid}/fd")),
                             {"0", "1", "2", "10"})  # 10: the script
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            status = dict(line.split(":\t", 1) for line in file
                          if ":\t" in line)
        self.assertEqual(int(status["SigIgn"], 16), 0)
        self.assertEqual(int(status["SigBlk"], 16), 0)

    def test_no_such_programme(self):
        self.start_table("")
        self.arrives("ann", "default")
        self.change(map_library_opt="command=/no/such/thing")
        self.daemon.wait_log("/no/such/thing: No such file or directory")
        self.arrives("ann", "default")


class Socket(MapTest):
    def setUp(self):
        super().setUp()
        self.path = self.dir / "map.sock"
        self.table = {b"ann": f"OK {self.a}",
                      b"bob": f"OK robert@{self.b} ttl=1",
                      b"two": f"OK 127.0.0.1:1,{self.b}",
                      b"tls": f"OK {self.a}?tls=none",
                      b"sad": "FAIL out of order"}
        self.map = LineMap(self.path, self.said)
        self.addCleanup(lambda: self.map.close())
        self.hang = None

    def said(self, key, _fields):
        if self.hang is not None:
            self.hang.wait()
        return self.table.get(key, "NOTFOUND")

    def test_answers(self):
        self.front(map_library="daemon", map_library_opt=self.path)
        self.arrives("ann", "a")
        self.arrives("bob", "b", "robert")
        self.arrives("two", "b")
        self.arrives("tls", "a")
        self.arrives("other", "default")
        self.refused("sad")
        self.daemon.wait_log("says: out of order")

    def test_what_is_asked(self):
        self.front(map_library="daemon", query_key=r"\U,@\d",
                   map_library_opt=f"socket={self.path}")
        self.arrives("x y@d", "default")
        (one, fields), (two, _) = self.map.questions
        self.assertEqual((one, two), (b"x y@d", b"@d"))
        self.assertEqual(fields.pop("local_port"), b"%d" % self.port)
        self.assertEqual(fields, {
            "user": b"x y@d", "local": b"x y", "domain": b"d",
            "delimiter": b"@", "protocol": b"imap4", "tls": b"no",
            "client_addr": b"127.0.0.1", "local_addr": b"127.0.0.1"})

    def test_hostile_names(self):
        self.front(map_library="daemon", map_library_opt=self.path)
        self.hostile()
        asked = {key for key, _ in self.map.questions}
        self.assertIn(b"o'brien", asked)
        self.assertIn(b"\xff\xfe\x80", asked)
        self.arrives("ann", "a")

    def test_malformed(self):
        self.front(map_library="daemon", map_library_opt=self.path)
        for text in ("OK", "OK a b", "MAYBE", "OK %zz", "OK " + "x" * 20000,
                     "OK ,", "NOTFOUND ttl=x", "OK \0"):
            self.table[b"odd"] = text
            self.refused("odd")
            self.arrives("ann", "a")
        self.daemon.wait_log("malformed answer: ")

    def test_gone_and_back(self):
        self.front(map_library="daemon", map_library_opt=self.path)
        self.arrives("ann", "a")
        self.map.close()
        self.refused("ann")
        self.map.open()
        self.comes_to("ann", "a")
        # So quickly that nobody sees it gone.
        self.map.close()
        self.map.open()
        self.arrives("ann", "a")

    def test_not_there_at_the_start(self):
        self.map.close()
        self.front(map_library="daemon", map_library_opt=self.path)
        self.refused("ann")
        self.map.open()
        self.comes_to("ann", "a")

    def test_hung(self):
        self.front(map_library="daemon", map_library_opt=self.path,
                   map_timeout=3)
        self.arrives("ann", "a")
        self.hang = threading.Event()
        self.refused("ann")
        self.hang.set()
        self.comes_to("bob", "b")
        self.arrives("ann", "a")

    def test_reload(self):
        self.front(map_library="daemon", map_library_opt=self.path)
        self.arrives("ann", "a")
        other = LineMap(self.dir / "other.sock", lambda *_: f"OK {self.b}")
        self.addCleanup(other.close)
        self.change(map_library_opt=self.dir / "other.sock")
        self.comes_to("ann", "b")
