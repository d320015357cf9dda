#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The real perdition: exit statuses, the death of its processes, reload,
daemon mode, inetd mode.  Needs neither root nor a real-server."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM = os.path.abspath("../../perdition/perdition")
MODULES = os.path.abspath(".libs")
WAIT = 15  # seconds, for what should take milliseconds


def wait_for(what, text):
    """Until what() gives something true, which is returned."""
    end = time.monotonic() + WAIT
    while True:
        got = what()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError("in vain: " + text)
        time.sleep(0.01)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(port):
    s = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
    return s, s.makefile("rb")


def greeting(port):
    s, f = connect(port)
    with s, f:
        return f.readline()


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid):
    """{pid: role} of the living."""
    found = {}
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/stat" % name, errors="replace") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            with open("/proc/%s/cmdline" % name, "rb") as f:
                args = f.read().decode(errors="replace").split("\0")
        except (OSError, IndexError):
            continue
        if int(fields[1]) == pid and "--role" in args:
            found[int(name)] = args[args.index("--role") + 1]
    return found


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="perdition-test-")
        os.chmod(self.dir, 0o755)
        self.port = free_port()
        self.log = os.path.join(self.dir, "log")
        self.pid_file = os.path.join(self.dir, "pid")
        self.conf = os.path.join(self.dir, "conf")
        self.master = None
        self.pids = set()

    def tearDown(self):
        if self.master is not None:
            self.pids |= set(children(self.master.pid))
            self.master.kill()
            self.master.communicate()
        for pid in self.pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.dir)

    def write_conf(self, *lines, listen=None):
        with open(self.conf, "w", encoding="ascii") as f:
            f.write("\n".join([
                "log_facility " + self.log,
                "pid_file " + self.pid_file,
                'map_library ""',
                "outgoing_server 127.0.0.1:1",
                "workers 2",
                *(["listen imap4://127.0.0.1:%d" % p
                   for p in listen or [self.port]]),
                *lines, ""]))

    def read_log(self):
        try:
            with open(self.log, encoding="ascii") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def logged(self, pattern):
        return wait_for(lambda: re.search(pattern, self.read_log()),
                        pattern + " in the log:\n" + self.read_log())

    def write_map(self, library, options=""):
        with open(self.conf, encoding="ascii") as f:
            text = f.read().replace('map_library ""', "map_library %s\n"
                                    'map_library_opt "%s"' % (library, options))
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(text)

    def deaths(self, times):
        """A map that has its process killed so often; the file that counts."""
        path = os.path.join(self.dir, "deaths")
        with open(path, "w", encoding="ascii") as f:
            f.write("x" * times)
        os.chmod(path, 0o666)
        self.write_map(MODULES + "/popmap_killed.so", path)
        return path

    def start(self, *lines, **more):
        self.write_conf("no_daemon", *lines, **more)
        self.start_it()

    def start_it(self):
        self.master = subprocess.Popen([PROGRAM, "-f", self.conf],
                                       stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT)
        self.logged("event=started")

    def roles(self):
        found = children(self.master.pid)
        self.pids |= set(found)
        return found

    def ended(self):
        try:
            return self.master.wait(WAIT)
        except subprocess.TimeoutExpired:
            self.fail("does not end:\n" + self.read_log())


