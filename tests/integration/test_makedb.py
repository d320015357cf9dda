# SPDX-License-Identifier: GPL-2.0-or-later
"""perditiondb_makedb: what it writes is loaded by each database's own client,
and holds what the popmap's text said, whatever the keys are."""

import base64
import os
import pathlib
import pwd
import sqlite3
import subprocess

import pair
from harness import TOP, TestCase, is_root
from mariadb import MariaDb
from postgres import Postgres

OWNER = "openldap"

PLAIN = {
    "bob": [(None, "h1", None)],
    "carol": [(None, "h1.example.org", "10143")],
    "six": [(None, "[2001:db8::1]", "143")],
    "bare": [(None, "2001:db8::1", None)],
    "two": [(None, "z9", None), (None, "a1", "99"), (None, "m5", "imap")],
    "tls": [(None, "imaps://h2", "993"), (None, "h3?tls=starttls", None)],
}
USERS = {
    "al": [("alice", "h2", "143")],
    "same": [("x@y", "h1", "1"), ("x@y", "h2", None)],
    "differ": [("x", "h1", None), (None, "h2", "2"), ("y", "h3", None)],
    "scheme": [("u", "imaps://h4", None)],
}
HOSTILE = [
    "o'neill", "''", "'", '"', '""', "`", "\\", "\\\\", "a\\", "\\'", "a\\'b",
    "'); DROP TABLE tblPerdition; --", "\\'); DROP TABLE tblPerdition; #",
    "$1", "$$", "?", ":key", "%", "%s", "_", "*", ")(uid=*", "a,b", "a+b",
    "a=b", "a;b", "a<b>", "<", "#x", "a#", "a/b", "a:b", ":", "a b", "a\tb",
    "a\rb", "a\x1ab", "a\x01b", "a\x7fb", "Ärger", "ä ö", "日本", "🙂",
    "delimiter $$", "\\g", "\\q", ".quit", ";", "-- x", "/* x", "{x}", "~",
    "NULL", "x'00'", "E'x'", "version: 1", "dn: x", "k" * 240, "\\" * 80, "ä" * 120,
]


def every():
    keys = {**PLAIN, **USERS}
    keys.update({k: [(None, "h9", None)] for k in HOSTILE})
    return keys


def key_text(key):
    """As popmap text has it."""
    return "".join("\\" + c if c in ":#\\" else c for c in key)


def server_text(user, server, port):
    host, mark, tls = server.partition("?")
    return ((f"{user}@" if user else "") + host + (f":{port}" if port else "")
            + mark + tls)


def popmap(entries):
    return "".join(
        f"{key_text(key)}:{' , '.join(server_text(*s) for s in servers)}\n"
        for key, servers in entries.items()).encode()


def rows(entries, key_column):
    return [(key, *(s if key_column else s[1:]))
            for key, servers in entries.items() for s in servers]


def in_order(got, key):
    return [r for r in got if r[0] == key]


class MakeDb(TestCase):
    def makedb(self, *argv, text=b"", status=0, name="perditiondb_makedb"):
        done = subprocess.run(
            [pair.prefix() / "bin" / name, *argv], input=text,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
            env={**os.environ, **pair.sanitizer_env(self.reports)})
        self.assertEqual(done.returncode, status,
                         done.stderr.decode(errors="replace"))
        if status:
            self.assertEqual(done.stdout, b"")
            return done.stderr.decode(errors="replace")
        return done.stdout

    def key_sorted(self, got):
        return sorted(got, key=lambda r: tuple(x or "" for x in r))

    def holds(self, got, entries, key_column=True):
        """All rows, and several of one key in their order."""
        want = rows(entries, key_column)
        self.assertEqual(self.key_sorted(got), self.key_sorted(want))
        for key in ("two", "differ"):
            self.assertEqual(in_order(got, key), in_order(want, key))


