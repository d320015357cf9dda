# SPDX-License-Identifier: GPL-2.0-or-later
"""A programme for popmap module daemon, on a Unix socket, in threads of the
test's own process."""

import contextlib
import os
import socket
import threading
import urllib.parse


class LineMap:
    """answer(key, fields) returns what stands behind the ID, or None to say
    nothing."""

    def __init__(self, path, answer):
        self.path = str(path)
        self.answer = answer
        self.questions = []
        self.open()

    def open(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        os.chmod(self.path, 0o666)
        self.sock.listen()
        self.peers = set()
        threading.Thread(target=self._accept, args=(self.sock,),
                         daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self.peers.add(sock)
            threading.Thread(target=self._serve, args=(sock,),
                             daemon=True).start()

    def _serve(self, sock):
        with contextlib.suppress(OSError), sock, sock.makefile("rb") as lines:
            for line in lines:
                self._question(sock, line)

    def _question(self, sock, line):
        number, key, *pairs = line.decode("ascii").rstrip("\n").split(" ")
        fields = dict(pair.split("=", 1) for pair in pairs)
        fields = {name: urllib.parse.unquote_to_bytes(value)
                  for name, value in fields.items()}
        key = urllib.parse.unquote_to_bytes(key)
        self.questions.append((key, fields))
        said = self.answer(key, fields)
        if said is not None:
            sock.sendall(f"{number} {said}\n".encode())

    def close(self):
        """It hangs up on all who are connected."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        for sock in list(self.peers):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
