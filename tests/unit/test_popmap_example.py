#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The example module builds outside the tree with nothing but the header that
is installed, and works by its path and by its name."""

import os
import shlex
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.path.abspath("../../perdition/perdition")
TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


class Example(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="perdition-module-")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)
        include = os.path.join(self.dir, "include", "perdition")
        os.makedirs(include)
        shutil.copy(os.path.join(TOP, "perdition/popmap.h"), include)
        source = shutil.copy(
            os.path.join(TOP, "contrib/popmap-module/popmap_modulo.c"),
            self.dir)
        self.module = os.path.join(self.dir, "popmap_modulo.so")
        subprocess.run(
            [*shlex.split(os.environ.get("CC", "cc")), "-Wall", "-Wextra",
             "-Werror", "-shared", "-fPIC", "-I",
             os.path.dirname(include), "-o", self.module, source], check=True)

    def route(self, library, options, user):
        conf = os.path.join(self.dir, "conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write('listen imap4://127.0.0.1:1143\nno_lookup\n'
                    'module_dir %s\nmap_library %s\nmap_library_opt "%s"\n'
                    % (self.dir, library, options))
        done = subprocess.run([PROGRAM, "-f", conf, "--route", user],
                              stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def test_works(self):
        for library in self.module, "modulo":
            status, said = self.route(library, "3 192.0.2. :99", "bob")
            self.assertEqual(status, 0, said)
            self.assertRegex(said, r"map +modulo, key \"bob\", .*: "
                             r'"192\.0\.2\.[012]:99"')

    def test_bad_options(self):
        status, said = self.route(self.module, "3", "bob")
        self.assertNotEqual(status, 0)
        self.assertIn("options are COUNT PREFIX SUFFIX", said)


if __name__ == "__main__":
    unittest.main()
