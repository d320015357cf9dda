# SPDX-License-Identifier: GPL-2.0-or-later
"""The types of file that perdition-pbs writes, as the MTAs read them, and how
often it changes them."""

import os
import pathlib
import signal
import socket
import time

from addresses import CLIENTS4, CLIENTS6
from exim import Exim
from harness import alive, wait_for
from mtatest import MtaTestCase, glue
from pair import Pbs
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
        took = time.monotonic() - began
        last = logins.sent - 1
        wait_for("the last", lambda: self.db.get(
            f"10.{last >> 16 & 255}.{last >> 8 & 255}.{last & 255}"))
        # A second's worth at once, ten a second, and the last.
        self.assertLess(self.lead() - max(before, 0), 10 * (took + 1) + 3)
        self.assertGreater(self.lead(), 1)

    def test_quiet_host_does_not_wait(self):
        self.start_pbs(db_changes_per_second=1)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.pbs.socket))
            # The first at once, the second when its turn has come.
            for n, most in ((1, 0.5), (2, 3)):
                began = time.monotonic()
                sock.sendall(record(f"198.18.0.{n}", int(time.time())))
                wait_for("entry", lambda: self.db.get(f"198.18.0.{n}"),
                         interval=0.001)
                self.assertLess(time.monotonic() - began, most)
        self.assertLessEqual(self.lead(), 2)


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
