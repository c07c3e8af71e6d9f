// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// A stray is a record whose registration is gone. Its client is too, unless somebody
// took the finalizer off.

// Strays is what is known of strays beside their records: which of them could not be
// dealt with so far, for those who count them.
type Strays struct {
	mu sync.Mutex
	// held are the names of the records whose client could not be deleted, or not be
	// proven to be gone.
	held map[string]bool
	// worked are the registrations that are worked on, with how often: an answer about
	// the client may be under way.
	worked map[types.UID]int
	// inside is how many are dealt with at one time, by authorization server.
	inside map[string]int
	// changed has the records counted.
	changed chan event.GenericEvent
}

// NewStrays knows nothing yet.
func NewStrays() *Strays {
	return &Strays{
		held: map[string]bool{}, worked: map[types.UID]int{}, inside: map[string]int{},
		changed: make(chan event.GenericEvent, 1024),
	}
}

// Held reports whether the client of a stray could not be deleted so far.
func (s *Strays) Held(record string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[record]
}

// hold notes a stray that could not be dealt with.
func (s *Strays) hold(record *corev1.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[record.Name] {
		return
	}
	s.held[record.Name] = true
	select {
	case s.changed <- event.GenericEvent{Object: record}:
	default:
		// As many others wait to be counted.
	}
}

// forget forgets a record that is no stray any more, or one that was dealt with.
func (s *Strays) forget(record string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, record)
}

// work notes that a registration is worked on until done is called. A nil receiver
// notes nothing.
func (s *Strays) work(uid types.UID) (done func()) {
	if s == nil {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worked[uid]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.worked[uid]--; s.worked[uid] == 0 {
			delete(s.worked, uid)
		}
	}
}

// straysAtOnce is how many strays are dealt with at one time at one server: the others
// wait for no server that does not answer.
const straysAtOnce = 2

// enter takes a place for a stray, where nobody else is at work about its client.
func (s *Strays) enter(uid types.UID, server string) (leave func(), entered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.worked[uid] > 0 || s.inside[server] >= straysAtOnce {
		return nil, false
	}
	s.inside[server]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.inside[server]--; s.inside[server] == 0 {
			delete(s.inside, server)
		}
	}, true
}

// watched has the records of an authorization server counted when a stray cannot be
// dealt with.
func (s *Strays) watched(b *builder.Builder) *builder.Builder {
	return b.WatchesRawSource(source.Channel(s.changed, later(authorizationServerOf)))
}

// ownerless are the facts about a client that no registration speaks of any more.
func ownerless(record policy.Record, capabilities authserver.Traits, now time.Time) lifecycle.Facts {
	return lifecycle.Facts{
		Record: record, Cause: v1alpha1.CauseDeleted, DueAt: now, Last: true, Alone: true, Repeatable: true,
		Capabilities: capabilities, ForceReleased: record.Released != "" && record.Cause != "",
	}
}

// orphanedLeaver is a record whose registration is gone.
type orphanedLeaver struct {
	*StrayReconciler
	stored *Records
	secret *corev1.Secret
}

func (o *orphanedLeaver) store(ctx context.Context, record policy.Record) (policy.Record, error) {
	return o.stored.Put(ctx, registrationOf(o.secret), record)
}

func (o *orphanedLeaver) end(ctx context.Context, out lifecycle.Outcome) (policy.Record, error) {
	for _, event := range out.Events {
		o.tell(ctx, event)
	}
	last := out.Record
	if len(last.Orphans) > 0 {
		return o.store(ctx, last)
	}
	return last, o.stored.Delete(ctx, registrationOf(o.secret).UID, last.Version)
}

// tell tells of the end of a client whose registration is gone.
func (o *orphanedLeaver) tell(_ context.Context, event lifecycle.Event) {
	record := event.Record
	e := auditEvent(auditTypes[event.Kind], kindRegistration, registrationOf(o.secret))
	if event.Kind == lifecycle.UnconfirmedRegistration {
		e.Data.Mark = record.Mark
	}
	e.Time = o.Clock.Now()
	e.Data.AuthorizationServer, e.Data.Issuer, e.Data.ClientID = record.Connection.Name, record.Connection.Issuer, record.Client.ID
	e.Data.Cause = string(v1alpha1.CauseDeleted)
	e.Data.Message = "the registration went without its client: its finalizer was taken off"
	o.Audit.Record(e)
}

// registrationOf is the registration that a record names, without its spec.
func registrationOf(record *corev1.Secret) *v1alpha1.MCPClientRegistration {
	key := registrationKey(record)
	return &v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{
		Namespace: key.Namespace, Name: key.Name, UID: recordUID(record),
	}}
}

// missing reports whether the registration of a record is not there.
func missing(ctx context.Context, reader client.Reader, record *corev1.Secret) (bool, error) {
	var reg v1alpha1.MCPClientRegistration
	err := reader.Get(ctx, registrationKey(record), &reg)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	return reg.UID != recordUID(record), wrap("reading registration", err)
}
