# SPDX-License-Identifier: GPL-2.0-or-later
"""Messages that a proxy could spoil, each a little differently for every
mailbox, so that a message from the wrong one is noticed."""

import random

SIZE_OF_THE_BIG_ONE = 10 << 20


def _head(where, name):
    address = where.replace(" ", ".")
    return (f"From: Tester <tester@example.org>\n"
            f"To: {address}@example.org\n"
            f"Subject: {name} for {where}\n"
            f"Date: Mon, 06 Jul 2026 10:11:12 +0000\n"
            f"Message-ID: <{name}.{address}@example.org>\n").encode()


def _big(seed):
    rng = random.Random(seed)
    line = bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz0123456789", k=75))
    lines = SIZE_OF_THE_BIG_ONE // 76
    # Each line is its own: one that is lost or doubled shows.
    return b"".join(b"%07d" % i + line[7:] + b"\n" for i in range(lines))


def known_messages(where, big=True):
    """{name: bytes with LF line ends} for the mailbox called where."""
    eight_bit = bytes(b for b in range(128, 256)) + "grüße Ελλάδα\n".encode()
    texts = {
        "plain": b"\nHello, " + where.encode() + b".\n",
        "empty-body": b"\n",
        "eight-bit": b"Content-Transfer-Encoding: 8bit\n\n" + eight_bit,
        "dots": b"\n.\n..\n...\n.x\n. \n\n.\nend\n",
        "protocol": b"\n)\na1 OK done\n* BYE\n+OK\n-ERR\n{5}\n\nQUIT\n",
        "from-lines": b"\nFrom someone Mon Jul  6 10:11:12 2026\n"
                      b">From someone\nfrom\n",
        "long-lines": b"\n" + b"x" * 70000 + b"\n" + b"y" * 997 + b"\n.\n",
        "long-header": b"References: " + b"\n\t".join(
            b"<%d@example.org>" % i for i in range(2000)) + b"\n\nshort\n",
        "blank-lines": b"\n" + b"\n" * 500 + b"end\n\n\n",
    }
    if big:
        texts["big"] = b"\n" + _big(where)
    return {name: _head(where, name) + text for name, text in texts.items()}


def as_sent(message):
    """The form in which IMAP and POP3 send it."""
    return message.replace(b"\n", b"\r\n")
