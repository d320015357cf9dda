#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How many users a second each popmap module finds, and how long one takes.

usage: bench_popmap.py --build DIR [--modules A,B,...] [--quick] [--runs N]
                       [--out FILE]

modules: regex regex-any hash bdb gdbm cdb daemon http ldap mysql postgresql odbc
         nis

Files hold a million users (regex: 10,000 rules; regex-any: 1,000 of which
nothing can be known beforehand; hash: 100 servers), databases 20,000.  Modules
that wait are asked by 4 processes with 64 questions under way, as a lookup
process does it, and beside that directly by 4 processes in a loop: what the
database gives to that many connections.  The last column is the ratio.
Databases are private servers on loopback; http asks a small service in Python,
which is what is slow there.  NIS wants a port mapper, a domain and /var/yp: as
root all happens in namespaces of its own, and nobody else can measure it.
Prints medians of the runs.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

CONNECTIONS, FLIGHT = 4, 64
ALL = ("regex regex-any hash bdb gdbm cdb daemon http ldap mysql postgresql "
       "odbc nis").split()
WAITING = "daemon http ldap mysql postgresql odbc nis".split()
INSIDE = "PERDITION_TEST_NAMESPACE"  # as tests/lib/nis.py wants it
ANSWERER = r"""
import sys
for line in sys.stdin:
    print(line.split(" ", 1)[0], "OK 192.0.2.1:143", flush=True)
"""


class Place:
    """What tests/lib wants of a test: a directory and its like."""

    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        self.daemons, self.cleanups = [], []

    def subdir(self, name, mode=0o755, owner=None):
        path = self.dir / name
        path.mkdir(parents=True)
        path.chmod(mode)
        if owner:
            shutil.chown(path, *owner)
        return path

    def start(self, daemon):
        daemon.start()
        self.daemons.append(daemon)
        return daemon

    def addCleanup(self, work, *args):  # as unittest calls it
        self.cleanups.append((work, args))

    def stop(self):
        for daemon in reversed(self.daemons):
            daemon.stop()
        for work, args in reversed(self.cleanups):
            work(*args)


class Maps:
    """(options, keys, how many) of each module, made when asked for."""

    def __init__(self, args, place):
        self.args, self.place = args, place
        self.users = 20000 if args.quick else 1000000
        self.rows = 2000 if args.quick else 20000

    def write(self, name, text):
        path = self.place.dir / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    # --- files -----------------------------------------------------------
    def regex(self):
        rules = "".join(
            f"'^user{n}@' mail{n % 9}.example.org\n" if n % 2 else
            f"'@d{n}[.]example[.]org$' mail.example.org\n"
            if n % 100 == 0 else
            f"'@d{n}\\.example\\.org$' mail{n % 9}.example.org\n"
            for n in range(10000))
        return self.write("popmap.re", rules), "user%u@d0.example.net", 10000

    def regex_any(self):
        rules = "".join(f"'user{n}([.]x)?@' mail.example.org\n"
                        for n in range(1000))
        return self.write("any.re", rules), "user%u@example.org", 1000

    def hash(self):
        pool = "".join(f"mail{n}.example.org\n" for n in range(100))
        return self.write("popmap.hash", pool), "user%u@example.org", 10 ** 6

    def made(self, tool, name):
        path = self.place.dir / name
        text = self.place.dir / "users"
        if not text.exists():
            with open(text, "w", encoding="ascii") as f:
                for n in range(self.users):
                    f.write(f"user{n}@example.org: mail{n % 97}.example.org\n")
        with open(text, "rb") as f:
            subprocess.run([f"{self.args.build}/perdition/modules/{tool}",
                            path], stdin=f, check=True)
        path.chmod(0o644)
        return path, "user%u@example.org", self.users

    def bdb(self):
        return self.made("makebdb", "popmap.bdb.db")

    def gdbm(self):
        return self.made("makegdbm", "popmap.gdbm.db")

    def cdb(self):
        return self.made("makecdb", "popmap.cdb")

    # --- others ----------------------------------------------------------
    def daemon(self):
        program = self.write("answerer.py", ANSWERER)
        return f"command={sys.executable} {program}", "user%u", 10 ** 6

    def http(self):
        import authhttp
        said = 200, [("Auth-Status", "OK"), ("Auth-Server", "192.0.2.1"),
                     ("Auth-Port", "143")]
        self.service = authhttp.AuthHttp(lambda *_: said)
        return self.service.url, "user%u", 10 ** 6

    def ldap(self):
        import slapd
        users = {f"user{n}": {"mailhost": f"mail{n % 97}.example.org"}
                 for n in range(self.rows)}
        server = self.place.start(slapd.Slapd(self.place, users))
        return (f"{server.url()}{slapd.BASE}?username,mailhost,port?one?"
                "(uid=%s)", "user%u", self.rows)

    def values(self):
        return ",".join(f"('user{n}','mail{n % 97}.example.org',143)"
                        for n in range(self.rows))

    def fill(self, server, table):
        server.make_table()
        server.sql(f"INSERT INTO {table} VALUES " + self.values())
        return server

    def mysql(self):
        import mariadb
        server = self.fill(self.place.start(mariadb.MariaDb(self.place)),
                           'dbPerdition.tblPerdition')
        return f"127.0.0.1:{server.port}", "user%u", self.rows

    def postgres(self):
        import postgres
        if not hasattr(self, "pg"):
            self.pg = self.fill(
                self.place.start(postgres.Postgres(self.place)),
                'tblPerdition')
        return self.pg

    def postgresql(self):
        return f"127.0.0.1:{self.postgres().port}", "user%u", self.rows

    def odbc(self):
        port = self.postgres().port
        self.write("odbc.ini", "[dbPerdition]\nDriver = PostgreSQL Unicode\n"
                   f"Servername = 127.0.0.1\nPort = {port}\n"
                   "Database = dbPerdition\n")
        os.environ["ODBCINI"] = str(self.place.dir / "odbc.ini")
        return "localhost", "user%u", self.rows

    def nis(self):
        import nis
        server = nis.Nis(self.place)
        server.make("user_mail_server", {
            b"user%d" % n: b"mail%d.example.org" % (n % 97)
            for n in range(self.rows)})
        server.bind()
        return "", "user%u", self.rows


