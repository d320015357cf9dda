#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The second half of quickstart: starts the servers below DIR and shows, step
by step, what they do.

    quickstart-tour.py DIR [--check]
"""

import contextlib
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent
                       / "tests" / "lib"))

# pylint: disable=wrong-import-position
from dovecot import Dovecot  # noqa: E402
from harness import Daemon, Timeout, free_port, wait_for  # noqa: E402
from lineclient import Imap, Smtp  # noqa: E402
from messages import known_messages  # noqa: E402
from sendmail import Sendmail  # noqa: E402

FRONT = "127.0.0.1"
ONE, TWO = "127.0.0.11", "127.0.0.12"
ALICE_AT, BOB_AT = "127.0.0.2", "127.0.0.3"
OUTSIDE = "someone@example.net"
RELAY_SECONDS = 5


class Wrong(Exception):
    """The tour did not show what it should."""


def step(text):
    print(f"\n*** {text}", flush=True)


def show(text):
    print("\n".join("    " + line for line in text.rstrip().splitlines()),
          flush=True)


def say(text):
    print(text, flush=True)


class Tour:
    def __init__(self, folder):
        self.dir = folder
        self.prefix = folder / "usr"
        # One pair of ports for all: Dovecot one and two listen on them at
        # addresses of their own, and perdition at a third.
        self.imap = free_port(FRONT, ONE, TWO)
        self.pop3 = free_port(FRONT, ONE, TWO)
        self.smtp = free_port(FRONT)
        self.etc = self._folder("etc")
        self.relay = self._folder("relay")
        self.log = self._folder("log") / "perdition.log"
        self.db = self.relay / "relay.db"
        self.socket = self.relay / "auth.sock"
        self.daemons = contextlib.ExitStack()

    def _folder(self, name):
        path = self.dir / name
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
        if os.geteuid() == 0 and name in ("relay", "log"):
            # perdition-pbs writes it as nobody.
            subprocess.run(["chown", "nobody:nogroup", path], check=True)
        return path

    def start(self, daemon):
        self.daemons.callback(daemon.stop)
        daemon.start()
        return daemon

    # --- the servers ----------------------------------------------------
    def start_dovecots(self):
        for name, addr, user in (("one", ONE, "alice"), ("two", TWO, "bob")):
            mail = known_messages(f"{user} on server {name}", big=False)
            few = {n: mail[n] for n in ("plain", "eight-bit", "dots")}
            self.start(Dovecot(self.dir / f"dovecot-{name}", name, addr,
                               self.imap, self.pop3,
                               {user: ("secret", few)}))
            say(f"Dovecot {name} is up at {addr}, IMAP port {self.imap}, "
                f"POP3 port {self.pop3}, with {len(few)} messages for "
                f"{user}.")

    def start_pbs(self, seconds):
        argv = [self.prefix / "sbin/perdition-pbs", "--no_daemon",
                "--pid_file", "",
                "--db_file", self.db, "--state_dir", self.relay,
                "--socket", self.socket, "--log_file", "",
                # Only here: all our clients are on the loopback interface.
                "--allow_loopback", "--timeout", seconds,
                "--log_facility", "+"]
        daemon = Daemon("perdition-pbs", argv, self.dir / "log/perdition-pbs",
                        ready=lambda: self.db.exists()
                        and self.socket.exists())
        return self.start(daemon)

    def start_perdition(self):
        popmap = self.etc / "popmap.re"
        popmap.write_text(
            "# Which real-server?  The key is USER:PORT, as query_key says.\n"
            f"^alice:([0-9]+)$: {ONE}:$1\n"
            f"^bob:([0-9]+)$: {TWO}:$1\n")
        config = self.etc / "perdition.conf"
        config.write_text(
            f"listen imap4://{FRONT}:{self.imap}\n"
            f"listen pop3://{FRONT}:{self.pop3}\n"
            "map_library regex\n"
            f"map_library_opt {popmap}\n"
            "query_key \"\\u:\\P\"\n"
            f"auth_socket {self.socket}\n"
            f"log_facility {self.log}\n"
            f"pid_file {self.dir}/perdition.pid\n")
        for path in (popmap, config):
            path.chmod(0o644)
        argv = [self.prefix / "sbin/perdition", "--no_daemon",
                "--config_file", config]

        def ready():
            with Imap(FRONT, self.imap, timeout=2) as imap:
                return imap.greeting
        self.start(Daemon("perdition", argv, self.dir / "log/perdition",
                          ready=ready))
        say(f"perdition is up at {FRONT}, IMAP port {self.imap}, POP3 port "
            f"{self.pop3}. Its popmap sends each user to a server:")
        show(popmap.read_text())

    def start_sendmail(self):
        self.start(Sendmail(self.dir / "sendmail", self.db, self.smtp))
        say(f"Sendmail is up at {FRONT}, port {self.smtp}; it asks "
            f"{self.db} who may relay.")

    # --- what is shown --------------------------------------------------
    def curl(self, source, user, url):
        argv = ["curl", "--silent", "--show-error", "--max-time", "20",
                "--interface", source, "--user", f"{user}:secret", url]
        show("$ " + shlex.join(argv))
        done = subprocess.run(argv, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise Wrong(f"curl: {done.stderr.decode(errors='replace')}")
        text = done.stdout.decode(errors="replace").replace("\r", "")
        show(text)
        return text

    def login(self, protocol, source, user, server):
        port = self.imap if protocol == "imap" else self.pop3
        url = f"{protocol}://{FRONT}:{port}" + (
            "/INBOX;MAILINDEX=1" if protocol == "imap" else "/1")
        text = self.curl(source, user, url)
        if f"{user} on server {server}" not in text:
            raise Wrong(f"this is not {user}'s mail on server {server}")
        say(f"That is {user}'s first message, and it lies on server {server}.")

    def auth_line(self, source, user):
        def find():
            return [line for line in
                    self.log.read_text(errors="replace").splitlines()
                    if f"Auth: {source}:" in line
                    and f'"{user}"' in line and 'status="ok"' in line]
        line = wait_for("the Auth line in the log", find)[-1]
        say("perdition has logged who logged in, from where, and where to:")
        show(line)

    def entries(self):
        argv = [self.prefix / "sbin/perdition-pbs", "--mode", "list",
                "--db_file", self.db]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise Wrong(f"list: {done.stderr}")
        return done.stdout

    def entry(self, source):
        def find():
            text = self.entries()
            return text if source in text else None
        text = wait_for(f"an entry for {source}", find)
        say("perdition-pbs has heard of it and keeps the address:")
        show("$ perdition-pbs --mode list --db_file " + str(self.db))
        show(text)

    def rcpt(self, source, allowed):
        with Smtp(FRONT, self.smtp, source) as smtp:
            answer = smtp.rcpt(OUTSIDE)
        show(f"{source} -> RCPT TO:<{OUTSIDE}>")
        show(f"Sendmail -> {answer}")
        if answer.startswith("250") != allowed:
            raise Wrong("Sendmail should have answered "
                        + ("250" if allowed else "550"))

    def run(self):
        step("Start two Dovecot servers, each with one user's mail")
        self.start_dovecots()
        step("Start perdition-pbs, perdition and Sendmail")
        pbs = self.start_pbs(RELAY_SECONDS)
        say(f"perdition-pbs is up; a login counts for {RELAY_SECONDS} "
            f"seconds.")
        self.start_perdition()
        self.start_sendmail()

        step(f"Before any login: a client at {ALICE_AT} wants Sendmail to "
             f"relay")
        self.rcpt(ALICE_AT, False)
        say("Refused, as it should be for a stranger.")

        step(f"Alice, at {ALICE_AT}, reads her mail by IMAP")
        self.login("imap", ALICE_AT, "alice", "one")
        self.auth_line(ALICE_AT, "alice")
        self.entry(ALICE_AT)
        step("The same client asks Sendmail again")
        self.rcpt(ALICE_AT, True)
        say("Accepted. Another address gains nothing by it:")
        self.rcpt(BOB_AT, False)

        step(f"Bob, at {BOB_AT}, reads his mail by POP3")
        self.login("pop3", BOB_AT, "bob", "two")
        self.auth_line(BOB_AT, "bob")
        self.entry(BOB_AT)
        self.rcpt(BOB_AT, True)

        step(f"After {RELAY_SECONDS} seconds without a login")
        wait_for("both entries gone", lambda: not any(
            a in self.entries() for a in (ALICE_AT, BOB_AT)),
            RELAY_SECONDS + 10, 0.1)
        self.rcpt(ALICE_AT, False)
        self.rcpt(BOB_AT, False)
        say("Refused again.")
        return pbs

    def stay(self, pbs):
        pbs.stop()
        self.start_pbs(60)
        # perdition tries once a second to reach the new one.
        with Imap(FRONT, self.imap, ALICE_AT) as imap:
            imap.login("alice", "secret")
            wait_for("an entry for alice", lambda: ALICE_AT in self.entries())
        step("Your turn: everything stays up until you press Ctrl-C")
        say(f"""
