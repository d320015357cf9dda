#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""perdition --route: what it shows of keys, maps, names and servers, and its
statuses.  Needs neither root nor a real-server."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

PROGRAM = os.path.abspath("../../perdition/perdition")
MODULES = os.path.abspath("../../perdition/modules/.libs")


class Route(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="perdition-route-")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return path

    def route(self, conf, *args):
        """(status, lines shown, what was said on standard error)"""
        path = self.write("conf", "module_dir %s\n%s" % (MODULES, conf))
        done = subprocess.run([PROGRAM, "-f", path, *args],
                              stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=60)
        return done.returncode, done.stdout.splitlines(), done.stderr

    def conf(self, rules, *lines, listen="imap4://127.0.0.1:1143"):
        return "\n".join(["listen " + listen, "map_library regex",
                          "map_library_opt " + self.write("re", rules),
                          *lines, ""])

    def shows(self, lines, *patterns):
        for pattern in patterns:
            self.assertTrue(any(re.fullmatch(pattern, l) for l in lines),
                            "%s in\n%s" % (pattern, "\n".join(lines)))

    def test_found(self):
        status, lines, err = self.route(self.conf(
            "^x$: 192.0.2.9\n^bob$: robert@192.0.2.1:99,[2001:db8::1]\n",
            'query_key "\\U,\\u,@\\d"', "username_from_database",
            "ssl_mode tls_outgoing",
            "lower_case remote_login"), "--route", "bob@Example.org",
            "--from", "192.0.2.7:4711")
        self.assertEqual(status, 0)
        self.assertIn("names another user", err)  # of the second server
        self.shows(
            lines, 'user +"bob@Example.org"',
            "connection +from 192.0.2.7:4711 to 127.0.0.1:1143, imap4, "
            "TLS none",
            r'map +regex, key "bob@Example.org", \d+\.\d+ ms: not found',
            r'map +regex, key "bob", .*: "robert@192.0.2.1:99", '
            r'"\[2001:db8::1\]"',
            'name +servername_lookup: "bob@Example.org"',
            'name +remote_login: "robert"',
            r"server +192.0.2.1:99 \(192.0.2.1\), TLS starttls_optional",
            "because +map regex says so.*")
        self.assertFalse([l for l in lines if "2001" in l and "server" in l
                          and "map" not in l])

    def test_several_maps(self):
        second = self.write("re2", "^al$: 192.0.2.2\n")
        status, lines, _ = self.route(self.conf(
            "^bob$: 192.0.2.1\n", "map_library regex",
            "map_library_opt " + second), "--route", "al")
        self.assertEqual(status, 0)
        maps = [l for l in lines if l.startswith("map")]
        self.assertEqual(len(maps), 2)
        self.assertIn("not found", maps[0])
        self.assertIn("192.0.2.2", maps[1])

    def test_defaults(self):
        conf = self.conf("^bob$: 192.0.2.1\n",
                         "outgoing_server 192.0.2.5,192.0.2.6:7")
        status, lines, _ = self.route(conf, "--route", "al")
        self.assertEqual(status, 0)
        self.shows(lines, r"or server +192.0.2.5:143 .*",
                   r"or server +192.0.2.6:7 .*",
                   "because +no map has such a user: outgoing_server, in turn")
        status, lines, _ = self.route(
            'listen pop3://*:1110\nmap_library ""\noutgoing_server 192.0.2.5\n',
            "--route", "al")
        self.assertEqual(status, 0)
        self.shows(lines, r"or server +192.0.2.5:110 .*",
                   "because +there is no map: outgoing_server, in turn")

    def test_statuses(self):
        conf = self.conf("^bad$: 'not a host'\n", "no_lookup",
                         "client_server_specification")
        for user, want, text in (
                ("al", 67, "no such user"), ("bad", 75, "not a server"),
                ("al@no host", 65, "not a server")):
            status, lines, _ = self.route(conf, "--route", user)
            self.assertEqual(status, want, lines)
            self.shows(lines, "because .*" + text + ".*")
        status, lines, _ = self.route(conf, "--route", "al@192.0.2.3")
        self.assertEqual(status, 0)
        self.shows(lines, "because +the user says so.*")

    def test_hostile_name(self):
        status, lines, _ = self.route(self.conf("^a: 192.0.2.1\n"),
                                      "--route", 'a\n"because" x\x1b[2J')
        self.assertEqual(status, 0)
        self.shows(lines, r'user +"a\\x0a\\"because\\" x\\x1b\[2J"')

    def test_listener_by_address(self):
        conf = self.conf("^143$: 192.0.2.1\n^110$: 192.0.2.2\n",
                         "listen pop3s://*:995", "listen pop3://*:110",
                         'query_key "\\P"', listen="imap4://*:143")
        for to, want in (("127.0.0.1:143", "192.0.2.1:143"),
                         ("[::1]:110", "192.0.2.2:110")):
            status, lines, err = self.route(conf, "--route", "x", "--to", to)
            self.assertEqual((status, err), (0, ""))
            self.shows(lines, "server +" + want + " .*")
        for args in (("--to", "127.0.0.1:99"), ("--to", "localhost"),
                     ("--from", "x")):
            status, _, err = self.route(conf, "--route", "x", *args)
            self.assertEqual(status, 64)
            self.assertIn(args[0], err)

    def test_map_that_cannot_be_opened(self):
        status, _, err = self.route(
            "listen imap4://127.0.0.1:1143\nmap_library regex\n"
            "map_library_opt /nonexistent/re\n", "--route", "x")
        self.assertEqual(status, 66)
        self.assertIn("/nonexistent/re", err)


if __name__ == "__main__":
    unittest.main()
