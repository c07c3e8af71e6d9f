// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// The admission policies that a word in an object's status rests on: who may
// approve, who may write status, and who asked. Each has a binding of the same
// name.
var approvalPolicies = []string{"mcp-registrar-approval", "mcp-registrar-operator", "mcp-registrar-requester"}

// admissionDelay is how long after their creation the API server is taken to
// ask the policies: it learns of them within a second or two.
const admissionDelay = 10 * time.Second

// Admission says whether the admission policies are in force.
type Admission struct {
	Client client.Reader
	Clock  clock.PassiveClock
	// Served says that the cluster has the API of the policies (Kubernetes
	// 1.30 or later).
	Served bool
}

// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,verbs=get;list;watch

// Is says Present when every policy that an approval rests on refuses requests
// by a binding without restrictions, and has done so for a while.
func (a *Admission) Is(ctx context.Context) (policy.Knowledge, error) {
	if !a.Served {
		return policy.Absent, nil
	}
	for _, name := range approvalPolicies {
		is, err := a.enforces(ctx, name)
		if err != nil || is != policy.Present {
			return is, err
		}
	}
	return policy.Present, nil
}

func (a *Admission) enforces(ctx context.Context, name string) (policy.Knowledge, error) {
	var rules admissionregistrationv1.ValidatingAdmissionPolicy
	var binding admissionregistrationv1.ValidatingAdmissionPolicyBinding
	for _, object := range []client.Object{&rules, &binding} {
		err := a.Client.Get(ctx, types.NamespacedName{Name: name}, object)
		switch {
		case apierrors.IsNotFound(err):
			return policy.Absent, nil
		case err != nil:
			return policy.Unknown, wrap("reading admission policy "+name, err)
		case object.GetDeletionTimestamp() != nil, a.Clock.Since(object.GetCreationTimestamp().Time) < admissionDelay:
			return policy.Absent, nil
		}
	}
	refuses := rules.Spec.FailurePolicy == nil || *rules.Spec.FailurePolicy == admissionregistrationv1.Fail
	bound := binding.Spec.PolicyName == name && binding.Spec.MatchResources == nil &&
		slices.Contains(binding.Spec.ValidationActions, admissionregistrationv1.Deny)
	if !refuses || !bound {
		return policy.Absent, nil
	}
	return policy.Present, nil
}
