#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""perdition-pbs's options are told in --help, the manual page, the sample
file, --dump_config and the program itself: they must agree, and what is kept
in the tree must not be stale.  And what ends it at once, with which status."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time

SRC = os.environ.get("srcdir", os.path.dirname(os.path.abspath(__file__)))
TOP = os.path.join(SRC, "..", "..")
PROGRAM = os.path.abspath("../../perdition-pbs/perdition-pbs")
COMMAND_ONLY = {"help", "version", "config_file", "dump_config", "json",
                "test_pattern"}
failures = 0


def check(ok, text):
    global failures
    if not ok:
        failures += 1
        print("FAIL:", text)


def run(*args, status=0):
    done = subprocess.run([PROGRAM, *args], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=20)
    check(done.returncode == status, "%s: status %d, not %d: %s" %
          (" ".join(args), done.returncode, status, done.stderr))
    return done


def read(name):
    with open(os.path.join(TOP, "doc", name), encoding="ascii") as f:
        return f.read()


def documents():
    made = subprocess.run(
        [os.path.join(TOP, "doc", "update-man.sh"),
         os.path.join(TOP, "doc", "perdition-pbs.8.in"), PROGRAM],
        capture_output=True, text=True, check=True, timeout=20).stdout
    check(made == read("perdition-pbs.8"),
          "doc/perdition-pbs.8 is stale: make -C doc update")
    sample = run("--generate", "sample").stdout
    check(sample == read("perdition-pbs.conf"),
          "doc/perdition-pbs.conf is stale: make -C doc update")
    man = run("--generate", "man").stdout.replace("\\-", "-")
    man_names = set(re.findall(r"^(?:.*, )?(?:\\fB)?--(\w+)\\fR", man, re.M))
    help_names = set(re.findall(r"^  (?:-\w,|   ) --(\w+)",
                                run("--help").stdout, re.M))
    check(len(help_names) > 20, "--help names few options")
    check(man_names == help_names, "manual page and --help differ: %s" %
          sorted(man_names ^ help_names))
    dump = run("--dump_config", "--config_file=", "--never=192.0.2.0/24",
               "--never=2001:db8::/32").stdout
    names = {line.split(" ", 1)[0] for line in dump.splitlines()}
    check(names == help_names - COMMAND_ONLY,
          "--dump_config and --help differ: %s" %
          sorted(names ^ (help_names - COMMAND_ONLY)))
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        f.write(dump)
        f.flush()
        check(run("--dump_config", "--config_file=" + f.name).stdout == dump,
              "--dump_config read again gives something else")


def examples():
    """What the manual tells to give to an MTA is what is tested."""
    glue = os.path.join(TOP, "mta-glue")
    man = read("perdition-pbs.8.in").replace("\\-", "-").replace("\\e", "\\")
    for name in ("file", "header", "policy", "socketmap"):
        with open(os.path.join(glue, "postfix", "relay-%s.cf" % name),
                  encoding="ascii") as f:
            lines = [line for line in f if not line.startswith("#")]
        check("\n.nf\n%s.fi\n" % "".join(lines) in man,
              "the manual's example is not relay-%s.cf" % name)
    for mta, step in (("sendmail", "5"), ("exim", "5")):
        with open(os.path.join(glue, mta, "README.md"),
                  encoding="ascii") as f:
            guide = f.read()
        block = re.search(r"\n%s\. .*?\n\n((?: {7}[^\n]*\n)+)" % step, guide,
                          re.S)[1]
        check("\n.nf\n%s.fi\n" % re.sub(r"(?m)^ {7}", "", block) in man,
              "the manual's example is not step %s for %s" % (step, mta))
    with open(os.path.join(glue, "sendmail", "relay-authorization-socket.m4"),
              encoding="ascii") as f:
        socket = re.search(r"SOCKET', `(/.*?)'\)'", f.read())[1]
    check("\nFEATURE(`drac', `socket local:%s')\n" % socket in man,
          "the manual's example is not relay-authorization-socket.m4")


