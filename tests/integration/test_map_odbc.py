# SPDX-License-Identifier: GPL-2.0-or-later
"""The popmap module odbc with private databases of PostgreSQL and SQLite."""

import os
import pathlib
import sqlite3

import sqlmaptest
from harness import TOP, TestCase
from postgres import Postgres


DRIVERS = {"Postgres": "psqlodbcw.so", "SQLite": "libsqlite3odbc.so"}


def driver(file):
    """The path of a driver of unixODBC."""
    for folder in ("/usr/lib", "/usr/lib64", "/usr/local/lib"):
        for path in sorted(pathlib.Path(folder).glob(f"**/odbc/{file}")):
            return str(path)
    raise AssertionError(f"{file} is not installed")


def data_sources(test, **sections):
    """A private odbc.ini and odbcinst.ini for the daemons that the test
    starts."""
    folder = test.subdir("odbc")
    _write_ini(folder / "odbc.ini", sections)
    _write_ini(folder / "odbcinst.ini", {
        name: {"Driver": driver(file)} for name, file in DRIVERS.items()})
    for key in ("ODBCSYSINI", "ODBCINI"):
        old = os.environ.get(key)
        test.addCleanup(_restore, key, old)
    os.environ["ODBCSYSINI"] = str(folder)
    os.environ["ODBCINI"] = "/nonexistent"


def _write_ini(path, sections):
    lines = [line for name, pairs in sections.items() for line in
             [f"[{name}]", *(f"{k} = {v}" for k, v in pairs.items())]]
    path.write_text("\n".join(lines) + "\n")


def _restore(key, old):
    if old is None:
        os.environ.pop(key, None)
    else:
        os.environ[key] = old


class OdbcPostgresql(sqlmaptest.Server, TestCase):
    module = "odbc"
    quote = '"'
    own = "?"
    owner = "postgres"
    wrong_password = "password authentication failed"

    def setUp(self):
        super().setUp()
        data_sources(self, mail={
            "Driver": "Postgres", "Servername": "127.0.0.1",
            "Port": self.db.port, "Database": "dbPerdition"})

    def make_db(self, name):
        return Postgres(self, name)

    def grant(self, table):
        self.run_sql(f"GRANT SELECT ON {table} TO perdition;")

    def options(self, hosts=None, **values):
        if hosts:
            values["hosts"] = ",".join(f"127.0.0.1:{x.port}" for x in hosts)
        values = {"database": "mail", **values}
        return sqlmaptest.pair_text(
            **{k: v for k, v in values.items() if v is not None})

    def old_options(self):
        return "::mail"

    def test_connection_string(self):
        self.rows()
        self.run_sql("ALTER ROLE perdition PASSWORD 'a;b}c=d';")
        text = f"DRIVER={driver('psqlodbca.so')};SERVER=127.0.0.1;" \
               f"PORT={self.db.port};DATABASE=dbPerdition"
        self.front(self.options(database=text, password="a;b}c=d"))
        self.arrives("alice", "a")
        self.front(self.options(database=text, password="a;b}c=x"))
        self.fails("alice", "password authentication failed")
        self.assertNotIn("a;b", self.daemon.output())


class OdbcSqlite(sqlmaptest.Table, TestCase):
    module = "odbc"
    # The driver unloads a library of unixODBC, and with it the last pointers
    # to what that has allocated.
    leaks = False
    quote = '"'
    own = "?"

    def setUp(self):
        super().setUp()
        folder = self.subdir("sqlite")
        self.file = folder / "popmap.sqlite"
        self.db = self.file
        self.run_sql((TOP / "contrib/sql/sqlite.sql").read_text())
        self.file.chmod(0o644)
        data_sources(self, mail={"Driver": "SQLite", "Database": self.file})

    def run_sql(self, text, db=None):
        with sqlite3.connect(self.file) as connection:
            connection.executescript(text)
        connection.close()

    def grant(self, table):
        """Whoever reads the file reads all of it."""

    def options(self, **values):
        return sqlmaptest.pair_text(**{"database": "mail", **values})

    def old_options(self):
        return "::mail"

    def test_file_is_not_there(self):
        self.file.unlink()
        self.front(self.options())
        self.assertTrue(self.refused("alice"))
        self.assertFalse(self.file.exists())

    def test_no_such_data_source(self):
        self.front(self.options(database="nothing", password="Wrong-W0rd"))
        self.fails("alice", "data source nothing: ")
        self.assertNotIn("Wrong-W0rd", self.daemon.output())
