-- SPDX-License-Identifier: GPL-2.0-or-later
-- A table for perdition's popmap module odbc with SQLite's driver, with the
-- names that it takes by default; see popmap(5).
--
--   sqlite3 /etc/perdition/popmap.sqlite < sqlite.sql
--
-- The user that perdition runs as must be able to read the file.

CREATE TABLE tblPerdition (
    "user"     TEXT NOT NULL PRIMARY KEY,
    servername TEXT NOT NULL,
    port       TEXT
);
