# SPDX-License-Identifier: GPL-2.0-or-later
"""perdition-pbs on three hosts whose clocks differ, which share who may relay
through a real Redis."""

import pathlib
import re
import signal
import socket
import time

import pki
from harness import TestCase, wait_for
from pair import Pbs, sanitized
from redisserver import Redis, Sentinel
from relaydb import RelayDb

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
# A sanitizer's runtime has to be the first that is loaded.
SKEWS = (0, 0, 0) if sanitized() else (0, 280, -340)


def record(addr, user="bob", when=None):
    user = user.replace("\\", "\\\\").replace('"', '\\"')
    host = f"[{addr}]" if ":" in addr else addr
    return (f"perdition-auth 1 kind=login time={int(when or time.time())} "
            f"session=1 protocol=IMAP4 client={host}:999 "
            "local=198.51.100.1:143 client-secure=plaintext "
            f'server-secure=plaintext status=ok authz=NONE user="{user}" '
            'server="a:143" reason="" received=0 sent=0\n').encode()


class Host(Pbs):
    """A perdition-pbs whose clock is some seconds ahead of ours."""

    def __init__(self, test, name, skew=0, **values):
        holder = test.subdir(name)
        self.test, self.skew = test, skew

        class Place:  # its own directory, as a host has its own disk
            dir = holder
            reports = test.reports

            @staticmethod
            def subdir(*args, **kwargs):
                return TestCase.subdir(Place, *args, **kwargs)

        super().__init__(Place, "socket", {"debug": True, **values})
        self.name = name
        self.relay = RelayDb(self.db)
        if skew:
            self.env.update(LD_PRELOAD=FAKETIME, FAKETIME=f"{skew:+d}s",
                            FAKETIME_DONT_FAKE_MONOTONIC="1",
                            NO_FAKE_STAT="1")

    def now(self):
        return time.time() + self.skew

    def login(self, *addresses, user="bob", ago=0):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.socket))
            sock.sendall(b"".join(record(a, user, self.now() - ago)
                                  for a in addresses))

    def has(self, addr):
        return self.relay.get(addr) is not None

    def left(self, addr):
        return int(self.relay.get(addr)) - self.now()

    def wait_has(self, *addresses, deadline=20):
        for addr in addresses:
            wait_for(f"{addr} on {self.name}", lambda a=addr: self.has(a),
                     deadline, 0.002)

    def wait_gone(self, addr, deadline=20):
        wait_for(f"{addr} gone from {self.name}",
                 lambda: not self.has(addr), deadline, 0.002)

    def wait_log(self, text, count=1):
        wait_for(f"{count} x {text!r} in the log of {self.name}",
                 lambda: self.output().count(text) >= count)


class SharedTestCase(TestCase):
    def setUp(self):
        super().setUp()
        self.n = 0

    def fresh(self):
        self.n += 1
        return f"198.18.{self.n >> 8}.{self.n & 255}"

    def start_hosts(self, skews=SKEWS, **values):
        self.hosts = []
        for i, skew in enumerate(skews):
            host = Host(self, f"mx{i + 1}", skew, **values)
            self.start(host)
            host.wait_log("event=redis-up")
            self.hosts.append(host)
        return self.hosts

    def start_redis(self, *args, **kwargs):
        self.redis = self.start(Redis(self, *args, **kwargs))
        return self.redis

    def everywhere(self, addr):
        for host in self.hosts:
            host.wait_has(addr)

    def nowhere(self, addr):
        for host in self.hosts:
            host.wait_gone(addr)


