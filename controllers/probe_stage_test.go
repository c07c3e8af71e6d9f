// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
	"github.com/mcp-registrar/mcp-registrar/internal/probe"
)

// scripted is a prober that answers as told, and keeps the questions.
type scripted struct {
	answer func(ctx context.Context, q probe.Question) policy.ProbeFacts

	mu        sync.Mutex
	questions []probe.Question
}

func (s *scripted) Ask(ctx context.Context, q probe.Question) policy.ProbeFacts {
	s.mu.Lock()
	s.questions = append(s.questions, q)
	s.mu.Unlock()
	return s.answer(ctx, q)
}

func (s *scripted) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.questions)
}

// goodFacts are those about a server of the stage that does everything right.
func goodFacts() policy.ProbeFacts {
	return policy.ProbeFacts{
		Contact: policy.Contacted, Anonymous: []policy.ProbeAnswer{policy.AnswerChallenged}, MetadataIs: policy.MetadataFound,
		Metadata: policy.ProbeMetadata{Resource: "https://mcp.example.com/invoices", AuthorizationServers: []string{"https://auth.example.com"}},
	}
}

// showing has the server probed; what is seen is good but for a change.
func (s *stage) showing(change func(*policy.ProbeFacts)) *scripted {
	prober := &scripted{answer: func(context.Context, probe.Question) policy.ProbeFacts {
		facts := goodFacts()
		change(&facts)
		return facts
	}}
	s.probedBy(prober)
	return prober
}

// probedBy gives the reconciler of servers new probes, as a restart does.
func (s *stage) probedBy(prober Prober) {
	s.servers.Probes = (&Probes{
		Client: s.Client, Clock: s.clock, Prober: prober, Servers: s.registrations.Servers,
		Records: s.registrations.Records, Credentials: s.registrations.Credentials, Metrics: NewMetrics(prometheus.NewRegistry()), Interval: time.Hour,
	}).begin()
	s.t.Cleanup(s.servers.Probes.queue.ShutDown)
}

func (s *stage) liveServer() *v1alpha1.MCPServer {
	s.t.Helper()
	var server v1alpha1.MCPServer
	if err := s.Get(s.t.Context(), client.ObjectKeyFromObject(s.server), &server); err != nil {
		s.t.Fatal(err)
	}
	return &server
}

func protectedReason(server *v1alpha1.MCPServer) string {
	c := meta.FindStatusCondition(server.Status.Conditions, v1alpha1.ConditionProtected)
	if c == nil {
		return "none"
	}
	return string(c.Status) + "/" + c.Reason
}

// withCanary makes the registration of the stage one by which the server can be
// asked.
func (s *stage) withCanary() {
	s.reg.Namespace, s.grant.Namespace, s.grant.Spec.ServerRef.Namespace = serversPlace, serversPlace, ""
	s.namespace.Name = serversPlace
	s.server.Spec.Scopes[0].Tools = []string{"get"}
	s.server.Spec.Probe = &v1alpha1.Probe{ClientRef: &v1alpha1.LocalReference{Name: s.reg.Name}}
}

