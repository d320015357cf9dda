# SPDX-License-Identifier: GPL-2.0-or-later
"""The popmap module postgresql with a private PostgreSQL."""

import sqlmaptest
from harness import TestCase
from pki import Authority
from postgres import Postgres


class Postgresql(sqlmaptest.Native, TestCase):
    module = "postgresql"
    quote = '"'
    own = "$1"
    owner = "postgres"
    wrong_password = "password authentication failed"
    read_only = "read-only transaction"

    def make_db(self, name):
        return Postgres(self, name)

    def grant(self, table):
        self.run_sql(f"GRANT SELECT ON {table} TO perdition;")

    def options(self, hosts=None, **values):
        return sqlmaptest.pair_text(
            hosts=",".join(f"127.0.0.1:{x.port}"
                           for x in hosts or [self.db]),
            **{k: v for k, v in values.items() if v is not None})

    def old_options(self):
        return f"127.0.0.1:{self.db.port}"

    def grant_all(self):
        self.run_sql("CREATE TABLE seen (u TEXT); "
                     "GRANT ALL ON seen TO perdition; "
                     "CREATE FUNCTION log_it(t TEXT) RETURNS TEXT LANGUAGE sql "
                     "AS 'INSERT INTO seen VALUES (t) RETURNING u';")

    def writing_query(self):
        return "SELECT log_it(:key)"

    def test_unix_socket(self):
        self.rows()
        self.front(sqlmaptest.pair_text(hosts=self.db.dir, port=self.db.port))
        self.arrives("alice", "a")

    def test_ipv6_host(self):
        self.db.stop()
        self.db.argv += ["-c", "listen_addresses=127.0.0.1,::1"]
        self.db.start()
        self.rows()
        self.front(f"[::1]:{self.db.port}")
        self.arrives("alice", "a")
        self.front(f"hosts=[::1]:{self.db.port}")
        self.arrives("bob", "b")

    def test_columns_of_fixed_width_and_names_in_quotes(self):
        self.run_sql('CREATE TABLE "Wide Ones" ("K" CHAR(40), u CHAR(40), '
                     's CHAR(60), p CHAR(9));'
                     'GRANT SELECT ON "Wide Ones" TO perdition;'
                     f"INSERT INTO \"Wide Ones\" VALUES ('ann', 'ann2', "
                     f"'{self.a.host}', '{self.a.port}');")
        self.front("hosts=127.0.0.1 port=%d table='public.\"Wide Ones\"' "
                   "key_column='\"K\"' user_column=U server_column=s "
                   "port_column=p" % self.db.port,
                   username_from_database=True)
        self.arrives("ann", "a", "ann2")
        self.arrives("Ann", "default")

    def test_a_query_with_casts_and_quotes(self):
        self.rows()
        self.front(self.options(query=(
            "SELECT servername, E'it\\'s :x'::text, port FROM tblPerdition "
            "WHERE /* :no /* nested */ */ \"user\" = $q$:a$q$ || "
            "substr(:key::text, 1) -- :y"
            ).replace("$q$:a$q$", "$q$$q$")))
        self.arrives("alice", "a")

    def test_database_of_another_encoding(self):
        """Characters that it has are found, others are not, and neither is an
        error."""
        self.db.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE "
                    "template0 LC_COLLATE 'C' LC_CTYPE 'C';")
        self.db.sql("CREATE TABLE t (k TEXT, s TEXT);"
                    "GRANT SELECT ON t TO perdition;"
                    f"INSERT INTO t VALUES ('\u00fc', '{self.a.address}');",
                    "latin")
        self.front(self.options(database="latin",
                                query="SELECT s FROM t WHERE k = :key"))
        self.arrives("\u00fc", "a")
        self.arrives("\u20ac", "default")
        self.arrives(b"\xfc", "default")
        self.arrives("\u00fc", "a")
        self.assertEqual(self.failures(), "")

    def test_a_number_is_asked_for(self):
        """What cannot be a number is an error of the query, and the
        connection goes on."""
        self.rows()
        self.front(self.options(
            query="SELECT servername FROM tblPerdition WHERE "
                  "length(\"user\") = :key::integer AND servername LIKE '%:%'"))
        self.fails("x", "invalid input syntax")
        ids = self.clients()
        self.assertTrue(self.refused("y"))
        self.assertEqual(self.login("4")[2][:2], b"OK")
        self.assertTrue(ids & self.clients())

    def clients(self):
        return set(self.db.sql("SELECT pid FROM pg_stat_activity WHERE "
                               "usename = 'perdition';").split())

    def test_connection_killed(self):
        self.rows()
        self.front(self.options())
        for _ in range(3):
            self.arrives("alice", "a")
            self.db.sql("SELECT pg_terminate_backend(pid, 5000) FROM "
                        "pg_stat_activity WHERE usename = 'perdition';")
        self.assertEqual(self.failures(), "")

    def test_slow_query(self):
        """The server is not left with it."""
        self.front(self.options(
            query="SELECT pg_sleep(600)::text WHERE :key <> ''"),
            map_timeout=2)
        self.assertTrue(self.refused("alice"))
        sqlmaptest.wait_for("the end of the query", lambda: self.db.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'perdition'"
            " AND state = 'active';").strip() == "0")


class PostgresqlTls(sqlmaptest.Base, TestCase):
    module = "postgresql"
    owner = "postgres"

    def server(self, names):
        ca = self.ca = Authority(self.dir / "ca")
        tls = None
        if names:
            pair = ca.issue("server", names)
            tls = self.own_copy(pair.cert), self.own_copy(pair.key)
        self.db = self.start(Postgres(self, tls=tls))
        self.db.make_table()
        self.rows()
        self.place = f"hosts=127.0.0.1:{self.db.port}"

    def run_sql(self, text, db=None):
        (db or self.db).sql(text)

    def test_tls(self):
        self.server(["127.0.0.1"])
        for more in ("tls=require", f"tls_ca={self.ca.cert}", "tls=none",
                     "tls=prefer", ""):
            self.front(f"{self.place} {more}")
            self.arrives("alice", "a")
        other = Authority(self.dir / "other")
        self.front(f"{self.place} tls=verify tls_ca={other.cert}")
        self.fails("alice", "certificate verify failed")

    def test_tls_of_another_name(self):
        self.server(["db.example.net"])
        self.front(f"{self.place} tls_ca={self.ca.cert}")
        self.fails("alice", "does not match host name")

    def test_server_without_tls(self):
        self.server(None)
        for more in ("tls=require", f"tls_ca={self.ca.cert}"):
            self.front(f"{self.place} {more}")
            self.fails("alice", "server does not support SSL")
