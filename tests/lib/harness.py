# SPDX-License-Identifier: GPL-2.0-or-later
"""What every integration test stands on: a scratch directory, free ports,
waiting for something to become true, daemons that are ended by their pid, and
a test case that keeps the evidence of a failure.

Knows no particular daemon.
"""

import contextlib
import errno
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from lineclient import Closed

LIB = pathlib.Path(__file__).resolve().parent
TOP = LIB.parent.parent

# Generous, because a test machine may be busy; nothing waits this long unless
# it fails.
DEADLINE = float(os.environ.get("PERDITION_TEST_DEADLINE", "30"))


class Timeout(AssertionError):
    """Something did not happen in time."""


def wait_for(what, condition, deadline=DEADLINE, interval=0.01):
    """Return condition()'s first true value; Timeout(what) when there is none
    within deadline seconds.  OSError from condition() means not yet."""
    end = time.monotonic() + deadline
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
        except OSError as error:
            last = error
        if time.monotonic() >= end:
            raise Timeout(f"{what}: not within {deadline:g} s"
                          + (f" (last: {last})" if last else ""))
        time.sleep(interval)


_handed_out = set()
# Below those that the kernel gives to whoever connects, or one of them could
# be taken again until the server listens.
PORTS = range(10240, 32768)


def free_port(*hosts):
    """A TCP port that is free on all hosts (default: the IPv4 loopback) and
    that this process has not handed out before."""
    hosts = hosts or ("127.0.0.1",)
    for _ in range(100):
        port = random.choice(PORTS)
        with contextlib.ExitStack() as stack:
            try:
                for host in hosts:
                    family = (socket.AF_INET6 if ":" in host
                              else socket.AF_INET)
                    sock = stack.enter_context(socket.socket(family))
                    sock.bind((host, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
        if port not in _handed_out:
            _handed_out.add(port)
            return port
    raise Timeout("no free port on " + ", ".join(hosts))


def is_root():
    return os.geteuid() == 0


def scratch_dir(prefix="perdition-"):
    """A new directory that every user may read and only its owner write."""
    path = pathlib.Path(tempfile.mkdtemp(
        prefix=prefix, dir=os.environ.get("PERDITION_TEST_TMP")))
    path.chmod(0o755)
    return path


class Daemon:
    """A program that runs until it is told to end.

    Its output goes to the file log.  ready is called again and again until it
    returns something true; the program's early end is noticed and told with
    its last lines.
    """

    def __init__(self, name, argv, log, ready=None, env=None, cwd=None,
                 prefix=(), deadline=DEADLINE):
        self.name = name
        self.deadline = deadline  # for becoming ready
        self.argv = [str(a) for a in (*prefix, *argv)]
        self.log = pathlib.Path(log)
        self.ready = ready
        self.env = {**os.environ, **(env or {})}
        self.cwd = cwd
        self.pass_fds = ()  # descriptors that it gets
        self.proc = None

    def start(self):
        with open(self.log, "ab") as out:
            self.proc = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=self.env, cwd=self.cwd, start_new_session=True,
                pass_fds=self.pass_fds)
        if self.ready:
            try:
                wait_for(f"{self.name} ready", self._is_ready,
                         self.deadline)
            except BaseException as error:
                self.stop(signal.SIGKILL)
                raise Timeout(f"{error}\n{self.tail()}") from None
        return self

    def _is_ready(self):
        status = self.proc.poll()
        if status is not None:
            raise Timeout(f"{self.name} ended with status {status}")
        try:
            return self.ready()
        except Closed:  # it listens, and is not all there yet
            return False

    @property
    def pid(self):
        return self.proc.pid

    def running(self):
        return self.proc is not None and self.proc.poll() is None

    def wait(self, deadline=DEADLINE):
        """The exit status (negative: the signal)."""
        try:
            return self.proc.wait(deadline)
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self.name} did not end within {deadline:g} s"
                          f"\n{self.tail()}") from None

    def send_signal(self, number):
        os.kill(self.proc.pid, number)
        if number == signal.SIGSTOP:  # another thread may still be at work
            wait_stopped(self.proc.pid)

    def stop(self, number=signal.SIGTERM, deadline=DEADLINE):
        """End it and whatever it left of its session; the exit status."""
        if self.proc is None:
            return None
        status = None
        try:
            if self.proc.poll() is None:
                self.send_signal(number)
            status = self.wait(deadline)
        finally:
            # Its session is its own: these are its children and no others.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.proc.pid, signal.SIGKILL)
            if status is None:
                self.proc.wait(5)
            self.proc = None
        return status

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def tail(self, lines=25):
        return "\n".join(f"  {self.name}: {line}"
                         for line in self.output().splitlines()[-lines:])


