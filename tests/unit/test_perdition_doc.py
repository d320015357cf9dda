#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What perdition's options are is told in five places: --help, the manual
page, the sample file, --dump_config, and the program itself.  They must agree,
and what is kept in the tree must not be stale."""

import os
import re
import subprocess
import sys

SRC = os.environ.get("srcdir", os.path.dirname(os.path.abspath(__file__)))
TOP = os.path.join(SRC, "..", "..")
PROGRAM = os.path.abspath("../../perdition/perdition")
COMMAND_ONLY = {"help", "version", "config_file", "dump_config",
                "check_config", "route", "from", "to"}
HIDDEN = {"log_passwd"}
failures = 0


def check(ok, text):
    global failures
    if not ok:
        failures += 1
        print("FAIL:", text)


def run(*args):
    done = subprocess.run([PROGRAM, *args], capture_output=True, text=True,
                          timeout=20)
    check(done.returncode == 0, "%s: status %d: %s" %
          (" ".join(args), done.returncode, done.stderr))
    return done.stdout


def read(name):
    with open(os.path.join(TOP, "doc", name), encoding="ascii") as f:
        return f.read()


def main():
    made = subprocess.run(
        [os.path.join(TOP, "doc", "update-man.sh"),
         os.path.join(TOP, "doc", "perdition.8.in"), PROGRAM],
        capture_output=True, text=True, check=True, timeout=20).stdout
    check(made == read("perdition.8"),
          "doc/perdition.8 is stale: make -C doc update")
    sample = run("--generate", "sample")
    check(sample == read("perdition.conf"),
          "doc/perdition.conf is stale: make -C doc update")

    man = run("--generate", "man").replace("\\-", "-").replace("\\fB", "")
    man_names = set(re.findall(r"^(?:-\w\\fR, )?--(\w+)\\fR", man, re.M))
    help_names = set(re.findall(r"^  (?:-\w,|   ) --(\w+)", run("--help"),
                                re.M))
    dump = dict(line.split(" ", 1)
                for line in run("--dump_config", "--config_file=",
                                "--protocol=POP3").splitlines())
    sample_values = dict(re.findall(r"^#(\w+) (.*)$", sample, re.M))
    check(len(help_names) > 60, "--help names few options")
    check(man_names == help_names, "manual page and --help differ: %s" %
          sorted(man_names ^ help_names))
    aliases = {"server_ok_line"}
    expected = help_names - COMMAND_ONLY - aliases
    check(set(dump) - HIDDEN == expected, "--dump_config and --help differ: "
          "%s" % sorted((set(dump) - HIDDEN) ^ expected))
    check(set(sample_values) - aliases - HIDDEN <= expected,
          "the sample file has others: %s" %
          sorted(set(sample_values) - aliases - HIDDEN - expected))

    # A dump read again is the same configuration; so is the sample file.
    with open("dump.conf", "w", encoding="ascii") as f:
        for item in dump.items():
            f.write("%s %s\n" % item)
    again = run("--dump_config", "--config_file=dump.conf")
    os.unlink("dump.conf")
    check(again == "".join("%s %s\n" % item for item in dump.items()),
          "--dump_config read again gives something else")
    from_sample = run("--dump_config", "--config_file=" +
                      os.path.join(TOP, "doc", "perdition.conf"),
                      "--protocol=POP3")
    # The values in its comments too, but for places, which depend on --prefix.
    with open("sample.conf", "w", encoding="ascii") as f:
        for name, value in sample_values.items():
            if not value.startswith("/") and name not in aliases:
                f.write("%s %s\n" % (name, value))
    spelt_out = run("--dump_config", "--config_file=sample.conf")
    os.unlink("sample.conf")
    check(spelt_out == again, "the sample's values are not the defaults")
    check(from_sample == again, "the sample file does not give the defaults")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
