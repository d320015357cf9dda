-- SPDX-License-Identifier: GPL-2.0-or-later
-- A table for perdition's popmap module postgresql, with the names that it
-- takes by default; see popmap(5).  As a superuser of PostgreSQL:
--
--   psql -f postgresql.sql postgres
--
-- Then choose a password other than the default.  The database's name has a
-- capital letter; that of the table is folded to small letters, as always
-- without double quotes.

CREATE DATABASE "dbPerdition" ENCODING 'UTF8' TEMPLATE template0;
\connect dbPerdition

CREATE TABLE tblPerdition (
    "user"     VARCHAR(512) PRIMARY KEY,
    servername VARCHAR(255) NOT NULL,
    port       VARCHAR(32)
);

-- perdition reads, nothing else.
CREATE ROLE perdition LOGIN PASSWORD 'perdition';
GRANT SELECT ON tblPerdition TO perdition;
