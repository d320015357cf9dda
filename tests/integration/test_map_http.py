# SPDX-License-Identifier: GPL-2.0-or-later
"""Popmap module http: a service that speaks the protocol of nginx's mail proxy."""

import os
import socket
import ssl
import threading

from authhttp import AuthHttp
from fakeserver import FakeServer
from harness import free_port, wait_for
from lineclient import Imap, Pop3
from mapfront import MapTest
from pair import Perdition
from pki import Authority

NO = (200, [("Auth-Status", "Invalid login or password")])


class Service(MapTest):
    def setUp(self):
        super().setUp()
        self.table = {b"ann": self.at("a"),
                      b"bob@x": self.at("b", ("Auth-User", "robert"))}
        self.hang = None
        self.key = None
        self.services = []

    def at(self, name, *more):
        server = self.servers[name]
        return (200, [("Auth-Status", "OK"), ("Auth-Server", server.host),
                      ("Auth-Port", str(server.port)), *more])

    def said(self, user, handler):
        if self.hang is not None:
            self.hang.wait()
        if self.key is not None and handler.headers["X-Key"] != self.key:
            return 403, []
        said = self.table.get(user, NO)
        return said(handler) if callable(said) else said

    def serve(self, *args, **kwargs):
        service = AuthHttp(self.said, *args, **kwargs)
        self.services.append(service)
        self.addCleanup(service.close)
        return service

    def ask(self, service, more="", **values):
        self.front(map_library="http",
                   map_library_opt=f"{service.url} {more}".strip(), **values)

    def test_answers(self):
        self.table[b"two"] = (200, [
            ("Auth-Status", "OK"), ("Auth-Server", "127.0.0.77, 127.0.0.1"),
            ("Auth-Port", str(self.servers["b"].port)),
            ("Cache-Control", "max-age=60")])
        self.table[b"nobody"] = (200, [("Auth-Status", "Invalid login"),
                                       ("Auth-Wait", "3")])
        service = self.serve()
        self.ask(service)
        self.arrives("ann", "a")
        self.arrives("bob@x", "b", "robert")
        self.arrives("two", "b")
        for user in ("other", "nobody"):
            self.arrives(user, "default")
        self.assertEqual(service.connections, 1)

    def test_what_is_asked(self):
        service = self.serve()
        self.ask(service, "pass='\"no pass%word\"'")
        self.login("x y@d", "secret")
        (user, path, headers), = service.requests
        self.assertEqual((user, path), (b"x y@d", "/auth"))
        headers = dict(headers)
        self.assertEqual(headers.pop("Host"), "127.0.0.1:%d" % service.where[1])
        headers.pop("Accept", None)
        self.assertEqual(headers, {
            "Auth-Method": "plain", "Auth-User": "x%20y@d",
            "Auth-Pass": "no%20pass%25word", "Auth-Protocol": "imap",
            "Auth-Login-Attempt": "1", "Client-IP": "127.0.0.1"})

    def test_without_pass(self):
        service = self.serve()
        self.ask(service)
        self.arrives("ann", "a")
        self.assertNotIn("Auth-Pass", service.requests[0][2])

    def test_hostile_names(self):
        service = self.serve()
        self.ask(service)
        self.hostile()
        for user, _, headers in service.requests:
            self.assertNotIn("Auth-Status", headers)
            self.assertEqual(headers["Auth-Method"], "plain")
        asked = {request[0] for request in service.requests}
        self.assertIn(b"o'brien", asked)
        self.assertIn(b"\xff\xfe\x80", asked)
        self.arrives("ann", "a")

    def test_failures(self):
        """What is no answer is neither "no such user" nor a server."""
        odd = {
            "status": (200, [("Auth-Server", "127.0.0.1"),
                             ("Auth-Port", "1")]),
            "server": (200, [("Auth-Status", "OK"), ("Auth-Port", "1")]),
            "port": (200, [("Auth-Status", "OK"),
                           ("Auth-Server", "127.0.0.1")]),
            "later": (200, [("Auth-Status", "try again"),
                            ("Auth-Error-Code", "451 4.3.0")]),
            "text": (200, [("Auth-Status", "Temporary server problem")]),
            "moved": (302, [("Location", "/other"), *self.at("a")[1]]),
            "denied": (403, NO[1]), "nowhere": (404, []),
            "broken": (500, self.at("a")[1]),
            "busy": (503, []), "large": (*self.at("a"), b"x" * 1000000),
        }
        self.table.update({k.encode(): v for k, v in odd.items()})
        self.table[b"junk"] = lambda h: h.wfile.write(b"\0\xff" * 9) and None
        self.table[b"cut"] = lambda h: h.wfile.write(
            b"HTTP/1.1 200 OK\r\nAuth-Status: OK\r\n") and setattr(
                h, "close_connection", True)
        self.table[b"flood"] = lambda h: h.wfile.write(
            b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100000) and setattr(
                h, "close_connection", True)
        service = self.serve()
        self.ask(service, map_timeout=3)
        for user in [*odd, "junk", "cut", "flood"]:
            with self.subTest(user):
                self.refused(user)
                self.arrives("ann", "a")
        self.assertNotIn("/other", [r[1] for r in service.requests])

    def test_gone_and_back(self):
        service = self.serve()
        self.ask(service)
        self.arrives("ann", "a")
        service.close()
        self.refused("ann")
        self.daemon.wait_log("popmap http: http://127.0.0.1: ")
        service.open()
        self.comes_to("ann", "a")
        service.close()
        service.open()
        self.arrives("ann", "a")

    def test_not_there_at_the_start(self):
        service = self.serve()
        service.close()
        self.ask(service)
        self.refused("ann")
        service.open()
        self.comes_to("ann", "a")

    def test_hung(self):
        service = self.serve()
        self.ask(service, map_timeout=3)
        self.arrives("ann", "a")
        self.hang = threading.Event()
        self.refused("ann")
        self.hang.set()
        self.comes_to("ann", "a")
        self.arrives("bob@x", "b", "robert")

    def test_nobody_takes_the_connection(self):
        """A listener whose queue is full: the connection is never made."""
        with socket.socket() as full, socket.socket() as other:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            other.connect(full.getsockname())
            self.front(map_library="http", map_timeout=3,
                       map_library_opt="http://127.0.0.1:%d/"
                       % full.getsockname()[1])
            self.refused("ann")

    def test_reload(self):
        service = self.serve()
        self.ask(service)
        self.arrives("ann", "a")
        other = AuthHttp(lambda *_: self.at("b"))
        self.addCleanup(other.close)
        self.change(map_library_opt=other.url)
        self.comes_to("ann", "b")
        self.change(map_library_opt="http://h/ cafile=/no/such/file")
        self.daemon.wait_log("/no/such/file: No such file")
        self.arrives("ann", "b")

    def test_key_in_a_header(self):
        self.key = "the key"
        service = self.serve()
        self.ask(service, "'\"header=X-Key: the key\"'")
        self.arrives("ann", "a")
        self.key = "another"
        self.refused("ann")
        self.daemon.wait_log("HTTP status 403")
        self.assertFalse(self.daemon.log_lines("the key"))

    def test_password(self):
        path = self.dir / "password"
        path.write_text("s3cret:x\n")
        path.chmod(0o644)
        self.table[b"ann"] = lambda h: self.at("a") if h.headers.get(
            "Authorization") == "Basic dXM6czNjcmV0Ong=" else (401, [])
        service = self.serve()
        self.ask(service, f"user=us password_file={path}")
        self.arrives("ann", "a")
        path.write_text("wrong\n")
        self.daemon.reload()
        self.daemon.wait_log("reload")
        self.comes_to("other", "default")
        self.refused_in_the_end("ann")
        self.assertFalse(self.daemon.log_lines("s3cret"))

    def refused_in_the_end(self, user):
        wait_for("a refusal", lambda: self.login(user)[2].startswith(
            b"NO [UNAVAILABLE]"))

    def test_unix_socket(self):
        path = self.dir / "auth.sock"
        service = self.serve(path)
        self.front(map_library="http",
                   map_library_opt=f"http://auth/mail?x=1 unix={path}")
        self.arrives("ann", "a")
        self.arrives("other", "default")
        self.assertEqual(service.requests[0][1], "/mail?x=1")
        self.assertEqual(service.requests[0][2]["Host"], "auth")

    def test_no_proxy_of_the_environment(self):
        proxy = FakeServer(lambda peer: peer.wait_end())
        self.addCleanup(proxy.close)
        os.environ["http_proxy"] = f"http://{proxy.address}"
        self.addCleanup(os.environ.pop, "http_proxy")
        self.ask(self.serve())
        self.arrives("ann", "a")
        self.assertEqual(proxy.connections, 0)

    def test_tls_to_the_proxy_is_told(self):
        """By implicit TLS, asked once from a client with it."""
        authority = Authority(self.dir / "ca")
        pair = authority.issue("front", ["localhost"])
        service = self.serve()
        port = free_port()
        plain = free_port()
        pair.key.chmod(0o644)
        self.start(Perdition(
            self, [("imap4s", "127.0.0.1", port), ("pop3", "127.0.0.1", plain)],
            None, {"map_library": "http", "map_library_opt": service.url,
                   "ssl_cert_file": pair.cert, "ssl_key_file": pair.key,
                   "outgoing_server": self.servers["default"].address}))
        context = ssl.create_default_context(cafile=str(authority.cert))
        with Imap("127.0.0.1", port, tls=context) as client:
            client.login("ann", "secret")
        with Pop3("127.0.0.1", plain) as client:
            client.login("ann", "secret")
        self.assertEqual(
            [(r[2]["Auth-Protocol"], r[2]["Auth-SSL"])
             for r in service.requests], [("imap", "on"), ("pop3", None)])


