# SPDX-License-Identifier: GPL-2.0-or-later
"""HUP checks first and cuts no session; TERM drains."""

import os
import pathlib
import shutil
import signal
import threading
import time

from addresses import CLIENTS4
from fakeserver import FakeServer, imap_server
from harness import children, free_port, wait_for, wait_stopped
from lineclient import Imap
from pair import OWNER, Pbs, Perdition, modules
from pairtest import FRONT, TWO, PairTestCase
from relaydb import RelayDb


class Reload(PairTestCase):
    def setUp(self):
        super().setUp()
        self.start_dovecots(messages=False)
        self.front = self.start(self.perdition({"workers": 2}))

    def reload_done(self):
        """With something new, or the workers are kept; then they are others
        than before."""
        self.front.values["ok_line"] = f"Changed {time.monotonic()}"
        self.front.write_config()
        before = set(self.front.roles()["worker"])
        self.front.reload()
        wait_for("new workers", lambda: len(
            set(self.front.roles().get("worker", [])) - before) >= 2)

    def ok_line(self):
        """Of a session that ends at once: one that an old worker took would
        keep it alive."""
        client = self.imap()
        try:
            return client.login("alice", "secret")[0]
        finally:
            client.close()

    def test_good(self):
        held = [self.imap("alice"), self.imap("bob"), self.pop3("alice")]
        waiting = self.imap()  # not logged in yet
        self.reload_done()
        for client in held[:2]:
            self.assertRegex(client.command("NOOP")[0], rb"^OK")
        self.assertEqual(held[2].command("STAT"), b"+OK 0 0")
        # A client in the middle of its dialogue is not cut either.
        self.assertRegex(waiting.login("alice", "secret")[0], rb"^OK ")
        wait_for("the new configuration", lambda: b"Changed" in
                 self.ok_line())
        for client in held + [waiting]:
            client.close()
        wait_for("the end of the old workers",
                 lambda: len(self.front.roles()["worker"]) == 2)

    def test_bad(self):
        """It says what is wrong and goes on with the old one."""
        held = self.imap("alice")
        before = self.front.roles()["worker"]
        with open(self.front.config, "a", encoding="ascii") as out:
            out.write("tiemout 5\n")
        self.front.reload()
        line = self.front.wait_log("tiemout")[0]
        self.assertIn(f"{self.front.config}:", line)
        self.assertRegex(held.command("NOOP")[0], rb"^OK")
        self.imap("alice")
        self.assertEqual(self.front.roles()["worker"], before)
        # And a good one after it is taken.
        self.reload_done()
        self.imap("alice")

    def test_bad_map(self):
        self.front.set_popmap("^(alice: 127.0.0.1\n")
        self.front.reload()
        self.front.wait_log(str(self.front.popmap))
        self.imap("alice")

    def test_new_map(self):
        self.imap("alice")
        self.front.set_popmap(f"^alice:([0-9]+)$: {TWO}:$1\n")
        self.front.reload()

        def refused():
            return self.imap().login("alice", "secret")[0][:2] == b"NO"
        # Server two does not know her.
        wait_for("alice being sent to server two", refused)
        self.front.wait_log(f'server="{TWO}:')

    def test_no_connection_is_refused_meanwhile(self):
        stop = threading.Event()
        trouble = []
        served = []

        def visit():
            while not stop.is_set():
                try:
                    with Imap(FRONT, self.imap_port) as client:
                        if not client.login("alice", "secret")[0] \
                                .startswith(b"OK "):
                            trouble.append("refused")
                        served.append(1)
                except (OSError, AssertionError) as error:
                    trouble.append(repr(error))
        threads = [threading.Thread(target=visit) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                self.reload_done()
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(trouble, [])
        self.assertGreater(len(served), 20)

    def test_listeners_come_and_go(self):
        from harness import free_port
        port = free_port(FRONT)
        first = self.front.values["listen"]
        self.front.values["listen"] = [f"imap4://{FRONT}:{port}"]
        self.front.values["query_key"] = r"\u:" + str(self.imap_port)
        self.front.write_config()
        held = self.imap("alice")
        self.front.reload()

        def new_port():
            with Imap(FRONT, port) as client:
                return client.login("alice", "secret")[0][:2] == b"OK"
        wait_for("the new port", new_port)

        def old_port_closed():
            try:
                Imap(FRONT, self.imap_port, timeout=1).close()
            except ConnectionRefusedError:
                return True
            except (OSError, AssertionError):
                return False
            return False
        wait_for("the old port closed", old_port_closed)
        self.assertRegex(held.command("NOOP")[0], rb"^OK")
        self.assertEqual(len(first), 2)

    def test_term_drains(self):
        held = self.imap("alice")
        self.front.send_signal(signal.SIGTERM)

        def closed():
            try:
                Imap(FRONT, self.imap_port, timeout=1).close()
            except (OSError, AssertionError):
                return True
            return False
        wait_for("the ports closed", closed)
        self.assertRegex(held.command("NOOP")[0], rb"^OK")
        self.assertTrue(self.front.running())
        held.close()
        self.assertEqual(self.front.wait(), 0)


class Drain(PairTestCase):
    def test_drain_timeout(self):
        self.start_dovecots(messages=False)
        self.front = self.start(self.perdition({"drain_timeout": 1}))
        held = self.imap("alice")
        began = time.monotonic()
        self.front.send_signal(signal.SIGTERM)
        self.assertEqual(self.front.wait(10), 0)
        self.assertGreater(time.monotonic() - began, 0.5)
        # Whatever it is told, the connection ends.
        held.sock.settimeout(5)
        while held.sock.recv(4096):
            pass

    def test_term_while_starting(self):
        """Ports answer before the last role is ready; whoever ends it then
        (systemctl stop) must not see a failure."""
        front = self.perdition()
        front.ready = lambda: children(front.pid)
        self.start(front)
        front.send_signal(signal.SIGTERM)
        self.assertEqual(front.wait(), 0, front.tail())

    def test_signal_as_soon_as_the_pid_is_known(self):
        """It is done when the start is."""
        pid_file = self.dir / "pid"
        front = self.perdition({"pid_file": pid_file})
        # The search for leaks traces, too.
        front.env["ASAN_OPTIONS"] += ":detect_leaks=0"
        front.argv[:0] = ["strace", "-qq", "-o", "/dev/null", "-P",
                          str(pid_file), "-e", "inject=ftruncate:signal=HUP"]
        self.start(front)
        front.wait_log("event=reloaded")
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        self.assertEqual(front.wait(), 0, front.tail())

    def test_last_words(self):
        """The log has the end of all whom it outlives."""
        front = self.start(self.perdition({
            "debug": True, "workers": 2, "lookup_processes": 3}))
        # The master tells as much as others from the start.
        wait_for("all who were started", lambda: len(
            front.log_lines("event=started role=")) == 6)
        front.reload()
        front.wait_log("event=reloaded")
        wait_for("the end of the old ones", lambda:
                 len(front.log_lines("event=ended")) == 4)
        front.send_signal(signal.SIGTERM)
        self.assertEqual(front.wait(), 0)
        self.assertEqual(len(front.log_lines("event=ended")), 4 + 5,
                         front.tail())

    def test_log_file_is_opened_again(self):
        self.start_dovecots(messages=False)
        folder = self.subdir("log", owner=OWNER)
        log = folder / "perdition.log"
        self.front = self.start(self.perdition({"log_facility": log}))
        self.imap("alice")
        wait_for("the Auth line", lambda: "Auth: " in log.read_text())
        os.rename(log, folder / "old")
        self.front.reload()
        wait_for("a new log file", log.exists)

        def logged():
            # For a moment the old log process may still take a line.
            self.imap("bob").close()
            return '"bob"' in log.read_text()
        wait_for("the Auth line in the new file", logged)


class SlowReload(PairTestCase):
    """What comes while the new processes are not ready yet."""

    def setUp(self):
        super().setUp()
        self.server = FakeServer(imap_server())
        self.addCleanup(self.server.close)
        self.module = self.dir / "popmap_slow.so"

    def front_with(self, **values):
        self.port = free_port(FRONT)
        self.front = self.start(Perdition(
            self, [("imap4", FRONT, self.port)], None,
            {"outgoing_server": self.server.address, "workers": 1,
             "lookup_processes": 1, **values}))

    def login(self, user):
        client = Imap(FRONT, self.port, CLIENTS4[0])
        self.addCleanup(client.close)
        self.assertRegex(client.login(user, "secret")[0], rb"^OK ")
        return client

    def begin_reload(self, **values):
        """The new lookup process hangs.  Returns the new log process, which
        is ready."""
        os.mkfifo(self.module)
        self.front.set_popmap("^nobody$: 127.0.0.1\n")
        self.front.values.update(map_library=self.module,
                                 map_library_opt=self.front.popmap, **values)
        self.front.write_config()
        old = self.front.roles()
        self.front.reload()

        def new(role):
            return [pid for pid in self.front.roles().get(role, [])
                    if pid not in old[role]]
        self.lookup = wait_for("a new lookup process",
                               lambda: new("lookup"))[0]
        return wait_for("a new log process", lambda: new("log"))[0]

    def end_reload(self, good=True):
        """Who is killed before it was ready is started once more."""
        self.module.unlink()
        if good:
            shutil.copy(modules() / "popmap_regex.so", self.module)
        os.kill(self.lookup, signal.SIGKILL)

    def test_log_file_is_opened_again(self):
        log = self.subdir("log", owner=OWNER) / "perdition.log"
        self.front_with(log_facility=log)
        pid = self.begin_reload()
        wait_for("its log file", lambda: any(
            os.path.realpath(fd) == str(log)
            for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()))
        os.rename(log, log.with_suffix(".old"))
        self.front.send_signal(signal.SIGUSR1)
        wait_for("a new log file", log.exists)
        self.end_reload()
        wait_for("the end of the old log process", lambda:
                 self.front.roles()["log"] == [pid])
        self.login("alice")
        wait_for("the Auth line in the new file", lambda:
                 '"alice"' in log.read_text())

    def login_untold_to(self, pid):
        """That log process is stopped: the other one takes the record."""
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_stopped(pid)
            self.login("alice")
            wait_for("the Auth line", lambda: any(
                "Auth: " in line for line in self.front.log_lines("alice")))
        finally:
            os.kill(pid, signal.SIGCONT)

    def told(self):
        db = RelayDb(self.pbs.db)
        wait_for(f"an entry {CLIENTS4[0]}", lambda: db.get(CLIENTS4[0]))

    def test_auth_socket_comes(self):
        """perdition-pbs hears of a login that the old log process took."""
        self.pbs = self.start(Pbs(self))
        self.front_with(connect_relog=0)
        new = self.begin_reload(auth_socket=self.pbs.socket)
        self.front.wait_log("pbs-connected")
        self.login_untold_to(new)
        self.end_reload()
        self.told()

    def test_refused_auth_socket(self):
        """The same of one that the new one took before it had to go."""
        self.pbs = self.start(Pbs(self))
        self.front_with(connect_relog=0, auth_socket=self.pbs.socket)
        old = self.front.roles()["log"][0]
        self.begin_reload(auth_socket=self.dir / "nobody")
        self.front.wait_log("pbs-away")
        self.login_untold_to(old)
        self.end_reload(good=False)
        self.told()

    def test_only_the_log_is_left(self):
        """What waits for perdition-pbs takes no other worker's place."""
        quarter = 16  # of the places
        self.front_with(workers=quarter, auth_socket=self.dir / "nobody")
        self.login("alice").close()
        for n in range(1, 5):
            before = self.front.roles()
            self.front.values["ok_line"] = f"Changed {n}"
            self.front.write_config()
            self.front.reload()
            self.front.wait_log("event=reloaded", n)
            wait_for("the end of the old workers", lambda: not
                     set(before["worker"] + before["lookup"])
                     & set(sum(self.front.roles().values(), [])))
            self.assertIn(before["log"][0], self.front.roles()["log"])
            self.login("alice").close()
