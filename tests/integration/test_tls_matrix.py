# SPDX-License-Identifier: GPL-2.0-or-later
"""Every way in with every way out: plain, STARTTLS and implicit TLS, IMAP4 and
POP3, Dovecot behind and curl in front, 10 MB byte for byte."""

import random
import subprocess

from dovecot import Dovecot
from harness import free_port
from tlstest import FRONT, TlsTestCase

BACK = "127.0.0.11"
SIZE = 10 * 1024 * 1024
MODES = ("none", "starttls", "implicit")
SECURE = {"none": "plaintext", "starttls": "starttls", "implicit": "ssl"}


def large_message(seed):
    """Lines of all lengths, dots at their beginning too."""
    chance = random.Random(seed)
    alphabet = bytes(range(33, 127))
    noise = bytes(chance.choices(alphabet, k=65536))
    lines = [b"From: a@example.org", b"Subject: 10 MB", b""]
    size = 0
    while size < SIZE:
        start = chance.randrange(65000)
        line = chance.choice((b"", b".", b"..", b"")) \
            + noise[start:start + chance.randrange(500)]
        lines.append(line)
        size += len(line) + 2
    return b"\r\n".join(lines) + b"\r\n"


class Matrix(TlsTestCase):
    def setUp(self):
        super().setUp()
        self.message = large_message(7)
        back = self.authority.issue("back", [BACK])
        imap, pop3, imaps, pop3s = (free_port(BACK) for _ in range(4))
        self.dovecot = self.start(Dovecot(
            self.dir / "dovecot", "back", BACK, imap, pop3,
            {f"out-{mode}": ("secret", {"large": self.message.replace(
                b"\r\n", b"\n")}) for mode in MODES},
            tls=(back, imaps, pop3s)))
        listeners = [("imap4", "tls=none"), ("imap4", "tls=starttls"),
                     ("imap4s", ""), ("pop3", "tls=none"),
                     ("pop3", "tls=starttls"), ("pop3s", "")]
        # The scheme is the protocol's, so the first that fits serves.
        self.start_front(listeners, popmap=(
            f"^out-none$: imap://{BACK}:{imap}?tls=none,"
            f"pop3://{BACK}:{pop3}?tls=none\n"
            f"^out-starttls$: imap://{BACK}:{imap}?tls=starttls,"
            f"pop3://{BACK}:{pop3}?tls=starttls\n"
            f"^out-implicit$: imaps://{BACK}:{imaps},"
            f"pop3s://{BACK}:{pop3s}\n"))

    def curl(self, proto, way_in, user, path, *args):
        number = MODES.index(way_in) + (3 if proto == "pop3" else 0)
        scheme = proto + ("s" if way_in == "implicit" else "")
        argv = ["curl", "--silent", "--show-error", "--max-time", "60",
                "--cacert", self.authority.cert, "--user", f"{user}:secret",
                "--connect-to", f"localhost:{self.ports[number]}:"
                f"{FRONT}:{self.ports[number]}"]
        if way_in == "starttls":
            argv.append("--ssl-reqd")
        argv += [*args, f"{scheme}://localhost:{self.ports[number]}/{path}"]
        done = subprocess.run([str(a) for a in argv], capture_output=True,
                              check=False, timeout=90)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_all_cells(self):
        cells = [(proto, way_in, out) for proto in ("imap", "pop3")
                 for way_in in MODES for out in MODES]
        for proto, way_in, out in cells:
            with self.subTest(protocol=proto, way_in=way_in, out=out):
                path = "INBOX;MAILINDEX=1" if proto == "imap" else "1"
                got = self.curl(proto, way_in, f"out-{out}", path)
                self.assertEqual(len(got), len(self.message))
                self.assertTrue(got == self.message)
                line = self.front.log_lines(" Auth: ")[-1]
                self.assertIn(f" client-secure={SECURE[way_in]} ", line)
                self.assertIn(f" server-secure={SECURE[out]} ", line)
                self.assertIn('status="ok"', line)

    def test_upload(self):
        """The same the other way, where the protocol can."""
        source = self.dir / "message"
        source.write_bytes(self.message)
        for number, (way_in, out) in enumerate(
                [("starttls", "implicit"), ("implicit", "none"),
                 ("implicit", "starttls"), ("none", "implicit")]):
            with self.subTest(way_in=way_in, out=out):
                user = f"out-{out}"
                folder = f"up{number}"
                self.curl("imap", way_in, user, "", "-X", f"CREATE {folder}")
                self.curl("imap", way_in, user, folder, "-T", source)
                got = self.curl("imap", way_in, user,
                                f"{folder};MAILINDEX=1")
                self.assertTrue(got == self.message)
