#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What TLS to the client costs, perdition beside nginx's mail proxy.

usage: bench_tls.py [--build DIR] [--logins N] [--runs N] [--quick] [--check]

Both show the same two certificates, keep no sessions but give out tickets,
have as many workers, and stand before the same stub of a real-server, in
clear.  They are loaded by the same generator, in turns.  CPU is user and
system time of all processes of a peer.  Prints medians with min and max, and
ratios with what they should be at most; with --check the status is 1 when one
is missed.  As root all this happens in a network namespace of its own.
"""
import argparse
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
from bench import (Peer, cpu, free_port, install, pss, stop,  # noqa: E402
                   wait_port)

INSIDE = "PERDITION_BENCH_NAMESPACE"
WORKERS = 2
LOADERS = 2  # one cannot keep two workers busy: its handshakes cost as much
NGINX = "/usr/sbin/nginx"

# Most that perdition may take of what nginx takes; least share resumed.
FULL, RESUMED, SHARE, MEMORY = 0.9, 0.75, 95, 1.0

# What is measured: label, protocol, TLS, work, kind of certificate, target.
LOGINS = [
    ("IMAP, full handshake, ECDSA P-256", "imap4", "implicit", "full",
     "ecdsa", FULL),
    ("POP3, full handshake, ECDSA P-256", "pop3", "implicit", "full",
     "ecdsa", FULL),
    ("IMAP, STARTTLS, full, ECDSA P-256", "imap4", "starttls", "full",
     "ecdsa", FULL),
    ("IMAP, full handshake, RSA-2048", "imap4", "implicit", "full", "rsa",
     FULL),
    ("IMAP, resumed", "imap4", "implicit", "resume", "ecdsa", RESUMED),
    ("POP3, resumed", "pop3", "implicit", "resume", "ecdsa", RESUMED),
    ("IMAP, in clear", "imap4", "none", "full", "ecdsa", None),
]
FETCHES = [
    ("TLS, 1 session", "implicit", 1),
    ("TLS, 16 sessions", "implicit", 16),
    ("in clear, 16 sessions", "none", 16),
]
HOLDS = [
    ("IMAP, TLS", "imap4", "implicit", MEMORY),
    ("POP3, TLS", "pop3", "implicit", MEMORY),
    ("IMAP, in clear", "imap4", "none", MEMORY),
]


def enter_namespace():
    if os.geteuid() != 0 or os.environ.get(INSIDE):
        return
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", "sh", "-c",
                          'ip link set lo up && exec "$@"', "sh",
                          sys.executable, *sys.argv])


def make_certificates(scratch):
    """{kind: (certificate, key)}, signed by themselves: nobody verifies."""
    found = {}
    for kind, how in (("ecdsa", ["-newkey", "ec", "-pkeyopt",
                                 "ec_paramgen_curve:P-256"]),
                      ("rsa", ["-newkey", "rsa:2048"])):
        cert, key = (os.path.join(scratch, kind + end)
                     for end in (".crt", ".key"))
        subprocess.run(
            ["openssl", "req", "-x509", *how, "-noenc", "-sha256", "-days",
             "30", "-subj", "/CN=bench.test", "-addext",
             "subjectAltName=DNS:bench.test", "-out", cert, "-keyout", key],
            check=True, stderr=subprocess.DEVNULL)
        found[kind] = (cert, key)
    return found


class Bench:
    def __init__(self, args, scratch):
        self.args, self.scratch = args, scratch
        self.certs = make_certificates(scratch)
        self.stubs, self.stub_ports = [], {}
        self.missed = 0

    def program(self, name):
        return os.path.join(self.args.build, "tests/bench", name)

    def start_stubs(self):
        for protocol in ("imap4", "pop3"):
            stub = subprocess.Popen([self.program("stub_server"), protocol],
                                    stdout=subprocess.PIPE, text=True)
            self.stubs.append(stub)
            self.stub_ports[protocol] = int(stub.stdout.readline())

    def stop_stubs(self):
        for stub in self.stubs:
            stub.kill()
            stub.wait()

    def ports(self):
        """{(protocol, TLS): port}"""
        ports = {(protocol, tls): free_port()
                 for protocol in ("imap4", "pop3")
                 for tls in ("none", "implicit")}
        for protocol in ("imap4", "pop3"):
            ports[protocol, "starttls"] = ports[protocol, "none"]
        return ports

    def peer(self, name, argv, ports):
        log = open(os.path.join(self.scratch, name + ".output"), "ab")
        with log:
            proc = subprocess.Popen(argv, stdout=log, stderr=log)
        peer = Peer(name, proc, ports)
        for (_, tls), port in ports.items():
            if tls == "none":
                wait_port(port)
        return peer

    def start_perdition(self):
        ports = self.ports()
        popmap = os.path.join(self.scratch, "popmap.re")
        conf = os.path.join(self.scratch, "perdition.conf")
        with open(popmap, "w", encoding="ascii") as f:
            for (protocol, _), port in ports.items():
                f.write("^bench[0-9]*:%d$: 127.0.0.1:%d\n" %
                        (port, self.stub_ports[protocol]))
        with open(conf, "w", encoding="ascii") as f:
            for (protocol, tls), port in ports.items():
                if tls != "starttls":
                    f.write("listen %s://127.0.0.1:%d?tls=%s\n" % (
                        protocol, port, tls if tls == "implicit"
                        else "starttls_optional"))
            for cert, key in self.certs.values():
                f.write("ssl_cert_file %s\nssl_key_file %s\n" % (cert, key))
            f.write('map_library regex\nmap_library_opt %s\n'
                    'query_key "\\u:\\P"\n'
                    'module_dir %s\nno_lookup\nno_daemon\npid_file ""\n'
                    'workers %d\nlog_facility %s\n' % (
                        popmap, os.path.join(self.args.build,
                                             "perdition/modules/.libs"),
                        WORKERS, os.path.join(self.scratch, "perdition.log")))
        return self.peer("perdition", [
            os.path.join(self.args.build, "perdition/perdition"),
            "-f", conf], ports)

    def start_nginx(self):
        ports, http = self.ports(), free_port()
        d = os.path.join(self.scratch, "nginx")
        os.makedirs(d, exist_ok=True)
        conf = os.path.join(d, "nginx.conf")
        servers = "".join(
            "  server { listen 127.0.0.1:%d%s; protocol %s;%s }\n" % (
                port, " ssl" if tls == "implicit" else "",
                protocol.rstrip("4"),
                "" if tls == "implicit" else " starttls on;")
            for (protocol, tls), port in ports.items() if tls != "starttls")
        certs = "".join("  ssl_certificate %s; ssl_certificate_key %s;\n" % x
                        for x in self.certs.values())
        with open(conf, "w", encoding="ascii") as f:
            f.write("""load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off; worker_processes %(workers)d; pid %(d)s/pid;
