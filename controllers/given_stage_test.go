// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// nameless answers a registration with all but the id of the client.
type nameless struct {
	*strange
	then func()
}

func (n *nameless) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	made, err := n.strange.Register(ctx, wish)
	if err != nil {
		return made, err
	}
	n.then()
	return authserver.Client{ManagementURI: made.ManagementURI, ManagementToken: made.ManagementToken},
		&authserver.Error{Kind: authserver.Unavailable, MaybeApplied: true, Err: errors.New("client_id cannot be read")}
}

// fullStore takes no update of a record once it is full.
type fullStore struct {
	client.Client
	full *bool
}

func (f fullStore) Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error {
	if _, ok := object.(*corev1.Secret); ok && *f.full {
		return errors.New("etcdserver: mvcc: database space exceeded")
	}
	return f.Client.Update(ctx, object, options...)
}

// An answer to a registration that names no client id, and cannot be stored: the
// client is deleted again, by the URI and the token that nobody else has.
func TestNamelessClientIsUndoneWhereItCannotBeStored(t *testing.T) {
	s := newStage(t, "nameless")
	s.broken["nothing"] = true // errors are expected
	full := false
	s.connector.Put("company", &nameless{s.as, func() { full = true }})
	s.registrations.Records.Client = fullStore{s.Client, &full}
	s.begin()
	if live := s.as.Clients(); len(live) > 0 {
		t.Errorf("%d clients live that nobody can delete", len(live))
	}
}

// cutting is a server during whose answer the process is told to end.
type cutting struct {
	*strange
	cut context.CancelFunc
}

func (c *cutting) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	made, err := c.strange.Register(ctx, wish)
	if c.cut != nil {
		c.cut()
	}
	return made, err
}

// heeding creates nothing when its context has ended, as a client of a real API server.
type heeding struct{ client.Client }

func (h heeding) Create(ctx context.Context, object client.Object, options ...client.CreateOption) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("creating %T: %w", object, err)
	}
	return h.Client.Create(ctx, object, options...)
}

// A process that is told to end while a client is made still gives the team its
// credentials: what the server took may be nowhere else.
func TestShutdownHandsOverWhatTheServerTook(t *testing.T) {
	s := newStage(t, "shutdown")
	server := &cutting{strange: s.as}
	s.as.registration = unavailable
	s.connector.Put("company", server)
	s.begin()
	s.as.registration = nil
	s.registrations.Credentials.Client = heeding{s.Client}
	ctx, cancel := context.WithCancel(t.Context())
	server.cut = cancel
	if _, err := s.registrations.Reconcile(ctx, s.registration()); err != nil {
		t.Error(err)
	}
	if len(s.credentials()) == 0 {
		t.Error("no credentials")
	}
}

// A registration that others hold, of which no client is known, lets go at once: it
// does not wait for them.
func TestUnconfirmedObjectThatOthersHoldIsLetGo(t *testing.T) {
	s := newStage(t, "held")
	s.loseAnswer()
	reg := s.registration()
	reg.Finalizers = append(reg.Finalizers, "example.com/hold")
	if err := s.Update(t.Context(), reg); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), reg); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		next, err := s.registrations.Reconcile(t.Context(), s.registration())
		if err != nil && !apierrors.IsConflict(err) {
			t.Fatal(err)
		}
		if held := s.registration().Finalizers; slices.Equal(held, []string{"example.com/hold"}) {
			return
		}
		if next.RequeueAfter == 0 || next.RequeueAfter > time.Second {
			t.Fatalf("it waits %s, with finalizers %v", next.RequeueAfter, s.registration().Finalizers)
		}
	}
	t.Errorf("finalizers %v", s.registration().Finalizers)
}

// An object that was let go, and that a cache which is behind still shows as one that is
// held, gets no client: nothing would ever end it.
func TestObjectThatWasLetGoGetsNoClient(t *testing.T) {
	s := newStage(t, "let-go")
	s.as.registration = unavailable
	s.begin()
	s.as.registration = nil
	behind := s.registration()
	if len(behind.Finalizers) == 0 || s.stored().State != "" {
		t.Fatalf("finalizers %v, record %+v", behind.Finalizers, s.stored())
	}
	if err := s.Delete(t.Context(), s.registration()); err != nil {
		t.Fatal(err)
	}
	s.settle()
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(behind), behind.DeepCopy()); !apierrors.IsNotFound(err) {
		t.Fatalf("the object is still there: %v", err)
	}
	if _, err := s.registrations.Reconcile(t.Context(), behind); err != nil && !errors.Is(err, errStale) {
		t.Error(err)
	}
	if live := s.as.Clients(); len(live) > 0 {
		t.Errorf("%d clients live of an object that is gone", len(live))
	}
}

// A record of a request without an answer, whose registration is gone, says so: its mark
// is that of a possible orphan, for whoever has to look.
func TestPendingRecordWithoutRegistrationIsAnOrphan(t *testing.T) {
	s := newStage(t, "left-pending")
	s.loseAnswer()
	pending := s.stored()
	if !pending.Pending() || len(pending.Orphans) > 0 {
		t.Fatalf("record %+v", pending)
	}
	reg := s.registration()
	reg.Finalizers = nil
	if err := s.Update(t.Context(), reg); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), reg); err != nil {
		t.Fatal(err)
	}
	s.later(time.Minute)
	s.later(time.Hour)
	if left := s.stored(); left.Pending() || !slices.Equal(left.Orphans, []string{pending.Mark}) {
		t.Errorf("record %+v", left)
	}
}
