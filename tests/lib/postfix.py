# SPDX-License-Identifier: GPL-2.0-or-later
"""Postfix as Debian configures it, smtpd in its chroot included, on a Machine
that has it unpacked."""

from harness import Daemon
from lineclient import Smtp

QUEUE = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
         "incoming", "private", "saved", "trace")

SETTINGS = {
    "myhostname": "mx.test",
    "mydestination": "mx.test",
    "inet_interfaces": "loopback-only",
    "local_recipient_maps": "",
    "alias_maps": "",
    "smtpd_peername_lookup": "no",
    "disable_dns_lookups": "yes",
    # What is accepted stays in the queue, and without this is slowed down.
    "defer_transports": "smtp local",
    "in_flow_delay": "0",
}


# What the package's installation does; on standard input, the end of main.cf.
SETUP = f"""\
mkdir -p "$etc" "$data" "$queue"
chown postfix "$data"
cd /usr/share/postfix
mkdir -p /etc/postfix
cp dynamicmaps.cf /etc/postfix
cp main.cf.debian "$etc/main.cf"
cat >>"$etc/main.cf"
sed "s/^smtp  *inet /$port inet /" master.cf.dist >"$etc/master.cf"
# Postfix waits a while before it trusts a file that was written just now.
touch -d '-1 hour' "$etc/main.cf" "$etc/master.cf"
cd "$queue"
mkdir -p {" ".join(QUEUE)} pid public maildrop
chown postfix {" ".join(QUEUE)} public maildrop
chmod 700 {" ".join(QUEUE)}
chgrp postdrop public maildrop
chmod 710 public
chmod 730 maildrop
"""


class Postfix(Daemon):
    """main_cf: text for the end of main.cf.  Several may run on one machine:
    name is where its configuration and its queue are, below /etc and
    /var/spool."""

    def __init__(self, machine, port, main_cf="", name="postfix"):
        self.machine, self.port = machine, port
        self.etc = f"/etc/{name}"
        self.mail_log = f"/var/log/{name}.log"
        queue, data = f"/var/spool/{name}", f"/var/lib/{name}"
        settings = {**SETTINGS, "queue_directory": queue,
                    "data_directory": data, "maillog_file": self.mail_log}
        machine.run(
            f"etc={self.etc} data={data} queue={queue} port={port}\n{SETUP}",
            input="".join(f"{key} = {value}\n"
                          for key, value in settings.items()) + main_cf)
        super().__init__(name, ["/usr/lib/postfix/sbin/master", "-s"],
                         machine.dir / f"{name}.output", ready=self._answers,
                         prefix=machine.enter,
                         env={"MAIL_CONFIG": self.etc})

    def reload(self):
        self.machine.run(f"postfix -c {self.etc} reload 2>&1")

    def _answers(self):
        with Smtp("127.0.0.1", self.port, timeout=2) as smtp:
            return smtp.quit().startswith(b"221")
