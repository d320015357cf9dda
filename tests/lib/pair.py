# SPDX-License-Identifier: GPL-2.0-or-later
"""perdition and perdition-pbs, as installed below the directory that the
environment's PERDITION_PREFIX names (sbin/, lib/perdition/)."""

import os
import pathlib
import re
import signal
import socket
import subprocess

from harness import (Daemon, DEADLINE, children, cmdline, sanitizer_env,
                     wait_for)


def prefix():
    value = os.environ.get("PERDITION_PREFIX")
    if not value:
        raise RuntimeError("PERDITION_PREFIX does not name an installation")
    return pathlib.Path(value)


def program(name):
    return prefix() / "sbin" / name


def modules():
    return prefix() / "lib" / "perdition"


def sanitized():
    """Whether the programs were built with a sanitizer."""
    return os.environ.get("PERDITION_SANITIZED") == "1"


# Who the daemons become when they are started by root.
OWNER = ("nobody", "nogroup")


def options(values):
    """{"timeout": 5, "listen": [..], "quiet": True} as arguments."""
    argv = []
    for name, value in values.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item is True:
                argv.append(f"--{name}")
            elif item is not False and item is not None:
                argv += [f"--{name}", str(item)]
    return argv


def config_text(values):
    """The same as a configuration file."""
    lines = []
    for name, value in values.items():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if item is True:
                lines.append(name)
            elif item is not False and item is not None:
                lines.append(f'{name} "{item}"')
    return "\n".join(lines) + "\n"


class Perdition(Daemon):
    """values: options; they go into a file, so that a test can change them
    and reload.  listeners: (protocol, host, port[, what follows "?"])."""

    def __init__(self, test, listeners, popmap=None, values=None, name="perdition"):
        self.dir = test.subdir(name)
        self.listeners = list(listeners)
        self.config = self.dir / "perdition.conf"
        self.popmap = self.dir / "popmap.re"
        self.values = {
            "no_daemon": True, "log_facility": "+", "pid_file": "",
            "module_dir": modules(), "failure_delay": 0,
            "listen": [_url(*listener) for listener in self.listeners],
        }
        if popmap is not None:
            self.set_popmap(popmap)
            self.values["map_library"] = "regex"
            self.values["map_library_opt"] = self.popmap
        else:
            self.values["map_library"] = ""
        self.values.update(values or {})
        self.write_config()
        super().__init__(name, [program("perdition"), "--config_file",
                                self.config],
                         self.dir / "output", ready=self._answers,
                         env=sanitizer_env(test.reports))

    def set_popmap(self, text):
        self.popmap.write_text(text)
        self.popmap.chmod(0o644)

    def write_config(self):
        self.config.write_text(config_text(self.values))

    def _are_all_there(self):
        """One worker answers while others are still being started."""
        return len(self.roles().get("worker", [])) >= self.values["workers"]

    def _answers(self):
        # What strace(1) runs is no child of ours.
        if self.values.get("workers", 1) > 1 and self.argv[0] != "strace" \
                and not self._are_all_there():
            return False
        for proto, host, port, *_ in self.listeners:
            with socket.create_connection((host, port), 2) as sock:
                sock.settimeout(5)
                # In TLS from the first byte nothing comes unasked.
                if not proto.endswith("s") and not sock.recv(200):
                    return False
        return True

    def reload(self):
        self.send_signal(signal.SIGHUP)

    def roles(self):
        """{role: [pid]} of the living processes, without what a lookup
        process has forked."""
        found = {}
        for pid in children(self.pid, deep=False):
            words = cmdline(pid)
            if "--role" in words[:-1]:
                role = words[words.index("--role") + 1]
            else:
                match = re.search(r"--role=(\w+)", " ".join(words))
                role = match[1] if match else "unknown"
            found.setdefault(role, []).append(pid)
        return found

    def log_lines(self, word):
        return [x for x in self.output().splitlines() if word in x]

    def wait_log(self, word, count=1, deadline=DEADLINE):
        """The lines that hold word, once there are count of them."""
        return wait_for(f"{count} x {word!r} in the log",
                        lambda: (lambda x: len(x) >= count and x)(
                            self.log_lines(word)), deadline)


def _url(proto, host, port, query=""):
    return f"{proto}://{_host(host)}:{port}" + ("?" + query if query else "")


def _host(host):
    return f"[{host}]" if ":" in host else host


class Pbs(Daemon):
    """source: "socket", "log" (a file that perdition writes) or "both"."""

    def __init__(self, test, source="socket", values=None, log_file=None,
                 prefix=()):
        self.dir = test.subdir("pbs", owner=OWNER)
        self.db = self.dir / "relay.db"
        self.socket = self.dir / "auth.sock"
        self.log_file = log_file or test.dir / "perdition.log"
        self.values = {
            "no_daemon": True, "log_facility": "+", "pid_file": "",
            "db_file": self.db, "db_changes_per_second": 1000,
            "state_dir": self.dir,
            "log_file": self.log_file if source != "socket" else "",
            "socket": self.socket if source != "log" else "",
        }
        self.values.update(values or {})
        super().__init__("perdition-pbs",
                         [program("perdition-pbs"), *options(self.values)],
                         test.dir / "pbs.output", ready=self._started,
                         env=sanitizer_env(test.reports), prefix=prefix)
        self.reports = test.reports

    def start(self):
        self.before = self.log.stat().st_size if self.log.exists() else 0
        return super().start()

    def _started(self):
        """It says so when all that it opens is open and given away."""
        if self.values.get("quiet"):
            return self.db.exists() and self.socket.exists()
        with open(self.log, "rb") as f:
            f.seek(self.before)
            return b"event=start " in f.read()

    def run(self, mode, *args, check=True, db=None, **kwargs):
        """perdition-pbs --mode MODE on the database, or on db;
        CompletedProcess."""
        done = subprocess.run(
            [program("perdition-pbs"), "--mode", mode,
             "--db_file", db or self.db, "--state_dir", self.dir,
             "--log_facility", "+", *args],
            env={**os.environ, **sanitizer_env(self.reports),
                 **kwargs.pop("env", {})},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=DEADLINE, **kwargs)
        if check and done.returncode != 0:
            raise AssertionError(f"--mode {mode}: status {done.returncode}: "
                                 f"{done.stderr}")
        return done


def run_perdition(test, *args, deadline=DEADLINE, **kwargs):
    """perdition to its end, for what should fail at once."""
    return subprocess.run(
        [program("perdition"), *map(str, args)], text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=deadline,
        env={**os.environ, **sanitizer_env(test.reports)}, **kwargs)
