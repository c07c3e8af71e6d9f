#!/usr/bin/env bash
# Fuzzes every target of the module for a share of FUZZ_SECONDS, two to ten
# seconds each, FuzzAnswers ten times as long. Arguments are packages; without any,
# all that have a target. What is found is written to testdata/fuzz beside the test:
# commit it with the fix.
#
# The target "tenant" draws so many tenants instead, FUZZ_TENANTS: each has a
# registration, a server and grants at an API server, and its client made and ended
# (test/tenant).
#
# Packages that need the Kubernetes API machinery run unguided, in the test binary
# as it is: building all of that with counters in it takes longer than it is worth.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tenant=./test/tenant
heavy='^(k8s\.io/apiserver|k8s\.io/client-go/kubernetes|sigs\.k8s\.io/controller-runtime/pkg/client)$'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

packages=("$@")
if ((${#packages[@]} == 0)); then
	mapfile -t packages < <(git ls-files --cached --others --exclude-standard '*_test.go' | while read -r file; do
		if [[ -f $file ]] && grep -q '^func Fuzz' "$file"; then dirname "./$file"; fi
	done | sort -u)
	packages+=("$tenant")
fi

targets=()
counted=0
for package in "${packages[@]}"; do
	if [[ $package == "$tenant" ]]; then
		go test -c -vet=off -o "$work/tenant.test" "$package"
		counted=1
		continue
	fi
	binary=$work/$(tr -c 'a-zA-Z0-9' _ <<<"$package").test
	guide=(-fuzz=none)
	# A pipe to grep -q would end go list early, which pipefail takes for a failure.
	if grep -qE "$heavy" <<<"$(go list -deps -test "$package")"; then guide=(); fi
	go test -c "${guide[@]}" -vet=off -o "$binary" "$package"
	while read -r name; do
		targets+=("$package $binary $name")
	done < <("$binary" -test.list '^Fuzz')
done
if ((${#targets[@]} + counted == 0)); then
	echo "no fuzz targets in: ${packages[*]}" >&2
	exit 1
fi

seconds=$((${FUZZ_SECONDS:-54} / (${#targets[@]} + 1)))
seconds=$((seconds < 2 ? 2 : seconds > 10 ? 10 : seconds))
failed=0

# fuzz runs the present target for its share: the answers of authorization servers
# have so many seeds that these alone take a while.
fuzz() {
	local seconds=$seconds
	if [[ $name == FuzzAnswers ]]; then seconds=$((seconds * 10)); fi
	(cd "$package" && "$binary" -test.run='^$' -test.fuzz="^$name\$" -test.fuzztime="${seconds}s" -test.parallel=2 \
		-test.fuzzcachedir="$work/cache") >"$work/log" 2>&1
}

# cut_short says that the end of the share met an input under way, which Go's
# engine reports as a failure of the target although no input failed.
cut_short() {
	grep -qE '^ +context deadline exceeded$' "$work/log" && ! grep -q 'Failing input' "$work/log"
}

for target in "${targets[@]}"; do
	read -r package binary name <<<"$target"
	if fuzz || { cut_short && fuzz; }; then
		printf 'ok    %-55s %s\n' "$package.$name" "$(grep -oE 'execs: [0-9]+' "$work/log" | tail -1)"
	else
		failed=$((failed + 1))
		printf 'FAIL  %s\n' "$package.$name"
		cat "$work/log"
	fi
done
if ((counted)); then
	if (cd "$tenant" && "$work/tenant.test" -test.run='^TestTenants$' -test.v -test.timeout=45m "-tenants=${FUZZ_TENANTS:-350}") >"$work/log" 2>&1; then
		printf 'ok    %-55s\n' "$tenant.TestTenants"
		grep -oE 'TENANTS .*' "$work/log"
	else
		failed=$((failed + 1))
		printf 'FAIL  %s\n' "$tenant.TestTenants"
		cat "$work/log"
	fi
fi
line="$((${#targets[@]} + counted - failed)) passed, $failed failed, 0 skipped"
echo "$line"
if [[ -n ${TEST_TOTALS:-} ]]; then echo "$line" >>"$TEST_TOTALS"; fi
((failed == 0))
