# SPDX-License-Identifier: GPL-2.0-or-later
"""perdition and those it is compared with, each as its documentation advises
for many sessions, each writing a line of log for each login, all before the
same stubs of real-servers and with the same certificates."""

import os
import pwd
import socket
import subprocess
import sys
import threading

from machine import free_port, stop, wait_port

PROTOCOLS = ("imap4", "pop3")
FILES = 20000


class Peer:
    """port: {(protocol, "none" | "starttls" | "implicit"): number}"""

    def __init__(self, name, proc, port, extra=()):
        self.name, self.proc, self.port, self.extra = name, proc, port, extra

    def stop(self):
        stop(self.proc)
        for thing in self.extra:
            thing()


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


class Stubs:
    """Real-servers that do next to nothing: each: how many of a protocol."""

    def __init__(self, build, each=1):
        self.procs, self.port = [], {p: [] for p in PROTOCOLS}
        for protocol in PROTOCOLS:
            for _ in range(each):
                proc = subprocess.Popen(
                    [os.path.join(build, "tests/bench/stub_server"),
                     protocol], stdout=subprocess.PIPE, text=True)
                self.procs.append(proc)
                self.port[protocol].append(int(proc.stdout.readline()))

    def stop(self):
        for proc in self.procs:
            proc.kill()
            proc.wait()


class Place:
    """Where peers are started: what they need in common."""

    def __init__(self, build, scratch, stubs, certs, workers):
        self.build, self.scratch, self.stubs = build, scratch, stubs
        self.certs, self.workers = certs, workers

    def dir(self, name):
        path = os.path.join(self.scratch, name)
        os.makedirs(path, exist_ok=True)
        os.chmod(path, 0o755)
        return path

    def run(self, name, argv, port, extra=()):
        output = os.path.join(self.scratch, name + ".output")
        with open(output, "ab") as log:
            proc = subprocess.Popen(argv, stdout=log, stderr=log)
        peer = Peer(name, proc, port, extra)
        for (_, tls), number in port.items():
            if not wait_port(number, tls == "implicit"):
                peer.stop()
                with open(output, encoding="utf-8", errors="replace") as log:
                    sys.exit("%s does not answer at port %d:\n%s" % (
                        name, number, log.read()[-2000:]))
        return peer


def _ports(starttls=True):
    ports = {(protocol, tls): free_port() for protocol in PROTOCOLS
             for tls in ("none", "implicit")}
    for protocol in PROTOCOLS if starttls else ():
        ports[protocol, "starttls"] = ports[protocol, "none"]
    return ports


def _write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    return path


# --- perdition ----------------------------------------------------------------

