# SPDX-License-Identifier: GPL-2.0-or-later
"""Where perdition-pbs learns of logins: several logs, each read from where it
was left, whatever happens to them and to the daemon; standard input; the
systemd journal."""

import fcntl
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import time

from harness import DEADLINE, Daemon, wait_for, wait_stopped
from pair import program
from test_pbs_daemon import PbsTestCase, auth, line


class Logs(PbsTestCase):
    def logs(self, *names, **values):
        """Starts on the log files of these names, or patterns."""
        values.setdefault("log_file", [self.dir / name for name in names])
        return self.start_pbs("log", **values)

    def say(self, name, *addrs):
        path = self.dir / name
        path.parent.mkdir(exist_ok=True)
        with open(path, "a", encoding="ascii") as f:
            f.write("".join(map(line, addrs)))

    def told(self, name):
        """One line more in that log, which opens an address."""
        addr = self.fresh()
        self.say(name, addr)
        self.wait_entry(addr)
        return addr

    def test_by_name_and_by_pattern(self):
        self.say("mail.log", "198.51.100.66")
        self.say("a/maillog", "198.51.100.66")
        pbs = self.logs("mail.log", "*/maillog", "none/at/all")
        for name in ("mail.log", "a/maillog", "b/maillog", "a/maillog"):
            self.told(name)
        pbs.stop(signal.SIGKILL)
        late = [self.fresh() for _ in range(4)]
        self.say("a/maillog", late[0])
        (self.dir / "a/maillog").rename(self.dir / "a/maillog.1")
        self.say("a/maillog", late[1])
        self.say("c/maillog", late[2])
        self.say("mail.log", late[3])
        pbs.start()
        for addr in late:
            self.wait_entry(addr)
        self.assertIsNone(self.db.get("198.51.100.66"))

    def test_one_more_log_does_not_disturb_the_others(self):
        pbs = self.logs("mail.log")
        gone = self.told("mail.log")
        pbs.run("remove", gone)
        pbs.stop()
        self.say("other.log", "198.51.100.66")
        fresh = self.fresh()
        self.say("mail.log", fresh)
        pbs.argv += ["--log_file", str(self.dir / "other.log")]
        pbs.start()
        self.wait_entry(fresh)
        self.told("other.log")
        self.assertIsNone(self.db.get(gone))
        self.assertIsNone(self.db.get("198.51.100.66"))

    def test_too_many(self):
        names = [f"{n:03d}.log" for n in range(300)]
        for name in names:
            self.say(name)
        pbs = self.logs("*.log")
        self.told(names[0])
        self.told(names[255])
        self.say(names[256], "198.51.100.66")
        self.told(names[100])
        self.assertIsNone(self.db.get("198.51.100.66"))
        self.assertEqual(pbs.output().count("event=log-too-many"), 1)

    def test_killed_again_and_again(self):
        """Each line counts once: what was removed stays so, and what was
        written comes, whenever the daemon is killed."""
        rng = random.Random(1)
        names = ["mail.log", "a/maillog", "b/maillog"]
        pbs = self.logs("mail.log", "*/maillog")
        # One that came and was rotated before anybody saw it is nobody's.
        removed = {self.told(name) for name in names}
        pbs.run("remove", *removed)
        for turn in range(8):
            addrs = []
            for _ in range(rng.randrange(1, 6)):
                some = [self.fresh() for _ in range(rng.randrange(1, 200))]
                self.say(rng.choice(names), *some)
                addrs += some
                if pbs.running() and rng.random() < 0.4:
                    pbs.stop(signal.SIGKILL)
            if rng.random() < 0.5:
                path = self.dir / rng.choice(names)
                if path.exists():
                    path.rename(f"{path}.{turn}")
            if not pbs.running():
                pbs.start()
            wait_for("all that was written", lambda a=addrs:
                     set(a) <= set(self.db.all()))
            self.assertEqual(removed & set(self.db.all()), set())
            # Read before is not read again.
            pbs.run("remove", *addrs)
            removed |= set(addrs)
        self.told(names[0])
        self.assertEqual(removed & set(self.db.all()), set())


