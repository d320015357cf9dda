# SPDX-License-Identifier: GPL-2.0-or-later
"""A private redis-server, or Sentinel, on loopback ports or a Unix socket, and
just enough of a client."""

import socket
import subprocess

from harness import Daemon, free_port


class RedisError(Exception):
    """What the server answered."""


class Client:
    def __init__(self, sock):
        sock.settimeout(20)
        self.sock = sock
        self.file = sock.makefile("rb")

    def close(self):
        self.file.close()
        self.sock.close()

    def __call__(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        self.sock.sendall(b"*%d\r\n" % len(words) + b"".join(
            b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self._reply()

    def _reply(self):
        line = self.file.readline().rstrip(b"\r\n")
        if not line:
            raise ConnectionError("the server is gone")
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$" and int(rest) >= 0:
            return self.file.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == b"*" and int(rest) >= 0:
            return [self._reply() for _ in range(int(rest))]
        return None if kind in b"$*" else rest.decode()


class Redis(Daemon):
    """config: lines of redis.conf; tls: an argument list for a TLS port, with
    which there is no other.  Keeps nothing on disk."""

    binary = ["redis-server"]

    def __init__(self, test, name="redis", config=(), port=None, tls=None):
        self.dir = test.subdir(name)
        self.port = port or free_port()
        self.socket = self.dir / "redis.sock"
        self.password = None
        lines = [f"port {0 if tls else self.port}", "bind 127.0.0.1",
                 f"dir {self.dir}", 'save ""', "appendonly no",
                 f"unixsocket {self.socket}", "unixsocketperm 777",
                 "repl-diskless-sync-delay 0", "repl-ping-replica-period 1",
                 *config]
        if tls:
            lines += [f"tls-port {self.port}", *tls]
        self.config = self.dir / "redis.conf"
        self.config.write_text("\n".join(lines) + "\n")
        super().__init__(name, [*self.binary, self.config],
                         test.dir / f"{name}.output", ready=self._pings)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def _pings(self):
        try:
            return self.call("PING") == "PONG"
        except RedisError as error:
            return str(error).startswith("NOAUTH")

    def client(self):
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(self.socket))
            client = Client(sock)
            if self.password:
                client("AUTH", self.password)
            return client
        except BaseException:
            sock.close()
            raise

    def call(self, *words):
        client = self.client()
        try:
            return client(*words)
        finally:
            client.close()

    def is_master(self):
        return self.call("ROLE")[0] == "master"


class Sentinel(Redis):
    """Watches master under the name mymaster; alone it is a quorum."""

    def __init__(self, test, master, name="sentinel"):
        super().__init__(test, name)
        self.argv.append("--sentinel")
        # Not of a Sentinel: save, appendonly and replication.
        self.config.write_text("\n".join([
            f"port {self.port}", "bind 127.0.0.1", f"dir {self.dir}",
            f"unixsocket {self.socket}", "unixsocketperm 777",
            f"sentinel monitor mymaster 127.0.0.1 {master.port} 1",
            "sentinel down-after-milliseconds mymaster 300",
            "sentinel failover-timeout mymaster 2000", ""]))

    def master_port(self):
        return int(self.call("SENTINEL", "get-master-addr-by-name",
                             "mymaster")[1])


def available():
    return subprocess.run(["redis-server", "--version"], check=False,
                          capture_output=True).returncode == 0
