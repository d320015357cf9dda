# SPDX-License-Identifier: GPL-2.0-or-later
"""The MTAs' side of perdition-pbs's sockets: what they send, and no more of a
parser than a reply needs."""

import socket


class Asker:
    """One connection, for as many questions as the protocol allows."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(path))
        self.file = self.sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def closed(self):
        """Waits for the other side to close; what came before it did."""
        return self.file.read()


class Policy(Asker):
    def send(self, address, state="RCPT"):
        self.sock.sendall(
            f"request=smtpd_access_policy\nprotocol_state={state}\n"
            f"protocol_name=ESMTP\nclient_address={address}\n"
            "client_name=unknown\nsender=a@example.org\n"
            "recipient=b@example.net\ninstance=1.2.3\n\n".encode())

    def reply(self):
        line = self.file.readline().decode()
        if line:
            assert self.file.readline() == b"\n", line
        return line.removeprefix("action=").rstrip("\n")

    def ask(self, address, state="RCPT"):
        self.send(address, state)
        return self.reply()


class SocketMap(Asker):
    def ask(self, key, name="drac"):
        text = f"{name} {key}".encode()
        self.sock.sendall(b"%d:%s," % (len(text), text))
        length = b""
        while not length.endswith(b":"):
            length += self.file.read(1)
        reply = self.file.read(int(length[:-1]) + 1)
        assert reply.endswith(b","), reply
        return reply[:-1].decode()


class Lookup(Asker):
    def ask(self, address, verb="get"):
        self.sock.sendall(f"{verb} {address}\n".encode())
        return self.closed().decode()
