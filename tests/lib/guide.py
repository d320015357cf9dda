# SPDX-License-Identifier: GPL-2.0-or-later
"""A guide in numbered steps, mta-glue/*/README.md, whose indented lines are
what an administrator types or writes into a file."""

import re
import textwrap


class Guide:
    def __init__(self, path):
        self.blocks = {}  # {number of the step: [texts]}
        step = None
        for part in re.split(r"\n\n+", path.read_text()):
            match = re.match(r"(\d+)\. ", part)
            if match:
                step = int(match[1])
                self.blocks[step] = []
            lines = part.splitlines()
            indent = 8 if step and step >= 10 else 7
            if step and all(line.startswith(" " * indent) for line in lines):
                self.blocks[step].append(textwrap.dedent(part) + "\n")

    def block(self, step, number=0):
        return self.blocks[step][number]
