# SPDX-License-Identifier: GPL-2.0-or-later
"""The types of file that perdition-pbs writes, as the MTAs read them, and how
often it changes them."""

import grp
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import time

from addresses import CLIENTS4, CLIENTS6
from exim import Exim
from harness import alive, wait_for
from mtatest import MtaTestCase, glue
from pair import OWNER, Pbs
from postfix import Postfix
from relaydb import RelayDb
from relayload import Logins, record


class Types(MtaTestCase):
    """Postfix by hash:, lmdb: and cdb:, and Exim by cdb, on one daemon that
    keeps all of them."""

    def start_pbs(self, **values):
        self.pbs = Pbs(self, "socket", {"timeout": 3600, **values})
        for kind in ("lmdb", "cdb"):
            self.pbs.argv += ["--db_file",
                              f"{kind}:{self.pbs.dir}/relay.{kind}"]
        self.db = RelayDb(self.pbs.db)
        self.start(self.pbs)

    def start_mtas(self):
        text = glue("postfix", "relay-file.cf")
        for kind in ("hash", "lmdb", "cdb"):
            self.start(Postfix(
                self.machine, self.port(f"postfix {kind}"),
                text.replace("hash:", f"{kind}:")
                + "lmdb_map_size = 1000000\n", f"postfix-{kind}"))
        self.start(Exim(
            self.machine, self.port("exim cdb"),
            glue("exim", "relay-file").replace("dbmnz", "cdb")
            .replace("relay.db", "relay.cdb") + glue("exim", "localmacros")))

    def wait_relay(self, source, may):
        """An open CDB file is looked at again when the next client comes."""
        def done():
            words = self.answers(source).items()
            return all(a.startswith("250" if may else "55") for _, a in words)

        wait_for(f"{source} may {'' if may else 'not '}relay", done)

    def test_life_of_an_entry(self):
        self.start_machine()
        self.start_pbs()
        self.start_mtas()
        four, six, stranger = CLIENTS4[0], CLIENTS6[0], CLIENTS4[1]
        self.assert_no_relay(four, six)
        self.pbs.run("insert", four, six)
        for client in (four, six):
            self.wait_relay(client, True)
        self.assert_no_relay(stranger)
        self.pbs.run("remove", four)
        self.wait_relay(four, False)
        self.assert_relay(six)
        # So many that the file has to grow, and beyond the map with which
        # Postfix began.
        logins = Logins(self.pbs.socket, 50000)
        logins.start()
        wait_for("logins", lambda: logins.sent > 60000, interval=0.1)
        logins.end()
        self.pbs.run("insert", stranger)
        self.wait_relay(stranger, True)
        self.assert_no_relay(four)
        self.assert_relay(six)
        # Made anew by a start.
        self.pbs.stop()
        self.pbs.start()
        self.assert_relay(six, stranger)
        self.pbs.run("purge")
        for client in (six, stranger):
            self.wait_relay(client, False)

    def test_tools_without_the_daemon(self):
        self.start_pbs()
        kinds = [f"{kind}:{self.pbs.dir}/relay.{kind}"
                 for kind in ("lmdb", "cdb")]
        more = [word for kind in kinds for word in ("--db_file", kind)]
        self.pbs.run("insert", CLIENTS4[0])
        self.pbs.stop()
        self.pbs.run("insert", *more, CLIENTS4[1])
        self.pbs.run("remove", *more, CLIENTS4[0])
        for name in (None, *kinds):
            text = self.pbs.run("list", db=name).stdout
            self.assertIn(CLIENTS4[1], text, name)
            self.assertNotIn(CLIENTS4[0], text, name)
        for may, client in zip(("yes", "no"), CLIENTS4[1::-1]):
            for name in (None, *kinds):
                done = self.pbs.run(
                    "setenv", "sh", "-c", "echo ${RELAYCLIENT-no}yes",
                    db=name, env={"TCPREMOTEIP": client})
                self.assertTrue(done.stdout.startswith(may), name)

    def test_type_that_is_not_there(self):
        pbs = Pbs(self, "socket", {"db_file": "nis:/x", "state_dir": ""})
        pbs.ready = None
        self.start(pbs)
        self.assertEqual(pbs.wait(), 78)
        self.assertIn("absolute path", pbs.output())


