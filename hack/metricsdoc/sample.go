// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// sample is a cluster that has something to show for every metric.
type sample struct{}

// Get answers nothing.
func (sample) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.ErrUnsupported
}

// List fills a list with one object.
func (sample) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	name := metav1.ObjectMeta{Namespace: "payments", Name: "reconciler"}
	due := metav1.NewTime(time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC))
	switch list := list.(type) {
	case *v1alpha1.AuthorizationServerList:
		list.Items = []v1alpha1.AuthorizationServer{{ObjectMeta: metav1.ObjectMeta{Name: "company"}, Status: v1alpha1.AuthorizationServerStatus{
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionAdminAccess, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonGranted}},
		}}}
	case *v1alpha1.MCPServerList:
		list.Items = []v1alpha1.MCPServer{{ObjectMeta: name}}
	case *v1alpha1.MCPClientRegistrationList:
		list.Items = []v1alpha1.MCPClientRegistration{{ObjectMeta: name, Status: v1alpha1.MCPClientRegistrationStatus{
			ClientID: "client", ExpiresAt: &due,
			Revocation: &v1alpha1.Revocation{Cause: v1alpha1.CauseExpired, ClientID: "client", DueAt: due},
		}}}
	case *v1alpha1.ScopeGrantList:
		list.Items = []v1alpha1.ScopeGrant{{ObjectMeta: name, Status: v1alpha1.ScopeGrantStatus{ExpiresAt: &due}}}
	case *v1alpha1.ScopeGrantApprovalList:
		list.Items = []v1alpha1.ScopeGrantApproval{{ObjectMeta: name}}
	case *v1alpha1.AccessDenialList:
		list.Items = []v1alpha1.AccessDenial{{ObjectMeta: metav1.ObjectMeta{Name: "incident"}}}
	default:
		return fmt.Errorf("%T: %w", list, errors.ErrUnsupported)
	}
	return nil
}