// TestProbesOverALife holds what the status says before there is an answer, after
// a restart, after a change for the worse, and when probes are turned off.
func TestProbesOverALife(t *testing.T) {
	s := newStage(t, "life")
	s.showing(func(*policy.ProbeFacts) {})
	s.begin()
	good := s.liveServer()
	if got := protectedReason(good); got != "True/Protected" {
		t.Fatalf("at first: %s", got)
	}
	s.settle()
	if got := s.liveServer(); got.ResourceVersion != good.ResourceVersion {
		t.Errorf("written again without a change:\n%s", cmp.Diff(good, got))
	}
	silent := &scripted{answer: func(context.Context, probe.Question) policy.ProbeFacts { return policy.ProbeFacts{} }}
	s.probedBy(silent)
	if _, err := s.servers.Reconcile(t.Context(), s.liveServer()); err != nil {
		t.Fatal(err)
	}
	if got := s.liveServer(); got.ResourceVersion != good.ResourceVersion || silent.asked() != 0 {
		t.Errorf("after a restart: asked %d times\n%s", silent.asked(), cmp.Diff(good, got))
	}
	s.showing(func(f *policy.ProbeFacts) { f.Anonymous[0] = policy.AnswerAccepted })
	s.settle()
	if got := protectedReason(s.liveServer()); got != "False/AnonymousAccepted" {
		t.Errorf("after a change for the worse: %s", got)
	}
	if n := testutil.ToFloat64(s.servers.Probes.Metrics.probes.WithLabelValues(v1alpha1.ReasonAnonymousAccepted)); n < 1 {
		t.Errorf("counted %v times", n)
	}
	prober := s.showing(func(*policy.ProbeFacts) {})
	edit(s, s.server, func(server *v1alpha1.MCPServer) { server.Spec.Probe = &v1alpha1.Probe{Mode: v1alpha1.ProbeDisabled} })
	if got := protectedReason(s.liveServer()); got != "none" || prober.asked() != 0 {
		t.Errorf("off: %s, asked %d times", got, prober.asked())
	}
	edit(s, s.server, func(server *v1alpha1.MCPServer) { server.Spec.Probe = nil })
	if got := protectedReason(s.liveServer()); got != "True/Protected" {
		t.Errorf("on again: %s", got)
	}
	s.servers.Probes = nil
	s.settle()
	if got := protectedReason(s.liveServer()); got != "none" {
		t.Errorf("without probes: %s", got)
	}
}

// TestAServerThatIsNotAcceptedIsNotAsked holds that nobody makes the operator
// dial who may not have a server.
func TestAServerThatIsNotAcceptedIsNotAsked(t *testing.T) {
	s := newStage(t, "refused")
	prober := s.showing(func(*policy.ProbeFacts) {})
	unowned(s.server)
	s.begin()
	if got := protectedReason(s.liveServer()); got != "none" || prober.asked() != 0 {
		t.Errorf("%s, asked %d times", got, prober.asked())
	}
}

