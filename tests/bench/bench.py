#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a login, a byte and an idle session cost, perdition beside its peers.

usage: bench.py [--build DIR] [--modes A,B,...] [--peers A,B,...] [--quick]
                [--check] [--runs N] [--out FILE]

modes: login tls latency relay noop memory popmap scaling capacity storm, and
       day, which takes long and is only done when it is named
peers: perdition nginx dovecot haproxy none (the stub of a real-server itself)

All stand before the same stubs of real-servers with the same certificates,
write a line of log for each login (perdition also sends the event), and are
loaded by the same generator, in turns: run by run, each peer once.  CPU is
user and system time of all processes of a peer.  HAProxy knows nothing of
logins: it passes on what comes, with splice(2), and is there as the least that
a proxy can cost.  Prints medians (min-max) and ratios with what they should be
at most; the raw values go to FILE.  With --check the status is 1 when a target
is missed.  As root all this happens in a network namespace of its own.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import machine  # noqa: E402
import peers  # noqa: E402

ALL_PEERS = "perdition,nginx,dovecot,haproxy"
LOADERS = 2  # one cannot keep two workers busy: its handshakes cost as much


class Missed(Exception):
    """A load did not end well."""


class Bench:
    def __init__(self, args, scratch):
        self.args, self.scratch = args, scratch
        self.certs = peers.make_certificates(scratch)
        self.rows, self.missed = [], []

    def place(self, stubs, workers=2):
        return peers.Place(self.args.build, self.scratch, stubs, self.certs,
                           workers)

    # --- loading ---------------------------------------------------------
    def argv(self, peer, protocol, tls, work, count, at_once, kind="ecdsa",
             first=0, source="127.0.0.1"):
        return [os.path.join(self.args.build, "tests/bench/load"), protocol,
                tls, str(peer.port[protocol, tls]), work, str(count),
                str(at_once), kind, str(first), source]

    def parse(self, peer, out):
        got = re.match(r"ok=(\d+) failed=(\d+) resumed=(\d+) offered=(\d+) "
                       r"seconds=([\d.]+) p50=([\d.]+) p99=([\d.]+)", out)
        if got is None or got[2] != "0":
            raise Missed("%s: %s" % (peer.name, out.strip() or "no result"))
        names = ("ok", "failed", "resumed", "offered", "seconds", "p50",
                 "p99")
        return dict(zip(names, map(float, got.groups())))

    def load(self, peer, protocol, tls, work, count, at_once, **kwargs):
        """The loaders' results together."""
        loaders = min(LOADERS, at_once)
        running = [subprocess.Popen(
            self.argv(peer, protocol, tls, work, count // loaders,
                      at_once // loaders, **kwargs),
            stdout=subprocess.PIPE, text=True) for _ in range(loaders)]
        each = [self.parse(peer, p.communicate()[0]) for p in running]
        return {name: (sum if name in ("ok", "resumed", "offered") else max)(
            x[name] for x in each) for name in each[0]}

    def hold(self, peer, protocol, tls, count, at_once=64, loaders=1):
        """Sessions that stay: (the loaders, the last one's result)."""
        held = [subprocess.Popen(
            self.argv(peer, protocol, tls, "hold", count // loaders, at_once,
                      first=n * 1000003, source="127.0.1.%d" % (n + 1)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for n in range(loaders)]
        try:
            each = [self.parse(peer, p.stdout.readline()) for p in held]
        except Missed:
            self.release(held)
            raise
        return held, {name: max(x[name] for x in each) for name in each[0]}

    def release(self, held):
        for p in held:
            p.stdin.close()
        for p in held:
            p.wait()
            p.stdout.close()

    # --- comparing -------------------------------------------------------
    def compare(self, running, rows):
        """rows: (label, unit, targets, measure(peer) -> value or None)"""
        for label, unit, targets, measure in rows:
            taken = {p.name: [] for p in running}
            lost = set()
            for number in range(self.args.runs + 1):
                for p in running:
                    if p.name in lost:
                        continue
                    try:
                        value = measure(p)
                    except Missed as e:
                        lost.add(p.name)
                        print("    %s: %s" % (label, e))
                        if p.name == "perdition":
                            raise
                        continue
                    if value is not None and number > 0:  # the first warms up
                        taken[p.name].append(value)
            self.report(label, unit, targets, taken)

    def cpu_of(self, p, count, per, work):
        """CPU seconds of a peer for per units, when work() does count."""
        before = machine.cpu(p.proc.pid)
        work()
        return (machine.cpu(p.proc.pid) - before) * per / count

    def names(self, *without):
        return [x for x in self.args.peers.split(",") if x not in without]

    def with_peers(self, names, rows):
        stubs = peers.Stubs(self.args.build)
        running = []
        try:
            for name in names:
                running.append(peers.start(name, self.place(stubs)))
            self.compare(running, rows)
        finally:
            for p in running:
                p.stop()
            stubs.stop()

    def login_row(self, protocol, tls, work, at_once, targets, kind="ecdsa"):
        n = self.args.logins
        label = "%s, %s%s, %d at once" % (
            protocol, {"none": "in clear", "implicit": "TLS",
                       "starttls": "STARTTLS"}[tls],
            "" if tls == "none" else ", resumed" if work == "resume"
            else ", full handshake, " + kind, at_once)
        shares = []

        def measure(p):
            if (protocol, tls) not in p.port:
                return None
            got = {}
            value = self.cpu_of(p, n, 10000, lambda: got.update(self.load(
                p, protocol, tls, work, n, at_once, kind=kind)))
            if work == "resume" and p.name == "perdition":
                shares.append(100 * got["resumed"] / max(got["offered"], 1))
                if shares[-1] < 95:
                    self.miss("%s: %.1f %% resumed, at least 95 wanted" % (
                        label, shares[-1]))
            return value
        return label, "CPU s/10,000 logins", targets, measure

    # --- modes -----------------------------------------------------------
    def login(self):
        targets = {"nginx": 0.65, "haproxy": 1.0}
        self.with_peers(self.names("none"), [
            self.login_row(protocol, "none", "full", at_once, targets)
            for protocol in peers.PROTOCOLS for at_once in (64, 512)])

    def tls(self):
        full, resumed = {"nginx": 0.9}, {"nginx": 0.75}
        self.with_peers(self.names("none"), [
            self.login_row("imap4", "implicit", "full", 64, full),
            self.login_row("pop3", "implicit", "full", 64, full),
            self.login_row("imap4", "starttls", "full", 64, full),
            self.login_row("imap4", "implicit", "full", 64, {}, "rsa"),
            self.login_row("imap4", "implicit", "resume", 64, resumed),
            self.login_row("pop3", "implicit", "resume", 64, resumed)])

    def latency(self):
        """From connect() to the answer to the login."""
        def row(label, tls, at_once, count, which, targets):
            def measure(p):
                if ("imap4", tls) not in p.port:
                    return None
                return self.load(p, "imap4", tls, "full", count,
                                 at_once)[which]
            return label, "ms", targets, measure
        n = self.args.logins
        self.with_peers(self.names() + (
            [] if "none" in self.names() else ["none"]), [
            row("login of one client, in clear, median", "none", 1, n // 5,
                "p50", {"haproxy": 1.25}),
            row("login of one client, TLS, median", "implicit", 1, n // 10,
                "p50", {"haproxy": 1.2}),
            row("login, 512 at once, in clear, 99 %", "none", 512, n, "p99",
                {"nginx": 1.0})])

    def relay(self):
        def row(tls, at_once, targets):
            def measure(p):
                mib = self.args.mib
                return self.cpu_of(p, mib, 1024, lambda: self.load(
                    p, "imap4", tls, "fetch", mib, at_once))
            return ("fetched by %d, %s" % (
                at_once, "in clear" if tls == "none" else "TLS"),
                "CPU s/GiB", targets, measure)
        self.with_peers(self.names("none"), [
            row("none", 1, {"haproxy": 1.05}),
            row("none", 16, {"haproxy": 1.05}),
            row("implicit", 1, {"haproxy": 0.9}),
            row("implicit", 16, {"haproxy": 0.9})])

    def noop(self):
        def measure(p):
            n = self.args.noops
            return self.cpu_of(p, n, 100000, lambda: self.load(
                p, "imap4", "none", "noop", n, 64))
        self.with_peers(self.names("none"), [
            ("round trips, 64 sessions", "CPU s/100,000", {"nginx": 0.85},
             measure)])

    def memory(self):
        """Each time in a peer that was just started."""
        n = self.args.sessions
        for tls, limit in (("none", 1.5), ("implicit", 12)):
            taken = {name: [] for name in self.names("none")}
            for _ in range(1 if self.args.quick else self.args.runs):
                for name, values in taken.items():
                    values.append(self.memory_of(name, tls, n))
            self.report("idle session, %s" % (
                "in clear" if tls == "none" else "TLS"), "KiB PSS", {},
                taken, limit)

    def memory_of(self, name, tls, n):
        stubs = peers.Stubs(self.args.build)
        p = peers.start(name, self.place(stubs))
        try:
            # What the first ones need is not the sessions'.
            self.load(p, "imap4", tls, "full", 64, 16)
            time.sleep(1)
            before = machine.pss(p.proc.pid)
            held, _ = self.hold(p, "imap4", tls, n)
            time.sleep(2.5)
            after = machine.pss(p.proc.pid)
            self.release(held)
            return (after - before) / n
        finally:
            p.stop()
            stubs.stop()

    def popmap(self):
        """What the lookup in another process takes of a login."""
        stubs = peers.Stubs(self.args.build)
        p = peers.start("perdition", self.place(stubs))
        try:
            taken = []
            for _ in range(self.args.runs):
                lookup = [x for x in machine.tree(p.proc.pid)
                          if self.role(x) == "lookup"]
                before = [sum(map(machine.cpu, lookup)),
                          machine.cpu(p.proc.pid)]
                self.load(p, "imap4", "none", "full", self.args.logins, 64)
                taken.append(100 * (sum(map(machine.cpu, lookup)) - before[0])
                             / (machine.cpu(p.proc.pid) - before[1]))
            self.report("regex popmap, its share of a login", "% CPU", {},
                        {"perdition": taken}, 10)
        finally:
            p.stop()
            stubs.stop()

    def role(self, pid):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            return None
        return words[words.index(b"--role") + 1].decode() \
            if b"--role" in words else None

    def scaling(self):
        """A login beside many idle sessions; two workers beside one."""
        n, taken = self.args.logins, {}
        stubs = peers.Stubs(self.args.build, 2)
        try:
            for workers in (1, 2):
                p = peers.start("perdition", self.place(stubs, workers))

                def logins(p=p, workers=workers):
                    return self.cpu_of(p, n, 10000, lambda: self.load(
                        p, "imap4", "none", "full", n, 64 * workers))
                try:
                    taken[workers] = [logins() for _ in range(
                        self.args.runs + 1)][1:]
                    if workers == 1:
                        continue
                    held, _ = self.hold(p, "imap4", "none", self.args.open)
                    taken["open"] = [logins() for _ in range(self.args.runs)]
                    self.release(held)
                finally:
                    p.stop()
        finally:
            stubs.stop()
        two = statistics.median(taken[2])
        self.report("login beside %d open sessions" % self.args.open,
                    "CPU s/10,000 logins", {},
                    {"perdition": taken["open"]}, two * 1.15)
        # Logins for a CPU second of the workers, as many at once for each: on
        # a machine whose processors also carry the load, that is what would
        # be left of the second worker if it had one for itself.
        factor = 2 * statistics.median(taken[1]) / two
        self.report("logins with two workers, of those with one", "x", {},
                    {"perdition": [factor]}, -1.8)

    def capacity(self):
        """As many sessions as wanted, with the default settings."""
        n = self.args.capacity
        per = 7500  # sessions a process of the load or a stub can hold
        stubs = peers.Stubs(self.args.build, -(-n // per))
        p = peers.start("perdition", self.place(stubs, self.args.workers))
        try:
            before = machine.pss(p.proc.pid)
            held, result = self.hold(p, "imap4", "none", n,
                                     loaders=-(-n // per))
            time.sleep(2.5)
            each = (machine.pss(p.proc.pid) - before) / n
            self.release(held)
            self.report("%d sessions held, %s" % (
                n, "workers %d" % self.args.workers if self.args.workers
                else "default settings"),
                        "KiB PSS each", {}, {"perdition": [each]}, 1.5)
            print("    in %.1f s, with %d files allowed to a process" % (
                result["seconds"],
                os.sysconf("SC_OPEN_MAX")))
        except Missed as e:
            self.miss("%d sessions: %s" % (n, e))
        finally:
            p.stop()
            stubs.stop()

    def storm(self):
        """All who were there come back at once after a restart."""
        n, per = self.args.capacity, 7500
        loaders = -(-n // per)
        stubs = peers.Stubs(self.args.build, loaders)
        taken = {"none": [], "perdition": []}
        memory = []
        try:
            p = peers.start("none", self.place(stubs))
            for _ in range(self.args.runs):
                # Each of the stubs serves its part, as behind the proxy.
                parts = [subprocess.Popen(
                    self.argv(peers.Peer("none", None,
                                         {("imap4", "none"): port}),
                              "imap4", "none", "hold", n // loaders,
                              n // loaders),
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                    for port in stubs.port["imap4"]]
                taken["none"].append(max(
                    self.parse(p, x.stdout.readline())["seconds"]
                    for x in parts))
                self.release(parts)
            for _ in range(self.args.runs):
                p = peers.start("perdition", self.place(stubs, None))
                try:
                    before = machine.pss(p.proc.pid)
                    held, result = self.hold(
                        p, "imap4", "none", n, at_once=n, loaders=loaders)
                    taken["perdition"].append(result["seconds"])
                    self.release(held)
                    time.sleep(4)
                    memory.append(
                        (machine.pss(p.proc.pid) - before) / 1024)
                finally:
                    p.stop()
            self.report("%d clients at once, until the last is in" % n, "s",
                        {}, taken)
            self.report("memory that stays after they have gone", "MiB PSS",
                        {}, {"perdition": memory}, 8)
        except Missed as e:
            self.miss("storm of %d: %s" % (n, e))
        finally:
            stubs.stop()

    def day(self):
        """What a large site has in a day: half of the logins in clear, half
        with TLS that is resumed, none failing, nothing growing."""
        total, chunk = self.args.day, min(self.args.day, 40000)
        stubs = peers.Stubs(self.args.build)
        p = peers.start("perdition", self.place(stubs))
        try:
            self.day_chunk(p, chunk // 4)
            time.sleep(3)
            memory = [machine.pss(p.proc.pid)]
            began, cpu, done, reused = time.monotonic(), machine.cpu(
                p.proc.pid), 0, []
            while done < total:
                reused.append(self.day_chunk(p, chunk))
                done += chunk
            seconds = time.monotonic() - began
            cpu = machine.cpu(p.proc.pid) - cpu
            time.sleep(3)
            memory.append(machine.pss(p.proc.pid))
        except Missed as e:
            self.miss("a day: %s" % e)
            return
        finally:
            p.stop()
            stubs.stop()
        print("    %d logins in %.0f s, %.1f %% of those with TLS resumed" % (
            done, seconds, statistics.mean(reused)))
        self.report("7.5 million logins would take", "minutes", {},
                    {"perdition": [seconds / done * 7.5e6 / 60]}, 30)
        self.report("of that perdition's CPU", "minutes", {},
                    {"perdition": [cpu / done * 7.5e6 / 60]})
        self.report("memory more than at first", "MiB PSS", {}, {
            "perdition": [(memory[1] - memory[0]) / 1024]}, 1)

    def day_chunk(self, p, n):
        """Per cent resumed."""
        running = [subprocess.Popen(
            self.argv(p, "imap4", tls, work, n // 2, 64),
            stdout=subprocess.PIPE, text=True)
            for tls, work in (("none", "full"), ("implicit", "resume"))]
        each = [self.parse(p, x.communicate()[0]) for x in running]
        return 100 * each[1]["resumed"] / max(each[1]["offered"], 1)

    # --- how it is told --------------------------------------------------
    def miss(self, text):
        self.missed.append(text)
        print("    MISSED: " + text)

    def report(self, label, unit, targets, taken, limit=None):
        """limit: of our own median; negative: the least."""
        taken = {name: x for name, x in taken.items() if x}
        self.rows.append({"label": label, "unit": unit, "targets": targets,
                          "limit": limit, "values": taken})
        print("  %s, %s" % (label, unit))
        ours = statistics.median(taken["perdition"])
        for name, values in taken.items():
            m = statistics.median(values)
            print("    %-10s %9.3f  (%.3f-%.3f)%s" % (
                name, m, min(values), max(values),
                "" if name == "perdition" or m == 0 else
                "  perdition/%s %.2f" % (name, ours / m)))
            if name in targets and m and ours / m > targets[name]:
                self.miss("%s: perdition/%s %.2f, at most %.2f wanted" % (
                    label, name, ours / m, targets[name]))
        if limit is not None and (ours > limit if limit >= 0
                                  else ours < -limit):
            self.miss("%s: %.2f %s, at %s %.2f wanted" % (
                label, ours, unit, "most" if limit >= 0 else "least",
                abs(limit)))
        sys.stdout.flush()

    def save(self, seconds):
        with open(self.args.out, "w", encoding="utf-8") as f:
            json.dump({"machine": machine.about(), "seconds": seconds,
                       "settings": {k: v for k, v in vars(self.args).items()},
                       "missed": self.missed, "rows": self.rows}, f, indent=1)


MODES = ("login", "tls", "latency", "relay", "noop", "memory", "popmap",
         "scaling", "capacity", "storm", "day")
SIZES = {"logins": (10000, 1000), "mib": (1024, 128),
         "noops": (100000, 15000), "sessions": (2000, 500)}
QUICK = ("login", "tls", "latency", "relay", "noop", "memory")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.getcwd())
    parser.add_argument("--modes")
    parser.add_argument("--peers")
    parser.add_argument("--logins", type=int)
    parser.add_argument("--noops", type=int)
    parser.add_argument("--sessions", type=int)
    parser.add_argument("--open", type=int, default=7500,
                        help="idle sessions beside the logins of scaling")
    parser.add_argument("--day", type=int, default=7500000,
                        help="logins of the mode day")
    parser.add_argument("--capacity", type=int, default=20000)
    parser.add_argument("--workers", type=int,
                        help="of capacity; 0: the default setting")
    parser.add_argument("--mib", type=int)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", default="bench-results.json")
    parser.add_argument("--quick", action="store_true",
                        help="two minutes: less of everything, less exact")
    parser.add_argument("--check", action="store_true",
                        help="status 1 when a target is missed")
    args = parser.parse_args()
    args.build, args.out = map(os.path.abspath, (args.build, args.out))
    for name, (usual, quick) in SIZES.items():
        if getattr(args, name) is None:
            setattr(args, name, quick if args.quick else usual)
    args.peers = args.peers or ("perdition,nginx,haproxy" if args.quick
                                else ALL_PEERS)
    modes = (args.modes or ",".join(QUICK if args.quick else MODES[:-1])).split(",")
    for mode in modes:
        if mode not in MODES:
            parser.error("no mode %s; there are: %s" % (mode, " ".join(MODES)))
    if not os.environ.get(machine.INSIDE):
        machine.install()  # nothing can be fetched from within
    machine.enter_namespace()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    scratch = tempfile.mkdtemp(prefix="perdition-bench-")
    os.chmod(scratch, 0o755)
    bench = Bench(args, scratch)
    began = time.monotonic()
    print("%s; medians of %d runs in turns (min-max)" % (
        machine.about(), args.runs))
    try:
        for mode in modes:
            print(mode)
            getattr(bench, mode)()
    finally:
        bench.save(time.monotonic() - began)
        shutil.rmtree(scratch)
    print("%d targets missed in %.0f s; raw values: %s" % (
        len(bench.missed), time.monotonic() - began, args.out))
    for text in bench.missed:
        print("  " + text)
    return 1 if args.check and bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
