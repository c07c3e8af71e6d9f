// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const identity = "mcp-registrar-identity"

// creating tries to create an object.
func creating(make func() client.Object) func(*testing.T, client.Client) error {
	return func(t *testing.T, c client.Client) error { return c.Create(t.Context(), make()) }
}

// updating changes a stored object, by reading it and sending it back whole.
func updating[T client.Object](stored T, change func(T)) func(*testing.T, client.Client) error {
	return func(t *testing.T, c client.Client) error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(stored), stored); err != nil {
			return err
		}
		change(stored)
		return c.Update(t.Context(), stored)
	}
}

// given creates an object that a test rests on.
func given[T client.Object](t *testing.T, who string, object T) T {
	t.Helper()
	if err := use(t).clients[who].Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	return object
}

func TestIdentityOnCreation(t *testing.T) {
	kinds := map[string]func() client.Object{
		"registration": func() client.Object { return registration("r-" + suffix()) },
		"grant":        func() client.Object { return grant("g-" + suffix()) },
		"server": func() client.Object {
			s := server("s-" + suffix())
			s.Namespace = clientsNamespace
			return s
		},
	}
	var attempts []attempt
	for kind, make := range kinds {
		edit := func(change func(client.Object)) func(*testing.T, client.Client) error {
			return creating(func() client.Object { object := make(); change(object); return object })
		}
		attempts = append(attempts,
			attempt{kind + " as it should be", tenant, edit(func(client.Object) {}), "", nil},
			attempt{kind + " with no annotations", tenant, edit(func(o client.Object) { o.SetAnnotations(nil) }), identity,
				[]string{"mcp-registrar.dev/owner is missing", `for example mcp-registrar.dev/owner: "team-payments@example.com"`}},
			attempt{kind + " with no owner", tenant, edit(func(o client.Object) { without(o, v1alpha1.AnnotationOwner) }), identity,
				[]string{"mcp-registrar.dev/owner is missing"}},
			attempt{kind + " with a blank owner", tenant, edit(func(o client.Object) { with(o, v1alpha1.AnnotationOwner, " \t\u00a0") }), identity,
				[]string{"mcp-registrar.dev/owner is missing"}},
			attempt{kind + " with an owner whose line ends", tenant, edit(func(o client.Object) { with(o, v1alpha1.AnnotationOwner, testOwner+"\n") }), identity,
				[]string{"mcp-registrar.dev/owner must be one line of at most 256 characters", "for example"}},
			attempt{kind + " with an owner that is too long", tenant, edit(func(o client.Object) { with(o, v1alpha1.AnnotationOwner, strings.Repeat("a", 257)) }), identity,
				[]string{"mcp-registrar.dev/owner must be one line of at most 256 characters"}},
		)
	}
	try(t, attempts)
}

func TestEndOnCreation(t *testing.T) {
	const example = `for example mcp-registrar.dev/expires-at: "2027-03-31T00:00:00Z"`
	kinds := map[string]func() client.Object{
		"registration": func() client.Object { return registration("r-" + suffix()) },
		"grant":        func() client.Object { return grant("g-" + suffix()) },
	}
	for kind, make := range kinds {
		ending := func(text string) func(*testing.T, client.Client) error {
			return creating(func() client.Object { return with(make(), v1alpha1.AnnotationExpiresAt, text) })
		}
		invalid := []string{"is not an RFC 3339 instant", example}
		attempts := []attempt{
			{kind + " with no end", alice, creating(func() client.Object { return without(make(), v1alpha1.AnnotationExpiresAt) }), identity,
				[]string{"mcp-registrar.dev/expires-at is missing", example}},
			{kind + " with an empty end", alice, ending(""), identity, []string{"mcp-registrar.dev/expires-at is missing", example}},
			{kind + " that has lapsed", alice, ending("2020-02-29T12:00:00.5+02:00"), "", nil},
			{kind + " of the first year", alice, ending("0000-12-31T23:30:00-01:00"), "", nil},
		}
		for _, text := range []string{
			"tomorrow", "2027-03-31", "2027-03-31T00:00:00", "2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-03-31T24:00:00Z",
			"2027-03-31t00:00:00z", "0000-06-01T00:00:00Z", "9999-01-01T00:00:00Z", "9998-12-31T23:30:00-01:00", " 2027-03-31T00:00:00Z", "2027-03-31T00:00:00Z\n",
		} {
			attempts = append(attempts, attempt{kind + " ending " + text, alice, ending(text), identity, invalid})
		}
		try(t, attempts)
	}
}

