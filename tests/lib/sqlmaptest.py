# SPDX-License-Identifier: GPL-2.0-or-later
"""What every popmap module for an SQL database is tested for: perdition in
front of two real-servers and one more that is the default, and a private
database server that tells between them."""

import contextlib
import re
import shutil
import signal

from fakeserver import FakeServer, imap_server
from harness import free_port, wait_for
from lineclient import Imap
from pair import Perdition

FRONT = "127.0.0.1"
PASSWORD = "perdition"  # of contrib/sql


def conf(text):
    """text, to stand between double quotes in perdition.conf."""
    return "".join({'"': "'\"'", "'": "\"\\'\""}.get(c, c) for c in text)


def pair_text(**values):
    """key=value ..., quoted where it must be."""
    return " ".join(
        f"{key}=" + (str(value) if re.fullmatch(r"[^\s'\"]+", str(value))
                     else '"' + str(value).replace('"', '""') + '"')
        for key, value in values.items())


def sql_quote(text):
    return "'" + text.replace("'", "''") + "'"


class Base:
    """To be mixed into a TestCase: servers, perdition, logins, and rows for
    the default table in self.db."""

    module = None
    db = None
    leaks = True  # are looked for

    def setUp(self):
        super().setUp()
        self.notes = {"a": [], "b": [], "default": []}
        self.servers = {}
        for name, note in self.notes.items():
            self.servers[name] = FakeServer(imap_server(note=note))
            self.addCleanup(self.servers[name].close)
        self.a, self.b = self.servers["a"], self.servers["b"]

    def front(self, options, **values):
        self.port = free_port()
        daemon = Perdition(
            self, [("imap4", FRONT, self.port)], None,
            {"outgoing_server": self.servers["default"].address,
             "map_library": self.module, "map_library_opt": conf(options),
             **values}, name=f"perdition-{self.port}")
        if not self.leaks:
            daemon.env["ASAN_OPTIONS"] += ":detect_leaks=0"
        self.daemon = self.start(daemon)

    def login(self, user):
        """(where it arrived, what was said there, the client's answer)"""
        for note in self.notes.values():
            note.clear()
        with Imap(FRONT, self.port) as client:
            # Any byte may stand in a literal.
            user = user if isinstance(user, bytes) else user.encode()
            client.line(b"a1 LOGIN {%d}" % len(user))
            said = client.readline()
            if not said.startswith(b"+"):
                return None, b"", said
            client.line(user + b" secret")
            status = client.finish(b"a1")[0]
        for name, note in self.notes.items():
            for said in note:
                if said.upper().startswith(b"LOGIN"):
                    return name, said, status
        return None, b"", status

    def arrives(self, user, where, name=None):
        got = self.login(user)
        self.assertEqual(got[0], where, got)
        self.assertRegex(got[2], rb"^OK")
        if name is not None:
            self.assertEqual(got[1].split(b" ")[1].strip(b'"').decode(), name)

    def refused(self, user):
        got = self.login(user)
        return got[0] is None and got[2].startswith(b"NO [UNAVAILABLE]")

    def comes_back(self, user, where):
        wait_for(f"{user} at {where}", lambda: self.login(user)[0] == where)

    def fails(self, user, why):
        """A temporary failure, with why in the log."""
        self.assertTrue(self.refused(user), user)
        return self.daemon.wait_log(why)

    def failures(self):
        return "\n".join(self.daemon.log_lines("lookup-failed"))

    def old_lookup(self):
        return set(self.daemon.roles().get("lookup", []))

    # --- the table ---------------------------------------------------------
    def rows(self, db=None):
        """The usual ones."""
        db = db or self.db
        self.insert("alice", self.a.host, str(self.a.port), db=db)
        self.insert("bob", self.b.host, str(self.b.port), db=db)
        self.insert("carol", self.a.address, None, db=db)
        self.insert("dora", self.b.address, "", db=db)

    def insert(self, user, server, port, db=None):
        def text(x):
            return "NULL" if x is None else self.literal(x)
        self.run_sql("INSERT INTO tblPerdition VALUES ("
                     f"{text(user)}, {text(server)}, {text(port)});", db)

    def literal(self, text):
        return sql_quote(text)

    def run_sql(self, text, db=None):
        raise NotImplementedError

    def own_copy(self, path):
        """A key file that the database's user can read, and nobody else."""
        copy = self.dir / ("own-" + path.name)
        shutil.copy(path, copy)
        shutil.chown(copy, self.owner, self.owner)
        copy.chmod(0o600)
        return copy