class Input(PbsTestCase):
    def feed(self, stdin):
        """A daemon that reads stdin."""
        pbs = self.pbs("log", log_file="-")
        argv = [a for a in pbs.argv if a != "--no_daemon"]  # it is implied
        with open(pbs.log, "ab") as out:
            proc = subprocess.Popen(argv, stdin=stdin, stdout=out, stderr=out,
                                    env={**os.environ, **pbs.env})
        self.addCleanup(proc.kill)
        wait_for("the database", pbs.db.exists)
        return proc

    def test_pipe(self):
        proc = self.feed(subprocess.PIPE)
        a, b, c, half = (self.fresh() for _ in range(4))

        def put(data):
            proc.stdin.write(data)
            proc.stdin.flush()

        put(line(a).encode())
        self.wait_entry(a)
        put(line(b)[:30].encode())
        put(line(b)[30:].encode())
        self.wait_entry(b)
        put(b"x" * (1 << 20) + line("198.51.100.66").encode()
            + b"\0" + line("198.51.100.66").encode() + line(c).encode())
        self.wait_entry(c)
        put(line(half).rstrip("\n").encode())
        proc.stdin.close()
        self.assertEqual(proc.wait(20), 0)
        self.assertEqual(set(self.db.all()), {a, b, c})

    def test_end_with_lines_in_the_pipe(self):
        """A logger may say that it is the end before it closes the pipe."""
        proc = self.feed(subprocess.PIPE)
        first, addr = self.fresh(), self.fresh()
        proc.stdin.write(line(first).encode())
        proc.stdin.flush()
        self.wait_entry(first)
        # More than is read in one turn, less than the pipe holds.
        fcntl.fcntl(proc.stdin, fcntl.F_SETPIPE_SZ, 1 << 20)
        proc.send_signal(signal.SIGSTOP)
        wait_stopped(proc.pid)
        proc.stdin.write(b"of no interest\n" * 50000 + line(addr).encode())
        proc.stdin.flush()
        proc.send_signal(signal.SIGTERM)
        proc.send_signal(signal.SIGCONT)
        self.assertEqual(proc.wait(DEADLINE), 0)
        self.assertIsNotNone(self.db.get(addr))

    def test_file(self):
        addrs = [self.fresh() for _ in range(5000)]
        self.write(*map(line, addrs))
        with open(self.log, "rb") as f:
            proc = self.feed(f)
            self.assertEqual(proc.wait(20), 0)
        self.assertEqual(set(self.db.all()), set(addrs))


def entry(message, when=None, ident="perdition.imap4", **fields):
    """One entry in the journal's export format."""
    when = time.time() if when is None else when
    text = message.encode()
    return b"".join([
        f"__REALTIME_TIMESTAMP={int(when * 1e6)}\n"
        f"__MONOTONIC_TIMESTAMP={int(time.monotonic() * 1e6)}\n"
        f"_BOOT_ID={BOOT}\n_PID=12\n_HOSTNAME=mx\n".encode(),
        f"SYSLOG_IDENTIFIER={ident}\n".encode() if ident else b"",
        *(f"{name}={value}\n".encode() for name, value in fields.items()),
        b"MESSAGE\n" + struct.pack("<Q", len(text)) + text + b"\n\n"])


BOOT = "0123456789abcdef0123456789abcdef"
REMOTE = "/usr/lib/systemd/systemd-journal-remote"
JOURNALD = "/usr/lib/systemd/systemd-journald"


