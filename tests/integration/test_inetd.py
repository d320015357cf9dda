# SPDX-License-Identifier: GPL-2.0-or-later
"""One session on standard input, started by tcpserver or by hand."""

import os
import socket
import subprocess

import pair
from fakeserver import FakeServer, imap_server
from harness import Daemon, TestCase, free_port, wait_for
from lineclient import Imap


class Inetd(TestCase):
    def setUp(self):
        super().setUp()
        self.server = FakeServer(imap_server())
        self.addCleanup(self.server.close)
        self.log = self.subdir("log", owner=pair.OWNER) / "log"
        self.config = self.dir / "perdition.conf"
        self.config.write_text(pair.config_text({
            "log_facility": self.log, "map_library": "", "pid_file": "",
            "outgoing_server": self.server.address, "protocol": "IMAP4",
            "module_dir": pair.modules()}))
        self.env = {**os.environ, **pair.sanitizer_env(self.reports)}

    def test_under_tcpserver(self):
        port = free_port()

        def ready():
            with Imap("127.0.0.1", port, timeout=5) as imap:
                return imap.greeting
        self.start(Daemon(
            "tcpserver", ["tcpserver", "-R", "-H", "-l", "mx.test",
                          "127.0.0.1", port, pair.program("perdition.imap4"),
                          "-i", "-f", self.config],
            self.dir / "tcpserver", ready=ready,
            env=pair.sanitizer_env(self.reports)))
        for _ in range(3):
            with Imap("127.0.0.1", port, "127.0.0.8") as client:
                self.assertRegex(client.login("alice", "secret")[0],
                                 rb"^OK ")
                self.assertRegex(client.command("NOOP")[0], rb"^OK")
                client.command("LOGOUT")
                self.assertTrue(client.at_end())
        wait_for("the Auth lines",
                 lambda: self.log.read_text().count("Auth: 127.0.0.8:") == 3)

    def by_hand(self, *args):
        """A connected socket as descriptor 0."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        ours = socket.create_connection(listener.getsockname(), 10)
        theirs, _ = listener.accept()
        proc = subprocess.Popen(
            [str(pair.program("perdition.imap4")), "-f", str(self.config),
             *args], stdin=theirs, stdout=theirs, env=self.env,
            stderr=subprocess.PIPE, start_new_session=True)
        theirs.close()
        self.addCleanup(proc.stderr.close)
        self.addCleanup(lambda: proc.poll() is not None or proc.kill())
        return ours, proc

    def test_a_socket_on_descriptor_0_is_enough(self):
        for args in ((), ("--inetd_mode",)):
            ours, proc = self.by_hand(*args)
            with ours:
                ours.settimeout(15)
                file = ours.makefile("rb")
                self.assertRegex(file.readline(), rb"^\* OK")
                ours.sendall(b"a LOGIN alice secret\r\nb LOGOUT\r\n")
                while not file.readline().startswith(b"b OK"):
                    pass
                self.assertEqual(file.read(), b"")
            self.assertEqual(proc.wait(15), 0, proc.stderr.read())

    def test_ends_with_its_client(self):
        ours, proc = self.by_hand()
        ours.settimeout(15)
        self.assertTrue(ours.recv(200))
        ours.close()
        self.assertEqual(proc.wait(15), 0)

    def test_bad_configuration(self):
        with open(self.config, "a", encoding="ascii") as out:
            out.write("tiemout 3\n")
        ours, proc = self.by_hand()
        with ours:
            ours.settimeout(15)
            while ours.recv(4096):
                pass
        self.assertEqual(proc.wait(15), 78)
