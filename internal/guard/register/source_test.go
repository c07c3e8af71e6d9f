// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	kjson "sigs.k8s.io/json"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

var (
	start      = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	files      = guard.ServerName{Namespace: "tools", Name: "files"}
	clientsAt  = sourceKey{registrations, "", fieldAuthorizationServer, "as"}
	grantsAt   = sourceKey{grants, "", fieldServer, "files"}
	otherAt    = sourceKey{registrations, "", fieldAuthorizationServer, "other"}
	issuerAt   = sourceKey{authorizationServers, "", fieldName, "as"}
	everything = guard.Change{}
)

// desk is a register without an API server, and what it told.
type desk struct {
	*Register
	clock *clocktesting.FakeClock
	told  []guard.Change
}

func newDesk() *desk {
	d := &desk{clock: clocktesting.NewFakeClock(start)}
	d.Register = &Register{
		options: Options{Servers: []guard.ServerName{files}, Namespaces: []string{""}, MaxStaleness: time.Minute},
		clock:   d.clock, agreed: d.clock, log: logr.Discard(), memory: newMemory(), contact: contact{sources: map[sourceKey]*source{}},
		moved: newSignal(), doubt: newSignal(), news: newSignal(), again: newSignal(),
	}
	d.OnChange(func(c guard.Change) { d.told = append(d.told, c) })
	return d
}

func (d *desk) source(k sourceKey) *source {
	s := &source{key: k, register: d.Register, shelf: d.memory.open(k), log: d.log}
	d.contact.add(s)
	return s
}

// heard is what was told since it was last asked.
func (d *desk) heard() []guard.Change {
	told := d.told
	d.told = nil
	return told
}

func sent(s signal) bool {
	select {
	case <-s:
		return true
	default:
		return false
	}
}

// object is what a reflector delivers of an object.
func object[O any](t *testing.T, o *O) *item[O] {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	i := &item[O]{}
	if err := i.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	if i.err != nil {
		t.Fatal(i.err)
	}
	return i
}

func registration(name, clientID string, changes ...func(*v1alpha1.MCPClientRegistration)) *v1alpha1.MCPClientRegistration {
	reg := &v1alpha1.MCPClientRegistration{ObjectMeta: named("team", name)}
	reg.UID = "uid-of-" + types.UID(name)
	reg.Status.ClientID = clientID
	reg.Status.Scopes = []v1alpha1.EffectiveScope{
		{Name: "files:read", Grants: []string{name + "-files", name + "-more"}},
		{Name: "files:write", Grants: []string{name + "-files", name + "-more"}},
		{Name: "files:none"},
		{Name: "files:list", Grants: []string{name + "-more"}},
	}
	for _, change := range changes {
		change(reg)
	}
	return reg
}

func grantFor(name, client, serverNamespace string) *v1alpha1.ScopeGrant {
	grant := &v1alpha1.ScopeGrant{ObjectMeta: named("team", name)}
	grant.Spec = v1alpha1.ScopeGrantSpec{
		ClientRef: v1alpha1.LocalReference{Name: client}, Scopes: []v1alpha1.ScopeName{"files:read", "files:list"},
		ServerRef: v1alpha1.ServerReference{Namespace: serverNamespace, Name: "files"},
	}
	grant.Status = v1alpha1.ScopeGrantStatus{
		Basis: v1alpha1.BasisApproved, ObservedGeneration: 1, ChangedTools: []string{"read"},
		Approval: &v1alpha1.Approval{Decision: v1alpha1.DecisionApproved, ApprovedBy: "dana"},
	}
	return grant
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, Generation: 1,
		Annotations: map[string]string{
			v1alpha1.AnnotationOwner:     "team@example.com",
			v1alpha1.AnnotationExpiresAt: start.Add(time.Hour).Format(time.RFC3339),
		},
	}
}

