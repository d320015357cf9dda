#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What testssl.sh says of perdition's TLS as it comes: make tls-audit.

usage: tls_audit.py [--build DIR] [--keep DIR] [NAME...]

Starts perdition with certificates of an authority made for the purpose, with
IMAP4 and POP3, each with TLS from the first byte and with STARTTLS, and has
Debian's testssl.sh look at these four ports (or those that are named: imap4s,
pop3s, imap4, pop3), all tests but those that ask other hosts.  Fails when it
finds anything of LOW or worse that is not excused below, when a test that
counts was not made, or when a mail client that it plays gets no connection.
Prints what a grade is made of.  --keep: testssl.sh's reports are left there.
"""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
INSIDE = "PERDITION_AUDIT_NAMESPACE"
NAME = "mail.audit.test"
DEADLINE = 340  # s, for all ports together
DAYS = 90

# name: (protocol, TLS, testssl.sh's word for its STARTTLS)
PORTS = {
    "imap4s": ("imap4", "implicit", None),
    "pop3s": ("pop3", "implicit", None),
    "imap4": ("imap4", "starttls", "imap"),
    "pop3": ("pop3", "starttls", "pop3"),
}

# id: (text that the finding must hold, why it is none of perdition's)
EXCUSED = {
    "engine_problem": ("GOST", "of the openssl that testssl.sh runs"),
    "sessionresumption_ticket": (
        "check failed", "its client leaves before a ticket of TLS 1.3 can "
        "come; test_tls_tickets.py looks"),
}

# Tests without which the result would say nothing.
NEEDED = """SSLv2 SSLv3 TLS1 TLS1_1 TLS1_2 TLS1_3 cipherlist_NULL
    cipherlist_aNULL cipherlist_EXPORT cipherlist_LOW cipherlist_3DES_IDEA
    cipherlist_AVERAGE cipherlist_STRONG PFS cipher_order protocol_negotiated
    heartbleed CCS ROBOT secure_renego secure_client_renego CRIME_TLS
    POODLE_SSL fallback_SCSV SWEET32 FREAK DROWN LOGJAM BEAST LUCKY13
    RC4""".split()
CERTIFICATE_NEEDED = """cert_signatureAlgorithm cert_keySize cert_trust
    cert_chain_of_trust cert_expirationStatus OCSP_stapling""".split()
# Played everywhere but on POP3 with STARTTLS, which testssl.sh leaves out.
CLIENTS = ["clientsimulation-apple_mail_16_0",
           "clientsimulation-thunderbird_91_9"]

GRADE = """TLS1_2 TLS1_3 protocol_negotiated cipher_negotiated cipher_order PFS
    PFS_ciphers PFS_ECDHE_curves DH_groups secure_renego secure_client_renego
    TLS_extensions TLS_session_ticket sessionresumption_ticket""".split() \
    + CERTIFICATE_NEEDED + CLIENTS


def enter_namespace():
    if os.geteuid() != 0 or os.environ.get(INSIDE):
        return
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", "sh", "-c",
                          'ip link set lo up && exec "$@"', "sh",
                          sys.executable, *sys.argv])


def install():
    script = ('. "$1/packages.sh" && '
              'exec "$1/install-packages" $packages_audit')
    subprocess.run(["sh", "-c", script, "sh", str(HERE / "lib")], check=True)


class Authority:
    """One that is as good as any but for being nobody's."""

    def __init__(self, folder):
        self.dir = folder
        self.ca, self.ca_key = folder / "ca.pem", folder / "ca.key"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-noenc", "-sha256", "-days",
                     "365", "-subj", "/O=Audit/CN=Audit CA", "-keyout",
                     self.ca_key, "-out", self.ca, "-addext",
                     "basicConstraints=critical,CA:TRUE", "-addext",
                     "keyUsage=critical,keyCertSign,cRLSign")

    @staticmethod
    def openssl(*argv):
        done = subprocess.run(["openssl", *map(str, argv)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        if done.returncode != 0:
            sys.exit("openssl %s: %s" % (argv[0], done.stdout))

    def certificate(self, kind, *newkey):
        """(certificate, key), with an OCSP response beside it."""
        cert, key, request, extensions, index = (
            self.dir / (kind + end)
            for end in (".crt", ".key", ".csr", ".ext", ".index"))
        self.openssl("req", "-new", *newkey, "-noenc", "-subj", "/CN=" + NAME,
                     "-keyout", key, "-out", request)
        extensions.write_text(
            "subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth\n"
            "keyUsage=critical,digitalSignature\n"
            "basicConstraints=critical,CA:FALSE\n"
            "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
            "authorityInfoAccess=OCSP;URI:http://ocsp.audit.test/\n" % NAME,
            encoding="ascii")
        serial = "7%s" % os.urandom(15).hex().upper() + "A"
        self.openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey",
                     self.ca_key, "-set_serial", "0x" + serial, "-days",
                     str(DAYS), "-sha256", "-extfile", extensions, "-out",
                     cert)
        until = datetime.datetime.now() + datetime.timedelta(days=DAYS)
        index.write_text("V\t%s\t\t%s\tunknown\t/CN=%s\n" % (
            until.strftime("%y%m%d%H%M%SZ"), serial, NAME), encoding="ascii")
        self.openssl("ocsp", "-index", index, "-CA", self.ca, "-rsigner",
                     self.ca, "-rkey", self.ca_key, "-issuer", self.ca,
                     "-cert", cert, "-ndays", "7", "-noverify", "-respout",
                     str(cert) + ".ocsp")
        return cert, key


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_perdition(build, folder, certs, ports):
    conf = folder / "perdition.conf"
    lines = ["listen %s://127.0.0.1:%d?tls=%s" % (
        PORTS[name][0], port, PORTS[name][1]) for name, port in ports.items()]
    for cert, key in certs:
        lines += ["ssl_cert_file %s" % cert, "ssl_key_file %s" % key]
    lines += ['map_library ""', "outgoing_server 127.0.0.1:1", "no_daemon",
              'pid_file ""', "log_facility +", ""]
    conf.write_text("\n".join(lines), encoding="ascii")
    with open(folder / "perdition.log", "wb") as log:
        proc = subprocess.Popen([build / "perdition/perdition", "-f", conf],
                                stdout=log, stderr=log)
    end = time.monotonic() + 20
    for port in ports.values():
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if proc.poll() is not None or time.monotonic() > end:
                    sys.exit("perdition does not start:\n" +
                             (folder / "perdition.log").read_text())
                time.sleep(0.02)
    return proc


def scan(folder, name, port, ca):
    starttls = PORTS[name][2]
    argv = ["testssl", "--quiet", "--color", "0", "--warnings", "batch",
            "--nodns", "none", "--ip", "127.0.0.1", "--add-ca", str(ca),
            "--connect-timeout", "10", "--openssl-timeout", "10",
            "--jsonfile", str(folder / (name + ".json")),
            *(["--starttls", starttls] if starttls else []),
            "%s:%d" % (NAME, port)]
    with open(folder / (name + ".txt"), "wb") as out:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                                stderr=subprocess.STDOUT, cwd=folder,
                                start_new_session=True)