class Pace(MtaTestCase):
    def start_pbs(self, **values):
        self.pbs = self.start(Pbs(self, "socket", {
            "db_changes_per_second": 10, **values}))
        self.db = RelayDb(self.pbs.db)

    def lead(self):
        return os.stat(self.pbs.db).st_mtime - time.time()

    def test_load_joins_changes(self):
        self.start_pbs()
        before = self.lead()
        logins = Logins(self.pbs.socket, 5000)
        began = time.monotonic()
        logins.start()
        wait_for("logins", lambda: logins.sent > 10000)
        logins.end()
        last = logins.sent - 1
        wait_for("the last", lambda: self.db.get(
            f"10.{last >> 16 & 255}.{last >> 8 & 255}.{last & 255}"))
        took = time.monotonic() - began
        # A second's worth at once, ten a second, and the last.
        self.assertLess(self.lead() - max(before, 0), 10 * (took + 1) + 3)
        self.assertGreater(self.lead(), 1)

    def test_quiet_host_does_not_wait(self):
        """The first is there at once, the second when its turn has come."""
        self.start_pbs(db_changes_per_second=1)
        took = []
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.pbs.socket))
            for n in range(5):  # a busy machine may be late, not each time
                took.append(self.login_takes(sock, f"198.18.0.{n}"))
                self.login_takes(sock, f"198.18.1.{n}")
                self.assertLessEqual(self.lead(), 2)
                if took[-1] < 0.5:
                    return
                quiet = time.monotonic() + 1.1
                wait_for("a quiet second", lambda: time.monotonic() > quiet)
        self.fail(f"seconds until it was there: {took}")

    def login_takes(self, sock, addr):
        """Seconds until the file has it."""
        began = time.monotonic()
        sock.sendall(record(addr, int(time.time())))
        wait_for("entry", lambda: self.db.get(addr), interval=0.001)
        return time.monotonic() - began


def children(pid):
    return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


class Child(MtaTestCase):
    def test_no_child_outlives_the_daemon(self):
        """The daemon is killed while a child of its writes a large file: the
        next one can begin at once."""
        pbs = self.pbs = Pbs(self, "socket", {
            "db_file": f"cdb:{self.dir}/pbs/relay.cdb"})
        self.start(pbs)
        logins = Logins(pbs.socket, 20000)
        logins.start()
        self.addCleanup(logins.ending.set)
        child = wait_for("a child", lambda: children(pbs.pid),
                         interval=0.001)[0]
        os.kill(pbs.pid, signal.SIGKILL)
        wait_for("its end", lambda: not alive(int(child)), interval=0.001)
        pbs.stop()
        pbs.start()