Users, both with the password "secret": alice (server one), bob (server two).
A login now counts for 60 seconds. In another terminal:

  read mail    curl --interface {ALICE_AT} --user alice:secret \\
                 'imap://{FRONT}:{self.imap}/INBOX;MAILINDEX=2'
               curl --interface {BOB_AT} --user bob:secret \\
                 pop3://{FRONT}:{self.pop3}/2
  relay        curl --silent --show-error --interface {ALICE_AT} smtp://{FRONT}:{self.smtp} \\
                 --mail-from a@example.org --mail-rcpt {OUTSIDE} -T /dev/null
               says nothing when Sendmail takes it, and "RCPT failed: 550"
               when 60 seconds have gone by since the last login from there.
               (Sendmail always relays for 127.0.0.1, so take another address.
               Nothing is sent: it stays in Sendmail's queue.)
  who may      {self.prefix}/sbin/perdition-pbs --mode list --db_file {self.db}
  new popmap   edit {self.etc}/popmap.re, then
               kill -HUP $(cat {self.dir}/perdition.pid)
  settings     {self.etc}/perdition.conf
  logs         {self.log}
               {self.dir}/log/perdition-pbs
               {self.dir}/dovecot-one/log
  read on      README.md, doc/, mta-glue/sendmail/README.md
""")
        while True:
            signal.pause()


def ended(_number, _frame):
    # Once: a second one must not break off the ending.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main():
    folder = pathlib.Path(sys.argv[1])
    check = "--check" in sys.argv[2:]
    os.environ["PERDITION_TEST_CACHE"] = str(folder / "cache")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, ended)
    tour = Tour(folder)
    began = time.monotonic()
    try:
        with tour.daemons:
            pbs = tour.run()
            if not check:
                tour.stay(pbs)
    except (Wrong, Timeout, AssertionError, OSError,
            subprocess.CalledProcessError) as error:
        say(f"\nquickstart: this went wrong: {error}")
        return 1
    except KeyboardInterrupt:
        say("\nAll servers are stopped.")
        return 130 if check else 0
    say(f"\nAll was as it should be ({time.monotonic() - began:.0f} seconds). "
        f"All servers are stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
