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

// ApprovalDecision is what an owner of a server says to a grant.
// +kubebuilder:validation:Enum=Approved;Denied
type ApprovalDecision string

// The values of ApprovalDecision.
const (
	// DecisionApproved: the grant may come into force.
	DecisionApproved ApprovalDecision = "Approved"
	// DecisionDenied: the grant may not come into force.
	DecisionDenied ApprovalDecision = "Denied"
)

// Approval is what an owner of the server decided about a grant. It is written
// through the status subresource by a user with the verb grant on the
// MCPServer; the API server refuses others, where the admission policies are
// installed.
type Approval struct {
	// decision: Approved or Denied.
	// +required
	Decision ApprovalDecision `json:"decision"`

	// generation is metadata.generation of the grant that was decided on. An
	// approval of another generation is void.
	// +required
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation"`

	// reason says why, to those who asked.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`

	// approvedBy is the user who decided. It is stamped by the API server and
	// is always the user who wrote the decision.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	ApprovedBy string `json:"approvedBy,omitempty"`

	// expiresAt is the end date that was approved. An approval is void when
	// the annotation mcp-registrar.dev/expires-at is moved beyond it. Left
	// out, the API server stamps the annotation's present value.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// approvedAt is when the operator took the decision up.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	ApprovedAt *metav1.Time `json:"approvedAt,omitempty"`

	// seal is the operator's mark that it took the decision up while the
	// admission policies were in force. It cannot be made by anybody else.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Seal string `json:"seal,omitempty"`
}

// GrantBasis says by whose word a grant is in force.
// +kubebuilder:validation:Enum=Automatic;PreApproved;Approved
type GrantBasis string

// The values of GrantBasis.
const (
	// BasisAutomatic: the server approves the tiers of its scopes by itself.
	BasisAutomatic GrantBasis = "Automatic"
	// BasisPreApproved: the server lists it in spec.grants.preApproved.
	BasisPreApproved GrantBasis = "PreApproved"
	// BasisApproved: an owner of the server approved it.
	BasisApproved GrantBasis = "Approved"
)

// ScopeGrantStatus is what is true of the grant.
type ScopeGrantStatus struct {
	// conditions: Accepted, Applied, Ready; ReviewRequired, Reconciling and
	// Stalled only while true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime >= timestamp('0001-01-01T00:00:00Z'))",message="lastTransitionTime must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that this status speaks of; -1
	// before the object was seen.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// approval is what an owner of the server decided. It is the only field
	// of the status that people write.
	// +optional
	Approval *Approval `json:"approval,omitempty"`

	// basis says by whose word the grant is in force: Automatic, PreApproved
	// or Approved. Absent while it is not.
	// +optional
	Basis GrantBasis `json:"basis,omitempty"`

	// term is the end date as the operator accepted it.
	// +optional
	Term *Term `json:"term,omitempty"`

	// expiresAt is the effective end: the earliest of the annotation, the end
	// of the registration, and what the server allows.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// toolSnapshot holds the definitions of the tools of the granted scopes
	// as they were when the grant came into force, or was last approved.
	// +optional
	ToolSnapshot *ToolSnapshot `json:"toolSnapshot,omitempty"`

	// changedTools are the tools of the granted scopes whose definition is not
	// in the snapshot, or which the server offers no more, at most the first
	// 256 by name. Where the server says Withhold, guards refuse them until the
	// grant is approved again; of 256 they refuse every tool of the grant.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	ChangedTools []string `json:"changedTools,omitempty"`

	// changedToolsOmitted is how many more there are than changedTools has room
	// for. Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ChangedToolsOmitted int32 `json:"changedToolsOmitted,omitempty"`
}

// ToolSnapshot is what the tools of a grant were at one time.
type ToolSnapshot struct {
	// takenAt is when the snapshot was taken.
	// +required
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	TakenAt metav1.Time `json:"takenAt"`

	// scopes whose tools it holds, at most 256: those that are granted no more
	// go first.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	Scopes []string `json:"scopes,omitempty"`

	// tools that were there, at most the first 256 by name.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Tools []ToolDigest `json:"tools,omitempty"`

	// toolsOmitted is how many more there were than tools has room for. Left
	// out, none. A tool that is left out counts as changed.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ToolsOmitted int32 `json:"toolsOmitted,omitempty"`
}

// ScopeGrant lets one client use some scopes of one MCP server until an end
// date. It lives beside the registration.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mcpgrant,categories=mcp-registrar
// +kubebuilder:selectablefield:JSONPath=`.spec.serverRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.clientRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Owner",type=string,priority=1,JSONPath=`.metadata.annotations.mcp-registrar\.dev/owner`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.expiresAt`
// +kubebuilder:printcolumn:name="Basis",type=string,priority=1,JSONPath=`.status.basis`
// +kubebuilder:printcolumn:name="Approver",type=string,priority=1,JSONPath=`.status.approval.approvedBy`
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
