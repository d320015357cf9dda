# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong at the start ends with one clear line that names what and
where, the right status (sysexits.h), and nothing half-started."""

import os
import pathlib
import re
import socket
import subprocess

import relaydb
from addresses import CLIENTS4
from harness import Daemon, TestCase, children, free_port, wait_for
from lineclient import Imap
from pair import (OWNER, Pbs, Perdition, config_text, modules, options,
                  program, run_perdition, sanitizer_env)

EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_OSERR, EX_CANTCREAT, EX_CONFIG = \
    64, 65, 69, 71, 73, 78
FRONT = "127.0.0.1"


class PerditionStart(TestCase):
    def config(self, **values):
        path = self.dir / "perdition.conf"
        path.write_text(config_text({
            "no_daemon": True, "log_facility": "+", "pid_file": "",
            "map_library": "", "module_dir": modules(),
            "outgoing_server": "127.0.0.1:1",
            "listen": f"imap4://{FRONT}:{free_port()}", **values}))
        return path

    def fails(self, status, words, config=None, args=(), **kwargs):
        statuses = status if isinstance(status, tuple) else (status,)
        argv = ["--config_file", config] if config else []
        done = run_perdition(self, *argv, *args, deadline=20, **kwargs)
        self.assertIn(done.returncode, statuses,
                      f"{done.stderr}{done.stdout}")
        for word in words:
            self.assertIn(word, done.stderr)
        return done.stderr

    def test_bad_configuration(self):
        path = self.config()
        with open(path, "a", encoding="ascii") as out:
            out.write("tiemout 5\ntimeout many\n")
        text = self.fails(EX_CONFIG, ["tiemout", "timeout", "many"], path)
        number = len(path.read_text().splitlines())
        self.assertIn(f"{path}:{number - 1}:", text)
        self.assertIn(f"{path}:{number}:", text)

    def test_bad_values(self):
        self.fails(EX_CONFIG, ["300.1.1.1"],
                   self.config(listen="imap4://300.1.1.1:1"))

    def test_bad_option(self):
        text = self.fails(EX_USAGE, ["tiemout"], args=["--tiemout", "5"])
        self.assertIn("timeout", text.replace("tiemout", ""))

    def test_missing_configuration_file(self):
        self.fails((EX_CONFIG, 66), ["/nonexistent/p.conf", "No such file"],
                   "/nonexistent/p.conf")

    def test_tls_without_a_certificate(self):
        self.fails((EX_CONFIG, 66), ["ssl_cert_file", "No such file"],
                   self.config(ssl_mode="tls_listen"))

    def test_port_in_use(self):
        with socket.create_server((FRONT, 0)) as taken:
            port = taken.getsockname()[1]
            good = free_port()
            self.fails((EX_OSERR, EX_UNAVAILABLE, EX_CANTCREAT),
                       [f"{FRONT}:{port}", "in use"],
                       self.config(listen=[f"imap4://{FRONT}:{good}",
                                           f"imap4://{FRONT}:{port}"]))
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection((FRONT, good), 2)

    def test_port_that_is_not_ours(self):
        self.fails((EX_OSERR, EX_UNAVAILABLE, EX_CANTCREAT, 77),
                   ["192.0.2.77:143"],
                   self.config(listen="imap4://192.0.2.77:143"))

    def test_missing_map(self):
        missing = self.dir / "missing.re"
        self.fails((EX_CONFIG, 66), [str(missing), "No such file"],
                   self.config(map_library="regex", map_library_opt=missing))

    def test_unreadable_map(self):
        # To nobody, as whom the lookup runs.
        path = self.dir / "popmap.re"
        path.write_text("a: b\n")
        path.chmod(0o600)
        self.fails((EX_CONFIG, 66, 77), [str(path), "ermission"],
                   self.config(map_library="regex", map_library_opt=path))

    def test_bad_map(self):
        path = self.dir / "popmap.re"
        path.write_text("# fine\n^a$: one\n^(b$: two\n")
        self.fails((EX_CONFIG, 65), [f"{path}:3"],
                   self.config(map_library="regex", map_library_opt=path))

    def test_missing_module(self):
        self.fails((EX_CONFIG, 66), ["frobnicate"],
                   self.config(map_library="frobnicate"))

    def test_unknown_user(self):
        self.fails((EX_CONFIG, 67), ["no-such-user"],
                   self.config(username="no-such-user"))

    def test_unwritable_log(self):
        self.fails((EX_CONFIG, EX_CANTCREAT, 66), ["/nonexistent/log",
                                               "No such file"],
                   self.config(log_facility="/nonexistent/log"))

    def test_unwritable_pid_file(self):
        self.fails((EX_CANTCREAT, EX_OSERR, EX_CONFIG),
                   ["/nonexistent/dir/pid"],
                   self.config(pid_file="/nonexistent/dir/pid"))

    def test_check_config(self):
        done = run_perdition(self, "--config_file", self.config(),
                             "--check_config")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_help_and_dump_agree(self):
        text = run_perdition(self, "--help").stdout
        dump = run_perdition(self, "-f", self.config(),
                             "--dump_config").stdout
        names = [line.split()[0] for line in dump.splitlines()
                 if line and not line.startswith("#")]
        self.assertGreater(len(names), 40)
        for name in names:
            if name != "log_passwd":  # of no effect, and not told
                self.assertIn(f"--{name}", text)
        again = self.dir / "again.conf"
        again.write_text(dump)
        self.assertEqual(
            run_perdition(self, "-f", again, "--dump_config").stdout, dump)

    def test_configuration_file_is_found(self):
        """By the program's name first, then by protocol; HUP finds it too."""
        dump = run_perdition(self, "-f", self.config(), "--dump_config").stdout
        folder = pathlib.Path(next(
            line.split()[1] for line in dump.splitlines()
            if line.startswith("ssl_cert_file "))).parent
        if not folder.exists():
            folder.mkdir(parents=True)
            self.addCleanup(folder.rmdir)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=False)
        imap4 = program("perdition.imap4")
        other = self.dir / "front.imap4"
        other.symlink_to(program("perdition"))

        def ok_line(argv0):
            done = subprocess.run([argv0, "--dump_config"], text=True,
                                  capture_output=True, timeout=20,
                                  stdin=subprocess.DEVNULL,
                                  env={**os.environ,
                                       **sanitizer_env(self.reports)})
            self.assertEqual(done.returncode, 0, done.stderr)
            return re.search(r"^ok_line (.*)", done.stdout, re.M)[1]
        (folder / "perdition.conf").write_text("ok_line general\n")
        self.assertEqual(ok_line(imap4), "general")
        (folder / "perdition.imap4.conf").write_text("ok_line protocol\n")
        self.assertEqual(ok_line(imap4), "protocol")
        self.assertEqual(ok_line(other), "protocol")
        self.assertEqual(ok_line(program("perdition.pop3")), "general")
        (folder / "front.imap4.conf").write_text("ok_line name\n")
        self.assertEqual(ok_line(other), "name")

        (folder / "perdition.conf").write_text(self.config().read_text())
        front = self.start(Daemon(
            "perdition", [program("perdition")], self.dir / "out",
            ready=lambda: "event=started" in (self.dir / "out").read_text(),
            env=sanitizer_env(self.reports)))
        self.assertIn(f"file={folder}/perdition.conf", front.output())

    def test_full_disk_for_the_log(self):
        """Logins go on; that lines are lost is told once there is room."""
        disk = small_disk(self)
        from fakeserver import FakeServer, imap_server
        server = FakeServer(imap_server())
        self.addCleanup(server.close)
        log = disk / "perdition.log"
        port = free_port()
        front = self.start(Perdition(
            self, [("imap4", FRONT, port)], None,
            {"outgoing_server": server.address, "log_facility": log}))
        filler = fill(disk)
        for _ in range(20):
            with Imap(FRONT, port) as client:
                self.assertRegex(client.login("alice", "secret")[0], rb"^OK")
        filler.unlink()

        def logged():
            with Imap(FRONT, port) as client:
                client.login("later", "secret")
            return '"later"' in log.read_text()
        wait_for("the log going on", logged)
        self.assertTrue(front.running())


