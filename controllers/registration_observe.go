// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// observe gathers the facts about one registration. It never gives up
// half-way: what could not be learnt is unknown, and its error comes along.
func (r *RegistrationReconciler) observe(ctx context.Context, reg *v1alpha1.MCPClientRegistration, now time.Time) observation {
	seen := observation{facts: policy.RegistrationFacts{Registration: reg}}
	var errs [6]error
	seen.facts.AuthorizationServer, errs[0] = getAuthorizationServer(ctx, r.Client, reg.Spec.AuthorizationServerRef.Name)
	seen.facts.Namespace, errs[1] = getNamespace(ctx, r.Client, reg.Namespace)
	errs[2] = r.observeGrants(ctx, reg, &seen.facts)
	errs[3] = r.observeOwn(ctx, reg, &seen)
	seen.facts.Traits = r.Servers.Traits(seen.facts)
	errs[4] = r.observePlaces(ctx, reg, &seen.facts)
	errs[5] = r.observeClient(ctx, reg, &seen.facts, now)
	seen.err = errors.Join(errs[:]...)
	return seen
}

func (r *RegistrationReconciler) observeGrants(ctx context.Context, reg *v1alpha1.MCPClientRegistration, facts *policy.RegistrationFacts) error {
	var grants v1alpha1.ScopeGrantList
	err := r.List(ctx, &grants, client.InNamespace(reg.Namespace), client.MatchingFields{indexGrantClient: reg.Name})
	if err != nil {
		return fmt.Errorf("listing grants: %w", err)
	}
	facts.GrantsAre = policy.Present
	var errs []error
	for i := range grants.Items {
		grant := policy.GrantFacts{
			Grant: &grants.Items[i], RegistrationIs: policy.Present,
			AuthorizationServer: facts.AuthorizationServer, Namespace: facts.Namespace,
		}
		errs = append(errs, r.Grants.Observe(ctx, &grant))
		facts.Grants = append(facts.Grants, grant)
	}
	return errors.Join(errs...)
}

// observeOwn reads what the operator itself wrote: record and credentials. A
// record that the cache does not hold although there is a client is looked for
// at the API server: the cache may be behind.
func (r *RegistrationReconciler) observeOwn(ctx context.Context, reg *v1alpha1.MCPClientRegistration, seen *observation) error {
	var recordErr, secretErr error
	seen.facts.Record, seen.facts.RecordIs, recordErr = r.Records.Get(ctx, reg.UID)
	if seen.facts.RecordIs == policy.Absent && reg.Status.ClientID != "" {
		seen.facts.Record, seen.facts.RecordIs, recordErr = r.Records.GetLive(ctx, reg.UID)
	}
	if policy.WantsSecret(reg.Spec) {
		seen.facts.Credentials, seen.secret, secretErr = r.Credentials.Get(ctx, reg)
	}
	return errors.Join(recordErr, secretErr)
}

// observePlaces counts the clients of the namespace where that is limited, and
// looks who else uses the ServiceAccount.
func (r *RegistrationReconciler) observePlaces(ctx context.Context, reg *v1alpha1.MCPClientRegistration, facts *policy.RegistrationFacts) error {
	issuer := policy.ConnectionOf(facts.Record, facts.AuthorizationServer).Issuer
	if account := accountPlace(reg.Namespace, reg.Spec.ServiceAccountName, issuer); account != "" {
		taken, err := r.Places.Count(ctx, account, reg.UID)
		if err != nil {
			return err
		}
		facts.AccountIs = policy.Absent
		if taken > 0 {
			facts.AccountIs = policy.Present
		}
	}
	if policy.Quota(facts.AuthorizationServer) == nil {
		return nil
	}
	taken, err := r.Places.Count(ctx, placeFor(reg), reg.UID)
	if err != nil {
		return err
	}
	facts.PlacesAre, facts.PlacesTaken = policy.Present, taken
	return nil
}

// observeClient looks at the authorization server, only when a deletion waits
// for its proof or a drift check is due. A replaced management token is stored
// at once: it is the one thing that observe writes.
func (r *RegistrationReconciler) observeClient(ctx context.Context, reg *v1alpha1.MCPClientRegistration, facts *policy.RegistrationFacts, now time.Time) error {
	proof := facts.Record.State == policy.RecordDeleted
	interval := policy.DriftCheckInterval(facts.AuthorizationServer.Object)
	due := r.driftDue(reg, facts, interval, now)
	facts.DriftCheckAt = r.Drift.Next(reg.UID, interval, now)
	if lost := facts.Record.Findable(); !proof && (reg.DeletionTimestamp != nil || (!lost && !due)) {
		return nil
	}
	urgency := authserver.Routine
	if proof {
		urgency = authserver.Urgent
	}
	err := r.find(ctx, reg, facts, urgency)
	if due && !proof && onlyUnavailable(err) {
		logf.FromContext(ctx).V(1).Info("Drift check put off", "reason", err.Error())
		return nil
	}
	if err == nil {
		r.Drift.Done(reg.UID, now)
	}
	return err
}

