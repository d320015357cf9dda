# SPDX-License-Identifier: GPL-2.0-or-later
"""A qmail-style SMTP server from Debian's ucspi-tcp and mailfront, run by the
script that mta-glue/qmail installs; or by Courier's couriertcpd."""

import pathlib

from harness import TOP, Daemon
from lineclient import Smtp

GLUE = TOP / "mta-glue" / "qmail"
SMTPD = "mailfront smtp echo relayclient qmail-validate"


class Qmail(Daemon):
    """run: the script, as a Machine may have it; lookup: perdition-pbs's
    socket, without which the file db is read; listen: "0" is every address,
    of IPv6 too if that is what tcpserver was built for.  smtpd: words before
    those of the SMTP server."""

    def __init__(self, folder, pbs, db, port, env=None, prefix=(),
                 run=GLUE / "run", listen="127.0.0.1", lookup="", smtpd=()):
        self.dir = pathlib.Path(folder)
        self.port = port
        # "echo" takes the message and throws it away, so that there is no
        # need for qmail-queue.
        super().__init__(
            "tcpserver", [run], self.dir / "output",
            ready=self._answers, env={
                "SETENV": f"{pbs}-setenv", "RELAY_DB": str(db),
                "LOOKUP_SOCKET": str(lookup),
                "LISTEN": listen, "PORT": str(port),
                "SMTPD": " ".join([*map(str, smtpd), SMTPD]),
                "SMTP_USER": "", "LOCAL_NAME": "mx.test",
                **mailfront_env(self.dir / "qmail"), **(env or {})},
            prefix=prefix)

    def _answers(self):
        return answers(self.port)


class Courier(Daemon):
    """The same on a Machine under couriertcpd, which listens for IPv6 and IPv4
    alike."""

    def __init__(self, folder, machine, pbs, db, port, env, lookup, smtpd=()):
        self.dir = pathlib.Path(folder)
        self.port = port
        super().__init__(
            "couriertcpd", ["couriertcpd", "-nodnslookup", "-noidentlookup",
                            port, f"{pbs}-setenv", "--lookup_socket", lookup,
                            "--db_file", db, "--", *smtpd, *SMTPD.split()],
            machine.dir / "couriertcpd.output", ready=self._answers,
            env={**mailfront_env(self.dir / "qmail"), **env},
            prefix=machine.enter)

    def _answers(self):
        return answers(self.port)


def mailfront_env(home):
    """Its environment, with qmail's files in the directory home, which is
    made."""
    control = home / "control"
    control.mkdir(parents=True)
    (control / "me").write_text("mx.test\n")
    (control / "rcpthosts").write_text("mx.test\n")
    return {"QMAILHOME": str(home), "SMTPGREETING": "mx.test"}


def answers(port):
    with Smtp("127.0.0.1", port, timeout=2) as smtp:
        return smtp.quit().startswith(b"221")