class Journal(PbsTestCase):
    def setUp(self):
        super().setUp()
        self.journal = self.subdir("journal")
        self.files = 0

    def store(self, *entries):
        """In a file of their own, which is in the directory at once."""
        self.files += 1
        name = f"{self.files:03d}.journal"
        scratch = self.subdir("scratch")
        subprocess.run([REMOTE, "-o", scratch / name, "-"], check=True,
                       input=b"".join(entries), capture_output=True,
                       timeout=20)
        (scratch / name).chmod(0o644)
        (scratch / name).rename(self.journal / name)
        return self.journal / name

    def tell(self, *addrs, **fields):
        return self.store(*(entry(auth(a), **fields) for a in addrs))

    def start_on_journal(self, **values):
        return self.start_pbs("socket", journal=True,
                              journal_dir=self.journal, **values)

    def test_lines(self):
        self.tell("198.51.100.66")  # before the first start
        self.start_on_journal(timeout=100)
        now = int(time.time())
        a, b, c = self.fresh(), self.fresh(), self.fresh()
        self.tell(a, when=now - 50)
        self.assertEqual(int(self.wait_entry(a)), now + 50)
        self.tell(b, ident="", _COMM="perdition")
        self.wait_entry(b)
        evil = "198.51.100.66"
        good = line(evil).rstrip("\n")
        self.store(
            entry("x\n" + auth(evil)), entry(auth(evil) + "\n"),
            entry(auth(evil) + "\0"), entry("x" * 20000), entry(good),
            entry(auth(evil), ident="sshd"), entry(auth(evil), ident="a b"),
            entry(auth(evil), ident="x perdition[1]: y"),
            entry(auth(evil), ident="perdition[1]: "),
            entry(auth(evil), when=now - 101), entry(auth(c)))
        self.wait_entry(c)
        self.assertIsNone(self.db.get(evil))

    def test_matches(self):
        self.start_on_journal(journal_match=["_UID=0", "_UID=7",
                                             "_SYSTEMD_UNIT=p.service"])
        good = [self.fresh() for _ in range(2)]
        self.tell("198.51.100.66", _UID=8, _SYSTEMD_UNIT="p.service")
        self.tell("198.51.100.67", _UID=0)
        self.tell(good[0], _UID=0, _SYSTEMD_UNIT="p.service")
        self.tell(good[1], _UID=7, _SYSTEMD_UNIT="p.service")
        for addr in good:
            self.wait_entry(addr)
        self.assertEqual(set(self.db.all()), set(good))

    def test_position_is_kept(self):
        pbs = self.start_on_journal()
        removed = set()
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
            some = [self.fresh() for _ in range(2500)]  # more than one turn's
            self.tell(*some)
            for addr in (some[0], some[-1]):
                self.wait_entry(addr)
            pbs.run("remove", *some[:5])
            removed |= set(some[:5])
            pbs.stop(number)
            late = self.fresh()
            self.tell(late)
            pbs.start()
            self.wait_entry(late)
            self.assertEqual(removed & set(self.db.all()), set())
        self.assertNotIn("systemd-journal-gap", pbs.output())

    def test_vacuumed(self):
        pbs = self.start_on_journal()
        a, b, c, d = (self.fresh() for _ in range(4))
        file = self.tell(a)
        self.wait_entry(a)
        pbs.stop()
        self.tell(b)
        file.unlink()  # with the entry of the position
        pbs.start()
        self.wait_entry(b)
        wait_for("the gap told", lambda: "systemd-journal-gap" in pbs.output())
        # Rotated and vacuumed while it runs.
        for path in self.journal.iterdir():
            path.rename(f"{path}.old.journal")
        self.tell(c)
        self.wait_entry(c)
        for path in self.journal.iterdir():
            path.unlink()
        self.tell(d)
        self.wait_entry(d)

    def test_file_of_roots_alone(self):
        self.tell(self.fresh()).chmod(0o600)
        pbs = self.start_on_journal()
        wait_for("a warning", lambda: "systemd-journal-denied"
                 in pbs.output())

    def test_wrong(self):
        for args in (("--journal_match", "nonsense"),
                     ("--journal_dir", self.dir / "none")):
            done = subprocess.run(
                [program("perdition-pbs"), "-n", "-F", "+", "-L", "",
                 "--pid_file", "", "--state_dir", "", "--socket", "",
                 "-D", self.dir / "x.db", "--journal", *args],
                capture_output=True, text=True, timeout=20)
            self.assertIn(done.returncode, (66, 78), done.stderr)
            self.assertIn(str(args[1]), done.stderr)


class Journald(PbsTestCase):
    """A journald of our own, with a /run of its own."""

    def setUp(self):
        super().setUp()
        self.run_dir = self.subdir("run")
        (self.run_dir / "systemd" / "journal").mkdir(parents=True)
        (self.run_dir / "log" / "journal").mkdir(parents=True)
        # As tmpfiles.d of systemd has it.
        shutil.chown(self.run_dir / "log/journal", group="systemd-journal")
        (self.run_dir / "log" / "journal").chmod(0o2755)
        self.socket = self.run_dir / "systemd/journal/socket"
        self.journald = self.start(Daemon(
            "journald", [JOURNALD], self.dir / "journald.output",
            ready=self.socket.exists, prefix=[
                "unshare", "--mount", "sh", "-c",
                f'mount --bind "{self.run_dir}" /run && exec "$@"', "sh"]))

    def put(self, message, **fields):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            fields = {"SYSLOG_IDENTIFIER": "perdition.imap4",
                      "SYSLOG_PID": 12, "MESSAGE": message, **fields}
            sock.sendto("".join(f"{k}={v}\n" for k, v in fields.items())
                        .encode(), str(self.socket))

    def told(self):
        addr = self.fresh()
        self.put(auth(addr))
        self.wait_entry(addr)

    def test_rotated(self):
        directory = wait_for("the journal", lambda: next(
            (self.run_dir / "log/journal").glob("*/system.journal"),
            None)).parent
        self.put(auth("198.51.100.66"))
        wait_for("it stored", lambda: b"198.51.100.66" in (
            directory / "system.journal").read_bytes())
        pbs = self.start_pbs("socket", journal=True, journal_dir=directory,
                             journal_match=["_UID=0"])
        for _ in range(3):
            self.told()
            self.journald.send_signal(signal.SIGUSR2)  # rotates
            self.told()
        for path in directory.glob("system@*"):
            path.unlink()
        self.told()
        pbs.stop(signal.SIGKILL)
        late = self.fresh()
        self.put(auth(late))
        self.journald.send_signal(signal.SIGUSR2)
        pbs.start()
        self.wait_entry(late)
        self.told()
        self.assertIsNone(self.db.get("198.51.100.66"))
