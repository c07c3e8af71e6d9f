// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/env"
)

var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func registration(change func(*v1alpha1.MCPClientRegistration)) *v1alpha1.MCPClientRegistration {
	end := metav1.NewTime(now.Add(time.Hour))
	reg := &v1alpha1.MCPClientRegistration{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "payments", Name: "auditor", Annotations: map[string]string{v1alpha1.AnnotationOwner: "me@example.com"},
		},
		Status: v1alpha1.MCPClientRegistrationStatus{
			ClientID: "one", ExpiresAt: &end,
			Scopes:     []v1alpha1.EffectiveScope{{Name: "invoices:read", Grants: []string{"reads"}}},
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}},
		},
	}
	if change != nil {
		change(reg)
	}
	return reg
}

func TestTheSamplesAreAdapted(t *testing.T) {
	t.Parallel()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	issuers, guards, ends := 0, 0, map[string]int{}
	for _, name := range []string{"authorizationserver", "mcpserver", "mcpclientregistration", "scopegrant"} {
		text, err := os.ReadFile(filepath.Join(root, "config", "samples", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		objects, err := parse(string(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range adapt(objects, "http://127.0.0.1:1", "http://127.0.0.1:2/mcp", now) {
			spec, _ := object.Object["spec"].(map[string]any)
			if spec["issuer"] == "http://127.0.0.1:1" {
				issuers++
			}
			if spec["resource"] == "http://127.0.0.1:2/mcp" && spec["boundary"] == string(v1alpha1.BoundaryGuarded) {
				guards++
			}
			if at := object.GetAnnotations()[v1alpha1.AnnotationExpiresAt]; at != "" {
				ends[at]++
			}
		}
	}
	want := map[string]int{"2026-11-22T10:01:10Z": 1, "2026-12-22T10:00:00Z": 5}
	if diff := cmp.Diff(want, ends); diff != "" || issuers != 1 || guards != 1 {
		t.Errorf("%d issuers and %d resources replaced, want one each; ends (-want +got)\n%s", issuers, guards, diff)
	}
}

func TestChangesArePutIntoWords(t *testing.T) {
	t.Parallel()
	due := metav1.NewTime(now)
	until := metav1.NewTime(now.Add(10 * time.Minute))
	gone := func(reg *v1alpha1.MCPClientRegistration) {
		reg.Status.ClientID, reg.Status.Scopes = "", nil
		reg.Status.Revocation = &v1alpha1.Revocation{
			Cause: v1alpha1.CauseExpired, ClientID: "one", DueAt: due, RevokedAtASAt: &due, VerifiedAt: &due, ResidualUntil: &until,
		}
		reg.Status.Conditions[0].Reason = v1alpha1.ReasonExpired
	}
	for name, c := range map[string]struct {
		before *v1alpha1.MCPClientRegistration
		after  *v1alpha1.MCPClientRegistration
		want   []string
	}{
		"a first client is told with its scopes and its end": {
			nil, registration(nil), []string{"registered: client one, scopes invoices:read, until 2026-11-22T11:00:00Z"},
		},
		"nothing new is nothing to tell": {registration(nil), registration(nil), nil},
		"a renewal is told with both ends": {
			registration(nil),
			registration(func(r *v1alpha1.MCPClientRegistration) { r.Status.ExpiresAt = &until }),
			[]string{"changed: expires 2026-11-22T10:10:00Z, before 2026-11-22T11:00:00Z"},
		},
		"a revocation is told with its proof": {
			registration(nil), registration(gone),
			[]string{"revoked: client one, cause Expired, due 10:00:00, revokedAt 10:00:00, verifiedAt 10:00:00, issued tokens end by 10:10:00"},
		},
		"a revocation without proof is not told as one with": {
			registration(nil),
			registration(func(r *v1alpha1.MCPClientRegistration) {
				gone(r)
				r.Status.Revocation.VerifiedAt = nil
			}),
			[]string{"revoked: client one, cause Expired, due 10:00:00, revokedAt 10:00:00, not yet verified"},
		},
		"that guards refuse a client is told once": {
			registration(gone),
			registration(func(r *v1alpha1.MCPClientRegistration) {
				gone(r)
				r.Status.Revocation.DeniedAt, r.Status.Revocation.ResidualUntil = &due, &due
			}),
			[]string{"refused: no guard lets client one pass, known at 10:00:00"},
		},
		"a revocation that guards have already is told with both": {
			registration(nil),
			registration(func(r *v1alpha1.MCPClientRegistration) {
				gone(r)
				r.Status.Revocation.DeniedAt, r.Status.Revocation.ResidualUntil = &due, &due
			}),
			[]string{
				"revoked: client one, cause Expired, due 10:00:00, revokedAt 10:00:00, verifiedAt 10:00:00",
				"refused: no guard lets client one pass, known at 10:00:00",
			},
		},
		"a deletion that begins is told": {
			registration(nil),
			registration(func(r *v1alpha1.MCPClientRegistration) { r.DeletionTimestamp = &due }),
			[]string{"to be deleted: its client is revoked first"},
		},
		"what stands in the way is told": {
			registration(nil),
			registration(func(r *v1alpha1.MCPClientRegistration) {
				r.Status.Conditions[0] = metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonUnavailable, Message: "no answer"}
			}),
			[]string{"Ready=Unknown/Unavailable: no answer"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{}
			if diff := cmp.Diff(c.want, w.describe(c.before, change{registration: c.after})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestADeletedRegistrationIsLookedForAtTheAuthorizationServer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		id    string
		alive []devas.Client
		want  string
	}{
		{"", nil, "deleted; there was no client"},
		{"one", []devas.Client{{ID: "two"}}, "deleted; client one is gone at the authorization server"},
		{"one", []devas.Client{{ID: "one"}}, "deleted; client one is STILL at the authorization server"},
	} {
		if got := afterDeletion(c.id, c.alive); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestTheTableNamesOwnerServerScopesAndEnd(t *testing.T) {
	t.Parallel()
	l := &lists{}
	l.registrations.Items = []v1alpha1.MCPClientRegistration{*registration(nil)}
	for _, name := range []string{"reads", "reads-more"} {
		l.grants.Items = append(l.grants.Items, v1alpha1.ScopeGrant{
			ObjectMeta: metav1.ObjectMeta{Namespace: "payments", Name: name},
			Spec: v1alpha1.ScopeGrantSpec{
				ClientRef: v1alpha1.LocalReference{Name: "auditor"},
				ServerRef: v1alpha1.ServerReference{Name: "invoices", Namespace: "invoices"},
			},
		})
	}
	want := [][]string{{"payments/auditor", "me@example.com", "invoices/invoices", "invoices:read", "2026-11-22T11:00:00Z", "Ready"}}
	if diff := cmp.Diff(want, rows(l)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWhatIsNotReadyIsNamedWithItsConditions(t *testing.T) {
	t.Parallel()
	reg := registration(func(r *v1alpha1.MCPClientRegistration) {
		r.Status.Conditions[0] = metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonOwnerMissing, Message: "set it"}
	})
	got := conditionsOf(map[string]conditioned{
		"MCPClientRegistration payments/auditor": reg,
		"MCPServer invoices/invoices":            &v1alpha1.MCPServer{},
	})
	want := "MCPClientRegistration payments/auditor\n  Ready=False OwnerMissing: set it\nMCPServer invoices/invoices\n  no conditions: the operator has not seen it\n"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
