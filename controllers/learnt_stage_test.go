// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// teamSecret is the client secret that the team has.
func (s *stage) teamSecret() string {
	s.t.Helper()
	var secret corev1.Secret
	if err := s.Get(s.t.Context(), client.ObjectKey{Namespace: clientsPlace, Name: policy.SecretName(s.reg)}, &secret); err != nil {
		s.t.Fatal(err)
	}
	return string(secret.Data[v1alpha1.SecretKeyClientSecret])
}

// A secret that a server shows masked is not the client's: the team keeps the one
// that works through any number of drift checks.
func TestMaskedSecretIsNotTakenOver(t *testing.T) {
	for _, mask := range []string{"********", "{bcrypt}$2a$10$abc", "abcd…", "x"} {
		s := newStage(t, "masked")
		s.begin()
		before := s.teamSecret()
		s.as.Switch(func(w *fake.Switches) { w.Mask = mask })
		for range 3 {
			s.later(2 * time.Hour)
		}
		if after := s.teamSecret(); before == "" || after != before {
			t.Errorf("shown as %q: the team's secret went from %q to %q", mask, before, after)
		}
		record, is, err := s.registrations.Records.Get(t.Context(), s.reg.UID)
		if err != nil || is != policy.Present || record.Client.Secret.Reveal() != before {
			t.Errorf("shown as %q: the record has another secret: %v", mask, err)
		}
	}
}

// What one registration learnt of a server is not asked again with each drift check.
func TestUnmanagedServerIsNotAskedAgain(t *testing.T) {
	s := newStage(t, "bare")
	s.as.Switch(func(w *fake.Switches) { w.NoManagement = true })
	s.begin()
	for range 5 {
		s.later(25 * time.Hour)
	}
	if live := len(s.as.Clients()); live != 1 {
		t.Errorf("%d clients live, want the one by which it was learnt", live)
	}
	s.as.Switch(func(w *fake.Switches) { w.NoManagement = false })
	edit(s, s.issuer, func(as *v1alpha1.AuthorizationServer) { as.Generation++ })
	s.later(time.Second)
	if live := len(s.as.Clients()); live != 2 {
		t.Errorf("%d clients live after the server was changed, want one more", live)
	}
}

// What was learnt of a server outlives what its object says of it, the registration
// that learnt it and its record: it is not learnt again by another client.
func TestWhatWasLearntOutlivesWhoLearntIt(t *testing.T) {
	for name, forget := range map[string]func(s *stage){
		"an empty status": func(s *stage) {
			if err := s.Get(s.t.Context(), client.ObjectKeyFromObject(s.issuer), s.issuer); err != nil {
				s.t.Fatal(err)
			}
			s.issuer.Status = v1alpha1.AuthorizationServerStatus{}
			if err := s.Status().Update(s.t.Context(), s.issuer); err != nil {
				s.t.Fatal(err)
			}
		},
		"a registration that goes": func(s *stage) { s.remove(s.reg); s.settle() },
		"a record that a person dealt with": func(s *stage) {
			s.remove(s.reg)
			s.settle()
			if err := s.Delete(s.t.Context(), s.recordSecret()); err != nil {
				s.t.Fatal(err)
			}
			s.settle()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "bare")
			s.as.Switch(func(w *fake.Switches) { w.NoManagement = true })
			reg, grant := s.another()
			s.begin()
			forget(s)
			s.assemble()
			s.create(reg, grant)
			s.settle()
			if live := len(s.as.Clients()); live != 1 {
				t.Errorf("%d clients live, want the one by which it was learnt", live)
			}
		})
	}
}
