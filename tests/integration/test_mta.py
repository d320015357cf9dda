# SPDX-License-Identifier: GPL-2.0-or-later
"""The four MTAs side by side on one database: who has logged in relays, for a
while, and nobody else does; mail for this host passes whatever happens."""

import contextlib
import signal
import socket

from addresses import CLIENTS4, CLIENTS6
from harness import wait_for
from lineclient import Smtp
from mtatest import FRONT, FRONT6, MtaTestCase, glue
from pair import Pbs
from postfix import Postfix
from test_pbs_daemon import record

TIMEOUT = 16  # for thirty SMTP sessions; half of it for twenty

# Who does not look at a record's time has it taken out: by perdition-pbs, or
# while that is down by "perdition-pbs --mode expire", from cron.
BY_EXPIRE = ("sendmail drac", "postfix file")


class SideBySide(MtaTestCase):
    def start_all(self):
        self.start_machine()
        self.start_dovecots(messages=False)
        self.start_pair(pbs_values=self.pbs_values(timeout=TIMEOUT),
                        hosts=(FRONT, FRONT6))
        self.start_mtas()

    def test_life_of_an_entry(self):
        self.start_all()
        (once, again), stranger = CLIENTS4[:2], CLIENTS4[2]
        six, stranger6 = CLIENTS6[0], "2001:db8:7::1"
        everybody = (once, again, six)

        self.assert_no_relay(*everybody)
        self.assert_local(*everybody)
        self.log_in(*everybody)
        for key in everybody:
            self.wait_entry(key)
        first = int(self.db.get(again))
        self.assert_relay(*everybody)
        self.assert_no_relay(stranger, stranger6)

        # Logged in again: still open when the first time is over.
        self.wait_over(first - TIMEOUT / 2)
        self.log_in(again, six)
        for key in (again, six):
            wait_for(f"a later end of {key}",
                     lambda k=key: int(self.db.get(k)) > first)
        last = int(self.db.get(six))
        self.wait_over(first)
        self.assert_relay(again, six)
        self.wait_no_entry(once)
        self.assert_no_relay(once)

        self.wait_over(last)
        self.wait_no_entry(again)
        self.wait_no_entry(six)
        self.assert_no_relay(*everybody)

        self.log_in(*everybody)
        for key in everybody:
            self.wait_entry(key)
        self.assert_relay(again, six)
        self.pbs.run("remove", again, six)
        self.assert_no_relay(again, six)

    def test_perdition_pbs_is_gone(self):
        self.start_all()
        four, six = CLIENTS4[0], CLIENTS6[0]
        self.log_in(four, six)
        ends = max(int(self.wait_entry(key)) for key in (four, six))
        self.assert_relay(four, six)
        self.assertEqual(self.pbs.stop(), 0)
        self.assert_local(four, six)
        self.assert_no_relay(four, six, ways=self.socket_ways(), down=True)
        self.wait_over(ends)
        self.assert_no_relay(
            four, six, ways=set(self.ways).difference(BY_EXPIRE), down=True)
        self.pbs.run("expire")
        self.assert_no_relay(four, six, down=True)
        self.assert_local(four, six)

    def test_restart_within_a_session(self):
        """An MTA keeps its connection, finds it dead and makes a new one."""
        self.start_all()
        known = CLIENTS4[0]
        self.pbs.run("insert", known)
        with contextlib.ExitStack() as stack:
            sessions = {
                way: stack.enter_context(Smtp(FRONT, self.ways[way], known))
                for way in self.socket_ways()}
            for when in ("before", "after", "later"):
                if when == "after":
                    self.assertEqual(self.pbs.stop(), 0)
                    self.start(self.pbs)
                for way, session in sessions.items():
                    # Sendmail tells of the dead connection, once.
                    code = "451" if (way, when) == ("sendmail socket",
                                                    "after") else "250"
                    self.assertRegex(session.rcpt("someone@example.net"),
                                     f"^{code} ", f"{way} {when}")

    def test_header_names_the_user(self):
        """Once in a message, however many its recipients; of who may relay."""
        self.start_machine()
        self.start_alone(policy_header="X-POP-User")
        name = "postfix-policy"
        self.machine.bind(self.sockets, f"/var/spool/{name}/perdition-pbs")
        port = self.port("postfix policy")
        self.start(Postfix(self.machine, port, glue(
            "postfix", "relay-policy.cf") + glue("postfix", "relay-header.cf"),
            name))
        known, stranger = CLIENTS4[:2]
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.pbs.socket))
            sock.sendall(record(known))
            wait_for("the login", lambda: self.db.get(known))
        for source, recipients in ((known, ("a@example.net", "b@example.net")),
                                   (known, ("postmaster@mx.test",)),
                                   (stranger, ("postmaster@mx.test",))):
            with Smtp(FRONT, port, source) as smtp:
                smtp.expect(b"250", "MAIL FROM:<sender@example.org>")
                for recipient in recipients:
                    smtp.expect(b"250", f"RCPT TO:<{recipient}>")
                smtp.expect(b"354", "DATA")
                queued = smtp.expect(b"250", "Subject: x\r\n\r\n.")
            message = self.machine.run(
                f"postcat -c /etc/{name} -qh {queued.split()[-1].decode()}")
            found = [line for line in message.stdout.splitlines()
                     if line.startswith("X-POP-User:")]
            self.assertEqual(found, [
                f'X-POP-User: user="bob" address={known}'
            ] if source == known else [])

    def test_perdition_pbs_hangs(self):
        self.start_all()
        known = CLIENTS4[0]
        self.pbs.run("insert", known)
        self.pbs.send_signal(signal.SIGSTOP)
        self.addCleanup(self.pbs.send_signal, signal.SIGCONT)
        self.assert_local(known)
        # The socket maps of Sendmail and Postfix have no time limit to set.
        self.assert_no_relay(known, ways=("postfix policy", "exim socket"))
        self.pbs.send_signal(signal.SIGCONT)
        self.assert_relay(known)

    def test_no_database(self):
        self.start_machine()
        self.pbs = Pbs(self)
        self.start_mtas()
        self.assert_local(CLIENTS4[0], CLIENTS6[0])
        self.assert_no_relay(CLIENTS4[0], down=True)
        self.pbs.run("insert", CLIENTS4[0])
        # It does not look for a file again that was not there.
        self.postfix["file"].reload()
        # A process of before the reload may answer once more.
        wait_for("the file is asked", lambda: self.answers(
            CLIENTS4[0], ways=["postfix file"])["postfix file"]
            .startswith("250 "))
        by_file = set(self.ways) - set(self.socket_ways())
        self.assert_relay(CLIENTS4[0], ways=by_file)
        self.assert_no_relay(CLIENTS4[1], ways=by_file)