class Sharing(SharedTestCase):
    def test_login_and_remove(self):
        self.start_redis()
        a, b, c = self.start_hosts(redis_server=self.redis.address)
        one, two, v6 = self.fresh(), self.fresh(), "2001:db8:7::1"
        a.login(one, user='o"do\\d')
        b.login(two, v6)
        for addr in (one, two, v6, "2001:db8:7::/64"):
            self.everywhere(addr)
        for host in self.hosts:  # by its own clock
            self.assertAlmostEqual(host.left(one), 3600, delta=60)
        c.run("remove", one)
        self.nowhere(one)
        # What was removed opens again, at once.
        b.login(one)
        self.everywhere(one)
        a.run("insert", "--timeout", "1000", self.fresh())
        self.everywhere(f"198.18.0.{self.n}")
        self.assertAlmostEqual(c.left(f"198.18.0.{self.n}"), 1000, delta=60)
        b.run("purge")
        for addr in (one, two, v6):
            self.nowhere(addr)
        a.login(two)
        self.everywhere(two)


    def test_removed_at_the_end(self):
        """The others are told: the next start would not know of it."""
        self.start_redis()
        a, b, _ = self.start_hosts(redis_server=self.redis.address)
        addr = self.fresh()
        b.login(addr)
        self.everywhere(addr)
        control, = set(a.dir.glob("*.sock")) - {a.socket}
        a.send_signal(signal.SIGSTOP)
        with socket.socket(socket.AF_UNIX) as tool:
            tool.connect(str(control))
            tool.sendall(f'perdition-pbs 1 remove "{a.db}" 0 {addr}\n'
                         .encode())
            a.send_signal(signal.SIGTERM)
            a.send_signal(signal.SIGCONT)
            self.assertEqual(a.wait(), 0)
        b.wait_gone(addr)

    def test_reload(self):
        """Of the sharing nothing changes with HUP, which the log says."""
        self.start_redis()
        conf = self.dir / "pbs.conf"
        was = f"redis_server {self.redis.address}\n"
        conf.write_text(was)
        host = Host(self, "mx1")
        host.argv += ["--config_file", str(conf)]
        self.start(host)
        host.wait_log("event=redis-up")
        other = {"redis_sentinel": "mymaster", "redis_user": "eve",
                 "redis_password_file": "/p", "redis_db": 2,
                 "redis_sentinel_password_file": "/s",
                 "redis_prefix": "other:", "redis_maxlen": 5000,
                 "redis_tls_ca_cert_file": "/ca", "redis_tls_cert_file": "/c",
                 "redis_tls_key_file": "/k", "redis_tls_name": "name",
                 "redis_server": "127.0.0.1:1"}
        conf.write_text("redis_tls\n" + "".join(
            f"{name} {value}\n" for name, value in other.items()))
        for count in (1, 2):  # what runs is what it was
            host.send_signal(signal.SIGHUP)
            for name in ("redis_tls", *other):
                host.wait_log(
                    f"event=reload-needs-restart option={name}\n", count)
        conf.write_text(was)
        host.send_signal(signal.SIGHUP)
        host.wait_log("event=reload\n", 3)
        self.assertEqual(host.output().count("reload-needs-restart"),
                         2 * (1 + len(other)))
        one = self.fresh()
        host.login(one)
        host.wait_has(one)

    def test_reload_of_the_timeout(self):
        """What is shared is kept for as long as it counts."""
        self.start_redis()
        conf = self.dir / "pbs.conf"
        conf.write_text("timeout 100\n")
        host = Host(self, "mx1", redis_server=self.redis.address)
        host.argv += ["--config_file", str(conf)]
        self.start(host)
        host.wait_log("event=redis-up")
        conf.write_text("timeout 3600\n")
        host.send_signal(signal.SIGHUP)
        host.wait_log("event=reload\n")
        one = self.fresh()
        host.login(one)
        host.wait_has(one)
        wait_for("its time", lambda: self.redis.call(
            "TTL", "perdition-pbs:changes") > 3600)


