// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// examineAgain is how long after a question that had no answer it is asked
// again.
const examineAgain = time.Minute

// Examinations remembers which clients the authorization server is to be
// examined about, and from when on. It is kept in memory: after a restart a
// client is examined with its next drift check.
type Examinations struct {
	mu     sync.Mutex
	wanted map[types.UID]time.Time
}

// NewExaminations returns a memory that wants nothing.
func NewExaminations() *Examinations { return &Examinations{wanted: map[types.UID]time.Time{}} }

// Want asks for an examination from an instant on.
func (e *Examinations) Want(uid types.UID, from time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wanted[uid] = from
}

// Due says whether an examination is wanted now, and otherwise from when on;
// zero means none is wanted.
func (e *Examinations) Due(uid types.UID, now time.Time) (due bool, from time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	from, wanted := e.wanted[uid]
	return wanted && !from.After(now), from
}

// Forget drops what is wanted of a client.
func (e *Examinations) Forget(uid types.UID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.wanted, uid)
}

// examine asks whether the authorization server keeps what it promises about
// the client: after each change, and with each drift check. It takes nothing
// away and its failure is no failure of the pass.
func (s *step) examine(ctx context.Context, done *outcome) {
	now := s.Clock.Now()
	if done.changed || s.seen.facts.Observed.Looked || s.unexamined() {
		s.Examinations.Want(s.reg.UID, now.Add(s.copiesUntil(done)))
	}
	if !done.record.Live() || s.decision.Verdict.Standing == policy.Refused {
		s.Examinations.Forget(s.reg.UID)
		return
	}
	if due, _ := s.Examinations.Due(s.reg.UID, now); !due || !done.settled() {
		return
	}
	s.Examinations.Forget(s.reg.UID)
	for _, q := range []question{{v1alpha1.ConditionPKCEEnforced, s.askChallenge}, {v1alpha1.ConditionTokensConform, s.askToken}} {
		if err := s.put(ctx, q, done); err != nil {
			logf.FromContext(ctx).V(1).Info("Examination put off", "reason", err.Error())
			s.Examinations.Want(s.reg.UID, now.Add(examineAgain))
		}
	}
}

// settled says that a pass leaves a client in use that is as the record says.
func (o *outcome) settled() bool {
	return o.err == nil && o.again == 0 && !o.record.Disabled && !o.record.Replacing
}

// question is what the authorization server is examined about.
type question struct {
	kind string
	ask  func(context.Context, authserver.Examiner, *outcome) (entry, error)
}

// copiesUntil is for how long the authorization server may not know a change
// yet, because it uses a copy of the client, or asks another manager for one.
func (s *step) copiesUntil(done *outcome) time.Duration {
	copies := s.traits().CopyLifetime
	switch {
	case copies == 0 || !done.changed:
		return 0
	case s.decision.Action == policy.Register:
		return settleTime
	}
	return copies + settleTime
}

// unexamined says that policy asks for an answer that there is none of yet.
func (s *step) unexamined() bool {
	due, from := s.Examinations.Due(s.reg.UID, s.Clock.Now())
	return requiresPKCE(s.reg, s.seen.facts.AuthorizationServer.Object) && !due && from.IsZero() &&
		meta.FindStatusCondition(s.reg.Status.Conditions, v1alpha1.ConditionPKCEEnforced) == nil
}

// put asks one question, with a place at the server. Without an answer what was
// learnt before a change is forgotten.
func (s *step) put(ctx context.Context, q question, done *outcome) error {
	answer, err := s.hear(ctx, q, done)
	var failure *authserver.Error
	before := meta.FindStatusCondition(s.reg.Status.Conditions, q.kind)
	if errors.As(err, &failure) && (!failure.Unsent || (done.changed && before != nil)) {
		answer = entry{
			kind: q.kind, status: metav1.ConditionUnknown, reason: v1alpha1.ReasonUnavailable, waiting: true,
			message: unansweredMessage(failure, before),
		}
	}
	if answer.reason != "" {
		done.examined = append(done.examined, answer)
	}
	return err
}

