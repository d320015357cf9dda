# SPDX-License-Identifier: GPL-2.0-or-later
"""Popmap module ldap against OpenLDAP's slapd: what it finds, what it never
takes for "no such user", TLS, binds, and servers that go and come back."""

import os
import signal
import socket

import slapd
from fakeserver import FakeServer, imap_server
from harness import DEADLINE, TestCase, free_port, wait_for
from lineclient import Imap
from pair import Perdition, run_perdition
from slapd import BASE, PASSWORD, READER, Slapd, encode

FRONT = "127.0.0.1"
FIND = f"{BASE}?username,mailhost,port?one?(uid=%s)"
SEARCHED = f'SRCH base="{BASE}"'
# The machine may be busy; the shortest limit is tested by itself.
CALM = "x-network-timeout=20"
BIND = f"bindname={encode(READER)},x-bindpw={encode(PASSWORD)}"
# Users whose names would do harm in a filter.
ODD = ["a*b", "a)(uid=*", "back\\2aslash", "q\"uo'te", "%s%n", "a&b|c!d",
       "caf\u00e9"]


class Directory(TestCase):
    def setUp(self):
        super().setUp()
        self.notes = {"a": [], "b": [], "default": []}
        self.servers = {}
        for name, note in self.notes.items():
            self.servers[name] = FakeServer(imap_server(note=note))
            self.addCleanup(self.servers[name].close)
        self.a, self.b = (self.servers[n].address for n in "ab")
        self.users = {"alice": {"mailhost": self.a},
                      "bob": {"mailhost": self.b}}

    def slapd(self, **kwargs):
        return self.start(Slapd(self, self.users, **kwargs))

    def front(self, options, **values):
        self.port = free_port(FRONT)
        self.daemon = self.start(Perdition(
            self, [("imap4", FRONT, self.port)], None, {
                "outgoing_server": self.servers["default"].address,
                "map_library": "ldap", "map_library_opt": options,
                "map_timeout": 30, "username_from_database": True, **values}))

    def login(self, user):
        """(where it arrived, as whom, the client's answer)"""
        for note in self.notes.values():
            note.clear()
        with Imap(FRONT, self.port) as client:
            status = client.login(user, "secret")[0]
        for name, note in self.notes.items():
            for said in note:
                if said.upper().startswith(b"LOGIN"):
                    words = said.split(b" ")
                    return name, words[1].strip(b'"').decode(
                        errors="replace"), status
        return None, None, status

    def arrives(self, user, where, name=None):
        got = self.login(user)
        self.assertEqual(got[:2], (where, name or user), got[2])
        self.assertRegex(got[2], rb"^OK")

    def is_temporary(self, user, reason=None):
        before = len(self.daemon.log_lines("lookup-failed"))
        where, _, status = self.login(user)
        self.assertIsNone(where)
        self.assertRegex(status, rb"^NO \[UNAVAILABLE\]")
        if reason is None:
            return
        wait_for(f"{user}: {reason!r} in the log", lambda: any(
            reason in line and f"user={user} " in line
            for line in self.daemon.log_lines("lookup-failed")[before:]))
        self.assertNotIn(PASSWORD, self.daemon.output())


