# SPDX-License-Identifier: GPL-2.0-or-later
"""Session tickets: each resumes a session once, at any worker, also after a
reload, and brings the next one along."""

import socket
import ssl

from harness import wait_for
from tlstest import FRONT, NAME, TlsTestCase


class Tickets(TlsTestCase):
    def setUp(self):
        super().setUp()
        self.start_front([("imap4s", "")],
                         {"workers": 2, "outgoing_server": f"{FRONT}:1"})

    def connect(self, context, session):
        """(resumed, the session to go on with)"""
        with socket.create_connection((FRONT, self.ports[0]), 20) as sock, \
                context.wrap_socket(sock, server_hostname=NAME,
                                    session=session) as tls:
            # With TLS 1.3 the ticket comes before the greeting.
            self.assertRegex(tls.recv(1000), rb"^\* OK")
            return tls.session_reused, tls.session

    def chain(self, maximum, count=8):
        context = self.context(maximum=maximum)
        resumed, session = self.connect(context, None)
        self.assertFalse(resumed)
        for number in range(count):
            resumed, following = self.connect(context, session)
            self.assertTrue(resumed, f"session {number}")
            if maximum == ssl.TLSVersion.TLSv1_3:
                self.assertNotEqual(following.id, session.id)
            session = following
        return context, session

    def test_chain(self):
        for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
            with self.subTest(version=version.name):
                self.chain(version)

    def test_reload(self):
        context, session = self.chain(ssl.TLSVersion.TLSv1_3, 1)
        before = set(self.front.roles()["worker"])
        self.front.values["ok_line"] = "changed"
        self.front.write_config()
        self.front.reload()
        wait_for("the old workers' end", lambda: not before & set(
            self.front.roles().get("worker", [])))
        self.assertTrue(self.connect(context, session)[0])
