#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration in doc/tls.md is taken as it stands there, with
certificates at the places that it names; and every option in the guide is
one."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SRC = pathlib.Path(os.environ.get("srcdir", os.path.dirname(
    os.path.abspath(__file__)))).resolve()
TOP = SRC.parent.parent
BUILD = pathlib.Path.cwd().parent.parent
PROGRAM = BUILD / "perdition/perdition"
GUIDE = TOP / "doc/tls.md"


def tested(name):
    """The indented block behind <!-- tested: NAME -->."""
    _, found, rest = GUIDE.read_text(encoding="utf-8").partition(
        f"<!-- tested: {name} -->\n")
    assert found, name
    lines = []
    for line in rest.splitlines():
        if line and not line.startswith("    "):
            break
        lines.append(line[4:])
    return "\n".join(lines) + "\n"


def perdition(*args):
    return subprocess.run([PROGRAM, *args], capture_output=True, text=True,
                          timeout=30, check=False)


class Guide(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.dir = pathlib.Path(scratch.name)
        self.dir.chmod(0o755)

    def certificate(self, folder, *newkey):
        folder.mkdir(parents=True)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", *newkey, "-nodes", "-days",
             "30", "-subj", "/CN=mail.example.org", "-addext",
             "subjectAltName=DNS:mail.example.org", "-keyout",
             folder / "privkey.pem", "-out", folder / "fullchain.pem"],
            check=True, capture_output=True, timeout=60)

    def install(self):
        """The guide's files, with this directory in place of /."""
        live = self.dir / "etc/letsencrypt/live"
        self.certificate(live / "mail.example.org", "ec", "-pkeyopt",
                         "ec_paramgen_curve:P-256")
        self.certificate(live / "mail.example.org-rsa", "rsa:2048")
        (live / "README").write_text("not a certificate\n")
        etc = self.dir / "etc/perdition"
        etc.mkdir()
        shutil.copy(live / "mail.example.org/fullchain.pem",
                    etc / "real-servers.pem")
        (etc / "popmap.re").write_text(tested("popmap.re"))
        conf = etc / "perdition.conf"
        conf.write_text(
            tested("perdition.conf").replace("/etc/", f"{self.dir}/etc/")
            + f"module_dir {BUILD}/perdition/modules/.libs\n"
            + 'pid_file ""\nno_daemon\nlog_facility -\n')
        return conf

    def test_configuration(self):
        done = perdition("--check_config", "--config_file", self.install())
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        # The certificates are told, and no warning.
        self.assertEqual(done.stderr.count("event=certificate "), 4)
        self.assertNotIn("event=config ", done.stderr)

    def test_it_is_looked_at(self):
        """Without one of its files it is not taken."""
        conf = self.install()
        for path in list(self.dir.rglob("*.pem")):
            with self.subTest(path=path.relative_to(self.dir)):
                away = path.with_name("away")
                path.rename(away)
                done = perdition("--check_config", "--config_file", conf)
                self.assertIn(done.returncode, (66, 78))
                self.assertIn(str(path), done.stderr)
                away.rename(path)

    def test_options(self):
        known = set(re.findall(r"--(\w+)", perdition("--help").stdout))
        named = set(re.findall(r"`(ssl_\w+)`", GUIDE.read_text()))
        # Values of ssl_mode, not options.
        named -= {"ssl_listen", "ssl_outgoing"}
        self.assertGreater(len(named), 15)
        self.assertEqual(named - known, set())

    def test_every_loosening_has_its_row(self):
        """What it lets pass, what can happen, and what is better."""
        known = re.findall(r"--(ssl_(?:no|ca|cert)_\w+)",
                           perdition("--help").stdout)
        loosening = {x for x in known
                     if "accept" in x or x.endswith("_verify")}
        self.assertEqual(len(loosening), 7, loosening)
        table = GUIDE.read_text().partition("## What each loosening risks")[2]
        for option in loosening:
            row = re.search(rf"^\| `{option}` \|(.*)\|$", table, re.M)
            self.assertIsNotNone(row, option)
            cells = [x.strip() for x in row[1].split("|")]
            self.assertEqual(len(cells), 3)
            self.assertTrue(all(cells), option)


if __name__ == "__main__":
    if shutil.which("openssl") is None:
        print("the openssl command is not there")
        sys.exit(77)
    sys.exit(not unittest.main(exit=False).result.wasSuccessful())
