# SPDX-License-Identifier: GPL-2.0-or-later
"""Exim as Debian configures it, on a Machine that has it unpacked."""

from harness import Daemon
from lineclient import Smtp

# What the package asks its installer.  DNS is not asked; nothing is delivered.
ANSWERS = """\
dc_eximconfig_configtype='internet'
dc_other_hostnames='mx.test'
dc_local_interfaces='127.0.0.1 ; ::1'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='true'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='{split}'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""

OWN = """\
queue_only = true
rfc1413_hosts =
tls_advertise_hosts =
smtp_accept_max = 100
"""


# Where Debian looks for what an administrator defines.
WHOLE = "/etc/exim4/exim4.conf.localmacros"
SPLIT = "/etc/exim4/conf.d/main/000_localmacros"


class Exim(Daemon):
    """macros: an administrator's.  split: Debian's configuration is made from
    many files, not from one template.  Several may run on one machine: name
    tells their configurations apart."""

    def __init__(self, machine, port, macros="", name="exim4", split=False):
        self.machine, self.port = machine, port
        self.config = f"/var/lib/exim4/{name}.conf"
        spool = f"/var/spool/{name}"
        machine.write("/etc/exim4/update-exim4.conf.conf",
                      ANSWERS.format(split="true" if split else "false"))
        machine.write(SPLIT if split else WHOLE, macros + OWN +
                      f"SPOOLDIR = {spool}\n"
                      f"log_file_path = /var/log/{name}/%slog\n")
        machine.run(f"""
            echo mx.test >/etc/mailname
            mkdir -p /var/lib/exim4
            install -d -o Debian-exim -g Debian-exim /var/log/{name} {spool}
            update-exim4.conf -o {self.config}
        """)
        super().__init__(
            name, ["/usr/sbin/exim4", "-C", self.config, "-bdf", "-oX",
                   f"<; [127.0.0.1]:{port} ; [::1]:{port}",
                   "-oP", f"/run/{name}.pid"],
            machine.dir / f"{name}.output", ready=self._answers,
            prefix=machine.enter)

    def _answers(self):
        with Smtp("127.0.0.1", self.port, timeout=2) as smtp:
            return smtp.quit().startswith(b"221")