class Statuses(Case):
    def run_it(self, *args, stdin=subprocess.DEVNULL):
        done = subprocess.run([PROGRAM, *args], stdin=stdin, timeout=WAIT,
                              capture_output=True, text=True)
        return done.returncode, done.stderr

    def test_command_line(self):
        for status, text, args in [
                (0, "", ["--check_config", "-f", "", "-P", "POP3", "-M", ""]),
                (64, 'unknown option "bogus"', ["--bogus"]),
                (64, "perdition takes only options", ["x"]),
                (64, "timeout", ["--timeout", "abc"]),
                (66, "ssl_cert_file", ["-f", "", "-M", "", "-P", "IMAP4S", "--check_config",
                                       "--ssl_cert_file", "/nonexistent"]),
                (66, "ssl_ca_file: /nonexistent: No such file",
                 ["-f", "", "-M", "", "--check_config", "--ssl_ca_file", "/nonexistent"]),
                (0, "", ["-f", "", "-M", "", "--ssl_mode", "none", "--check_config"]),
                (78, "PAM is not part", ["-f", "", "-a"]),
                (78, "ManageSieve is not", ["-f", "", "-P", "managesieve"]),
                (78, "not a protocol", ["-f", "", "-P", "gopher"]),
                (66, "/nonexistent", ["-f", "/nonexistent"]),
                (78, "log_facility", ["-f", "", "-F", "nonsense"]),
                (64, "own use", ["--role", "worker", "--slot", "0"]),
                (64, "", ["--generate", "nothing"]),
        ]:
            with self.subTest(args=args):
                got, err = self.run_it(*args)
                self.assertEqual(got, status, err)
                self.assertIn(text, err)

    def test_program_name_selects_the_protocol(self):
        for name, protocol in [("perdition.imap4", "imap4"),
                               ("perdition.pop3", "pop3")]:
            link = os.path.join(self.dir, name)
            os.symlink(PROGRAM, link)
            out = subprocess.run([link, "-f", "", "--dump_config"],
                                 capture_output=True, text=True, check=True,
                                 timeout=WAIT).stdout
            self.assertIn("\nprotocol %s\n" % protocol, out)
        os.symlink(PROGRAM, os.path.join(self.dir, "perdition.imap4s"))
        got, err = self.run_it_as("perdition.imap4s")
        self.assertEqual(got, 66, err)
        self.assertIn("ssl_cert_file: ", err)

    def run_it_as(self, name):
        done = subprocess.run([os.path.join(self.dir, name), "-f", ""],
                              capture_output=True, text=True, timeout=WAIT)
        return done.returncode, done.stderr

    def test_all_problems_at_once(self):
        self.write_conf("frobnicate 1", "timeout soon", "quiet maybe")
        got, err = self.run_it("-f", self.conf)
        self.assertEqual(got, 78)
        for word in ["conf:7:", "frobnicate", "conf:8:", "soon", "conf:9:",
                     "maybe"]:
            self.assertIn(word, err)

    def test_port_in_use(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", self.port))
            s.listen()
            for extra in [["no_daemon"], []]:
                self.write_conf(*extra)
                got, err = self.run_it("-f", self.conf)
                self.assertEqual(got, 69, err)
                self.assertEqual(len(re.findall("^perdition: ", err, re.M)), 1,
                                 err)
                self.assertIn("127.0.0.1:%d" % self.port, err)
                self.assertFalse(os.path.exists(self.pid_file))

    def test_not_our_address(self):
        self.write_conf("no_daemon", "listen imap4://192.0.2.1:14300")
        got, err = self.run_it("-f", self.conf)
        self.assertEqual(got, 69, err)
        self.assertIn("192.0.2.1:14300", err)

    def test_missing_map(self):
        for extra in [["no_daemon"], []]:
            self.write_conf(*extra)
            got, err = self.run_it("-f", self.conf, "--map_library",
                                   "/nonexistent/map.so")
            self.assertNotEqual(got, 0, err)
            self.assertIn("/nonexistent/map.so", err)
            self.assertEqual(len(re.findall("^perdition: ", err, re.M)), 1,
                                 err)
            self.assertFalse(os.path.exists(self.pid_file))
            with self.assertRaises(ConnectionRefusedError):
                greeting(self.port)

    def test_a_part_that_is_always_killed(self):
        for extra in [["no_daemon"], []]:
            self.write_conf(*extra)
            lives = self.deaths(100)
            got, err = self.run_it("-f", self.conf)
            self.assertEqual(got, 70, err)
            self.assertIn("perdition: lookup 0 was ended by signal 9 (Killed), "
                          "5 times before it was ready\n", err)
            self.assertEqual(len(re.findall("^perdition: ", err, re.M)), 1,
                             err)
            self.assertEqual(os.path.getsize(lives), 95)
            self.assertFalse(os.path.exists(self.pid_file))

    def test_check_of_maps(self):
        modules = os.path.abspath("../../perdition/modules/.libs")
        rules = os.path.join(self.dir, "rules")
        with open(rules, "w", encoding="ascii") as f:
            f.write("^a$ 192.0.2.1\n")
        bad = os.path.join(self.dir, "bad")
        with open(bad, "w", encoding="ascii") as f:
            f.write("^a$ 192.0.2.1\n(b 192.0.2.1\n")
        for status, text, library, options in [
                (0, "", "regex", rules),
                (78, "bad:2: ", "regex", bad),
                (66, "/nonexistent", "regex", "/nonexistent"),
                (66, "nomap", "nomap", ""),
                (78, "bad options", MODULES + "/popmap_script.so", "bad"),
                (0, "", MODULES + "/popmap_script.so", "good"),
        ]:
            with self.subTest(library=library, options=options):
                self.write_conf("module_dir " + modules)
                self.write_map(library, options)
                got, err = self.run_it("-f", self.conf, "--check_config")
                self.assertEqual(got, status, err)
                self.assertIn(text, err)

    def test_check_is_bounded(self):
        self.write_conf("map_timeout 1")
        self.write_map(MODULES + "/popmap_script.so", "hang")
        got, err = self.run_it("-f", self.conf, "--check_config")
        self.assertEqual(got, 75, err)
        self.assertIn("map_timeout", err)

    def test_log_cannot_be_opened(self):
        self.write_conf("no_daemon")
        got, err = self.run_it("-f", self.conf, "-F", "/nonexistent/dir/log")
        self.assertIn(got, (66, 77), err)
        self.assertIn("/nonexistent/dir/log", err)

    def test_pid_file_cannot_be_written(self):
        self.write_conf("no_daemon")
        got, err = self.run_it("-f", self.conf, "--pid_file",
                               "/nonexistent/dir/pid")
        self.assertEqual(got, 73, err)
        self.assertIn("/nonexistent/dir/pid", err)


class Running(Case):
    def test_serves_and_ends(self):
        self.start()
        self.assertIn(b"* OK", greeting(self.port))
        self.assertEqual(sorted(self.roles().values()),
                         ["log", "lookup", "worker", "worker"])
        with open(self.pid_file, encoding="ascii") as f:
            self.assertEqual(int(f.read()), self.master.pid)
        self.master.send_signal(signal.SIGTERM)
        self.assertEqual(self.ended(), 0)
        self.assertFalse(os.path.exists(self.pid_file))
        self.assertFalse([p for p in self.pids if alive(p)])

    def test_second_one_does_not_share(self):
        self.start()
        done = subprocess.run([PROGRAM, "-f", self.conf, "--pid_file="],
                              stdin=subprocess.DEVNULL, timeout=WAIT,
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 69)
        self.assertIn(b"* OK", greeting(self.port))

    def test_any_child_may_die(self):
        self.start()
        for role in ["worker", "lookup", "log"] * 2:
            before = self.roles()
            victim = next(p for p in before if before[p] == role)
            os.kill(victim, signal.SIGKILL)
            for _ in range(8):  # whichever worker's socket gets it
                self.assertIn(b"* OK", greeting(self.port))
            wait_for(lambda v=victim: len(self.roles()) == 4 and
                     v not in self.roles(), "another " + role)
        self.logged("event=died role=log")

    def test_a_child_dies_before_it_is_ready(self):
        self.write_conf("no_daemon")
        self.deaths(2)
        self.start_it()
        self.assertIn(b"* OK", greeting(self.port))
        self.assertEqual(self.read_log().count("event=died role=lookup"), 2)

    def test_master_dies(self):
        self.start()
        s, f = connect(self.port)
        self.assertIn(b"* OK", f.readline())
        roles = self.roles()
        self.master.kill()
        self.master.wait()
        wait_for(lambda: not self.listening(), "the port is let go")
        s.sendall(b"a LOGOUT\r\n")
        self.assertIn(b"* BYE", f.readline())
        s.close()
        f.close()
        wait_for(lambda: not any(alive(p) for p in roles), "all end")

    def listening(self):
        try:
            return greeting(self.port)
        except OSError:
            return False

    def test_term_waits_for_sessions(self):
        self.start()
        s, f = connect(self.port)
        with s, f:
            self.assertIn(b"* OK", f.readline())
            self.roles()
            self.master.send_signal(signal.SIGTERM)
            wait_for(lambda: not self.listening(), "no new clients")
            s.sendall(b"a NOOP\r\n")
            self.assertIn(b"a OK", f.readline())
            self.assertIsNone(self.master.poll())
            self.master.send_signal(signal.SIGTERM)
            self.assertEqual(self.ended(), 0)
        self.assertFalse([p for p in self.pids if alive(p)])

    def test_port_0(self):
        self.start(listen=[0])
        port = self.logged(r"event=listening .*address=127.0.0.1:(\d+)")
        self.assertIn(b"* OK", greeting(int(port.group(1))))


class Reload(Case):
    def hup(self):
        self.master.send_signal(signal.SIGHUP)

    def test_bad_configuration_is_not_taken(self):
        self.start()
        before = self.roles()
        self.write_conf("no_daemon", "frobnicate 1", "timeout soon")
        self.hup()
        self.logged('reload-refused text=.*frobnicate')
        self.logged('reload-refused text=.*soon')
        self.assertIn(b"* OK", greeting(self.port))
        self.assertEqual(self.roles(), before)

    def test_port_in_use_is_not_taken(self):
        self.start()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            other = s.getsockname()[1]
            self.write_conf("no_daemon", listen=[self.port, other])
            self.hup()
            self.logged("reload-refused text=.*:%d" % other)
        self.assertIn(b"* OK", greeting(self.port))

    def test_map_that_is_missing_is_not_taken(self):
        self.start()
        self.write_conf("no_daemon", "map_timeout 9")
        self.write_map("/nonexistent.so")
        self.hup()
        self.logged("reload-refused text=.*nonexistent.so")
        self.assertIn(b"* OK", greeting(self.port))
        wait_for(lambda: len(self.roles()) == 4, "the new ones are gone")
        # And the next one is fine again.
        self.write_conf("no_daemon", "map_timeout 9")
        self.hup()
        self.logged("event=reloaded workers=new")
        self.assertIn(b"* OK", greeting(self.port))

    def test_a_child_dies_before_it_is_ready(self):
        self.start()
        self.write_conf("no_daemon", "map_timeout 9")
        self.deaths(2)
        self.hup()
        self.logged("event=reloaded")
        self.deaths(100)
        self.hup()
        self.logged("reload-refused text=.*lookup 0 was ended by signal 9")
        self.assertIn(b"* OK", greeting(self.port))
        self.assertEqual(self.read_log().count("event=died role=lookup"), 7)

    def test_same_configuration_keeps_workers(self):
        self.start()
        workers = {p for p, r in self.roles().items() if r == "worker"}
        others = set(self.roles()) - workers
        os.rename(self.log, self.log + ".1")
        self.hup()
        wait_for(lambda: os.path.exists(self.log), "a new log file")
        wait_for(lambda: not others & set(self.roles()) and
                 len(self.roles()) == 4, "the old ones are gone")
        self.assertTrue(workers <= set(self.roles()))
        self.assertIn(b"* OK", greeting(self.port))
        self.logged("Connect: ")  # in the new file
        # What the old log process still read is in the old one.
        with open(self.log + ".1", encoding="ascii") as f:
            self.assertIn("event=reloaded workers=kept",
                          f.read() + self.read_log())

    def test_listeners_come_and_go_and_sessions_stay(self):
        self.start()
        s, f = connect(self.port)
        with s, f:
            self.assertIn(b"* OK", f.readline())
            other = free_port()
            self.write_conf("no_daemon", listen=[other])
            self.hup()
            self.logged("event=reloaded workers=new")
            self.assertIn(b"* OK", greeting(other))
            with self.assertRaises(ConnectionRefusedError):
                wait_for(lambda: not greeting(self.port), "the port is shut")
            s.sendall(b"a NOOP\r\n")
            self.assertIn(b"a OK", f.readline())
            # Its worker is still there, the idle one is not.
            wait_for(lambda: list(self.roles().values()).count("worker") == 3,
                     "one old worker")
            s.sendall(b"b LOGOUT\r\n")
        wait_for(lambda: len(self.roles()) == 4, "the old ones are gone")
        self.master.send_signal(signal.SIGTERM)
        self.assertEqual(self.ended(), 0)

    def test_no_connection_is_refused_while_reloading(self):
        self.start()
        for i in range(3):
            self.write_conf("no_daemon", "timeout %d" % (100 + i))
            self.hup()
            while self.read_log().count("event=reloaded") == i:
                self.assertIn(b"* OK", greeting(self.port))
        self.assertEqual(self.read_log().count("event=reloaded"), 3)


class Daemon(Case):
    def test_background(self):
        self.write_conf()
        done = subprocess.run([PROGRAM, "-f", self.conf], timeout=WAIT,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              text=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, "", ""))
        self.assertIn(b"* OK", greeting(self.port))  # served at once
        with open(self.pid_file, encoding="ascii") as f:
            pid = int(f.read())
        self.pids |= {pid} | set(children(pid))
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not any(alive(p) for p in self.pids), "all end")
        self.assertFalse(os.path.exists(self.pid_file))

    def test_stale_pid_file(self):
        with open(self.pid_file, "w", encoding="ascii") as f:
            f.write("999999999\n")
        self.start()
        with open(self.pid_file, encoding="ascii") as f:
            self.assertEqual(int(f.read()), self.master.pid)


