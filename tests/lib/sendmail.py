# SPDX-License-Identifier: GPL-2.0-or-later
"""A private Sendmail, unpacked from Debian's packages without installing them
(they would replace the system's MTA), that relays for whom the database of
perdition-pbs names.

It always relays for 127.0.0.1 and ::1: connect from another address.
Needs root, because Sendmail does.
"""

import os
import pathlib
import subprocess

from harness import DEADLINE, LIB, TOP, Daemon
from lineclient import Smtp
from unpacked import unpack

GLUE = TOP / "mta-glue" / "sendmail"


def _directory_is_safe(path):
    """Whether Sendmail would use maps below path: nobody but the owner may
    write to it or to any directory above."""
    return not any(p.stat().st_mode & 0o022
                   for p in (path, *path.resolve().parents))


class Sendmail(Daemon):
    """db: the database with its .db; port on 127.0.0.1 (and ::1); snippet:
    the file of mta-glue that its configuration includes, which asks db or
    socket."""

    def __init__(self, folder, db, port, ipv6=False,
                 snippet="relay-authorization.m4", socket=""):
        self.dir = pathlib.Path(folder)
        self.port, self.ipv6 = port, ipv6
        self.fs = unpack("sendmail")
        self.dir.mkdir(parents=True, exist_ok=True)
        self.dir.chmod(0o755)
        self.queue = self.dir / "queue"
        self.queue.mkdir(exist_ok=True)
        self.queue.chmod(0o700)
        self.cf = self.dir / "sendmail.cf"
        self.env = {"LD_LIBRARY_PATH": ":".join(
            str(p) for p in (self.fs / "usr/lib").glob("*-linux-gnu"))}
        self._write_files({
            "DIR": self.dir, "DB": pathlib.Path(db).with_suffix(""),
            "SOCKET": socket, "SNIPPET": GLUE / snippet, "PORT": port})
        program = self.fs / "usr/libexec/sendmail/sendmail"
        subprocess.run([*self._own_names(), program, "-bi", "-C", self.cf],
                       check=True, env={**os.environ, **self.env},
                       stdout=subprocess.DEVNULL)
        super().__init__("sendmail", [program, "-bD", "-C", self.cf],
                         self.dir / "output", ready=self._answers,
                         env=self.env, prefix=self._own_names(),
                         deadline=DEADLINE if self._own_names() else 150)

    def _write_files(self, values):
        for name, text in (("service.switch", "hosts\tfiles\naliases\tfiles\n"),
                           ("aliases", "postmaster: nobody\n"),
                           ("helpfile", ""),
                           ("statistics", ""),
                           ("local-host-names", "mx.test\n"),
                           ("hosts", "127.0.0.1 mx.test localhost\n"
                                     "::1 mx.test localhost\n"),
                           ("nsswitch.conf", "passwd: files\ngroup: files\n"
                                             "hosts: files\n")):
            path = self.dir / name
            path.write_text(text)
            path.chmod(0o644)
        values = {
            **values,
            # Only for a scratch directory below /tmp; an administrator's
            # database lies in a directory that nobody else may write to.
            "BLAME": "safe" if _directory_is_safe(self.dir) else
                     "TrustStickyBit",
            "IPV6": f"DAEMON_OPTIONS(`Name=MTA6, Family=inet6, Addr=::1, "
                    f"Port={self.port}, Modifiers=O')dnl" if self.ipv6
                    else "dnl",
        }
        text = (LIB / "sendmail.mc").read_text()
        for word, value in values.items():
            text = text.replace(f"@{word}@", str(value))
        (self.dir / "sendmail.mc").write_text(text)
        macros = self.fs / "usr/share/sendmail/cf"
        with open(self.cf, "wb") as out:
            subprocess.run(["m4", f"-D_CF_DIR_={macros}/",
                            macros / "m4/cf.m4", self.dir / "sendmail.mc"],
                           stdout=out, check=True)
        self.cf.chmod(0o644)

    def _own_names(self):
        """A host name with a dot (without one Sendmail sleeps for a minute)
        and name resolution that never leaves the host, for it alone.  Where
        the kernel does not let us, Sendmail asks the system's resolver, or
        takes its minutes to start."""
        name = ("unshare", "--uts")
        files = ("--mount", "--propagation", "private")
        to_files = ('mount --bind "$1/hosts" /etc/hosts && mount --bind '
                    '"$1/nsswitch.conf" /etc/nsswitch.conf && ')
        for flags, script in ((files, to_files), ((), "")):
            if _works((*name, *flags, "true")):
                return (*name, *flags, "sh", "-c",
                        f'hostname mx.test && {script} shift && exec "$@"',
                        "sendmail", self.dir)
        return ()

    def _answers(self):
        with Smtp("127.0.0.1", self.port, timeout=2) as smtp:
            return smtp.quit().startswith(b"221")


def _works(argv):
    return subprocess.run(argv, check=False,
                          stderr=subprocess.DEVNULL).returncode == 0
