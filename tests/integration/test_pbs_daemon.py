# SPDX-License-Identifier: GPL-2.0-or-later
"""perdition-pbs alone: what it makes of a log and of its socket, through
rotations, kills, full disks and forged lines."""

import datetime
import fcntl
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import threading
import time

from harness import DEADLINE, Daemon, TestCase, sanitizer_env, wait_for
from pair import OWNER, Pbs, program, sanitized
from relaydb import RelayDb, write

DAY = 86400
TIMEOUT = 8  # of entries that are waited for
STRANGER = 61234  # a uid that is nobody's


def iso(when):
    return datetime.datetime.fromtimestamp(
        when, datetime.timezone.utc).isoformat(timespec="microseconds")


def traditional(when):
    local = time.localtime(when)
    return time.strftime("%b ", local) + f"{local.tm_mday:2d}" \
        + time.strftime(" %H:%M:%S", local)


def auth(addr, user="bob", status="ok"):
    host = f"[{addr}]" if ":" in addr else addr
    return (f"Auth: {host}:999->198.51.100.1:143 client-secure=plaintext "
            f'authorisation_id=NONE authentication_id="{user}" '
            'server="a:143" protocol=IMAP4 server-secure=plaintext '
            f'status="{status}"')


def line(addr, when=None, stamp=iso, head="mx perdition.imap4[12]:", **kwargs):
    when = time.time() if when is None else when
    return f"{stamp(when)} {head} {auth(addr, **kwargs)}\n"


def record(addr, kind="login", status="ok", when=None):
    host = f"[{addr}]" if ":" in addr else addr
    when = int(time.time() if when is None else when)
    return (f"perdition-auth 1 kind={kind} time={when} session=1 "
            f"protocol=IMAP4 client={host}:999 local=198.51.100.1:143 "
            "client-secure=plaintext server-secure=plaintext "
            f'status={status} authz=NONE user="bob" server="a:143" '
            f'reason="{"" if status == "ok" else "Login Disabled"}" '
            "received=0 sent=0\n").encode()


class PbsTestCase(TestCase):
    def setUp(self):
        super().setUp()
        self.log = self.dir / "perdition.log"
        self.log.touch()
        self.log.chmod(0o644)
        self.next = 0

    def pbs(self, source="both", **values):
        values.setdefault("pid_file", "")
        self.daemon = Pbs(self, source, values)
        self.db = RelayDb(self.daemon.db)
        return self.daemon

    def start_pbs(self, source="both", **values):
        self.start(self.pbs(source, **values))
        return self.daemon

    def write(self, *lines):
        with open(self.log, "a", encoding="latin-1") as f:
            f.write("".join(lines))

    def dial(self):
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.settimeout(10)
        # A file that a killed daemon left may be there before its successor.
        wait_for("the socket", lambda: sock.connect(str(self.daemon.socket))
                 is None)
        return sock

    def fresh(self):
        """An address that was not used before."""
        self.next += 1
        return f"198.18.{self.next >> 8}.{self.next & 255}"

    def wait_entry(self, key, deadline=DEADLINE):
        return wait_for(f"entry {key}", lambda: self.db.get(key), deadline,
                        0.0005)

    def wait_gone(self, key, deadline=DEADLINE):
        wait_for(f"{key} gone", lambda: self.db.get(key) is None, deadline,
                 0.001)

    def sentinel(self):
        """All lines before this one have been dealt with when it is there."""
        addr = self.fresh()
        self.write(line(addr))
        self.wait_entry(addr)

    def verify(self):
        done = subprocess.run(["db5.3_verify", str(self.daemon.db)],
                              capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 0, done.stderr)


