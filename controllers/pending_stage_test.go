// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
)

// pend creates grants that wait for approval, with their registrations.
func (s *stage) pend(namespace string, many int, change func(*v1alpha1.MCPClientRegistration)) {
	s.t.Helper()
	for i := range many {
		reg, grant := s.reg.DeepCopy(), s.grant.DeepCopy()
		for _, o := range []client.Object{reg, grant} {
			o.SetNamespace(namespace)
			o.SetName(fmt.Sprintf("m%02d", i))
			o.SetResourceVersion("")
			o.SetUID("")
			o.SetFinalizers(nil)
		}
		grant.Spec.ClientRef.Name = reg.Name
		change(reg)
		s.create(reg, grant)
		grant.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonApprovalRequired, LastTransitionTime: metav1.NewTime(begun)}}
		if err := s.Status().Update(s.t.Context(), grant); err != nil {
			s.t.Fatal(err)
		}
	}
}

// shownOf counts what the status of the server shows by namespace.
func (s *stage) shownOf() (shown map[string]int, status v1alpha1.MCPServerStatus) {
	s.t.Helper()
	if _, err := s.servers.Reconcile(s.t.Context(), s.storedServer(s.t)); err != nil {
		s.t.Fatal(err)
	}
	status, shown = s.storedServer(s.t).Status, map[string]int{}
	for _, p := range status.PendingGrants {
		shown[p.Namespace]++
	}
	return shown, status
}

// One tenant's grants do not keep another's out of what is shown, however many or large.
func TestWhatWaitsIsShownInTurn(t *testing.T) {
	s := newStage(t, "in-turn")
	s.elevate()
	s.installPolicies()
	s.begin()
	s.pend("aaa", maxPending+10, func(*v1alpha1.MCPClientRegistration) {})
	shown, status := s.shownOf()
	if shown["aaa"] != maxPending-1 || shown[s.grant.Namespace] != 1 {
		t.Errorf("shown are %v", shown)
	}
	want := []v1alpha1.OmittedGrants{{Namespace: "aaa", Grants: 11}}
	if status.PendingGrantsOmitted != 11 || !slices.Equal(status.PendingGrantsOmittedIn, want) {
		t.Errorf("%d are left out: %v", status.PendingGrantsOmitted, status.PendingGrantsOmittedIn)
	}
	if !slices.IsSortedFunc(status.PendingGrants, func(a, b v1alpha1.PendingGrant) int {
		return slices.Compare([]string{a.Namespace, a.Name}, []string{b.Namespace, b.Name})
	}) {
		t.Error("not by namespace and name")
	}
	again, _ := s.shownOf()
	if again["aaa"] != shown["aaa"] {
		t.Errorf("first %v, then %v", shown, again)
	}
}

// Large ones have fewer places, and one without a registration has none.
func TestWhatWaitsIsBoundedInSize(t *testing.T) {
	s := newStage(t, "large")
	s.elevate()
	s.installPolicies()
	s.begin()
	s.pend("aaa", maxPending, func(reg *v1alpha1.MCPClientRegistration) {
		for i := range 31 {
			reg.Spec.RedirectURIs = append(reg.Spec.RedirectURIs, v1alpha1.RedirectURI(fmt.Sprintf("https://app.example.com/%0480d", i)))
		}
	})
	var gone v1alpha1.MCPClientRegistration
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: "aaa", Name: "m00"}, &gone); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), &gone); err != nil {
		t.Fatal(err)
	}
	shown, status := s.shownOf()
	if shown[s.grant.Namespace] != 1 || shown["aaa"] < 15 || shown["aaa"] > 30 || shown["aaa"]+int(status.PendingGrantsOmitted) != maxPending-1 {
		t.Errorf("shown are %v, left out %d", shown, status.PendingGrantsOmitted)
	}
	for _, p := range status.PendingGrants {
		if p.Digest == "" {
			t.Errorf("%s/%s fits, and has no digest: %s", p.Namespace, p.Name, p.Message)
		}
	}
}

// What is shown of a grant whose tools changed follows the registration: the digest
// that an owner copies is of what is there.
func TestWhatIsLookedAtAgainFollowsTheClient(t *testing.T) {
	s := newStage(t, "review")
	s.decided(v1alpha1.DecisionApproved)
	server := s.storedServer(t)
	if woken := s.servers.ofRegistration(t.Context(), s.reg); len(woken) != 0 {
		t.Errorf("nothing is to be looked at, and %v is woken", woken)
	}
	var grant v1alpha1.ScopeGrant
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(s.grant), &grant); err != nil {
		t.Fatal(err)
	}
	grant.Status.Conditions = append(grant.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionReviewRequired, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonToolsChanged, LastTransitionTime: metav1.NewTime(begun),
	})
	if err := s.Status().Update(t.Context(), &grant); err != nil {
		t.Fatal(err)
	}
	if shown, _ := s.shownOf(); shown[grant.Namespace] != 1 {
		t.Fatalf("shown are %v", shown)
	}
	want := []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(server)}}
	if woken := s.servers.ofRegistration(t.Context(), s.reg); !slices.Equal(woken, want) {
		t.Errorf("a change of the registration wakes %v", woken)
	}
}