// TestProbeByAClient holds which token is lent, that the place at the
// authorization server is free while it is used, and what becomes of the tools.
func TestProbeByAClient(t *testing.T) {
	s := newStage(t, "canary")
	s.withCanary()
	tools := []v1alpha1.ToolDigest{{Name: "get", Digest: "1"}, {Name: "zap", Digest: "2"}}
	var lent []string
	s.probedBy(&scripted{answer: func(ctx context.Context, q probe.Question) policy.ProbeFacts {
		facts := goodFacts()
		if q.Borrow == nil {
			return facts
		}
		err := q.Borrow(ctx, q.Resource, func(token authserver.Secret, said authserver.TokenFacts) error {
			if n := s.connector.Gate("company").Inside(); n != 0 {
				t.Errorf("%d places are taken while a token is used", n)
			}
			lent = said.Scopes
			if token.IsZero() || !slices.Equal(said.Audience, []string{s.server.Spec.Resource}) {
				t.Errorf("lent: %+v", said)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		facts.ToolsAre, facts.Tools, facts.Audience = policy.Present, tools, policy.AudienceCompared
		return facts
	}})
	s.begin()
	got := s.liveServer()
	if protectedReason(got) != "True/Protected" || !slices.Equal(lent, []string{"invoices:read"}) {
		t.Errorf("%s, lent for %v", protectedReason(got), lent)
	}
	if !slices.Equal(got.Status.Tools, tools) || !slices.Equal(got.Status.UnmappedTools, []string{"zap"}) {
		t.Errorf("%v, %v", got.Status.Tools, got.Status.UnmappedTools)
	}
	edit(s, s.server, func(server *v1alpha1.MCPServer) { server.Spec.Scopes[0].Tools = []string{"get", "zap"} })
	if got := s.liveServer(); len(got.Status.UnmappedTools) != 0 {
		t.Errorf("mapped after all: %v", got.Status.UnmappedTools)
	}
	edit(s, s.reg, suspend)
	got = s.liveServer()
	if protectedReason(got) != "Unknown/Unclear" || !slices.Equal(got.Status.Tools, tools) {
		t.Errorf("without its client: %s, %v", protectedReason(got), got.Status.Tools)
	}
	s.connector.Gate("company").Close(time.Hour)
	record := s.servers.Probes.borrower(s.reg, policy.ProbePlan{})
	if err := record(t.Context(), "", nil); err == nil {
		t.Error("a token of a client that is gone")
	}
}

// TestNoPlaceNoToken holds that a busy authorization server is left alone.
func TestNoPlaceNoToken(t *testing.T) {
	s := newStage(t, "busy")
	s.withCanary()
	s.showing(func(*policy.ProbeFacts) {})
	s.begin()
	s.connector.Gate("company").Close(time.Hour)
	var failure *authserver.Error
	err := s.servers.Probes.borrower(s.reg, policy.ProbePlan{})(t.Context(), "", nil)
	if !errors.As(err, &failure) || !failure.Unsent {
		t.Errorf("%v", err)
	}
}

// TestTheTurns runs the workers: a server that does not answer keeps nobody
// waiting, and each is asked again in its turn.
func TestTheTurns(t *testing.T) {
	s := newStage(t, "turns")
	s.begin()
	slow := s.liveServer()
	quick := slow.DeepCopy()
	quick.ObjectMeta = metav1.ObjectMeta{Namespace: serversPlace, Name: "quick", UID: "quick", Annotations: slow.Annotations}
	quick.Spec.Resource, quick.Status = "https://mcp.example.com/quick", v1alpha1.MCPServerStatus{}
	s.create(quick)
	prober := &scripted{answer: func(ctx context.Context, q probe.Question) policy.ProbeFacts {
		if q.Resource == slow.Spec.Resource {
			<-ctx.Done()
		}
		return goodFacts()
	}}
	s.probedBy(prober)
	probes := s.servers.Probes
	probes.Interval = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- probes.Start(ctx) }()
	for _, server := range []*v1alpha1.MCPServer{slow, quick} {
		if _, err := s.servers.Reconcile(ctx, server); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.After(time.Minute)
	select {
	case e := <-probes.changed:
		if e.Object.GetName() != "quick" {
			t.Errorf("%s is to be reconciled", e.Object.GetName())
		}
	case <-deadline:
		t.Fatal("the other server was not asked")
	}
	for prober.asked() < 5 {
		select {
		case e := <-probes.changed:
			t.Fatalf("%s changed", e.Object.GetName())
		case <-deadline:
			t.Fatal("it was not asked again")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if _, known := probes.found(slow); known {
		t.Error("there are facts about a server that did not answer")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestAServerThatIsGoneIsForgotten holds that memory does not grow.
func TestAServerThatIsGoneIsForgotten(t *testing.T) {
	s := newStage(t, "gone")
	s.showing(func(*policy.ProbeFacts) {})
	s.begin()
	s.vanish(s.liveServer())
	probes := s.servers.Probes
	probes.turn(t.Context(), types.NamespacedName{Namespace: serversPlace, Name: "invoices"})
	if len(probes.known) != 0 {
		t.Errorf("%v are known", probes.known)
	}
}

func TestWhatIsAskedAnew(t *testing.T) {
	s := newStage(t, "trigger")
	subject := policy.ProbeSubject{Server: s.server, AuthorizationServer: policy.AuthorizationServerFact{Is: policy.Present, Object: s.issuer}}
	plan := policy.ProbePlan{On: true}
	seen := map[string]bool{triggerOf(subject, plan): true}
	discovered := s.issuer.DeepCopy()
	discovered.Status.Metadata = &v1alpha1.ServerMetadata{}
	later := s.server.DeepCopy()
	later.Generation++
	for name, other := range map[string]string{
		"a change of the spec":                           triggerOf(policy.ProbeSubject{Server: later, AuthorizationServer: subject.AuthorizationServer}, plan),
		"the authorization server became ready":          triggerOf(policy.ProbeSubject{Server: s.server, AuthorizationServer: policy.AuthorizationServerFact{Object: discovered}}, plan),
		"the client can be used":                         triggerOf(subject, policy.ProbePlan{On: true, WithClient: true}),
		"the client has other scopes":                    triggerOf(subject, policy.ProbePlan{On: true, WithClient: true, Scopes: []string{"a"}}),
		"something else is in the way of the client":     triggerOf(subject, policy.ProbePlan{On: true, Obstacle: "gone"}),
		"the authorization server moved to this machine": triggerOf(subject, policy.ProbePlan{On: true, Loopback: true}),
	} {
		if seen[other] {
			t.Errorf("%s: nothing is asked", name)
		}
		seen[other] = true
	}
}
