// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/sandbox"
)

// TestT5OneBadObjectStopsNoOther has objects that no schema would admit, a record
// that nobody can read and credentials that are none beside good registrations.
func TestT5OneBadObjectStopsNoOther(t *testing.T) {
	t.Parallel()
	h := newHour(t, 0)
	before := h.creates("before", 3, 24*time.Hour)
	h.pass(10 * time.Second)
	h.require(before, v1alpha1.ConditionReady, "True/Ready")
	var records corev1.SecretList
	if err := h.List(t.Context(), &records, client.InNamespace(sandbox.Namespace), client.HasLabels{v1alpha1.LabelRegistrationUID}); err != nil {
		t.Fatal(err)
	}
	if len(records.Items) != len(before) {
		t.Fatalf("%d records", len(records.Items))
	}
	spoilt := &records.Items[0]
	spoilt.Data = map[string][]byte{"record.json": []byte(`{"state":["Registered"]}`)}
	if err := h.Update(t.Context(), spoilt); err != nil {
		t.Fatal(err)
	}
	bad := (&world{name: "auth", namespace: "team"}).registration("bad", key, h.Clock.Now().Add(time.Hour))
	bad.Annotations = nil
	bad.Spec = v1alpha1.MCPClientRegistrationSpec{
		AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: "auth"}, GrantTypes: []v1alpha1.GrantType{"\x00"},
		RedirectURIs: []v1alpha1.RedirectURI{"://", "\xff"}, JWKS: "{", JWKSURI: "%", TokenEndpointAuthMethod: "Magic", State: "Asleep",
		Credentials: &v1alpha1.Credentials{SecretName: strings.Repeat("x", 300)},
	}
	grant := (&world{name: "auth", namespace: "team"}).grant("bad", h.Clock.Now(), "*", "", "\x00")
	grant.Name, grant.GenerateName = "bad", ""
	server := (&world{name: "auth", namespace: "team"}).server("bad")
	server.Spec.Resource, server.Spec.Scopes, server.Annotations = "%zz", nil, nil
	h.put(bad, grant, server, &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: "bad"}, Spec: v1alpha1.AuthorizationServerSpec{
		Issuer: "://", Policy: &v1alpha1.RegistrationPolicy{OwnerPattern: "(", RedirectURIPatterns: []string{"["}},
	}})
	after := h.creates("after", 3, 24*time.Hour)
	h.pass(10 * time.Second)
	h.require(after, v1alpha1.ConditionReady, "True/Ready")
	if live := len(h.as.Clients()); live != 6 {
		t.Errorf("%d clients live for six good registrations", live)
	}
}

// TestT12WhatIsMadeUpIsNeverTheSameTwice collects the marks and keys of many
// registrations, and of the same ones once more after they were created anew.
func TestT12WhatIsMadeUpIsNeverTheSameTwice(t *testing.T) {
	t.Parallel()
	h := newHour(t, 0)
	seen := map[string]string{}
	once := func(what, value string, least int) {
		t.Helper()
		if len(value) < least {
			t.Errorf("%s %q has less than %d characters", what, value, least)
		}
		if other := seen[value]; other != "" {
			t.Errorf("%s is also %s", what, other)
		}
		seen[value] = what
	}
	for range 2 {
		regs := h.creates("made", 60, 24*time.Hour)
		h.pass(10 * time.Second)
		h.require(regs, v1alpha1.ConditionReady, "True/Ready")
		for _, live := range h.as.Clients() {
			once("the mark of "+live.ID, live.Registered.SoftwareVersion, 20)
		}
		for _, reg := range regs {
			var held corev1.Secret
			if reg.Spec.TokenEndpointAuthMethod == key {
				if err := h.Get(t.Context(), client.ObjectKey{Namespace: "team", Name: reg.Status.SecretName}, &held); err != nil {
					t.Fatal(err)
				}
				once("the key of "+reg.Name, string(held.Data[v1alpha1.SecretKeyPrivateKey]), 100)
				once("the id of the key of "+reg.Name, string(held.Data[v1alpha1.SecretKeyKeyID]), 20)
			}
			if err := h.Remove(t.Context(), reg); err != nil {
				t.Fatal(err)
			}
			grant := &v1alpha1.ScopeGrant{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: reg.Name}}
			if err := h.Remove(t.Context(), grant); err != nil {
				t.Fatal(err)
			}
		}
		h.pass(time.Minute)
		h.require(regs, v1alpha1.ConditionReady, "gone")
	}
	if len(seen) != 2*(60+2*20) {
		t.Errorf("%d values were seen", len(seen))
	}
}

// TestT21ARevocationNeedsNothingOfTheNamespace takes away from a namespace, before
// it is deleted, everything that a controller of namespaces may delete first.
func TestT21ARevocationNeedsNothingOfTheNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	var regs []*v1alpha1.MCPClientRegistration
	for name, method := range map[string]v1alpha1.TokenEndpointAuthMethod{"public": public, "secret": secret, "key": key} {
		regs = append(regs, w.register(t, name, method, "True/Ready"))
	}
	w.order(t, devas.Fault{Operation: devas.Delete, Status: 503})
	var secrets corev1.SecretList
	if err := w.List(t.Context(), &secrets, client.InNamespace(w.namespace)); err != nil {
		t.Fatal(err)
	}
	if len(secrets.Items) < 2 {
		t.Fatalf("%d Secrets in the namespace", len(secrets.Items))
	}
	w.remove(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})
	g := NewWithT(t)
	g.Eventually(func() int {
		if err := w.List(t.Context(), &secrets, client.InNamespace(w.namespace)); err != nil {
			t.Fatal(err)
		}
		return len(secrets.Items)
	}, eventually, often).Should(BeZero(), "the Secrets of the namespace")
	g.Expect(w.as.Clients()).To(HaveLen(len(regs)), "what this shows")
	for _, reg := range regs {
		g.Expect(w.state(t, reg)()).NotTo(Equal("gone"), reg.Name)
		g.Expect(bytes.Contains(w.record(t, reg).Data["record.json"], []byte(reg.Status.ClientID))).To(BeTrue())
	}
	w.as.ClearFaults()
	g.Eventually(func() int { return len(w.as.Clients()) }, eventually, often).Should(BeZero())
	for _, reg := range regs {
		w.waitFor(t, reg, "gone")
	}
}
