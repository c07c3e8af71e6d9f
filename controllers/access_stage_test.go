// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// serverState is the reason of AdminAccess, and that of Ready.
func (s *stage) serverState() string {
	s.t.Helper()
	var as v1alpha1.AuthorizationServer
	if err := s.Get(s.t.Context(), client.ObjectKeyFromObject(s.issuer), &as); err != nil {
		s.t.Fatal(err)
	}
	reasons := []string{"none", "none"}
	for i, kind := range []string{v1alpha1.ConditionAdminAccess, v1alpha1.ConditionReady} {
		if c := meta.FindStatusCondition(as.Status.Conditions, kind); c != nil {
			reasons[i] = string(c.Status) + "/" + c.Reason
		}
	}
	return strings.Join(reasons, " ")
}

// A role that is taken away while the operator runs is seen within minutes, or at once
// when a request is refused; nothing is tried meanwhile, and all heals within a minute.
func TestLostAccessStopsAndHeals(t *testing.T) {
	s := newStage(t, "access")
	s.manageOtherwise()
	recorder := events.NewFakeRecorder(100)
	s.authServers.Recorder = recorder
	s.begin()
	if got := s.serverState(); got != "True/Granted True/Ready" {
		t.Fatalf("at first %s", got)
	}
	asked := s.as.Calls(fake.Access)
	s.later(time.Minute)
	if n := s.as.Calls(fake.Access) - asked; n != 0 {
		t.Errorf("asked %d times within a minute", n)
	}
	refusal := &authserver.Error{Kind: authserver.Unauthorized, Status: 403, Code: "missing_role_manage_clients"}
	s.as.access, s.as.finding, s.as.registration, s.as.revocation = refusal, refusal, refusal, refusal
	s.later(accessInterval)
	if got := s.serverState(); got != "False/RoleMissing False/RoleMissing" {
		t.Errorf("without the role %s", got)
	}
	warned := false
	for len(recorder.Events) > 0 {
		event := <-recorder.Events
		warned = warned || strings.HasPrefix(event, "Warning RoleMissing") && strings.Contains(event, "role manage-clients")
	}
	if !warned {
		t.Error("no warning was sent")
	}
	// Another registration, with no client yet, waits and sends nothing.
	other, grant := s.reg.DeepCopy(), s.grant.DeepCopy()
	other.ObjectMeta, grant.ObjectMeta = stageMeta(clientsPlace, "other", "team-payments@example.com"), stageMeta(clientsPlace, "other", "team-payments@example.com")
	ending(other.ObjectMeta, begun.AddDate(0, 0, 30))
	ending(grant.ObjectMeta, begun.AddDate(0, 0, 30))
	grant.Spec.ClientRef.Name = "other"
	other.Status, grant.Status = v1alpha1.MCPClientRegistrationStatus{ObservedGeneration: -1}, v1alpha1.ScopeGrantStatus{ObservedGeneration: -1}
	s.create(other, grant)
	s.later(time.Second)
	s.later(time.Minute)
	if n := len(s.as.Clients()); n != 1 {
		t.Errorf("%d clients live", n)
	}
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(other), other); err != nil {
		t.Fatal(err)
	}
	ready := meta.FindStatusCondition(other.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Reason != v1alpha1.ReasonUnauthorized || !strings.Contains(ready.Message, "the platform team's turn") || strings.Contains(ready.Message, "renew") {
		t.Errorf("the team reads %+v", ready)
	}
	s.as.access, s.as.finding, s.as.registration, s.as.revocation = nil, nil, nil, nil
	s.later(time.Minute)
	if got := s.serverState(); got != "True/Granted True/Ready" {
		t.Errorf("with the role again %s", got)
	}
	if n := len(s.as.Clients()); n != 2 {
		t.Errorf("%d clients live after a minute, want two", n)
	}
}

// What is refused to a registration has the server asked at once.
func TestARefusalHasTheAccessAsked(t *testing.T) {
	s := newStage(t, "doubted")
	s.manageOtherwise()
	s.begin()
	refusal := &authserver.Error{Kind: authserver.Unauthorized, Status: 401, Code: "admin_credentials_refused"}
	s.as.access, s.as.finding = refusal, refusal
	s.later(accessRetry + time.Second)
	if got := s.serverState(); got != "True/Granted True/Ready" {
		t.Errorf("nobody was refused, and it is %s", got)
	}
	s.registrations.Drift.Suspect(s.reg.UID)
	s.settle()
	if len(s.registrations.Access.doubted) != 1 {
		t.Errorf("%d servers are in doubt", len(s.registrations.Access.doubted))
	}
	if got := s.serverState(); got != "False/Unauthorized False/Unauthorized" {
		t.Errorf("after a refusal %s", got)
	}
	if got := s.message(); !strings.HasPrefix(got, "Unauthorized: ") || !strings.Contains(got, "the platform team's turn") {
		t.Errorf("the team reads %q", got)
	}
}

// A new Secret is tried at once; what was learnt of the old one is not told of it.
func TestANewCredentialIsAnotherQuestion(t *testing.T) {
	t.Parallel()
	as := &v1alpha1.AuthorizationServer{}
	as.Name, as.UID, as.Generation = "company", "uid", 1
	old := authserver.Config{AdminID: "a", AdminPassword: authserver.NewSecret("b")}
	access := NewAccess()
	access.store(as, accessAnswer{about: aboutAccess(as, old), at: begun, err: &authserver.Error{}})
	if _, left := access.last(as, aboutAccess(as, old), begun); left != accessRetry {
		t.Errorf("the same counts for %s", left)
	}
	access.Show(as, old, nil)
	for name, config := range map[string]authserver.Config{
		"another secret": {AdminID: "a", AdminPassword: authserver.NewSecret("c")},
		"another client": {AdminID: "ab", AdminPassword: authserver.NewSecret("")},
		"another token":  {AdminID: "a", AdminPassword: authserver.NewSecret("b"), InitialAccessToken: authserver.NewSecret("t")},
	} {
		if answer, left := access.last(as, aboutAccess(as, config), begun); left > 0 || answer.err != nil {
			t.Errorf("%s: %+v for %s", name, answer, left)
		}
		if access.shownOf(as, aboutAccess(as, config)).Shown != policy.Unknown {
			t.Errorf("%s: shown", name)
		}
	}
	if access.shownOf(as, aboutAccess(as, old)).Shown != policy.Present {
		t.Error("what was shown is not known")
	}
	access.Forget(as.UID)
	if _, left := access.last(as, aboutAccess(as, old), begun); left > 0 || access.shownOf(as, aboutAccess(as, old)).Shown != policy.Unknown {
		t.Error("not forgotten")
	}
}
