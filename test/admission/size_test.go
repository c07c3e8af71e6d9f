// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const sizeOnly = "mcp-registrar-size"

// filled has annotations with so many characters in all, the stamps not counted.
func filled[T client.Object](object T, characters int, with string) T {
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	for key, value := range annotations {
		characters -= len(key) + len(value)
	}
	annotations["x"] = strings.Repeat(with, characters-1)
	object.SetAnnotations(annotations)
	return object
}

// finalized has so many finalizers besides the operator's.
func finalized[T client.Object](object T, count int) T {
	var all []string
	for i := range count {
		all = append(all, fmt.Sprintf("example.com/f-%d", i))
	}
	object.SetFinalizers(append(all, v1alpha1.Finalizer))
	return object
}

// descended has so many owners with names of some length.
func descended[T client.Object](object T, count, length int) T {
	var all []metav1.OwnerReference
	for i := range count {
		all = append(all, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", UID: types.UID(fmt.Sprintf("%036d", i)), Name: strings.Repeat("n", length)})
	}
	object.SetOwnerReferences(all)
	return object
}

// open to namespaces that so many labels and expressions select.
func selecting(s *v1alpha1.MCPServer, labels, expressions, values int, value string) *v1alpha1.MCPServer {
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	for i := range labels {
		selector.MatchLabels[fmt.Sprintf("l-%d", i)] = value
	}
	for i := range expressions {
		e := metav1.LabelSelectorRequirement{Key: fmt.Sprintf("e-%d", i), Operator: metav1.LabelSelectorOpIn}
		for j := range values {
			e.Values = append(e.Values, fmt.Sprintf("v-%d", j))
		}
		selector.MatchExpressions = append(selector.MatchExpressions, e)
	}
	s.Spec.AllowedClients = &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesSelector, Selector: selector}
	return s
}

// What no schema bounds is bounded for every kind, and nothing is refused that
// only keeps or takes away.
func TestSizesAreJudged(t *testing.T) {
	t.Parallel()
	policies := evaluators(t)
	kinds := map[string]func() client.Object{
		"registration":         func() client.Object { return registration("z") },
		"grant":                func() client.Object { return grant("z") },
		"server":               func() client.Object { return server("z") },
		"authorization server": func() client.Object { return open("z") },
	}
	changes := map[string]struct {
		good, bad func(client.Object) client.Object
		words     string
	}{
		"annotations": {
			func(o client.Object) client.Object { return filled(o, 65536, "a") },
			func(o client.Object) client.Object { return filled(o, 65537, "a") },
			"annotations: keys and values together may have at most 65536 characters, these have 65537",
		},
		"characters": {
			func(o client.Object) client.Object { return filled(o, 65536, "😀") },
			func(o client.Object) client.Object { return filled(o, 65537, "😀") }, "these have 65537",
		},
		"finalizers": {
			func(o client.Object) client.Object { return finalized(o, 16) },
			func(o client.Object) client.Object { return finalized(o, 17) }, "finalizers: an object may have at most 16",
		},
		"owners": {
			func(o client.Object) client.Object { return descended(o, 16, 500) },
			func(o client.Object) client.Object { return descended(o, 17, 5) }, "ownerReferences: an object may have at most 16, this one has 17",
		},
		"long owners": {
			func(o client.Object) client.Object { return descended(o, 1, 900) },
			func(o client.Object) client.Object { return descended(o, 1, 1000) }, "ownerReferences: apiVersion, kind, name and uid",
		},
	}
	for kind, make := range kinds {
		for name, c := range changes {
			says := func(object, old client.Object) string {
				return strings.Join(ask(t, policies, question{who: alice, object: object, old: old, params: authorizationServer("strict")})[sizeOnly], "\n")
			}
			if said := says(c.good(make()), nil); said != "" {
				t.Errorf("%s, %s at the bound: %s", kind, name, said)
			}
			for _, old := range []client.Object{nil, make(), c.good(make())} {
				if said := says(c.bad(make()), old); !strings.Contains(said, c.words) {
					t.Errorf("%s, %s beyond the bound (from %T): %q", kind, name, old, said)
				}
			}
			kept := c.bad(make())
			kept.SetLabels(map[string]string{"team": "a"})
			for what, after := range map[string]client.Object{"kept": kept, "mended": make(), "at the bound": c.good(make())} {
				if said := says(after, c.bad(make())); said != "" {
					t.Errorf("%s, %s from before, %s: %s", kind, name, what, said)
				}
			}
		}
	}
}

