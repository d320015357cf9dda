# SPDX-License-Identifier: GPL-2.0-or-later
"""Raw clients: a line at a time, every wait bounded, bytes as they come.
For what curl and its kin are too polite to do."""

import re
import socket

DEADLINE = 30.0


class Closed(AssertionError):
    """The peer ended the connection."""


class LineClient:
    """A TCP connection seen as CRLF lines (returned without the CRLF)."""

    def __init__(self, host, port, source=None, timeout=DEADLINE, tls=None,
                 **tls_args):
        """tls: an ssl.SSLContext, to begin with it."""
        self.sock = socket.create_connection(
            (host, port), timeout, (source, 0) if source else None)
        self.sock.settimeout(timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        if tls is not None:
            self.start_tls(tls, **tls_args)

    def start_tls(self, context, name="localhost", session=None):
        """The handshake; on failure the socket is closed."""
        try:
            self.sock = context.wrap_socket(
                self.sock, server_hostname=name, session=session)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def fileno(self):
        return self.sock.fileno()

    def send(self, data):
        """Bytes as they are."""
        self.sock.sendall(data)

    def line(self, text):
        """One line; CRLF is added."""
        data = text if isinstance(text, bytes) else text.encode()
        self.send(data + b"\r\n")

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise Closed(f"connection closed; unread: {self.pending!r}")
        self.pending += data

    def readline(self):
        while b"\r\n" not in self.pending:
            self._more()
        line, _, self.pending = self.pending.partition(b"\r\n")
        return line

    def read(self, size):
        parts = [self.pending]
        have = len(self.pending)
        while have < size:
            data = self.sock.recv(min(1 << 20, size - have))
            if not data:
                raise Closed(f"closed after {have} of {size} bytes")
            parts.append(data)
            have += len(data)
        data = b"".join(parts)
        self.pending = data[size:]
        return data[:size]

    def at_end(self):
        """True when the peer closes without another byte, False when it
        says something."""
        try:
            self._more()
        except (Closed, ConnectionResetError):
            return not self.pending
        return False

    def silent_for(self, seconds):
        """True when nothing comes for so long."""
        if self.pending:
            return False
        self.sock.settimeout(seconds)
        try:
            self._more()
            return False
        except TimeoutError:
            return True
        except Closed:
            return False
        finally:
            self.sock.settimeout(DEADLINE)


def quote(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b'"' + re.sub(rb'(["\\])', rb"\\\1", data) + b'"'


class Imap(LineClient):
    """Reads the greeting at once."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.count = 0
        self.greeting = self.readline()

    def response(self):
        """One response with its literals, as one bytes object."""
        data = self.readline()
        while True:
            match = re.search(rb"\{(\d+)\}$", data)
            if not match:
                return data
            data += b"\r\n" + self.read(int(match[1])) + self.readline()

    def finish(self, tag):
        """(tagged line without the tag, untagged responses)"""
        untagged = []
        while True:
            line = self.response()
            if line.startswith(tag + b" "):
                return line[len(tag) + 1:], untagged
            untagged.append(line)

    def command(self, text):
        self.count += 1
        tag = b"a%d" % self.count
        data = text if isinstance(text, bytes) else text.encode()
        self.line(tag + b" " + data)
        return self.finish(tag)

    def login(self, user, password):
        return self.command(b"LOGIN " + quote(user) + b" " + quote(password))

    def fetch_all(self, folder="INBOX"):
        """All messages of the folder as a list of bytes."""
        status, untagged = self.command("SELECT " + folder)
        assert status.startswith(b"OK"), status
        if any(re.match(rb"\* 0 EXISTS", u) for u in untagged):
            return []
        status, untagged = self.command("FETCH 1:* BODY.PEEK[]")
        assert status.startswith(b"OK"), status
        found = []
        for item in untagged:
            match = re.match(rb"\* \d+ FETCH .*?BODY\[\] \{(\d+)\}\r\n", item)
            if match:
                found.append(item[match.end():match.end() + int(match[1])])
        return found


class Pop3(LineClient):
    """Reads the greeting at once."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.greeting = self.readline()

    def command(self, text):
        self.line(text)
        return self.readline()

    def multiline(self):
        lines = []
        while True:
            line = self.readline()
            if line == b".":
                return lines
            lines.append(line[1:] if line.startswith(b".") else line)

    def login(self, user, password):
        reply = self.command(b"USER " + _bytes(user))
        if not reply.startswith(b"+OK"):
            return reply
        return self.command(b"PASS " + _bytes(password))

    def fetch_all(self):
        reply = self.command("STAT")
        assert reply.startswith(b"+OK"), reply
        found = []
        for number in range(1, int(reply.split()[1]) + 1):
            reply = self.command(f"RETR {number}")
            assert reply.startswith(b"+OK"), reply
            found.append(b"".join(x + b"\r\n" for x in self.multiline()))
        return found


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode()


class Smtp(LineClient):
    """An SMTP session that goes as far as RCPT TO."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.expect(b"220")
        self.expect(b"250", "EHLO client.example.org")

    def reply(self):
        while True:
            line = self.readline()
            if line[3:4] != b"-":
                return line

    def command(self, text):
        self.line(text)
        return self.reply()

    def expect(self, code, text=None):
        reply = self.command(text) if text else self.reply()
        assert reply.startswith(code), reply
        return reply

    def rcpt(self, recipient):
        self.expect(b"250", "MAIL FROM:<sender@example.org>")
        reply = self.command(f"RCPT TO:<{recipient}>")
        self.expect(b"250", "RSET")
        return reply.decode(errors="replace")

    def quit(self):
        """Exim holds its answer back while the client might say more."""
        self.line("QUIT")
        self.sock.shutdown(socket.SHUT_WR)
        return self.reply()


def relays(host, port, source, recipient="someone@example.net"):
    """What the MTA answers to RCPT TO an outside recipient from source."""
    with Smtp(host, port, source) as smtp:
        answer = smtp.rcpt(recipient)
        smtp.quit()
    return answer
