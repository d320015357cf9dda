#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""MTAs, and POP and IMAP servers, unpacked from Debian's packages without
installing them: they exclude each other, and would replace the system's own.
Run as a program, fetches them all.
"""

import os
import pathlib
import subprocess

from harness import LIB, TOP

PACKAGES = {
    "sendmail": ("sendmail-bin", "sendmail-base", "sendmail-cf"),
    "postfix": ("postfix", "postfix-lmdb", "postfix-cdb"),
    "exim": ("exim4-daemon-light", "exim4-base", "exim4-config"),
    # couriertcpd
    "courier": ("courier-base",),
    # tcpserver; excludes ucspi-tcp.
    "ucspi-tcp-ipv6": ("ucspi-tcp-ipv6",),
    "nginx": ("nginx-light", "libnginx-mod-mail"),
    "popa3d": ("popa3d",),
    "courier-imap": ("courier-imap", "courier-pop"),
    "cyrus": ("cyrus-imapd", "cyrus-pop3d", "sasl2-bin",
              "libsasl2-modules-db"),
}


def cache_dir():
    """Where unpacked packages are kept between runs."""
    return pathlib.Path(os.environ.get("PERDITION_TEST_CACHE")
                        or TOP / "build-cache")


def unpack(name, log=None):
    """Fetch and unpack what PACKAGES calls name unless that was done; returns
    its root."""
    root = cache_dir() / name
    root.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([LIB / "unpack-debs", root, *PACKAGES[name]], check=True,
                   stdout=log, stderr=log)
    return root / "fs"


if __name__ == "__main__":
    for each in PACKAGES:
        unpack(each)
