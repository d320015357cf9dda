# SPDX-License-Identifier: GPL-2.0-or-later
"""Addresses that run.py puts on the loopback interface of the tests' own
network namespace, to connect from: documentation addresses (RFC 5737, 3849),
so that nothing is special about them as there is about 127.0.0.0/8."""

CLIENTS4 = [f"203.0.113.{n}" for n in range(71, 91)] \
    + ["198.51.100.7", "198.51.100.8"]
CLIENTS6 = [f"2001:db8:9::{n:x}" for n in range(1, 9)] + ["2001:db8:7::1"]
