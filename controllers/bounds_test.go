// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// An owner that an authorization server would have to repeat and nobody could read
// costs the client, and holds nothing back: neither from the start nor later.
// Corrected, the client is registered again.
func TestOddOwnersHoldNothingBack(t *testing.T) {
	t.Parallel()
	odd := map[string]string{
		"line": "team@example.com\n", "return": "team@example.com\r\n", "null": "team\x00", "tab": "team\ta", "separator": "team\u2028",
		"long": strings.Repeat("a", 257), "longer": strings.Repeat("a", 100_000),
	}
	for name, options := range map[string]devas.Options{"dcr": {}, "hydra": {Hydra: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options)
			g := NewWithT(t)
			lives := map[string]*v1alpha1.MCPClientRegistration{}
			for name, owner := range odd {
				born := w.registration("born-"+name, secret, time.Now().Add(time.Hour))
				born.Annotations[v1alpha1.AnnotationOwner] = owner
				w.create(t, born, w.grant(born.Name, time.Now().Add(time.Hour), "files:read"))
				w.waitFor(t, born, "False/"+v1alpha1.ReasonOwnerInvalid)
				lives[name] = w.register(t, "lives-"+name, secret, "True/Ready")
			}
			g.Expect(w.as.Clients()).To(HaveLen(len(odd)), "nothing was registered for the odd ones")
			for name, reg := range lives {
				id := reg.Status.ClientID
				edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Annotations[v1alpha1.AnnotationOwner] = odd[name] })
				w.waitFor(t, reg, "False/"+v1alpha1.ReasonOwnerInvalid)
				w.proven(t, reg, id, v1alpha1.CauseOwnerMissing)
			}
			g.Expect(w.as.Clients()).To(BeEmpty())
			edit(t, w, lives["line"], func(reg *v1alpha1.MCPClientRegistration) {
				reg.Annotations[v1alpha1.AnnotationOwner] = "team@example.com"
			})
			w.waitFor(t, lives["line"], "True/Ready")
			w.remove(t, lives["line"])
			w.waitFor(t, lives["line"], "gone")
			g.Expect(w.as.Clients()).To(BeEmpty())
		})
	}
}

// Two catalogues of the longest names: what fits is registered, the rest says so,
// follows by itself, and nothing is in the way of the deletion.
func TestManyLongScopesHoldNothingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	var grants []*v1alpha1.ScopeGrant
	for _, name := range []string{"alpha", "beta"} {
		server := w.server(name)
		server.Spec.Scopes = nil
		grant := w.grant("wide", time.Now().Add(time.Hour))
		grant.Spec.ServerRef.Name = name
		for i := range 64 {
			scope := v1alpha1.ScopeName(fmt.Sprintf("%s:%02d:", name, i))
			scope += v1alpha1.ScopeName(strings.Repeat("s", 128-len(scope)))
			server.Spec.Scopes = append(server.Spec.Scopes, v1alpha1.Scope{Name: scope, Tier: v1alpha1.TierRead})
			grant.Spec.Scopes = append(grant.Spec.Scopes, scope)
		}
		w.create(t, server)
		grants = append(grants, grant)
	}
	reg := w.registration("wide", secret, time.Now().Add(time.Hour))
	w.create(t, reg, grants[0])
	w.waitFor(t, reg, "True/Ready")
	w.create(t, grants[1])
	g.Expect(w.waitForGrant(t, grants[1], "False/"+v1alpha1.ReasonTooManyScopes)).To(ContainSubstring("at most 128 scopes with 8192 characters"))
	w.waitForGrant(t, grants[0], "True/Ready")
	w.remove(t, grants[0])
	w.waitForGrant(t, grants[1], "True/Ready")
	w.remove(t, reg)
	w.waitFor(t, reg, "gone")
	g.Expect(w.as.Clients()).To(BeEmpty())
}

// More grants of one scope than a list in the status has room for: the status is
// written, also that of the revocation, and each grant says whether it counts.
func TestManyGrantsHoldNothingBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, devas.Options{})
	g := NewWithT(t)
	reg := w.registration("many", secret, time.Now().Add(time.Hour))
	w.create(t, reg)
	var grants []*v1alpha1.ScopeGrant
	for range 257 {
		grant := w.grant("many", time.Now().Add(time.Hour), "files:read")
		w.create(t, grant)
		grants = append(grants, grant)
	}
	w.waitFor(t, reg, "True/Ready")
	waiting := func() (names []*v1alpha1.ScopeGrant) {
		for _, grant := range grants {
			if w.grantState(t, grant)() == "False/"+v1alpha1.ReasonTooManyGrants {
				names = append(names, grant)
			}
		}
		return names
	}
	g.Eventually(func() int { return len(waiting()) }, eventually, time.Second).Should(Equal(257 - policy.MaxGrants))
	w.waitFor(t, reg, "True/Ready")
	g.Expect(reg.Status.Scopes).To(HaveLen(1))
	g.Expect(reg.Status.Scopes[0].Grants).To(HaveLen(policy.MaxGrants))
	id := reg.Status.ClientID
	edit(t, w, reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateSuspended })
	w.waitFor(t, reg, "False/"+v1alpha1.ReasonSuspended)
	w.proven(t, reg, id, v1alpha1.CauseSuspended)
}
