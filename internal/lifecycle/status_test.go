// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// What status said of a revocation that was announced stays only as long as
// something is under way, or was done.
func TestRevocationThatWasAnnounced(t *testing.T) {
	due := time.Unix(1_800_000_000, 0)
	refusal := policy.RegistrationDecision{Action: policy.Revoke, Verdict: policy.Verdict{Cause: v1alpha1.CauseExpired, DueAt: due}}
	pending := policy.Record{State: policy.RecordPending, Mark: "mark", Unanswered: 9}
	announced := RevocationOf(nil, refusal, pending)
	if announced == nil || announced.VerifiedAt != nil || announced.ClientID != "" {
		t.Fatalf("of a request without an answer whose end came, status says %+v", announced)
	}
	orphan := concluded(Facts{Record: pending, Repeatable: true}, pending, due).Record
	if len(orphan.Orphans) != 1 {
		t.Fatalf("the request became %+v", orphan)
	}
	verified := metav1.NewTime(due)
	named := &v1alpha1.Revocation{Cause: v1alpha1.CauseExpired, ClientID: "c", DueAt: verified}
	for name, c := range map[string]struct {
		old    *v1alpha1.Revocation
		record policy.Record
		stays  bool
	}{
		"of what is a possible orphan now":                   {old: announced, record: orphan},
		"of what is lost with its record":                    {old: announced, stays: true},
		"of a client that was named":                         {old: named, record: orphan, stays: true},
		"of a client that went on":                           {old: named, record: policy.Record{State: policy.RecordRegistered, Client: authserver.Client{ID: "c"}}},
		"of the client before":                               {old: named, record: policy.Record{State: policy.RecordRegistered, Client: authserver.Client{ID: "d"}}, stays: true},
		"proven, beside an orphan that a later request left": {old: &v1alpha1.Revocation{VerifiedAt: &verified}, record: orphan, stays: true},
	} {
		if got := RevocationOf(c.old, policy.RegistrationDecision{}, c.record); (got != nil) != c.stays {
			t.Errorf("%s: status says %+v", name, got)
		}
		// However it is asked: a refusal changes nothing about what is over.
		if got := RevocationOf(c.old, refusal, c.record); StandingOf(c.record) == Gone && (got != nil) != c.stays {
			t.Errorf("%s, refused: status says %+v", name, got)
		}
	}
}