class Lines(PbsTestCase):
    def test_forms(self):
        self.start_pbs("log")
        heads = ["mx perdition.imap4[12]:", "perdition.pop3[1]:",
                 "mx perdition[12]:"]
        for stamp in (iso, traditional):
            for head in heads:
                addr = self.fresh()
                before = int(time.time())
                self.write(line(addr, head=head, stamp=stamp))
                expires = int(self.wait_entry(addr))
                self.assertLessEqual(abs(expires - before - 3600), 2)

    def test_read_late(self):
        """The time of the line counts, not that of its reading."""
        self.start_pbs("log", timeout=100)
        now = int(time.time())
        old, recent = self.fresh(), self.fresh()
        self.write(line(old, now - 101), line(recent, now - 50))
        self.assertEqual(int(self.wait_entry(recent)), now + 50)
        self.assertIsNone(self.db.get(old))

    def test_forged(self):
        self.start_pbs("both")
        evil = "198.51.100.66"
        good = line(evil).rstrip("\n")
        users = [
            'x\\" Auth: ' + auth(evil), '" ' + auth(evil), auth(evil),
            'bob" server="a:143" protocol=IMAP4 server-secure=plaintext '
            'status="ok', "\\x0a" + good, good, "\0" + good, "a" * 20000,
            '\\", status=\\"ok\\"', "\x1b[2J\r" + good, "]: " + good,
        ]
        for user in users:
            status = "failed: Re-Authentication Failure"
            self.write(line("198.51.100.65", user=user, status=status))
            # And for a program that logs what it is given as it is.
            self.write(f"{iso(time.time())} mx sshd[12]: Invalid user {user} "
                       f"from 198.51.100.65\n")
        for status in ("failed: Login Disabled", "OK", "okay", "", "ok ",
                       'ok" status="failed: x'):
            self.write(line(evil, status=status))
        sock = self.dial()
        sock.sendall(record(evil, status="failed"))
        sock.sendall(record(evil, kind="close"))
        self.sentinel()
        self.assertEqual([k for k in self.db.all() if k.startswith("198.51")],
                         [])

    def test_odd_lines(self):
        self.start_pbs("log")
        addr = self.fresh()
        text = line(addr)
        with open(self.log, "ab") as f:
            f.write(b"x" * (1 << 20))
            f.write(text.encode())  # the end of an over-long line
            f.write(b"\0" * 100 + line("198.51.100.66").encode())
            f.flush()
            self.sentinel()
            self.assertIsNone(self.db.get(addr))
            for byte in line(addr).encode()[:-1]:
                f.write(bytes([byte]))
                f.flush()
            self.assertIsNone(self.db.get(addr))
            f.write(b"\n")
        self.wait_entry(addr)
        self.assertIsNone(self.db.get("198.51.100.66"))

    def test_crlf(self):
        """As relays of logs leave them; a CR elsewhere is part of the line."""
        self.start_pbs("log")
        a, b = self.fresh(), self.fresh()
        evil = line("198.51.100.66").rstrip("\n")
        self.write(line(a).replace("\n", "\r\n"), evil + "\r\r\n",
                   "\r" + evil + "\r\n", evil + "\r" + evil + "\r\n",
                   evil.replace("status", "\rstatus") + "\r\n",
                   line(b).replace("\n", "\r"))
        self.wait_entry(a)
        self.assertIsNone(self.db.get(b))
        self.write("\n")
        self.wait_entry(b)
        self.assertEqual(set(self.db.all()), {a, b})

    def test_site_pattern(self):
        self.start_pbs("log", regex="^pop: login ([0-9.]+) ([a-z]+)$")
        addr = self.fresh()
        self.write(line("198.51.100.66"), f"pop: login {addr} bob\n")
        self.wait_entry(addr)
        self.assertIsNone(self.db.get("198.51.100.66"))


class Rotation(PbsTestCase):
    def test_rename_and_delete(self):
        self.start_pbs("log")
        for n in range(5):
            a, b, c = self.fresh(), self.fresh(), self.fresh()
            self.write(line(a))
            moved = self.log.rename(f"{self.log}.{n}")
            with open(moved, "a", encoding="ascii") as f:
                f.write(line(b))
            self.write(line(c))
            for addr in (a, b, c):
                self.wait_entry(addr)
        self.log.unlink()
        self.sentinel()

    def test_copytruncate(self):
        self.start_pbs("log")
        for _ in range(5):
            self.write(line(self.fresh()) * 3)
            self.sentinel()
            os.truncate(self.log, 0)
            self.sentinel()

    def test_late_creation(self):
        self.log = self.dir / "a" / "b" / "mail.log"
        self.start(self.pbs("log", log_file=self.log))
        for path in (self.dir / "a", self.dir / "a" / "b"):
            path.mkdir()
        self.sentinel()

    def test_restart_reads_what_came_meanwhile(self):
        pbs = self.start_pbs("log")
        removed = self.fresh()
        self.write(line(removed))
        self.wait_entry(removed)
        pbs.run("remove", removed)
        self.sentinel()
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(number):
                pbs.stop(number)
                a, b, c = self.fresh(), self.fresh(), self.fresh()
                self.write(line(a))
                self.log.rename(f"{self.log}.{number}b")
                self.write(line(b))
                self.log.rename(f"{self.log}.{number}a")
                self.write(line(c))
                pbs.start()
                for addr in (a, b, c):
                    self.wait_entry(addr)
                # What was taken out does not come back with an old line.
                self.assertIsNone(self.db.get(removed))

    def test_restart_after_copytruncate(self):
        pbs = self.start_pbs("log")
        self.sentinel()
        pbs.stop()
        a, b = self.fresh(), self.fresh()
        self.write(line(a))
        pathlib.Path(f"{self.log}.1").write_bytes(self.log.read_bytes())
        os.truncate(self.log, 0)
        self.write(line(b))
        pbs.start()
        self.wait_entry(a)
        self.wait_entry(b)

    def test_first_start_opens_nothing_old(self):
        self.write(line("198.51.100.66"))
        self.start_pbs("log")
        self.sentinel()
        self.assertIsNone(self.db.get("198.51.100.66"))