class Program(MakeDb):
    def test_old_names(self):
        text = popmap(PLAIN)
        for kind in ("ldap", "mysql", "postgresql", "odbc"):
            with self.subTest(kind):
                self.assertEqual(
                    self.makedb(text=text, name=f"perditiondb_{kind}_makedb"),
                    self.makedb(kind, text=text))

    def test_help_and_version(self):
        self.assertIn(b"--key-column", self.makedb("--help"))
        self.assertIn(b"--base", self.makedb("ldap", "-h"))
        self.assertRegex(self.makedb("--version"),
                         rb"^perditiondb_makedb \(perdition\) \d")

    def test_usage(self):
        for argv in ([], ["oracle"], ["--base", "x"], ["ldap", "x"],
                     ["ldap", "--table", "x"], ["mysql", "--base", "x"],
                     ["mysql", "--bad"], ["mysql", "--table"],
                     ["mysql", "--table", "a b"], ["odbc", "--table", 'a"'],
                     ["odbc", "--table", "a;b"], ["odbc", "--table", ""],
                     ["odbc", "--columns", "a,b"],
                     ["odbc", "--columns", "a,b,c,d"],
                     ["odbc", "--columns", "a,b,c)"],
                     ["odbc", "--key-column", "x'"],
                     ["odbc", "--key-column", "k" * 64],
                     ["ldap", "--base", "a\nb"], ["ldap", "--base", b"\xff"]):
            with self.subTest(argv):
                self.makedb(*argv, text=b"bob:h1\n", status=64)

    def test_bad_lines(self):
        """Named by number, and nothing is written."""
        for kind in ("ldap", "mysql", "postgresql", "odbc"):
            for line, said in (
                    (b"a\0b:h", "NUL byte"), (b"a", "no colon"),
                    (b"a\xffb:h", "not UTF-8"), (b"a:h\xff", "not UTF-8"),
                    (b"a\xed\xa0\x80:h", "not UTF-8"),
                    (b"a\xc0\x80:h", "not UTF-8"), (b"a\xe4:h", "not UTF-8"),
                    (b"a:u@", "no server"),
                    (b"a:h,", "no server"), (b"ok:h", "again"),
                    (b"a:" + b",".join([b"h"] * 17), "more than 16")):
                with self.subTest(kind=kind, line=line):
                    said_all = self.makedb(
                        kind, text=b"ok:h\n\n" + line + b"\nfine:h\n",
                        status=65)
                    self.assertRegex(said_all, f"^stdin:3: .*{said}")
                    self.assertIn("nothing was written", said_all)

    def test_what_sql_has_no_place_for(self):
        for line, said in ((b"a:u@h", "--key-column"),
                           (b"k" * 513 + b":h", "key longer"),
                           (b"a:" + b"h" * 256, "server longer"),
                           (b"a:h:" + b"1" * 33, "port longer")):
            for kind in ("mysql", "postgresql", "odbc"):
                with self.subTest(kind=kind, line=line[:9]):
                    self.assertRegex(self.makedb(
                        kind, text=b"x:h\n" + line, status=65),
                        f"^stdin:2: .*{said}")
        for kind in ("mysql", "postgresql", "odbc"):
            self.makedb(kind, text=b"k" * 512 + b":h")
        # The user's column says it as well.
        self.assertIn(b"('a', 'h', NULL)",
                      self.makedb("odbc", text=b"a:a@h\n"))

    def test_what_a_directory_has_no_place_for(self):
        for text, said in (("bob:h\nBOB:h", "key of line 1 again"),
                           ("a  b:h\na b:h", "key of line 1 again"),
                           ("x:h\na:hö", "ASCII"), ("x:h\na:hö,h", "ASCII"),
                           ("x:h\na:ö@h,h", "ASCII"),
                           ("x:h\n" + "k" * 241 + ":h", "longer"),
                           ("x:h\n" + "," * 81 + ":h", "longer")):
            with self.subTest(text):
                self.assertRegex(self.makedb("ldap", text=text.encode(),
                                             status=65),
                                 f"^stdin:2: .*{said}")

    def test_full_output(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [pair.prefix() / "bin/perditiondb_makedb", "ldap"],
                input=b"bob:h\n", stdout=full, stderr=subprocess.PIPE,
                timeout=60)
        self.assertEqual(done.returncode, 74)