class Outage(SharedTestCase):
    def stop_redis(self):
        self.redis.stop(signal.SIGKILL)
        for host in self.hosts:
            # Said before, maybe: of the outage before this one.
            wait_for(f"{host.name} notices",
                     lambda h=host: h.output().rfind("event=redis-error")
                     > h.output().rfind("event=redis-up"))

    def test_killed_and_back_empty(self):
        self.start_redis()
        a, b, c = self.start_hosts(redis_server=self.redis.address)
        kept, gone, mine = self.fresh(), self.fresh(), self.fresh()
        a.login(kept, gone)
        self.everywhere(gone)
        self.stop_redis()
        # Everything local goes on.
        a.login(mine)
        a.wait_has(mine)
        b.run("remove", gone)
        b.wait_gone(gone)
        self.assertFalse(c.has(mine))
        self.assertTrue(c.has(gone))
        errors = [h.output().count("event=redis-error") for h in self.hosts]
        self.redis.start()
        self.everywhere(mine)
        self.nowhere(gone)
        self.everywhere(kept)
        # Once a reason: the end of the connection, and no new one.
        for count in errors:
            self.assertLessEqual(count, 3)
        # A host that is new learns all from a Redis that had lost it.
        c.stop()
        for name in (c.db, *c.dir.glob("*.journal")):
            name.unlink()
        c.start()
        for addr in (kept, mine):
            c.wait_has(addr)
        self.assertFalse(c.has(gone))

    def test_emptied_while_connected(self):
        self.start_redis()
        a, b, _ = self.start_hosts(redis_server=self.redis.address)
        one, two = self.fresh(), self.fresh()
        a.login(one)
        self.everywhere(one)
        self.redis.call("FLUSHALL")
        # Found out as soon as it is looked for, ten seconds later at most.
        wait_for("all there again", lambda: one in str(self.redis.call(
            "XRANGE", "perdition-pbs:changes", "-", "+")))
        b.login(two)
        self.everywhere(two)

    def test_emptied_while_others_tell(self):
        """The loss shows though something new is there at once."""
        self.start_redis()
        a, b, _ = self.start_hosts(redis_server=self.redis.address)
        one, two = self.fresh(), self.fresh()
        a.login(one)
        self.everywhere(one)
        client = self.redis.client()
        self.addCleanup(client.close)
        client("FLUSHALL")
        b.login(two)
        self.everywhere(two)
        wait_for("all there again", lambda: one in str(client(
            "XRANGE", "perdition-pbs:changes", "-", "+")), 60)

    def test_trimmed(self):
        """What Redis kept no longer is told again to who was not there."""
        self.start_redis()
        a, b, c = self.start_hosts(redis_server=self.redis.address,
                                   redis_maxlen=1000)
        kept, gone = self.fresh(), self.fresh()
        a.login(kept)
        b.login(gone)
        self.everywhere(kept)
        self.everywhere(gone)
        c.stop()
        b.run("remove", gone)
        a.wait_gone(gone)
        late = Host(self, "mx4", redis_server=self.redis.address,
                    redis_maxlen=1000)
        # Of another host; the least that makes a stream too long.
        client = self.redis.client()
        self.addCleanup(client.close)
        many = [f"10.0.{i >> 8}.{i & 255}" for i in range(2000)]
        for addr in many:
            client("XADD", "perdition-pbs:changes", "MAXLEN", "~", 1000, "*",
                   "v", 1, "from", "other/1",
                   "changes", f'open {addr} 3000000 0 "x"\n')
        first = str(client("XRANGE", "perdition-pbs:changes", "-", "+",
                           "COUNT", 1))
        self.assertIn(" 3000000 0 ", first)
        for host in (a, b):
            host.wait_has(many[-1], deadline=60)
        self.start(late)
        late.wait_has(kept, many[-1], deadline=60)
        late.wait_log("event=redis-trimmed")
        c.start()
        c.wait_gone(gone, deadline=60)
        for host in (a, b, late):
            self.assertFalse(host.has(gone))
        last = self.fresh()
        c.login(last)
        a.wait_has(last)
        for host in (a, b):
            self.assertNotIn("redis-trimmed", host.output())
        self.assertEqual(late.output().count("redis-trimmed"), 1)

    def test_host_away(self):
        self.start_redis()
        a, b, c = self.start_hosts(redis_server=self.redis.address)
        gone, new = self.fresh(), self.fresh()
        a.login(gone)
        self.everywhere(gone)
        a.stop(signal.SIGKILL)
        b.run("remove", gone)
        c.login(new)
        c.wait_gone(gone)
        a.start()
        a.wait_gone(gone)
        a.wait_has(new)
        # Nor does it tell the others of what it had.
        last = self.fresh()
        a.login(last)
        self.everywhere(last)
        for host in (b, c):
            self.assertFalse(host.has(gone))

    def test_stalled(self):
        """A Redis that does not answer makes nobody wait."""
        self.start_redis()
        a, b, _ = self.start_hosts(redis_server=self.redis.address)
        self.redis.send_signal(signal.SIGSTOP)
        self.addCleanup(self.redis.send_signal, signal.SIGCONT)
        one, two = self.fresh(), self.fresh()
        a.login(one)
        a.wait_has(one, deadline=5)
        a.wait_log("no answer within")
        a.login(two)
        a.wait_has(two, deadline=5)
        self.redis.send_signal(signal.SIGCONT)
        self.everywhere(one)
        self.everywhere(two)

    def test_full(self):
        self.start_redis(config=["maxmemory-policy noeviction"])
        a, b, _ = self.start_hosts(redis_server=self.redis.address)
        self.redis.call("CONFIG", "SET", "maxmemory", "1")
        one, two = self.fresh(), self.fresh()
        a.login(one)
        a.wait_has(one)
        a.wait_log("OOM")
        self.redis.call("CONFIG", "SET", "maxmemory", "0")
        self.everywhere(one)
        a.wait_log("event=redis-restored")
        self.assertEqual(a.output().count("OOM"), 1)
        a.login(two)
        self.everywhere(two)

    def test_bulk(self):
        """Much at once, and a host that comes late to it."""
        self.start_redis()
        a, b = self.start_hosts(SKEWS[:2], redis_server=self.redis.address)
        many = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}"
                for i in range(20000)]
        a.login(*many)
        self.hosts = [a, b]
        b.wait_has(many[0], many[-1])
        late = Host(self, "mx3", SKEWS[2], redis_server=self.redis.address)
        self.start(late)
        late.wait_has(many[0], many[9999], many[-1])
        wait_for("all of them", lambda: len(late.relay.all()) == len(many))