// Who rests on an approval is woken when the policies go, also before the status of
// the grant says by what it is in force.
func TestPoliciesGoBeforeTheGrantTellsOfItsApproval(t *testing.T) {
	s := newStage(t, "untold")
	s.decided(v1alpha1.DecisionApproved)
	if len(s.as.Clients()) != 1 {
		t.Fatal("no client lives by the approval")
	}
	var grant v1alpha1.ScopeGrant
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(s.grant), &grant); err != nil {
		t.Fatal(err)
	}
	grant.Status.Approval, grant.Status.Conditions = nil, nil
	if err := s.Status().Update(t.Context(), &grant); err != nil {
		t.Fatal(err)
	}
	want := []reconcile.Request{{NamespacedName: clientOf(&grant)}}
	if woken := s.registrations.ofApproved(t.Context(), nil); !slices.Equal(woken, want) {
		t.Errorf("of the clients are woken %v", woken)
	}
	want = []reconcile.Request{{NamespacedName: self(&grant)}}
	if woken := s.scopeGrants.ofAdmission(t.Context(), nil); !slices.Equal(woken, want) {
		t.Errorf("of the grants are woken %v", woken)
	}
}

// A denial takes something away: its client goes before others, as when an approval is
// deleted. What was there at the start and what gives something waits its turn.
func TestDenialGoesFirst(t *testing.T) {
	s := newStage(t, "denied-first")
	s.decided(v1alpha1.DecisionApproved)
	decision := func(of v1alpha1.ApprovalDecision) *v1alpha1.ScopeGrantApproval {
		return &v1alpha1.ScopeGrantApproval{
			ObjectMeta: metav1.ObjectMeta{Namespace: serversPlace, Name: "no", UID: "no"},
			Spec: v1alpha1.ScopeGrantApprovalSpec{
				ServerRef: v1alpha1.ApprovedServer{Name: "invoices"}, Decision: of,
				GrantRef: &v1alpha1.ApprovedGrant{Namespace: s.grant.Namespace, Name: s.grant.Name, UID: string(s.grant.UID), Generation: 1},
			},
		}
	}
	for name, c := range map[string]struct {
		event any
		first bool
	}{
		"approval deleted":    {event.DeleteEvent{Object: decision(v1alpha1.DecisionApproved)}, true},
		"approval created":    {event.CreateEvent{Object: decision(v1alpha1.DecisionApproved)}, false},
		"denial created":      {event.CreateEvent{Object: decision(v1alpha1.DecisionDenied)}, true},
		"denial at the start": {event.CreateEvent{Object: decision(v1alpha1.DecisionDenied), IsInInitialList: true}, false},
		"grant created":       {event.CreateEvent{Object: s.grant}, false},
	} {
		q := priorityqueue.New[reconcile.Request]("denied-first " + name)
		of := s.registrations.ofApproval
		if name == "grant created" {
			of = ofGrant
		}
		switch e := c.event.(type) {
		case event.DeleteEvent:
			first(of).Delete(t.Context(), e, q)
		case event.CreateEvent:
			first(of).Create(t.Context(), e, q)
		}
		request, priority, _ := q.GetWithPriority()
		q.ShutDown()
		if request.NamespacedName != clientOf(s.grant) || (priority == priorityRevoke) != c.first {
			t.Errorf("%s: %v has priority %d", name, request, priority)
		}
	}
}

// An approval that is void holds again when the change is undone, and so does one when
// the denial of it is gone; neither is told of as if somebody had decided again.
func TestWhatCountsAgainIsNoSecondDecision(t *testing.T) {
	s := newStage(t, "restored")
	record := &tape{}
	s.scopeGrants.Audit = record
	s.decided(v1alpha1.DecisionApproved)
	name := s.reg.Spec.ClientName
	rename := func(to string) {
		editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.ClientName = to })
		s.settle()
	}
	rename("Bank")
	if len(s.as.Clients()) != 0 {
		t.Error("a client lives by a void approval")
	}
	rename(name)
	denial := &v1alpha1.ScopeGrantApproval{
		ObjectMeta: metav1.ObjectMeta{Namespace: serversPlace, Name: "no", UID: "no", CreationTimestamp: metav1.NewTime(begun)},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef: v1alpha1.ApprovedServer{Name: "invoices"}, Decision: v1alpha1.DecisionDenied,
			GrantRef: &v1alpha1.ApprovedGrant{Namespace: s.grant.Namespace, Name: s.grant.Name, UID: string(s.grant.UID), Generation: 1},
		},
	}
	s.create(denial)
	s.settle()
	if err := s.Delete(t.Context(), denial); err != nil {
		t.Fatal(err)
	}
	s.settle()
	if len(s.as.Clients()) != 1 {
		t.Error("the approval does not hold again")
	}
	var told []string
	for _, e := range record.events {
		told = append(told, strings.TrimSuffix(string(e.Type)+" "+e.Data.Message, " "))
	}
	want := []string{
		string(audit.GrantRequested), string(audit.GrantApproved),
		string(audit.ApprovalVoided) + ` client name: was "` + name + `", is "Bank"`, string(audit.DecisionRestored) + " Approved",
		string(audit.GrantDenied), string(audit.DecisionRestored) + " Approved",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("on the record (-want +got):\n%s", diff)
	}
}

