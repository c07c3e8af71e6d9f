// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutants are ways to get the lifecycle wrong, each by one change of its text. The
// properties of walk_test.go and life_test.go must notice every one.
var mutants = []struct{ name, file, before, after string }{
	{"a deletion that failed counts as accepted", "answers.go", "if a.Err == nil {\n\t\tr.State", "if true {\n\t\tr.State"},
	{"an error while looking is absence", "answers.go", "case a.Err != nil:\n\t\treturn Outcome{Record: r, Err: a.Err}", "case false:"},
	{"a client that is seen is absent", "answers.go", "case a.Found:", "case false:"},
	{"a client that is seen stays deleted", "answers.go", "r.State = policy.RecordRegistered\n", "r.State = policy.RecordDeleted\n"},
	{"a request that may come late is forgotten", "answers.go", "case r.MayComeLate(now):", "case false:"},
	{"a renewed token is not kept", "answers.go", "r := CarryOver(f.Record, a.Client)\n\tswitch {", "r := f.Record\n\tswitch {"},
	{"an unconfirmed registration leaves no mark", "answers.go", "append(slices.Clone(r.Orphans), old.Mark)", "slices.Clone(r.Orphans)"},
	{"secrets outlive the client", "answers.go", "Client: authserver.Client{ID: old.Client.ID}", "Client: old.Client"},
	{"whoever has the client, it is taken for not ours", "answers.go", "f.Record.Adopting && kindOf(a.Err) == authserver.Conflict && a.Err != nil", "a.Err != nil"},
	{"a key that is refused holds the deletion back", "answers.go", "if a.Err != nil {\n\t\treturn Outcome{Record: r}\n\t}", "if a.Err != nil {\n\t\treturn Outcome{Record: r, Err: a.Err}\n\t}"},
	{"a client is looked for again and again", "next.go", "|| f.Record.Replacing) && !f.Looked && ", "|| f.Record.Replacing) && "},
	{"a revocation that began changes its cause", "next.go", "cmp.Or(r.Cause, f.Cause)", "cmp.Or(f.Cause, r.Cause)"},
	{"the server is told before it is stored why", "next.go", "if f.Repeatable {", "if true {"},
	{"a key is given again and again", "next.go", `return f.Record.Cause == "" && `, "return "},
	{"an accepted deletion needs no proof", "next.go", "case standing == Gone, standing == Unconfirmed,", "case standing == Gone, standing == Deleted, standing == Unconfirmed,"},
	{"what was not seen yet may not come any more", "next.go", "f.SeenAbsent && !f.Record.MayComeLate(now)", "f.SeenAbsent"},
	{"a state that nobody knows is no client", "next.go", "case policy.RecordPending:\n\t}", "case policy.RecordPending:\n\tdefault:\n\t\treturn Gone\n\t}"},
	{"a request is sent under the mark of another", "give.go", "record.Mark = w.Made.Mark", "record.Mark = old.Mark"},
	{"a request without an answer leaves no mark", "give.go", "record.Orphans = append(record.Orphans, old.Mark)", "_ = old.Mark"},
	{"an update is not stored before it is sent", "give.go", "intent.Replacing, intent.KeptKeys, intent.Disabled = true, w.Record.Keeping(wish), false", "intent.Disabled = false"},
	{"keys that an update takes away count as kept", "give.go", "w.Record.Keeping(wish)", "w.Record.Keeping(w.Record.Client.Registered)"},
	{"a key is sent that a crash loses", "give.go", "intent.Rotation.NextKey, intent.Rotation.NextKeyID, intent.Rotation.NextJWKS = key.Private, key.ID, key.JWKS", "_ = key"},
	{"the team is given a key before the server has it", "give.go", "case noted.KnowsNextKey(now):", "case noted.Rotation.KeyWaits():"},
	{"a client that cannot be used is kept", "given.go", "r.Cause, r.DueAt = v1alpha1.CauseUnusable, now", "r.DueAt = now"},
	{"a client that cannot be managed leaves no mark", "given.go", "Orphans: append(slices.Clone(r.Orphans), r.Mark)}", "Orphans: slices.Clone(r.Orphans)}"},
	{"credentials are given out of a client that can do too much", "given.go", "return len(r.Excess) == 0 && (", "return true || ("},
	{"a client whose id is known becomes an orphan", "given.go", "case refusal(failure) && late:", "case false:"},
	{"an answer that was heard counts as lost", "given.go", "policy.RecordRegistered, a.Client, now, 0", "policy.RecordRegistered, a.Client, now, r.Unanswered"},
	{"an update that was accepted stays open", "given.go", "r.Replacing, r.Disabled, r.Adopting, r.TokenDoubtful = false, false, false, false", "r.Disabled, r.Adopting, r.TokenDoubtful = false, false, false"},
	{"the key before is what shows the absence", "given.go", "r.WitnessKey, r.WitnessKeyID = r.Rotation.NextKey, r.Rotation.NextKeyID", "_ = r"},
	{"the team's key of before is not kept", "give.go", "if !w.Capabilities.OwnClientID {\n\t\t// The absence", "if w.MakeKey && !w.Capabilities.OwnClientID {\n\t\t// The absence"},
	{"an error of a registration is swallowed", "given.go", "out := Outcome{Record: intent, Err: err}", "out := Outcome{Record: intent}"},
}

// Each mutant is caught: the properties can fail.
func TestMutantsAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package once for each mutant")
	}
	for _, mutant := range mutants {
		t.Run(mutant.name, func(t *testing.T) {
			source, err := os.ReadFile(mutant.file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(string(source), mutant.before) != 1 {
				t.Fatalf("%s does not hold %q once: correct the mutant", mutant.file, mutant.before)
			}
			output, err := runMutant(t, mutant.file, strings.Replace(string(source), mutant.before, mutant.after, 1))
			switch {
			case err == nil:
				t.Error("no property noticed")
			case !strings.Contains(output, "--- FAIL: Test"):
				t.Errorf("it was not a property that failed: %v\n%s", err, output)
			}
		})
	}
}

// runMutant runs the properties on the package with one file replaced.
func runMutant(t *testing.T, file, text string) (string, error) {
	t.Helper()
	dir, here := t.TempDir(), mustAbs(t, file)
	changed, overlay := filepath.Join(dir, file), filepath.Join(dir, "overlay.json")
	paths, err := json.Marshal(map[string]map[string]string{"Replace": {here: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{changed: []byte(text), overlay: paths} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	properties := "^(TestWalks|TestNothingHoldsADeletionBack|TestAfterIsTotal)$"
	if file == "give.go" || file == "given.go" {
		properties = "^TestLives$"
	}
	run := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-count=1", "-overlay="+overlay,
		"-run="+properties, ".")
	// As many as it takes: the first that notices ends it.
	run.Env = append(os.Environ(), walksVariable+"=400000", "GOFLAGS=")
	output, err := run.CombinedOutput()
	return string(output), err
}

func mustAbs(t *testing.T, file string) string {
	t.Helper()
	path, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
