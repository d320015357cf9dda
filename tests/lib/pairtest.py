# SPDX-License-Identifier: GPL-2.0-or-later
"""What most integration tests begin with: two Dovecots, perdition before them
and, where wanted, perdition-pbs and Sendmail."""

import signal

from addresses import CLIENTS4
from dovecot import Dovecot
from harness import DEADLINE, TestCase, free_port, wait_for
from lineclient import Imap, Pop3, relays
from messages import known_messages
from pair import OWNER, Pbs, Perdition
from relaydb import RelayDb
from sendmail import Sendmail

FRONT = "127.0.0.1"
ONE, TWO = "127.0.0.11", "127.0.0.12"

# The key is USER:PORT, and the servers listen on the ports that perdition
# listens on, so that one map serves IMAP and POP3.
POPMAP = f"""\
"^(alice|carol smith):([0-9]+)$": {ONE}:$2
^bob:([0-9]+)$: {TWO}:$1
"""

PASSWORDS = {"alice": "secret", "bob": "geheim",
             "carol smith": 'a "b\\ c %s {3} $1'}


class PairTestCase(TestCase):
    pbs_prefix = ()  # words before perdition-pbs's command

    def setUp(self):
        super().setUp()
        self.imap_port = free_port(FRONT, "::1", ONE, TWO)
        self.pop3_port = free_port(FRONT, "::1", ONE, TWO)
        self.mail = {}

    def start_dovecots(self, messages=True, big=False, extra=""):
        self.servers = {}
        for name, addr, users in (("one", ONE, ["alice", "carol smith"]),
                                  ("two", TWO, ["bob"])):
            for user in users:
                self.mail[user] = known_messages(f"{user} on {name}", big) \
                    if messages else {}
            self.servers[name] = self.start(Dovecot(
                self.dir / f"dovecot-{name}", name, addr, self.imap_port,
                self.pop3_port,
                {u: (PASSWORDS[u], self.mail[u]) for u in users}, extra))

    def perdition(self, values=None, hosts=(FRONT,), popmap=POPMAP, **kwargs):
        """Not started yet."""
        listeners = [(proto, host, port) for host in hosts
                     for proto, port in (("imap4", self.imap_port),
                                         ("pop3", self.pop3_port))]
        return Perdition(self, listeners, popmap,
                         {"query_key": r"\u:\P", **(values or {})},
                         **kwargs)

    def start_pair(self, source="socket", pbs_values=None, values=None,
                   hosts=(FRONT,)):
        """self.pbs, self.front and self.db."""
        self.pbs = Pbs(self, source, pbs_values, prefix=self.pbs_prefix)
        extra = {}
        if source != "log":
            extra["auth_socket"] = self.pbs.socket
        if source != "socket":
            extra["log_facility"] = self.subdir("log", owner=OWNER) \
                / "perdition.log"
            self.pbs.values["log_file"] = extra["log_facility"]
            self.pbs = Pbs(self, source, pbs_values,
                           log_file=extra["log_facility"],
                           prefix=self.pbs_prefix)
        self.start(self.pbs)
        self.db = RelayDb(self.pbs.db)
        self.front = self.start(self.perdition({**extra, **(values or {})},
                                               hosts))

    def start_sendmail(self, ipv6=False):
        self.smtp_port = free_port(FRONT, "::1")
        self.sendmail = self.start(Sendmail(
            self.dir / "sendmail", self.pbs.db, self.smtp_port, ipv6))

    def imap(self, user=None, source=None, password=None, host=FRONT):
        """An IMAP connection, logged in if there is a user."""
        client = Imap(host, self.imap_port, source)
        self.addCleanup(client.close)
        if user is not None:
            status, _ = client.login(user, password or PASSWORDS[user])
            self.assertRegex(status, rb"^OK ")
        return client

    def pop3(self, user=None, source=None, password=None, host=FRONT):
        client = Pop3(host, self.pop3_port, source)
        self.addCleanup(client.close)
        if user is not None:
            status = client.login(user, password or PASSWORDS[user])
            self.assertRegex(status, rb"^\+OK")
        return client

    def rcpt(self, source, host=FRONT):
        """Whether Sendmail relays for source."""
        answer = relays(host, self.smtp_port, source)
        self.assertRegex(answer, r"^(250|550) ")
        return answer.startswith("250")

    def wait_entry(self, key, deadline=DEADLINE):
        return wait_for(f"an entry {key}", lambda: self.db.get(key), deadline,
                        0.001)

    def wait_no_entry(self, key, deadline=DEADLINE):
        wait_for(f"no entry {key}", lambda: self.db.get(key) is None,
                 deadline, 0.01)

    def kill(self, daemon):
        """kill -9 the one process of daemon."""
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()


__all__ = ["CLIENTS4", "FRONT", "ONE", "PASSWORDS", "POPMAP",
           "PairTestCase", "TWO"]
