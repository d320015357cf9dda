# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of popmap modules share: perdition with one IMAP listener,
real-servers a, b and the default one, and users who log in and arrive at one
of them."""

from fakeserver import FakeServer, imap_server
from harness import TestCase, free_port, wait_for
from lineclient import Imap
from pair import Perdition

FRONT = "127.0.0.1"

# None may do harm, whatever the map.
HOSTILE = [
    b"o'brien", b'say "hi"', b"a b  c", b"100%", b"%s%n%x", b"*", b"a*)(uid=*",
    b"x\\y", b"; drop table users; --", b"../../etc/passwd", b"$(id)`id`",
    "j\u00f6rg@b\u00fccher.example".encode(), b"\xff\xfe\x80",
    b"a\r\nb", b"a\nAuth-Status: OK", b"\r\n\r\n", b"a\tb", b"<a&b>",
    b"x" * 300, b"%" * 255, b"y" * 1000, b"-", b".", b"..", b"-n", b"a=b,c",
]


def astring(data):
    """One argument of LOGIN: (value, what follows it)."""
    if data.startswith(b'"'):
        value, at = b"", 1
        while data[at:at + 1] != b'"':
            if data[at:at + 1] == b"\\":
                at += 1
            value += data[at:at + 1]
            at += 1
        return value, data[at + 1:]
    if data.startswith(b"{"):
        size, _, rest = data[1:].partition(b"}\r\n")
        size = int(size.rstrip(b"+"))
        return rest[:size], rest[size:]
    value, _, rest = data.partition(b" ")
    return value, b" " + rest


class MapTest(TestCase):
    environment = {}  # of perdition, besides ours

    def setUp(self):
        super().setUp()
        self.notes = {"a": [], "b": [], "default": []}
        self.servers = {}
        for name, note in self.notes.items():
            self.servers[name] = FakeServer(imap_server(note=note))
            self.addCleanup(self.servers[name].close)
        self.a, self.b = (self.servers[n].address for n in "ab")

    def front(self, **values):
        """perdition with one lookup process and these options."""
        self.port = free_port(FRONT)
        self.daemon = Perdition(
            self, [("imap4", FRONT, self.port)], None,
            {"outgoing_server": self.servers["default"].address,
             "username_from_database": True, "lookup_processes": 1,
             **values})
        self.daemon.env.update(self.environment)
        self.start(self.daemon)

    def change(self, **values):
        """Other options, read by SIGHUP."""
        self.daemon.values.update(values)
        self.daemon.write_config()
        self.daemon.reload()

    def login(self, user, password="secret"):
        """(where it arrived, as whom, the client's answer); the user's name
        goes as a literal, so that it may hold anything."""
        user = user if isinstance(user, bytes) else user.encode()
        for note in self.notes.values():
            note.clear()
        with Imap(FRONT, self.port) as client:
            client.line(b"t LOGIN {%d}" % len(user))
            status = client.readline()
            if status.startswith(b"+"):
                client.send(user + b" " + password.encode() + b"\r\n")
                status = client.finish(b"t")[0]
        for name, note in self.notes.items():
            for said in note:
                if said.upper().startswith(b"LOGIN "):
                    return name, astring(said[6:])[0], status
        return None, None, status

    def arrives(self, user, where, name=None):
        user = user if isinstance(user, bytes) else user.encode()
        name = name if name is not None else user
        name = name if isinstance(name, bytes) else name.encode()
        got = self.login(user)
        self.assertEqual(got[:2], (where, name), got[2])
        self.assertRegex(got[2], rb"^OK")

    def refused(self, user):
        """As a temporary failure: neither the default server nor a wrong
        password."""
        where, _, status = self.login(user)
        self.assertIsNone(where)
        self.assertRegex(status, rb"^NO \[UNAVAILABLE\]")

    def comes_to(self, user, where):
        """In the end, when something is just being started anew, or what the
        map said last still counts: to the end of its millisecond."""
        wait_for(f"{user} at {where}",
                 lambda: self.login(user)[0] == where)

    def hostile(self, names=HOSTILE):
        """Each is answered, and the map works as before."""
        for name in names:
            with self.subTest(name):
                where, user, status = self.login(name)
                self.assertIn(where, (None, "default"))
                if where is not None:
                    self.assertEqual(user, name)
                self.assertNotRegex(status, rb"UNAVAILABLE")