class Table(Base):
    """Tests of any database; its table has the default names."""

    def options(self, **values):
        """key=value text for self.db."""
        raise NotImplementedError

    def old_options(self):
        """In the form of perdition 2.2, all defaults but the place."""
        raise NotImplementedError

    # --- tests -------------------------------------------------------------
    def test_found_and_not_found(self):
        self.rows()
        self.front(self.options())
        for user, where in (("alice", "a"), ("bob", "b"), ("carol", "a"),
                            ("dora", "b"), ("erik", "default")):
            self.arrives(user, where, user)

    def test_options_of_old(self):
        self.rows()
        self.front(self.old_options())
        self.arrives("alice", "a")
        self.arrives("dora", "b")
        self.arrives("nobody", "default")

    def test_user_of_another_name(self):
        self.run_sql("CREATE TABLE other (k VARCHAR(100), u VARCHAR(100), "
                     "s VARCHAR(100), p INTEGER);")
        self.grant("other")
        self.run_sql("INSERT INTO other VALUES "
                     f"('ann', 'x1@y', '{self.a.host}', {self.a.port});")
        self.run_sql("INSERT INTO other VALUES "
                     f"('ben', NULL, '{self.b.address}', 0);")
        names = {"table": "other", "server_column": "s", "port_column": "p",
                 "key_column": "k"}
        self.front(self.options(**names, user_column="u"),
                   username_from_database=True)
        self.arrives("ann", "a", "x1@y")
        self.arrives("ben", "b", "ben")
        self.front(self.options(**names, user_column=""),
                   username_from_database=True)
        self.arrives("ann", "a", "ann")

    def test_hostile_names(self):
        names = ["o'brien", 'quo"te', "per%cent", "under_score", "back\\slash",
                 "' OR '1'='1", "'; DROP TABLE tblPerdition; --", "a*)(b",
                 "sp ace", "$1", ":key", "?", "\u00fc\u00df\u20ac\U0001f600"]
        self.rows()
        for name in names:
            self.insert(name, self.a.address, None)
        self.front(self.options())
        for name in names:
            with self.subTest(name):
                self.arrives(name, "a")
        for name in ("%", "_lice", "alice'", "alice\\", "alice' -- ",
                     "' OR 1=1 -- ", "\\' OR 1=1 -- ", '" OR ""="',
                     "alice\u00fc", b"\xff\xfe", b"alice\xe4", b"\xc3",
                     b"\xed\xa0\x80", "x" * 500, "'" * 500):
            with self.subTest(name):
                self.arrives(name, "default")
        self.arrives("bob", "b")
        self.assertEqual(self.failures(), "")

    def test_thousand_bytes(self):
        self.rows()
        self.front(self.options(), query_key=r"\U\U")
        for name in ("x" * 500, "'" * 500, "\\" * 500, b"\xff" * 500,
                     "\u20ac" * 160):
            self.arrives(name, "default")
        self.assertEqual(self.failures(), "")

    def test_several_rows(self):
        self.run_sql("CREATE TABLE many (n INTEGER, u VARCHAR(100), "
                     "s VARCHAR(100));")
        self.grant("many")
        dead = f"127.0.0.1:{free_port()}"
        for n, (user, server) in enumerate((
                ("two", dead), ("two", self.b.address), ("two", self.a.address),
                *[("most", self.a.address)] * 16,
                *[("more", self.a.address)] * 17, ("none", None))):
            value = "NULL" if server is None else f"'{server}'"
            self.run_sql(f"INSERT INTO many VALUES ({n}, '{user}', {value});")
        self.front(self.options(
            query="SELECT s FROM many WHERE u = :key ORDER BY n"))
        self.arrives("two", "b")
        self.arrives("most", "a")
        self.fails("more", "more than 16 servers")
        self.arrives("none", "default")
        self.arrives("two", "b")  # after a refusal, too

    def test_too_long_values(self):
        self.run_sql("CREATE TABLE wide (u VARCHAR(100), s VARCHAR(5000), "
                     "n VARCHAR(5000));")
        self.grant("wide")
        good = self.a.address
        for user, server, name in (("s", "h" * 4000, "x"),
                                   ("n", good, "n" * 4000),
                                   ("sum", "h" * 400, "n" * 500),
                                   ("good", good, "n" * 500)):
            self.run_sql(f"INSERT INTO wide VALUES ('{user}', '{server}', "
                         f"'{name}');")
        self.front(self.options(
            query="SELECT s, n FROM wide WHERE u = :key"))
        for user in ("s", "n", "sum"):
            self.assertTrue(self.refused(user), user)
            self.daemon.wait_log(f"user={user} ")
        self.assertEqual([x for x in self.daemon.log_lines("lookup-failed")
                          if "longer than" not in x], [])
        self.arrives("good", "a")

    def test_query(self):
        self.rows()
        self.front(self.options(
            query="SELECT servername, NULL, port FROM tblPerdition "
                  "WHERE :domain = 'x.org' AND (\"user\" = :local "
                  "OR \"user\" = :user) AND :protocol = 'imap4'"
                  .replace('"', self.quote)))
        self.arrives("alice@x.org", "a")
        self.arrives("bob@x.org", "b")
        self.arrives("bob@y.org", "default")
        self.arrives("bob", "default")

    def test_query_of_the_databases_own_form(self):
        self.rows()
        self.front(self.options(
            query=f"SELECT servername, {self.quote}user{self.quote}, port "
                  f"FROM tblPerdition WHERE {self.quote}user{self.quote} = "
                  f"{self.own}"))
        self.arrives("alice", "a")
        self.arrives("x", "default")

    def test_bad_query_is_temporary(self):
        self.front(self.options(query="SELECT absent FROM nowhere "
                                      "WHERE x = :key"))
        self.fails("alice", "nowhere")
        self.front(self.options(query="SELECT 1, 2, 3, 4 FROM tblPerdition "
                                      "WHERE servername = :key"))
        self.fails("alice", "4 columns")

    def test_a_look_sees_what_is_there_now(self):
        self.rows()
        self.front(self.options())
        self.arrives("alice", "a")
        self.run_sql(f"UPDATE tblPerdition SET servername = '{self.b.host}', "
                     f"port = '{self.b.port}' "
                     f"WHERE {self.quote}user{self.quote} = 'alice';")
        self.arrives("alice", "b")
        self.run_sql("DELETE FROM tblPerdition;")
        self.arrives("alice", "default")

    def grant(self, table):
        raise NotImplementedError