class Https(MapTest):
    """By https, with a certificate that is verified, unless told not to."""

    def setUp(self):
        super().setUp()
        self.authority = Authority(self.dir / "ca")

    def serve(self, names=("127.0.0.1",), client_ca=None, **kwargs):
        pair = self.authority.issue("auth", names, **kwargs)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        server = self.servers["a"]
        service = AuthHttp(lambda user, _: (200, [
            ("Auth-Status", "OK"), ("Auth-Server", server.host),
            ("Auth-Port", str(server.port))]) if user == b"ann" else NO,
            tls=context)
        self.addCleanup(service.close)
        return service

    def ask(self, service, more):
        self.front(map_library="http", map_timeout=5,
                   map_library_opt=f"{service.url} {more}")

    def bad(self, service, more, why):
        self.ask(service, more)
        self.refused("ann")
        self.daemon.wait_log(why)
        self.assertEqual(service.requests, [])

    def test_good(self):
        service = self.serve()
        self.ask(service, f"cafile={self.authority.cert}")
        self.arrives("ann", "a")
        self.arrives("other", "default")
        self.assertEqual(service.connections, 1)
        service.close()
        self.refused("ann")
        service.open()
        self.comes_to("ann", "a")

    def test_unknown_authority(self):
        self.bad(self.serve(), "", "certificate")

    def test_another_authority(self):
        other = Authority(self.dir / "other")
        self.bad(self.serve(), f"cafile={other.cert}", "certificate")

    def test_another_name(self):
        self.bad(self.serve(["elsewhere.example"]),
                 f"cafile={self.authority.cert}", "name")

    def test_expired(self):
        self.bad(self.serve(start=-9, end=-1),
                 f"cafile={self.authority.cert}", "expired")

    def test_not_verified(self):
        self.ask(self.serve(["elsewhere.example"], start=-9, end=-1),
                 "verify=no")
        self.arrives("ann", "a")

    def test_certificate_of_ours(self):
        mine = self.authority.issue("mine", cn="perdition",
                                    usage="clientAuth")
        mine.key.chmod(0o644)
        service = self.serve(client_ca=self.authority.cert)
        self.ask(service, f"cafile={self.authority.cert}")
        self.refused("ann")
        self.change(map_library_opt=f"{service.url} cert={mine.cert} "
                    f"cafile={self.authority.cert} key={mine.key}")
        self.comes_to("ann", "a")
