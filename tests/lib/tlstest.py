# SPDX-License-Identifier: GPL-2.0-or-later
"""What the TLS tests begin with: an authority, perdition with a certificate of
its, clients that trust it."""

import ssl

from fakeserver import FakeServer
from harness import TestCase, free_port
from lineclient import Imap, Pop3
from pair import Perdition
from pki import Authority

FRONT = "127.0.0.1"
NAME = "mail.test"


class TlsTestCase(TestCase):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.dir / "ca")
        self.pair = self.authority.issue("front", [NAME, "localhost"])
        self.clients = []
        self.fronts = 0

    def context(self, alpn=None, maximum=None, minimum=None, pair=None):
        """A client's, that verifies."""
        context = ssl.create_default_context(cafile=self.authority.cert)
        if alpn is not None:
            context.set_alpn_protocols(alpn)
        if maximum is not None:
            context.maximum_version = maximum
        if minimum is not None:
            context.minimum_version = minimum
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        return context

    def server_context(self, pair, maximum=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        if maximum is not None:
            context.maximum_version = maximum
        return context

    def server(self, script, **kwargs):
        server = FakeServer(script, **kwargs)
        self.addCleanup(server.close)
        return server

    def tls_values(self, values=None):
        return {"ssl_cert_file": self.pair.cert, "ssl_key_file": self.pair.key,
                "ssl_ca_file": self.authority.cert, **(values or {})}

    def start_front(self, listeners, values=None, popmap=None, **kwargs):
        """listeners: (protocol, query) ...; self.port: theirs in order."""
        self.ports = [free_port(FRONT) for _ in listeners]
        self.fronts += 1
        self.front = self.start(Perdition(
            self, [(proto, FRONT, port, query) for (proto, query), port
                   in zip(listeners, self.ports)], popmap,
            self.tls_values(values), name=f"front{self.fronts}", **kwargs))
        return self.front

    def imap(self, number=0, tls=None, name=NAME, **kwargs):
        """tls: a context, for implicit TLS."""
        if tls is not None:
            kwargs.update(tls=tls, name=name)
        return self._kept(Imap(FRONT, self.ports[number], **kwargs))

    def pop3(self, number=0, tls=None, name=NAME, **kwargs):
        if tls is not None:
            kwargs.update(tls=tls, name=name)
        return self._kept(Pop3(FRONT, self.ports[number], **kwargs))

    def _kept(self, client):
        self.clients.append(client)
        self.addCleanup(client.close)
        return client

    def stop_front(self):
        """With its clients: it would wait for them."""
        for client in self.clients:
            client.close()
        self.clients.clear()
        self.front.stop()

    def starttls(self, client, context=None, name=NAME):
        """Either protocol: the command, the handshake."""
        client.line("x STARTTLS" if isinstance(client, Imap) else "STLS")
        self.assertRegex(client.readline(), rb"^(x OK|\+OK)")
        client.start_tls(context or self.context(), name)
        return client