class Access(SharedTestCase):
    def secret(self, text, name="password"):
        path = self.dir / name
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path

    def test_acl_and_database(self):
        """The permissions that the guide gives are enough."""
        guide = (pathlib.Path(__file__).parents[2]
                 / "doc/guides/several-hosts.md").read_text()
        line = next(x.strip() for x in guide.splitlines()
                    if x.strip().startswith("user perdition-pbs "))
        self.start_redis(config=[line.replace("SECRET", "right-horse")])
        wrong = Host(self, "wrong", redis_server=self.redis.address,
                     redis_user="perdition-pbs",
                     redis_password_file=self.secret("guess"))
        self.start(wrong)
        wrong.wait_log("WRONGPASS")
        one = self.fresh()
        wrong.login(one)
        wrong.wait_has(one)
        a, b = self.start_hosts(
            (0, 0), redis_server=self.redis.socket,
            redis_user="perdition-pbs", redis_db=3,
            redis_password_file=self.secret("right-horse", "p2"))
        two = self.fresh()
        a.login(two)
        b.wait_has(two)
        b.run("remove", two)
        a.wait_gone(two)
        self.assertNotIn("NOPERM", a.output() + b.output())
        # All that is permitted is used, trimming each ten seconds, and
        # nothing else is tried; AUTH was wrong, not forbidden.
        for name in re.findall(r"\+(\w+)", line):
            wait_for(name, lambda n=name: f"cmdstat_{n}:" in
                     self.redis.call("INFO", "commandstats"))
        self.assertEqual({entry[entry.index("reason") + 1]
                          for entry in self.redis.call("ACL", "LOG")},
                         {"auth"})
        self.assertEqual(wrong.output().count("WRONGPASS"), 1)
        self.assertNotIn("guess", wrong.output())

    def test_loading_and_no_permission(self):
        self.start_redis(config=["user default off",
                                 "user x on nopass ~other +@all"])
        host = Host(self, "mx1", redis_server=self.redis.address,
                    redis_user="x", redis_password_file=self.secret("any"))
        self.start(host)
        host.wait_log("NOPERM")

    def test_tls(self):
        ca = pki.Authority(self.subdir("pki"))
        server = ca.issue("redis.example", names=["localhost", "127.0.0.1"])
        client = ca.issue("mx.example", names=["mx.example"],
                          usage="clientAuth")
        for pair in (server, client):
            pair.key.chmod(0o644)
        self.start_redis(tls=[
            f"tls-cert-file {server.cert}", f"tls-key-file {server.key}",
            f"tls-ca-cert-file {ca.cert}", "tls-auth-clients yes"])
        good = {"redis_tls": True, "redis_tls_ca_cert_file": ca.cert,
                "redis_tls_cert_file": client.both}
        a, b = self.start_hosts(
            (0, 0), redis_server=f"localhost:{self.redis.port}", **good)
        one = self.fresh()
        a.login(one)
        b.wait_has(one)
        bad = {
            "self-signed certificate in certificate chain":
                {"redis_tls_ca_cert_file": pki.Authority(self.subdir("pki2")).cert},
            "hostname mismatch": {"redis_tls_name": "other.example"},
            "IP address mismatch": {"redis_tls_name": "192.0.2.1"},
        }
        for i, (text, values) in enumerate(bad.items()):
            host = Host(self, f"bad{i}", redis_server=self.redis.address,
                        **{**good, **values})
            self.start(host)
            host.wait_log(text)

    def test_hostile(self):
        """Whoever can write there is bound by each host's rules."""
        self.start_redis()
        a, = self.start_hosts((0,), redis_server=self.redis.address,
                              never="192.0.2.0/24", timeout=600)
        key = "perdition-pbs:changes"
        add = ("XADD", key, "*", "v", "1", "from", "evil", "changes")
        self.redis.call(*add, "open 192.0.2.1 100000 0 \"x\"\n")
        self.redis.call(*add, "open 198.51.100.0/8 100000 0 \"x\"\n")
        self.redis.call(*add, b"\0\xff" * 100000)
        # Longer than any host writes them.
        self.redis.call(*add, "open 198.51.100.10 100000 0 \"x\"\n" * 200)
        self.redis.call("XADD", key, "*", "v", "2", "from", "x", "changes", "?")
        self.redis.call("XADD", key, "*", "what", "ever")
        self.redis.call(*add, "open 198.51.100.9 34560000000 0 \"x\\x0a\"\n")
        a.wait_has("198.51.100.9")
        self.assertLessEqual(a.left("198.51.100.9"), 600)
        self.assertEqual(list(a.relay.all()), ["198.51.100.9"])
        # Another type of key in its place is said, and got over.
        self.redis.call("DEL", key)
        self.redis.call("SET", key, "x")
        a.login(self.fresh())
        a.wait_log("WRONGTYPE")
        self.redis.call("DEL", key)
        a.wait_log("event=redis-up", 2)

    def test_hostile_id(self):
        """An entry of the last time that there is, behind which Redis gives
        no other, is said and not read again and again."""
        self.start_redis()
        a, = self.start_hosts((0,), redis_server=self.redis.address)
        key = "perdition-pbs:changes"
        self.redis.call("XADD", key, "18446744073709551615-1", "v", "1",
                        "from", "evil", "changes", "shut all 0\n")
        a.wait_log("an answer that makes no sense")
        one = self.fresh()
        a.login(one)
        a.wait_has(one)
        self.redis.call("DEL", key)
        a.wait_log("event=redis-up", 2)
        wait_for("it is told", lambda: one in str(self.redis.call(
            "XRANGE", key, "-", "+")))