class Answers(Directory):
    def test_found_and_not_found(self):
        host, port = self.a.rsplit(":", 1)
        self.users.update({
            "carol": {"mailhost": self.b, "username": "caroline"},
            "dave": {"mailhost": host, "port": port, "username": "d@x"},
            "erin": {"mailhost": f"imap://{host}", "port": port},
            "frank": {"mailhost": f"ferdinand@{self.b}"},
        })
        ldap = self.slapd()
        self.front(ldap.url() + FIND + "?" + CALM)
        self.arrives("alice", "a")
        self.arrives("carol", "b", "caroline")
        self.arrives("dave", "a", "d@x")
        self.arrives("erin", "a")
        self.arrives("frank", "b", "ferdinand")
        self.arrives("nobody", "default")
        # All over one connection of each process that asked.
        self.assertLessEqual(
            ldap.output().count("ACCEPT from IP"),
            1 + len(self.daemon.roles()["lookup"]))

    def test_several_servers_in_order(self):
        dead = f"127.0.0.1:{free_port()}"
        self.users.update({
            "values": {"mailhost": [dead, self.b]},
            "list": {"mailhost": f"{dead}, {self.b},{self.a}"},
            "entries": [{"mailhost": dead}, {"mailhost": self.a},
                        {"mailhost": self.b}],
            "sixteen": {"mailhost": [dead.replace("0.0", f"0.{n}")
                                     for n in range(1, 16)] + [self.b]},
            "seventeen": {"mailhost": [dead.replace("0.0", f"0.{n}")
                                       for n in range(1, 17)] + [self.b]},
            "many": [{"mailhost": self.a}] * 17,
        })
        ldap = self.slapd()
        self.front(ldap.url() + FIND + "?" + CALM)
        self.arrives("values", "b")
        self.arrives("list", "b")
        self.arrives("entries", "a")
        self.arrives("sixteen", "b")
        self.is_temporary("seventeen", "more than 16 servers")
        self.is_temporary("many", "Size limit exceeded")

    def test_hostile_names(self):
        self.users.update({name: {"mailhost": self.b, "username": f"n{i}"}
                           for i, name in enumerate(ODD)})
        ldap = self.slapd()
        self.front(ldap.url() + FIND + "?" + CALM)
        for i, name in enumerate(ODD):
            with self.subTest(name=name):
                self.arrives(name.encode(), "b", f"n{i}")
        for name in (b"*", b"a*", b"a)(uid=*", b"*)(|(uid=*", b"\\2a",
                     b"alice)(mailhost=*", b"\xff\xfe", b"alice\\00",
                     b"(" * 1000, b"x" * 1000, b"a\tb"):
            if name in {n.encode() for n in ODD}:
                continue
            with self.subTest(name=name):
                where, _, status = self.login(name)
                self.assertIn(where, ("default", None), status)
        with Imap(FRONT, self.port) as client:
            client.sock.sendall(b"x LOGIN {7+}\r\nalice\0* secret\r\n")
            self.assertNotRegex(client.readline(), rb"^x OK")
        self.arrives("alice", "a")
        self.assertEqual(self.daemon.log_lines("lookup-failed"), [])

    def test_width_and_precision(self):
        self.users["al"] = {"mailhost": self.b}
        ldap = self.slapd()
        self.front(ldap.url() + f"{BASE}?,mailhost?sub?(uid=%.2s)?" + CALM)
        self.arrives("alice", "b")

    def test_never_taken_for_no_such_user(self):
        ldap = self.slapd()
        for options, reason in (
                (f"ou=wrong,{slapd.SUFFIX}?username,mailhost??(uid=%s)",
                 "No such object"),
                (f"{BASE}?username,no-such?one?(uid=%s)",
                 "no value of no-such"),
                ("dc=elsewhere?username,mailhost??(uid=%s)", "search"),
                (f"{BASE}?username,mailhost?one?(&!uid=%s)",
                 "Bad search filter")):
            with self.subTest(options=options):
                self.front(ldap.url() + options + "?" + CALM)
                self.is_temporary("alice", reason)
        self.assertEqual(self.servers["default"].connections, 0)

    def test_version_2(self):
        ldap = self.slapd()
        self.front("2:" + ldap.url() + FIND + "?" + CALM)
        self.arrives("alice", "a")

    def test_bad_options(self):
        done = run_perdition(
            self, "--map_library", "ldap", "--module_dir",
            os.environ["PERDITION_PREFIX"] + "/lib/perdition",
            "--map_library_opt", "ldap://x/dc=y?u,h?three",
            "--no_daemon", "--log_facility", "+", "--pid_file", "",
            "--listen", f"imap4://{FRONT}:{free_port()}")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("scope", done.stdout + done.stderr)


