// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// The admission policies that a word in an object's status rests on: who may
// approve, who may write status, and who asked. Each has a binding of the same
// name.
var approvalPolicies = []string{"mcp-registrar-approval", "mcp-registrar-operator", "mcp-registrar-requester"}

const (
	// admissionDelay is how long after their creation, or after they were first
	// seen, the API server is taken to ask the policies: it learns of them within
	// a second or two.
	admissionDelay = 10 * time.Second
	// admissionPeriod is how often it is looked whether a new installation of
	// the policies can be relied on.
	admissionPeriod = 2 * time.Second
	// admissionMemory is how long an answer is used again.
	admissionMemory = time.Second
)

// Admission says whether the admission policies are in force. One installation
// of them is an epoch: approvals hold within the epoch in which they were given.
// A new epoch begins when no approval is left that was written before it and
// that nobody checked.
type Admission struct {
	// Client reads from the cache, Live from the API server.
	Client client.Reader
	Live   client.Reader
	Sealer *Sealer
	Clock  clock.PassiveClock
	// Namespaces are those that the operator watches; empty means all.
	Namespaces []string
	// Served says that the cluster has the API of the policies (Kubernetes
	// 1.30 or later).
	Served bool

	// begun are told of the beginning of an epoch.
	begun []chan event.GenericEvent

	mu     sync.Mutex
	last   string
	lastAt time.Time
	// youngest is when the last of the policies was created, by the clock of the
	// API server.
	youngest time.Time
	// seen is the installation that was last found, and seenAt when it was first,
	// by the clock of the operator.
	seen   string
	seenAt time.Time
}

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,verbs=get;list;watch

// Is says Present, with the epoch, while every policy that an approval rests on
// refuses requests by a binding without restrictions and the epoch has begun.
func (a *Admission) Is(ctx context.Context) (policy.Knowledge, string, error) {
	found, err := a.installed(ctx)
	if err != nil {
		return policy.Unknown, "", err
	}
	if found == "" {
		return policy.Absent, "", nil
	}
	begun, err := a.Sealer.Epoch(ctx)
	if err != nil {
		return policy.Unknown, "", err
	}
	if begun != found {
		return policy.Absent, "", nil
	}
	return policy.Present, begun, nil
}

// installed names the epoch of the policies as they are, empty while they are not
// in force. It looks at most once in a while.
func (a *Admission) installed(ctx context.Context) (string, error) {
	if !a.Served {
		return "", nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Clock.Now()
	if !a.lastAt.IsZero() && now.Sub(a.lastAt) < admissionMemory && !now.Before(a.lastAt) {
		return a.last, nil
	}
	var uids []string
	a.youngest = time.Time{}
	for _, name := range approvalPolicies {
		enforced, err := a.enforced(ctx, name)
		if err != nil {
			return "", err
		}
		if len(enforced) == 0 {
			a.last, a.lastAt = "", now
			return a.last, nil
		}
		uids = append(uids, enforced...)
	}
	sum := sha256.Sum256([]byte(strings.Join(uids, "\n")))
	a.last, a.lastAt = hex.EncodeToString(sum[:]), now
	return a.last, nil
}

// enforced returns the UIDs of a policy and its binding; none unless they are
// in force.
func (a *Admission) enforced(ctx context.Context, name string) ([]string, error) {
	var rules admissionregistrationv1.ValidatingAdmissionPolicy
	var binding admissionregistrationv1.ValidatingAdmissionPolicyBinding
	for _, object := range []client.Object{&rules, &binding} {
		err := a.Client.Get(ctx, types.NamespacedName{Name: name}, object)
		switch {
		case apierrors.IsNotFound(err):
			return nil, nil
		case err != nil:
			return nil, wrap("reading admission policy "+name, err)
		case object.GetDeletionTimestamp() != nil:
			return nil, nil
		}
		if created := object.GetCreationTimestamp().Time; created.After(a.youngest) {
			a.youngest = created
		}
	}
	refuses := rules.Spec.FailurePolicy == nil || *rules.Spec.FailurePolicy == admissionregistrationv1.Fail
	bound := binding.Spec.PolicyName == name && binding.Spec.MatchResources == nil &&
		slices.Contains(binding.Spec.ValidationActions, admissionregistrationv1.Deny)
	if !refuses || !bound {
		return nil, nil
	}
	return []string{string(rules.UID), string(binding.UID)}, nil
}

// Start begins new epochs until the context ends.
func (a *Admission) Start(ctx context.Context) error {
	ticker := time.NewTicker(admissionPeriod)
	defer ticker.Stop()
	for {
		if err := a.Begin(ctx); err != nil {
			logf.FromContext(ctx).Error(err, "Looking at the admission policies")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Begin begins an epoch if there is a new installation of the policies and no
// approval that was written before it is unchecked: the reconciler of grants
// marks those.
func (a *Admission) Begin(ctx context.Context) error {
	found, err := a.installed(ctx)
	if err != nil || found == "" {
		return err
	}
	begun, err := a.Sealer.Epoch(ctx)
	if err != nil || begun == found || !a.settled(found) {
		return err
	}
	clean, err := a.clean(ctx)
	if err != nil || !clean {
		return err
	}
	if err := a.Sealer.BeginEpoch(ctx, found); err != nil {
		return err
	}
	a.announce()
	logf.FromContext(ctx).Info("Admission policies relied on: approvals of grants count from now on")
	return nil
}

// settled says that the API server enforces an installation: it is old enough by
// the API server's clock, or was seen for long enough by the operator's, which
// may be behind.
func (a *Admission) settled(found string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Clock.Now()
	if a.seen != found {
		a.seen, a.seenAt = found, now
	}
	return now.Sub(a.seenAt) >= admissionDelay || now.Sub(a.youngest) >= admissionDelay
}

// clean says that the API server holds no approval that is not marked.
func (a *Admission) clean(ctx context.Context) (bool, error) {
	namespaces := a.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		options := &client.ListOptions{Namespace: namespace, Limit: 500}
		for {
			var grants v1alpha1.ScopeGrantList
			if err := a.Live.List(ctx, &grants, options); err != nil {
				return false, fmt.Errorf("listing grants: %w", err)
			}
			if slices.ContainsFunc(grants.Items, unmarked) {
				return false, nil
			}
			if options.Continue = grants.Continue; options.Continue == "" {
				break
			}
		}
	}
	return true, nil
}

// unmarked says that a grant has an approval that nobody has looked at.
func unmarked(grant v1alpha1.ScopeGrant) bool {
	return grant.Status.Approval != nil && grant.Status.Approval.Seal == ""
}

// errNoEpoch says that an approval cannot be sealed, because the policies are
// not in force.
var errNoEpoch = errors.New("the admission policies are not in force")