class Failover(SharedTestCase):
    def test_sentinel(self):
        master = self.start(Redis(self, "master"))
        replica = self.start(Redis(self, "replica", config=[
            f"replicaof 127.0.0.1 {master.port}"]))
        wait_for("replication", lambda: "state=online"
                 in master.call("INFO", "replication"))
        sentinel = self.start(Sentinel(self, master))
        wait_for("Sentinel to know the replica", lambda: sentinel.call(
            "SENTINEL", "replicas", "mymaster"))
        nobody = f"127.0.0.1:{Redis(self, 'none').port}"
        a, b, c = self.start_hosts(
            redis_server=[nobody, sentinel.address], redis_sentinel="mymaster")
        one, two, gone = self.fresh(), self.fresh(), self.fresh()
        a.login(one, gone)
        self.everywhere(gone)
        master.stop(signal.SIGKILL)
        a.login(two)
        a.wait_has(two)
        b.run("remove", gone)
        wait_for("failover", replica.is_master, 60)
        self.everywhere(two)
        self.nowhere(gone)
        self.assertTrue(all(h.has(one) for h in self.hosts))

    def test_replica_first(self):
        """Given by hand: the one that takes writes is found."""
        master = self.start(Redis(self, "master"))
        replica = self.start(Redis(self, "replica", config=[
            f"replicaof 127.0.0.1 {master.port}"]))
        a, b = self.start_hosts(
            SKEWS[:2], redis_server=[replica.address, master.address])
        one, two = self.fresh(), self.fresh()
        a.login(one)
        b.wait_has(one)
        # They change places.
        replica.call("REPLICAOF", "NO", "ONE")
        master.call("REPLICAOF", "127.0.0.1", replica.port)
        a.login(two)
        b.wait_has(two)
