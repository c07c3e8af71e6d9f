// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"sync"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// The admission policies that a decision about a grant rests on: who decided, who
// writes status, and who asked. Each has a binding of the same name.
var approvalPolicies = []string{"mcp-registrar-approval", "mcp-registrar-operator", "mcp-registrar-requester"}

const (
	// admissionDelay is how long after their creation the API server is taken to
	// ask the policies: it learns of them within a second or two.
	admissionDelay = 10 * time.Second
	// admissionMemory is how long an answer is used again.
	admissionMemory = time.Second
)

// Admission says whether the admission policies are in force, and since when.
type Admission struct {
	// Client reads from the cache.
	Client client.Reader
	Clock  clock.PassiveClock
	// Served says that the cluster has the API of the policies (Kubernetes
	// 1.30 or later).
	Served bool

	mu     sync.Mutex
	last   inForce
	lastAt time.Time
}

// inForce is what was found of the policies.
type inForce struct {
	is policy.Knowledge
	// since is from when on the API server asks them, by its clock.
	since time.Time
}

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,verbs=get;list;watch

// Is says Present while every policy that a decision rests on refuses requests by a
// binding without restrictions, with the instant from which on the API server asked
// all of them. It looks at most once in a while.
func (a *Admission) Is(ctx context.Context) (policy.Knowledge, time.Time, error) {
	if !a.Served {
		return policy.Absent, time.Time{}, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.Clock.Now()
	if !a.lastAt.IsZero() && now.Sub(a.lastAt) < admissionMemory && !now.Before(a.lastAt) {
		return a.last.is, a.last.since, nil
	}
	found := inForce{is: policy.Present}
	for _, name := range approvalPolicies {
		created, enforced, err := a.enforced(ctx, name)
		if err != nil {
			return policy.Unknown, time.Time{}, err
		}
		if !enforced {
			found.is = policy.Absent
		}
		if since := created.Add(admissionDelay); since.After(found.since) {
			found.since = since
		}
	}
	a.last, a.lastAt = found, now
	return found.is, found.since, nil
}

// enforced says whether a policy is in force, and when the younger of it and its
// binding was created.
func (a *Admission) enforced(ctx context.Context, name string) (created time.Time, is bool, err error) {
	var rules admissionregistrationv1.ValidatingAdmissionPolicy
	var binding admissionregistrationv1.ValidatingAdmissionPolicyBinding
	for _, object := range []client.Object{&rules, &binding} {
		err := a.Client.Get(ctx, types.NamespacedName{Name: name}, object)
		switch {
		case apierrors.IsNotFound(err):
			return created, false, nil
		case err != nil:
			return created, false, wrap("reading admission policy "+name, err)
		case object.GetDeletionTimestamp() != nil:
			return created, false, nil
		}
		if at := object.GetCreationTimestamp().Time; at.After(created) {
			created = at
		}
	}
	refuses := rules.Spec.FailurePolicy == nil || *rules.Spec.FailurePolicy == admissionregistrationv1.Fail
	bound := binding.Spec.PolicyName == name && binding.Spec.MatchResources == nil &&
		slices.Contains(binding.Spec.ValidationActions, admissionregistrationv1.Deny)
	return created, refuses && bound, nil
}
