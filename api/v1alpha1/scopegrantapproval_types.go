// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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

// ScopeGrantApprovalSpec is what an owner of an MCPServer decided: about one
// ScopeGrant that they looked at (grantRef), or about a client before it asks
// (clientRef). It never changes: delete it, and create another.
// +kubebuilder:validation:ExactlyOneOf=grantRef;clientRef
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec is immutable, for it is of what was looked at: delete this ScopeGrantApproval and create another"
// +kubebuilder:validation:XValidation:rule="!has(self.grantRef) || (!has(self.scopes) && !has(self.redirectHosts) && !has(self.authMethods))",message="scopes, redirectHosts and authMethods go with clientRef: with grantRef the scopes are those of the grant"
// +kubebuilder:validation:XValidation:rule="!has(self.clientRef) || (!has(self.registration) && !has(self.digest) && !has(self.toolsDigest) && !has(self.requestedBy))",message="registration, digest, toolsDigest and requestedBy go with grantRef: with clientRef nothing was looked at yet"
// +kubebuilder:validation:XValidation:rule="!has(self.clientRef) || (has(self.scopes) && has(self.expirationTime))",message="clientRef needs scopes and expirationTime, for example scopes: [invoices:pay] and expirationTime: 2027-03-31T00:00:00Z"
// +kubebuilder:validation:XValidation:rule="!has(self.grantRef) || self.decision == 'Denied' || (has(self.serverRef.uid) && has(self.registration) && has(self.digest) && has(self.requestedBy))",message="grantRef with decision Approved needs serverRef.uid, registration, digest and requestedBy, as status.pendingGrants of the MCPServer shows them"
type ScopeGrantApprovalSpec struct {
	// serverRef names the MCPServer, in the same namespace.
	// +required
	ServerRef ApprovedServer `json:"serverRef"`

	// grantRef is the ScopeGrant that was looked at. Left out, clientRef says
	// whose grants are decided about.
	// +optional
	GrantRef *ApprovedGrant `json:"grantRef,omitempty"`

	// clientRef is the client whose grants are decided about before it asks:
	// what is kept in Git. Left out, grantRef says what was looked at.
	// +optional
	ClientRef *ApprovedClient `json:"clientRef,omitempty"`

	// scopes that are decided about. Required with clientRef, refused otherwise.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	Scopes []string `json:"scopes,omitempty"`

	// redirectHosts are the hosts that redirect URIs of the client may have. A
	// client without redirect URIs does not have the approval. Only with clientRef. Left out, what the AuthorizationServer allows.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	RedirectHosts []string `json:"redirectHosts,omitempty"`

	// authMethods are the ways in which the client may authenticate at the token
	// endpoint. Only with clientRef. Left out, what the AuthorizationServer
	// allows.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=5
	AuthMethods []TokenEndpointAuthMethod `json:"authMethods,omitempty"`

	// registration of the client as it was looked at. Only with grantRef.
	// +optional
	Registration *ApprovedRegistration `json:"registration,omitempty"`

	// digest of what was looked at, as status.pendingGrants of the MCPServer
	// shows it: SHA-256, in hexadecimal digits. Only with grantRef.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	Digest string `json:"digest,omitempty"`

	// toolsDigest of the definitions of tools that were looked at, as
	// status.pendingGrants of the MCPServer shows it. Only with grantRef. Left out,
	// none were known, and tools that changed are not approved.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	ToolsDigest string `json:"toolsDigest,omitempty"`

	// requestedBy is the user who asked, as whoever decides saw it. Only with
	// grantRef.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	RequestedBy string `json:"requestedBy,omitempty"`

	// decision: Approved or Denied.
	// +required
	Decision ApprovalDecision `json:"decision"`

	// reason says why, to those who asked.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`

	// expirationTime is when the decision ends. Required with clientRef. Left
	// out, it holds as long as the grant.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	ExpirationTime *metav1.Time `json:"expirationTime,omitempty"`
}

// ApprovedServer names an MCPServer of the same namespace.
type ApprovedServer struct {
	// name of the MCPServer.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// uid of the MCPServer. Left out, the decision is about every server of that
	// name, also one that is created later.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid,omitempty"`
}

// ApprovedGrant is a ScopeGrant as it was looked at.
type ApprovedGrant struct {
	// namespace of the ScopeGrant.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`

	// name of the ScopeGrant.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// uid of the ScopeGrant.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`

	// generation that was looked at.
	// +required
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation"`
}

// ApprovedClient names an MCPClientRegistration, which need not exist yet.
type ApprovedClient struct {
	// namespace of the MCPClientRegistration and its grants.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`

	// name of the MCPClientRegistration.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// ApprovedRegistration is the registration of a client as it was looked at.
type ApprovedRegistration struct {
	// uid of the MCPClientRegistration.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`

	// generation that was looked at.
	// +required
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation"`
}

// LookedAt is one member of what was looked at.
type LookedAt struct {
	// name of the member, for example "redirect URIs".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=192
	Name string `json:"name"`

	// values of the member, in order.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=2048
	Values []string `json:"values,omitempty"`
}

// ScopeGrantApprovalStatus is what is true of the decision.
type ScopeGrantApprovalStatus struct {
	// conditions: Accepted, Ready; Reconciling and Stalled only while true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime >= timestamp('0001-01-01T00:00:00Z'))",message="lastTransitionTime must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that this status speaks of; -1
	// before the object was seen.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// lookedAt is what was looked at, member by member, as it was when the
	// operator first found it there. Its digest is spec.digest, else it counts
	// for nothing. What is there now is compared with it.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=192
	LookedAt []LookedAt `json:"lookedAt,omitempty"`
}

// ScopeGrantApproval is the word of an owner of an MCPServer to one ScopeGrant,
// or to what a client may ask for. It lives beside the server. Who may create and
// delete it there is who may decide; who did is in the annotation
// mcp-registrar.dev/approved-by, which the API server sets.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mcpapproval,categories=mcp-registrar
// +kubebuilder:selectablefield:JSONPath=`.spec.serverRef.name`
// +kubebuilder:printcolumn:name="Server",type=string,JSONPath=`.spec.serverRef.name`
// +kubebuilder:printcolumn:name="Decision",type=string,JSONPath=`.spec.decision`
// +kubebuilder:printcolumn:name="Grant",type=string,JSONPath=`.spec.grantRef.name`
// +kubebuilder:printcolumn:name="Client",type=string,JSONPath=`.spec.clientRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Approver",type=string,priority=1,JSONPath=`.metadata.annotations.mcp-registrar\.dev/approved-by`
// +kubebuilder:printcolumn:name="Expires",type=string,priority=1,JSONPath=`.spec.expirationTime`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ScopeGrantApproval struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the decision.
	// +required
	Spec ScopeGrantApprovalSpec `json:"spec"`

	// status is what is true.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status ScopeGrantApprovalStatus `json:"status,omitempty"`
}

// GetConditions returns the conditions of the status.
func (in *ScopeGrantApproval) GetConditions() []metav1.Condition { return in.Status.Conditions }

// SetConditions replaces the conditions of the status.
func (in *ScopeGrantApproval) SetConditions(c []metav1.Condition) { in.Status.Conditions = c }

// ScopeGrantApprovalList is a list of ScopeGrantApproval.
// +kubebuilder:object:root=true
type ScopeGrantApprovalList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ScopeGrantApproval `json:"items"`
}