// What was given is not taken away, not even while the object is being deleted.
func TestT15IdentityStays(t *testing.T) {
	held := registration("r-" + suffix())
	r, g, s := given(t, alice, registration("r-"+suffix())), given(t, alice, grant("g-"+suffix())), given(t, owner, server("s-"+suffix()))
	given(t, alice, held)
	must(t, alice, func(t *testing.T, c client.Client) error { return c.Delete(t.Context(), held) })
	missing, invalid := []string{"is missing"}, []string{"not an RFC 3339 instant"}
	attempts := []attempt{
		{"renewed", bob, patching(r, annotations(v1alpha1.AnnotationExpiresAt, inDays(20).Format("2006-01-02T15:04:05Z"))), "", nil},
		{"handed over", bob, patching(g, annotations(v1alpha1.AnnotationOwner, "team-new@example.com")), "", nil},
		{"server handed over", owner, patching(s, annotations(v1alpha1.AnnotationOwner, "team-new@example.com")), "", nil},
		{"server needs no end", owner, patching(s, annotations(v1alpha1.AnnotationExpiresAt, nil)), "", nil},
		{"server without owner", owner, patching(s, annotations(v1alpha1.AnnotationOwner, nil)), identity, missing},
	}
	for name, object := range map[string]client.Object{"registration": r, "grant": g, "registration being deleted": held} {
		attempts = append(attempts,
			attempt{name + " loses its owner", alice, patching(object, annotations(v1alpha1.AnnotationOwner, nil)), identity, missing},
			attempt{name + " gets an owner whose line ends", alice, patching(object, annotations(v1alpha1.AnnotationOwner, "team\r\n")), identity, []string{"must be one line"}},
			attempt{name + " loses its end", alice, patching(object, annotations(v1alpha1.AnnotationExpiresAt, nil)), identity, missing},
			attempt{name + " gets a bad end", alice, patching(object, annotations(v1alpha1.AnnotationExpiresAt, "never")), identity, invalid},
			attempt{name + " gets a bad end by the operator", operator, patching(registration(r.Name), annotations(v1alpha1.AnnotationExpiresAt, "never")), identity, invalid},
		)
	}
	try(t, attempts)
}

// What was invalid before the policies came stands in nobody's way.
func TestInvalidFromBefore(t *testing.T) {
	w := use(t)
	r := registration("r-" + suffix())
	w.unbound(t, identity, func() {
		r.Annotations = map[string]string{v1alpha1.AnnotationExpiresAt: "never"}
		given(t, alice, r)
	})
	try(t, []attempt{
		{"labelled", alice, patching(r, fields{"metadata": fields{"labels": fields{"team": "a"}}}), "", nil},
		{"still bad in another way", alice, patching(r, annotations(v1alpha1.AnnotationExpiresAt, "always")), identity, []string{"not an RFC 3339 instant"}},
		{"let go by the operator", operator, updating(r, func(r *v1alpha1.MCPClientRegistration) { r.Finalizers = nil }), "", nil},
		{"corrected", alice, patching(r, annotations(v1alpha1.AnnotationExpiresAt, "2026-12-01T00:00:00Z", v1alpha1.AnnotationOwner, testOwner)), "", nil},
	})
}

// A lapsed object is admitted, and the API server warns whoever sends it.
func TestLapsedIsWarnedOf(t *testing.T) {
	w := use(t)
	for name, make := range map[string]func() client.Object{
		"registration": func() client.Object { return registration("w-" + suffix()) },
		"grant":        func() client.Object { return grant("w-" + suffix()) },
	} {
		c, heard := w.listening(t, alice)
		if err := c.Create(t.Context(), make()); err != nil || len(heard.all()) > 0 {
			t.Errorf("%s: error %v, warnings %q", name, err, heard.all())
		}
		if err := c.Create(t.Context(), with(make(), v1alpha1.AnnotationExpiresAt, "2020-01-01T00:00:00Z")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		warnings := heard.all()
		if len(warnings) != 1 || !strings.Contains(warnings[0], "has passed already (2020-01-01T00:00:00Z)") || !strings.Contains(warnings[0], "for example mcp-registrar.dev/expires-at") {
			t.Errorf("%s: warnings %q", name, warnings)
		}
	}
}

// Wildcards and catch-all names are refused by the schema of the kinds.
func TestWildcardsAreRefused(t *testing.T) {
	w := use(t)
	for scope, words := range map[v1alpha1.ScopeName]string{
		"invoices:*": "a scope must not contain a wildcard: name what it allows, for example invoices:read",
		"admin":      "a scope must not be a catch-all name: name what it allows, for example invoices:read",
	} {
		g, s := grant("x-"+suffix()), server("x-"+suffix())
		g.Spec.Scopes, s.Spec.Scopes[0].Name = []v1alpha1.ScopeName{scope}, scope
		refused(t, w.clients[alice].Create(t.Context(), g), words)
		refused(t, w.clients[owner].Create(t.Context(), s), words)
	}
	r := interactive("https://*.example.com/callback")
	refused(t, w.clients[alice].Create(t.Context(), r), "a redirect URI must not contain a wildcard: list each one")
}
