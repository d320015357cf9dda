#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the integration tests: one line a test, then the totals.

    tests/integration/run.py --prefix DIR [--sanitized] [--artifacts DIR]
                             [NAME...]

DIR holds sbin/perdition, sbin/perdition-pbs and lib/perdition.  A NAME is
test_login, test_login.Imap or test_login.Imap.test_curl.  Needs root: the
tests run in namespaces of their own (network, mounts, processes, host name),
so that no port, address, file or process of the machine is touched and none
is left.  Status: 0, or 1 when a test failed or was skipped.
"""

import argparse
import contextlib
import os
import pathlib
import resource
import subprocess
import sys
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--sanitized", action="store_true")
    parser.add_argument("--artifacts")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    enter_namespace()
    furnish_namespace()
    os.environ["PERDITION_PREFIX"] = os.path.abspath(args.prefix)
    os.environ["PERDITION_SANITIZED"] = "1" if args.sanitized else ""
    if args.artifacts:
        os.environ["PERDITION_TEST_ARTIFACTS"] = \
            os.path.abspath(args.artifacts)
    loader = unittest.TestLoader()
    if args.names:
        suite = loader.loadTestsFromNames(args.names)
    else:
        suite = loader.discover(str(HERE), "test_*.py", str(HERE))
    result = Result()
    suite.run(result)
    broken = result.errors[:] if result.testsRun == 0 else []
    for test, text in broken:
        print(f"FAIL {test.id()}\n{text}")
    failed = result.testsRun - result.passed + len(broken)
    print(f"integration: {result.passed} passed, {failed} failed")
    return 0 if failed == 0 and result.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
