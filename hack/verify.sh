#!/usr/bin/env bash
# Checks that what is generated is what the sources say, that go.mod is tidy, and
# that go vet has nothing to say. The generators run in a copy, so a failed check
# leaves the working tree as it is. Files that git does not know yet are part of
# the copy; files that git ignores are not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

fail() {
	echo "verify: $1" >&2
	failed=1
}

# The list comes from git, less the files that were removed and not yet staged.
git ls-files -z --cached --others --exclude-standard |
	while IFS= read -r -d '' file; do
		if [[ -e $file || -L $file ]]; then printf '%s\0' "$file"; fi
	done >"$tmp/files"
for copy in now regenerated; do
	mkdir "$tmp/$copy"
	tar --create --null --files-from="$tmp/files" | tar --extract --directory="$tmp/$copy"
done

echo "verify: regenerating in a copy"
# Without these, so that a file which is no longer generated shows up, too.
(cd "$tmp/regenerated" && rm -rf config/crd/bases config/rbac/role.yaml charts/mcp-registrar/files docs/reference.md docs/metrics.md docs/lifecycle.md docs/lifecycle.svg docs/architecture.svg)
if ! make --directory="$tmp/regenerated" --no-print-directory generate >"$tmp/log" 2>&1; then
	cat "$tmp/log" >&2
	fail "make generate does not work in a clean copy"
elif ! diff --recursive --unified --new-file "$tmp/now" "$tmp/regenerated"; then
	fail "generated files differ (- what is here, + what the sources say): run \"make generate\" and commit the result"
fi

echo "verify: go mod tidy -diff"
go mod tidy -diff || fail "go.mod or go.sum is not tidy: run \"go mod tidy\""

go -C test/node/parts mod tidy -diff || fail "test/node/parts: go.mod or go.sum is not tidy"

echo "verify: go vet"
go vet -tags=e2e,soak,bench,node ./... || fail "go vet found faults"

if ((failed)); then exit 1; fi
echo "verify: all as it should be"
