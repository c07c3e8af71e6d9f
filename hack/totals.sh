#!/usr/bin/env bash
# Prints the totals of a test run. gotestsum calls it when the run has ended and
# hands over numbers and the file of events in the environment; the line is also
# added to the file that TEST_TOTALS names.
set -euo pipefail

# The failures that gotestsum counts include packages that ended badly outside of
# any test; its total does not. Hence the tests that passed are counted here.
passed=$(grep '"Action":"pass"' "$GOTESTSUM_JSONFILE" | grep -c '"Test":' || true)
failed=$((TESTS_FAILED > 0 ? TESTS_FAILED : TESTS_ERRORS))
line="$passed passed, $failed failed, $TESTS_SKIPPED skipped"

echo "$line"
if [[ -n ${TEST_TOTALS:-} ]]; then
	echo "$line" >>"$TEST_TOTALS"
fi
