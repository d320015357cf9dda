# SPDX-License-Identifier: GPL-2.0-or-later
"""Certificates in daily use: renewed, chosen by name, stapled, under a pass
phrase; clients with certificates; sessions resumed; reloads."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess

import pair
from fakeserver import imap_server, pop3_server
from harness import Daemon, wait_for
from lineclient import Imap
from pki import Authority, openssl
from tlstest import FRONT, NAME, TlsTestCase

IMAPS = [("imap4s", "")]


class Service(TlsTestCase):
    def setUp(self):
        super().setUp()
        self.back = self.server(imap_server(login=b"OK in"))
        self.values = {"outgoing_server": self.back.address}

    def front_with(self, listeners=None, **values):
        return self.start_front(listeners or IMAPS, {**self.values, **values})

    def login(self, client, user="alice"):
        return client.login(user, "sesame")[0]

    def shown(self, name=NAME, **kwargs):
        """The serial number of the certificate that is shown."""
        context = self.context(**kwargs)
        context.check_hostname = False
        client = self.imap(0, tls=context, name=name)
        serial = client.sock.getpeercert()["serialNumber"]
        client.close()
        return serial

    def serial(self, pair_):
        text = openssl("x509", "-in", pair_.cert, "-noout", "-serial")
        return text.decode().strip().partition("=")[2]

    def reload(self, event="reloaded", count=1):
        """The log's lines.  From then on only new workers accept clients, if
        there are new ones."""
        accepting = self.accepting()
        self.front.reload()
        lines = self.front.wait_log(f"event={event}", count)
        if "workers=new" in lines[-1]:
            self.wait_drain(accepting)
        return lines

    def accepting(self):
        """The workers that take new clients."""
        draining = " ".join(self.front.log_lines("event=drain"))
        return wait_for("workers", lambda: {
            pid for pid in self.front.roles().get("worker", [])
            if f"[{pid}]" not in draining})

    def wait_drain(self, workers):
        """They take none any more."""
        wait_for("the old workers' end", lambda: all(
            any(f"[{pid}]" in line
                for line in self.front.log_lines("event=drain"))
            for pid in workers))

    def s_client(self, *args, port=None):
        done = subprocess.run(
            ["openssl", "s_client", "-connect",
             f"{FRONT}:{port or self.ports[0]}", "-CAfile",
             str(self.authority.cert), *map(str, args)],
            input=b"a LOGOUT\r\n", capture_output=True, timeout=30,
            check=False)
        return done.stdout.decode(errors="replace")


class Reload(Service):
    def test_renewed(self):
        """New connections see the new certificate; an open session lives on
        and works."""
        self.front_with()
        old = self.imap(0, tls=self.context())
        self.assertRegex(self.login(old), rb"^OK ")
        self.assertEqual(self.shown(), self.serial(self.pair))
        new = self.authority.issue("renewed", [NAME])
        shutil.copy(new.cert, self.pair.cert)
        shutil.copy(new.key, self.pair.key)
        self.assertIn("workers=new", self.reload()[0])
        self.assertEqual(self.shown(), self.serial(new))
        self.assertRegex(old.command("NOOP")[0], rb"^OK")

    def test_nothing_changed(self):
        self.front_with()
        self.assertIn("workers=kept", self.reload()[0])

    def test_half_renewed(self):
        """A certificate whose key has not come yet: refused, and the old pair
        goes on; also in a worker that is started again."""
        self.front_with([("imap4s", ""), ("imap4", "tls=starttls")],
                        workers=1)
        before = self.shown()
        sessions = [self.imap(0, tls=self.context()),
                    self.starttls(self.imap(1))]
        for client in sessions:
            self.assertRegex(self.login(client), rb"^OK ")
        new = self.authority.issue("renewed", [NAME])
        shutil.copy(new.cert, self.pair.cert)
        line = self.reload("reload-refused")[0]
        self.assertIn(str(self.pair.cert), line)
        self.assertIn(str(self.pair.key), line)
        self.assertEqual(self.shown(), before)
        for client in sessions:
            self.assertRegex(client.command("NOOP")[0], rb"^OK")
            client.close()
        worker = self.front.roles()["worker"][0]
        os.kill(worker, signal.SIGKILL)
        wait_for("another worker", lambda: self.front.roles().get(
            "worker", [worker]) != [worker])
        self.assertEqual(self.shown(), before)

    def test_half_renewed_in_the_directory(self):
        """The same for one name of many."""
        live = self.subdir("live")
        one = self.authority.issue("one", ["one.test"])
        for name, path in (("fullchain.pem", one.cert),
                           ("privkey.pem", one.key)):
            (live / "one.test").mkdir(exist_ok=True)
            shutil.copy(path, live / "one.test" / name)
        self.front_with(ssl_cert_dir=live)
        self.assertEqual(self.shown("one.test"), self.serial(one))
        new = self.authority.issue("renewed", ["one.test"])
        shutil.copy(new.cert, live / "one.test/fullchain.pem")
        self.assertIn("one.test", self.reload("reload-refused")[0])
        self.assertEqual(self.shown("one.test"), self.serial(one))
        shutil.copy(new.key, live / "one.test/privkey.pem")
        self.reload()
        self.assertEqual(self.shown("one.test"), self.serial(new))

    def test_deploy_hook(self):
        """certbot's hook makes a running perdition take what was renewed, and
        tells when the new files are no good."""
        hook = os.environ.get("PERDITION_DEPLOY_HOOK")
        if not hook:
            hook = str(pathlib.Path(__file__).resolve().parents[2]
                       / "contrib/letsencrypt/perdition-deploy-hook")
        self.front_with(pid_file=self.dir / "perdition.pid")
        env = {**os.environ, "PERDITION": str(pair.program("perdition")),
               "PERDITION_CONFIG": str(self.front.config),
               "SYSTEMD_DIRECTORY": str(self.dir / "none"),
               **pair.sanitizer_env(self.reports)}

        def run():
            return subprocess.run([hook], env=env, timeout=60, check=False,
                                  capture_output=True, text=True)
        new = self.authority.issue("renewed", [NAME])
        shutil.copy(new.cert, self.pair.cert)
        done = run()
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn("is not for the key in", done.stderr)
        shutil.copy(new.key, self.pair.key)
        accepting = self.accepting()
        done = run()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.front.wait_log("event=reloaded")
        self.wait_drain(accepting)
        self.assertEqual(self.shown(), self.serial(new))

    def test_bad_from_the_start(self):
        other = self.authority.issue("other", [NAME])
        encrypted = other.encrypted("open")
        curve = self.dir / "curve.pem"
        curve.write_bytes(openssl("genpkey", "-genparam", "-algorithm", "EC",
                                  "-pkeyopt", "ec_paramgen_curve:P-256"))
        nothing = self.dir / "nothing.pem"
        nothing.write_text("no certificate\n")
        for values, status, words in (
                ({"ssl_key_file": other.key}, 78,
                 ["ssl_cert_file", "is not for the key in"]),
                ({"ssl_cert_file": self.dir / "missing"}, 66,
                 ["ssl_cert_file", "missing", "No such file"]),
                ({"ssl_cert_file": nothing}, 78, ["no certificate in it"]),
                ({"ssl_cert_file": other.cert, "ssl_key_file": encrypted.key},
                 78, ["ssl_passphrase_file or ssl_passphrase_fd"]),
                ({"ssl_cert_file": [self.pair.cert, other.cert],
                  "ssl_key_file": [self.pair.key, other.key]}, 78,
                 ["second certificate with this kind of key"]),
                ({"ssl_ca_file": nothing}, 78, ["ssl_ca_file"]),
                ({"ssl_outgoing_crl_file": nothing}, 78,
                 ["ssl_outgoing_crl_file", "no revocation list"]),
                ({"ssl_listen_ciphers": "NONSENSE"}, 78,
                 ["ssl_listen_ciphers"]),
                ({"ssl_outgoing_ciphers": "TLS_NONSENSE"}, 78,
                 ["ssl_outgoing_ciphers"]),
                ({"ssl_dh_params_file": nothing}, 78, ["ssl_dh_params_file"]),
                ({"ssl_dh_params_file": curve}, 78, ["ssl_dh_params_file"]),
                ({"ssl_ca_chain_file": nothing}, 78,
                 ["ssl_ca_chain_file", "no certificate in it"]),
                ({"ssl_listen_crl_file": nothing}, 78,
                 ["ssl_listen_crl_file", "no revocation list"]),
                ({"ssl_cert_dir": self.dir / "missing"}, 66,
                 ["ssl_cert_dir"])):
            config = self.dir / "bad.conf"
            config.write_text(pair.config_text({
                "listen": "imap4s://127.0.0.1:1", "map_library": "",
                "log_facility": "+", "pid_file": "",
                "module_dir": pair.modules(),
                **self.tls_values(values)}))
            for extra in (["--check_config"], []):
                with self.subTest(values, extra=extra):
                    done = subprocess.run(
                        [str(pair.program("perdition")), "-f", str(config),
                         *extra], capture_output=True, timeout=30,
                        stdin=subprocess.DEVNULL, check=False,
                        env={**os.environ,
                             **pair.sanitizer_env(self.reports)})
                    text = done.stderr.decode()
                    self.assertEqual(done.returncode, status, text)
                    for word in words:
                        self.assertIn(word, text)

    def test_warnings(self):
        """What works today and not for long is said in the log."""
        old = self.authority.issue("soon", [NAME], end=5)
        old.key.chmod(0o644)
        self.front_with(ssl_cert_file=old.cert, ssl_key_file=old.key)
        self.front.wait_log("expires within 14 days")
        self.front.wait_log("any user can read this key")


class Passphrase(Service):
    def test_file_and_descriptor(self):
        encrypted = self.pair.encrypted("open sesame")
        phrase = self.dir / "phrase"
        phrase.write_text("open sesame\nanother line\n")
        phrase.chmod(0o600)
        self.front_with(ssl_key_file=encrypted.key, ssl_passphrase_file=phrase)
        self.assertEqual(self.shown(), self.serial(self.pair))
        self.assertIn("workers=kept", self.reload()[0])
        self.assertNotIn("open sesame", self.front.output())
        phrase.write_text("wrong\n")
        self.assertIn("pass phrase", self.reload("reload-refused")[0])
        self.assertEqual(self.shown(), self.serial(self.pair))
        self.stop_front()

        read, write = os.pipe()
        os.write(write, b"open sesame\n")
        os.close(write)
        self.ports = [pair_port() for _ in range(1)]
        front = pair.Perdition(
            self, [("imap4s", FRONT, self.ports[0])], None,
            {**self.tls_values(self.values), "ssl_key_file": encrypted.key,
             "ssl_passphrase_fd": read}, name="by-descriptor")
        front.pass_fds = [read]
        self.front = self.start(front)
        os.close(read)
        self.assertEqual(self.shown(), self.serial(self.pair))
        # It cannot be read again, and need not be.
        self.reload()
        self.assertEqual(self.shown(), self.serial(self.pair))


def pair_port():
    with socket.socket() as sock:
        sock.bind((FRONT, 0))
        return sock.getsockname()[1]


class Names(Service):
    def test_by_name(self):
        """Chosen by SNI from a directory as certbot makes it; exactly, by
        wildcard, and the default for all else; ECDSA and RSA side by side."""
        live = self.subdir("live")
        made = {}
        for name, names, kind in (
                ("one.test", ["one.test", "www.one.test"], "ec"),
                ("wild.test", ["*.wild.test"], "ec"),
                ("both.test-ec", ["both.test"], "ec"),
                ("both.test-rsa", ["both.test"], "rsa")):
            made[name] = self.authority.issue(name, names, kind=kind)
            (live / name).mkdir()
            os.symlink(made[name].cert, live / name / "fullchain.pem")
            os.symlink(made[name].key, live / name / "privkey.pem")
        made["file.test"] = self.authority.issue("file.test", ["file.test"])
        shutil.copy(made["file.test"].both, live / "file.pem")
        (live / "README").write_text("as certbot puts it there\n")
        self.front_with(ssl_cert_dir=live)
        for name, want in (("one.test", "one.test"),
                           ("WWW.One.Test", "one.test"),
                           ("a.wild.test", "wild.test"),
                           ("file.test", "file.test")):
            self.assertEqual(self.shown(name), self.serial(made[want]), name)
        for name in ("wild.test", "a.b.wild.test", "two.one.test", "nobody"):
            self.assertEqual(self.shown(name), self.serial(self.pair), name)
        for algorithms, want in (("ECDSA+SHA256", "both.test-ec"),
                                 ("RSA+SHA256:RSA-PSS+SHA256",
                                  "both.test-rsa")):
            for version in ("-tls1_2", "-tls1_3"):
                out = self.s_client("-servername", "both.test", "-sigalgs",
                                    algorithms, version)
                path = self.dir / "shown.pem"
                path.write_text(out)
                self.assertEqual(
                    openssl("x509", "-in", path, "-noout", "-serial"),
                    openssl("x509", "-in", made[want].cert, "-noout",
                            "-serial"))

    def test_default_of_two_kinds(self):
        rsa = self.authority.issue("rsa", [NAME], kind="rsa")
        self.front_with(ssl_cert_file=[self.pair.cert, rsa.both],
                        ssl_key_file=[self.pair.key])
        for algorithms, text in (("ECDSA+SHA256", "id-ecPublicKey"),
                                 ("RSA-PSS+SHA256", "rsaEncryption")):
            path = self.dir / "shown.pem"
            path.write_text(self.s_client("-sigalgs", algorithms))
            self.assertIn(text, openssl("x509", "-in", path, "-noout",
                                        "-text").decode())

    def test_stapled(self):
        """The OCSP response next to the certificate, while it is about that
        certificate and says something good."""
        self.authority.staple(self.pair)
        self.front_with()
        for version in ("-tls1_2", "-tls1_3"):
            self.assertIn("OCSP Response Status: successful",
                          self.s_client("-status", version))
        other = self.authority.issue("other", [NAME])
        shutil.copy(self.authority.staple(other), f"{self.pair.cert}.ocsp")
        self.reload()
        self.front.wait_log("about another certificate")
        self.not_stapled()

    def not_stapled(self, *args):
        self.assertIn("OCSP response: no response sent",
                      self.s_client("-status", *args))

    def test_staple_is_no_good(self):
        """Garbage, out of date, not good: told, and not shown; perdition
        starts all the same."""
        path = f"{self.pair.cert}.ocsp"
        with open(path, "wb") as f:
            f.write(b"no response")
        self.front_with()
        self.front.wait_log("it is no OCSP response")
        self.not_stapled()
        with open(path, "wb") as f:
            pass
        self.reload(count=1)
        self.front.wait_log("it is no OCSP response", 2)
        self.not_stapled()
        self.authority.staple(self.pair, dated=False)
        self.reload(count=2)
        self.front.wait_log("it is out of date")
        self.not_stapled()
        self.authority.staple(self.pair)
        self.reload(count=3)
        self.assertIn("OCSP Response Status: successful",
                      self.s_client("-status"))
        self.authority.revoke(self.pair)
        self.authority.staple(self.pair)
        self.reload(count=4)
        self.front.wait_log("the certificate is not good")
        self.not_stapled()

    def test_stapled_in_the_directory(self):
        """One for each name."""
        live = self.subdir("live")
        for name in ("one.test", "two.test"):
            made = self.authority.issue(name, [name])
            (live / name).mkdir()
            shutil.copy(made.cert, live / name / "fullchain.pem")
            shutil.copy(made.key, live / name / "privkey.pem")
            if name == "one.test":
                shutil.copy(self.authority.staple(made),
                            live / name / "fullchain.pem.ocsp")
        self.front_with(ssl_cert_dir=live)
        self.assertIn("OCSP Response Status: successful",
                      self.s_client("-status", "-servername", "one.test"))
        self.not_stapled("-servername", "two.test")
        self.not_stapled()


class Resume(Service):
    def resumed(self, context, sessions, port=0):
        """Connect with the last session; whether it was resumed."""
        client = Imap(FRONT, self.ports[port], tls=context, name=NAME,
                      session=sessions[-1] if sessions else None)
        reused = client.sock.session_reused
        client.command("NOOP")
        sessions.append(client.sock.session)
        client.close()
        return reused

    def test_everywhere(self):
        """Whichever worker, after one was killed, after a reload."""
        self.front_with(workers=3)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version):
                context = self.context(maximum=version, minimum=version)
                sessions = []
                self.assertFalse(self.resumed(context, sessions))
                for _ in range(20):
                    self.assertTrue(self.resumed(context, sessions))
                workers = self.front.roles()["worker"]
                os.kill(workers[0], signal.SIGKILL)
                wait_for("another worker", lambda w=workers: len(set(
                    self.front.roles().get("worker", [])) - set(w)) == 1)
                for _ in range(10):
                    self.assertTrue(self.resumed(context, sessions))
        self.front.values["quiet"] = True
        self.front.write_config()
        before = set(self.front.roles()["worker"])
        self.front.reload()
        wait_for("new workers", lambda: not before & set(
            self.front.roles().get("worker", before)))
        for _ in range(10):
            self.assertTrue(self.resumed(context, sessions))

    def test_none(self):
        self.front_with(ssl_ticket_lifetime=0)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context(maximum=version, minimum=version)
            sessions = []
            self.resumed(context, sessions)
            self.assertFalse(self.resumed(context, sessions))

    def key_name(self):
        """Of the key that a new ticket is encrypted with (RFC 5077 section
        4): the ticket's first bytes."""
        out = self.s_client("-tls1_2")
        match = re.search(r"TLS session ticket:\s+0000 - ((?:\w\w[ -]){16})",
                          out)
        self.assertIsNotNone(match, out)
        return match[1]

    def test_keys_change_by_themselves(self):
        """Again and again, with nobody asking for it; and still after a
        reload. The workers stay."""
        self.front_with(ssl_ticket_lifetime=1, workers=2)
        names = [self.key_name()]
        workers = set(self.front.roles()["worker"])

        def changed():
            name = self.key_name()
            if name == names[-1]:
                return False
            names.append(name)
            return True
        for _ in range(2):
            wait_for("another key", changed)
        self.assertEqual(set(self.front.roles()["worker"]), workers)
        self.reload()
        for _ in range(2):
            wait_for("another key after the reload", changed)
        self.assertEqual(len(set(names)), len(names))
        # And there is one in all that time.
        context = self.context(maximum=ssl.TLSVersion.TLSv1_2)
        sessions = []
        self.resumed(context, sessions)
        self.assertTrue(self.resumed(context, sessions))

    def test_keys_change(self):
        """A key encrypts for one lifetime and decrypts for one more."""
        self.front_with(ssl_ticket_lifetime=1, workers=1)
        context = self.context(maximum=ssl.TLSVersion.TLSv1_2)
        sessions = []
        self.resumed(context, sessions)
        first = sessions[:]

        def gone():
            return not self.resumed(context, first[:])
        wait_for("the end of the first session", gone)


