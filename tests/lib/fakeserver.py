# SPDX-License-Identifier: GPL-2.0-or-later
"""Real-servers that behave as no good server would: each connection is handed
to a function that speaks for the server, in a thread of its own."""

import contextlib
import re
import socket
import threading


class Peer:
    """The server's end of one connection, a line at a time."""

    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile("rb")

    def start_tls(self, context):
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.file = self.sock.makefile("rb")

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        """The next line without CRLF; ends the script when there is none."""
        data = self.file.readline()
        if not data:
            raise EOFError
        return data.rstrip(b"\r\n")

    def read(self, size):
        return self.file.read(size)

    def command(self):
        """An IMAP command with its literals: (tag, rest)."""
        data = self.line()
        while True:
            match = re.search(rb"\{(\d+)(\+?)\}$", data)
            if not match:
                break
            if not match[2]:
                self.send("+ go on\r\n")
            data += b"\r\n" + self.read(int(match[1])) + self.line()
        tag, _, rest = data.partition(b" ")
        return tag, rest

    def wait_end(self):
        """Read until the client hangs up."""
        while self.sock.recv(65536):
            pass


class FakeServer:
    """script(peer) is called for every connection.  seen: what the scripts
    put there; connections: how many came."""

    def __init__(self, script, host="127.0.0.1", port=0):
        self.script = script
        self.seen = []
        self.connections = 0
        self.sock = self._listen(host, port)
        self.open = set()
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _listen(self, host, port):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=4096)
        self.host, self.port = sock.getsockname()[:2]
        return sock

    @property
    def address(self):
        return (f"[{self.host}]" if ":" in self.host else self.host) \
            + f":{self.port}"

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open.add(sock)
            threading.Thread(target=self._serve, args=(sock,),
                             daemon=True).start()

    def _serve(self, sock):
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(sock)
        with contextlib.suppress(OSError, EOFError):
            self.script(peer)
        with self.lock:
            self.open.discard(sock)
        # With TLS it is another one by now.
        with contextlib.suppress(OSError):
            peer.sock.shutdown(socket.SHUT_RDWR)
        peer.sock.close()

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        with self.lock:
            left = list(self.open)
        for sock in left:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class FakeSocket(FakeServer):
    """The same on a Unix socket."""

    def __init__(self, script, path):
        self.path = path
        super().__init__(script)

    def _listen(self, host, port):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(self.path))
        sock.listen(64)
        return sock


def imap_server(login=b"OK [CAPABILITY IMAP4rev1 LITERAL+] logged in", greeting=b"* OK [CAPABILITY IMAP4rev1 "
                b"LITERAL+] fake ready", then=None, note=None):
    """A script: a plain IMAP server that answers LOGIN with login, and after
    that NOOP and LOGOUT, or hands the connection to then(peer)."""
    def script(peer):
        peer.send(greeting + b"\r\n")
        while True:
            tag, rest = peer.command()
            word = rest.split(b" ")[0].upper()
            if note is not None:
                note.append(rest)
            if word == b"CAPABILITY":
                peer.send(b"* CAPABILITY IMAP4rev1 LITERAL+\r\n"
                          + tag + b" OK done\r\n")
            elif word == b"LOGIN":
                peer.send(tag + b" " + login + b"\r\n")
                if then is not None and login.startswith(b"OK"):
                    then(peer)
                    return
            elif word == b"LOGOUT":
                peer.send(b"* BYE\r\n" + tag + b" OK bye\r\n")
                return
            else:
                peer.send(tag + b" OK done\r\n")
    return script


def pop3_server(login=b"+OK logged in", greeting=b"+OK fake ready", note=None):
    """A script: a plain POP3 server that answers PASS with login."""
    def script(peer):
        peer.send(greeting + b"\r\n")
        while True:
            line = peer.line()
            if note is not None:
                note.append(line)
            word = line.split(b" ")[0].upper()
            if word == b"CAPA":
                peer.send(b"+OK\r\nUSER\r\nUIDL\r\n.\r\n")
            elif word == b"PASS":
                peer.send(login + b"\r\n")
            elif word == b"QUIT":
                peer.send(b"+OK bye\r\n")
                return
            else:
                peer.send(b"+OK\r\n")
    return script