def _popmap(place, ports):
    """Users to the stubs by the last digits of their number."""
    lines = []
    for protocol in PROTOCOLS:
        stubs = place.stubs.port[protocol]
        for tls in ("none", "implicit"):
            front = ports[protocol, tls]
            if len(stubs) == 1:
                lines.append("^bench[0-9]*:%d$: 127.0.0.1:%d" % (
                    front, stubs[0]))
                continue
            for n in range(10):
                lines.append("^bench[0-9]*%d:%d$: 127.0.0.1:%d" % (
                    n, front, stubs[n * len(stubs) // 10]))
    return "\n".join(lines) + "\n"


def _start_pbs(place, d):
    """Takes the events of logins; beside the peer, not part of it."""
    path = os.path.join(d, "auth.sock")
    argv = [os.path.join(place.build, "perdition-pbs/perdition-pbs"),
            "--no_daemon", "--log_facility", os.path.join(d, "pbs.log"),
            "--pid_file", "", "--db_file", os.path.join(d, "relay.db"),
            "--state_dir", d, "--log_file", "", "--socket", path]
    with open(os.path.join(d, "pbs.output"), "ab") as log:
        proc = subprocess.Popen(argv, stdout=log, stderr=log)
    return proc, path


def start_perdition(place, name="perdition", more=""):
    ports = _ports()
    d = place.dir(name)
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        os.chown(d, user.pw_uid, user.pw_gid)
    popmap = _write(os.path.join(d, "popmap.re"), _popmap(place, ports))
    pbs, auth = _start_pbs(place, d)
    text = "".join(
        "listen %s://127.0.0.1:%d?tls=%s\n" % (
            protocol, port, tls if tls == "implicit"
            else "starttls_optional")
        for (protocol, tls), port in ports.items() if tls != "starttls")
    text += "".join("ssl_cert_file %s\nssl_key_file %s\n" % x
                    for x in place.certs.values())
    text += ('map_library regex\nmap_library_opt %s\nquery_key "\\u:\\P"\n'
             'module_dir %s\nno_lookup\nno_daemon\npid_file ""\n'
             'auth_socket %s\nlog_facility %s\n' % (
                 popmap,
                 os.path.join(place.build, "perdition/modules/.libs"), auth,
                 os.path.join(d, "perdition.log")))
    if place.workers:
        text += "workers %d\n" % place.workers
    conf = _write(os.path.join(d, "perdition.conf"), text + more)
    return place.run(name, [
        os.path.join(place.build, "perdition/perdition"), "-f", conf], ports,
        [lambda: stop(pbs)])


# --- nginx ----------------------------------------------------------------------

NGINX = """load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off; worker_processes %(workers)d; pid %(d)s/pid;
error_log %(d)s/error.log info; worker_rlimit_nofile %(files)d;
events { worker_connections %(connections)d; }
mail {
  server_name bench; auth_http 127.0.0.1:%(http)d/auth;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;
  ssl_session_cache off; ssl_session_timeout 6h;
%(certs)s%(servers)s}
http {
  access_log off;
  map $http_auth_protocol $to { imap %(imap4)d; pop3 %(pop3)d; }
  server { listen 127.0.0.1:%(http)d backlog=4096; keepalive_timeout 0;
    location /auth {
      add_header Auth-Status OK; add_header Auth-Server 127.0.0.1;
      add_header Auth-Port $to; return 204; } }
}
"""


def start_nginx(place):
    """It asks an HTTP service for each user's server: its own, which costs
    least."""
    ports = _ports()
    d = place.dir("nginx")
    servers = "".join(
        "  server { listen 127.0.0.1:%d backlog=4096%s; protocol %s;%s }\n" % (
            port, " ssl" if tls == "implicit" else "",
            protocol.rstrip("4"),
            "" if tls == "implicit" else " starttls on;")
        for (protocol, tls), port in ports.items() if tls != "starttls")
    conf = _write(os.path.join(d, "nginx.conf"), NGINX % {
        "d": d, "http": free_port(), "servers": servers,
        "certs": "".join("  ssl_certificate %s; ssl_certificate_key %s;\n" % x
                         for x in place.certs.values()),
        "workers": place.workers, "files": FILES, "connections": FILES // 2,
        "imap4": place.stubs.port["imap4"][0],
        "pop3": place.stubs.port["pop3"][0]})
    return place.run("nginx", ["/usr/sbin/nginx", "-p", d, "-c", conf, "-e",
                               os.path.join(d, "error.log")], ports)


# --- Dovecot --------------------------------------------------------------------

DOVECOT = """protocols = imap pop3
base_dir = %(d)s/run
state_dir = %(d)s/run
log_path = %(d)s/log
listen = 127.0.0.1
instance_name = bench
disable_plaintext_auth = no
auth_mechanisms = plain
default_client_limit = %(files)d
default_vsz_limit = 0
ssl = yes
ssl_cert = <%(cert)s
ssl_key = <%(key)s
ssl_alt_cert = <%(alt_cert)s
ssl_alt_key = <%(alt_key)s
passdb {
  driver = static
  args = nopassword=y proxy=y host=127.0.0.1 \
port=%%{if;%%s;eq;imap;%(to_imap)d;%(to_pop3)d}
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}
service imap-login {
  service_count = 0
  process_min_avail = %(workers)d
  process_limit = %(workers)d
  inet_listener imap {
    port = %(imap)d
  }
  inet_listener imaps {
    port = %(imaps)d
    ssl = yes
  }
}
service pop3-login {
  service_count = 0
  process_min_avail = %(workers)d
  process_limit = %(workers)d
  inet_listener pop3 {
    port = %(pop3)d
  }
  inet_listener pop3s {
    port = %(pop3s)d
    ssl = yes
  }
}
"""


def start_dovecot(place):
    ports = _ports()
    d = place.dir("dovecot")
    conf = _write(os.path.join(d, "dovecot.conf"), DOVECOT % {
        "d": d, "files": FILES, "workers": place.workers,
        "cert": place.certs["ecdsa"][0], "key": place.certs["ecdsa"][1],
        "alt_cert": place.certs["rsa"][0], "alt_key": place.certs["rsa"][1],
        "to_imap": place.stubs.port["imap4"][0],
        "to_pop3": place.stubs.port["pop3"][0],
        "imap": ports["imap4", "none"], "imaps": ports["imap4", "implicit"],
        "pop3": ports["pop3", "none"], "pop3s": ports["pop3", "implicit"]})
    return place.run("dovecot", ["/usr/sbin/dovecot", "-F", "-c", conf],
                     ports)


# --- HAProxy ----------------------------------------------------------------------

HAPROXY = """global
  nbthread %(workers)d
  maxconn %(connections)d
  log %(log)s format raw local0 info
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode tcp
  log global
  option tcplog
  option splice-request
  option splice-response
  timeout connect 60s
  timeout client 1h
  timeout server 1h
"""


class LogReader:
    """What HAProxy says goes to a socket; here it is written to a file, by a
    thread of the benchmark: not part of the peer."""

    def __init__(self, path, file):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        self.file = open(file, "ab")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while True:
                self.file.write(self.sock.recv(65536))
        except (OSError, ValueError):
            pass

    def close(self):
        self.sock.close()


def start_haproxy(place):
    """Knows nothing of logins: it passes on what comes, with splice(2)."""
    ports = _ports(starttls=False)
    d = place.dir("haproxy")
    log = os.path.join(d, "log.sock")
    if os.path.exists(log):
        os.unlink(log)
    reader = LogReader(log, os.path.join(d, "log"))
    pem = os.path.join(d, "bench.pem")  # the name of a bundle of two files
    for kind, (cert, key) in place.certs.items():
        with open(cert, encoding="ascii") as c, \
                open(key, encoding="ascii") as k:
            _write(f"{pem}.{kind}", c.read() + k.read())
    text = HAPROXY % {"workers": place.workers, "log": log,
                      "connections": FILES * 7 // 20}
    for (protocol, tls), port in ports.items():
        text += "listen %s-%s\n  bind 127.0.0.1:%d backlog 4096%s\n" \
                "  server stub 127.0.0.1:%d\n" % (
                    protocol, tls, port, "" if tls == "none" else
                    " ssl crt " + pem,
                    place.stubs.port[protocol][0])
    conf = _write(os.path.join(d, "haproxy.cfg"), text)
    return place.run("haproxy", ["/usr/sbin/haproxy", "-db", "-f", conf],
                     ports, [reader.close])


# --- nobody ---------------------------------------------------------------------

def start_none(place):
    """The stub itself: what of the times is not the proxy's."""
    return Peer("none", place.stubs.procs[0], {
        (p, "none"): place.stubs.port[p][0] for p in PROTOCOLS})


START = {"perdition": start_perdition, "nginx": start_nginx,
         "dovecot": start_dovecot, "haproxy": start_haproxy,
         "none": start_none}


def start(name, place):
    if name not in START:
        sys.exit("no peer %s; there are: %s" % (name, " ".join(START)))
    return START[name](place)