class ClientCertificates(Service):
    def setUp(self):
        super().setUp()
        self.clients_ca = Authority(self.dir / "clients", "Clients' authority")
        issue = self.clients_ca.issue
        self.alice = issue("alice", cn="alice", email="alice@test",
                           usage="clientAuth")
        self.bob = issue("bob", cn="bob", usage="clientAuth")
        self.stranger = self.authority.issue("stranger", cn="alice",
                                             usage="clientAuth")
        self.late = issue("late", cn="alice", usage="clientAuth", start=-9,
                          end=-2)

    def attempt(self, certificate, user="alice", number=0):
        """The login's status, or b"" when there was no connection."""
        try:
            client = self.imap(number, tls=self.context(pair=certificate))
            return self.login(client, user)
        except (OSError, AssertionError):
            return b""

    def test_modes(self):
        self.clients_ca.revoke(self.bob)
        crl = self.clients_ca.crl()
        self.front_with(
            [("imap4s", ""), ("imap4s", "client_cert=optional"),
             ("imap4s", "client_cert=required")],
            ssl_client_ca_file=self.clients_ca.cert, ssl_listen_crl_file=crl)
        for number, mode, none in ((0, "none", True), (1, "optional", True),
                                   (2, "required", False)):
            for name, certificate, good in (
                    ("none", None, none), ("good", self.alice, True),
                    ("revoked", self.bob, number == 0),
                    ("stranger", self.stranger, number == 0),
                    ("expired", self.late, number == 0)):
                with self.subTest(mode, certificate=name):
                    status = self.attempt(certificate, number=number)
                    self.assertEqual(status.startswith(b"OK "), good, status)
        for reason in ("certificate revoked", "certificate has expired",
                       "self-signed certificate in certificate chain",
                       "peer did not return a certificate"):
            self.front.wait_log(reason)

    def test_starttls_and_the_general_option(self):
        """ssl_client_cert holds for every listener with TLS that does not say
        otherwise, and for STARTTLS as well."""
        self.front_with([("imap4", "tls=starttls"), ("imap4s", ""),
                         ("imap4s", "client_cert=none")],
                        ssl_client_ca_file=self.clients_ca.cert,
                        ssl_client_cert="required")
        for certificate, good in ((self.alice, True), (None, False),
                                  (self.stranger, False)):
            status = b""
            with contextlib.suppress(OSError, AssertionError):
                client = self.starttls(self.imap(0),
                                       self.context(pair=certificate))
                status = self.login(client)
            self.assertEqual(status.startswith(b"OK "), good, status)
            self.assertEqual(self.attempt(certificate, number=1)
                             .startswith(b"OK "), good)
            self.assertRegex(self.attempt(certificate, number=2), rb"^OK ")

    def test_list_out_of_date(self):
        """It is told at the start, and lets nobody in: who was revoked since
        is not known."""
        crl = self.clients_ca.crl(days=-1)
        self.front_with([("imap4s", "client_cert=required")],
                        ssl_client_ca_file=self.clients_ca.cert,
                        ssl_listen_crl_file=crl)
        self.front.wait_log("the list is out of date")
        self.assertEqual(self.attempt(self.alice), b"")
        self.front.wait_log("CRL has expired")
        self.clients_ca.crl()
        self.reload()
        self.assertRegex(self.attempt(self.alice), rb"^OK ")

    def test_revoked_later(self):
        """After a reload with the new list neither the certificate nor a
        session that it began is of use."""
        crl = self.clients_ca.crl()
        self.front_with([("imap4s", "client_cert=required")],
                        ssl_client_ca_file=self.clients_ca.cert,
                        ssl_listen_crl_file=crl)
        context = self.context(pair=self.alice,
                               maximum=ssl.TLSVersion.TLSv1_2)
        client = Imap(FRONT, self.ports[0], tls=context, name=NAME)
        session = client.sock.session
        client.close()
        again = Imap(FRONT, self.ports[0], tls=context, name=NAME,
                     session=session)
        self.assertTrue(again.sock.session_reused)
        again.close()
        self.clients_ca.revoke(self.alice)
        self.clients_ca.crl()
        self.reload()
        with self.assertRaises((OSError, AssertionError)):
            Imap(FRONT, self.ports[0], tls=context, name=NAME,
                 session=session)

    def test_other_listeners_session(self):
        """A session from a listener that asks for nothing is no way into one
        that does."""
        self.front_with([("imap4s", ""), ("imap4s", "client_cert=required")],
                        ssl_client_ca_file=self.clients_ca.cert)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context(maximum=version, minimum=version)
            client = Imap(FRONT, self.ports[0], tls=context, name=NAME)
            client.command("NOOP")
            session = client.sock.session
            client.close()
            with self.assertRaises((OSError, AssertionError)):
                Imap(FRONT, self.ports[1], tls=context, name=NAME,
                     session=session)

    def test_user(self):
        """Who logs in is whom the certificate names; one that names nobody
        is nobody's."""
        nameless = self.clients_ca.issue(
            "nameless", cn="someone", email="a@b", usage="clientAuth")
        self.front_with([("imap4s", "client_cert=optional"), ("imap4", "")],
                        ssl_client_ca_file=self.clients_ca.cert,
                        ssl_client_cert_user="commonName")
        self.assertRegex(self.attempt(self.alice), rb"^OK ")
        self.assertRegex(self.attempt(self.alice, "bob"), rb"^NO ")
        self.assertRegex(self.attempt(nameless), rb"^NO ")
        self.assertRegex(self.attempt(None), rb"^NO ")
        self.assertRegex(self.login(self.imap(1)), rb"^NO ")
        self.stop_front()
        self.front_with([("imap4s", "client_cert=required")],
                        ssl_client_ca_file=self.clients_ca.cert,
                        ssl_client_cert_user="emailAddress")
        self.assertRegex(self.attempt(self.alice, "alice@test"), rb"^OK ")
        self.assertRegex(self.attempt(self.alice, "alice"), rb"^NO ")
        self.assertRegex(self.attempt(self.bob, "bob"), rb"^NO ")

    def test_unverified_names_nobody(self):
        self.front_with([("imap4s", "client_cert=required")],
                        ssl_client_ca_file=self.clients_ca.cert,
                        ssl_client_cert_user="commonName",
                        ssl_no_client_cert_verify=True)
        self.assertRegex(self.attempt(self.alice), rb"^OK ")
        self.assertRegex(self.attempt(self.stranger), rb"^NO ")


