// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// refusedAs has the status of a grant say why it is not in force.
func refusedAs(f GrantFacts, reason string) GrantFacts {
	f.Grant.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Reason: reason}}
	return f
}

// boundedBy has so many grants and scopes be in force in a namespace.
func boundedBy(f *RegistrationFacts, grants, scopes int32) {
	f.change(func(as *v1alpha1.AuthorizationServer) {
		as.Spec.Policy.MaxGrantsPerNamespace, as.Spec.Policy.MaxGrantedScopesPerNamespace = new(grants), new(scopes)
	})
}

// Grants that were all refused for another reason, as those that are made before their
// registration, come into force in one pass: together they have the room that there is.
func TestGrantsOfOneRegistrationShareTheRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		grants, scopes int32
		want           []string
	}{
		"two grants":  {2, 100, []string{"g-0", "g-1"}},
		"two scopes":  {100, 2, []string{"g-0", "g-1"}},
		"none at all": {0, 100, nil},
		"all":         {10, 10, []string{"g-0", "g-1", "g-2", "g-3", "g-4", "g-5"}},
	} {
		var asked []GrantFacts
		for i := range 6 {
			one := refusedAs(asks(fmt.Sprint("g-", i), i, v1alpha1.ScopeName(fmt.Sprint("scope:", i))), v1alpha1.ReasonRegistrationNotFound)
			asked = append(asked, one)
		}
		shared := NewRoom(nil)
		for i := range asked {
			asked[i].Room = shared
		}
		f := having(asked...)
		boundedBy(&f, c.grants, c.scopes)
		equal(t, name, c.want, inForceOf(Registration(f, now)))
	}
}