// driftDue says that a client is to be compared with what the server holds. While
// that is paused, only one that is disabled: somebody may have enabled it.
func (r *RegistrationReconciler) driftDue(reg *v1alpha1.MCPClientRegistration, facts *policy.RegistrationFacts, interval time.Duration, now time.Time) bool {
	return facts.Record.Live() && r.Drift.Due(reg.UID, interval, now) &&
		(facts.Record.Disabled || !policy.Paused(facts.AuthorizationServer.Object))
}

func (r *RegistrationReconciler) find(ctx context.Context, reg *v1alpha1.MCPClientRegistration, facts *policy.RegistrationFacts, urgency authserver.Urgency) error {
	server, leave, err := r.Servers.Enter(ctx, facts.Record.Connection, urgency)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := detached(ctx)
	defer cancel()
	found, is, err := server.Find(ctx, facts.Record.Handle(facts.Credentials, r.Clock.Now()))
	if err != nil {
		return r.early(facts.Record, err)
	}
	facts.Observed = policy.Observation{Looked: true, Is: policy.Absent}
	if !is {
		return nil
	}
	facts.Observed.Is, facts.Observed.Client = policy.Present, found
	return r.storeReplaced(ctx, reg, facts, found)
}

// early is what an error means that leaves open whether a client is gone: while
// its key may not be known yet, that it is asked about too early.
func (r *RegistrationReconciler) early(record policy.Record, err error) error {
	var answer *authserver.Error
	lag := record.KeysLag(r.Clock.Now())
	if lag <= 0 || !errors.As(err, &answer) || answer.Kind != authserver.Unauthorized {
		return err
	}
	return &authserver.Error{Kind: authserver.Unavailable, Op: answer.Op, Status: answer.Status, RetryAfter: lag, Err: err}
}

// storeReplaced stores a management token or secret that came with an answer.
func (r *RegistrationReconciler) storeReplaced(ctx context.Context, reg *v1alpha1.MCPClientRegistration, facts *policy.RegistrationFacts, found authserver.Client) error {
	record := facts.Record
	if facts.Traits.OwnSecret {
		// The register chooses secrets there: what somebody else set is not
		// taken over, least of all that of a client that is being adopted.
		found.Secret = authserver.Secret{}
	}
	record.Client = carryOver(record.Client, found, record.Client.Registered)
	if record.Client.ManagementToken.Equal(facts.Record.Client.ManagementToken) &&
		record.Client.ManagementURI == facts.Record.Client.ManagementURI &&
		record.Client.Secret.Equal(facts.Record.Client.Secret) {
		return nil
	}
	stored, err := r.Records.Put(ctx, reg, record)
	facts.Record = stored
	return err
}

// carryOver takes over what an answer renewed, and keeps what it did not hold.
func carryOver(old, answer authserver.Client, registered authserver.ClientMetadata) authserver.Client {
	next := old
	next.Registered = registered
	if !answer.ManagementToken.IsZero() {
		next.ManagementToken = answer.ManagementToken
	}
	if answer.ManagementURI != "" {
		next.ManagementURI = answer.ManagementURI
	}
	if !answer.Secret.IsZero() {
		next.Secret, next.SecretExpiresAt = answer.Secret, answer.SecretExpiresAt
	}
	return next
}

// withKeys completes what was registered with the keys that were sent: many
// servers do not repeat them.
func withKeys(registered, sent authserver.ClientMetadata) authserver.ClientMetadata {
	registered.JWKS = cmp.Or(registered.JWKS, sent.JWKS)
	registered.JWKSURI = cmp.Or(registered.JWKSURI, sent.JWKSURI)
	return registered
}

// onlyUnavailable says that an error is a passing one of the authorization
// server, or that nothing was sent.
func onlyUnavailable(err error) bool {
	var answer *authserver.Error
	return errors.As(err, &answer) && answer.Kind == authserver.Unavailable
}

// detached keeps a step alive that must not be cut off by a shutdown: a request
// that may change credentials is seen through, and its answer stored. The
// manager waits longer than this before it ends.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 25*time.Second)
}

func getAuthorizationServer(ctx context.Context, reader client.Reader, name string) (policy.AuthorizationServerFact, error) {
	var as v1alpha1.AuthorizationServer
	switch err := reader.Get(ctx, types.NamespacedName{Name: name}, &as); {
	case apierrors.IsNotFound(err):
		return policy.AuthorizationServerFact{Is: policy.Absent}, nil
	case err != nil:
		return policy.AuthorizationServerFact{}, fmt.Errorf("reading AuthorizationServer: %w", err)
	}
	return policy.AuthorizationServerFact{Is: policy.Present, Object: &as}, nil
}

func getNamespace(ctx context.Context, reader client.Reader, name string) (policy.NamespaceFact, error) {
	var namespace corev1.Namespace
	switch err := reader.Get(ctx, types.NamespacedName{Name: name}, &namespace); {
	case apierrors.IsNotFound(err):
		return policy.NamespaceFact{Is: policy.Absent, Name: name}, nil
	case err != nil:
		return policy.NamespaceFact{Name: name}, fmt.Errorf("reading namespace: %w", err)
	}
	return policy.NamespaceFact{Is: policy.Present, Name: name, Labels: namespace.Labels, Terminating: namespace.DeletionTimestamp != nil}, nil
}