def enter_namespace():
    os.environ[INSIDE] = "1"
    os.execvp("unshare", [
        "unshare", "--net", "--uts", "--mount", "--propagation", "private",
        "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable,
        *sys.argv])


def load(args, library, made, flight):
    options, keys, names = made
    done = subprocess.run(
        [f"{args.build}/tests/bench/popmap_load",
         f"{args.build}/perdition/modules/.libs", library, str(options), keys,
         str(names), str(args.seconds), str(CONNECTIONS), str(flight)],
        stdout=subprocess.PIPE, check=True, text=True)
    got = json.loads(done.stdout)
    if got["failed"] or not got["lookups"]:
        sys.exit(f"{library}: {got}")
    got["rate"] = got["lookups"] / got["seconds"]
    return got


def middle(runs, key):
    return statistics.median(r[key] for r in runs)


def show(name, runs, direct):
    line = (f"{name:<12} {middle(runs, 'rate'):>12,.0f} "
            f"{middle(runs, 'p50_us'):>9.1f} {middle(runs, 'p99_us'):>9.1f} "
            f"{middle(runs, 'pss_kib'):>9,.0f} "
            f"{100 * middle(runs, 'found') / middle(runs, 'lookups'):>6.1f}")
    if direct:
        rate = middle(direct, "rate")
        line += (f" {rate:>12,.0f} {middle(direct, 'p99_us'):>9.1f} "
                 f"{middle(runs, 'rate') / rate:>6.2f}")
    print(line, flush=True)


def measure(args, place):
    maps = Maps(args, place)
    results = {}
    print(f"{'module':<12} {'lookups/s':>12} {'p50 us':>9} {'p99 us':>9} "
          f"{'PSS KiB':>9} {'found%':>6} {'direct/s':>12} {'p99 us':>9} "
          f"{'ratio':>6}")
    for name in args.modules:
        library = name.partition("-")[0]
        made = getattr(maps, name.replace("-", "_"))()
        waits = name in WAITING
        runs, direct = [], []
        for _ in range(args.runs):
            runs.append(load(args, library, made, FLIGHT if waits else 1))
            if waits:
                direct.append(load(args, library, made, 0))
        results[name] = {"runs": runs, "direct": direct}
        show(name, runs, direct)
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--modules", default=",".join(ALL),
                        type=lambda s: s.split(","))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--out", default="bench-popmap-results.json")
    args = parser.parse_args()
    if isinstance(args.modules, str):
        args.modules = args.modules.split(",")
    args.build = os.path.abspath(args.build)
    args.runs = args.runs or (1 if args.quick else 3)
    args.seconds = 1 if args.quick else 4
    if not os.environ.get(INSIDE):  # nothing can be fetched from within
        subprocess.run(
            ["sh", "-c", '. "$0/packages.sh" && "$0/install-packages" '
             "$packages_popmap", HERE.parent / "lib"], check=True)
        if os.geteuid() == 0:
            enter_namespace()
    if os.geteuid() != 0 and "nis" in args.modules:
        print("nis: left out, it needs root")
        args.modules.remove("nis")
    with tempfile.TemporaryDirectory(prefix="perdition-bench-") as folder:
        os.chmod(folder, 0o755)
        os.environ["PERDITION_TEST_TMP"] = folder
        place = Place(folder)
        try:
            results = measure(args, place)
        finally:
            place.stop()
    with open(args.out, "w", encoding="ascii") as f:
        json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
