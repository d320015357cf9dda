# SPDX-License-Identifier: GPL-2.0-or-later
"""The guides in doc/guides: their configurations, as they stand there, and
curl as the users of their tables."""

import os
import pathlib
import re
import subprocess

import pair
import postgres
from fakeserver import FakeServer, imap_server
from harness import Daemon, TestCase, wait_for

GUIDES = pathlib.Path(__file__).resolve().parents[2] / "doc" / "guides"
FRONTS = {"mail.example.org": "127.0.0.21", "mail.example.com": "127.0.0.22"}
SERVERS = {"mail1.example.org": "127.0.1.1", "mail2.example.org": "127.0.1.2",
           "mail3.example.org": "127.0.1.3", "old.example.org": "127.0.1.4",
           "new.example.org": "127.0.1.5"}
PORT = 143


def blocks(text):
    """[(path, text)] of the files in a guide."""
    found = re.findall(r"^`(/etc/perdition/\S+)`:\n\n((?:    .*\n|\n)+)", text,
                       re.M)
    return [(path, re.sub(r"^    ", "", body, flags=re.M))
            for path, body in found]


def rows(text):
    """The lines of tables that say where users arrive, as dicts."""
    for head, body in re.findall(
            r"^(\| user .*arrives at.*)\n\|[-|]+\n((?:\|.*\n)+)", text, re.M):
        names = [c.strip() for c in head.strip("|").split("|")]
        for line in body.splitlines():
            cells = [c.strip() for c in line[1:].split("|")]
            yield dict(zip(names, cells))


