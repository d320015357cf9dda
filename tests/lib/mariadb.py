# SPDX-License-Identifier: GPL-2.0-or-later
"""A private MariaDB with the table of contrib/sql/mysql.sql, on a Unix socket
and one loopback port.  As root it runs as mysql."""

import os
import shutil
import socket
import subprocess

from harness import DEADLINE, TOP, Daemon, free_port, is_root, once

USER = "mysql"


def _as_user():
    return ("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups") \
        if is_root() else ()


class MariaDb(Daemon):
    """tls: (certificate, key) or None."""

    def __init__(self, test, name="mariadb", tls=None):
        owner = (USER, USER) if is_root() else None
        self.dir = test.subdir(name, owner=owner)
        self.port = free_port()
        self.socket = self.dir / "sock"
        argv = ["mariadbd", "--no-defaults", f"--datadir={self.dir}/data",
                f"--socket={self.socket}", f"--port={self.port}",
                "--bind-address=127.0.0.1", f"--pid-file={self.dir}/pid",
                "--skip-name-resolve", "--skip-log-bin",
                "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M",
                "--performance-schema=OFF", "--max-connections=50",
                f"--tmpdir={self.dir}"]
        if tls:
            argv += [f"--ssl-cert={tls[0]}", f"--ssl-key={tls[1]}"]
        super().__init__(name, argv, test.dir / f"{name}.output",
                         ready=self._answers, prefix=_as_user(),
                         deadline=2 * DEADLINE)
        self._install()

    def _install(self):
        once("mariadb.template", self._make, self.dir / "data")

    def _make(self, path):
        path.mkdir()
        if is_root():
            shutil.chown(path, USER, USER)
        done = subprocess.run(
            [*_as_user(), "mariadb-install-db", "--no-defaults",
             f"--datadir={path}", "--skip-test-db",
             "--auth-root-authentication-method=socket",
             "--auth-root-socket-user=root", "--innodb-log-file-size=4M"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=4 * DEADLINE, cwd=self.dir)
        if done.returncode != 0:
            raise AssertionError("mariadb-install-db: " + done.stdout)

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.socket))
            return bool(sock.recv(1))

    def sql(self, text):
        """Runs text as root, through the socket; what it printed."""
        done = subprocess.run(
            ["mariadb", "--no-defaults", f"--socket={self.socket}",
             "--default-character-set=utf8mb4", "--user=root",
             "--batch", "--skip-column-names"],
            input=text if isinstance(text, bytes) else text.encode(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE)
        if done.returncode != 0:
            raise AssertionError(done.stderr.decode(errors="replace"))
        return done.stdout.decode(errors="replace")

    def everybody(self, number):
        """A signal to all that serve clients: it is one process."""
        os.kill(self.pid, number)

    def make_table(self):
        self.sql((TOP / "contrib/sql/mysql.sql").read_text())
        # From 127.0.0.1, which without name resolution is not localhost.
        self.sql("CREATE USER perdition@'127.0.0.1' IDENTIFIED BY 'perdition';"
                 "GRANT SELECT ON dbPerdition.* TO perdition@'127.0.0.1';"
                 "GRANT SELECT ON dbPerdition.* TO perdition@localhost;")