// Of the decisions that were told of the last are kept, and the same list every time.
func TestRecordedApprovals(t *testing.T) {
	var before, after v1alpha1.ScopeGrantStatus
	before.Approval = &v1alpha1.Approval{UID: "from-before"}
	for i := range 20 {
		after.Approval = &v1alpha1.Approval{UID: fmt.Sprint(i)}
		after.RecordedApprovals = recordedApprovals(before, after)
		before = after
	}
	if got := after.RecordedApprovals; len(got) != maxRecorded || got[0] != "4" || got[15] != "19" {
		t.Errorf("%q", got)
	}
	after.Approval = nil
	if got := recordedApprovals(before, after); !slices.Equal(got, before.RecordedApprovals) {
		t.Errorf("%q", got)
	}
	if got := recordedApprovals(v1alpha1.ScopeGrantStatus{Approval: &v1alpha1.Approval{UID: "a"}}, v1alpha1.ScopeGrantStatus{Approval: &v1alpha1.Approval{UID: "b"}}); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
}

// approvesShown has an owner approve the grant with what they were shown of it.
func (s *stage) approvesShown(name string, p v1alpha1.PendingGrant) {
	s.t.Helper()
	server := s.storedServer(s.t)
	s.create(&v1alpha1.ScopeGrantApproval{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: server.Namespace, Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(s.clock.Now()),
			Annotations: map[string]string{v1alpha1.AnnotationApprovedBy: "olga"},
		},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef:    v1alpha1.ApprovedServer{Name: server.Name, UID: string(server.UID)},
			GrantRef:     &v1alpha1.ApprovedGrant{Namespace: p.Namespace, Name: p.Name, UID: p.UID, Generation: p.Generation},
			Registration: &p.Registration, Digest: p.Digest, ToolsDigest: p.ToolsDigest, RequestedBy: p.RequestedBy, Decision: v1alpha1.DecisionApproved,
		},
	})
	s.later(time.Minute)
}

// offers has the live server offer a tool with a definition.
func (s *stage) offers(definition string) {
	s.t.Helper()
	server := s.storedServer(s.t)
	server.Status.Tools = []v1alpha1.ToolDigest{{Name: "pay", Digest: definition}}
	if err := s.Status().Update(s.t.Context(), server); err != nil {
		s.t.Fatal(err)
	}
}

// What changed after an owner had looked is not approved with what they looked at: the
// review stands until they look again.
func TestReviewIsOfWhatWasShown(t *testing.T) {
	s := newStage(t, "review-of-shown")
	s.elevate()
	s.installPolicies()
	at := slices.IndexFunc(s.server.Spec.Scopes, func(scope v1alpha1.Scope) bool { return scope.Name == "invoices:write" })
	s.server.Spec.Scopes[at].Tools = []string{"pay"}
	s.begin()
	s.offers("v1")
	s.later(time.Minute)
	shown := func(changed ...string) v1alpha1.PendingGrant {
		t.Helper()
		pending := s.storedServer(t).Status.PendingGrants
		if len(pending) != 1 || pending[0].Digest == "" || pending[0].ToolsDigest == "" || !slices.Equal(pending[0].ChangedTools, changed) {
			t.Fatalf("shown is %+v, want changed tools %q", pending, changed)
		}
		return pending[0]
	}
	settled := func() {
		t.Helper()
		if pending := s.storedServer(t).Status.PendingGrants; len(pending) != 0 || len(s.as.Clients()) != 1 {
			t.Fatalf("%d clients, shown is %+v", len(s.as.Clients()), pending)
		}
	}
	s.approvesShown("first", shown())
	settled()

	s.offers("v2")
	s.later(time.Minute)
	before := shown("pay")
	s.offers("v3")
	s.approvesShown("again", before)
	if now := shown("pay"); now.ToolsDigest == before.ToolsDigest {
		t.Error("what is shown is not what is there")
	}
	s.approvesShown("looked-again", shown("pay"))
	settled()
}

// A grant that comes into force after its tools changed since the look is to be
// reviewed from the start, and is in force all the same.
func TestReviewFromTheStart(t *testing.T) {
	s := newStage(t, "review-at-first")
	s.elevate()
	s.installPolicies()
	at := slices.IndexFunc(s.server.Spec.Scopes, func(scope v1alpha1.Scope) bool { return scope.Name == "invoices:write" })
	s.server.Spec.Scopes[at].Tools = []string{"pay"}
	s.begin()
	s.offers("v1")
	s.later(time.Minute)
	looked := s.storedServer(t).Status.PendingGrants[0]
	s.offers("v2")
	s.approvesShown("stale", looked)
	pending := s.storedServer(t).Status.PendingGrants
	if len(s.as.Clients()) != 1 || len(pending) != 1 || !slices.Equal(pending[0].ChangedTools, []string{"pay"}) {
		t.Errorf("%d clients, shown is %+v", len(s.as.Clients()), pending)
	}
}