class Security(Directory):
    def setUp(self):
        super().setUp()
        self.ca = slapd.authority(self)
        # libldap loses a client's certificate and key each time it reads
        # them by GnuTLS.
        known = self.dir / "suppressions"
        known.write_text("leak:gnutls_x509_privkey_init\n"
                         "leak:gnutls_x509_crt_init\n")
        os.environ["LSAN_OPTIONS"] = \
            f"suppressions={known}:print_suppressions=0"
        self.addCleanup(os.environ.pop, "LSAN_OPTIONS")

    def tls(self, *more):
        return ",".join([CALM, f"x-tls-cacert={self.ca.cert}", *more])

    def test_ldaps_and_starttls(self):
        ldap = self.slapd(authority=self.ca)
        for url, more in ((ldap.url("ldaps"), ()),
                          (ldap.url(), ("x-starttls",)),
                          (ldap.url("ldaps", "mx.test"), ())):
            with self.subTest(url=url, more=more):
                self.front(url + FIND + "?" + self.tls(*more))
                self.arrives("alice", "a")
                self.arrives("nobody", "default")
        self.assertIn("STARTTLS", ldap.output())
        self.assertIn("TLS established", ldap.output())

    def test_certificate_of_another_name(self):
        ldap = self.slapd(authority=self.ca, names=("other.test",))
        for url, more in ((ldap.url("ldaps"), ()),
                          (ldap.url(), ("x-starttls",))):
            with self.subTest(url=url):
                self.front(url + FIND + "?" + self.tls(*more))
                self.is_temporary("alice", "TLS")
                self.assertNotIn(SEARCHED, ldap.output())
        # Loosened by word only.
        self.front(ldap.url("ldaps") + FIND + "?" + CALM
                   + ",x-tls-verify=never")
        self.arrives("alice", "a")

    def test_certificate_of_an_unknown_authority(self):
        ldap = self.slapd(authority=self.ca)
        self.front(ldap.url("ldaps") + FIND + "?" + CALM)
        self.is_temporary("alice", "TLS")

    def test_starttls_is_required(self):
        ldap = self.slapd()  # has no certificate
        self.front(ldap.url() + FIND + "?" + self.tls("x-starttls", BIND))
        self.is_temporary("alice", "StartTLS")
        self.assertNotIn(" BIND ", ldap.output().partition("STARTTLS")[2])

    def test_bind(self):
        ldap = self.slapd(anonymous=False)
        secret = self.dir / "password"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o644)
        for bind in (BIND, f"bindname={encode(READER)},"
                           f"x-bindpw-file={encode(secret)}"):
            with self.subTest(bind=bind):
                self.front(ldap.url() + FIND + "?" + CALM + "," + bind)
                self.arrives("alice", "a")
                self.arrives("nobody", "default")
        self.front(ldap.url() + FIND + "?" + CALM)
        self.is_temporary("alice", "Insufficient access")

    def test_wrong_password(self):
        ldap = self.slapd()
        self.front(ldap.url() + FIND + "?" + CALM
                   + f",bindname={encode(READER)},x-bindpw=hunter2")
        self.is_temporary("alice", f"{READER}: Invalid credentials")
        self.assertNotIn("hunter2", self.daemon.output())

    def test_external_at_a_socket(self):
        ldap = self.slapd(anonymous=False)
        self.front(ldap.url("ldapi") + FIND + "?x-sasl=external," + CALM)
        self.arrives("alice", "a")
        self.assertIn(f'BIND dn="{READER}" mech=EXTERNAL', ldap.output())

    def test_external_by_certificate(self):
        ldap = self.slapd(authority=self.ca, anonymous=False)
        mine = self.ca.issue("client", cn="client", usage="clientAuth")
        mine.key.chmod(0o644)
        more = ("x-sasl=external", f"x-tls-cert={mine.cert}",
                f"x-tls-key={mine.key}")
        for url, extra in ((ldap.url("ldaps"), ()),
                           (ldap.url(), ("x-starttls",))):
            with self.subTest(url=url):
                self.front(url + FIND + "?" + self.tls(*more, *extra))
                self.arrives("alice", "a")

    def test_no_settings_from_elsewhere(self):
        """A file of the library's own does not switch the checks off."""
        ldap = self.slapd(authority=self.ca, names=("other.test",))
        (self.dir / "ldaprc").write_text("TLS_REQCERT never\n")
        os.environ["LDAPTLS_REQCERT"] = "never"
        self.addCleanup(os.environ.pop, "LDAPTLS_REQCERT")
        self.front(ldap.url("ldaps") + FIND + "?" + self.tls())
        self.is_temporary("alice", "TLS")


