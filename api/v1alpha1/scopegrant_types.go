// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ScopeGrantSpec asks for scopes of one MCP server for one client.
type ScopeGrantSpec struct {
	// clientRef names the MCPClientRegistration in the same namespace.
	// Immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="clientRef is immutable: create another ScopeGrant for another client"
	ClientRef LocalReference `json:"clientRef"`

	// serverRef names the MCPServer. Immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="serverRef is immutable: create another ScopeGrant for another server"
	ServerRef ServerReference `json:"serverRef"`

	// scopes are what is asked for. Each must be in the server's catalogue,
	// else nothing of the grant is in force.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Scopes []ScopeName `json:"scopes"`

	// reason says to the server's owners why. Required when a scope's tier is
	// above Read.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
}

// ScopeGrantStatus is what is true of the grant.
type ScopeGrantStatus struct {
	// conditions: Accepted, Applied, Ready; Reconciling and Stalled only
	// while true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime >= timestamp('0001-01-01T00:00:00Z'))",message="lastTransitionTime must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that this status speaks of; -1
	// before the object was seen.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// expiresAt is the effective end: the earlier of the annotation and the
	// end of the registration.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
}

// ScopeGrant lets one client use some scopes of one MCP server until an end
// date. It lives beside the registration.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mcpgrant,categories=mcp-registrar
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Owner",type=string,priority=1,JSONPath=`.metadata.annotations.mcp-registrar\.dev/owner`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.expiresAt`
// +kubebuilder:printcolumn:name="Client",type=string,JSONPath=`.spec.clientRef.name`
// +kubebuilder:printcolumn:name="Server",type=string,JSONPath=`.spec.serverRef.name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ScopeGrant struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the wish.
	// +required
	Spec ScopeGrantSpec `json:"spec"`

	// status is what is true.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status ScopeGrantStatus `json:"status,omitempty"`
}

// ServerNamespace returns the namespace of the server that the grant names.
func (in *ScopeGrant) ServerNamespace() string {
	if in.Spec.ServerRef.Namespace != "" {
		return in.Spec.ServerRef.Namespace
	}
	return in.Namespace
}

// GetConditions returns the conditions of the status.
func (in *ScopeGrant) GetConditions() []metav1.Condition { return in.Status.Conditions }

// SetConditions replaces the conditions of the status.
func (in *ScopeGrant) SetConditions(c []metav1.Condition) { in.Status.Conditions = c }

// ScopeGrantList is a list of ScopeGrant.
// +kubebuilder:object:root=true
type ScopeGrantList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ScopeGrant `json:"items"`
}
