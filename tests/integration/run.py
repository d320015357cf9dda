#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the integration tests: one line a test, then the totals.

    tests/integration/run.py --prefix DIR [--sanitized] [--artifacts DIR]
                             [--jobs N] [NAME...]

DIR holds sbin/perdition, sbin/perdition-pbs and lib/perdition.  A NAME is
test_login, test_login.Imap or test_login.Imap.test_curl.  With --jobs so many
test cases (classes) run at a time.  Needs root: the tests run in namespaces
of their own (network, mounts, processes, host name), so that no port,
address, file or process of the machine or of another job is touched and none
is left.  What failed is told once more at the end.  Status: 0, or 1 when a
test failed or was skipped.
"""

import argparse
import contextlib
import os
import pathlib
import queue
import resource
import subprocess
import sys
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
LIB = HERE.parent / "lib"
sys.path[:0] = [str(LIB), str(HERE)]
sys.dont_write_bytecode = True

INSIDE = "PERDITION_TEST_NAMESPACE"


def enter_namespace():
    if os.environ.get(INSIDE):
        return
    if os.geteuid() != 0:
        sys.exit("run.py: needs root, for namespaces of its own")
    os.environ[INSIDE] = "1"
    os.execvp("unshare", [
        "unshare", "--fork", "--kill-child", "--pid", "--mount-proc", "--net",
        "--uts", "--mount", "--propagation", "private",
        sys.executable, __file__, *sys.argv[1:]])


def scratch_place():
    """A directory of root's that nothing of this run lies below: what is there
    is hidden from us."""
    used = [HERE, pathlib.Path.cwd(), *map(pathlib.Path, sys.argv[1:])]
    for place in map(pathlib.Path, ("/srv", "/mnt", "/media", "/opt")):
        if place.is_dir() and not any(
                x.resolve().is_relative_to(place) for x in used):
            return str(place)
    sys.exit("run.py: no directory for a scratch file system")


def furnish_namespace():
    """Documentation addresses to connect from, a host name with a dot, name
    resolution that stays here, and a scratch directory that Sendmail deems
    safe."""
    def run(*argv):
        subprocess.run(argv, check=True)

    run("hostname", "mx.test")
    run("ip", "link", "set", "lo", "up")
    import addresses
    for addr in addresses.CLIENTS4:
        run("ip", "addr", "add", addr + "/32", "dev", "lo")
    for addr in addresses.CLIENTS6:
        run("ip", "-6", "addr", "add", addr + "/128", "dev", "lo", "nodad")
    scratch = scratch_place()
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", scratch)
    os.environ["PERDITION_TEST_TMP"] = scratch
    for name, text in (("hosts", "127.0.0.1 mx.test localhost\n"
                                 "::1 mx.test localhost\n"),
                       ("nsswitch.conf", "passwd: files\ngroup: files\n"
                                         "hosts: files\n")):
        path = pathlib.Path(scratch, name)
        path.write_text(text)
        path.chmod(0o644)
        run("mount", "--bind", str(path), "/etc/" + name)
    # Thousands of sessions, on both of their ends.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


def left_processes():
    """Processes that nobody ended; this is process 1 of its namespace."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    return [int(x) for x in os.listdir("/proc")
            if x.isdigit() and int(x) != os.getpid()]


def settled():
    """left_processes(), after those that were killed had time to go."""
    end = time.monotonic() + 3
    while left_processes() and time.monotonic() < end:
        time.sleep(0.01)
    return left_processes()


class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed = 0
        self.began = 0.0

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.before = self._bad()

    def _bad(self):
        return len(self.failures) + len(self.errors) + len(self.skipped) \
            + len(self.unexpectedSuccesses)

    def stopTest(self, test):
        super().stopTest(test)
        left = settled()
        if left:
            import harness
            names = [" ".join(harness.cmdline(p)) for p in left]
            self.failures.append((test, f"left running: {names}"))
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
        if len(self.skipped) + len(self.failures) + len(self.errors) \
                == self.before:
            self.passed += 1
            verdict = "ok"
        else:
            verdict = "FAIL"
        took = time.monotonic() - self.began
        print(f"{verdict:4} {test.id()} ({took:.1f} s)", flush=True)
        for one, text in self.failures + self.errors:
            if one.id().startswith(test.id()) and verdict == "FAIL":
                print("     " + text.rstrip().replace("\n", "\n     "),
                      flush=True)
        for one, text in self.skipped:
            if one is test:
                print(f"     skipped: {text}", flush=True)


