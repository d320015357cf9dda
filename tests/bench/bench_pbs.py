#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What perdition-pbs costs: from a login to the MTA, by the million.

usage: bench_pbs.py --build DIR [--parts A,B,...] [--quick] [--type TYPE]
                    [--out FILE]

parts: visible ingest setenv entries redis

visible: one login at a time on a quiet host, from its line in the log or its
record on the socket until a reader finds it: in the file, opened anew under
the lock as Sendmail does it, or by lookup_socket; and the same while 5,000
other logins a second come.  ingest: a log of sessions as perdition writes it,
read after a downtime, beside "grep -c Auth:" on the same file.  setenv: a
program run by it and run plainly.  entries: so many logins from as many
addresses through the socket, of one user and of as many users, what each costs
in memory, and a start with them.
redis: a host that knows nothing reads a million entries that others shared,
until it is up, beside a reader of the same stream that only throws it away.
"""

import argparse
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

# pylint: disable=wrong-import-position
from harness import children, wait_for
from machine import about, cpu, pss
from relaydb import RelayDb
from redisserver import Redis
from relayload import Logins, record

PARTS = ("visible", "ingest", "setenv", "entries", "redis")
LOAD = 5000  # logins a second
# As perdition writes them of one session (doc/perdition.8).
SESSION = (
    '{stamp} mx perdition.imap4[12]: Connect: {a}:999->198.51.100.1:143\n'
    '{stamp} mx perdition.imap4[12]: Auth: {a}:999->198.51.100.1:143 '
    'client-secure=plaintext authorisation_id=NONE authentication_id="user{n}" '
    'server="a:143" protocol=IMAP4 server-secure=plaintext status="ok"\n'
    '{stamp} mx perdition.imap4[12]: Closing session: {a}:999->198.51.100.1:143 '
    'authorisation_id=NONE authentication_id="user{n}" received=10 sent=1000\n')


def address(n):
    return f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" if n < 1 << 24 \
        else f"11.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"


def session(n):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    return SESSION.format(stamp=stamp, a=address(n), n=n)


class Pbs:
    """One daemon in a directory of its own."""

    def __init__(self, args, folder, **values):
        self.dir = pathlib.Path(folder)
        self.program = f"{args.build}/perdition-pbs/perdition-pbs"
        self.log, self.out = self.dir / "mail.log", self.dir / "output"
        self.log.touch()
        self.db = self.dir / "relay.db"
        values = {"db_file": f"{args.type}:{self.db}", "state_dir": self.dir,
                  "log_file": self.log, "socket": self.dir / "auth.sock",
                  "lookup_socket": self.dir / "lookup.sock",
                  "log_facility": self.out, "pid_file": "", "timeout": 86400,
                  "max_entries": 20000000, "max_new_per_second": 1000000000,
                  **values}
        self.argv = [self.program, "--no_daemon"]
        for name, value in values.items():
            self.argv += [f"--{name}", str(value)]
        if os.geteuid() == 0:
            self.argv += ["--user", "root"]
        self.sock = None

    def start(self):
        """Seconds that it took until all was there."""
        before = self.out.stat().st_size if self.out.exists() else 0
        began = time.monotonic()
        self.proc = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL)

        def ready():
            if self.proc.poll() is not None:
                sys.exit(f"perdition-pbs: status {self.proc.returncode}")
            with open(self.out, "rb") as f:
                f.seek(before)
                return b"event=start " in f.read()

        wait_for("start", lambda: self.out.exists() and ready(), 600, 0.005)
        took = time.monotonic() - began
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.dir / "auth.sock"))
        return took

    def stop(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait(600)

    def knows(self, addr):
        """By its lookup_socket, from memory."""
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(str(self.dir / "lookup.sock"))
            asked.sendall(f"get {addr}\n".encode())
            return asked.recv(100).startswith(b"yes")


def spread(values):
    """p50 and p99, ms."""
    values = sorted(values)
    return (1000 * statistics.median(values),
            1000 * values[min(len(values) - 1, int(len(values) * 0.99))])


def latency(tell, seen, first, count, gap):
    took = []
    for n in range(first, first + count):
        addr = f"198.18.{n >> 8}.{n & 255}"
        time.sleep(gap)
        began = time.monotonic()
        tell(addr)
        while not seen(addr):
            if time.monotonic() - began > 30:
                sys.exit(f"{addr} is never seen")
            time.sleep(0.0002)  # or a reader would have the lock for ever
        took.append(time.monotonic() - began)
    return spread(took)


def visible(args, folder):
    pbs = Pbs(args, folder)
    pbs.start()
    if args.type == "hash":
        db = RelayDb(pbs.db)
        in_file = db.get
    else:
        def in_file(addr):
            return subprocess.run(
                [pbs.program, "--mode", "list", "--db_file",
                 f"{args.type}:{pbs.db}", addr], capture_output=True,
                check=False).returncode == 0
    # More than one change a second over long is a load already.
    count, gap = (10, 0.3) if args.quick else (60, 1.1)

    def by_log(addr):
        with open(pbs.log, "a", encoding="ascii") as f:
            f.write(session(0).replace(address(0), addr))

    def by_stream(addr):
        pbs.sock.sendall(record(addr, int(time.time())))

    found, first = {}, 0
    for load in (None, Logins(pbs.dir / "auth.sock", LOAD)):
        if load:
            load.start()
        for how, tell in (("log", by_log), ("stream", by_stream)):
            for where, seen in (("file", in_file), ("socket", pbs.knows)):
                got = latency(tell, seen, first, count, gap)
                first += count
                what = f"{how} to {where}" + (", loaded" if load else "")
                found[what] = got
                row(f"visible: {what}", f"{got[0]:.2f} / {got[1]:.2f} ms",
                    "p50 / p99")
    load.end()
    lead = os.stat(pbs.db).st_mtime - time.time()
    row("file's time ahead, after that", f"{lead:.0f} s", "")
    pbs.stop()
    return {**found, "lead": lead}


def ingest(args, folder):
    pbs = Pbs(args, folder)
    pbs.start()
    pbs.stop()
    lines = 100000 if args.quick else 1000000
    with open(pbs.log, "a", encoding="ascii") as f:
        for n in range(lines // 3):
            f.write(session(n % 100000))
        f.write(session(0).replace(address(0), "198.18.0.1"))
    size = pbs.log.stat().st_size
    pbs.log.read_bytes()  # both read it from memory
    greps = []
    for _ in range(3):
        began = time.monotonic()
        # Not to /dev/null, for which grep reads no more than one line.
        subprocess.run(["grep", "-c", "Auth:", pbs.log], check=True,
                       stdout=subprocess.PIPE)
        greps.append(time.monotonic() - began)
    start = pbs.start()
    began = time.monotonic()
    while not pbs.knows("198.18.0.1"):
        time.sleep(0.001)
    # It reads from its start on, which was told a moment before.
    took = time.monotonic() - began
    used = cpu(pbs.proc.pid)
    pbs.stop()
    grep = statistics.median(greps)
    row("ingest: perdition-pbs", f"{size / took / 1e6:.0f} MB/s",
        f"{lines / took:,.0f} lines/s, {used:.2f} s of CPU")
    row("ingest: grep -c Auth:", f"{size / grep / 1e6:.0f} MB/s",
        f"perdition-pbs: {grep / took:.2f} of it")
    return {"bytes": size, "s": took, "grep_s": grep, "cpu_s": used,
            "start_s": start}


def setenv(args, folder):
    pbs = Pbs(args, folder)
    pbs.start()
    pbs.sock.sendall(record("203.0.113.77", int(time.time())))
    wait_for("entry", lambda: pbs.knows("203.0.113.77"))
    time.sleep(0.5)
    env = {**os.environ, "TCPREMOTEIP": "203.0.113.77"}
    plain = ["/bin/true"]
    ways = {
        "plain exec": plain,
        "of the file": [pbs.program, "--mode", "setenv", "--db_file",
                        f"{args.type}:{pbs.db}", "--", *plain],
        "of the daemon": [f"{pbs.program}-setenv", "--lookup_socket",
                          pbs.dir / "lookup.sock", "--", *plain]}
    took = {name: [] for name in ways}
    for _ in range(200 if args.quick else 1000):
        for name, argv in ways.items():
            began = time.monotonic()
            pid = os.posix_spawn(argv[0], argv, env)
            os.waitpid(pid, 0)
            took[name].append(time.monotonic() - began)
    pbs.stop()
    found = {name: spread(values) for name, values in took.items()}
    for name, ms in found.items():
        row(f"setenv: {name}", f"{ms[0]:.2f} / {ms[1]:.2f} ms", "p50 / p99" if
            name == "plain exec" else
            f"{ms[0] - found['plain exec'][0]:.2f} ms more")
    return found


def one_name(_):
    return "bob"


def own_name(n):
    return f"user{n:07}@example.org"


def fill(pbs, count, name):
    """Seconds that it took to take so many logins."""
    wanted = 0.0
    for first in range(0, count, 20000):
        when = int(time.time())
        text = b"".join(record(address(n), when, name(n))
                        for n in range(first, min(first + 20000, count)))
        began = time.monotonic()
        pbs.sock.sendall(text)
        wanted += time.monotonic() - began
    began = time.monotonic()
    while not pbs.knows(address(count - 1)):
        time.sleep(0.001)
    return wanted + time.monotonic() - began


def some_entries(args, place, count, name):
    what = f"entries: {count:,}{', own names' if name is own_name else ''}"
    place.mkdir()
    pbs = Pbs(args, place, log_file="")
    pbs.start()
    empty = pss(pbs.proc.pid)
    wanted = fill(pbs, count, name)
    cpu_s = cpu(pbs.proc.pid)
    row(what, f"{count / wanted:,.0f}/s",
        f"{1e6 * cpu_s / count:.2f} us of CPU each")
    began = time.monotonic()
    pbs.stop()
    stop = time.monotonic() - began
    start = pbs.start()
    start_cpu = cpu(pbs.proc.pid)
    # A child that writes the file shares the pages, so not at once.
    wait_for("the file", lambda: not children(pbs.proc.pid), 600, 0.1)
    held = pss(pbs.proc.pid) - empty
    row(f"{what}: memory", f"{1024 * held / count:.0f} bytes",
        "an entry, after a start, the library's cache included")
    row(f"{what}: start", f"{start:.1f} s",
        f"{start_cpu:.1f} s of CPU; end: {stop:.1f} s")
    pbs.stop()
    return {"per_s": count / wanted, "bytes": 1024 * held / count,
            "start_s": start, "start_cpu_s": start_cpu, "stop_s": stop}


def entries(args, folder):
    found = {}
    for count in (100000, 1000000) if args.quick else (1000000, 10000000):
        for name in (one_name, own_name):
            key = f"{count} {name.__name__}"
            found[key] = some_entries(
                args, pathlib.Path(folder, key.replace(" ", "-")), count, name)
    return found


class Place:
    """Where a Redis of our own lives."""

    def __init__(self, folder):
        self.dir = self.reports = pathlib.Path(folder)

    def subdir(self, name):
        (self.dir / name).mkdir()
        return self.dir / name


STREAM = "perdition-pbs:changes"


def tell(server, count):
    """As a host tells of so many logins, four KiB at most at a time."""
    client = server.client()
    text = b""
    for n in range(count + 1):
        if n == count or len(text) > 4096 - 1280:
            client("XADD", STREAM, "*", "v", "1", "from", "other/1",
                   "changes", text)
            text = b""
        text += f'open {address(n)} 86000000 0 "user{n}@example.org"\n'.encode()
    client.close()


def throw_away(server):
    """Seconds for all of the stream, in the pieces that perdition-pbs asks
    for, by a reader that looks at the ids only."""
    client = server.client()
    last, began = "0", time.monotonic()
    while found := client("XREAD", "COUNT", 64, "STREAMS", STREAM, last):
        last = found[0][1][-1][0]
    client.close()
    return time.monotonic() - began


def come_back(args, server, place):
    """A host that knows nothing reads what Redis has: perdition-pbs, the
    seconds that it took, and those of CPU."""
    place.mkdir()
    pbs = Pbs(args, place, log_file="", redis_server=server.address)
    pbs.start()
    began = time.monotonic()
    wait_for("redis-up", lambda: b"event=redis-up" in pbs.out.read_bytes(),
             120, 0.002)
    return pbs, time.monotonic() - began, cpu(pbs.proc.pid)


def redis(args, folder):
    count = 100000 if args.quick else 1000000
    server = Redis(Place(folder))
    server.start()
    try:
        tell(server, count)
        floor = statistics.median(throw_away(server) for _ in range(3))
        took, used = [], []
        for run in range(3):
            pbs, seconds, busy = come_back(
                args, server, pathlib.Path(folder, f"host{run}"))
            took.append(seconds)
            used.append(busy)
            if not pbs.knows(address(count - 1)):
                sys.exit("redis: the last entry is not there")
            pbs.stop()
    finally:
        server.stop()
    took, used = statistics.median(took), statistics.median(used)
    row(f"redis: {count:,} entries that were missed", f"{took:.2f} s",
        f"{used:.2f} s of CPU")
    row("redis: a reader that throws them away", f"{floor:.2f} s", "")
    return {"entries": count, "s": took, "cpu_s": used, "reader_s": floor}


def row(what, value, more):
    print(f"{what:<42} {value:>22}  {more}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", required=True, type=os.path.abspath)
    parser.add_argument("--parts", default=PARTS,
                        type=lambda s: tuple(s.split(",")))
    parser.add_argument("--type", default="hash",
                        choices=("hash", "lmdb", "cdb"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", default="bench-pbs-results.json")
    args = parser.parse_args()
    results = {"machine": about(), "type": args.type}
    print(results["machine"])
    for part in args.parts:
        with tempfile.TemporaryDirectory(prefix="perdition-bench-") as folder:
            results[part] = globals()[part](args, folder)
    with open(args.out, "w", encoding="ascii") as f:
        json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