class Sqlite(MakeDb):
    def load(self, text, status=0):
        done = subprocess.run(["sqlite3", "-bail", self.dir / "db"],
                              input=text, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, status, done.stderr)

    def read(self, what, table="tblPerdition"):
        with sqlite3.connect(self.dir / "db") as db:
            return list(db.execute(f"SELECT {what} FROM {table}"))

    def test_all(self):
        entries = every()
        for _ in range(2):  # replaced, not added to
            self.load(self.makedb("odbc", "--key-column", "key",
                                  text=popmap(entries)))
            self.holds(self.read('"key", "user", servername, port'), entries)

    def test_default_table(self):
        self.load(self.makedb("odbc", text=popmap(PLAIN)))
        self.holds(self.read('"user", servername, port'), PLAIN, False)
        self.load(self.makedb("odbc"))
        self.assertEqual(self.read("*"), [])

    def test_names(self):
        text = self.makedb("odbc", "--table", '"t; x"', "--columns",
                           '"order",Host,"p q\'"', "--delimiter", "%",
                           text=b"a@b:a@b%h:1\n")
        self.load(text)
        self.assertEqual(self.read('"order", host, "p q\'"', '"t; x"'),
                         [("a@b", "h", "1")])

    def test_table_of_ones_own(self):
        with sqlite3.connect(self.dir / "db") as db:
            db.execute("CREATE TABLE t(u TEXT PRIMARY KEY, s TEXT, p TEXT)")
        argv = ("odbc", "--no-create", "--table", "t", "--columns", "u,s,p")
        self.load(self.makedb(*argv, text=b"a:h1\nb:h2\n"))
        # No second row, hence no change.
        self.load(self.makedb(*argv, text=b"a:h3\nb:h1,h2\n"), status=1)
        self.assertEqual(self.read("*", "t"),
                         [("a", "h1", None), ("b", "h2", None)])


class Mysql(MakeDb):
    def unhex(self, text):
        """What MySQL's HEX() printed."""
        return [tuple(None if f == "NULL" else bytes.fromhex(f).decode()
                      for f in line.split("\t"))
                for line in text.splitlines()]

    def test_all(self):
        server = self.start(MariaDb(self))
        server.sql("CREATE DATABASE d; SET GLOBAL sql_mode ="
                   " 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'")
        entries = every()
        use = b"USE d;\n"
        for mode in ("NO_BACKSLASH_ESCAPES,ANSI_QUOTES", ""):
            server.sql(f"SET GLOBAL sql_mode = '{mode}'")
            server.sql(use + self.makedb("mysql", "--key-column", "key",
                                         text=popmap(entries)))
            self.holds(self.unhex(server.sql(
                "SELECT HEX(`key`), HEX(user), HEX(servername), HEX(port)"
                " FROM d.tblPerdition")), entries)
        # What is found, it is by the key as it was written.
        self.assertEqual(server.sql(
            "SELECT COUNT(*) FROM d.tblPerdition WHERE `key` = 'BOB'"), "0\n")

        # A list that does not fit changes nothing.
        server.sql("USE d; CREATE TABLE t(user VARCHAR(9) UNIQUE, servername "
                   "VARCHAR(9), port VARCHAR(9)) ENGINE = InnoDB")
        server.sql(use + self.makedb("mysql", "--table", "t",
                                     text=b"bob:h1\n"))
        with self.assertRaises(AssertionError):
            server.sql(use + self.makedb("mysql", "--table", "t",
                                         text=b"a:h1\nbob:h2,h3\n"))
        self.assertEqual(server.sql("SELECT * FROM d.t"), "bob\th1\tNULL\n")


class Postgresql(MakeDb):
    def read(self, server, columns, table):
        got = server.sql(
            "SELECT " + " || '|' || ".join(
                f"coalesce(encode(convert_to({c}, 'UTF8'), 'hex'), 'NULL')"
                for c in columns) + f" FROM {table}", "postgres")
        return [tuple(None if f == "NULL" else bytes.fromhex(f).decode()
                      for f in line.split("|"))
                for line in got.splitlines()]

    def test_all(self):
        server = self.start(Postgres(self))
        entries = every()
        columns = ('"key"', '"user"', "servername", "port")
        for strings in ("off", "on"):
            server.sql("ALTER SYSTEM SET standard_conforming_strings = "
                       + strings, "postgres")
            server.sql("SELECT pg_reload_conf()", "postgres")
            server.sql(self.makedb("postgresql", "--key-column", "key",
                                   text=popmap(entries)), "postgres")
            self.holds(self.read(server, columns, "tblPerdition"), entries)

        server.sql(self.makedb("postgresql", "--table", "public.plain",
                               text=popmap(PLAIN)), "postgres")
        self.holds(self.read(server, columns[1:], "plain"), PLAIN, False)

        # A list that does not fit changes nothing.
        server.sql('CREATE TABLE t("user" TEXT PRIMARY KEY, servername TEXT,'
                   ' port TEXT)', "postgres")
        argv = ("postgresql", "--table", "t", "--no-create")
        server.sql(self.makedb(*argv, text=b"bob:h1\n"), "postgres")
        with self.assertRaises(AssertionError):
            server.sql(self.makedb(*argv, text=b"a:h1\nbob:h2,h3\n"),
                       "postgres")
        self.assertEqual(self.read(server, columns[1:], "t"),
                         [("bob", "h1", None)])


