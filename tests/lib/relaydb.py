# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads the Berkeley DB file as an MTA does: opened anew for each look, under
a shared lock, never written.  (dbm.ndbm of Debian's python3 is Berkeley DB.)
"""

import dbm.ndbm
import fcntl
import os
import pathlib


class RelayDb:
    def __init__(self, path):
        self.path = pathlib.Path(path)

    def _open(self):
        # ndbm adds the .db itself.
        return dbm.ndbm.open(str(self.path.with_suffix("")), "r")

    def _locked(self, read):
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            db = self._open()
            try:
                return read(db)
            finally:
                db.close()
        finally:
            os.close(fd)

    def get(self, key):
        """The value as text, or None; None too while there is no file."""
        try:
            value = self._locked(lambda db: db.get(key.encode()))
        except FileNotFoundError:
            return None
        return None if value is None else value.decode()

    def all(self):
        return self._locked(lambda db: {
            k.decode(errors="replace"): db[k].decode(errors="replace")
            for k in db.keys()})


def write(path, entries):
    """Make a database of entries, for tests of what reads one."""
    path = pathlib.Path(path)
    db = dbm.ndbm.open(str(path.with_suffix("")), "n", 0o644)
    for key, value in entries.items():
        db[key.encode()] = value.encode()
    db.close()
    path.chmod(0o644)
