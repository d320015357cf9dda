# SPDX-License-Identifier: GPL-2.0-or-later
"""The popmap module mysql with a private MariaDB."""

import sqlmaptest
from harness import TestCase
from mariadb import MariaDb
from pki import Authority


class Mysql(sqlmaptest.Native, TestCase):
    module = "mysql"
    quote = "`"
    own = "?"
    owner = "mysql"
    wrong_password = "Access denied for user"
    read_only = "READ ONLY"

    def make_db(self, name):
        return MariaDb(self, name)

    def literal(self, text):
        return sqlmaptest.sql_quote(text.replace("\\", "\\\\"))

    def run_sql(self, text, db=None):
        super().run_sql("USE dbPerdition; " + text, db)

    def grant(self, table):
        """All of the database is readable."""

    def options(self, hosts=None, **values):
        return sqlmaptest.pair_text(
            hosts=",".join(f"127.0.0.1:{x.port}"
                           for x in hosts or [self.db]),
            **{k: v for k, v in values.items() if v is not None})

    def old_options(self):
        return f"127.0.0.1:{self.db.port}"

    def grant_all(self):
        self.run_sql("CREATE FUNCTION log_it() RETURNS INTEGER "
                     "MODIFIES SQL DATA RETURN (SELECT 1); "
                     "GRANT ALL ON dbPerdition.* TO perdition@'127.0.0.1';")

    def writing_query(self):
        return "INSERT INTO tblPerdition VALUES (:key, 'x', NULL) " \
               "RETURNING servername"

    def test_unix_socket(self):
        self.rows()
        self.front(sqlmaptest.pair_text(hosts=self.db.socket))
        self.arrives("alice", "a")
        self.front(f"{self.db.socket}::::perdition:perdition:servername")
        self.arrives("bob", "b")

    def test_trailing_blanks_and_case(self):
        self.rows()
        self.front(self.options())
        self.arrives("ALICE", "default")
        # As MySQL compares them; the name is the table's.
        self.arrives("alice ", "a")

    def test_keys_with_a_connection_killed(self):
        """By an administrator, between two looks."""
        self.rows()
        self.front(self.options())
        for _ in range(3):
            self.arrives("alice", "a")
            ids = self.db.sql("SELECT id FROM information_schema.processlist "
                              "WHERE user = 'perdition';").split()
            self.assertTrue(ids)
            self.db.sql("".join(f"KILL {x};" for x in ids))
        self.assertEqual(self.failures(), "")

    def test_autocommit_off_at_the_server(self):
        self.db.sql("SET GLOBAL autocommit = 0;")
        self.rows()
        self.db.sql("USE dbPerdition; COMMIT;")
        self.db.sql("SET GLOBAL autocommit = 1;")
        self.run_sql("DELETE FROM tblPerdition;")
        self.rows()
        self.db.sql("SET GLOBAL autocommit = 0;")
        self.front(self.options())
        self.arrives("alice", "a")
        self.db.sql("SET autocommit = 1; DELETE FROM dbPerdition.tblPerdition;")
        self.arrives("alice", "default")


class MysqlTls(sqlmaptest.Base, TestCase):
    module = "mysql"
    owner = "mysql"

    def setUp(self):
        super().setUp()
        self.ca = Authority(self.dir / "ca")

    def server(self, tls):
        self.db = self.start(MariaDb(self, tls=tls))
        self.db.make_table()
        self.db.sql("ALTER USER perdition@'127.0.0.1' "
                    + ("REQUIRE SSL;" if tls else "REQUIRE NONE;"))
        self.rows()
        self.place = f"hosts=127.0.0.1:{self.db.port}"

    def run_sql(self, text, db=None):
        (db or self.db).sql("USE dbPerdition; " + text)

    def test_tls(self):
        good = self.ca.issue("good", ["127.0.0.1", "localhost"])
        self.server((self.own_copy(good.cert), self.own_copy(good.key)))
        self.front(f"{self.place} tls=require")
        self.arrives("alice", "a")
        self.front(f"{self.place} tls_ca={self.ca.cert}")
        self.arrives("alice", "a")
        other = Authority(self.dir / "other")
        self.front(f"{self.place} tls=verify tls_ca={other.cert}")
        self.assertTrue(self.refused("alice"))
        self.front(self.place)
        self.assertTrue(self.refused("alice"))

    def test_tls_of_another_name(self):
        bad = self.ca.issue("bad", ["db.example.net"])
        self.server((self.own_copy(bad.cert), self.own_copy(bad.key)))
        self.front(f"{self.place} tls_ca={self.ca.cert}")
        self.assertTrue(self.refused("alice"))

    def test_server_without_tls(self):
        self.server(None)
        self.front(f"{self.place} tls=require")
        self.fails("alice", "the server does not speak TLS")
        self.front(f"{self.place} tls=verify tls_ca={self.ca.cert}")
        self.fails("alice", "does not support it")