def wait_stopped(pid):
    """Until a SIGSTOP that was sent is obeyed."""
    def stopped():
        tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
        return all((t / "stat").read_text().rpartition(")")[2].split()[0]
                   in "TZ" for t in tasks)
    wait_for(f"process {pid} stopped", stopped)


def children(pid, deep=True):
    """All living descendants of pid, or only its children, as a list of
    process ids."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            stat = pathlib.Path("/proc", entry, "stat").read_text()
            state, parent = stat.rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(entry))
    return found + [g for c in found if deep for g in children(c)]


def pss_kib(pid):
    """What the process holds, KiB; its share of what others hold too."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])


def own_kib(pid):
    """What the process alone holds, KiB; not moved by what others do with the
    libraries that they share."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+)", text,
                                   re.M)))


def alive(pid):
    """Whether the process is there and not merely waiting to be reaped."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def once(name, make, *copied_to):
    """A directory that is made once for all tests of a run, by make(path), and
    copied for each: an empty database takes seconds to make."""
    template = pathlib.Path(os.environ["PERDITION_TEST_TMP"], name)
    if not template.exists():
        make(template)
    subprocess.run(["cp", "-a", "--reflink=auto", template, *copied_to],
                   check=True)


def cmdline(pid):
    try:
        raw = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [a.decode(errors="replace") for a in raw.split(b"\0") if a]


class TestCase(unittest.TestCase):
    """A test with a scratch directory, self.dir, and daemons that are ended
    with it.  When it fails, what the daemons wrote is kept below the folder
    that PERDITION_TEST_ARTIFACTS names."""

    maxDiff = 4000

    def setUp(self):
        self.dir = scratch_dir()
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.addCleanup(self._keep_evidence)
        self.reports = self.dir / "sanitizer"
        self.reports.mkdir()
        self.reports.chmod(0o777)
        self.addCleanup(self._check_sanitizers)

    def start(self, daemon):
        """Start daemon; it is ended with the test.  Returns it."""
        self.addCleanup(daemon.stop)
        return daemon.start()

    def subdir(self, name, mode=0o755, owner=None):
        path = self.dir / name
        path.mkdir(exist_ok=True)
        if owner is not None and is_root():
            shutil.chown(path, *owner)
        path.chmod(mode)
        return path

    def _check_sanitizers(self):
        texts = [p.read_text(errors="replace")
                 for p in sorted(self.reports.iterdir()) if p.is_file()]
        if texts:
            self.fail("sanitizer reports:\n" + "\n".join(texts)[:8000])

    def _failed(self):
        result = self._outcome.result
        return any(test.id().startswith(self.id())
                   for test, _ in result.failures + result.errors)

    def _keep_evidence(self):
        target = os.environ.get("PERDITION_TEST_ARTIFACTS")
        if not target or not self._failed():
            return
        target = pathlib.Path(target, self.id())
        shutil.rmtree(target, ignore_errors=True)

        def big_or_odd(folder, names):
            return [n for n in names if not _is_small(pathlib.Path(folder, n))]

        shutil.copytree(self.dir, target, symlinks=True, ignore=big_or_odd,
                        ignore_dangling_symlinks=True)


def _is_small(path):
    if path.is_dir():
        return path.name not in ("Maildir", "homes")
    return path.is_file() and path.stat().st_size < 4 << 20


def sanitizer_env(reports):
    """Environment in which a sanitizer's report becomes a file in reports."""
    return {
        "ASAN_OPTIONS": f"log_path={reports}/asan:abort_on_error=0",
        "UBSAN_OPTIONS": f"log_path={reports}/ubsan:print_stacktrace=1",
    }