SLAPD_CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include {top}/contrib/ldap/perdition.schema
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
suffix "dc=nodomain"
directory {db}
"""

PARENTS = b"""\
dn: dc=nodomain
objectClass: dcObject
objectClass: organization
dc: nodomain
o: test

dn: ou=mailbox,dc=nodomain
objectClass: organizationalUnit
ou: mailbox

"""


class Ldap(MakeDb):
    def setUp(self):
        super().setUp()
        self.place = self.subdir("slapd", owner=(OWNER, OWNER))
        (self.place / "db").mkdir()
        (self.place / "conf").write_text(
            SLAPD_CONF.format(top=TOP, db=self.place / "db"))
        self.prefix = []
        if is_root():
            who = pwd.getpwnam(OWNER)
            os.chown(self.place / "db", who.pw_uid, who.pw_gid)
            self.prefix = ["setpriv", f"--reuid={who.pw_uid}",
                           f"--regid={who.pw_gid}", "--clear-groups"]

    def slap(self, tool, *argv):
        done = subprocess.run(
            [*self.prefix, f"/usr/sbin/{tool}", "-f", self.place / "conf",
             *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def load(self, text):
        for name, part in (("parents", PARENTS), ("users", text)):
            path = pathlib.Path(self.place / name)
            path.write_bytes(part)
            path.chmod(0o644)
            self.slap("slapadd", "-l", path)

    def entries(self):
        """{uid: {attribute: value}} of all users, as slapcat has them."""
        found = {}
        for block in self.slap("slapcat", "-o", "ldif-wrap=no").decode(
                ).split("\n\n"):
            entry = {}
            for line in block.splitlines():
                name, _, value = line.partition(":")
                if value.startswith(": "):
                    value = base64.b64decode(value[2:]).decode()
                else:
                    value = value[1:]
                entry.setdefault(name, []).append(value)
            if "mailhost" in entry:
                self.assertEqual(len(entry["uid"]), 1)
                found[entry["uid"][0]] = entry
        return found

    def test_all(self):
        entries = every()
        self.load(self.makedb("ldap", text=popmap(entries)))
        got = self.entries()
        self.assertEqual(sorted(got), sorted(entries))
        for uid, servers in entries.items():
            with self.subTest(uid):
                entry = got[uid]
                self.assertEqual(entry["objectClass"],
                                 ["account", "perditionPopmap"])
                users = {s[0] for s in servers}
                one = users.pop() if len(users) == 1 else None
                self.assertEqual(entry.get("username"), one and [one])
                if len(servers) == 1:
                    self.assertEqual(entry["mailhost"], [servers[0][1]])
                    self.assertEqual(entry.get("port"),
                                     servers[0][2] and [servers[0][2]])
                    continue
                self.assertNotIn("port", entry)
                self.assertEqual(entry["mailhost"], [",".join(
                    server_text(None if one else u, s, p)
                    for u, s, p in servers)])

    def test_options(self):
        self.load(self.makedb(
            "ldap", "--base", "dc=nodomain", "--object-classes",
            "perditionMailbox", "--delimiter", "#", text=b"a:b@c#h:1\n"))
        entry = self.entries()["a"]
        self.assertEqual(entry["dn"], ["uid=a,dc=nodomain"])
        self.assertEqual(entry["objectClass"], ["perditionMailbox"])
        self.assertEqual(entry["username"], ["b@c"])
        self.assertEqual((entry["mailhost"], entry["port"]), (["h"], ["1"]))
