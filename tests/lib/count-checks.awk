# SPDX-License-Identifier: GPL-2.0-or-later
#
# count-checks.awk - reads one of automake's .trs files and, of the test's own
# log (-v log_file=), the summaries of check(3); prints "PASSED FAILED".  A
# test without such a summary counts as one; one that was skipped, or that
# ended badly in spite of good summaries, has failed.
/^:test-result:/ {
	result = $2
}

END {
	while ((getline line < log_file) > 0) {
		if (line !~ /^[0-9]+%: Checks: [0-9]+, Failures: /)
			continue
		gsub(/[^0-9 ]/, " ", line)
		split(line, number, " ")
		failures += number[3] + number[4]
		passes += number[2] - number[3] - number[4]
		summaries++
	}
	if (!summaries)
		passes = result == "PASS"
	if (result != "PASS" && !failures)
		failures = 1
	print passes + 0, failures + 0
}