class Guides(TestCase):
    def setUp(self):
        super().setUp()
        hosts = pathlib.Path(os.environ["PERDITION_TEST_TMP"], "hosts")
        before = hosts.read_text()
        self.addCleanup(hosts.write_text, before)
        hosts.write_text(before + "".join(
            f"{address} {name}\n" for name, address in
            [*FRONTS.items(), *SERVERS.items()]))
        self.notes = {}
        for name, address in SERVERS.items():
            note = self.notes[name] = []
            server = FakeServer(imap_server(note=note), address, PORT)
            self.addCleanup(server.close)

    def sections(self, name):
        """The parts of a guide with a configuration each: (text, files)."""
        text = (GUIDES / (name + ".md")).read_text()
        parts = [p for p in re.split(r"^(?=## )", text, flags=re.M)]
        # What stands in front of the first heading may be one, too.
        found = [(p, blocks(p)) for p in parts if blocks(p)]
        self.assertTrue(found, name)
        return found

    def place(self, files):
        """Writes them; their paths are below our own directory."""
        folder = self.subdir("etc")
        texts = {}
        for path, text in files:
            texts[path] = text.replace("/etc/perdition", str(folder))
        for path, text in texts.items():
            target = folder / pathlib.Path(path).name
            target.write_text(text)
            target.chmod(0o644)
        return folder

    def perdition(self, folder):
        log = folder / "log"
        conf = folder / "perdition.conf"
        extra = (f"\nmodule_dir {pair.modules()}\nlog_facility {log}\n"
                 f"pid_file {folder}/pid\nno_daemon\nfailure_delay 0\n"
                 "workers 1\n")
        conf.write_text(conf.read_text() + extra)
        log.touch()
        log.chmod(0o666)
        return self.start(Daemon(
            "perdition", [pair.program("perdition"), "-f", conf], log,
            ready=lambda: "event=started" in log.read_text(),
            env={**os.environ, **pair.sanitizer_env(self.reports)}))

    def log_in(self, user, front):
        """(server, user there) by curl, or (None, None)."""
        for note in self.notes.values():
            note.clear()
        subprocess.run(["curl", "--silent", "--max-time", "20", "--user",
                        f"{user}:secret", "--request", "NOOP",
                        f"imap://{front}:{PORT}/"], check=False,
                       stdout=subprocess.DEVNULL)
        for name, note in self.notes.items():
            for said in note:
                words = said.split()
                if words and words[0].upper() == b"LOGIN":
                    return name, words[1].strip(b'"').decode()
        return None, None

    def check(self, part, front="mail.example.org"):
        seen = 0
        for row in rows(part):
            server, user = self.log_in(row["user"],
                                       row.get("logs in at", front))
            seen += 1
            with self.subTest(**row):
                if row["arrives at"] == "nowhere":
                    self.assertIsNone(server)
                    continue
                self.assertEqual(server, row["arrives at"])
                if row.get("as"):
                    self.assertEqual(user, row["as"])
        self.assertTrue(seen)

    def section(self, guide, number):
        part, files = self.sections(guide)[number]
        folder = self.place(files)
        return part, folder

    # --- load balancing --------------------------------------------------
    def test_balancing_by_rule(self):
        part, folder = self.section("load-balancing", 0)
        self.perdition(folder)
        self.check(part)

    def test_balancing_by_arithmetic(self):
        part, folder = self.section("load-balancing", 1)
        daemon = self.perdition(folder)
        self.check(part)
        where = {u: self.log_in(u, "mail.example.org")[0]
                 for u in (f"user{n}" for n in range(40))}
        self.assertEqual(set(where.values()),
                         {"mail1.example.org", "mail2.example.org",
                          "mail3.example.org"})
        # Down, and only its users move; and back.
        pool = folder / "popmap.hash"
        text = pool.read_text()
        pool.write_text(text.replace("mail1.example.org",
                                     "mail1.example.org down"))
        self.reload(daemon, folder, 1)
        for user, server in where.items():
            got = self.log_in(user, "mail.example.org")[0]
            if server == "mail1.example.org":
                self.assertNotEqual(got, server)
            else:
                self.assertEqual(got, server)
        pool.write_text(text)
        self.reload(daemon, folder, 2)
        for user, server in where.items():
            self.assertEqual(self.log_in(user, "mail.example.org")[0], server)

    def test_balancing_by_list(self):
        part, files = self.sections("load-balancing")[2]
        server = self.start(postgres.Postgres(self))
        server.sql("CREATE DATABASE mail;", "postgres")
        (sql,) = re.findall(r"^and in the database\n\n((?:    .*\n)+)", part,
                            re.M)
        server.sql(sql, "mail")
        files = [(path, text.replace("/run/postgresql:5432",
                                     f"{server.dir}:{server.port}"))
                 for path, text in files]
        folder = self.place(files)
        self.perdition(folder)
        self.check(part)
        # The database is down, and who was there lately still gets in.
        server.stop()
        self.assertEqual(self.log_in("anna", "mail.example.org")[0],
                         "mail1.example.org")

    @staticmethod
    def reload(daemon, folder, times):
        daemon.send_signal(1)
        wait_for("the reload", lambda: (folder / "log").read_text().count(
            "event=reloaded") == times)

    # --- merged domains ----------------------------------------------------
    def test_merged_by_address(self):
        part, folder = self.section("merged-domains", 0)
        self.perdition(folder)
        self.check(part)

    def test_merged_by_reverse_name(self):
        part, folder = self.section("merged-domains", 1)
        self.perdition(folder)
        self.check(part)

    # --- migration ---------------------------------------------------------
    def makebdb(self, folder):
        path = folder / "moved.db"
        with open(folder / "moved", "rb") as text:
            subprocess.run([pair.prefix() / "bin" / "makebdb", path],
                           stdin=text, check=True)
        path.chmod(0o644)

    def test_migration(self):
        part, folder = self.section("migration", 0)
        self.makebdb(folder)
        self.perdition(folder)
        self.check(part)
        # The next one moves; nothing is restarted.
        with open(folder / "moved", "a", encoding="ascii") as f:
            f.write("mary: new.example.org\n")
        self.makebdb(folder)
        self.assertEqual(self.log_in("mary", "mail.example.org"),
                         ("new.example.org", "mary"))

    # --- client chosen servers ---------------------------------------------
    def test_any_server(self):
        part, folder = self.section("client-chosen-servers", 0)
        self.perdition(folder)
        self.check(part)

    def test_listed_servers(self):
        part, folder = self.section("client-chosen-servers", 1)
        self.perdition(folder)
        self.check(part)
