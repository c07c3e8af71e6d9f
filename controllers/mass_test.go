// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// toldOf keeps events.
type toldOf struct {
	events.EventRecorder
	mu   sync.Mutex
	said []toldEvent
}

type toldEvent struct{ of, kind, reason, text string }

// Eventf implements events.EventRecorder.
func (r *toldOf) Eventf(regarding, _ runtime.Object, kind, reason, _, note string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	object := regarding.(client.Object)
	name := reflect.TypeOf(object).Elem().Name() + " " + object.GetName()
	r.said = append(r.said, toldEvent{name, kind, reason, fmt.Sprintf(note, args...)})
}

// about are the warnings with a reason, by the object that they are about.
func (r *toldOf) about(reason string) map[string][]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[string][]string{}
	for _, e := range r.said {
		if e.reason == reason && e.kind == corev1.EventTypeWarning {
			found[e.of] = append(found[e.of], e.text)
		}
	}
	return found
}

// TestManyRevocationsAreTold: when the MCPServer that ten clients live on goes, it has a
// warning, once; the same ten that are deleted are told of at their AuthorizationServer.
func TestManyRevocationsAreTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		cause      v1alpha1.RevocationCause
		end        func(s *stage) error
	}{
		{"server", "MCPServer invoices", v1alpha1.CauseNoGrantInForce, func(s *stage) error { return s.Delete(s.t.Context(), s.server) }},
		{"authorization-server", "AuthorizationServer company", v1alpha1.CauseAuthorizationServerGone, func(s *stage) error { return s.Delete(s.t.Context(), s.issuer) }},
		{"deleted", "AuthorizationServer company", v1alpha1.CauseDeleted, func(s *stage) error {
			return s.DeleteAllOf(s.t.Context(), &v1alpha1.MCPClientRegistration{}, client.InNamespace(clientsPlace))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, "client-0")
			told := &toldOf{}
			s.registrations.Recorder = told
			for i := 1; i < massSize; i++ {
				reg, grant := s.reg.DeepCopy(), s.grant.DeepCopy()
				name := fmt.Sprintf("client-%d", i)
				reg.Name, reg.UID, grant.Name, grant.UID, grant.Spec.ClientRef.Name = name, types.UID(name), name, types.UID(name+"-grant"), name
				s.create(reg, grant)
			}
			s.begin()
			if live := len(s.as.Clients()); live != massSize {
				t.Fatalf("%d clients live", live)
			}
			if err := c.end(s); err != nil {
				t.Fatal(err)
			}
			s.settle()
			if live := len(s.as.Clients()); live != 0 {
				t.Fatalf("%d clients live on", live)
			}
			got := told.about("MassRevocation")
			if len(got) != 1 || len(got[c.want]) != 1 || !strings.Contains(got[c.want][0], string(c.cause)) {
				t.Errorf("told: %q", got)
			}
			if counted := testutil.ToFloat64(s.registrations.Metrics.masses.WithLabelValues(string(c.cause))); counted != 1 {
				t.Errorf("counted %v times", counted)
			}
		})
	}
}
