# SPDX-License-Identifier: GPL-2.0-or-later
"""What a benchmark needs of the machine: peers' packages, a network of its
own, and what processes use."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
INSIDE = "PERDITION_BENCH_NAMESPACE"
# Many sessions between the same two addresses need many ports.
SETUP = ('ip link set lo up && '
         'echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range && '
         'echo 16384 >/proc/sys/net/core/somaxconn && '
         'echo 16384 >/proc/sys/net/ipv4/tcp_max_syn_backlog && exec "$@"')


def install():
    """The peers; what is there is not touched."""
    lib = os.path.join(os.path.dirname(HERE), "lib")
    subprocess.run(
        ["sh", "-c", '. "$1/packages.sh" && '
         'exec "$1/install-packages" $packages_bench', "sh", lib], check=True)


def enter_namespace():
    """As root this program goes on in a network of its own; as anybody else
    it stays in the host's."""
    if os.geteuid() != 0 or os.environ.get(INSIDE):
        return
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", SETUP, "sh",
                          sys.executable, *sys.argv])


def free_port():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, tls=False, deadline=30):
    """Until something answers there; False when nothing does."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), 2) as s:
                if tls or s.recv(1):
                    return True
        except OSError:
            pass
        time.sleep(0.02)
    return False


def tree(pid):
    """pid and all that descend from it."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name, encoding="ascii",
                      errors="replace") as f:
                stat = f.read()
        except OSError:
            continue
        parent = int(stat[stat.rindex(")") + 2:].split()[1])
        children.setdefault(parent, []).append(int(name))
    found, todo = [], [pid]
    while todo:
        p = todo.pop()
        found.append(p)
        todo += children.get(p, [])
    return found


def cpu(pid):
    """Seconds, user and system, of pid and all that live below it: to the
    nanosecond, which time(1) knows only in ticks."""
    total = 0
    for p in tree(pid):
        try:
            for thread in os.listdir("/proc/%d/task" % p):
                with open("/proc/%d/task/%s/schedstat" % (p, thread),
                          encoding="ascii") as f:
                    total += int(f.read().split()[0])
        except OSError:
            continue
    return total / 1e9


def pss(pid):
    """KiB."""
    total = 0
    for p in tree(pid):
        try:
            with open("/proc/%d/smaps_rollup" % p, encoding="ascii") as f:
                total += int(re.search(r"^Pss:\s+(\d+)", f.read(),
                                       re.M).group(1))
        except OSError:
            continue
    return total


def stop(proc):
    if proc.poll() is not None:
        return
    proc.send_signal(signal.SIGTERM)
    try:
        proc.wait(20)
    except subprocess.TimeoutExpired:
        proc.kill()
        proc.wait()


def about():
    """One line on where the figures are from."""
    model = "?"
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        found = re.search(r"^model name\s*:\s*(.*)$", f.read(), re.M)
    if found:
        model = found[1]
    return "%d x %s, Linux %s" % (os.cpu_count(), model, os.uname().release)
