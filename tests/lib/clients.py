# SPDX-License-Identifier: GPL-2.0-or-later
"""Real mail clients, each fetching every message of a mailbox: a function
(folder, protocol, host, port, user, password, count) that returns the
messages as a list of bytes with LF line ends.  folder: an empty directory."""

import fcntl
import os
import pathlib
import pty
import select
import struct
import subprocess
import termios
import time

DEADLINE = 60


def _run(argv, folder, **kwargs):
    done = subprocess.run(
        [str(a) for a in argv], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=DEADLINE,
        env={**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        check=False, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"{argv[0]}: status {done.returncode}: "
                             f"{done.stderr.decode(errors='replace')}"
                             f"{done.stdout[:500]!r}")
    return done


def _lf(data):
    return data.replace(b"\r\n", b"\n")


def curl(folder, protocol, host, port, user, password, count, source=None):
    """One connection, one transfer a message."""
    argv = ["curl", "--silent", "--show-error", "--max-time", DEADLINE,
            "--user", f"{user}:{password}"]
    if source:
        argv += ["--interface", source]
    for number in range(1, count + 1):
        where = f"INBOX;MAILINDEX={number}" if protocol == "imap" \
            else str(number)
        argv += ["--output", folder / f"{number}",
                 f"{protocol}://{host}:{port}/{where}"]
    _run(argv, folder)
    return [_lf((folder / f"{n}").read_bytes()) for n in range(1, count + 1)]


def _private(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


def _maildir(path):
    return [p.read_bytes() for sub in ("cur", "new")
            for p in sorted((path / sub).iterdir())]


def mbsync(folder, protocol, host, port, user, password, _count):
    assert protocol == "imap"
    config = _private(folder / "mbsyncrc", f"""\
IMAPStore far
Host {host}
Port {port}
User {user}
Pass {password}
SSLType None
AuthMechs *

MaildirStore near
Path {folder}/mail/
Inbox {folder}/mail/inbox

Channel all
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync Pull
SyncState *
""")
    (folder / "mail").mkdir()
    _run(["mbsync", "-c", config, "all"], folder)
    return _maildir(folder / "mail" / "inbox")


def fetchmail(folder, protocol, host, port, user, password, _count):
    (folder / "got").mkdir()
    script = folder / "deliver"
    script.write_text('#!/bin/sh\nexec cat >"$(mktemp %s/got/XXXXXX)"\n'
                      % folder)
    script.chmod(0o755)
    config = _private(folder / "fetchmailrc", f"""\
set no bouncemail
set no spambounce
set idfile "{folder}/ids"
set pidfile "{folder}/pid"
set invisible
poll {host} protocol {protocol} port {port} no dns
  user "{user}" password "{password}" is tester here
  fetchall keep no rewrite no mimedecode pass8bits
  sslproto "" mda "{script}"
""")
    _run(["fetchmail", "-f", config, "--nosyslog", "--nodetach"], folder)
    return [p.read_bytes() for p in sorted((folder / "got").iterdir())]


def mutt(folder, protocol, host, port, user, password, count):
    """Batch: the keys are in its configuration.  It wants a terminal."""
    saved = folder / "saved"
    config = _private(folder / "muttrc", f"""\
set folder={folder}
set record="" postponed="" mbox=""
set move=no confirmappend=no confirmcreate=no wait_key=no delete=no
set quit=yes mbox_type=Maildir ssl_starttls=no ssl_force_tls=no
set imap_user="{user}" imap_pass="{password}"
set pop_user="{user}" pop_pass="{password}"
set imap_check_subscribed=no header_cache="" mail_check=0
set pop_checkinterval=0 pop_delete=no
push "<tag-pattern>~A<enter><tag-prefix><copy-message>\
<kill-line>{saved}<enter><exit>"
""")
    scheme = "imap" if protocol == "imap" else "pop"
    path = "INBOX" if protocol == "imap" else ""
    _in_terminal(["mutt", "-n", "-F", str(config), "-f",
                  f"{scheme}://{host}:{port}/{path}"], folder)
    got = _maildir(saved)
    if len(got) != count:
        raise AssertionError(f"mutt saved {len(got)} messages, not {count}")
    return got


def _in_terminal(argv, folder):
    parent, child = pty.openpty()
    # Narrow windows make mutt cut its questions short.
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    proc = subprocess.Popen(
        argv, stdin=child, stdout=child, stderr=child, start_new_session=True,
        env={**os.environ, "HOME": str(folder), "TERM": "vt100",
             "LC_ALL": "C.UTF-8"})
    os.close(child)
    screen = b""
    end = time.monotonic() + DEADLINE
    try:
        while time.monotonic() < end:
            if select.select([parent], [], [], 0.2)[0]:
                try:
                    screen = (screen + os.read(parent, 65536))[-4000:]
                except OSError:  # the terminal's other end is closed
                    break
            elif proc.poll() is not None:
                break
        if proc.wait(max(0.1, end - time.monotonic())) != 0:
            raise AssertionError(f"{argv[0]}: {screen!r}")
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{argv[0]} hangs: {screen!r}") from None
    finally:
        if proc.poll() is None:
            proc.kill()
            proc.wait()
        os.close(parent)


def empty_folder(parent, name):
    path = pathlib.Path(parent, name)
    path.mkdir()
    return path
