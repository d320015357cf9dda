# SPDX-License-Identifier: GPL-2.0-or-later
"""An HTTP service for nginx's mail proxy (auth_http), in threads of the test's
own process."""

import contextlib
import http.server
import os
import socket
import socketserver
import threading
import urllib.parse


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self):
        service = self.server.service
        user = urllib.parse.unquote_to_bytes(
            self.headers.get("Auth-User", ""))
        service.requests.append((user, self.path, self.headers))
        said = service.answer(user, self)
        if said is not None:
            self.reply(*said)

    def reply(self, code, headers, body=b""):
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "client"

    def log_message(self, *_):
        pass


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_):
        pass

    def server_bind(self):
        if self.address_family == socket.AF_UNIX:
            self.socket.bind(self.server_address)
            os.chmod(self.server_address, 0o666)
            self.server_name, self.server_port = "localhost", 80
        else:
            super().server_bind()


class AuthHttp:
    """answer(user, handler) returns (status, [(header, value)][, body]), or
    None when it has answered by itself or will not."""

    def __init__(self, answer, where=("127.0.0.1", 0), tls=None):
        """where: (host, port), or the path of a socket.
        tls: an ssl.SSLContext."""
        self.answer = answer
        self.where = where
        self.tls = tls
        self.requests = []
        self.connections = 0
        self.open()

    def open(self):
        unix = not isinstance(self.where, tuple)
        cls = type("Server", (_Server,), {
            "address_family": socket.AF_UNIX if unix else socket.AF_INET,
            "get_request": self._get_request})
        self.server = cls(str(self.where) if unix else self.where, _Handler)
        self.server.service = self
        self.peers = set()
        if not unix:
            self.where = self.server.server_address[:2]
        threading.Thread(target=self.server.serve_forever,
                         kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _get_request(self, *_):
        sock, peer = self.server.socket.accept()
        self.connections += 1
        self.peers.add(sock)
        sock.settimeout(60)
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock, server_side=True,
                                        do_handshake_on_connect=False)
            self.peers.add(sock)
        return sock, peer

    @property
    def url(self):
        return "{}://{}:{}/auth".format("https" if self.tls else "http",
                                        *self.where)

    def close(self):
        """It hangs up on all who are connected."""
        self.server.shutdown()
        self.server.server_close()
        if not isinstance(self.where, tuple):
            with contextlib.suppress(OSError):
                os.unlink(self.where)
        for sock in list(self.peers):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
