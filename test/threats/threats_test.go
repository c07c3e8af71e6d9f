// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package threats

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

var update = flag.Bool("update", false, "write the table in docs/security.md anew")

// list says what each number stands for: a group of faults that were published
// elsewhere, and what must hold here. There is no number 9.
var list = map[int]struct{ fault, holds string }{
	1:  {"requests to addresses that nobody should reach", "no address outside the allowed classes is dialled, whatever the URL, redirects and names say"},
	2:  {"one form checked, another one used", "what was judged is what is dialled"},
	3:  {"a credential sent to an address that somebody else chose", "a credential goes to the origin that it is bound to and nowhere else"},
	4:  {"answers without bounds", "every answer is bounded in size, time and depth"},
	5:  {"a panic on crafted input", "whatever is read, nothing panics, and one bad object stops no other"},
	6:  {"an object that is admitted and cannot be read", "whatever the schema admits is read in full"},
	7:  {"a Secret of somebody else overwritten", "only Secrets of the operator's label, type and owner are written"},
	8:  {"objects of another namespace reached through a reference", "a reference leads to another namespace only where that one allows it"},
	10: {"permissions wider than needed", "each permission has a reason, and there is none beyond"},
	11: {"secrets in logs", "no secret value is in logs, events, status, metrics or the audit record"},
	12: {"starting credentials that are used again", "marks, ids, secrets and keys are random and never the same twice"},
	13: {"an empty identity that passes", "what is empty names nobody, and gets nothing"},
	14: {"exceptions that anybody can make", "consent comes only from the side that owns what is consented to"},
	15: {"objects that are being deleted and escape the rules", "the rules hold until the object is gone"},
	16: {"tokens for another audience", "a client's tokens are for the servers of its grants in force and no other"},
	17: {"a place to fetch from that a tenant chose", "such places are refused unless the platform team lists them"},
	18: {"a subresource that the rules forgot", "status and finalizers are covered by the same rules"},
	19: {"a revocation that the server ignored", "revoked is only what was proven to be gone"},
	20: {"a finalizer taken off without proof", "the finalizer goes with proof of absence, or by a person's word"},
	21: {"a namespace whose Secrets go first", "a revocation needs nothing of the tenant's namespace"},
}

var (
	functionName = regexp.MustCompile(`^(?:Test|Fuzz)T([0-9]+)[^0-9]`)
	caseName     = regexp.MustCompile(`^T([0-9]+) [a-z]`)
)

// found are the names of the tests of each number, with the folder of each.
type found map[int][]string

// scan reads all Go files of the repository.
func scan(root string) (found, error) {
	names := found{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{"bin", ".git", "node_modules", "testdata"}, entry.Name()):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		return names.read(path, filepath.ToSlash(folder))
	})
	for number := range names {
		slices.Sort(names[number])
		names[number] = slices.Compact(names[number])
	}
	return names, err
}

// read takes the names out of one file: of functions in test files, and of cases
// anywhere, for the suites that several packages run are in ordinary files.
func (f found) read(path, folder string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if ok && function.Recv == nil && strings.HasSuffix(path, "_test.go") {
			f.note(functionName, function.Name.Name, folder)
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		literal, ok := node.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		if text, err := strconv.Unquote(literal.Value); err == nil {
			f.note(caseName, text, folder)
		}
		return true
	})
	return nil
}

func (f found) note(pattern *regexp.Regexp, name, folder string) {
	match := pattern.FindStringSubmatch(name)
	if match == nil {
		return
	}
	if number, err := strconv.Atoi(match[1]); err == nil {
		f[number] = append(f[number], "`"+name+"` ("+folder+")")
	}
}

// TestEveryThreatHasATest fails for a number without a test, for a test of a
// number that stands for nothing, and when docs/security.md says otherwise.
func TestEveryThreatHasATest(t *testing.T) {
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	names, err := scan(root)
	if err != nil {
		t.Fatal(err)
	}
	for number, threat := range list {
		if len(names[number]) == 0 {
			t.Errorf("T%d (%s) has no test: name one TestT%d…", number, threat.fault, number)
		}
	}
	for number, tests := range names {
		if _, known := list[number]; !known {
			t.Errorf("T%d stands for nothing, and is the number of %s", number, strings.Join(tests, ", "))
		}
	}
	compare(t, filepath.Join(root, "docs", "security.md"), table(names))
}

// table is the table of docs/security.md.
func table(names found) string {
	var text strings.Builder
	text.WriteString("| | what went wrong elsewhere | what holds here | tests |\n| --- | --- | --- | --- |\n")
	for number := 1; number <= 21; number++ {
		if threat, known := list[number]; known {
			fmt.Fprintf(&text, "| T%d | %s | %s | %s |\n", number, threat.fault, threat.holds, strings.Join(names[number], ", "))
		}
	}
	return text.String()
}

// The table stands between these two lines.
const (
	begin = "<!-- The tests by number: written by \"go test ./test/threats -update\". -->\n"
	end   = "<!-- End of the tests by number. -->\n"
)

func compare(t *testing.T, path, want string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, opened := strings.Cut(string(content), begin)
	got, after, closed := strings.Cut(rest, end)
	if !opened || !closed {
		t.Fatalf("%s has no place for the tests by number: it is between the lines %q and %q", path, begin, end)
	}
	if got == want {
		return
	}
	if !*update {
		t.Errorf("the tests by number in %s are not those that there are: run go test ./test/threats -update", path)
		return
	}
	if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestScan holds that the scan finds what it should, and nothing else.
func TestScan(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{
		"a/a_test.go": "package a\nfunc TestT1One() {}\nfunc TestT21Last() {}\nfunc FuzzT5Parser() {}\nfunc TestTwo() {}\nfunc helperT3() {}\nvar _ = \"T20 a case\"\nvar _ = `T7`\n",
		"b/b.go":      "package b\nfunc TestT2NotATest() {}\nvar _ = \"T3 a case of a suite\"\n",
		"bin/c.go":    "not Go",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := found{1: {"`TestT1One` (a)"}, 3: {"`T3 a case of a suite` (b)"}, 5: {"`FuzzT5Parser` (a)"}, 20: {"`T20 a case` (a)"}, 21: {"`TestT21Last` (a)"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