def small_disk(test):
    path = test.subdir("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m,mode=755",
                    "tmpfs", path], check=True)
    test.addCleanup(subprocess.run, ["umount", "-l", path], check=False)
    subprocess.run(["chown", ":".join(OWNER), path], check=True)
    return path


def fill(disk):
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as out:
        try:
            while True:
                out.write(b"x" * 4096)
        except OSError:
            pass
    return filler


class PbsStart(TestCase):
    def fails(self, status, words, values, args=(), **kwargs):
        statuses = status if isinstance(status, tuple) else (status,)
        done = subprocess.run(
            [program("perdition-pbs"),
             *options({"no_daemon": True, "log_facility": "+",
                       "pid_file": "", **values}), *args],
            text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20,
            env={**os.environ, **sanitizer_env(self.reports)}, **kwargs)
        self.assertIn(done.returncode, statuses, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def values(self, **more):
        folder = self.subdir("pbs", owner=OWNER)
        return {"db_file": folder / "relay.db", "state_dir": folder,
                "socket": folder / "auth.sock", "log_file": "", **more}

    def test_bad_option(self):
        self.fails(EX_USAGE, ["tiemout"], self.values(tiemout=3))
        self.fails((EX_USAGE, EX_CONFIG), ["never", "10.0.0.0/99"],
                   self.values(never="10.0.0.0/99"))

    def test_no_directory_for_the_database(self):
        self.fails((EX_CANTCREAT, EX_OSERR, EX_CONFIG),
                   ["/nonexistent", "No such file"],
                   self.values(db_file="/nonexistent/relay.db"))

    def test_directory_that_may_not_be_written(self):
        folder = self.subdir("roots")
        self.fails((EX_CANTCREAT, EX_OSERR, EX_CONFIG, 77),
                   [str(folder), "ermission denied"],
                   self.values(db_file=folder / "relay.db"),
                   user=OWNER[0], group=OWNER[1], extra_groups=[])
        self.assertEqual(list(folder.iterdir()), [])

    def test_foreign_file_is_made_anew(self):
        """The file is a copy: a broken one is replaced at the start."""
        values = self.values()
        values["db_file"].write_bytes(b"not a database" * 1000)
        pbs = Pbs(self, values=values)
        # Left by somebody else, it is there before the daemon is.
        pbs.ready = lambda: values["socket"].exists()
        self.start(pbs)
        wait_for("a database", lambda: _reads(values["db_file"]))

    def test_anothers_file_named_later(self):
        """It is not made anew, though the journal tells of all entries."""
        values = self.values()
        pbs = self.start(Pbs(self, values=values))
        pbs.run("insert", CLIENTS4[0])
        self.assertEqual(pbs.stop(), 0)
        access = values["db_file"].with_name("access.db")
        relaydb.write(access, {f"Connect:192.0.2.{n}": "REJECT"
                               for n in range(50)})
        was = access.read_bytes()
        self.fails(EX_DATAERR, [str(access), "records of something else"],
                   values, ["--db_file", access])
        self.assertEqual(access.read_bytes(), was)
        self.start(Pbs(self, values=values))

    def test_list_of_no_database(self):
        pbs = Pbs(self)
        done = pbs.run("list", check=False)
        self.assertEqual(done.returncode, 66)
        self.assertIn(str(pbs.db), done.stderr)
        self.assertFalse(pbs.db.exists())

    def test_socket_in_use(self):
        self.start(Pbs(self))
        values = self.values()
        other = self.subdir("other", owner=OWNER)
        self.fails((EX_UNAVAILABLE, EX_OSERR, EX_CANTCREAT, 75),
                   [str(values["socket"])],
                   {**values, "db_file": other / "relay.db",
                    "state_dir": other})

    def test_stale_socket_is_no_hindrance(self):
        values = self.values()
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(str(values["socket"]))
        stale.close()
        pbs = Pbs(self)

        def listens():
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(values["socket"]))
                return True
        pbs.ready = listens
        self.start(pbs)

    def test_full_disk(self):
        """The daemon stays, says so, and writes when there is room."""
        from pairtest import RelayDb
        disk = small_disk(self)
        values = self.values(db_file=disk / "relay.db", state_dir=disk,
                             socket=disk / "auth.sock")
        pbs = Pbs(self, values=values)
        pbs.db = values["db_file"]
        pbs.ready = lambda: pbs.db.exists() and values["socket"].exists()
        self.start(pbs)
        from fakeserver import FakeServer, imap_server
        server = FakeServer(imap_server())
        self.addCleanup(server.close)
        port = free_port()
        self.start(Perdition(
            self, [("imap4", FRONT, port)], None,
            {"outgoing_server": server.address, "connect_relog": 1,
             "auth_socket": values["socket"]}))
        filler = fill(disk)
        held = []
        self.addCleanup(lambda: [c.close() for c in held])
        for addr in CLIENTS4:
            client = Imap(FRONT, port, addr)
            held.append(client)
            self.assertRegex(client.login("alice", "secret")[0], rb"^OK")
        filler.unlink()
        db = RelayDb(pbs.db)
        for addr in CLIENTS4:
            wait_for(f"{addr} in the database", lambda a=addr: db.get(a))
        self.assertTrue(pbs.running())


def _reads(path):
    try:
        return relaydb.RelayDb(path).all() == {}
    except Exception:  # ndbm.error is no class of its own
        return False


class NothingLeft(TestCase):
    def test_a_failed_start_leaves_no_process(self):
        path = self.dir / "p.conf"
        path.write_text(config_text({
            "log_facility": "+", "pid_file": self.dir / "pid",
            "map_library": "regex", "map_library_opt": "/nonexistent",
            "module_dir": modules(),
            "listen": f"imap4://{FRONT}:{free_port()}"}))
        run_perdition(self, "-f", path)
        self.assertEqual(children(os.getpid()), [])
        self.assertFalse((self.dir / "pid").exists())
