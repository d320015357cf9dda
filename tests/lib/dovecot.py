# SPDX-License-Identifier: GPL-2.0-or-later
"""A private Dovecot (2.3) with users from a passwd-file and maildirs that hold
known messages; IMAP and POP3 in clear on one loopback address.

Runs as root (mail belongs to nobody then) or as an ordinary user.
"""

import grp
import os
import pathlib
import pwd
import shutil
import signal

from harness import DEADLINE, Daemon, is_root
from lineclient import Imap, Pop3

CONFIG = """\
# Written by the tests; see dovecot.py.
protocols = imap pop3
listen = {addr}
base_dir = {dir}/run
state_dir = {dir}/state
instance_name = {name}
log_path = {dir}/log
auth_verbose = yes
auth_failure_delay = 0 secs
auth_mechanisms = plain login
auth_username_chars =
disable_plaintext_auth = no
{tls}
login_greeting = {greeting}
login_trusted_networks =
mail_location = maildir:~/Maildir
mail_max_userip_connections = 0
first_valid_uid = 1
first_valid_gid = 1
default_process_limit = 5000
default_client_limit = 20000
default_vsz_limit = 1024M
default_login_user = {login_user}
default_internal_user = {internal_user}
default_internal_group = {internal_group}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {dir}/passwd
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={dir}/homes/%u
}}
namespace inbox {{
  inbox = yes
}}
# Without its penalty for an address with failed logins: all come from ours.
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
}}
service pop3-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
    ssl = yes
  }}
}}
{extra}
"""


class Dovecot(Daemon):
    """users: {name: (password, {message name: bytes})}.  tls: (pki.Pair,
    port of imaps, port of pop3s); STARTTLS is offered then too."""

    def __init__(self, folder, name, addr, imap, pop3, users, extra="",
                 greeting=None, tls=None):
        self.dir = pathlib.Path(folder)
        self.addr, self.imap, self.pop3 = addr, imap, pop3
        self.tls = tls
        self.dir.mkdir(parents=True, exist_ok=True)
        self.dir.chmod(0o755)
        self._mail_owner()
        self._write_config(name, extra, greeting or f"Server {name} ready.")
        passwd = self.dir / "passwd"
        passwd.write_text("".join(f"{user}:{{PLAIN}}{password}::::::\n"
                                  for user, (password, _) in users.items()))
        # Dovecot's authentication process reads it as another user.
        passwd.chmod(0o644)
        for user, (_, messages) in users.items():
            self.add_mail(user, messages)
        super().__init__(f"dovecot {name}",
                         [_program(), "-F", "-c", self.dir / "dovecot.conf"],
                         self.dir / "output", ready=self._answers)

    def _mail_owner(self):
        if is_root():
            owner = pwd.getpwnam("nobody")
            self.users = ("dovenull", "dovecot", "dovecot")
        else:
            owner = pwd.getpwuid(os.getuid())
            group = grp.getgrgid(owner.pw_gid).gr_name
            self.users = (owner.pw_name, owner.pw_name, group)
        self.uid, self.gid = owner.pw_uid, owner.pw_gid

    def _write_config(self, name, extra, greeting):
        login, internal, group = self.users
        tls, imaps, pop3s = "ssl = no", 0, 0
        if self.tls is not None:
            pair, imaps, pop3s = self.tls
            tls = f"ssl = yes\nssl_cert = <{pair.cert}\nssl_key = <{pair.key}"
        (self.dir / "dovecot.conf").write_text(CONFIG.format(
            dir=self.dir, name=name, addr=self.addr, imap=self.imap,
            pop3=self.pop3, uid=self.uid, gid=self.gid, login_user=login,
            internal_user=internal, internal_group=group, extra=extra,
            greeting=greeting, tls=tls, imaps=imaps, pop3s=pop3s))

    def _chown(self, path):
        if is_root():
            os.chown(path, self.uid, self.gid)

    def add_mail(self, user, messages):
        home = self.dir / "homes" / user
        maildir = home / "Maildir"
        for folder in ("cur", "new", "tmp"):
            (maildir / folder).mkdir(parents=True, exist_ok=True)
        for number, (name, data) in enumerate(messages.items()):
            # S: seen, and the order of names is the order of delivery.
            path = maildir / "cur" / f"{1700000000 + number}.{name}.test:2,S"
            path.write_bytes(data)
        (self.dir / "homes").chmod(0o755)
        for folder, _, files in os.walk(home):
            self._chown(folder)
            for name in files:
                self._chown(os.path.join(folder, name))

    def _answers(self):
        with Imap(self.addr, self.imap, timeout=2) as imap:
            with Pop3(self.addr, self.pop3, timeout=2) as pop3:
                return imap.greeting and pop3.greeting

    def stop(self, number=signal.SIGKILL, deadline=DEADLINE):
        """At once: told to end politely, it takes a second."""
        return super().stop(number, deadline)

    def mail_log(self):
        log = self.dir / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    def tail(self, lines=25):
        return super().tail(lines) + "\n" + "\n".join(
            "  log: " + line for line in self.mail_log().splitlines()[-lines:])


def _program():
    return shutil.which("dovecot", path=os.environ["PATH"] + ":/usr/sbin")
