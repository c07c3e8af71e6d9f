// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// kustomization is Flux's Kustomization, as far as it is about health.
type kustomization struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Wait               bool   `json:"wait"`
		Prune              bool   `json:"prune"`
		Force              bool   `json:"force"`
		ServiceAccountName string `json:"serviceAccountName"`
		HealthChecks       []struct {
			APIVersion, Kind, Name string
		} `json:"healthChecks"`
		HealthCheckExprs []check `json:"healthCheckExprs"`
	} `json:"spec"`
}

// check are the expressions for one kind.
type check struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Current    string `json:"current"`
	InProgress string `json:"inProgress"`
	Failed     string `json:"failed"`
}

// asWished are the objects that the expressions take for Current although
// kstatus does not.
var asWished = []string{
	"AuthorizationServer/paused",
	"MCPClientRegistration/suspended",
	"MCPClientRegistration/disabled",
	"MCPClientRegistration/never-active",
}

func kustomizations(t *testing.T) []kustomization {
	t.Helper()
	paths, err := filepath.Glob(shipped(t, "flux", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all []kustomization
	for _, path := range paths {
		for _, object := range documents(t, path) {
			var k kustomization
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(map[string]any{
				"metadata": object.Object["metadata"], "spec": object.Object["spec"],
			}, &k, false); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			all = append(all, k)
		}
	}
	if len(all) != 3 {
		t.Fatalf("%d Kustomizations in config/gitops/flux, want 3", len(all))
	}
	return all
}

// TestFluxHealthOfEveryState evaluates the expressions on every object.
func TestFluxHealthOfEveryState(t *testing.T) {
	evaluated := 0
	for _, k := range kustomizations(t) {
		for _, c := range k.Spec.HealthCheckExprs {
			if c.APIVersion != "mcp-registrar.dev/v1alpha1" || !slices.Contains(kinds, c.Kind) {
				t.Errorf("%s: a check of %s %s", k.Metadata.Name, c.APIVersion, c.Kind)
			}
			for _, object := range fixtures(t) {
				if object.GetKind() != c.Kind {
					continue
				}
				evaluated++
				want := kstatus(t, object)
				switch {
				case slices.Contains(asWished, id(object)):
					want = status.CurrentStatus
				case want == status.TerminatingStatus:
					want = status.InProgressStatus
				}
				if got := c.evaluate(t, object); got != want {
					t.Errorf("%s: %s is %s, want %s", k.Metadata.Name, id(object), got, want)
				}
			}
		}
	}
	if evaluated < 40 {
		t.Errorf("only %d objects were looked at", evaluated)
	}
}

// TestFluxHealthOfPassingStates looks at what no reconciler leaves behind.
func TestFluxHealthOfPassingStates(t *testing.T) {
	names := map[string]string{"AuthorizationServer": "paused", "MCPClientRegistration": "suspended"}
	for _, k := range kustomizations(t) {
		for _, c := range k.Spec.HealthCheckExprs {
			for name, change := range map[string]func(*unstructured.Unstructured){
				"nobody saw it": unseen, "its spec was changed since": edited, "it is being deleted": deleted,
			} {
				for _, base := range []string{"ready", names[c.Kind]} {
					if got := c.evaluate(t, changed(one(t, c.Kind, base), change)); got != status.InProgressStatus {
						t.Errorf("%s: %s %s is %s when %s", k.Metadata.Name, c.Kind, base, got, name)
					}
				}
			}
		}
	}
}

// TestFluxExamples holds what the page says of the examples.
func TestFluxExamples(t *testing.T) {
	for _, k := range kustomizations(t) {
		if !k.Spec.Prune || k.Spec.Force {
			t.Errorf("%s: prune is %t and force is %t: what leaves the directory must go, what is in it must be changed in place", k.Metadata.Name, k.Spec.Prune, k.Spec.Force)
		}
		if k.Spec.Wait == (len(k.Spec.HealthChecks) > 0) {
			t.Errorf("%s: one of wait and healthChecks (Flux ignores these with wait)", k.Metadata.Name)
		}
		team := k.Metadata.Name != "mcp-platform"
		if team != (k.Spec.ServiceAccountName != "") {
			t.Errorf("%s: a team's directory is applied as the team's own ServiceAccount", k.Metadata.Name)
		}
	}
}

// evaluate is the order of Flux (its RFC 0009): an old observedGeneration is
// InProgress, then the expressions inProgress, failed, current; InProgress if
// none is true.
func (c check) evaluate(t *testing.T, object *unstructured.Unstructured) status.Status {
	t.Helper()
	observed, found, err := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	if err != nil {
		t.Fatal(err)
	}
	if found && observed != object.GetGeneration() {
		return status.InProgressStatus
	}
	for _, e := range []struct {
		text  string
		means status.Status
	}{
		{c.InProgress, status.InProgressStatus}, {c.Failed, status.FailedStatus}, {c.Current, status.CurrentStatus},
	} {
		if isTrue(t, e.text, object) {
			return e.means
		}
	}
	return status.InProgressStatus
}

// isTrue evaluates an expression, parsed but not type-checked, on the top-level
// fields of an object, with the libraries that Flux has.
func isTrue(t *testing.T, text string, object *unstructured.Unstructured) bool {
	t.Helper()
	environment, err := cel.NewEnv(
		cel.HomogeneousAggregateLiterals(), cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(), ext.Strings(), ext.Sets(), ext.Encoders(),
	)
	if err != nil {
		t.Fatal(err)
	}
	parsed, issues := environment.Parse(text)
	if issues.Err() != nil {
		t.Fatalf("%s: %v", text, issues.Err())
	}
	program, err := environment.Program(parsed)
	if err != nil {
		t.Fatal(err)
	}
	value, _, err := program.ContextEval(t.Context(), object.Object)
	if err != nil {
		t.Fatalf("%s: %s: %v", id(object), text, err)
	}
	answer, ok := value.Value().(bool)
	if !ok {
		t.Fatalf("%s: %s is %v", id(object), text, value)
	}
	return answer
}
