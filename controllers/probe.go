// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
	"github.com/mcp-registrar/mcp-registrar/internal/probe"
)

const (
	// probeWorkers is how many servers are asked at one time.
	probeWorkers = 4
	// probeAgain is how long after an answer that failed to come a server is
	// asked once more, ahead of its turn.
	probeAgain = time.Minute
)

// errNotRegistered says that the client of a probe is not registered after all.
var errNotRegistered = errors.New("the client is not registered")

// Prober asks a live MCP server and says what was seen.
type Prober interface {
	Ask(ctx context.Context, question probe.Question) policy.ProbeFacts
}

// Probes asks live MCP servers, each in its turn and after each change that
// matters, outside of any reconciler. What was seen last is kept in memory; a
// server of which it changed is reconciled.
type Probes struct {
	Client      client.Reader
	Clock       clock.PassiveClock
	Prober      Prober
	Servers     *Servers
	Records     *Records
	Credentials *Credentials
	Metrics     *Metrics
	// Interval is the time from one turn of a server to the next, give or take
	// a tenth.
	Interval time.Duration

	queue   workqueue.TypedDelayingInterface[types.NamespacedName]
	changed chan event.GenericEvent

	mu    sync.Mutex
	known map[types.NamespacedName]probed
}

// probed is what is known of one server.
type probed struct {
	uid types.UID
	// trigger is what the server is asked because of.
	trigger string
	// asked says that there are facts, found as planned.
	asked bool
	plan  policy.ProbePlan
	facts policy.ProbeFacts
}

// begin makes what is kept in memory.
func (p *Probes) begin() *Probes {
	p.queue = workqueue.NewTypedDelayingQueue[types.NamespacedName]()
	p.changed = make(chan event.GenericEvent, 1024)
	p.known = map[types.NamespacedName]probed{}
	return p
}

// Start asks servers until the context ends. Only the leader does.
func (p *Probes) Start(ctx context.Context) error {
	var workers sync.WaitGroup
	for range probeWorkers {
		workers.Go(func() {
			for {
				key, ended := p.queue.Get()
				if ended {
					return
				}
				p.turn(ctx, key)
				p.queue.Done(key)
			}
		})
	}
	<-ctx.Done()
	p.queue.ShutDown()
	workers.Wait()
	return nil
}

// want has a server asked as planned: at once after a change that matters, and
// in its turn otherwise. A server that was asked before a restart keeps its turn.
func (p *Probes) want(s policy.ProbeSubject, plan policy.ProbePlan) {
	key := client.ObjectKeyFromObject(s.Server)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !plan.On {
		delete(p.known, key)
		return
	}
	trigger := triggerOf(s, plan)
	known, found := p.known[key]
	switch {
	case !found || known.uid != s.Server.UID:
		p.known[key] = probed{uid: s.Server.UID, trigger: trigger}
		delay := time.Duration(0)
		if c := meta.FindStatusCondition(s.Server.Status.Conditions, v1alpha1.ConditionProtected); c != nil && c.ObservedGeneration == s.Server.Generation {
			delay = time.Duration(share(s.Server.UID) * float64(p.Interval))
		}
		p.queue.AddAfter(key, delay)
	case known.trigger != trigger:
		known.trigger = trigger
		p.known[key] = known
		p.queue.Add(key)
	}
}

// triggerOf tells apart what a server has to be asked anew for.
func triggerOf(s policy.ProbeSubject, plan policy.ProbePlan) string {
	as := s.AuthorizationServer.Object
	discovered := as != nil && as.Status.Metadata != nil
	return fmt.Sprintf("%d %t %+v", s.Server.Generation, discovered, plan)
}

// found is what was seen at a server, and how it was asked.
func (p *Probes) found(server *v1alpha1.MCPServer) (probed, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.known[client.ObjectKeyFromObject(server)]
	return known, known.asked && known.uid == server.UID
}

// turn asks one server. A server that is gone is forgotten.
func (p *Probes) turn(ctx context.Context, key types.NamespacedName) {
	var server v1alpha1.MCPServer
	err := p.Client.Get(ctx, key, &server)
	if apierrors.IsNotFound(err) {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.known, key)
		return
	}
	var s policy.ProbeSubject
	if err == nil {
		s, err = p.observe(ctx, &server)
	}
	if err != nil {
		logf.FromContext(ctx).V(1).Info("Probe put off", "server", key, "reason", err.Error())
		p.queue.AddAfter(key, probeAgain)
		return
	}
	plan := policy.Probe(s, p.Clock.Now())
	if !plan.On {
		return
	}
	question := probe.Question{
		Resource: server.Spec.Resource, Audience: policy.AudienceOf(&server), Tokens: plan.Tokens, Loopback: plan.Loopback,
	}
	if plan.WithClient {
		question.Borrow = p.borrower(s.Client, plan)
	}
	facts := p.Prober.Ask(ctx, question)
	if ctx.Err() != nil {
		return
	}
	verdict := policy.Protection(s, plan, facts)
	p.Metrics.Probed(verdict.Reason)
	next := time.Duration((0.9 + 0.2*share(server.UID)) * float64(p.Interval))
	if p.keep(ctx, &server, plan, facts) && verdict.Status == metav1.ConditionUnknown {
		// It may have been asked before it, or its guard, was ready.
		next = min(next, probeAgain)
	}
	p.queue.AddAfter(key, next)
}

