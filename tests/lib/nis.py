# SPDX-License-Identifier: GPL-2.0-or-later
"""NIS on this machine alone: rpcbind, ypserv and ypbind on the loopback, with
their files in a scratch directory that is mounted where they look.  Only for
tests in namespaces of their own (integration/run.py)."""

import os
import socket
import subprocess

from harness import Daemon

SERVER = "127.0.0.1"
MAKEDBM = "/usr/lib/yp/makedbm"


def run(*argv, **kwargs):
    done = subprocess.run([str(a) for a in argv], check=False, timeout=30,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"{argv[0]}: {done.stdout!r}")


class Nis:
    """Mounts, and the three daemons; ended with the test."""

    def __init__(self, test, domain="mail.test"):
        if not os.environ.get("PERDITION_TEST_NAMESPACE"):
            raise AssertionError("not in a namespace of our own")
        self.test = test
        self.domain = domain
        self.yp = test.subdir("yp")
        (self.yp / "binding").mkdir()
        self._mount("--bind", self.yp, "/var/yp")
        self._mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
        os.mkdir("/run/rpcbind")
        os.chmod("/run/rpcbind", 0o777)
        self.set_domain(domain)
        test.addCleanup(self.set_domain, "(none)")
        self.rpcbind = self._start("rpcbind", ["rpcbind", "-f", "-w"],
                                   _answers)
        self.ypserv = self._start("ypserv", ["ypserv", "-d"], self._serves)

    def _mount(self, *words):
        run("mount", *words)
        self.test.addCleanup(run, "umount", "--lazy", words[-1])

    def _start(self, name, argv, ready):
        return self.test.start(Daemon(name, argv, self.test.dir /
                                      f"{name}.output", ready=ready))

    def _serves(self):
        done = subprocess.run(["rpcinfo", "-T", "udp", SERVER, "ypserv", "2"],
                              capture_output=True, timeout=30, check=False)
        return done.returncode == 0

    def set_domain(self, name):
        run("domainname", name)

    def bind(self, *domains):
        """Start ypbind, for the first domain or for all of these."""
        conf = self.test.dir / "yp.conf"
        domains = domains or (self.domain,)
        conf.write_text("".join(f"domain {d} server {SERVER}\n"
                                for d in domains))
        self.ypbind = self._start(
            "ypbind", ["ypbind", "-debug", "-f", conf, "-local-only"],
            lambda: all((self.yp / "binding" / f"{d}.2").exists()
                        for d in domains))

    def make(self, name, table, domain=None):
        """A map of {key: value}, as bytes; replaced when it is there."""
        folder = self.yp / (domain or self.domain)
        folder.mkdir(exist_ok=True)
        text = b"".join(k + b" " + v + b"\n" for k, v in table.items())
        run(MAKEDBM, "-", folder / f"{name}.new", input=text)
        (folder / f"{name}.new").rename(folder / name)
        run(MAKEDBM, "-c")  # or ypserv would keep the old file open


def _answers():
    socket.create_connection((SERVER, 111), 2).close()
    return True