// unansweredMessage says that an examination learnt nothing, with the code and the
// words of a server that refused it. Of the same refusal the first words stay: a
// server may put something new into each answer.
func unansweredMessage(failure *authserver.Error, before *metav1.Condition) string {
	message := "the authorization server gave no usable answer to the examination: asked again"
	said := failure.Quote.Text()
	if said == "" {
		return message
	}
	message += "; it refuses the request"
	if failure.Code != "" {
		message += " with " + failure.Code
	}
	message += ` and says: "`
	if before != nil && strings.HasPrefix(before.Message, message) {
		return before.Message
	}
	return message + said + `"`
}

func (s *step) hear(ctx context.Context, q question, done *outcome) (entry, error) {
	_, leave, err := s.Servers.Enter(ctx, s.decision.Connection, authserver.Routine)
	if err != nil {
		return entry{}, err
	}
	defer leave()
	examiner, err := s.Servers.Examine(ctx, s.decision.Connection)
	if err != nil {
		return entry{}, err
	}
	return q.ask(ctx, examiner, done)
}

// usesCode says that a registration uses the authorization-code grant.
func usesCode(reg *v1alpha1.MCPClientRegistration) bool {
	return slices.Contains(reg.Spec.GrantTypes, v1alpha1.GrantAuthorizationCode)
}

// requiresPKCE says that a registration is ready only when PKCE is seen to be
// enforced.
func requiresPKCE(reg *v1alpha1.MCPClientRegistration, as *v1alpha1.AuthorizationServer) bool {
	return usesCode(reg) && as != nil && as.Spec.Policy != nil && ptr.Deref(as.Spec.Policy.RequirePKCEEnforced, false)
}

func (s *step) askChallenge(ctx context.Context, examiner authserver.Examiner, done *outcome) (entry, error) {
	as, client := s.seen.facts.AuthorizationServer.Object, done.record.Client
	if !usesCode(s.reg) || as == nil || as.Status.Metadata == nil || as.Status.Metadata.AuthorizationEndpoint == "" || len(client.Registered.RedirectURIs) == 0 {
		return entry{}, nil
	}
	e := entry{kind: v1alpha1.ConditionPKCEEnforced}
	question := authserver.ChallengeQuestion{
		AuthorizationEndpoint: as.Status.Metadata.AuthorizationEndpoint, ClientID: client.ID,
		RedirectURI: client.Registered.RedirectURIs[0], Scopes: policy.WithoutOIDCScopes(client.Registered.Scopes),
	}
	if len(s.decision.Resources) > 0 {
		question.Resource = s.decision.Resources[0]
	}
	answer, err := examiner.ChallengeRequired(ctx, question)
	switch answer {
	case authserver.Yes:
		e.status, e.reason = metav1.ConditionTrue, v1alpha1.ReasonRefused
		e.message = "the authorization server refused this client's requests without a code_challenge and with the method plain"
	case authserver.No:
		e.status, e.reason = metav1.ConditionFalse, v1alpha1.ReasonNotRefused
		e.message = "the authorization server led on a request of this client without a code_challenge, or with the method plain: ask the platform team to enforce PKCE with S256 there"
	case authserver.Unclear:
		e.status, e.reason = metav1.ConditionUnknown, v1alpha1.ReasonUnclear
		e.message = "what the authorization server answered says neither that it enforces PKCE nor that it does not"
	}
	return e, err
}