class Inetd(Case):
    def test_one_session(self):
        self.write_conf()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            client = socket.create_connection(listener.getsockname(),
                                              timeout=WAIT)
            server, _ = listener.accept()
        with client, server, client.makefile("rb") as f:
            child = subprocess.Popen([PROGRAM, "-f", self.conf],
                                     stdin=server, stdout=server,
                                     stderr=subprocess.PIPE)
            server.close()
            self.assertIn(b"* OK", f.readline())
            helpers = set(children(child.pid))
            self.pids |= helpers | {child.pid}
            client.sendall(b"a LOGOUT\r\n")
            self.assertIn(b"* BYE", f.readline())
            self.assertIn(b"a OK", f.readline())
            self.assertEqual(f.readline(), b"")
            err = child.communicate(timeout=WAIT)[1]
            self.assertEqual((child.returncode, err), (0, b""))
        self.assertEqual(len(helpers), 2)
        wait_for(lambda: not any(alive(p) for p in helpers), "helpers end")
        self.logged("Connect: ")
        self.logged("Closing NULL session: ")

    def test_no_socket(self):
        self.write_conf()
        done = subprocess.run([PROGRAM, "-f", self.conf, "-i"], timeout=WAIT,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 64)


class RealServer(threading.Thread):
    """Lets everybody in."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=[client],
                             daemon=True).start()

    @staticmethod
    def talk(client):
        with client, client.makefile("rb") as f:
            client.sendall(b"* OK [CAPABILITY IMAP4rev1] ready\r\n")
            for line in f:
                word = line.split()
                if word[1:2] == [b"CAPABILITY"]:
                    client.sendall(b"* CAPABILITY IMAP4rev1\r\n")
                client.sendall(word[0] + b" OK done\r\n")


class FakePbs:
    """perdition-pbs as far as its socket goes."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        if os.path.exists(path):
            os.unlink(path)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen()
        self.listener.settimeout(WAIT)
        self.client = self.lines = None

    def accept(self):
        self.hang_up()
        self.client, _ = self.listener.accept()
        self.client.settimeout(WAIT)
        self.lines = self.client.makefile("r", encoding="ascii")
        return self

    def hang_up(self):
        if self.client:
            self.lines.close()
            self.client.close()

    def close(self):
        self.listener.close()
        self.hang_up()


