// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// observe gathers the facts about one registration. It never gives up
// half-way: what could not be learnt is unknown, and its error comes along. What a
// revocation does not need is not asked for when one is due: the server is told
// first.
func (r *RegistrationReconciler) observe(ctx context.Context, reg *v1alpha1.MCPClientRegistration, now time.Time) observation {
	// As if there were no Secret: none is read before it is known that it matters.
	seen := observation{facts: policy.RegistrationFacts{Registration: reg, Credentials: policy.CredentialsFact{Is: policy.Absent}}}
	var errs [7]error
	seen.facts.AuthorizationServer, errs[0] = getAuthorizationServer(ctx, r.Client, reg.Spec.AuthorizationServerRef.Name)
	seen.facts.Namespace, errs[1] = getNamespace(ctx, r.Client, reg.Namespace)
	errs[2] = r.observeGrants(ctx, reg, &seen.facts)
	errs[3] = r.observeRecord(ctx, reg, &seen.facts)
	seen.facts.Traits = r.Servers.Traits(seen.facts)
	seen.facts.Unmanageable = r.Manageability.Refused(seen.facts.AuthorizationServer.Object)
	if policy.Registration(seen.facts, now).Action != policy.Revoke {
		r.repair(ctx, reg, &seen.facts)
		errs[4] = r.observeCredentials(ctx, reg, &seen)
		errs[5] = r.observePlaces(ctx, reg, &seen.facts)
		errs[6] = r.observeClient(ctx, reg, &seen.facts, now)
	}
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
	shared := r.Grants.rooms()
	for i := range grants.Items {
		grant := policy.GrantFacts{
			Grant: &grants.Items[i], RegistrationIs: policy.Present,
			AuthorizationServer: facts.AuthorizationServer, Namespace: facts.Namespace,
		}
		errs = append(errs, r.Grants.Observe(ctx, &grant, shared))
		facts.Grants = append(facts.Grants, grant)
	}
	return errors.Join(errs...)
}

// observeRecord reads the record. One that the cache does not hold although there
// is a client is looked for at the API server: the cache may be behind.
func (r *RegistrationReconciler) observeRecord(ctx context.Context, reg *v1alpha1.MCPClientRegistration, facts *policy.RegistrationFacts) (err error) {
	facts.Record, facts.RecordIs, err = r.Records.Get(ctx, reg.UID)
	if facts.RecordIs == policy.Absent && reg.Status.ClientID != "" {
		facts.Record, facts.RecordIs, err = r.Records.GetLive(ctx, reg.UID)
	}
	return err
}

// repair writes a record again that lost its labels. One whose content was changed
// is left as it is: a person may still need what cannot be read.
func (r *RegistrationReconciler) repair(ctx context.Context, reg *v1alpha1.MCPClientRegistration, facts *policy.RegistrationFacts) {
	if facts.RecordIs != policy.Present || facts.Record.Damage != policy.Unmarked || facts.Record.Connection.Issuer == "" {
		return
	}
	repaired, err := r.Records.Put(ctx, reg, facts.Record)
	if err != nil {
		logf.FromContext(ctx).Error(err, "Repairing a registration record")
		return
	}
	facts.Record = repaired
}

// observeCredentials reads the team's Secret.
func (r *RegistrationReconciler) observeCredentials(ctx context.Context, reg *v1alpha1.MCPClientRegistration, seen *observation) (err error) {
	seen.facts.Credentials = policy.CredentialsFact{}
	if policy.WantsSecret(reg.Spec) {
		seen.facts.Credentials, seen.secret, err = r.Credentials.Get(ctx, reg)
	}
	return err
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

// observeClient looks at the authorization server, only where a request for a
// client had no answer or a drift check is due. A replaced management token is
// stored at once: it is the one thing that observe writes.
func (r *RegistrationReconciler) observeClient(ctx context.Context, reg *v1alpha1.MCPClientRegistration, facts *policy.RegistrationFacts, now time.Time) error {
	interval := policy.DriftCheckInterval(facts.AuthorizationServer.Object)
	suspected := suspected(reg, facts.Record, now)
	if suspected {
		r.Drift.Suspect(reg.UID)
	}
	due := r.driftDue(reg, facts, interval, now)
	facts.DriftCheckAt = r.Drift.Next(reg.UID, interval, now)
	if !due && !facts.Record.Findable() {
		return nil
	}
	err := r.find(ctx, reg, facts, authserver.Routine)
	if due && !suspected && onlyUnavailable(err) {
		logf.FromContext(ctx).V(1).Info("Drift check put off", "reason", err.Error())
		return nil
	}
	if err == nil {
		r.Drift.Done(reg.UID, now)
	}
	return err
}

// suspected says that the end of a client had come and was moved: whether the server
// was told in between, by a process that is dead now, is not known.
func suspected(reg *v1alpha1.MCPClientRegistration, record policy.Record, now time.Time) bool {
	return record.Live() && record.Cause == "" && policy.EndedBefore(reg, now)
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
		facts.Observed.Tried = true
		// What the answer renewed is in force, although the rest cannot be used.
		return errors.Join(early(facts.Record, err, r.Clock.Now()), r.storeReplaced(ctx, reg, facts, found))
	}
	facts.Observed = policy.Observation{Looked: true, Is: policy.Absent}
	if !is {
		return nil
	}
	facts.Observed.Is, facts.Observed.Client = policy.Present, found
	return r.storeReplaced(ctx, reg, facts, found)
}

// storeReplaced stores a management token or secret that came with an answer.
func (r *RegistrationReconciler) storeReplaced(ctx context.Context, reg *v1alpha1.MCPClientRegistration, facts *policy.RegistrationFacts, found authserver.Client) error {
	record := facts.Record
	if facts.Traits.OwnSecret {
		// The register chooses secrets there: what somebody else set is not
		// taken over, least of all that of a client that is being adopted.
		found.Secret = authserver.Secret{}
	}
	record = lifecycle.CarryOver(record, found)
	if reflect.DeepEqual(record, facts.Record) {
		return nil
	}
	stored, err := r.Records.Put(ctx, reg, record)
	facts.Record = stored
	return err
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