class Socket(PbsTestCase):
    def test_records(self):
        self.start_pbs("socket")
        one, two = self.dial(), self.dial()
        a, b, c = self.fresh(), self.fresh(), self.fresh()
        one.sendall(record(a)[:50])
        two.sendall(record(b))
        self.wait_entry(b)
        one.sendall(record(a)[50:])
        self.wait_entry(a)
        one.sendall(b"perdition-auth 1 kind=login\n" + record("198.51.100.66"))
        self.assertEqual(one.recv(10), b"")
        two.sendall(record(c))
        self.wait_entry(c)
        self.assertIsNone(self.db.get("198.51.100.66"))

    def test_relog_prolongs_and_old_login_does_not(self):
        self.start_pbs("socket", timeout=1000)
        sock, addr, now = self.dial(), self.fresh(), int(time.time())
        sock.sendall(record(addr, when=now - 500))
        self.assertEqual(int(self.wait_entry(addr)), now + 500)
        sock.sendall(record(addr, when=now - 600))
        sock.sendall(record(addr, kind="relog", when=now))
        wait_for("a longer life",
                 lambda: int(self.db.get(addr)) >= now + 1000)
        # The session may have ended while the record waited somewhere.
        late, later = self.fresh(), self.fresh()
        sock.sendall(record(late, kind="relog", when=now - 900))
        sock.sendall(record(later, kind="relog", when=now - 1001))
        self.assertEqual(int(self.wait_entry(late)), now + 100)
        sock.sendall(record(self.fresh()))
        self.wait_entry(f"198.18.0.{self.next}")
        self.assertIsNone(self.db.get(later))
        sock.sendall(record(addr, kind="close", when=now))
        sock.sendall(record(self.fresh()))
        self.assertGreaterEqual(int(self.db.get(addr)), now + 1000)

    def test_strangers(self):
        self.start_pbs("socket")
        script = ("import socket,sys;s=socket.socket(socket.AF_UNIX);"
                  "s.connect(sys.argv[1]);"
                  "\ntry:\n s.sendall(sys.argv[2].encode());"
                  "print(s.recv(1))\nexcept OSError: print(b'')")
        done = subprocess.run(
            ["python3", "-c", script, str(self.daemon.socket),
             record("198.51.100.66").decode()], user=STRANGER,
            capture_output=True, text=True, timeout=20)
        self.assertEqual(done.stdout.strip(), "b''", done.stderr)
        sock, addr = self.dial(), self.fresh()
        sock.sendall(record(addr))
        self.wait_entry(addr)
        self.assertIsNone(self.db.get("198.51.100.66"))
        self.assertIn("stream-refused", self.daemon.output())

    def test_end_with_records_in_the_socket(self):
        """Who logged in just before it has been heard of."""
        pbs = self.start_pbs("socket")
        sock, first = self.dial(), self.fresh()
        sock.sendall(record(first))
        self.wait_entry(first)
        pbs.send_signal(signal.SIGSTOP)
        # More than are read in one turn, less than the socket holds.
        addrs = [self.fresh() for _ in range(400)]
        sock.sendall(b"".join(map(record, addrs)))
        pbs.send_signal(signal.SIGTERM)
        pbs.send_signal(signal.SIGCONT)
        self.assertEqual(pbs.wait(), 0)
        self.assertEqual([x for x in addrs if self.db.get(x) is None], [])

    def test_end_with_connections_that_wait(self):
        """Of perdition, which has just found us, and of a tool."""
        pbs = self.start_pbs("socket")
        kept, gone = self.fresh(), self.fresh()
        self.dial().sendall(record(gone))
        self.wait_entry(gone)
        control, = set(pbs.dir.glob("*.sock")) - {pbs.socket}
        pbs.send_signal(signal.SIGSTOP)
        self.dial().sendall(record(kept))
        with socket.socket(socket.AF_UNIX) as tool:
            tool.settimeout(DEADLINE)
            tool.connect(str(control))
            tool.sendall(f'perdition-pbs 1 remove "{pbs.db}" 0 {gone}\n'
                         .encode())
            pbs.send_signal(signal.SIGTERM)
            pbs.send_signal(signal.SIGCONT)
            self.assertEqual(tool.recv(100)[:7], b"ok 1 0 ")
        self.assertEqual(pbs.wait(), 0)
        self.assertIsNotNone(self.db.get(kept))
        self.assertIsNone(self.db.get(gone))

    def test_socket_in_use(self):
        self.start_pbs("socket")
        done = subprocess.run(
            [program("perdition-pbs"), "-n", "-F", "+", "-L", "",
             "--pid_file", "", "--state_dir", self.dir / "other",
             "-D", self.daemon.dir / "other.db", "--socket",
             self.daemon.socket], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn(str(self.daemon.socket), done.stderr)
        # Nor may two keep one database.
        done = subprocess.run(
            [program("perdition-pbs"), "-n", "-F", "+", "-L", "",
             "--pid_file", "", "--state_dir", self.daemon.dir,
             "-D", self.daemon.db, "--socket", ""],
            capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 75, done.stderr)


class Rules(PbsTestCase):
    def test_never_and_masks(self):
        self.start_pbs("socket", never=["198.51.100.0/24", "2001:db8:bad::/48"],
                       ipv4_mask=24)
        sock = self.dial()
        for addr in ("198.51.100.66", "127.0.0.1", "::1", "2001:db8:bad::1",
                     "0.0.0.0"):
            sock.sendall(record(addr))
        sock.sendall(record("2001:db8:9::7") + record("203.0.113.5"))
        self.wait_entry("203.0.113.5")
        self.assertEqual(set(self.db.all()), {
            "203.0.113.5", "203.0.113.0/24", "203.0.113", "2001:db8:9::7",
            "2001:db8:9:0:0:0:0:7", "2001:db8:9::/64", "2001:db8:9:0",
            "2001.0db8.0009.0000.0000.0000.0000.0000/64"})

    def test_prefix(self):
        self.start_pbs("socket", prefix="POP:", ipv6_mask=128)
        self.dial().sendall(record("203.0.113.5") + record("2001:db8::1"))
        self.wait_entry("pop:2001:db8::1")
        self.assertEqual(set(self.db.all()), {
            "pop:203.0.113.5", "pop:2001:db8::1",
            "pop:2001:db8:0:0:0:0:0:1", "pop:ipv6:2001:db8:0:0:0:0:0:1"})
        self.daemon.run("remove", "-p", "POP:", "POP:203.0.113.5")
        self.assertIsNone(self.db.get("pop:203.0.113.5"))
        # The daemon knows its prefix, if the tool is not told.
        self.daemon.run("insert", "203.0.113.6")
        self.assertIsNotNone(self.db.get("pop:203.0.113.6"))

    def test_caps(self):
        self.start_pbs("socket", max_entries=16, max_new_per_second=20)
        self.dial().sendall(b"".join(record(self.fresh()) for _ in range(100)))
        wait_for("sixteen entries", lambda: len(self.db.all()) == 16)
        wait_for("the other limit", lambda: "max_new_per_second"
                 in self.daemon.output())

    def test_reload(self):
        pbs = self.pbs("both")
        conf = self.dir / "pbs.conf"
        conf.write_text("timeout 3600\n")
        pbs.argv += ["--config_file", str(conf)]
        self.start(pbs)
        sock = self.dial()
        sock.sendall(record("203.0.113.5") + record("203.0.114.5"))
        self.wait_entry("203.0.114.5")
        conf.write_text("timeout 100\nnever 203.0.113.0/24\n")
        pbs.send_signal(signal.SIGHUP)
        self.wait_gone("203.0.113.5")
        sock.sendall(record("203.0.115.5"))
        self.assertLess(int(self.wait_entry("203.0.115.5")),
                        time.time() + 101)
        conf.write_text("nonsense 1\n")
        pbs.send_signal(signal.SIGHUP)
        wait_for("complaint", lambda: "reload-refused" in pbs.output())
        sock.sendall(record("203.0.113.6") + record("203.0.116.5"))
        self.wait_entry("203.0.116.5")
        self.assertIsNone(self.db.get("203.0.113.6"))

    def test_reload_in_midst_of_a_session(self):
        """The log tells the address first, and of the login later."""
        pbs = self.start_pbs("log", pattern="popa3d")
        one, other = self.fresh(), self.fresh()

        def session(pid, message):
            return f"{iso(time.time())} mx popa3d[{pid}]: {message}\n"

        self.write(session(1, f"Session from {one}"),
                   session(2, f"Session from {other}"),
                   session(2, "Authentication passed for eve"))
        self.wait_entry(other)
        pbs.send_signal(signal.SIGHUP)
        wait_for("the reload", lambda: "event=reload\n" in pbs.output())
        self.write(session(1, "Authentication passed for bob"))
        self.wait_entry(one)


class Time(PbsTestCase):
    def latencies(self, tell):
        took = []
        for _ in range(200):
            addr = self.fresh()
            began = time.monotonic()
            tell(addr)
            self.wait_entry(addr)
            took.append(time.monotonic() - began)
        return statistics.quantiles(took, n=10)

    def test_visible_at_once(self):
        self.start_pbs("both")
        sock = self.dial()
        for name, tell in (("log", lambda a: self.write(line(a))),
                           ("socket", lambda a: sock.sendall(record(a)))):
            tenths = self.latencies(tell)
            with self.subTest(name, tenths=tenths):
                if not sanitized():
                    # Nearly all of them, on a quiet machine.  Others may have
                    # the processor for a while, but what waits for a tick is
                    # seldom so early.
                    self.assertLess(tenths[0], 0.005)
                    self.assertLess(tenths[4], 0.050)

    def test_expiry(self):
        self.start_pbs("socket", timeout=4)
        sock, addrs = self.dial(), [self.fresh() for _ in range(3)]
        sock.sendall(b"".join(map(record, addrs)))
        expires = [int(self.wait_entry(a)) for a in addrs]
        for addr, end in zip(addrs, expires):
            self.wait_gone(addr)
            self.assertGreaterEqual(time.time(), end)
            # Within a second, if the machine is not busy.
            self.assertLess(time.time(), end + 10)

    def start_with_clock(self, **values):
        """A daemon whose clock can be set by a day.  Returns a function that
        does so: ahead (1) or back (-1)."""
        shim, steps = self.dir / "shim.so", self.subdir("steps")
        (self.dir / "shim.c").write_text("""
            #define _GNU_SOURCE
            #include <time.h>
            #include <unistd.h>
            time_t time(time_t *out)
            {
                struct timespec ts;
                clock_gettime(CLOCK_REALTIME, &ts);
                if (access(STEPS "/1", F_OK) == 0)
                    ts.tv_sec += 86400;
                if (access(STEPS "/-1", F_OK) == 0)
                    ts.tv_sec -= 86400;
                if (out)
                    *out = ts.tv_sec;
                return ts.tv_sec;
            }
            """)
        subprocess.run(["cc", "-shared", "-fPIC", f'-DSTEPS="{steps}"', "-o",
                        shim, self.dir / "shim.c"], check=True)
        pbs = self.pbs("socket", **values)
        # A sanitizer's runtime has to be the first that is loaded.
        needed = subprocess.run(["ldd", program("perdition-pbs")], check=True,
                                capture_output=True, text=True).stdout
        pbs.env["LD_PRELOAD"] = " ".join(
            [*re.findall(r"=> (/\S*/libasan\.so\S*)", needed), str(shim)])
        self.start(pbs)
        return lambda days: (steps / str(days)).touch()

    def clock_step(self, days):
        """What an entry has left stays, and a login right after the step is
        not counted twice what the clock jumped."""
        set_clock = self.start_with_clock(timeout=TIMEOUT)
        sock, before, after = self.dial(), self.fresh(), self.fresh()
        sock.sendall(record(before))
        expires = int(self.wait_entry(before))
        set_clock(days)
        sock.sendall(record(after, when=time.time() + days * DAY))
        wait_for("the step", lambda: int(self.db.get(before) or expires)
                 != expires)
        ends = {addr: int(self.wait_entry(addr)) - days * DAY
                for addr in (before, after)}
        self.assertAlmostEqual(ends[before], expires, delta=3)
        self.assertLessEqual(ends[before], ends[after] + 3)
        self.assertLessEqual(ends[after], time.time() + TIMEOUT + 3)
        # Neither is lost before its time, nor does it live for a day more.
        for addr, end in ends.items():
            self.wait_gone(addr)
            self.assertGreaterEqual(time.time(), end)
        self.assertEqual(self.daemon.output().count("event=clock-step"), 1)

    def test_clock_step_ahead(self):
        self.clock_step(1)

    def test_clock_step_back(self):
        self.clock_step(-1)

    def test_file_time_rises_with_each_change(self):
        self.start_pbs("socket")
        sock, last = self.dial(), os.stat(self.daemon.db).st_mtime
        inode = os.stat(self.daemon.db).st_ino
        for _ in range(5):
            addr = self.fresh()
            sock.sendall(record(addr))
            self.wait_entry(addr)
            now = os.stat(self.daemon.db)
            self.assertGreaterEqual(now.st_mtime, last + 1)
            self.assertEqual(now.st_ino, inode)
            last = now.st_mtime


class Trouble(PbsTestCase):
    def test_killed_while_writing(self):
        pbs = self.start_pbs("socket")
        for _ in range(5):
            told = []
            stop = threading.Event()

            def flood(sock=self.dial(), told=told, stop=stop):
                try:
                    while not stop.is_set():
                        addr = self.fresh()
                        sock.sendall(record(addr))
                        told.append(addr)
                except OSError:
                    pass

            thread = threading.Thread(target=flood)
            thread.start()
            wait_for("some entries", lambda: len(told) > 300)
            seen = self.db.all()
            os.kill(pbs.pid, signal.SIGKILL)
            stop.set()
            thread.join()
            pbs.stop()
            pbs.start()
            wait_for("what was seen before", lambda: set(seen)
                     <= set(self.db.all()))
            self.verify()

    def test_killed_before_the_time_is_set(self):
        """A session of Sendmail's remembers a time ahead of the clock, and a
        killed writer leaves the clock's."""
        pbs = self.start_pbs("socket")
        with open(self.daemon.db, "rb") as f:
            while (seen := os.fstat(f.fileno()).st_mtime) < time.time() + 4:
                self.dial().sendall(record(self.fresh()))
                self.wait_entry(f"198.18.0.{self.next}")
            pbs.stop(signal.SIGKILL)
            os.utime(f.fileno())
            pbs.start()
            self.assertGreater(os.fstat(f.fileno()).st_mtime, seen)
            # What takes its place is not ahead, or changes would have to wait.
            self.assertLess(os.stat(self.daemon.db).st_mtime,
                            time.time() + 60)

    def test_what_a_first_start_finds_in_the_file(self):
        """It is in the journal at once, for the second one."""
        addr, until = self.fresh(), int(time.time()) + 600
        pbs = self.pbs("socket")
        write(pbs.db, {addr: str(until)})
        os.chown(pbs.db, *self.ids())
        self.start(pbs)
        for number in (signal.SIGKILL, signal.SIGTERM):
            pbs.stop(number)
            pbs.start()
            self.assertEqual(self.db.get(addr), str(until))

    def test_tool_at_work_at_the_start(self):
        """It has the journal for a moment, and the start is not to fail."""
        pbs = self.start_pbs("socket")
        pbs.stop()
        with open(next(self.daemon.dir.glob("*.journal")), "rb") as journal:
            fcntl.flock(journal, fcntl.LOCK_EX)
            done = threading.Timer(0.3, fcntl.flock, (journal, fcntl.LOCK_UN))
            done.start()
            pbs.start()
            done.join()

    def test_reader_that_keeps_the_lock(self):
        self.start_pbs("socket")
        with open(self.daemon.db, "rb") as f:
            fcntl.flock(f, fcntl.LOCK_SH)
            inode = os.fstat(f.fileno()).st_ino
            before = os.fstat(f.fileno()).st_mtime
            addr = self.fresh()
            self.dial().sendall(record(addr))
            self.wait_entry(addr)
            self.assertNotEqual(os.stat(self.daemon.db).st_ino, inode)
            # So that a session that has it open looks by name again.
            self.assertGreater(os.fstat(f.fileno()).st_mtime, before)

    def test_file_taken_away(self):
        self.start_pbs("socket")
        sock, a, b, c = self.dial(), self.fresh(), self.fresh(), self.fresh()
        sock.sendall(record(a))
        self.wait_entry(a)
        os.unlink(self.daemon.db)
        sock.sendall(record(b))
        self.wait_entry(b)
        self.assertIsNotNone(self.db.get(a))
        with open(self.daemon.db, "wb") as f:
            f.write(b"garbage" * 1000)
        sock.sendall(record(c))
        wait_for("the file anew", lambda: c.encode()
                 in self.daemon.db.read_bytes())
        self.assertIsNotNone(self.db.get(a))
        self.verify()

    def test_full_disk(self):
        small = self.subdir("small")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755",
                        "tmpfs", str(small)], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(small)])
        os.chown(small, *self.ids())
        pbs = self.pbs("socket", db_file=small / "relay.db", timeout=8)
        pbs.db = small / "relay.db"
        self.db = RelayDb(pbs.db)
        self.start(pbs)
        sock, early, late = self.dial(), self.fresh(), []
        sock.sendall(record(early))
        expires = int(self.wait_entry(early))
        with open(small / "filler", "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        # Beyond what was set aside for it.
        while "db-error" not in pbs.output() and len(late) < 4000:
            late += [self.fresh() for _ in range(50)]
            sock.sendall(b"".join(map(record, late[-50:])))
            time.sleep(0.01)
        wait_for("the error", lambda: "db-error" in pbs.output())
        self.assertEqual(pbs.output().count("event=db-error"), 1)
        # It goes when its time is over, room or not.
        self.wait_gone(early)
        self.assertLess(time.time(), expires + 10)
        last = self.fresh()
        sock.sendall(record(last))
        (small / "filler").unlink()
        self.wait_entry(last)
        wait_for("the recovery to be logged",
                 lambda: "db-restored" in pbs.output())

    def test_full_disk_and_reader_that_keeps_the_lock(self):
        small = self.subdir("small")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755",
                        "tmpfs", str(small)], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(small)])
        os.chown(small, *self.ids())
        pbs = self.pbs("socket", db_file=small / "relay.db", timeout=8)
        pbs.db = small / "relay.db"
        self.db = RelayDb(pbs.db)
        self.start(pbs)
        addr = self.fresh()
        self.dial().sendall(record(addr))
        self.wait_entry(addr)
        with open(small / "filler", "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        with open(pbs.db, "rb") as f:
            fcntl.flock(f, fcntl.LOCK_SH)
            wait_for("the lock is missed", lambda: "db-lock-busy"
                     in pbs.output())
        self.wait_gone(addr)

    @staticmethod
    def ids():
        import grp
        import pwd
        return pwd.getpwnam(OWNER[0]).pw_uid, grp.getgrnam(OWNER[1]).gr_gid

    def test_directory_not_writable(self):
        """As /etc/mail is: made by root, then changed in place."""
        root = self.subdir("etc-mail")
        pbs = self.pbs("socket", db_file=root / "relay.db")
        pbs.db = root / "relay.db"
        self.db = RelayDb(pbs.db)
        self.start(pbs)
        sock = self.dial()
        addrs = [self.fresh() for _ in range(3000)]  # more than it was made for
        sock.sendall(b"".join(map(record, addrs)))
        wait_for("all of them", lambda: set(addrs) <= set(self.db.all()))
        self.verify()

    def test_no_directory(self):
        done = subprocess.run(
            [program("perdition-pbs"), "-n", "-F", "+", "-L", "",
             "--pid_file", "", "--state_dir", self.dir / "s", "--socket", "",
             "-D", "/nowhere/relay.db"], capture_output=True, text=True,
            timeout=20)
        self.assertEqual(done.returncode, 73)
        self.assertIn("/nowhere/", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)


class Process(PbsTestCase):
    def test_signal_as_soon_as_the_pid_is_known(self):
        """It is done when the start is."""
        pid_file = self.dir / "pid"
        pbs = self.pbs("socket", pid_file=pid_file)
        pbs.env["ASAN_OPTIONS"] += ":detect_leaks=0"  # that traces, too
        pbs.argv[:0] = ["strace", "-qq", "-o", "/dev/null", "-P",
                        str(pid_file), "-e", "inject=ftruncate:signal=HUP"]
        self.start(pbs)
        wait_for("the reload", lambda: "event=reload" in pbs.output())
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        self.assertEqual(pbs.wait(), 0, pbs.tail())

    def test_reload_while_it_starts_and_ends(self):
        """Who has started it knows its pid before it is ready; what a log's
        rotation sends is no reason to end."""
        pid_file = self.dir / "pid"
        pbs = self.pbs("socket", pid_file=pid_file)
        pbs.env["ASAN_OPTIONS"] += ":detect_leaks=0"  # that traces, too
        pbs.argv[:0] = ["strace", "-qq", "-o", "/dev/null", "-P",
                        str(pbs.db), "-P", str(pid_file), "-e",
                        "inject=openat,unlink,unlinkat:signal=HUP"]
        self.start(pbs)
        wait_for("the reload", lambda: "event=reload" in pbs.output())
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        self.assertEqual(pbs.wait(), 0, pbs.tail())

    def test_background(self):
        pbs = self.pbs("socket")
        pid_file = self.dir / "pid"
        argv = [a for a in pbs.argv if a != "--no_daemon"]
        argv[argv.index("--log_facility") + 1] = str(self.dir / "pbs.log")
        argv[argv.index("--pid_file") + 1] = str(pid_file)
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20,
                              env={**os.environ,
                                   **sanitizer_env(self.reports)})
        self.assertEqual(done.returncode, 0, done.stderr)
        pid = int(pid_file.read_text())
        try:
            addr = self.fresh()
            self.dial().sendall(record(addr))
            self.wait_entry(addr)
            owner = Trouble.ids()[0]
            self.assertEqual(os.stat(f"/proc/{pid}").st_uid, owner)
            # Made by root, and the daemon can open it again all the same.
            log = self.dir / "pbs.log"
            self.assertEqual(log.stat().st_uid, owner)
            log.rename(self.dir / "pbs.log.1")
            log.touch(0o640)
            os.chown(log, owner, -1)
            os.kill(pid, signal.SIGHUP)
            wait_for("the new log", lambda: "reload" in log.read_text())
        finally:
            os.kill(pid, signal.SIGTERM)
        wait_for("its end", lambda: not os.path.exists(f"/proc/{pid}")
                 or "Z" in pathlib.Path(f"/proc/{pid}/stat").read_text())
        self.assertIn("event=stop", (self.dir / "pbs.log").read_text())
        # A start that fails is told by the status.
        argv[argv.index("--db_file") + 1] = "/nowhere/relay.db"
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 73, done.stderr)

    def test_nothing_of_roots_through_links(self):
        """Who owns the directories cannot have root empty other files or give
        them away."""
        precious = self.dir / "precious"
        precious.write_text("gold")
        pbs = self.pbs("socket", pid_file=self.dir / "pbs" / "pid")
        os.link(precious, self.daemon.dir / "pid")
        self.start_fails(pbs)
        (self.daemon.dir / "pid").unlink()
        self.start(pbs)
        for name, mode in ((self.daemon.socket, 0o666),
                           (next(self.daemon.dir.glob(16 * "[0-9a-f]" + ".sock")),
                            0o600)):
            st = os.stat(name)
            self.assertEqual(st.st_mode & 0o7777, mode, name)
            self.assertEqual((st.st_uid, st.st_gid), Trouble.ids(), name)
        pbs.stop()
        journal = next(self.daemon.dir.glob("*.journal"))
        journal.unlink()
        os.link(precious, journal)
        self.start_fails(pbs)
        self.assertEqual(precious.read_text(), "gold")
        self.assertEqual(precious.stat().st_uid, 0)

    def start_fails(self, pbs):
        done = subprocess.run(pbs.argv, capture_output=True, text=True,
                              timeout=20, env=pbs.env)
        self.assertIn(done.returncode, (65, 73), done.stderr)

    def test_ordinary_user(self):
        """With the options of old alone, and without root."""
        home = self.subdir("home", owner=OWNER)
        db = home / "relay.db"
        daemon = Daemon(
            "perdition-pbs", [program("perdition-pbs"), "-n", "-F", "+", "-D",
                              db, "-L", self.log, "-t", "60"],
            self.dir / "plain.output",
            prefix=["setpriv", "--reuid", OWNER[0], "--regid", OWNER[1],
                    "--clear-groups"])
        # The file is there before the end of the log is looked for.
        daemon.ready = lambda: "event=start " in daemon.output()
        self.start(daemon)
        self.db = RelayDb(db)
        self.sentinel()
        # Without a journal the file itself is what a restart begins with.
        entries = set(self.db.all())
        daemon.stop(signal.SIGKILL)
        daemon.start()
        wait_for("entries", lambda: set(self.db.all()) == entries)