// keep notes what was seen, and has the server reconciled if it is something
// else than before.
func (p *Probes) keep(ctx context.Context, server *v1alpha1.MCPServer, plan policy.ProbePlan, facts policy.ProbeFacts) bool {
	key := client.ObjectKeyFromObject(server)
	p.mu.Lock()
	known, wanted := p.known[key]
	same := known.asked && reflect.DeepEqual(known.facts, facts) && reflect.DeepEqual(known.plan, plan)
	if !wanted || known.uid != server.UID || same {
		p.mu.Unlock()
		return false
	}
	known.asked, known.plan, known.facts = true, plan, facts
	p.known[key] = known
	p.mu.Unlock()
	select {
	case p.changed <- event.GenericEvent{Object: server}:
	case <-ctx.Done():
	}
	return true
}

// share is a number from 0 to 1 that is a server's own.
func share(uid types.UID) float64 {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(uid))
	return float64(hash.Sum32()) / (1 << 32)
}

// observe gathers what it takes to ask a server.
func (p *Probes) observe(ctx context.Context, server *v1alpha1.MCPServer) (policy.ProbeSubject, error) {
	as, asErr := getAuthorizationServer(ctx, p.Client, server.Spec.AuthorizationServerRef.Name)
	namespace, nsErr := getNamespace(ctx, p.Client, server.Namespace)
	others, claimErr := claims(ctx, p.Client, server)
	room, roomErr := newRooms(p.Client, nil).ofServer(ctx, server)
	verdict := policy.Server(policy.ServerFacts{Server: server, AuthorizationServer: as, Namespace: namespace, Claims: others, Room: room})
	s := policy.ProbeSubject{Server: server, AuthorizationServer: as, Verdict: verdict}
	return s, errors.Join(asErr, nsErr, claimErr, roomErr, p.observeClient(ctx, &s))
}

// observeClient reads the client that a server names, and the server's grants.
func (p *Probes) observeClient(ctx context.Context, s *policy.ProbeSubject) error {
	if s.Server.Spec.Probe == nil || s.Server.Spec.Probe.ClientRef == nil {
		return nil
	}
	var reg v1alpha1.MCPClientRegistration
	err := p.Client.Get(ctx, types.NamespacedName{Namespace: s.Server.Namespace, Name: s.Server.Spec.Probe.ClientRef.Name}, &reg)
	switch {
	case apierrors.IsNotFound(err):
		s.ClientIs = policy.Absent
		return nil
	case err != nil:
		return wrap("reading the client of the probe", err)
	}
	var grants v1alpha1.ScopeGrantList
	if err := p.Client.List(ctx, &grants, client.MatchingFields{indexGrantServer: s.Server.Namespace + "/" + s.Server.Name}); err != nil {
		return wrap("listing grants", err)
	}
	s.Client, s.ClientIs, s.Grants = &reg, policy.Present, grants.Items
	return nil
}

// borrower lends tokens of a client, with a place at the authorization server
// for as long as that is asked.
func (p *Probes) borrower(reg *v1alpha1.MCPClientRegistration, plan policy.ProbePlan) func(context.Context, string, func(authserver.Secret, authserver.TokenFacts) error) error {
	return func(ctx context.Context, resource string, use func(authserver.Secret, authserver.TokenFacts) error) error {
		record, _, err := p.Records.Get(ctx, reg.UID)
		if err == nil && !record.Live() {
			err = errNotRegistered
		}
		if err != nil {
			return err
		}
		credentials, _, err := p.Credentials.Get(ctx, reg)
		if err != nil {
			return err
		}
		_, leave, err := p.Servers.Enter(ctx, record.Connection, authserver.Routine)
		if err != nil {
			return err
		}
		defer leave()
		examiner, err := p.Servers.Examine(ctx, record.Connection)
		if err != nil {
			return err
		}
		question := authserver.TokenQuestion{
			Handle: record.Handle(credentials, p.Clock.Now()), Scopes: plan.Scopes, Resource: resource, ScopeClaims: plan.Tokens.Scope(),
		}
		return examiner.Borrow(ctx, question, func(token authserver.Secret, facts authserver.TokenFacts) error {
			leave()
			return use(token, facts)
		})
	}
}

// watched adds the watches that probes need: what was seen changed, or the
// authorization server became usable.
func (p *Probes) watched(b *builder.Builder, ofAuthorizationServer handler.MapFunc) *builder.Builder {
	if p == nil {
		return b
	}
	return b.WatchesRawSource(source.Channel(p.changed, &handler.EnqueueRequestForObject{})).
		Watches(&v1alpha1.AuthorizationServer{}, handler.EnqueueRequestsFromMapFunc(ofAuthorizationServer),
			builder.WithPredicates(predicate.And(usableChanged(), updatesOnly())))
}