class Totals:
    """What all jobs came to; prints a test case's lines together."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed = 0
        self.run = 0
        self.failures = []  # lines

    def add(self, lines, passed, run):
        with self.lock:
            sys.stdout.writelines(lines)
            sys.stdout.flush()
            self.passed += passed
            self.run += run
            failing = False
            for line in lines:
                if not line.startswith(" "):
                    failing = line.startswith("FAIL")
                if failing:
                    self.failures.append(line)

    def report(self):
        """The status."""
        failed = self.run - self.passed
        if self.failures:
            print("-- failed:")
            sys.stdout.writelines(self.failures)
        print(f"integration: {self.passed} passed, {failed} failed")
        return 0 if failed == 0 and self.passed > 0 else 1


def flatten(suite):
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from flatten(part)
        else:
            yield part


def find(names):
    """The tests as (test case, [names of its tests]), in order."""
    loader = unittest.TestLoader()
    if names:
        suite = loader.loadTestsFromNames(names)
    else:
        suite = loader.discover(str(HERE), "test_*.py", str(HERE))
    if loader.errors:
        sys.exit("\n".join(loader.errors))
    cases = {}
    for test in flatten(suite):
        cases.setdefault(test.id().rpartition(".")[0], []).append(test.id())
    return list(cases.items())


END = "-- end of the test case:"


def serve():
    """A job: runs what it is told, a line each, until there is no more."""
    furnish_namespace()
    for names in sys.stdin:
        suite = unittest.TestLoader().loadTestsFromNames(names.split())
        result = Result()
        suite.run(result)
        print(END, result.passed, suite.countTestCases(), flush=True)


def run_job(argv, cases, totals):
    """Has a process of its own, in its own namespaces, take cases from the
    queue until it is empty."""
    job = subprocess.Popen(
        [sys.executable, __file__, *argv, "--serve"], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1)
    while True:
        try:
            case, names = cases.get_nowait()
        except queue.Empty:
            break
        lines = []
        with contextlib.suppress(BrokenPipeError):
            job.stdin.write(" ".join(names) + "\n")
        for line in job.stdout:
            if line.startswith(END):
                passed, count = map(int, line.removeprefix(END).split())
                break
            lines.append(line)
        else:
            lines.append(f"FAIL {case}: the job ended in the midst of it\n")
            passed, count = 0, len(names)
        totals.add(lines, passed, count)
        if job.poll() is not None:
            break
    job.stdin.close()
    job.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--sanitized", action="store_true")
    parser.add_argument("--artifacts")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--serve", action="store_true",
                        help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    if args.serve:  # with the environment that is set below
        enter_namespace()
        serve()
        return 0
    os.environ["PERDITION_PREFIX"] = os.path.abspath(args.prefix)
    os.environ["PERDITION_SANITIZED"] = "1" if args.sanitized else ""
    if args.artifacts:
        os.environ["PERDITION_TEST_ARTIFACTS"] = \
            os.path.abspath(args.artifacts)
    cases = queue.Queue()
    for case in find(args.names):
        cases.put(case)
    totals = Totals()
    options = ["--prefix", args.prefix]
    jobs = [threading.Thread(target=run_job, args=(options, cases, totals))
            for _ in range(max(1, args.jobs))]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    while not cases.empty():
        case, names = cases.get_nowait()
        totals.add([f"FAIL {case}: no job was left to run it\n"], 0,
                   len(names))
    return totals.report()


if __name__ == "__main__":
    sys.exit(main())
