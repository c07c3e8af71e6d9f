// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
)

// posting has the server know no other way to send a secret than in the body, and say
// so in its metadata or not.
func (s *stage) posting(says bool) {
	s.as.Switch(func(switches *fake.Switches) {
		switches.Alter = func(wish authserver.ClientMetadata) authserver.ClientMetadata {
			if authserver.SharedSecret(wish.AuthMethod) {
				wish.AuthMethod = authserver.SecretPost
			}
			return wish
		}
	})
	s.as.Describe(func(m *authserver.Metadata) {
		if m.TokenEndpointAuthMethods = nil; says {
			m.TokenEndpointAuthMethods = []string{authserver.SecretPost}
		}
	})
}

// A team that leaves open where the secret is sent gets a client at a server that
// knows one place only, and is told which.
func TestASecretInTheOnlyPlaceThereIs(t *testing.T) {
	for name, says := range map[string]bool{"said": true, "not-said": false} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "open-"+name)
			s.reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodClientSecret
			s.posting(says)
			s.begin()
			s.settle()
			got := s.credentials()
			client := s.live()
			if method := string(got[v1alpha1.SecretKeyAuthMethod]); method != authserver.SecretPost || string(got[v1alpha1.SecretKeyClientSecret]) != client.Secret.Reveal() {
				t.Errorf("the team is told %s, secret at hand %t", method, len(got[v1alpha1.SecretKeyClientSecret]) > 0)
			}
			if ready := meta.FindStatusCondition(s.registration().Status.Conditions, v1alpha1.ConditionReady); ready == nil || ready.Status != "True" {
				t.Errorf("%+v", ready)
			}
			if n := s.as.Calls(fake.Replace) + s.as.Calls(fake.Revoke); n > 0 || s.as.Calls(fake.Register) != 1 {
				t.Errorf("%d updates and deletions, %d registrations", n, s.as.Calls(fake.Register))
			}
		})
	}
}

// A team that states where the secret is sent gets exactly that, or nothing.
func TestASecretInAPlaceThatIsNot(t *testing.T) {
	for name, c := range map[string]struct {
		says          bool
		reason        string
		message       string
		registrations int
	}{
		"said":     {true, v1alpha1.ReasonAuthMethodNotAllowed, "supports ClientSecretPost and not ClientSecretBasic", 0},
		"not-said": {false, v1alpha1.ReasonWidened, "authentication method client_secret_post", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "stated-"+name)
			s.reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodClientSecretBasic
			s.posting(c.says)
			s.begin()
			s.settle()
			ready := meta.FindStatusCondition(s.registration().Status.Conditions, v1alpha1.ConditionReady)
			if ready == nil || ready.Status != "False" || ready.Reason != c.reason || !strings.Contains(ready.Message, c.message) {
				t.Errorf("%+v", ready)
			}
			if n := len(s.as.Clients()); n > 0 || s.as.Calls(fake.Register) != c.registrations {
				t.Errorf("%d clients, %d registrations", n, s.as.Calls(fake.Register))
			}
		})
	}
}