class OldFiles(Service):
    """Configurations that were written for the former perdition."""

    def old(self, **values):
        self.port = pair_port()
        config = self.dir / "old.conf"
        config.write_text(pair.config_text({
            "bind_address": FRONT, "listen_port": self.port,
            "no_daemon": True, "log_facility": "+", "pid_file": "",
            "map_library": "", "module_dir": pair.modules(),
            "no_lookup": True, "failure_delay": 0,
            **self.tls_values(values)}))
        return config

    def run_old(self, config, name="perdition"):
        def ready():
            with socket.create_connection((FRONT, self.port), 2):
                return True
        return self.start(Daemon(
            "old", [pair.program(name), "-f", config], self.dir / "output",
            ready=ready, env=pair.sanitizer_env(self.reports)))

    def test_starttls_in_ssl_out(self):
        context = self.server_context(
            self.authority.issue("back", ["127.0.0.11"]))

        def script(peer):
            peer.start_tls(context)
            imap_server()(peer)
        server = self.server(script, host="127.0.0.11")
        self.run_old(self.old(protocol="IMAP4",
                              ssl_mode="tls_listen_force,ssl_outgoing",
                              outgoing_server=server.address))
        with Imap(FRONT, self.port) as client:
            self.assertIn(b"LOGINDISABLED", client.greeting)
            self.starttls(client)
            self.assertRegex(self.login(client), rb"^OK ")

    def test_protocol_by_name(self):
        self.run_old(self.old(outgoing_server=self.back.address),
                     "perdition.imap4s")
        with Imap(FRONT, self.port, tls=self.context(), name=NAME) as client:
            self.assertRegex(self.login(client), rb"^OK ")

    def test_inetd(self):
        log = self.subdir("log", owner=pair.OWNER) / "log"
        config = self.old(protocol="POP3S", log_facility=log,
                          outgoing_server=self.server(pop3_server()).address,
                          no_daemon=False)
        listener = socket.create_server((FRONT, 0))
        self.addCleanup(listener.close)
        ours = socket.create_connection(listener.getsockname(), 10)
        self.addCleanup(ours.close)
        theirs, _ = listener.accept()
        proc = subprocess.Popen(
            [str(pair.program("perdition")), "-i", "-f", str(config)],
            stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, **pair.sanitizer_env(self.reports)})
        theirs.close()
        self.addCleanup(proc.wait, 30)
        sock = self.context().wrap_socket(ours, server_hostname=NAME)
        with sock, sock.makefile("rb") as lines:
            self.assertRegex(lines.readline(), rb"^\+OK")
            sock.sendall(b"USER alice\r\nPASS sesame\r\nQUIT\r\n")
            for _ in range(3):
                self.assertRegex(lines.readline(), rb"^\+OK")
        wait_for("the Auth line", lambda: "client-secure=ssl"
                 in log.read_text())
