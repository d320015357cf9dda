# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine's /dev/log, written to a file as rsyslog does: with a host's name
behind the time, and control characters as #012."""

import re
import socket
import threading

# In front of what libc's syslog(3) sends; in it, the time.
HEAD = re.compile(rb"<\d+>(\w{3} [ \d]\d \d\d:\d\d:\d\d) ")

# $1: a directory, which becomes /dev.
MOUNT = """
cd '{dev}'
for node in null zero full random urandom; do
    : >$node
    mount --bind /dev/$node $node
done
ln -s /proc/self/fd fd
mkdir shm
mount -t tmpfs tmpfs shm
mount --rbind '{dev}' /dev
"""


class Syslog:
    """Listens from now on; path: the file."""

    def __init__(self, test, machine):
        dev = test.subdir("dev")
        self.path = test.dir / "syslog"
        self.path.touch()
        self.path.chmod(0o644)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        test.addCleanup(self.sock.close)
        machine.run(MOUNT.format(dev=dev))
        self.sock.bind(str(dev / "log"))
        (dev / "log").chmod(0o666)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        test.addCleanup(self._stop)

    def _stop(self):
        self.sock.shutdown(socket.SHUT_RD)
        self.thread.join()

    def _run(self):
        with open(self.path, "ab", buffering=0) as out:
            while data := self.sock.recv(65536):
                out.write(self._line(data))

    @staticmethod
    def _line(data):
        stamp = HEAD.match(data)
        text = data[stamp.end():].rstrip(b"\n\0")
        return stamp[1] + b" mx " + re.sub(
            rb"[\x00-\x1f\x7f]", lambda m: b"#%03o" % m[0][0], text) + b"\n"

    def text(self):
        return self.path.read_text(errors="replace")
