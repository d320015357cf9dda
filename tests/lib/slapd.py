# SPDX-License-Identifier: GPL-2.0-or-later
"""A private slapd (OpenLDAP) with users of popmap module ldap: in clear, by
TLS and at a socket.  Its schema is the one in contrib/ldap."""

import base64
import os
import pwd
import shutil
import subprocess

import pki
from harness import TOP, Daemon, free_port, is_root

SCHEMAS = "/etc/ldap/schema"
MODULES = "/usr/lib/ldap"
SUFFIX = "dc=nodomain"
BASE = f"ou=mailbox,{SUFFIX}"
ADMIN = f"cn=admin,{SUFFIX}"
READER = f"cn=reader,{SUFFIX}"
PASSWORD = "s3cr?t, of=admin"  # needs percent encoding
OWNER = "openldap"

CONF = """\
include {schemas}/core.schema
include {contrib}/perdition.schema
modulepath {modules}
moduleload back_mdb
allow bind_v2
idletimeout {idle}
{tls}
authz-regexp "gidNumber=[0-9]+\\\\+uidNumber=[0-9]+,cn=peercred,cn=external,cn=auth" "{reader}"
authz-regexp "cn=client" "{reader}"
database mdb
suffix "{suffix}"
rootdn "{admin}"
rootpw "{password}"
directory {db}
maxsize 268435456
# Every search also looks for objectClass=referral: without an index of that,
# all entries.
index objectClass eq
index uid eq
sizelimit {size}
access to attrs=mailhost by dn.exact="{reader}" read by {others}
access to * by dn.exact="{reader}" read by {others}
"""

# The same server, configured by cn=config.
OLC = """\
dn: cn=config
objectClass: olcGlobal
cn: config
{tls}

dn: cn=module,cn=config
objectClass: olcModuleList
cn: module
olcModulePath: {modules}
olcModuleLoad: back_mdb

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file://{schemas}/core.ldif

include: file://{contrib}/perdition.ldif

dn: olcDatabase=mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: mdb
olcSuffix: {suffix}
olcRootDN: {admin}
olcRootPW: {password}
olcDbDirectory: {db}
olcDbIndex: objectClass eq
olcDbIndex: uid eq
olcAccess: to * by * read
"""


def encode(text):
    """Percent-encoded as a value in an LDAP URL."""
    return "".join(c if c.isalnum() or c in "._-" else
                   "".join(f"%{b:02x}" for b in c.encode())
                   for c in str(text))


def _ldif(dn, **values):
    lines = [f"dn: {dn}"]
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value]:
            data = base64.b64encode(str(one).encode()).decode()
            lines.append(f"{name}:: {data}")
    return "\n".join(lines) + "\n\n"


class Slapd(Daemon):
    """users: {uid: {"mailhost": .., "username": .., "port": ..}}, lists for
    several values, or a list of such for several entries.  names: those in
    the certificate; anonymous: whether everybody may read."""

    def __init__(self, test, users, name="slapd", authority=None,
                 names=("127.0.0.1", "mx.test"), anonymous=True, olc=False,
                 idle=0, size=100):
        self.dir = test.subdir(name, owner=(OWNER, OWNER))
        self.port, self.tls_port = free_port(), free_port()
        self.socket = self.dir / "ldapi"
        self.values = {
            "schemas": SCHEMAS, "contrib": TOP / "contrib" / "ldap",
            "modules": MODULES, "suffix": SUFFIX, "admin": ADMIN,
            "reader": READER, "password": PASSWORD, "db": self.dir / "db",
            "idle": idle, "size": size, "tls": "",
            "others": "* read" if anonymous else "anonymous auth",
        }
        (self.dir / "db").mkdir()
        urls = [f"ldap://127.0.0.1:{self.port}/", f"ldapi://{self.at_socket}/"]
        if authority is not None:
            self._certificate(authority, names, olc)
            urls.append(f"ldaps://127.0.0.1:{self.tls_port}/")
        prefix = []
        if is_root():
            who = pwd.getpwnam(OWNER)
            prefix = ["setpriv", f"--reuid={who.pw_uid}",
                      f"--regid={who.pw_gid}", "--clear-groups"]
        self.prefix = prefix
        config = self._olc() if olc else self._conf()
        self._own()
        self._fill(config, users)
        super().__init__(name, ["/usr/sbin/slapd", "-d", "stats", *config,
                                "-h", " ".join(urls)],
                         self.dir / "output", ready=self._answers,
                         prefix=prefix)

    @property
    def at_socket(self):
        return encode(self.socket)

    def url(self, scheme="ldap", host="127.0.0.1"):
        """Without a base."""
        if scheme == "ldapi":
            return f"ldapi://{self.at_socket}/"
        port = self.tls_port if scheme == "ldaps" else self.port
        return f"{scheme}://{host}:{port}/"

    def _certificate(self, authority, names, olc):
        pair = authority.issue("slapd-" + self.dir.name, names)
        cert, key = self.dir / "cert.pem", self.dir / "key.pem"
        shutil.copy(pair.cert, cert)
        shutil.copy(pair.key, key)
        lines = [("TLSCACertificateFile", authority.cert),
                 ("TLSCertificateFile", cert),
                 ("TLSCertificateKeyFile", key), ("TLSVerifyClient", "try")]
        self.values["tls"] = "\n".join(
            f"olc{k}: {v}" if olc else f"{k} {v}" for k, v in lines)

    def _conf(self):
        path = self.dir / "slapd.conf"
        path.write_text(CONF.format(**self.values))
        return ["-f", path]

    def _olc(self):
        text = self.dir / "config.ldif"
        text.write_text(OLC.format(**self.values))
        folder = self.dir / "slapd.d"
        folder.mkdir()
        self._own()
        self._add(["-F", folder, "-n", "0"], text)
        return ["-F", folder]

    def _own(self):
        if is_root():
            for path in [self.dir, *self.dir.rglob("*")]:
                shutil.chown(path, OWNER, OWNER)

    def _add(self, config, path):
        done = subprocess.run(
            [*self.prefix, "/usr/sbin/slapadd", *map(str, config), "-l",
             str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"slapadd: {done.stdout}")

    def _fill(self, config, users):
        text = _ldif(SUFFIX, objectClass=["dcObject", "organization"],
                     dc="nodomain", o="test")
        text += _ldif(BASE, objectClass="organizationalUnit", ou="mailbox")
        text += _ldif(READER, objectClass=["organizationalRole",
                                           "simpleSecurityObject"],
                      cn="reader", userPassword=PASSWORD)
        entries = [(uid, values) for uid, listed in users.items()
                   for values in (listed if isinstance(listed, list)
                                  else [listed])]
        for number, (uid, values) in enumerate(entries):
            text += _ldif(f"description={number},{BASE}", uid=uid,
                          objectClass="perditionMailbox", description=number,
                          **values)
        path = self.dir / "users.ldif"
        path.write_text(text)
        self._own()
        self._add([*config, "-b", SUFFIX], path)

    def _answers(self):
        return subprocess.run(
            ["ldapsearch", "-x", "-H", f"ldap://127.0.0.1:{self.port}",
             "-s", "base", "-b", "", "-LLL"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "LDAPNOINIT": "1"}, timeout=20).returncode == 0


def authority(test):
    return pki.Authority(test.dir / "ca")
