# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates of every kind, made by the openssl command: good ones, and all
that must not be taken."""

import datetime
import pathlib
import shutil
import subprocess

CONFIG = """\
[ca]
default_ca = here
[here]
database = {dir}/index.txt
serial = {dir}/serial
crlnumber = {dir}/crlnumber
new_certs_dir = {dir}/issued
certificate = {dir}/ca.pem
private_key = {dir}/ca.key
default_md = sha256
policy = any
unique_subject = no
email_in_dn = yes
default_crl_days = 7
[any]
commonName = supplied
emailAddress = optional
[req]
distinguished_name = name
[name]
"""

EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
RSA = ["-newkey", "rsa:2048"]
KEYS = {"ec": EC, "rsa": RSA}


def openssl(*args, **kwargs):
    done = subprocess.run(["openssl", *map(str, args)], check=False,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=60, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"openssl {args[0]}: "
                             + done.stderr.decode(errors="replace"))
    return done.stdout


def date(days):
    """That many days from now, as openssl ca takes it."""
    when = datetime.datetime.now(datetime.timezone.utc) \
        + datetime.timedelta(days=days)
    return when.strftime("%Y%m%d%H%M%SZ")


def san(names):
    kinds = ("IP" if name.replace(".", "").isdigit() or ":" in name else "DNS"
             for name in names)
    return ",".join(f"{kind}:{name}" for kind, name in zip(kinds, names))


class Pair:
    """A certificate and its key."""

    def __init__(self, cert, key):
        self.cert, self.key = pathlib.Path(cert), pathlib.Path(key)
        self.key.chmod(0o600)

    @property
    def both(self):
        """One file with certificate and key."""
        path = self.cert.with_suffix(".both.pem")
        path.write_bytes(self.cert.read_bytes() + self.key.read_bytes())
        path.chmod(0o600)
        return path

    def encrypted(self, passphrase):
        """The key again, under a pass phrase."""
        path = self.key.with_suffix(".encrypted")
        openssl("pkcs8", "-topk8", "-in", self.key, "-out", path,
                "-passout", f"pass:{passphrase}")
        return Pair(self.cert, path)


class Authority:
    """One that signs; its own certificate is .cert."""

    def __init__(self, folder, name="Test authority", own=None):
        """own: its certificate and key, when another has signed it."""
        self.dir = pathlib.Path(folder)
        (self.dir / "issued").mkdir(parents=True)
        (self.dir / "index.txt").write_text("")
        (self.dir / "serial").write_text("1000\n")
        (self.dir / "crlnumber").write_text("01\n")
        self.config = self.dir / "ca.cnf"
        self.config.write_text(CONFIG.format(dir=self.dir))
        self.cert = self.dir / "ca.pem"
        self.dir.chmod(0o755)
        if own is not None:
            shutil.copy(own[0], self.cert)
            shutil.copy(own[1], self.dir / "ca.key")
            return
        openssl("req", "-x509", *EC, "-nodes", "-keyout", self.dir / "ca.key",
                "-out", self.cert, "-subj", f"/CN={name}", "-days", "30",
                "-config", self.config,
                "-addext", "basicConstraints=critical,CA:true",
                "-addext", "keyUsage=critical,keyCertSign,cRLSign,"
                "digitalSignature")

    def _ca(self, *args):
        openssl("ca", "-batch", "-config", self.config, *args)

    def issue(self, file, names=(), cn=None, email=None, start=-1, end=90,
              kind="ec", usage="serverAuth", ca=False):
        """start, end: days from now."""
        pair = self.dir / f"{file}.pem", self.dir / f"{file}.key"
        request = self.dir / f"{file}.csr"
        extensions = self.dir / f"{file}.ext"
        subject = f"/CN={cn or (names[0] if names else file)}"
        if email:
            subject += f"/emailAddress={email}"
        openssl("req", "-new", *KEYS[kind], "-nodes", "-keyout", pair[1],
                "-out", request, "-subj", subject, "-config", self.config)
        extensions.write_text(
            f"extendedKeyUsage={usage}\n"
            f"basicConstraints=CA:{'true' if ca else 'false'}\n"
            + (f"subjectAltName={san(names)}\n" if names else ""))
        self._ca("-in", request, "-out", pair[0], "-notext",
                 "-startdate", date(start), "-enddate", date(end),
                 "-extfile", extensions)
        return Pair(*pair)

    def revoke(self, pair):
        self._ca("-revoke", pair.cert)

    def crl(self, file="crl", days=7):
        """days: until the next one is due; negative: it was."""
        path = self.dir / f"{file}.pem"
        self._ca("-gencrl", "-out", path, "-crl_lastupdate",
                 date(min(-1, days - 1)), "-crl_nextupdate", date(days))
        return path

    def staple(self, pair, dated=True):
        """The OCSP response next to the certificate's file; dated: it says
        how long it is good."""
        request = self.dir / "ocsp.req"
        path = pathlib.Path(f"{pair.cert}.ocsp")
        openssl("ocsp", "-issuer", self.cert, "-cert", pair.cert, "-no_nonce",
                "-reqout", request)
        openssl("ocsp", "-index", self.dir / "index.txt", "-CA", self.cert,
                "-rsigner", self.cert, "-rkey", self.dir / "ca.key",
                "-reqin", request, "-respout", path,
                *(["-ndays", "3"] if dated else []))
        return path


def self_signed(folder, names, end=90):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    openssl("req", "-x509", *EC, "-nodes", "-keyout", folder / "self.key",
            "-out", folder / "self.pem", "-subj", f"/CN={names[0]}",
            "-days", end, "-addext", f"subjectAltName={san(names)}",
            "-addext", "basicConstraints=CA:false")
    return Pair(folder / "self.pem", folder / "self.key")
