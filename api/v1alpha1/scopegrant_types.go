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

// Approval is the decision of an owner of the server that counts for a grant, as
// the operator found it. Who decides creates a ScopeGrantApproval.
type Approval struct {
	// name of the ScopeGrantApproval, in the namespace of the MCPServer.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// uid of the ScopeGrantApproval.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`

	// decision: Approved or Denied.
	// +required
	Decision ApprovalDecision `json:"decision"`

	// reason says why, to those who asked.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`

	// approvedBy is the user who decided, as the API server saw it. Left out, it
	// is not known: the admission policies were not installed.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	ApprovedBy string `json:"approvedBy,omitempty"`

	// decisionTime is when the ScopeGrantApproval was created.
	// +required
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	DecisionTime metav1.Time `json:"decisionTime"`

	// expirationTime is when the decision ends. Left out, it holds as long as
	// the grant.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	ExpirationTime *metav1.Time `json:"expirationTime,omitempty"`
}

// GrantBasis says by whose word a grant is in force.
// +kubebuilder:validation:Enum=Automatic;PreApproved;Approved
type GrantBasis string

// The values of GrantBasis.
const (
	// BasisAutomatic: the server approves the tiers of its scopes by itself.
	BasisAutomatic GrantBasis = "Automatic"
	// BasisPreApproved: an owner of the server approved it before it was asked
	// for.
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

	// approval is the decision of an owner of the server that counts for the
	// grant: one that it is in force by, or that denies it. Left out, none does.
	// +optional
	Approval *Approval `json:"approval,omitempty"`

	// recordedApprovals are the UIDs of the ScopeGrantApprovals that the audit
	// record tells of, the last 16: one that counts again is not told of as if
	// somebody had decided again.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=64
	RecordedApprovals []string `json:"recordedApprovals,omitempty"`

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
