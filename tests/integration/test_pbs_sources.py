# SPDX-License-Identifier: GPL-2.0-or-later
"""Where perdition-pbs learns of logins: several logs, each read from where it
was left, whatever happens to them and to the daemon."""

import random
import signal

from harness import wait_for
from test_pbs_daemon import PbsTestCase, line


class Logs(PbsTestCase):
    def logs(self, *names, **values):
        """Starts on the log files of these names, or patterns."""
        values.setdefault("log_file", [self.dir / name for name in names])
        return self.start_pbs("log", **values)

    def say(self, name, *addrs):
        path = self.dir / name
        path.parent.mkdir(exist_ok=True)
        with open(path, "a", encoding="ascii") as f:
            f.write("".join(map(line, addrs)))

    def told(self, name):
        """One line more in that log, which opens an address."""
        addr = self.fresh()
        self.say(name, addr)
        self.wait_entry(addr)
        return addr

    def test_by_name_and_by_pattern(self):
        self.say("mail.log", "198.51.100.66")
        self.say("a/maillog", "198.51.100.66")
        pbs = self.logs("mail.log", "*/maillog", "none/at/all")
        for name in ("mail.log", "a/maillog", "b/maillog", "a/maillog"):
            self.told(name)
        pbs.stop(signal.SIGKILL)
        late = [self.fresh() for _ in range(4)]
        self.say("a/maillog", late[0])
        (self.dir / "a/maillog").rename(self.dir / "a/maillog.1")
        self.say("a/maillog", late[1])
        self.say("c/maillog", late[2])
        self.say("mail.log", late[3])
        pbs.start()
        for addr in late:
            self.wait_entry(addr)
        self.assertIsNone(self.db.get("198.51.100.66"))

    def test_one_more_log_does_not_disturb_the_others(self):
        pbs = self.logs("mail.log")
        gone = self.told("mail.log")
        pbs.run("remove", gone)
        pbs.stop()
        self.say("other.log", "198.51.100.66")
        fresh = self.fresh()
        self.say("mail.log", fresh)
        pbs.argv += ["--log_file", str(self.dir / "other.log")]
        pbs.start()
        self.wait_entry(fresh)
        self.told("other.log")
        self.assertIsNone(self.db.get(gone))
        self.assertIsNone(self.db.get("198.51.100.66"))

    def test_too_many(self):
        names = [f"{n:03d}.log" for n in range(300)]
        for name in names:
            self.say(name)
        pbs = self.logs("*.log")
        self.told(names[0])
        self.told(names[255])
        self.say(names[256], "198.51.100.66")
        self.told(names[100])
        self.assertIsNone(self.db.get("198.51.100.66"))
        self.assertEqual(pbs.output().count("event=log-too-many"), 1)

    def test_killed_again_and_again(self):
        """Each line counts once: what was removed stays so, and what was
        written comes, whenever the daemon is killed."""
        rng = random.Random(1)
        names = ["mail.log", "a/maillog", "b/maillog"]
        pbs = self.logs("mail.log", "*/maillog")
        # One that came and was rotated before anybody saw it is nobody's.
        removed = {self.told(name) for name in names}
        pbs.run("remove", *removed)
        for turn in range(8):
            addrs = []
            for _ in range(rng.randrange(1, 6)):
                some = [self.fresh() for _ in range(rng.randrange(1, 200))]
                self.say(rng.choice(names), *some)
                addrs += some
                if pbs.running() and rng.random() < 0.4:
                    pbs.stop(signal.SIGKILL)
            if rng.random() < 0.5:
                path = self.dir / rng.choice(names)
                if path.exists():
                    path.rename(f"{path}.{turn}")
            if not pbs.running():
                pbs.start()
            wait_for("all that was written", lambda a=addrs:
                     set(a) <= set(self.db.all()))
            self.assertEqual(removed & set(self.db.all()), set())
            # Read before is not read again.
            pbs.run("remove", *addrs)
            removed |= set(addrs)
        self.told(names[0])
        self.assertEqual(removed & set(self.db.all()), set())
