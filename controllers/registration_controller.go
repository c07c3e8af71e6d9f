// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/lifecycle"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// RegistrationReconciler keeps one client at the authorization server for each
// MCPClientRegistration. It is the only writer of that client: grants and
// servers are inputs.
type RegistrationReconciler struct {
	client.Client
	Clock       clock.PassiveClock
	Servers     *Servers
	Records     *Records
	Credentials *Credentials
	Drift       *DriftSchedule
	Grants      *Grants
	Places      *Places
	Audit       audit.Recorder
	Recorder    events.EventRecorder
	Metrics     *Metrics
	// Denials has guards refuse a client whose registration cannot say that it is to
	// be refused; nil leaves that to the object.
	Denials *Denials
	// Guards tells which guards have the news of a revocation; nil means none.
	Guards *Guards
	// Strays is told which registrations are worked on.
	Strays *Strays
	// Manageability is what registrations learnt of servers.
	Manageability *Manageability
	// Access is told what registrations show of the operator's own access.
	Access *Access
	// Cluster is the UID of the cluster: ownership marks name it.
	Cluster string

	Examinations *Examinations
	// Wave has ends that come together share a read; nil has each ask by itself.
	Wave *wave

	written written
	rush    rush
	mass    mass
	// liveGrants are the grants of a namespace, past the cache.
	liveGrants together[string, *v1alpha1.ScopeGrantList]
	// announced are the registrations whose request is on the audit record
	// while their status does not say so yet.
	announced sync.Map
}

// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=mcpclientregistrations,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=mcpclientregistrations/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=mcpclientregistrations/finalizers,verbs=update
// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=scopegrants;scopegrantapprovals;mcpservers;authorizationservers,verbs=get;list;watch
// +kubebuilder:rbac:groups=mcp-registrar.dev,resources=mcpclientregistrations;scopegrants;scopegrantapprovals;mcpservers;authorizationservers,verbs=operate
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;create;update;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile makes the authorization server agree with one registration.
func (r *RegistrationReconciler) Reconcile(ctx context.Context, reg *v1alpha1.MCPClientRegistration) (ctrl.Result, error) {
	now := r.Clock.Now()
	if wait := r.rush.recess(reg.UID, now); wait > 0 {
		return ctrl.Result{RequeueAfter: wait, Priority: new(priorityProve)}, nil
	}
	defer r.Strays.work(reg.UID)()
	if err := r.settle(ctx, reg); err != nil {
		return classify(err).result(err)
	}
	seen := r.observe(ctx, reg, now)
	decision := r.decide(ctx, &seen, now)
	done := r.enforce(ctx, reg, seen, decision)
	return r.report(ctx, reg, decision, done, now)
}

// settle stores what is owed of the turn before. Where it cannot be stored the server is
// told again, and status says what is in the way.
func (r *RegistrationReconciler) settle(ctx context.Context, reg *v1alpha1.MCPClientRegistration) error {
	err := r.Records.Settle(ctx, reg.UID)
	if err == nil || errors.Is(err, errStale) {
		return err
	}
	logf.FromContext(ctx).Error(err, "Storing that the authorization server took the client")
	return nil
}

// Start stores what is owed when the process ends (manager.Runnable).
func (r *RegistrationReconciler) Start(ctx context.Context) error {
	<-ctx.Done()
	r.rush.end()
	time.Sleep(settlePause)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleGrace)
	defer cancel()
	return r.Records.settleAll(ctx)
}

// observation is what observe found.
type observation struct {
	facts policy.RegistrationFacts
	// secret is the credentials Secret, if it is there and the operator's.
	secret *corev1.Secret
	err    error
}

// outcome is what enforce left behind.
type outcome struct {
	// record is the record as it now stands.
	record policy.Record
	// vanished says that the client was found to be gone and was registered
	// anew.
	vanished bool
	// again says that the decision is to be made again, so soon that the
	// status waits for it; zero means that it stands.
	again time.Duration
	// gone says that the object was let go.
	gone bool
	// changed says that the client was registered or replaced.
	changed bool
	// pair is the key pair that was made in this pass, if any.
	pair lifecycle.KeyPair
	// examined are the answers about promises of the authorization server that
	// were learnt in this pass.
	examined []entry
	// server is the AuthorizationServer, if it is there, and traits are its.
	server *v1alpha1.AuthorizationServer
	traits authserver.Traits
	// unlooked says that a client which may be gone could not be looked for.
	unlooked bool
	// heard is what guards have heard of the revocation.
	heard heard
	err   error
}
