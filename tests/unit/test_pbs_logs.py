#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What real servers wrote, tests/corpus/logs, against what their patterns make
of it: perdition-pbs --test_pattern, for the server's own pattern and for all
at once."""

import os
import pathlib
import re
import subprocess
import sys

SRC = os.environ.get("srcdir", os.path.dirname(os.path.abspath(__file__)))
CORPUS = pathlib.Path(SRC, "..", "corpus", "logs")
PROGRAM = os.path.abspath("../../perdition-pbs/perdition-pbs")
ALL = ["perdition", "dovecot", "courier", "cyrus", "uw", "qpopper", "popa3d",
       "vpopmail", "nginx", "exchange"]
failures = 0


def fail(text):
    global failures
    failures += 1
    print("FAIL:", text)


def read(path):
    """(expected, line) of each line; expected: b"-" or address and user."""
    lines = path.read_bytes().split(b"\n")[:-1]
    return [tuple(line.split(b"\t", 1)) for line in lines
            if not line.startswith(b"#")]


def found(text, patterns):
    """What the program says of each line, in the form of the corpus."""
    argv = [PROGRAM, "--config_file="]
    for name in patterns:
        argv += ["--pattern", name]
    done = subprocess.run(argv + ["--test_pattern", "-"], input=text,
                          stdout=subprocess.PIPE, check=False, timeout=60,
                          env={**os.environ, "TZ": "UTC"})
    out = done.stdout.split(b"\n")[:-1]
    total = re.fullmatch(rb"(\d+) lines, (\d+) of logins", out[-1])
    logins = []
    for line in out[:-1]:
        match = re.fullmatch(
            rb'\d+: login pattern=(\w+) address=(\S+) user=(".*") '
            rb'time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ', line)
        if match is None and not re.fullmatch(rb"\d+: no, .+", line):
            fail("unexpected: %r" % line)
        logins.append(b"-" if match is None else match[2] + b" " + match[3])
    count = sum(1 for login in logins if login != b"-")
    if (int(total[1]), int(total[2])) != (len(logins), count):
        fail("totals: %r" % out[-1])
    if done.returncode != (0 if count else 1):
        fail("status %d with %d logins" % (done.returncode, count))
    return logins


def main():
    files = sorted(CORPUS.glob("*/*.lines"))
    if len(files) < 5:
        fail("only %d files in %s" % (len(files), CORPUS))
    for path in files:
        cases = read(path)
        text = b"".join(line + b"\n" for _, line in cases)
        for patterns in ([path.parent.name], ALL):
            for (want, line), got in zip(cases, found(text, patterns),
                                         strict=True):
                if want != got:
                    fail("%s: %r instead of %r: %r" %
                         (path.name, got, want, line[:300]))
    print("%d files" % len(files))


main()
sys.exit(1 if failures else 0)
