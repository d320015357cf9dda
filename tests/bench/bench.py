#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""CPU and memory of a login, perdition beside nginx's mail proxy.

usage: bench.py [--build DIR] [--logins N] [--runs N] [--quick]

Both stand before the same stub of a real-server, write a log line for each
login, and are loaded by the same generator, one after the other, in turns.
CPU is user and system time of all processes of a peer.  nginx looks the
user's server up at an HTTP service of its own, as its mail module demands;
perdition in a regex popmap.  Prints medians with min and max, and ratios:
those are what counts, for times depend on the machine.
"""
import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, deadline=20):
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as s:
                s.recv(1)
                return
        except OSError:
            time.sleep(0.02)
    sys.exit("nothing answers at port %d" % port)


def tree(pid):
    """pid and all that descend from it."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name) as f:
                stat = f.read()
        except OSError:
            continue
        parent = int(stat[stat.rindex(")") + 2:].split()[1])
        children.setdefault(parent, []).append(int(name))
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        todo += children.get(p, [])
    return found


def cpu(pid):
    total = 0
    for p in tree(pid):
        try:
            with open("/proc/%d/stat" % p) as f:
                stat = f.read()
        except OSError:
            continue
        fields = stat[stat.rindex(")") + 2:].split()
        total += sum(int(x) for x in fields[11:15])
    return total / TICK


def pss(pid):
    total = 0
    for p in tree(pid):
        with open("/proc/%d/smaps_rollup" % p) as f:
            total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))
    return total


class Peer:
    def __init__(self, name, proc, port):
        self.name, self.proc, self.port = name, proc, port


def start_perdition(args, scratch, protocol, server_port, peers):
    port = free_port()
    conf = os.path.join(scratch, "perdition.conf")
    popmap = os.path.join(scratch, "popmap.re")
    with open(popmap, "w") as f:
        f.write("^bench[0-9]*$: 127.0.0.1:%d\n" % server_port)
    with open(conf, "w") as f:
        f.write("""listen %s://127.0.0.1:%d
map_library regex
map_library_opt %s
module_dir %s
no_lookup
no_daemon
pid_file ""
log_facility %s
""" % (protocol, port, popmap,
            os.path.join(args.build, "perdition/modules/.libs"),
            os.path.join(scratch, "perdition.log")))
    proc = subprocess.Popen(
        [os.path.join(args.build, "perdition/perdition"), "-f", conf])
    peers.append(Peer("perdition", proc, port))
    wait_port(port)


def start_nginx(args, scratch, protocol, server_port, peers):
    port, http = free_port(), free_port()
    d = os.path.join(scratch, "nginx")
    os.makedirs(d, exist_ok=True)
    conf = os.path.join(d, "nginx.conf")
    with open(conf, "w") as f:
        f.write("""load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off; worker_processes 2; pid %(d)s/pid; error_log %(d)s/error.log info;
worker_rlimit_nofile 20000;
events { worker_connections 9000; }
mail {
  server_name bench; auth_http 127.0.0.1:%(http)d/auth;
  server { listen 127.0.0.1:%(port)d; protocol %(proto)s; }
}
http {
  access_log off;
  server { listen 127.0.0.1:%(http)d; keepalive_timeout 0;
    location /auth {
      add_header Auth-Status OK; add_header Auth-Server 127.0.0.1;
      add_header Auth-Port %(server)d; return 204; } }
}
""" % {"d": d, "http": http, "port": port, "server": server_port,
            "proto": "imap" if protocol == "imap4" else "pop3"})
    proc = subprocess.Popen(["/usr/sbin/nginx", "-p", d, "-c", conf,
                             "-e", os.path.join(d, "error.log")])
    peers.append(Peer("nginx", proc, port))
    wait_port(port)


def load(args, protocol, port, logins, at_once):
    out = subprocess.run(
        [os.path.join(args.build, "tests/bench/login_load"), protocol,
         str(port), str(logins), str(at_once)],
        stdout=subprocess.PIPE, text=True, check=False).stdout
    if " failed=0 " not in out:
        sys.exit("load of %s on port %d: %s" % (protocol, port, out))


def hold(args, protocol, peer, sessions):
    """PSS per idle session, KiB, and the total with them."""
    before = pss(peer.proc.pid)
    p = subprocess.Popen(
        [os.path.join(args.build, "tests/bench/login_load"), protocol,
         str(peer.port), "0", str(sessions), "hold"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = p.stdout.readline()
    if line.strip() != "held=%d failed=0" % sessions:
        sys.exit("%s: %s" % (peer.name, line))
    after = pss(peer.proc.pid)
    p.stdin.close()
    p.wait()
    return (after - before) / sessions, after


def stop(proc):
    proc.send_signal(signal.SIGTERM)
    try:
        proc.wait(20)
    except subprocess.TimeoutExpired:
        proc.kill()
        proc.wait()


def measure(args, scratch, protocol):
    stub = subprocess.Popen(
        [os.path.join(args.build, "tests/bench/stub_server"), protocol],
        stdout=subprocess.PIPE, text=True)
    server_port = int(stub.stdout.readline())
    peers = []
    try:
        start_perdition(args, scratch, protocol, server_port, peers)
        if os.path.exists("/usr/sbin/nginx"):
            start_nginx(args, scratch, protocol, server_port, peers)
        for at_once in (64, 512):
            taken = {p.name: [] for p in peers}
            for p in peers:
                load(args, protocol, p.port, args.logins // 10, at_once)
            for _ in range(args.runs):
                for p in peers:
                    before = cpu(p.proc.pid)
                    load(args, protocol, p.port, args.logins, at_once)
                    used = cpu(p.proc.pid) - before
                    taken[p.name].append(used * 10000 / args.logins)
            report("%s, %d at once, CPU s per 10,000 logins" %
                   (protocol, at_once), taken)
        taken = {}
        for p in peers:
            each, total = hold(args, protocol, p, 2000)
            taken[p.name] = [each]
            print("  %s: %d KiB PSS in all with 2,000 sessions" %
                  (p.name, total))
        report("%s, KiB PSS per idle session" % protocol, taken)
    finally:
        for p in peers:
            stop(p.proc)
        stub.kill()
        stub.wait()


def report(what, taken):
    print(what)
    ours = statistics.median(taken["perdition"])
    for name, values in taken.items():
        m = statistics.median(values)
        print("  %-10s %7.3f  (%.3f-%.3f)  perdition/%s = %.2f" %
              (name, m, min(values), max(values), name,
               ours / m if m else 0))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.getcwd())
    parser.add_argument("--logins", type=int, default=10000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    if args.quick:
        args.logins = 2000
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    scratch = tempfile.mkdtemp(prefix="perdition-bench-")
    os.chmod(scratch, 0o755)
    try:
        for protocol in ("imap4", "pop3"):
            measure(args, scratch, protocol)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