def finish(scans):
    end = time.monotonic() + DEADLINE
    late = []
    for name, proc in scans.items():
        try:
            proc.wait(max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            late.append(name)
    for name in late:
        # With all that testssl.sh has started.
        os.killpg(scans[name].pid, signal.SIGKILL)
        scans[name].wait()
    return late


def judge(name, report):
    """What is wrong, a line each."""
    wrong, seen = [], {}
    for found in report:
        ident, text = found["id"], found["finding"]
        seen.setdefault(ident.split(" ")[0], []).append(text)
        if found["severity"] in ("OK", "INFO", "DEBUG"):
            continue
        excuse = EXCUSED.get(ident.split(" ")[0])
        if excuse is not None and excuse[0] in text:
            print("  excused (%s): %s: %s" % (excuse[1], ident, text))
        else:
            wrong.append("%s: %s %s: %s" % (name, found["severity"], ident,
                                            text))
    wrong += ["%s: %s was not tested" % (name, ident)
              for ident in NEEDED + CERTIFICATE_NEEDED if ident not in seen]
    wrong += ["%s: %s: %s" % (name, ident, seen.get(ident))
              for ident in CLIENTS if PORTS[name][2] != "pop3"
              if "TLSv1." not in " ".join(seen.get(ident, []))]
    if len(seen.get("cert_keySize", [])) != 2:
        wrong.append("%s: not both certificates were seen: %s" %
                     (name, seen.get("cert_keySize")))
    for ident in GRADE:
        for text in seen.get(ident, []):
            print("  %-34s %s" % (ident, text))
    return wrong


def audit(args, folder):
    authority = Authority(folder)
    certs = [authority.certificate("ecdsa", "-newkey", "ec", "-pkeyopt",
                                   "ec_paramgen_curve:P-256"),
             authority.certificate("rsa", "-newkey", "rsa:3072")]
    ports = {name: free_port() for name in args.names or PORTS}
    perdition = start_perdition(args.build, folder, certs, ports)
    wrong = []
    try:
        scans = {name: scan(folder, name, port, authority.ca)
                 for name, port in ports.items()}
        try:
            late = finish(scans)
        except BaseException:
            for proc in scans.values():
                if proc.poll() is None:
                    os.killpg(proc.pid, signal.SIGKILL)
            raise
        for name in ports:
            print("%s (%s, %s)" % (name, *PORTS[name][:2]))
            if name in late:
                wrong.append("%s: not done in %d s" % (name, DEADLINE))
                continue
            try:
                report = json.loads((folder / (name + ".json")).read_text())
            except (OSError, ValueError) as error:
                wrong.append("%s: no report: %s" % (name, error))
                continue
            wrong += judge(name, report)
        if perdition.poll() is not None:
            wrong.append("perdition ended with %d" % perdition.returncode)
    finally:
        perdition.terminate()
        perdition.wait()
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path())
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="of " + ", ".join(PORTS))
    args = parser.parse_args()
    unknown = set(args.names) - set(PORTS)
    if unknown:
        parser.error("no such port: " + ", ".join(sorted(unknown)))
    args.build = args.build.resolve()
    if not os.environ.get(INSIDE):
        install()
    enter_namespace()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="perdition-audit-"))
    folder.chmod(0o755)
    began = time.monotonic()
    try:
        wrong = audit(args, folder)
        if args.keep is not None:
            args.keep.mkdir(parents=True, exist_ok=True)
            for path in [*folder.glob("*.json"), *folder.glob("*.txt"),
                         *folder.glob("*.log")]:
                shutil.copy(path, args.keep)
    finally:
        shutil.rmtree(folder)
    for line in wrong:
        print("FAIL: " + line)
    print("tls-audit: %s, %d s" % (
        "%d findings" % len(wrong) if wrong else "nothing of LOW or worse",
        time.monotonic() - began))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
