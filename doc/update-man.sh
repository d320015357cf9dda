#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Write a manual page to standard output: the template, with the line
# "@OPTIONS@" replaced by what the program says of its own options.
#
#   update-man.sh TEMPLATE PROGRAM
set -eu
template=$1
program=$2

options=$("$program" --generate man)
while IFS= read -r line; do
	if [ "$line" = "@OPTIONS@" ]; then
		printf '%s\n' "$options"
	else
		printf '%s\n' "$line"
	fi
done <"$template"