func TestWhatIsKeptIsWhatPolicySaid(t *testing.T) {
	d := newDesk()
	d.source(serverSource(files))
	reg, grant := registration("app", "id"), grantFor("app-files", "app", "tools")
	_ = d.source(clientsAt).Add(object(t, reg))
	_ = d.source(grantsAt).Add(object(t, grant))
	if diff := cmp.Diff([]policy.ClientEntry{policy.ClientOf(reg)}, d.Clients("as", "id")); diff != "" {
		t.Errorf("client (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]policy.GrantEntry{policy.GrantOf(grant)}, d.Grants(policy.ClientOf(reg))); diff != "" {
		t.Errorf("grant (-want +got):\n%s", diff)
	}
}

func TestEachEventIsToldOfItsClient(t *testing.T) {
	d := newDesk()
	d.source(serverSource(files))
	clients, granted := d.source(clientsAt), d.source(grantsAt)
	change := func(id string) guard.Change { return guard.Change{AuthorizationServer: "as", ClientID: id} }
	deleting := func(reg *v1alpha1.MCPClientRegistration) { reg.DeletionTimestamp = &metav1.Time{Time: start} }
	expired := func(reg *v1alpha1.MCPClientRegistration) { reg.Status.ExpiresAt = &metav1.Time{Time: start} }
	for _, step := range []struct {
		name string
		do   func() error
		told []guard.Change
		left bool
		is   policy.Refusal
	}{
		{"a registration without a client", func() error { return clients.Add(object(t, registration("app", ""))) }, nil, false, "unknown"},
		{"its client", func() error { return clients.Update(object(t, registration("app", "id"))) }, []guard.Change{change("id")}, false, ""},
		{"a grant", func() error { return granted.Add(object(t, grantFor("g", "app", "tools"))) }, []guard.Change{change("id")}, false, ""},
		{"a grant changed", func() error { return granted.Update(object(t, grantFor("g", "app", "tools"))) }, []guard.Change{change("id")}, false, ""},
		{"a grant of nobody known", func() error { return granted.Add(object(t, grantFor("h", "nobody", "tools"))) }, nil, false, ""},
		{"a grant at a server of the same name elsewhere", func() error { return granted.Add(object(t, grantFor("i", "app", "elsewhere"))) }, nil, false, ""},
		{"a grant gone", func() error { return granted.Delete(object(t, grantFor("g", "app", "tools"))) }, []guard.Change{change("id")}, false, ""},
		{"another client id", func() error { return clients.Update(object(t, registration("app", "new"))) }, []guard.Change{change("id"), change("new")}, false, "unknown"},
		{"expired", func() error { return clients.Update(object(t, registration("app", "id", expired))) }, []guard.Change{change("new"), change("id")}, true, ""},
		{"being deleted", func() error { return clients.Update(object(t, registration("app", "id", deleting))) }, []guard.Change{change("id")}, true, policy.RefusedRevoked},
		{"its client id empty", func() error { return clients.Update(object(t, registration("app", ""))) }, []guard.Change{change("id")}, true, "unknown"},
		{"gone", func() error { return clients.Delete(object(t, registration("app", ""))) }, nil, true, "unknown"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := d.heard(); !slices.Equal(got, step.told) {
			t.Errorf("%s: told %v, want %v", step.name, got, step.told)
		}
		if sent(d.news) {
			t.Errorf("%s: the Lease is asked for before it counts as seen", step.name)
		}
		clients.UpdateResourceVersion("7")
		if got := sent(d.news); got != step.left {
			t.Errorf("%s: the Lease is asked for: %t, want %t", step.name, got, step.left)
		}
		if got := d.state("id"); got != step.is {
			t.Errorf("%s: client is %q, want %q", step.name, got, step.is)
		}
	}
	if c, g := d.memory.counts(); c != 0 || g != 1 {
		t.Errorf("got %d registrations and %d grants at the end, want 0 and 1", c, g)
	}
}

func (d *desk) state(clientID string) policy.Refusal {
	if found := d.Clients("as", clientID); len(found) == 1 {
		return found[0].Left
	}
	return "unknown"
}

func TestTwoRegistrationsWithOneClientID(t *testing.T) {
	d := newDesk()
	clients := d.source(clientsAt)
	_ = clients.Add(object(t, registration("one", "id")))
	_ = clients.Add(object(t, registration("two", "id")))
	_ = d.source(otherAt).Add(object(t, registration("three", "id")))
	if got := len(d.Clients("as", "id")); got != 2 {
		t.Errorf("got %d registrations, want both", got)
	}
	_ = clients.Delete(object(t, registration("one", "id")))
	if got := d.Clients("as", "id"); len(got) != 1 || got[0].Name != "two" {
		t.Errorf("got %v, want the other one", got)
	}
	if got := d.Clients("other", "id"); len(got) != 1 || got[0].Name != "three" {
		t.Errorf("got %v at the other authorization server", got)
	}
	if got := d.Clients("as", ""); got != nil {
		t.Errorf("got %v without a client id", got)
	}
}

func TestAListReplacesWhatWasThere(t *testing.T) {
	d := newDesk()
	clients := d.source(clientsAt)
	_ = clients.Add(object(t, registration("old", "id-old")))
	_ = clients.Add(object(t, registration("kept", "id-kept")))
	d.heard()
	items := []any{object(t, registration("kept", "id-moved")), object(t, registration("new", "id-new"))}
	if err := clients.Replace(items, "9"); err != nil {
		t.Fatal(err)
	}
	if got := d.heard(); !slices.Equal(got, []guard.Change{everything}) {
		t.Errorf("told %v, want a change that may concern any", got)
	}
	for id, want := range map[string]int{"id-old": 0, "id-kept": 0, "id-moved": 1, "id-new": 1} {
		if got := len(d.Clients("as", id)); got != want {
			t.Errorf("got %d registrations of %s, want %d", got, id, want)
		}
	}
	if !sent(d.news) || d.contact.seen()["as"] != "9" {
		t.Errorf("the list is not seen: %v", d.contact.seen())
	}
}

func TestWhatWasStoppedDeliversNoMore(t *testing.T) {
	d := newDesk()
	stopped := d.source(clientsAt)
	_ = stopped.Add(object(t, registration("app", "id")))
	d.end(clientsAt)
	if got := d.state("id"); got != "unknown" {
		t.Errorf("got %q, want what was delivered to be forgotten", got)
	}
	again := d.source(clientsAt)
	_ = stopped.Add(object(t, registration("app", "id")))
	_ = stopped.Replace([]any{object(t, registration("app", "id"))}, "5")
	if got := d.state("id"); got != "unknown" || again.standing.read {
		t.Errorf("got %q by a source that was stopped", got)
	}
}

func TestABadObjectStopsNoOther(t *testing.T) {
	d := newDesk()
	clients := d.source(clientsAt)
	_ = clients.Add(object(t, registration("bad", "id-bad")))
	var found list[v1alpha1.MCPClientRegistration]
	const text = `{"kind":"MCPClientRegistrationList","metadata":{"resourceVersion":"3"},"items":[
		{"metadata":{"namespace":"team","name":"good","annotations":{"mcp-registrar.dev/owner":"o","mcp-registrar.dev/expires-at":"2030-02-01T00:00:00Z"}},"status":{"clientID":"id-good"}},
		{"metadata":{"namespace":"team","name":"bad"},"status":{"clientID":"id-bad","expiresAt":"tomorrow"}},
		{"metadata":"nobody"}, 5]}`
	if err := kjson.UnmarshalCaseSensitivePreserveInts([]byte(text), &found); err != nil {
		t.Fatal(err)
	}
	var items []any
	for i := range found.Items {
		items = append(items, &found.Items[i])
	}
	if err := clients.Replace(append(items, "a text"), "3"); err != nil {
		t.Fatal(err)
	}
	if good, bad := d.state("id-good"), d.state("id-bad"); good != "" || bad != "unknown" {
		t.Errorf("good is %q and bad is %q, want the bad one to count for nothing", good, bad)
	}
}

func TestServerIsKnownWhenAllThatDecidesIsRead(t *testing.T) {
	d := newDesk()
	server := &v1alpha1.MCPServer{ObjectMeta: named("tools", "files")}
	server.Spec.AuthorizationServerRef.Name = "as"
	as := &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: "as"}}
	as.Spec.Issuer = "https://as.example.com"
	as.Spec.AccessTokens = &v1alpha1.AccessTokens{ClientIDClaims: []v1alpha1.ClaimName{"cid"}, AudienceSource: v1alpha1.AudienceSourceScopePrefix}
	server.Spec.Audience = "api://default"
	for _, step := range []struct {
		at   sourceKey
		list []any
	}{
		{serverSource(files), []any{object(t, server)}}, {issuerAt, []any{object(t, as)}}, {clientsAt, nil}, {grantsAt, nil},
		{denialsAt, nil},
	} {
		if _, known := d.Server(files); known {
			t.Errorf("the server is known before %s was read", step.at)
		}
		if err := d.source(step.at).Replace(step.list, "2"); err != nil {
			t.Fatal(err)
		}
	}
	got, known := d.Server(files)
	want := guard.Server{ServerEntry: policy.ServerOf(server), Issuer: "https://as.example.com", Tokens: policy.TokensOf(as)}
	if diff := cmp.Diff(want, got); !known || diff != "" {
		t.Errorf("server, known: %t (-want +got):\n%s", known, diff)
	}
	if got.TokenAudience() != "api://default" || !got.Tokens.ScopePrefix || got.Tokens.ClientID()[0] != "cid" {
		t.Errorf("tokens for %q are read by %+v", got.TokenAudience(), got.Tokens)
	}
}

