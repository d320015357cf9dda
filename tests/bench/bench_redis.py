#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a million entries cost in Redis, by how they are kept there.

usage: bench_redis.py [--build DIR] [--count N] [--out FILE]

For each way a redis-server of its own on a Unix socket is filled; told are its
memory (used_memory, less that of an empty one), how long it takes to read all
of it back in pieces of some thousand entries, and how much of that is the
server's own time.  The reader takes the replies apart no further than it has to.  With --build: also how long
perdition-pbs takes for the streams, until it is up.

stream: as hosts do that have much to tell, up to 4 KiB of changes an entry.
trickle: the same stream, each change told alone.  keys: a key for each address
with an expiry, read by SCAN and MGET; its value is when it expires, which MGET
does not tell, and the user.  sets: a sorted set of addresses by when they
expire, and a hash of users, read by ZRANGE and HMGET.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

# pylint: disable=wrong-import-position
from bench_pbs import STREAM, Place, address, come_back, row, tell
from machine import about, cpu
from redisserver import Redis

LIFE = 86000000  # ms
PIECE = 1000  # entries written or read at a time
RUNS = 3


def encode(*words):
    words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%s\r\n" % (len(w), w) for w in words)


class Raw:
    """A connection whose replies are bytes."""

    END = b"+PONG\r\n"

    def __init__(self, server):
        self.sock = server.client().sock
        self.sock.settimeout(60)

    def __call__(self, *commands):
        self.sock.sendall(b"".join(commands) + encode("PING"))
        pieces = []
        while not pieces or not pieces[-1].endswith(self.END):
            piece = self.sock.recv(1 << 20)
            if not piece:
                raise ConnectionError("the server is gone")
            if len(piece) < len(self.END) and pieces:
                piece = pieces.pop() + piece
            pieces.append(piece)
        reply = b"".join(pieces)[:-len(self.END)]
        if reply.startswith(b"-"):
            raise RuntimeError(reply[:100])
        return reply

    def close(self):
        self.sock.close()


def user(n):
    return f"user{n}@example.org"


def pieces(count):
    for first in range(0, count, PIECE):
        yield range(first, min(first + PIECE, count))


def fill_stream(server, _raw, count):
    tell(server, count)


def fill_trickle(_server, raw, count):
    for piece in pieces(count):
        raw(*(encode("XADD", STREAM, "*", "v", "1", "from", "other/1",
                     "changes", f'open {address(n)} {LIFE} 0 "{user(n)}"\n')
              for n in piece))


def read_stream(raw, count):
    last, found = b"0-0", 0
    while reply := raw(encode("XREAD", "COUNT", count, "STREAMS", STREAM,
                              last)):
        if reply == b"*-1\r\n":
            return found
        found += reply.count(b"open ")
        last = re.findall(rb"\r\n(\d+-\d+)\r\n", reply[-6000:])[-1]
    raise AssertionError("no reply")


def fill_keys(_server, raw, count):
    expires = int(time.time() * 1000) + LIFE
    for piece in pieces(count):
        raw(*(encode("SET", f"perdition-pbs:{address(n)}",
                     f"{expires} {user(n)}", "PX", LIFE) for n in piece))


def read_keys(raw, _count):
    cursor, found = b"0", 0
    while True:
        lines = raw(encode("SCAN", cursor, "COUNT", PIECE)).split(b"\r\n")
        cursor, keys = lines[2], lines[5::2]
        if keys:
            found += raw(encode("MGET", *keys)).count(b"@example")
        if cursor == b"0":
            return found


def fill_sets(_server, raw, count):
    expires = int(time.time() * 1000) + LIFE
    for piece in pieces(count):
        scores, users = [], []
        for n in piece:
            scores += [expires + n, address(n)]
            users += [address(n), user(n)]
        raw(encode("ZADD", "perdition-pbs:expires", *scores),
            encode("HSET", "perdition-pbs:users", *users))


def read_sets(raw, _count):
    first, found = 0, 0
    while True:
        lines = raw(encode("ZRANGE", "perdition-pbs:expires", first,
                           first + PIECE - 1, "WITHSCORES")).split(b"\r\n")
        keys = lines[2:-1:4]
        if not keys:
            return found
        found += raw(encode("HMGET", "perdition-pbs:users",
                            *keys)).count(b"@example")
        first += PIECE


WAYS = {
    "stream": (fill_stream, lambda raw, count: read_stream(raw, 64)),
    "trickle": (fill_trickle, lambda raw, count: read_stream(raw, PIECE)),
    "keys": (fill_keys, read_keys),
    "sets": (fill_sets, read_sets),
}


def memory(server):
    return int(re.search(r"used_memory:(\d+)",
                         server.call("INFO", "memory"))[1])


def catch_up(args, server, folder):
    """Seconds, and of CPU."""
    took, used = [], []
    for run in range(RUNS):
        pbs, seconds, busy = come_back(
            args, server, pathlib.Path(folder, f"host{run}"))
        took.append(seconds)
        used.append(busy)
        pbs.stop()
    return statistics.median(took), statistics.median(used)


def measure(args, name, fill, read):
    count, pbs = args.count, None
    with tempfile.TemporaryDirectory(prefix="perdition-bench-") as folder:
        server = Redis(Place(folder))
        server.start()
        raw = Raw(server)
        try:
            empty = memory(server)
            fill(server, raw, count)
            held = (memory(server) - empty) / count
            took, used = [], []
            for _ in range(RUNS):
                began, before = time.monotonic(), cpu(server.proc.pid)
                found = read(raw, count)
                took.append(time.monotonic() - began)
                used.append(cpu(server.proc.pid) - before)
                if found != count:
                    sys.exit(f"{name}: {found} entries came back")
            if args.build and name in ("stream", "trickle"):
                pbs = catch_up(args, server, folder)
        finally:
            raw.close()
            server.stop()
    took, used = statistics.median(took), statistics.median(used)
    row(f"{name}: {count:,} entries", f"{held:.0f} bytes each",
        f"read in {took:.2f} s, {used:.2f} s of the server's CPU")
    if pbs:
        row(f"{name}: perdition-pbs", f"{pbs[0]:.2f} s",
            f"{pbs[1]:.2f} s of CPU")
    return {"bytes": held, "read_s": took, "server_cpu_s": used, "pbs": pbs}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=os.path.abspath)
    parser.add_argument("--count", type=int, default=1000000)
    parser.add_argument("--out", default="bench-redis-results.json")
    args = parser.parse_args()
    args.type = "hash"
    results = {"machine": about(), "count": args.count}
    print(results["machine"])
    for name, (fill, read) in WAYS.items():
        results[name] = measure(args, name, fill, read)
    with open(args.out, "w", encoding="ascii") as f:
        json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
