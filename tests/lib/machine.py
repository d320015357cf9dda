# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine for one test: the same kernel, network and processes, but a file
system in which unpacked MTAs and the tested programs are installed, at the
paths where an administrator finds them.  /etc, /var and /run may be changed
at will; all of it goes with the test.

Needs root and overlayfs, and a scratch directory that is on a file system
which overlayfs takes for an upper layer (tmpfs is).
"""

import pathlib
import subprocess

from harness import Daemon
from pair import prefix
from unpacked import unpack

# Accounts that the packages would make, and that of qmail-smtpd: name, and
# whether a user as well.
ACCOUNTS = {
    "postfix": (("postfix", True), ("postdrop", False)),
    "exim": (("Debian-exim", True),),
    "sendmail": (("smmta", True), ("smmsp", True)),
    "courier": (),
    "ucspi-tcp-ipv6": (("qmaild", True),),
    "nginx": (),
    "popa3d": (("popa3d", True),),
    "courier-imap": (("courier", True),),
    "cyrus": (("cyrus", True),),
}
FIRST_ID = 900

# $1: the scratch directory; $2: the lower layers of /usr; $3: those of /etc.
# /etc/hosts and its like are mounts of run.py's, which no overlay shows.
MOUNT = """set -eu
cd "$1"
mkdir -p keep usr.up usr.work etc.up etc.work var.up var.work
cp /etc/hosts /etc/nsswitch.conf keep
mount -t overlay overlay \
    -o "lowerdir=$2:/usr,upperdir=$1/usr.up,workdir=$1/usr.work" /usr
mount -t overlay overlay \
    -o "lowerdir=$3,upperdir=$1/etc.up,workdir=$1/etc.work" /etc
mount -t overlay overlay \
    -o "lowerdir=/var,upperdir=$1/var.up,workdir=$1/var.work" /var
mount -t tmpfs -o mode=755 tmpfs /run
cp keep/hosts keep/nsswitch.conf /etc
: >/etc/resolv.conf
cat passwd >>/etc/passwd
cat group >>/etc/group
: >mounted
exec sleep infinity
"""


class Machine(Daemon):
    """names: of what unpack() knows."""

    def __init__(self, folder, *names):
        self.dir = pathlib.Path(folder)
        self.dir.mkdir(parents=True)
        self.dir.chmod(0o755)
        self.roots = [unpack(name) for name in names]
        self._write_accounts(names)
        usr = [prefix(), *(root / "usr" for root in self.roots)]
        etc = [root / "etc" for root in self.roots
               if (root / "etc").is_dir()] + ["/etc"]
        super().__init__(
            "machine", ["sh", "-c", MOUNT, "machine", self.dir,
                        ":".join(map(str, usr)),
                        ":".join(map(str, etc))],
            self.dir / "output", ready=(self.dir / "mounted").exists,
            prefix=["unshare", "--mount", "--propagation", "private"])

    def _write_accounts(self, names):
        users, groups = [], []
        number = FIRST_ID
        for name in names:
            for account, is_user in ACCOUNTS[name]:
                groups.append(f"{account}:x:{number}:\n")
                if is_user:
                    users.append(f"{account}:x:{number}:{number}::"
                                 "/nonexistent:/usr/sbin/nologin\n")
                number += 1
        (self.dir / "passwd").write_text("".join(users))
        (self.dir / "group").write_text("".join(groups))

    @property
    def enter(self):
        """Words that run what follows them on this machine."""
        return ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", "--"]

    def run(self, script, check=True, **kwargs):
        """A shell script here; CompletedProcess with text."""
        done = subprocess.run(
            [*self.enter, "sh", "-euc", script], text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            **{"input": "", **kwargs})
        if check and done.returncode != 0:
            raise AssertionError(f"status {done.returncode} of {script!r}:\n"
                                 f"{done.stdout}")
        return done

    def read(self, path):
        return self.run(f"cat '{path}'").stdout

    def write(self, path, text, mode=0o644):
        self.run(f"mkdir -p '{pathlib.Path(path).parent}'; cat >'{path}'; "
                 f"chmod {mode:o} '{path}'", input=text)

    def bind(self, outside, inside):
        """Show a directory at another place, here."""
        self.run(f"mkdir -p '{inside}'; mount --bind '{outside}' '{inside}'")
