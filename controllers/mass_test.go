// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

func causeAt(name string) massCause {
	return massCause{v1alpha1.CauseNoGrantInForce, kindMCPServer, types.NamespacedName{Namespace: "invoices", Name: name}}
}

// TestManyAtOnce: what is told of clients that end one after another, some time apart.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		ends  int
		apart time.Duration
		// told are the numbers of the ends at which it is told.
		told []int
	}{
		{"one less than many", massSize - 1, 0, nil},
		{"many", massSize, 0, []int{massSize}},
		{"59 in 33 seconds", 59, 33 * time.Second / 59, []int{massSize}},
		{"many within a minute to the instant", massSize, massTime / (massSize - 1), []int{massSize}},
		{"many in more than a minute", massSize, massTime/(massSize-1) + time.Millisecond, nil},
		{"a few an hour", 1000, 10 * time.Minute, nil},
		{"again a minute later", 140, time.Second, []int{massSize, massSize + 61, massSize + 122}},
	} {
		var m mass
		var told []int
		for i := range c.ends {
			if m.add(causeAt("files"), time.Unix(0, 0).Add(time.Duration(i)*c.apart)) {
				told = append(told, i+1)
			}
		}
		if fmt.Sprint(told) != fmt.Sprint(c.told) {
			t.Errorf("%s: told at %v, want %v", c.name, told, c.told)
		}
	}
}

// TestManyOfDifferentCauses: those of other causes or objects are others.
func TestManyOfDifferentCauses(t *testing.T) {
	t.Parallel()
	var m mass
	other := causeAt("files")
	other.cause = v1alpha1.CauseDeleted
	for i := range massSize - 1 {
		for _, c := range []massCause{causeAt("files"), causeAt("mail"), other} {
			if m.add(c, time.Unix(int64(i), 0)) {
				t.Fatalf("told of %v after %d", c, i+1)
			}
		}
	}
	if !m.add(causeAt("files"), time.Unix(massSize, 0)) {
		t.Error("not told")
	}
}

// TestCausesAreForgotten: what is over takes no memory.
func TestCausesAreForgotten(t *testing.T) {
	t.Parallel()
	var m mass
	for i := range 5 * massCauses {
		m.add(causeAt(fmt.Sprint(i)), time.Unix(0, 0).Add(time.Duration(i)*massTime/100))
		if len(m.seen) > massCauses {
			t.Fatalf("%d causes are remembered", len(m.seen))
		}
	}
}

// TestWhereARevocationIsCounted: at the servers of the grants that the client lived on.
func TestWhereARevocationIsCounted(t *testing.T) {
	t.Parallel()
	there := &v1alpha1.MCPServer{ObjectMeta: metav1.ObjectMeta{Namespace: "clients", Name: "mail", UID: "uid"}}
	grantOf := func(name, server, namespace string, object *v1alpha1.MCPServer) policy.GrantFacts {
		grant := &v1alpha1.ScopeGrant{ObjectMeta: metav1.ObjectMeta{Namespace: "clients", Name: name}}
		grant.Spec.ServerRef.Name, grant.Spec.ServerRef.Namespace = server, namespace
		return policy.GrantFacts{Grant: grant, Server: policy.ServerFact{Object: object}}
	}
	s := &step{reg: &v1alpha1.MCPClientRegistration{}}
	s.reg.Status.Scopes = []v1alpha1.EffectiveScope{{Grants: []string{"a", "b"}}, {Grants: []string{"c"}}}
	s.seen.facts.Grants = []policy.GrantFacts{
		grantOf("a", "files", "invoices", nil), grantOf("b", "files", "invoices", nil),
		grantOf("c", "mail", "", there), grantOf("never", "else", "", nil),
	}
	for _, c := range []struct {
		cause v1alpha1.RevocationCause
		want  string
	}{
		{v1alpha1.CauseNoGrantInForce, "[invoices/files  clients/mail uid]"},
		{v1alpha1.CauseAuthorizationServerGone, "[/company ]"},
		{v1alpha1.CauseDeleted, "[/company ]"},
	} {
		got := []string{}
		for _, object := range s.inCommon(c.cause, "company") {
			got = append(got, fmt.Sprintf("%s/%s %s", object.GetNamespace(), object.GetName(), object.GetUID()))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.cause, got, c.want)
		}
	}
	s.seen.facts.Grants = nil
	if got := s.inCommon(v1alpha1.CauseNoGrantInForce, "company"); len(got) != 1 || got[0].GetName() != "company" {
		t.Errorf("without grants: %v", got)
	}
}
