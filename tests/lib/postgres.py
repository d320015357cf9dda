# SPDX-License-Identifier: GPL-2.0-or-later
"""A private PostgreSQL with the table of contrib/sql/postgresql.sql, on a Unix
socket and one loopback port.  As root it runs as postgres."""

import os
import pathlib
import shutil
import signal
import subprocess

from harness import (DEADLINE, TOP, Daemon, children, free_port, is_root,
                     once)

USER = "postgres"
ADMIN = "admin"


def _bin(name):
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if found:
        return str(found[-1])
    path = shutil.which(name)
    if path is None:
        raise AssertionError(f"{name} is not installed")
    return path


def _as_user():
    return ("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups") \
        if is_root() else ()


class Postgres(Daemon):
    """tls: (certificate, key) or None; the key is the server's own to read."""

    def __init__(self, test, name="postgres", tls=None):
        owner = (USER, USER) if is_root() else None
        self.dir = test.subdir(name, owner=owner)
        self.data = self.dir / "data"
        self.port = free_port()
        options = {
            "listen_addresses": "127.0.0.1", "port": self.port,
            "unix_socket_directories": self.dir, "fsync": "off",
            "shared_buffers": "8MB", "max_connections": 30,
        }
        if tls:
            options |= {"ssl": "on", "ssl_cert_file": tls[0],
                        "ssl_key_file": tls[1]}
        argv = [_bin("postgres"), "-D", self.data]
        for key, value in options.items():
            argv += ["-c", f"{key}={value}"]
        super().__init__(name, argv, test.dir / f"{name}.output",
                         ready=self._answers, prefix=_as_user(),
                         deadline=2 * DEADLINE)
        self._install()

    def _install(self):
        once("postgres.template", self._make, self.data)

    def _make(self, path):
        path.mkdir(mode=0o700)
        if is_root():
            shutil.chown(path, USER, USER)
        done = subprocess.run(
            [*_as_user(), _bin("initdb"), "-D", path, "-U", ADMIN,
             "-E", "UTF8", "--locale=C", "--no-sync",
             "--auth-local=trust", "--auth-host=scram-sha-256"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=4 * DEADLINE, cwd=self.dir)
        if done.returncode != 0:
            raise AssertionError("initdb: " + done.stdout)

    def _answers(self):
        return subprocess.run(
            [_bin("pg_isready"), "-q", "-h", self.dir, "-p", str(self.port)],
            timeout=DEADLINE).returncode == 0

    def stop(self, number=signal.SIGINT, deadline=DEADLINE):
        """SIGINT: at once, without waiting for clients to leave."""
        return super().stop(number, deadline)

    def everybody(self, number):
        """A signal to the server and to those that serve a client each."""
        for pid in [self.pid, *children(self.pid)]:
            os.kill(pid, number)

    def sql(self, text, database="dbPerdition"):
        """Runs text as the superuser; what it printed."""
        done = subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
             "-h", self.dir, "-p", str(self.port), "-U", ADMIN, database],
            input=text if isinstance(text, bytes) else text.encode(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE,
            env={**os.environ, "PGCLIENTENCODING": "UTF8"})
        if done.returncode != 0:
            raise AssertionError(done.stderr.decode(errors="replace"))
        return done.stdout.decode(errors="replace")

    def make_table(self):
        self.sql((TOP / "contrib/sql/postgresql.sql").read_text(), "postgres")