class Tools(PbsTestCase):
    def test_beside_the_daemon(self):
        pbs = self.start_pbs("socket")
        sock = self.dial()
        errors = []

        def work(n):
            try:
                for i in range(10):
                    addr = f"198.19.{n}.{i}"
                    pbs.run("insert", addr)
                    pbs.run("list", addr)
                    pbs.run("expire")
                    pbs.run("remove", addr)
                    pbs.run("list", addr, check=False)
            except Exception as error:  # told below
                errors.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        while any(t.is_alive() for t in threads):
            addr = self.fresh()
            sock.sendall(record(addr))
            self.wait_entry(addr)
        for thread in threads:
            thread.join()
        self.assertEqual(errors, [])
        left = set(self.db.all())
        self.assertEqual(len(left), self.next)
        # The daemon knows: after a restart they are the same.
        pbs.stop()
        pbs.start()
        wait_for("the same", lambda: set(self.db.all()) == left)
        self.assertEqual(pbs.run("insert", "127.0.0.1", check=False)
                         .returncode, 77)
        pbs.run("purge")
        self.assertEqual(self.db.all(), {})
        self.verify()

    def test_while_the_daemon_is_down(self):
        pbs = self.start_pbs("socket")
        a, b = self.fresh(), self.fresh()
        pbs.run("insert", a)
        pbs.stop()
        pbs.run("insert", b)
        # As scripts made for 2.2 spell it, whatever the prefix is now.
        pbs.run("remove", "POP:" + a)
        self.assertEqual(set(self.db.all()), {b})
        pbs.start()
        addr = self.fresh()
        self.dial().sendall(record(addr))
        self.wait_entry(addr)
        self.assertEqual(set(self.db.all()), {b, addr})

    def test_what_is_over_while_the_daemon_is_down(self):
        """The journal has it still; the file must not get it back."""
        pbs = self.start_pbs("socket", timeout=3)
        a, b, c = self.fresh(), self.fresh(), self.fresh()
        self.dial().sendall(record(a))
        self.wait_entry(a)
        self.wait_gone(a)
        pbs.stop()
        pbs.run("insert", b, c)
        self.assertEqual(set(self.db.all()), {b, c})
        pbs.run("remove", c)
        self.assertNotIn(a, self.db.all())

    def test_journal_is_lost_while_the_daemon_is_down(self):
        """What is in the file then is not lost by an insert."""
        pbs = self.start_pbs("socket")
        a, b = self.fresh(), self.fresh()
        pbs.run("insert", a)
        pbs.stop()
        journal, = self.db.path.parent.glob("*.journal")
        os.truncate(journal, 0)
        pbs.run("insert", b)
        self.assertEqual(set(self.db.all()), {a, b})
        pbs.start()
        self.wait_entry(b)
        self.assertEqual(set(self.db.all()), {a, b})

    def test_setenv(self):
        pbs = self.start_pbs("socket")
        addr = self.fresh()

        def relay(env, *program_words):
            done = pbs.run("setenv", "--", *(program_words or (
                "sh", "-c", "echo ${RELAYCLIENT-unset}")), env=env)
            return done.stdout.strip()

        pbs.run("insert", addr, "2001:db8:9::1")
        self.assertEqual(relay({"TCPREMOTEIP": addr}), "")
        self.assertEqual(relay({"TCPREMOTEIP": "::ffff:" + addr}), "")
        self.assertEqual(relay({"TCP6REMOTEIP": "2001:db8:9::1"}), "")
        self.assertEqual(relay({"TCPREMOTEIP": "198.51.100.66"}), "unset")
        self.assertEqual(relay({"TCPREMOTEIP": addr, "RELAYCLIENT": "@x"}),
                         "@x")
        self.assertEqual(relay({"TCPREMOTEIP": addr}, "echo", "-n", "--help"),
                         "--help")
        # Dead, though nobody removes it.
        addr = self.fresh()
        pbs.run("insert", "-t", "4", addr)
        os.kill(pbs.pid, signal.SIGSTOP)
        try:
            wait_for("its time",
                     lambda: relay({"TCPREMOTEIP": addr}) == "unset",
                     interval=0.2)
            self.assertIsNotNone(self.db.get(addr))
        finally:
            os.kill(pbs.pid, signal.SIGCONT)