class Failures(Directory):
    def test_server_restarted(self):
        ldap = self.slapd()
        self.front(ldap.url() + FIND + "?" + CALM)
        self.arrives("alice", "a")
        lookup = self.daemon.roles()["lookup"]
        ldap.stop(signal.SIGKILL)
        self.is_temporary("alice", "ldap://127.0.0.1")
        ldap.start()
        self.arrives("alice", "a")
        self.assertEqual(self.daemon.roles()["lookup"], lookup)
        # And so that no lookup sees it away.
        ldap.stop()
        ldap.start()
        self.arrives("bob", "b")

    def test_server_that_was_not_there_at_the_start(self):
        ldap = Slapd(self, self.users)
        self.front(ldap.url() + FIND + "?" + CALM)
        self.is_temporary("alice")
        self.start(ldap)
        self.arrives("alice", "a")

    def test_idle_connection_closed(self):
        ldap = self.slapd(idle=1)
        self.front(ldap.url() + FIND + "?" + CALM)
        self.arrives("alice", "a")
        wait_for("the server to close it",
                 lambda: "closed (idletimeout)" in ldap.output())
        self.arrives("bob", "b")
        self.assertEqual(self.daemon.log_lines("lookup-failed"), [])

    def test_server_hangs(self):
        ldap = self.slapd()
        self.front(ldap.url() + FIND, map_timeout=4)
        self.arrives("alice", "a")
        lookup = self.daemon.roles()["lookup"]
        ldap.send_signal(signal.SIGSTOP)
        try:
            # The module's own words: it was not ended from outside.
            self.is_temporary("alice", "ldap://127.0.0.1")
        finally:
            ldap.send_signal(signal.SIGCONT)
        self.assertEqual(self.daemon.roles()["lookup"], lookup)
        wait_for("it to be found again",
                 lambda: self.login("alice")[0] == "a")

    def test_server_hangs_in_a_handshake(self):
        ca = slapd.authority(self)
        ldap = self.slapd(authority=ca)
        ldap.send_signal(signal.SIGSTOP)
        self.addCleanup(ldap.send_signal, signal.SIGCONT)
        for url, more in ((ldap.url("ldaps"), ""),
                          (ldap.url(), ",x-starttls"), (ldap.url(), None)):
            with self.subTest(url=url, more=more):
                tls = "" if more is None else \
                    f"?x-tls-cacert={ca.cert}{more}"
                self.front(url + FIND + tls, map_timeout=20)
                self.is_temporary("alice", "Timed out")

    def test_second_server(self):
        first, second = (self.slapd(name=n) for n in ("one", "two"))
        hosts = " ".join(f"127.0.0.1:{s.port}" for s in (first, second))
        for options in (f"ldap://{hosts}/{FIND}?{CALM}",
                        f"{first.url()} {second.url()}{FIND}?{CALM}"):
            with self.subTest(options=options):
                self.front(options)
                self.arrives("alice", "a")
                self.assertNotIn(SEARCHED, second.output())
        first.stop(signal.SIGKILL)
        self.arrives("alice", "a")
        self.assertIn(SEARCHED, second.output())
        second.stop(signal.SIGKILL)
        self.is_temporary("alice", f"127.0.0.1:{second.port}")
        first.start()
        self.arrives("bob", "b")

    def test_second_server_when_the_first_hangs(self):
        first, second = (self.slapd(name=n) for n in ("one", "two"))
        self.front(f"{first.url()} {second.url()}{FIND}")
        first.send_signal(signal.SIGSTOP)
        self.addCleanup(first.send_signal, signal.SIGCONT)
        self.arrives("alice", "a")

    def test_reload(self):
        ldap = self.slapd()
        self.front(ldap.url() + f"ou=wrong,{BASE}?u,h??(uid=%s)?" + CALM)
        self.is_temporary("alice")
        self.daemon.values["map_library_opt"] = ldap.url() + FIND + "?" + CALM
        self.daemon.write_config()
        self.daemon.reload()
        wait_for("the new options", lambda: self.login("alice")[0] == "a")
        # Bad ones leave what there is.
        self.daemon.values["map_library_opt"] = "ldap://x/?no"
        self.daemon.write_config()
        before = len(self.daemon.log_lines("attributes"))
        self.daemon.reload()
        self.daemon.wait_log("attributes", before + 1)
        self.arrives("bob", "b")

    def test_reload_while_a_login_waits(self):
        """What the former lookup process did not answer, the new one does."""
        ldap = self.slapd()
        with socket.create_server((FRONT, 0)) as mute:
            mute.settimeout(DEADLINE)
            port = mute.getsockname()[1]
            self.front(f"ldap://{FRONT}:{port}/{FIND}?{CALM}")
            with Imap(FRONT, self.port) as client:
                client.line(b"a1 LOGIN alice secret")
                asked = mute.accept()[0]
                self.addCleanup(asked.close)
                self.daemon.values["map_library_opt"] = \
                    ldap.url() + FIND + "?" + CALM
                self.daemon.write_config()
                self.daemon.reload()
                self.assertRegex(client.finish(b"a1")[0], rb"^OK")
        self.assertTrue(self.notes["a"])
        self.assertEqual(self.daemon.log_lines("lookup-failed"), [])


class Schema(Directory):
    def test_schema_by_cn_config(self):
        """The other form of the schema; slapd.conf is what the rest uses."""
        ldap = self.slapd(olc=True)
        self.front(ldap.url() + FIND + "?" + CALM)
        self.arrives("alice", "a")

    def test_default_search(self):
        """The default's base, attributes and filter fit the schema."""
        ldap = self.slapd()
        self.front(ldap.url() + "ou=mailbox,dc=nodomain"
                   "?username,mailhost,port?one?(uid=%s)")
        self.arrives("bob", "b")
