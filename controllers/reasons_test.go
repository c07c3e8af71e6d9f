// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/go-cmp/cmp"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// update writes what the reconcilers produce as the fixtures of the tests in
// test/gitops, in place of comparing.
var update = flag.Bool("update", false, "write the fixtures of test/gitops")

// kindCases are the cases of each kind, and the page that documents it.
var kindCases = []struct {
	kind, page string
	cases      []reasonCase
}{
	{"AuthorizationServer", "authorizationserver.md", authorizationServerCases},
	{"MCPServer", "mcpserver.md", serverCases},
	{"MCPClientRegistration", "mcpclientregistration.md", registrationCases},
	{"ScopeGrant", "scopegrant.md", grantCases},
	{"AccessDenial", "accessdenial.md", denialCases},
	{"ScopeGrantApproval", "scopegrantapproval.md", approvalCases},
}

// place is where a reason stands: in a table of a page.
type place struct{ kind, condition, reason string }

// sighting is an object that was seen with a reason.
type sighting struct {
	kstatus string
	// decisive says that the object is in that state for this reason.
	decisive bool
}

// TestReasons produces every reason, with the real reconcilers, and compares
// what kstatus makes of the object with what the pages say.
func TestReasons(t *testing.T) {
	seen := map[place]map[sighting]bool{}
	for _, group := range kindCases {
		var fixtures bytes.Buffer
		for _, c := range group.cases {
			t.Run(group.kind+"/"+c.name, func(t *testing.T) {
				s := newStage(t, c.name)
				c.arrange(s)
				if !s.created {
					s.begin()
				}
				for _, object := range s.objects() {
					sight(t, seen, s, object.(reported))
				}
				fixture(t, &fixtures, s, group.kind, c)
			})
		}
		compareFixtures(t, strings.ToLower(group.kind)+".yaml", fixtures.Bytes())
	}
	truth := map[place]string{}
	for where, sightings := range seen {
		truth[where] = summary(sightings)
	}
	if diff := cmp.Diff(documented(t), truth); diff != "" {
		t.Errorf("what the pages say of kstatus, and what it is (-page +truth):\n%s", diff)
	}
	produced := map[string]bool{}
	for where := range truth {
		produced[where.reason] = true
	}
	for _, reason := range allReasons(t) {
		if !produced[reason] {
			t.Errorf("no case produces the reason %s", reason)
		}
	}
}

// asFields is an object as a client reads it.
func asFields(t *testing.T, s *stage, object reported) *unstructured.Unstructured {
	t.Helper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	kind, err := apiutil.GVKForObject(object, s.Scheme())
	if err != nil {
		t.Fatal(err)
	}
	read := &unstructured.Unstructured{Object: fields}
	read.SetGroupVersionKind(kind)
	return read
}

// sight notes each reason that an object shows. An object that is being deleted
// is Terminating whatever it shows, which is of interest for one reason only.
func sight(t *testing.T, seen map[place]map[sighting]bool, s *stage, object reported) {
	t.Helper()
	read := asFields(t, s, object)
	computed, err := status.Compute(read)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range object.GetConditions() {
		summarizes := c.Type == v1alpha1.ConditionReady && c.Status != metav1.ConditionTrue
		terminating := read.GetDeletionTimestamp() != nil && c.Reason != v1alpha1.ReasonDeleting
		if summarizes || terminating || c.Type == v1alpha1.ConditionReconciling || c.Type == v1alpha1.ConditionStalled {
			continue
		}
		where := place{read.GetKind(), c.Type, c.Reason}
		if seen[where] == nil {
			seen[where] = map[sighting]bool{}
		}
		seen[where][sighting{string(computed.Status), decides(object, c)}] = true
	}
}

// decides says that the reason of a condition is what the object's state comes
// from: nothing else is wrong, or under way.
func decides(object reported, c metav1.Condition) bool {
	ready := apimeta.FindStatusCondition(object.GetConditions(), v1alpha1.ConditionReady)
	underWay := slices.ContainsFunc(object.GetConditions(), func(other metav1.Condition) bool {
		return other.Status == metav1.ConditionUnknown && other.Reason != c.Reason
	})
	return object.GetDeletionTimestamp() != nil || (ready.Status == metav1.ConditionTrue) == (c.Status == metav1.ConditionTrue) &&
		(ready.Status == metav1.ConditionTrue || ready.Reason == c.Reason) && !underWay
}

