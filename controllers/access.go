// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

const (
	// accessInterval is how often it is asked whether the operator has access.
	accessInterval = 5 * time.Minute
	// accessRetry is how often while it has none, or nobody answers; and how soon
	// after an answer a registration that was refused has it asked again.
	accessRetry = 30 * time.Second
)

// Access holds what is known of the operator's own access to authorization servers. A
// nil Access knows nothing.
type Access struct {
	// doubted has the servers looked at whose access is in doubt.
	doubted chan event.GenericEvent

	mu sync.Mutex
	// answers are those of the servers, by UID.
	answers map[types.UID]accessAnswer
	// shown is what registrations showed, by the same.
	shown map[types.UID]accessAnswer
	// doubts are the servers at which a request was refused since the last answer.
	doubts map[types.UID]bool
}

// accessAnswer is an answer, and what it was about.
type accessAnswer struct {
	about string
	at    time.Time
	err   error
}

// NewAccess returns what knows nothing yet.
func NewAccess() *Access {
	return &Access{
		doubted: make(chan event.GenericEvent, 256), answers: map[types.UID]accessAnswer{},
		shown: map[types.UID]accessAnswer{}, doubts: map[types.UID]bool{},
	}
}

// Heed doubts the access to a server where an error says that the operator's own
// credential was refused.
func (a *Access) Heed(as *v1alpha1.AuthorizationServer, err error) {
	if errors.Is(err, errInitialAccess) {
		a.Doubt(as)
	}
}

// Doubt says that a request with the operator's own credential was refused: the server
// is asked soon.
func (a *Access) Doubt(as *v1alpha1.AuthorizationServer) {
	if a == nil || as == nil {
		return
	}
	a.mu.Lock()
	// One that is known to be lacking is asked soon anyway.
	before := a.doubts[as.UID] || a.answers[as.UID].err != nil
	a.doubts[as.UID] = true
	a.mu.Unlock()
	if !before {
		a.wake(as)
	}
}

// Show says what a registration showed of the credential of a config: err is nil where
// it was taken.
func (a *Access) Show(as *v1alpha1.AuthorizationServer, config authserver.Config, err error) {
	if a == nil || as == nil {
		return
	}
	about := aboutAccess(as, config)
	a.mu.Lock()
	before := a.shown[as.UID]
	a.shown[as.UID] = accessAnswer{about: about, err: err}
	a.mu.Unlock()
	if before.about != about || (before.err == nil) != (err == nil) {
		a.wake(as)
	}
}

func (a *Access) wake(as *v1alpha1.AuthorizationServer) {
	select {
	case a.doubted <- event.GenericEvent{Object: &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: as.Name}}}:
	default:
		// It is asked with the next look at the server.
	}
}

// Forget drops what is known of a server.
func (a *Access) Forget(uid types.UID) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.answers, uid)
	delete(a.shown, uid)
	delete(a.doubts, uid)
}

// watched has a server looked at when its access is in doubt.
func (a *Access) watched(b *builder.Builder) *builder.Builder {
	if a == nil {
		return b
	}
	return b.WatchesRawSource(source.Channel(a.doubted, &handler.EnqueueRequestForObject{}))
}

// last is the last answer about a config, and how long it still counts.
func (a *Access) last(as *v1alpha1.AuthorizationServer, about string, now time.Time) (accessAnswer, time.Duration) {
	if a == nil {
		return accessAnswer{}, 0
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	answer := a.answers[as.UID]
	if answer.about != about {
		return accessAnswer{}, 0
	}
	interval := min(accessInterval, policy.DriftCheckInterval(as))
	if answer.err != nil || a.doubts[as.UID] {
		interval = accessRetry
	}
	return answer, answer.at.Add(interval).Sub(now)
}

func (a *Access) store(as *v1alpha1.AuthorizationServer, answer accessAnswer) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[as.UID] = answer
	delete(a.doubts, as.UID)
}

func (a *Access) shownOf(as *v1alpha1.AuthorizationServer, about string) policy.AccessFact {
	if a == nil {
		return policy.AccessFact{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch shown, seen := a.shown[as.UID]; {
	case !seen:
		return policy.AccessFact{Forgotten: true}
	case shown.about != about:
		return policy.AccessFact{}
	case shown.err == nil:
		return policy.AccessFact{Shown: policy.Present}
	}
	return policy.AccessFact{Shown: policy.Absent}
}

// aboutAccess tells one credential for one server from others, without telling it.
func aboutAccess(as *v1alpha1.AuthorizationServer, config authserver.Config) string {
	digest := sha256.New()
	for _, part := range []string{
		fmt.Sprint(as.UID, " ", as.Generation), config.AdminID, config.AdminPassword.Reveal(), config.InitialAccessToken.Reveal(),
	} {
		sum := sha256.Sum256([]byte(part))
		digest.Write(sum[:])
	}
	return hex.EncodeToString(digest.Sum(nil))
}

// access asks whether the operator has access, or returns the last answer while that
// counts. after is when to ask again.
func (r *AuthorizationServerReconciler) access(ctx context.Context, as *v1alpha1.AuthorizationServer, traits authserver.Traits, now time.Time) (fact policy.AccessFact, after time.Duration) {
	config, err := r.Servers.complete(ctx, policy.Connection(as), authserver.Routine)
	if err != nil {
		// That the credential is missing, or cannot be read, is a fact of its own.
		return fact, 0
	}
	about := aboutAccess(as, config)
	if !traits.ChecksAccess {
		return r.Access.shownOf(as, about), 0
	}
	last, left := r.Access.last(as, about, now)
	if left > 0 {
		return policy.AccessFact{Asked: true, Err: last.err}, left
	}
	server, leave, err := r.Servers.Enter(ctx, config, authserver.Urgent)
	if err != nil {
		return policy.AccessFact{Asked: !last.at.IsZero(), Err: last.err}, accessRetry
	}
	defer leave()
	answer := accessAnswer{about: about, at: now, err: server.CheckAccess(ctx)}
	if ctx.Err() != nil {
		return policy.AccessFact{Asked: !last.at.IsZero(), Err: last.err}, accessRetry
	}
	r.Access.store(as, answer)
	if answer.err != nil && (last.at.IsZero() || last.err == nil) {
		logf.FromContext(ctx).Error(answer.err, "Checking the operator's own access")
	}
	_, after = r.Access.last(as, about, now)
	return policy.AccessFact{Asked: true, Err: answer.err}, after
}