func TestSelectorsAndWordsAreJudged(t *testing.T) {
	t.Parallel()
	policies := evaluators(t)
	says := func(object, old client.Object) string {
		return strings.Join(ask(t, policies, question{who: alice, object: object, old: old, params: authorizationServer("strict")})[sizeOnly], "\n")
	}
	long := strings.Repeat("l", 64)
	asAllowing := func(labels int) *v1alpha1.AuthorizationServer {
		as := open("z")
		selector := selecting(server("z"), labels, 0, 0, "v").Spec.AllowedClients.Selector
		as.Spec.AllowedNamespaces = &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesSelector, Selector: selector}
		return as
	}
	for _, c := range []struct {
		name      string
		good, bad client.Object
		words     string
	}{
		{"labels", selecting(server("z"), 32, 32, 32, "v"), selecting(server("z"), 33, 0, 0, "v"), "a selector of namespaces"},
		{"expressions", selecting(server("z"), 0, 32, 1, ""), selecting(server("z"), 0, 33, 1, ""), "a selector of namespaces"},
		{"values", selecting(server("z"), 0, 1, 32, ""), selecting(server("z"), 0, 1, 33, ""), "a selector of namespaces"},
		{"a value", selecting(server("z"), 1, 0, 0, long[1:]), selecting(server("z"), 1, 0, 0, long), "a selector of namespaces"},
		{"namespaces", asAllowing(32), asAllowing(33), "a selector of namespaces"},
		{"rotate", with(registration("z"), v1alpha1.AnnotationRotate, strings.Repeat("r", 256)),
			with(registration("z"), v1alpha1.AnnotationRotate, strings.Repeat("r", 257)), "mcp-registrar.dev/rotate may have at most 256"},
		{"adopt", with(registration("z"), v1alpha1.AnnotationAdopt, strings.Repeat("r", 512)),
			with(registration("z"), v1alpha1.AnnotationAdopt, strings.Repeat("r", 513)), "mcp-registrar.dev/adopt may have at most 512"},
	} {
		if said := says(c.good, nil); said != "" {
			t.Errorf("%s at the bound: %s", c.name, said)
		}
		if said := says(c.bad, c.good); !strings.Contains(said, c.words) {
			t.Errorf("%s beyond the bound: %q", c.name, said)
		}
		if said := says(c.bad, c.bad); said != "" {
			t.Errorf("%s from before: %s", c.name, said)
		}
	}
}

// What was larger before the policy came can be mended, seen, let go and deleted.
func TestLargeFromBefore(t *testing.T) {
	r := finalized(filled(registration("z-"+suffix()), 70_000, "a"), 20)
	use(t).unbound(t, sizeOnly, func() { given(t, alice, r) })
	off := func(count int) func(*testing.T, client.Client) error {
		return updating(r, func(r *v1alpha1.MCPClientRegistration) { finalized(r, count) })
	}
	try(t, []attempt{
		{"more in the annotations", bob, patching(r, annotations("example.com/more", "x")), sizeOnly, []string{"annotations: keys and values", "these have 70017", "remove some"}},
		{"another finalizer", bob, off(21), sizeOnly, []string{"finalizers: an object may have at most 16", "this one has 21", "remove some"}},
		{"renewed", bob, patching(r, annotations(v1alpha1.AnnotationExpiresAt, inDays(20).Format("2006-01-02T15:04:05Z"))), "", nil},
		{"seen by the operator", operator, patchingStatus(r, fields{"observedGeneration": 1}), "", nil},
		{"a finalizer off", bob, off(19), "", nil},
		{"less in the annotations", bob, patching(r, annotations("x", strings.Repeat("a", 66_000))), "", nil},
		{"deleted", bob, func(t *testing.T, c client.Client) error { return c.Delete(t.Context(), r) }, "", nil},
		{"let go by the operator", operator, updating(r, func(r *v1alpha1.MCPClientRegistration) { r.Finalizers = nil }), "", nil},
	})
}

// An object at its bounds is stamped, given the finalizer, changed and seen.
func TestFullObjectsWork(t *testing.T) {
	r := filled(registration("z-"+suffix()), 65536, "a")
	r.Finalizers = finalized(registration("z"), 16).Finalizers[:16]
	given(t, alice, r)
	try(t, []attempt{
		{"renewed by another", bob, patching(r, annotations(v1alpha1.AnnotationExpiresAt, inDays(20).Format("2006-01-02T15:04:05Z"))), "", nil},
		{"seen by the operator", operator, patchingStatus(r, fields{"observedGeneration": 1}), "", nil},
		{"finalizers taken off by the operator", operator, updating(r, func(r *v1alpha1.MCPClientRegistration) { r.Finalizers = nil }), "", nil},
	})
}

// Whoever may change a registration may ask for new credentials and for a client
// that exists, when creating it and later; nobody may ask it of other kinds.
func TestRotateAndAdopt(t *testing.T) {
	r := given(t, alice, registration("z-"+suffix()))
	var attempts []attempt
	for _, key := range []string{v1alpha1.AnnotationRotate, v1alpha1.AnnotationAdopt} {
		for _, who := range []string{alice, bob, tenant, releaser} {
			attempts = append(attempts, attempt{key + " by " + who, who, patching(r, annotations(key, who)), "", nil})
		}
		attempts = append(attempts,
			attempt{key + " on creation", bob, one(with(registration("z-"+suffix()), key, "x")), "", nil},
			attempt{key + " taken away", bob, patching(r, annotations(key, nil)), "", nil},
			attempt{key + " on a grant", bob, one(with(grant("z-"+suffix()), key, "x")), operatorOnly,
				[]string{"annotation " + key, "rotate and mcp-registrar.dev/adopt on an MCPClientRegistration"}},
			attempt{key + " on a server", owner, one(with(server("z-"+suffix()), key, "x")), operatorOnly, []string{"annotation " + key}},
		)
	}
	try(t, attempts)
}