class Events(Case):
    def setUp(self):
        super().setUp()
        self.real = RealServer()
        self.path = os.path.join(self.dir, "auth")
        self.pbs = None

    def tearDown(self):
        self.real.socket.close()
        if self.pbs:
            self.pbs.close()
        super().tearDown()

    def write_conf(self, *lines, listen=None):
        super().write_conf("auth_socket " + self.path,
                           "failure_delay 0", *lines, listen=listen)
        with open(self.conf, encoding="ascii") as f:
            text = f.read().replace("127.0.0.1:1\n", "127.0.0.1:%d\n" %
                                    self.real.port)
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(text)

    def login(self, user):
        s, f = connect(self.port)
        self.assertIn(b"* OK", f.readline())
        s.sendall(b"a LOGIN %s secret\r\n" % user)
        while True:
            line = f.readline()
            if line.startswith(b"a "):
                self.assertIn(b"a OK", line)
                return s, f

    def test_perdition_pbs_comes_and_goes(self):
        self.start()
        s, f = self.login(b"early")  # nobody listens yet
        self.logged('Auth: .*authentication_id="early" .*status="ok"')
        self.pbs = FakePbs(self.path).accept()
        self.assertIn("early", self.pbs.lines.readline())
        for user in (b"one", b"two"):
            other, g = self.login(user)
            wait_for(lambda u=user: u.decode() in self.pbs.lines.readline(),
                     "told of " + user.decode())
            other.close()
            g.close()
        # It is killed and comes back: who still is there is told again.
        self.pbs.close()
        self.logged("event=pbs-lost")
        self.pbs = FakePbs(self.path)
        began = time.monotonic()
        self.pbs.accept()
        self.pbs.client.settimeout(2)
        wait_for(lambda: "early" in self.pbs.lines.readline(), "announced")
        self.assertLess(time.monotonic() - began, 2)
        # The same when the log process is.
        self.pbs.client.settimeout(WAIT)
        victim = next(p for p, r in self.roles().items() if r == "log")
        os.kill(victim, signal.SIGKILL)
        self.pbs.accept()
        wait_for(lambda: "early" in self.pbs.lines.readline(), "announced")
        s.close()
        f.close()

    def test_reload_forgets_no_event(self):
        self.start()
        s, f = self.login(b"short")  # and gone before anybody listens
        s.close()
        f.close()
        self.logged("Closing session: ")
        self.master.send_signal(signal.SIGHUP)
        self.logged("event=reloaded")
        self.pbs = FakePbs(self.path)
        # The old log process comes, and the new one.
        lines = []
        for _ in range(2):
            client, _ = self.pbs.listener.accept()
            with client, client.makefile("r") as g:
                client.settimeout(1)
                try:
                    lines += g.readline()
                except TimeoutError:
                    pass
        self.assertIn("short", "".join(lines))
        wait_for(lambda: len(self.roles()) == 4, "the old one ends")

    def test_address_of_the_same_port(self):
        self.start("listen imap4://127.0.0.2:%d" % self.port)
        self.write_conf("no_daemon", "listen imap4://*:%d" % self.port,
                        listen=[free_port()])
        self.master.send_signal(signal.SIGHUP)
        self.logged("event=reloaded")
        self.assertIn(b"* OK", greeting(self.port))

    def test_perdition_pbs_that_does_not_read(self):
        self.start()
        self.pbs = FakePbs(self.path).accept()
        self.pbs.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        for i in range(50):
            s, f = self.login(b"user%d" % i)
            s.close()
            f.close()
        wait_for(lambda: self.read_log().count("Closing session: ") == 50,
                 "the log goes on")


if __name__ == "__main__":
    sys.exit(unittest.main())