// summary is the kstatus that a page states for a reason: of objects of which
// it decides; of all that show it, if it never does.
func summary(sightings map[sighting]bool) string {
	decisive := slices.ContainsFunc(slices.Collect(maps.Keys(sightings)), func(s sighting) bool { return s.decisive })
	var names []string
	for _, name := range []status.Status{status.CurrentStatus, status.InProgressStatus, status.FailedStatus, status.TerminatingStatus} {
		if sightings[sighting{string(name), decisive}] {
			names = append(names, string(name))
		}
	}
	return strings.Join(names, " or ")
}

var (
	reasonsOf = regexp.MustCompile("^Reasons of `([A-Za-z]+)`")
	reasonRow = regexp.MustCompile("^\\| `([A-Za-z0-9]+)` \\| ([^|]+) \\| [^|]+ \\| [^|]+ \\|$")
)

// documented reads the tables of reasons.
func documented(t *testing.T) map[place]string {
	t.Helper()
	rows := map[place]string{}
	for _, group := range kindCases {
		content, err := os.ReadFile(filepath.Join("..", "docs", group.page))
		if err != nil {
			t.Fatal(err)
		}
		condition := v1alpha1.ConditionAccepted
		for line := range strings.SplitSeq(string(content), "\n") {
			if match := reasonsOf.FindStringSubmatch(line); match != nil {
				condition = match[1]
			}
			if match := reasonRow.FindStringSubmatch(line); match != nil {
				where := place{group.kind, condition, match[1]}
				if match[1] == v1alpha1.ReasonReady {
					where.condition = v1alpha1.ConditionReady
				}
				rows[where] = match[2]
			}
		}
	}
	return rows
}

// allReasons are the values of the constants of conditions.go.
func allReasons(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "api", "v1alpha1", "conditions.go"))
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, match := range regexp.MustCompile(`(?m)^\tReason[A-Za-z]+ += "([A-Za-z]+)"$`).FindAllStringSubmatch(string(content), -1) {
		reasons = append(reasons, match[1])
	}
	if len(reasons) < 50 {
		t.Fatalf("%d reasons in conditions.go: too few", len(reasons))
	}
	return reasons
}

// fixture checks the state that a case leads to, and adds the object to those
// that test/gitops looks at.
func fixture(t *testing.T, fixtures *bytes.Buffer, s *stage, kind string, c reasonCase) {
	t.Helper()
	for _, object := range s.objects() {
		read := asFields(t, s, object.(reported))
		if read.GetKind() != kind {
			continue
		}
		ready := apimeta.FindStatusCondition(object.(reported).GetConditions(), v1alpha1.ConditionReady)
		if ready == nil || string(ready.Status)+"/"+ready.Reason != c.ready {
			t.Errorf("Ready is %+v, want %s", ready, c.ready)
		}
		read.SetName(c.name)
		tidy(read)
		text, err := yaml.Marshal(read.Object)
		if err != nil {
			t.Fatal(err)
		}
		fixtures.WriteString("---\n")
		fixtures.Write(chosenID.ReplaceAll(text, []byte("mcpr-chosen")))
		return
	}
	t.Errorf("there is no %s in the end", kind)
}

// chosenID is a client id that the register chose: chance.
var chosenID = regexp.MustCompile(`mcpr-[a-z2-7]{26}`)

// tidy takes out what is chance: marks, the time of a deletion, versions.
func tidy(object *unstructured.Unstructured) {
	object.SetResourceVersion("")
	unstructured.RemoveNestedField(object.Object, "status", "possibleOrphans")
	if object.GetDeletionTimestamp() != nil {
		object.SetDeletionTimestamp(new(metav1.NewTime(begun)))
		unstructured.RemoveNestedField(object.Object, "status", "revocation", "dueAt")
	}
}

func compareFixtures(t *testing.T, name string, produced []byte) {
	t.Helper()
	header := "# What the reconcilers make of it: written by go test ./controllers -run TestReasons -update.\n"
	produced = append([]byte(header), produced...)
	path := filepath.Join("..", "test", "gitops", "testdata", name)
	if *update {
		if err := os.WriteFile(path, produced, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(stored), string(produced)); diff != "" {
		t.Errorf("%s is not what the reconcilers produce: run go test ./controllers -run TestReasons -update (-file +produced)\n%s", name, diff)
	}
}