func (s *step) askToken(ctx context.Context, examiner authserver.Examiner, done *outcome) (entry, error) {
	as, client := s.seen.facts.AuthorizationServer.Object, done.record.Client
	if as == nil || !ptr.Deref(as.Spec.CanaryTokens, false) || !slices.Contains(s.reg.Spec.GrantTypes, v1alpha1.GrantClientCredentials) {
		return entry{}, nil
	}
	handle := done.record.Handle(s.seen.facts.Credentials, s.Clock.Now())
	if handle.PrivateKey.IsZero() && policy.NeedsOwnKey(s.reg.Spec) {
		handle.PrivateKey, handle.KeyID = done.pair.Private, done.pair.ID
	}
	if handle.PrivateKey.IsZero() && handle.ClientSecret.IsZero() {
		return entry{}, nil
	}
	reading := policy.TokensOf(as)
	question := authserver.TokenQuestion{Handle: handle, Scopes: policy.WithoutOIDCScopes(client.Registered.Scopes), ScopeClaims: reading.Scope()}
	if len(s.decision.Resources) > 0 {
		question.Resource = s.decision.Resources[0]
	}
	facts, err := examiner.CanaryToken(ctx, question)
	if err != nil {
		return entry{kind: v1alpha1.ConditionTokensConform}, err
	}
	return judgeToken(facts, s.decision, reading, client.Registered.Scopes), nil
}

// judgeToken compares a token with what was granted.
func judgeToken(facts authserver.TokenFacts, d policy.RegistrationDecision, reading policy.TokenReading, scopes []string) entry {
	e := entry{kind: v1alpha1.ConditionTokensConform, status: metav1.ConditionFalse}
	beyond := func(got, granted []string) bool {
		return slices.ContainsFunc(got, func(value string) bool { return !slices.Contains(granted, value) })
	}
	switch {
	case beyond(facts.Scopes, scopes):
		e.reason, e.message = v1alpha1.ReasonWrongScope, "a token of this client has scopes beyond those granted: ask the platform team to correct the authorization server's scope policy"
	case facts.Readable && !reading.IsForThese(d.Audiences, facts):
		e.reason, e.message = v1alpha1.ReasonWrongAudience, "aud of a token of this client is not the resource of the servers granted (RFC 8707), or their spec.audience: ask the platform team to have the authorization server issue it"
	case facts.Lifetime > d.TokenBound:
		e.reason = v1alpha1.ReasonTooLongLived
		e.message = fmt.Sprintf("a token of this client lives %s, the servers granted allow %s: ask the platform team to shorten access tokens", facts.Lifetime, d.TokenBound)
	case !facts.Readable || facts.Lifetime == 0:
		e.status, e.reason = metav1.ConditionUnknown, v1alpha1.ReasonUnclear
		e.message = "the access token is opaque, or does not say how long it lives: its audience cannot be compared"
	default:
		e.status, e.reason = metav1.ConditionTrue, v1alpha1.ReasonConform
		e.message = "a token of this client has the audience and scopes granted and lives no longer than allowed"
	}
	return e
}

// promises are the entries about promises: those just learnt, else those that
// the status tells of the client that there still is. Ready depends on them only
// where policy says so.
func promises(reg *v1alpha1.MCPClientRegistration, record policy.Record, as *v1alpha1.AuthorizationServer, examined []entry) []entry {
	if !record.Live() {
		return nil
	}
	var found []entry
	if usesCode(reg) {
		e, known := promise(v1alpha1.ConditionPKCEEnforced, reg, record, examined)
		demanded := requiresPKCE(reg, as)
		if demanded && !known {
			e.status, e.reason = metav1.ConditionUnknown, v1alpha1.ReasonUnclear
			e.message, e.waiting = "whether the authorization server enforces PKCE is not yet known", true
		}
		if e.aside = !demanded; known || demanded {
			found = append(found, e)
		}
	}
	if as == nil || ptr.Deref(as.Spec.CanaryTokens, false) {
		e, known := promise(v1alpha1.ConditionTokensConform, reg, record, examined)
		if e.aside = true; known {
			found = append(found, e)
		}
	}
	return found
}

func promise(kind string, reg *v1alpha1.MCPClientRegistration, record policy.Record, examined []entry) (e entry, known bool) {
	if at := slices.IndexFunc(examined, func(e entry) bool { return e.kind == kind }); at >= 0 {
		return examined[at], true
	}
	old := meta.FindStatusCondition(reg.Status.Conditions, kind)
	if old == nil || reg.Status.ClientID != record.Client.ID {
		return entry{kind: kind}, false
	}
	return entry{kind: kind, status: old.Status, reason: old.Reason, message: old.Message, waiting: old.Reason == v1alpha1.ReasonUnavailable}, true
}
