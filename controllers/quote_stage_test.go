// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
)

// refusing has the server refuse the next registration with some words.
func (s *stage) refusing(code, words string) {
	s.as.Fail(fake.Fault{Operation: fake.Register, Err: &authserver.Error{
		Kind: authserver.Rejected, Status: 400, Code: code, Quote: authserver.NewQuote(words),
	}})
}

// message is what the registration says of itself.
func (s *stage) message() string {
	s.t.Helper()
	ready := meta.FindStatusCondition(s.registration().Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil {
		s.t.Fatal("no condition")
	}
	return ready.Reason + ": " + ready.Message
}

// The server's reason reaches those who can act. One that is worded anew each time is
// told once, and costs no write.
func TestTheServersReasonIsToldOnce(t *testing.T) {
	s := newStage(t, "refused")
	s.refusing("invalid_client_metadata", "request 1: scope is not known")
	s.begin()
	s.settle()
	first := s.message()
	if !strings.HasPrefix(first, "Rejected: ") || !strings.HasSuffix(first, `invalid_client_metadata: correct the spec, or ask the platform team what it accepts; the authorization server says: "request 1: scope is not known"`) {
		t.Fatalf("told %q", first)
	}
	version, asked := s.registration().ResourceVersion, s.as.Calls(fake.Register)
	for i := range 5 {
		s.refusing("invalid_client_metadata", fmt.Sprintf("request %d: scope is not known", i+2))
		s.later(time.Hour)
	}
	if n := s.as.Calls(fake.Register) - asked; n != 5 {
		t.Errorf("asked again %d times", n)
	}
	if got := s.registration(); got.ResourceVersion != version || s.message() != first {
		t.Errorf("written again: %q", s.message())
	}
	s.refusing("invalid_redirect_uri", "another reason")
	s.later(time.Hour)
	if got := s.message(); !strings.Contains(got, "invalid_redirect_uri") || !strings.Contains(got, `says: "another reason"`) {
		t.Errorf("another refusal is told as %q", got)
	}
	s.later(time.Hour)
	if got := s.message(); strings.Contains(got, "says") {
		t.Errorf("told after it was registered: %q", got)
	}
}

// A refused examination is told with the server's reason, once.
func TestARefusedExaminationIsToldOnce(t *testing.T) {
	of := func(kind authserver.Kind, code, words string) *authserver.Error {
		return &authserver.Error{Kind: kind, Code: code, Quote: authserver.NewQuote(words)}
	}
	const plain = "the authorization server gave no usable answer to the examination: asked again"
	first := unansweredMessage(of(authserver.Rejected, "invalid_scope", "scope a, request 1"), nil)
	if want := plain + `; it refuses the request with invalid_scope and says: "scope a, request 1"`; first != want {
		t.Errorf("told %q", first)
	}
	before := &metav1.Condition{Message: first}
	for _, c := range []struct {
		failure *authserver.Error
		want    string
	}{
		{of(authserver.Rejected, "invalid_scope", "scope a, request 2"), first},
		{of(authserver.Rejected, "unauthorized_client", "no"), plain + `; it refuses the request with unauthorized_client and says: "no"`},
		{of(authserver.Rejected, "", "no"), plain + `; it refuses the request and says: "no"`},
		{of(authserver.Unavailable, "", ""), plain},
	} {
		if got := unansweredMessage(c.failure, before); got != c.want {
			t.Errorf("told %q, want %q", got, c.want)
		}
	}
}