def statuses():
    none = ["--config_file="]
    with tempfile.TemporaryDirectory() as d:
        conf = os.path.join(d, "c.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write("timeout 10\nnever 192.0.2.1/24\nregex (\nsuch 1\n")
        said = run("-f", conf, status=78).stderr
        check(said.count("\n") >= 1 and conf + ":4" in said, said)
        with open(conf, "w", encoding="ascii") as f:
            f.write("never 192.0.2.1/24\nregex (\nsocket_mode 9\n"
                    "policy_header X-User:\nmta_user nobody,n0b0dy\n"
                    "lookup_socket here\n")
        said = run("-f", conf, status=78).stderr
        for word in ("never", "regex", "socket_mode", "policy_header",
                     "n0b0dy", "lookup_socket"):
            check(word in said, "%s: %s" % (word, said))
        for net in ("0.0.0.0/0", "127.0.0.0/8", "192.0.2.0/23", "nowhere"):
            said = run(*none, "--never=192.0.2.7", "--always=" + net,
                       "--dump_config", status=78).stderr
            check("always: " + net in said, net + ": " + said)
        run("-f", os.path.join(d, "none"), status=66)
        run("--no_such_option", status=64)
        run(*none, "--mode", "what", status=64)
        run(*none, "extra", status=64)
        for mode in ("insert", "remove"):
            run(*none, "--mode", mode, status=64)
            run(*none, "--mode", mode, "here", status=64)
        for mode in ("purge", "expire"):
            run(*none, "--mode", mode, "192.0.2.1", status=64)
        db = os.path.join(d, "x.db")
        base = none + ["--state_dir=" + d, "--socket=", "--pid_file="]
        own = base + ["-D", db]
        run(*own, "--mode", "list", status=66)
        run(*own, "--mode", "remove", "192.0.2.1", status=66)
        run(*own, "--mode", "expire", status=66)
        check(not os.path.exists(db), "a reader made the file")
        run(*own, "--mode", "insert", "127.0.0.1", status=77)
        run(*own, "--mode", "insert", "192.0.2.1", "2001:db8::1")
        check(run(*own, "--mode", "list").stdout.count("\n") == 3, "list")
        check(run(*own, "--mode", "list", "2001:DB8:0::1").stdout.count("\n")
              == 2, "list of one address and its network")
        run(*own, "--mode", "list", "192.0.2.2", status=1)
        run(*own, "--mode", "remove", "192.0.2.1")
        run(*own, "--mode", "remove", "192.0.2.1", status=1)
        text = run(*own, "--mode", "export").stdout
        lines = text.splitlines()
        check(len(lines) == 2 and all(line.endswith(' ""') for line in lines),
              "export: " + text)
        run(*own, "--mode", "export", "192.0.2.1", status=64)
        run(*own, "--mode", "import", "a", "b", status=64)
        run(*own, "--mode", "import", os.path.join(d, "none"), status=66)
        file = os.path.join(d, "import")
        expires = int(time.time()) + 100
        good = "# %s\n\n192.0.2.9 %d \"b\\x00\\\"b\"\n"
        good = good % ("a comment", expires)
        for bad, where in ((good + "192.0.2.8 1\n", ":4: no user"),
                           ("192.0.2.1 9999999999 \"\"\n" + good, ":1: exp"),
                           (good[:-1], ":3: no newline")):
            with open(file, "w", encoding="ascii") as f:
                f.write(bad)
            said = run(*own, "--mode", "import", file, status=65).stderr
            check(file + where in said, said)
        with open(file, "w", encoding="ascii") as f:
            f.write(good + "127.0.0.1 %d \"\"\n" % expires)
        run(*own, "--mode", "import", file, status=77)
        check(run(*own, "--mode", "export").stdout == text, "partly imported")
        with open(file, "w", encoding="ascii") as f:
            f.write(good)
        run(*own, "--mode", "import", file)
        # Without a journal there is nowhere to keep names.
        check("192.0.2.9 %d \"\"" % expires in
              run(*own, "--mode", "export").stdout, "import and export")
        objects = run(*own, "--mode", "list", "--json").stdout.splitlines()
        check([json.loads(o)["expires"] for o in objects][0] == expires and
              len(objects) == 3, "list --json: %s" % objects)
        run(*own, "--mode", "purge")
        check(run(*own, "--mode", "list").stdout == "", "purge")
        with open(db, "w", encoding="ascii") as f:
            f.write("junk" * 5000)
        run(*own, "--mode", "list", status=65)
        run(*own, "--mode", "setenv", "--", "/bin/true")
        run(*own, "--mode", "setenv", "--", "/none", status=111)
        run(*own, "--mode", "setenv", status=64)
        run("-f", conf, "--mode", "setenv", "--", "/bin/true")
        # By the program's name, with PROGRAM's own options left to it.
        link = os.path.join(d, "perdition-pbs-setenv")
        os.symlink(PROGRAM, link)
        done = subprocess.run([link, *own, "/bin/echo", "-n", "--mode"],
                              capture_output=True, text=True, timeout=20)
        check(done.stdout == "--mode", "setenv by name: " + done.stderr)
        run(*own, "--no_daemon", "-F", "+", "-L", d, status=66)
        run(*base, "-F", "+", "-L", "", "-D", "/none/x.db", status=73)
        run(*own, "--no_daemon", "-L", "", "-F", "/none/log", status=73)
        run(*base, "--no_daemon", "-D", "x.db", status=78)


documents()
examples()
statuses()
sys.exit(1 if failures else 0)
