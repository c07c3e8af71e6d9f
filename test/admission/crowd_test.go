// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// crowd is so many labels or annotations.
func crowd(n int) map[string]string {
	all := map[string]string{}
	for i := range n {
		all[fmt.Sprintf("example.com/a-%d", i)] = "x"
	}
	return all
}

func crowdOf(n int) fields {
	all := fields{}
	for key, value := range crowd(n) {
		all[key] = value
	}
	return all
}

// annotated has so many annotations.
func annotated[T client.Object](object T, n int) T {
	all := crowd(n - len(object.GetAnnotations()))
	maps.Copy(all, object.GetAnnotations())
	object.SetAnnotations(all)
	return object
}

func labelled[T client.Object](object T, n int) T {
	object.SetLabels(crowd(n))
	return object
}

func TestLabelsAndAnnotationsAreBounded(t *testing.T) {
	kinds := map[string]func() client.Object{
		"registration":         func() client.Object { return registration("m-" + suffix()) },
		"grant":                func() client.Object { return grant("m-" + suffix()) },
		"server":               func() client.Object { return server("m-" + suffix()) },
		"authorization server": func() client.Object { return open("m-" + suffix()) },
	}
	words := []string{"at most 128", "remove", "for example"}
	full := labelled(annotated(registration("m-"+suffix()), 128), 128)
	attempts := []attempt{
		{"a full one renewed", bob, patching(full, annotations(v1alpha1.AnnotationExpiresAt, inDays(20).Format(time.RFC3339))), "", nil},
		{"a full one with another label", bob, patching(full, fields{"metadata": fields{"labels": fields{"more": "x"}}}), operatorOnly, words},
		{"a full one with another annotation", bob, patching(full, annotations("example.com/more", "x")), operatorOnly, words},
		{"a full one seen by the operator", operator, patchingStatus(full, fields{"observedGeneration": 1}), "", nil},
		{"a full one let go by the operator", operator, updating(full, func(r *v1alpha1.MCPClientRegistration) { r.Finalizers = nil }), "", nil},
	}
	given(t, alice, full)
	for kind, make := range kinds {
		attempts = append(attempts,
			attempt{kind + " with many labels and annotations", admin, one(labelled(annotated(make(), 128), 128)), "", nil},
			attempt{kind + " with a label too many", admin, one(labelled(make(), 129)), operatorOnly, append(words, "labels")},
			attempt{kind + " with an annotation too many", admin, one(annotated(make(), 129)), operatorOnly, append(words, "annotations")},
		)
	}
	try(t, attempts)
}

// What was crowded before the policies came stands in nobody's way until it
// grows.
func TestCrowdedFromBefore(t *testing.T) {
	r := labelled(annotated(registration("m-"+suffix()), 200), 200)
	use(t).unbound(t, operatorOnly, func() { given(t, alice, r) })
	words := []string{"at most 128", "remove"}
	try(t, []attempt{
		{"changed", bob, patching(r, fields{"spec": fields{"clientName": "Other"}}), "", nil},
		{"seen by the operator", operator, patchingStatus(r, fields{"observedGeneration": 1}), "", nil},
		{"a label in the place of another", bob, patching(r, fields{"metadata": fields{"labels": fields{"example.com/a-0": nil, "more": "x"}}}), "", nil},
		{"a label more", bob, patching(r, fields{"metadata": fields{"labels": fields{"still-more": "x"}}}), operatorOnly, words},
		{"an annotation more", bob, patching(r, annotations("example.com/more", "x")), operatorOnly, words},
		{"an annotation more by the operator", operator, patching(r, annotations("example.com/more", "x")), operatorOnly, words},
		{"let go by the operator", operator, updating(r, func(r *v1alpha1.MCPClientRegistration) { r.Finalizers = nil }), "", nil},
		{"labels taken off", bob, patching(r, fields{"metadata": fields{"labels": nil}}), "", nil},
		{"labels put on again", bob, patching(r, fields{"metadata": fields{"labels": crowdOf(128)}}), "", nil},
	})
}

// A crowded object is refused in little time: no rule compares each label with
// each other one, which would take many minutes.
func TestCrowdsAreJudgedQuickly(t *testing.T) {
	t.Parallel()
	policies := evaluators(t)
	crowded := labelled(annotated(registration("m"), 20_000), 20_000)
	for name, old := range map[string]client.Object{"created": nil, "crowded": registration("m"), "changed": crowded.DeepCopy()} {
		start := time.Now()
		refusals := ask(t, policies, question{who: alice, object: crowded, old: old, params: authorizationServer("strict")})
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%s: judged in %s", name, took)
		}
		if name != "changed" && len(refusals[operatorOnly]) != 2 {
			t.Errorf("%s: refused with %q", name, refusals)
		}
	}
}