class FullDisk(MtaTestCase):
    """Who looks for a key alone, as Postfix and Exim do, must not find one
    whose time is over because there is no room to say so."""

    def start_pbs(self, kind, size="1m", **values):
        self.small = self.subdir("small")
        subprocess.run(["mount", "-t", "tmpfs", "-o",
                        f"size={size},mode=755", "tmpfs", str(self.small)],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.small)])
        os.chown(self.small, pwd.getpwnam(OWNER[0]).pw_uid,
                 grp.getgrnam(OWNER[1]).gr_gid)
        self.file = self.small / f"relay.{'db' if kind == 'hash' else kind}"
        self.name = f"{kind}:{self.file}"
        self.pbs = Pbs(self, "socket", {"db_file": self.name,
                                        "max_new_per_second": 100000, **values})
        self.start(self.pbs)

    def fill(self):
        with open(self.small / "filler", "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass

    def in_cdb(self, addr, path=None):
        done = subprocess.run(["cdb", "-q", path or self.file, addr],
                              capture_output=True)
        self.assertIn(done.returncode, (0, 100), done.stderr)
        return done.returncode == 0

    def login(self, addr):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.pbs.socket))
            sock.sendall(record(addr, int(time.time())))

    def run_pbs(self, mode, *args, **kwargs):
        return self.pbs.run(mode, *args, db=self.name, **kwargs)

    def logged(self, event):
        return f"event={event} " in self.pbs.output()

    def test_cdb_is_made_in_the_room_of_the_old_one(self):
        self.start_pbs("cdb", timeout=6)
        self.run_pbs("insert", "-t", "3600", CLIENTS4[1])
        self.login(CLIENTS4[0])
        wait_for("the login", lambda: self.in_cdb(CLIENTS4[0]))
        self.fill()
        wait_for("its end", lambda: not self.in_cdb(CLIENTS4[0]))
        wait_for("the others", lambda: self.in_cdb(CLIENTS4[1]))
        wait_for("the log", lambda: self.logged("db-restored"))
        self.assertEqual(self.pbs.output().count("event=db-shut "), 1)

    def test_cdb_that_cannot_be_made(self):
        self.start_pbs("cdb", timeout=6)
        self.run_pbs("insert", "-t", "3600", CLIENTS4[1])
        self.login(CLIENTS4[0])
        wait_for("the login", lambda: self.in_cdb(CLIENTS4[0]))
        with open(self.file, "rb") as f:  # what it takes is not set free
            self.fill()
            wait_for("its end", lambda: not self.in_cdb(CLIENTS4[0]))
            self.assertFalse(self.in_cdb(CLIENTS4[1]))
            # Who has it open looks again, though it is another file.
            self.assertGreater(os.fstat(f.fileno()).st_mtime, time.time() + 60)
            wait_for("the log", lambda: self.logged("db-shut"))
            (self.small / "filler").unlink()
            wait_for("what is alive", lambda: self.in_cdb(CLIENTS4[1]))
        self.assertFalse(self.in_cdb(CLIENTS4[0]))
        wait_for("the log", lambda: self.logged("db-restored"))
        wait_for("a spare", (self.small / ".relay.cdb.empty").exists)

    def test_start(self):
        self.start_pbs("cdb", timeout=6)
        self.login(CLIENTS4[0])
        wait_for("the login", lambda: self.in_cdb(CLIENTS4[0]))
        self.pbs.stop()
        with open(self.file, "rb"):
            self.fill()
            self.pbs.start()
            self.assertFalse(self.in_cdb(CLIENTS4[0]))
            # Status 75: the daemon knows, but cannot write it yet.
            done = self.run_pbs("insert", "-t", "3600", CLIENTS4[1],
                                check=False)
            self.assertEqual(done.returncode, 75, done.stderr)
        (self.small / "filler").unlink()
        wait_for("the file anew", lambda: self.in_cdb(CLIENTS4[1]))

    def deletes_in_place(self, kind):
        self.start_pbs(kind, "4m", timeout=3600)
        addrs = [f"198.18.{n >> 8}.{n & 255}" for n in range(3000)]
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.pbs.socket))
            when = int(time.time())
            sock.sendall(b"".join(record(a, when) for a in addrs))

            def listed():
                text = self.run_pbs("list", check=False).stdout
                return {line.split()[0] for line in text.splitlines()}

            wait_for("all of them", lambda: len(listed()) == len(addrs))
            self.fill()
            more = 0
            while not self.logged("db-error"):
                sock.sendall(b"".join(
                    record(f"10.9.{n >> 8}.{n & 255}", when)
                    for n in range(more, more + 100)))
                more += 100
                time.sleep(0.01)
                self.assertLess(more, 60000)
        gone = addrs[::20]
        for n in range(0, len(gone), 50):
            self.run_pbs("remove", *gone[n:n + 50])
        wait_for("their end", lambda: not listed() & set(gone))
        self.assertEqual(set(addrs) - listed(), set(gone))
        self.assertFalse(self.logged("db-shut"))
        (self.small / "filler").unlink()
        wait_for("the new ones",
                 lambda: len(listed()) == len(addrs) - len(gone) + more)

    def test_hash_deletes_in_place(self):
        self.deletes_in_place("hash")

    def test_lmdb_deletes_in_place(self):
        self.deletes_in_place("lmdb")
