#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Make configure from configure.ac; needs autoconf, automake and libtool.
set -eu
cd "$(dirname "$0")"
exec autoreconf --install --force --warnings=all,no-obsolete