class Server(Table):
    """The database is a server, self.db, to be ended and stopped."""

    # Parts of what the database says.
    wrong_password = None
    read_only = None

    def make_db(self, name):
        raise NotImplementedError

    def setUp(self):
        super().setUp()
        self.db = self.start(self.make_db("db"))
        self.db.make_table()

    def run_sql(self, text, db=None):
        (db or self.db).sql(text)

    def test_password_file(self):
        self.rows()
        file = self.dir / "password"
        file.write_text(PASSWORD + "\nsecond line\n")
        file.chmod(0o644)
        self.front(self.options(password_file=file, password=None))
        self.arrives("alice", "a")

    def test_wrong_password(self):
        self.rows()
        self.front(self.options(password="Wrong-W0rd"))
        self.fails("alice", self.wrong_password)
        self.assertNotIn("Wrong-W0rd", self.daemon.output())
        self.assertEqual(self.servers["default"].connections, 0)

    def test_server_ends_and_comes_back(self):
        self.rows()
        self.front(self.options())
        self.arrives("alice", "a")
        before = self.old_lookup()
        self.db.stop()
        self.assertTrue(self.refused("alice"))
        self.assertEqual(self.servers["default"].connections, 0)
        self.db.start()
        # Its connection was lost, and at once there is a new one.
        self.arrives("alice", "a")
        self.db.stop()
        self.db.start()
        self.arrives("bob", "b")
        self.assertEqual(self.old_lookup(), before)

    def test_server_is_not_there_yet(self):
        self.rows()
        self.db.stop()
        self.front(self.options())
        self.assertTrue(self.refused("alice"))
        self.db.start()
        self.arrives("alice", "a")

    @contextlib.contextmanager
    def hung(self, db):
        db.everybody(signal.SIGSTOP)
        try:
            yield
        finally:
            db.everybody(signal.SIGCONT)

    def test_server_hangs(self):
        self.rows()
        self.front(self.options(), map_timeout=3)
        with self.hung(self.db):  # there was no connection yet
            self.assertTrue(self.refused("alice"))
        self.comes_back("alice", "a")
        with self.hung(self.db):  # there is one
            self.assertTrue(self.refused("alice"))
        self.comes_back("alice", "a")

    def second(self):
        two = self.start(self.make_db("db2"))
        two.make_table()
        self.rows(two)
        return two

    def test_second_host(self):
        self.rows()
        two = self.second()
        self.front(self.options(hosts=[self.db, two]))
        self.arrives("alice", "a")
        self.run_sql("DELETE FROM tblPerdition;", two)
        self.arrives("alice", "a")  # so it was the first
        self.rows(two)
        self.db.stop()
        self.arrives("alice", "a")
        two.stop()
        line = self.fails("alice", f"{two.port}: ")[0]
        self.assertIn(f"{self.db.port}: ", line)
        self.db.start()
        self.arrives("bob", "b")

    def test_second_host_while_the_first_hangs(self):
        self.rows()
        two = self.second()
        self.front(self.options(hosts=[self.db, two]))
        with self.hung(self.db):
            self.arrives("alice", "a")
            self.arrives("bob", "b")

    def test_reload(self):
        self.rows()
        self.front(self.options(password="Wrong-W0rd"))
        self.assertTrue(self.refused("alice"))
        self.daemon.values["map_library_opt"] = conf(self.options())
        self.daemon.write_config()
        self.daemon.reload()
        self.comes_back("alice", "a")
        # What is wrong leaves the old in place.
        self.daemon.values["map_library_opt"] = conf("hosts= table=x")
        self.daemon.write_config()
        self.daemon.reload()
        self.daemon.wait_log("hosts: an empty host name")
        self.arrives("alice", "a")


class Native(Server):
    """With a module of its own, which is master of time and transactions."""

    def test_first_host_hangs_later(self):
        self.rows()
        two = self.second()
        self.front(self.options(hosts=[self.db, two]))
        self.arrives("alice", "a")
        with self.hung(self.db):
            self.arrives("alice", "a")
            self.arrives("bob", "b")

    def test_reads_only(self):
        self.rows()
        self.grant_all()
        self.front(self.options(query=self.writing_query()))
        self.fails("alice", self.read_only)