error_log %(d)s/error.log info; worker_rlimit_nofile 20000;
events { worker_connections 9000; }
mail {
  server_name bench; auth_http 127.0.0.1:%(http)d/auth;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;
  ssl_session_cache off; ssl_session_timeout 6h;
%(certs)s%(servers)s}
http {
  access_log off;
  map $http_auth_protocol $to { imap %(imap4)d; pop3 %(pop3)d; }
  server { listen 127.0.0.1:%(http)d; keepalive_timeout 0;
    location /auth {
      add_header Auth-Status OK; add_header Auth-Server 127.0.0.1;
      add_header Auth-Port $to; return 204; } }
}
""" % {"d": d, "http": http, "servers": servers, "certs": certs,
                "workers": WORKERS, **self.stub_ports})
        return self.peer("nginx", [NGINX, "-p", d, "-c", conf, "-e",
                                   os.path.join(d, "error.log")], ports)

    def start(self, name):
        return self.start_nginx() if name == "nginx" \
            else self.start_perdition()

    def names(self):
        return self.args.peers.split(",")

    def load(self, peer, protocol, tls, work, count, at_once, kind="ecdsa"):
        """Per cent resumed, of what could have been."""
        loaders = min(LOADERS, at_once)
        argv = [self.program("tls_load"), protocol, tls,
                str(peer.port[protocol, tls]), work, str(count // loaders),
                str(at_once // loaders), kind]
        running = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
                   for _ in range(loaders)]
        resumed, offered = 0, 0
        for out in [p.communicate()[0] for p in running]:
            got = re.match(r"ok=\d+ failed=0 resumed=(\d+) offered=(\d+) ",
                           out)
            if got is None:
                sys.exit("%s: %s: %s" % (peer.name, " ".join(argv[1:]), out))
            resumed += int(got[1])
            offered += int(got[2])
        return 100 * resumed / max(offered, 1)

    # --- what is measured ------------------------------------------------
    def logins(self):
        n, at_once = self.args.logins, 64
        print("CPU s per 10,000 logins, %d at once" % at_once)
        peers = []
        try:
            peers = [self.start(name) for name in self.names()]
            for label, protocol, tls, work, kind, target in LOGINS:
                taken = {p.name: [] for p in peers}
                share = {p.name: [] for p in peers}
                for p in peers:
                    self.load(p, protocol, tls, work, n // 10, at_once, kind)
                for _ in range(self.args.runs):
                    for p in peers:
                        before = cpu(p.proc.pid)
                        share[p.name].append(self.load(
                            p, protocol, tls, work, n, at_once, kind))
                        taken[p.name].append(
                            (cpu(p.proc.pid) - before) * 10000 / n)
                self.report(label, taken, target, lambda m, name: (
                    "%5.0f logins per CPU second%s" % (
                        10000 / m if m else 0,
                        ", %.1f %% resumed" % min(share[name])
                        if work == "resume" else "")))
                if work == "resume":
                    self.judge("resumed", min(share[peers[0].name]) >= SHARE,
                               "at least %d %%" % SHARE)
            for label, tls, at_once in FETCHES:
                mib = self.args.mib
                taken = {p.name: [] for p in peers}
                for _ in range(self.args.runs):
                    for p in peers:
                        before = cpu(p.proc.pid)
                        self.load(p, "imap4", tls, "fetch", mib, at_once)
                        taken[p.name].append(
                            (cpu(p.proc.pid) - before) * 1024 / mib)
                self.report("CPU s per GiB, " + label, taken, None)
        finally:
            for p in peers:
                stop(p.proc)

    def hold(self, name, protocol, tls):
        """PSS per idle session, KiB, in a peer that was just started."""
        n = self.args.sessions
        peer = self.start(name)
        try:
            # What the first ones need is not the sessions'.
            self.load(peer, protocol, tls, "full", 64, 16)
            time.sleep(1)
            before = pss(peer.proc.pid)
            p = subprocess.Popen(
                [self.program("tls_load"), protocol, tls,
                 str(peer.port[protocol, tls]), "hold", str(n), "64"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            line = p.stdout.readline()
            if not line.startswith("ok=%d failed=0 " % n):
                sys.exit("%s: %s" % (name, line))
            time.sleep(2)
            after = pss(peer.proc.pid)
            p.stdin.close()
            p.wait()
            return (after - before) / n
        finally:
            stop(peer.proc)

    def memory(self):
        print("KiB PSS per idle session, of %d" % self.args.sessions)
        for label, protocol, tls, target in HOLDS:
            taken = {name: [] for name in self.names()}
            for _ in range(self.args.runs):
                for name, values in taken.items():
                    values.append(self.hold(name, protocol, tls))
            self.report(label, taken, target)

    # --- how it is told --------------------------------------------------
    def report(self, label, taken, target, more=lambda _m, _name: ""):
        names = list(taken)
        medians = {name: statistics.median(taken[name]) for name in names}
        print("  " + label)
        for name in names:
            values = taken[name]
            print("    %-10s %8.3f  (%.3f-%.3f)  %s" % (
                name, medians[name], min(values), max(values),
                more(medians[name], name)))
        if names == ["perdition", "nginx"] and medians["nginx"]:
            ratio = medians["perdition"] / medians["nginx"]
            if target is None:
                print("    perdition/nginx %.2f" % ratio)
            else:
                self.judge("perdition/nginx %.2f" % ratio, ratio <= target,
                           "at most %.2f" % target)
        sys.stdout.flush()

    def judge(self, what, good, target):
        print("    %s: %s (%s)" % (what, "good" if good else "MISSED",
                                   target))
        self.missed += not good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.getcwd())
    parser.add_argument("--logins", type=int, default=10000)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", default="perdition,nginx")
    parser.add_argument("--quick", action="store_true",
                        help="fewer logins: less exact")
    parser.add_argument("--check", action="store_true",
                        help="status 1 when a target is missed")
    args = parser.parse_args()
    args.build = os.path.abspath(args.build)
    if args.quick:
        args.logins, args.mib = 2000, 256
    if not os.environ.get(INSIDE):
        install()  # nothing can be fetched from within
    enter_namespace()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    scratch = tempfile.mkdtemp(prefix="perdition-bench-")
    os.chmod(scratch, 0o755)
    bench = Bench(args, scratch)
    try:
        bench.start_stubs()
        bench.logins()
        bench.memory()
    finally:
        bench.stop_stubs()
        shutil.rmtree(scratch)
    return 1 if args.check and bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())