// A server whose resource another one has is served nowhere, until it has it.
func TestAServerWithoutItsResourceIsNotKnown(t *testing.T) {
	d := newDesk()
	server := &v1alpha1.MCPServer{ObjectMeta: named("tools", "files")}
	server.Spec.AuthorizationServerRef.Name = "as"
	as := &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: "as"}}
	as.Spec.Issuer = "https://as.example.com"
	servers := d.source(serverSource(files))
	for _, step := range []struct {
		at   sourceKey
		list []any
	}{{issuerAt, []any{object(t, as)}}, {clientsAt, nil}, {grantsAt, nil}, {denialsAt, nil}} {
		if err := d.source(step.at).Replace(step.list, "2"); err != nil {
			t.Fatal(err)
		}
	}
	if err := servers.Replace([]any{object(t, server)}, "2"); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		status metav1.ConditionStatus
		reason string
		known  bool
	}{
		{metav1.ConditionTrue, v1alpha1.ReasonAccepted, true},
		{metav1.ConditionFalse, v1alpha1.ReasonResourceTaken, false},
		{metav1.ConditionTrue, v1alpha1.ReasonAccepted, true},
		{metav1.ConditionFalse, v1alpha1.ReasonOwnerMissing, true},
	} {
		server.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: c.status, Reason: c.reason}}
		if err := servers.Update(object(t, server)); err != nil {
			t.Fatal(err)
		}
		if _, known := d.Server(files); known != c.known {
			t.Errorf("%d: with Accepted=%s/%s the server is known: %t", i, c.status, c.reason, known)
		}
	}
}
