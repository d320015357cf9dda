#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""certbot's deploy hook in contrib/, with a perdition and a systemctl that
only write down what they were asked."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SRC = pathlib.Path(os.environ.get("srcdir", os.path.dirname(
    os.path.abspath(__file__)))).resolve()
HOOK = SRC.parent.parent / "contrib/letsencrypt/perdition-deploy-hook"

PERDITION = """#!/bin/sh
case "$*" in
*--serve*)
	trap 'echo HUP >>{dir}/calls' HUP
	echo $$ >{dir}/pid
	while :; do sleep 0.05; done
	;;
*--dump_config*) printf 'timeout 1800\\npid_file {dir}/pid\\n' ;;
*) echo "perdition $*" >>{dir}/calls; exit {status} ;;
esac
"""
SYSTEMCTL = """#!/bin/sh
echo "systemctl $*" >>{dir}/calls
case "$*" in
*is-active*) exit {active} ;;
*reload*) exit {reload} ;;
esac
exit 99
"""


class Hook(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.addCleanup(self.scratch.cleanup)
        self.dir = pathlib.Path(self.scratch.name)
        (self.dir / "systemd").mkdir()

    def program(self, name, text):
        path = self.dir / name
        path.write_text(text, encoding="ascii")
        path.chmod(0o755)
        return path

    def run_hook(self, status=0, active=0, reload=0, systemd=True, **env):
        self.program("perdition", PERDITION.format(dir=self.dir,
                                                   status=status))
        self.program("systemctl", SYSTEMCTL.format(
            dir=self.dir, active=active, reload=reload))
        done = subprocess.run([HOOK], env={
            "PATH": f"{self.dir}:{os.environ['PATH']}",
            "SYSTEMD_DIRECTORY": str(self.dir / ("systemd" if systemd
                                                 else "none")), **env},
            capture_output=True, text=True, timeout=20, check=False)
        return done.returncode, done.stderr

    def calls(self):
        path = self.dir / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def serve(self):
        """A process of the right name, whose number is in the pid file."""
        program = self.program("perdition", PERDITION.format(dir=self.dir,
                                                             status=0))
        # A shell cannot trap what was ignored when it began (nohup).
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        try:
            proc = subprocess.Popen([program, "--serve"])
        finally:
            signal.signal(signal.SIGHUP, before)

        def end():
            proc.kill()
            proc.wait()
        self.addCleanup(end)
        until = time.monotonic() + 20
        while not (self.dir / "pid").exists() \
                or not (self.dir / "pid").read_text().strip():
            self.assertLess(time.monotonic(), until)
            time.sleep(0.01)

    def test_systemd(self):
        self.assertEqual(self.run_hook(), (0, ""))
        self.assertEqual(self.calls(), [
            "perdition --check_config",
            "systemctl -q is-active perdition.service",
            "systemctl reload perdition.service"])

    def test_names(self):
        self.assertEqual(self.run_hook(
            PERDITION_CONFIG="/etc/my perdition.conf",
            PERDITION_UNIT="mine.service"), (0, ""))
        self.assertEqual(self.calls(), [
            "perdition --config_file /etc/my perdition.conf --check_config",
            "systemctl -q is-active mine.service",
            "systemctl reload mine.service"])

    def test_bad_configuration(self):
        for wanted in (66, 78):
            status, text = self.run_hook(status=wanted)
            self.assertEqual(status, wanted)
            self.assertIn("not reloaded", text)
        self.assertEqual(set(self.calls()), {"perdition --check_config"})

    def test_reload_fails(self):
        status, text = self.run_hook(reload=1)
        self.assertEqual(status, 69)
        self.assertIn("failed", text)

    def test_pid_file(self):
        for kwargs in ({"systemd": False}, {"active": 3}):
            with self.subTest(**kwargs):
                self.serve()
                self.assertEqual(self.run_hook(**kwargs), (0, ""))
                until = time.monotonic() + 20
                while "HUP" not in self.calls():
                    self.assertLess(time.monotonic(), until, self.calls())
                    time.sleep(0.01)
                (self.dir / "pid").unlink()
                (self.dir / "calls").unlink()

    def test_someone_elses_number(self):
        # HUP ends a sleep.
        with subprocess.Popen(["sleep", "60"]) as other:
            (self.dir / "pid").write_text(f"{other.pid}\n")
            try:
                status, text = self.run_hook(systemd=False)
                self.assertEqual(status, 0)
                self.assertIn("does not run", text)
                time.sleep(0.1)
                self.assertIsNone(other.poll())
            finally:
                other.kill()

    def test_not_running(self):
        status, text = self.run_hook(active=3)
        self.assertEqual(status, 0)
        self.assertIn("does not run", text)

    def test_no_perdition(self):
        self.assertEqual(self.run_hook(PERDITION="/nonexistent/p")[0], 127)


if __name__ == "__main__":
    sys.exit(not unittest.main(exit=False).result.wasSuccessful())
