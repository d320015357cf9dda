-- SPDX-License-Identifier: GPL-2.0-or-later
-- A table for perdition's popmap module mysql, with the names that it takes by
-- default; see popmap(5).  As an administrator of MariaDB or MySQL:
--
--   mysql < mysql.sql
--
-- Then choose a password other than the default.

CREATE DATABASE IF NOT EXISTS dbPerdition CHARACTER SET utf8mb4;
USE dbPerdition;

-- With a binary collation users are told apart by each letter's case and
-- accent, as most real-servers do.  512 bytes are the most that perdition
-- takes for a user.
CREATE TABLE tblPerdition (
    user       VARCHAR(512) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    servername VARCHAR(255) NOT NULL,
    port       VARCHAR(32) DEFAULT NULL,
    UNIQUE KEY (user)
) ENGINE = InnoDB;

-- perdition reads, nothing else.
CREATE USER 'perdition'@'localhost' IDENTIFIED BY 'perdition';
GRANT SELECT ON dbPerdition.tblPerdition TO 'perdition'@'localhost';
