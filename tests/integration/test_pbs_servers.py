# SPDX-License-Identifier: GPL-2.0-or-later
"""perdition-pbs beside POP and IMAP servers of others: the lines that they
write in this very run, of logins that work and that fail, with names that are
made of their own lines."""

import concurrent.futures
import contextlib
import re
import subprocess

import popservers
from addresses import CLIENTS4
from authhttp import AuthHttp
from dovecot import Dovecot
from harness import TestCase, free_port, wait_for
from lineclient import Closed, Imap, Pop3
from machine import Machine
from pair import Pbs, program
from relaydb import RelayDb
from syslogd import Syslog

SERVER, BEHIND = "127.0.0.11", "127.0.0.12"
EVIL = "198.51.100.66"
GOOD, FAILING, LAST = CLIENTS4[:3]


class ServerTestCase(TestCase):
    name = None  # of the pattern
    packages = None  # for Machine; None: the same
    imap = True
    at_once = 20  # logins

    def setUp(self):
        super().setUp()
        self.machine = self.start(Machine(
            self.dir / "machine", self.packages or self.name))
        self.syslog = Syslog(self, self.machine)

    def answers(self):
        with contextlib.suppress(Closed):  # not all of it is there yet
            with Pop3(SERVER, 110, timeout=2) as client:
                if not client.greeting.startswith(b"+OK"):
                    return False
            if self.imap:
                with Imap(SERVER, 143, timeout=2):
                    pass
            return True
        return False

    def login_imap(self, source, user, password):
        """With a literal: there any byte may be in a name."""
        data = user.encode()
        with Imap(SERVER, 143, source) as client:
            client.line(b"a LOGIN {%d}" % len(data))
            if not client.readline().startswith(b"+"):
                return False
            client.line(data + b" " + password.encode())
            line = client.readline()
            while line.startswith(b"* "):
                line = client.readline()
            return line.startswith(b"a OK")

    def login_pop3(self, source, user, password):
        with Pop3(SERVER, 110, source) as client:
            client.line(f"USER {user}")
            client.readline()
            client.line(f"PASS {password}")
            done = client.readline().startswith(b"+OK")
            client.line("QUIT")
            return done

    def login(self, source, user="bob", password="secret"):
        """By each protocol, what came of it."""
        kinds = [self.login_pop3] + [self.login_imap] * self.imap
        done = []
        for login in kinds:
            with contextlib.suppress(Closed, ConnectionError):
                done.append(login(source, user, password))
        return done

    def lines(self):
        """(number, address, user) of the clients' logins so far."""
        done = subprocess.run(
            [program("perdition-pbs"), "--config_file=", "--pattern",
             self.name, "--test_pattern", self.syslog.path],
            capture_output=True, text=True, timeout=20, check=False)
        return re.findall(r'^(\d+): login pattern=\w+ address=(?!127)(\S+) '
                          r'user="(.*)" time=', done.stdout, re.M)

    def hostile_names(self):
        """Made of the lines of logins that worked."""
        lines = self.syslog.text().splitlines()
        names = []
        for number, address, _ in self.lines():
            line = lines[int(number) - 1].replace(address, EVIL)
            message = line.split(": ", 1)[1]
            names += [line, message, "x\n" + line, "x\r\n" + line + "\r\n",
                      "bob" + message.partition("bob")[2]]
            names += ["y" * 490 + message]
        return names

    def start_pbs(self):
        """Its database."""
        pbs = self.start(Pbs(self, "log", {"pattern": self.name},
                             log_file=self.syslog.path))
        return RelayDb(pbs.db)

    @staticmethod
    def clients(db):
        """All addresses there, without the networks."""
        return {k for k in db.all() if ":" not in k and "/" not in k}

    def refused(self, names):
        """Several at once: servers take their time to refuse."""
        with concurrent.futures.ThreadPoolExecutor(self.at_once) as pool:
            for done in pool.map(
                    lambda name: self.login(FAILING, name, "wrong"), names):
                self.assertNotIn(True, done)

    def check(self):
        """Of a server that has started."""
        db = self.start_pbs()
        kinds = 2 if self.imap else 1
        self.assertEqual(self.login(GOOD), [True] * kinds)
        wait_for("both in the log", lambda: len(self.lines()) >= kinds)
        self.assertEqual({line[1:] for line in self.lines()}, {(GOOD, "bob")})
        wait_for("the entry", lambda: db.get(GOOD))
        names = ["bob", "nobody", *self.hostile_names()]
        self.refused(names)
        self.assertEqual(self.login(LAST), [True] * kinds)
        wait_for("the last", lambda: db.get(LAST))
        self.assertEqual(self.clients(db), {GOOD, LAST})
        self.assertEqual({line[1:] for line in self.lines()},
                         {(GOOD, "bob"), (LAST, "bob")})


class Nginx(ServerTestCase):
    name = "nginx"

    def test_mail(self):
        imap, pop3 = free_port(BEHIND), free_port(BEHIND)
        self.start(Dovecot(self.subdir("behind"), "two", BEHIND, imap, pop3,
                           {"bob": ("secret", {})}))

        def answer(user, request):
            good = (user == b"bob"
                    and request.headers["Auth-Pass"] == "secret")
            if not good:
                return 200, [("Auth-Status", "Invalid login or password")]
            proto = request.headers["Auth-Protocol"]
            return 200, [("Auth-Status", "OK"), ("Auth-Server", BEHIND),
                         ("Auth-Port", str(imap if proto == "imap"
                                           else pop3))]

        auth = AuthHttp(answer)
        self.addCleanup(auth.close)
        self.start(popservers.nginx(self.machine, SERVER, auth.url,
                                    self.answers))
        self.check()


class Popa3d(ServerTestCase):
    name = "popa3d"
    imap = False
    at_once = 2  # of ten; the last ones may not be gone yet

    def test_daemon(self):
        self.start(popservers.popa3d(self.machine, self.answers))
        self.check()


class Courier(ServerTestCase):
    name = "courier"
    packages = "courier-imap"
    at_once = 20
    CUT = 486  # courierlogger's 511, less "INFO: LOGIN FAILED, user="

    def test_both(self):
        self.start(popservers.courier(self.machine, self.answers))
        self.check()

    def test_cut_line(self):
        """The rest of what its logger cuts is another line, and the very one
        that pop3d writes of a login that worked."""
        self.start(popservers.courier(self.machine, self.answers))
        db = self.start_pbs()
        begun = "y" * self.CUT + "LOGIN, user=bob"
        names = [begun, begun + f", ip=[{EVIL}], protocol=IMAP"]
        # One at a time: where it cuts depends on what else there is to log.
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for done in pool.map(lambda login: [login(FAILING, name, "wrong")
                                                for name in names],
                                 (self.login_imap, self.login_pop3)):
                self.assertEqual(done, [False, False])
        for kind in ("imapd", "pop3d"):
            for ip in (f"::ffff:{FAILING}", EVIL):
                wait_for(f"a forged line of {kind}", lambda k=kind, i=ip: (
                    f"mx {k}: LOGIN, user=bob, ip=[{i}]"
                    in self.syslog.text()))
        self.assertEqual(self.login(LAST), [True, True])
        wait_for("the last", lambda: db.get(LAST))
        self.assertEqual(self.clients(db), {LAST})


class Cyrus(ServerTestCase):
    name = "cyrus"

    def test_both(self):
        self.start(popservers.cyrus(self.machine, self.answers))
        with Imap(SERVER, 143) as client:  # from loopback
            client.login("cyrus", "secret")
            client.command("CREATE user.bob")
        self.check()


del ServerTestCase
