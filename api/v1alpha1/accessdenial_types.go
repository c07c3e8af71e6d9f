// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AccessDenialSpec says who is refused, why, and until when. Whom it names never
// changes: create another AccessDenial for somebody else.
// +kubebuilder:validation:ExactlyOneOf=client;registration
// +kubebuilder:validation:XValidation:rule="has(self.client) == has(oldSelf.client) && has(self.registration) == has(oldSelf.registration)",message="client and registration are immutable: create another AccessDenial"
type AccessDenialSpec struct {
	// client is refused by what its tokens say: it need not be on the register.
	// Immutable. Left out, registration says who is refused.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="client is immutable: create another AccessDenial for another client"
	Client *DeniedClient `json:"client,omitempty"`

	// registration whose client is refused, whichever that is at the time.
	// Immutable. Left out, client says who is refused.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="registration is immutable: create another AccessDenial for another registration"
	Registration *DeniedRegistration `json:"registration,omitempty"`

	// reason says why, in one line, to people who read the register. It is not
	// shown to the client.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\p{Cc}\p{Zl}\p{Zp}\x{202A}-\x{202E}\x{2066}-\x{2069}]*$')`,message="reason must be one line without control or text-direction characters, for example Key leaked, incident 4711"
	Reason string `json:"reason"`

	// expirationTime is when the denial ends; each guard judges it. Left
	// out, it holds until the object is deleted.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	ExpirationTime *metav1.Time `json:"expirationTime,omitempty"`
}

// DeniedClient is a client as its tokens name it.
type DeniedClient struct {
	// authorizationServerRef names the AuthorizationServer whose issuer the
	// tokens are of.
	// +required
	AuthorizationServerRef AuthorizationServerReference `json:"authorizationServerRef"`

	// clientID is the client identifier in the tokens, to the letter.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	ClientID string `json:"clientID"`
}

// DeniedRegistration names an MCPClientRegistration.
type DeniedRegistration struct {
	// namespace of the MCPClientRegistration.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`

	// name of the MCPClientRegistration.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// uid of the MCPClientRegistration. Left out, the denial is about every
	// registration of that name, also one that is created later.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid,omitempty"`
}

// AccessDenialStatus is what is true of the denial.
type AccessDenialStatus struct {
	// conditions: Enforced, Ready; Reconciling and Stalled only while true.
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

	// enforcedTime is when every guard was first known to refuse whom the
	// denial names. Rounded up to the second: the guards had it before. Guards
	// that begin later have it from their beginning.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	EnforcedTime *metav1.Time `json:"enforcedTime,omitempty"`

	// enforcedBy is how many guards were known to refuse whom the denial names,
	// at enforcedTime or, before that, now.
	// +optional
	// +kubebuilder:validation:Minimum=0
	EnforcedBy *int32 `json:"enforcedBy,omitempty"`

	// pending is how many guards are not known to have the denial yet. Left out,
	// there is none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Pending *int32 `json:"pending,omitempty"`

	// pendingGuards are their Leases, each as namespace/name, at most the first
	// 16 by name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=317
	PendingGuards []string `json:"pendingGuards,omitempty"`
}

// AccessDenial has guards refuse one client, whatever the objects of its team
// say: a kill switch for people, and the operator's way to guards where an object
// of a tenant cannot carry the news. Nothing that a tenant owns can hide one.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=mcpdeny,categories=mcp-registrar
// +kubebuilder:printcolumn:name="Client",type=string,JSONPath=`.spec.client.clientID`
// +kubebuilder:printcolumn:name="Namespace",type=string,priority=1,JSONPath=`.spec.registration.namespace`
// +kubebuilder:printcolumn:name="Registration",type=string,JSONPath=`.spec.registration.name`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Enforced",type=date,JSONPath=`.status.enforcedTime`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expirationTime`
// +kubebuilder:printcolumn:name="Ready",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AccessDenial struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is who is refused.
	// +required
	Spec AccessDenialSpec `json:"spec"`

	// status is what is true.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status AccessDenialStatus `json:"status,omitempty"`
}

// GetConditions returns the conditions of the status.
func (in *AccessDenial) GetConditions() []metav1.Condition { return in.Status.Conditions }

// SetConditions replaces the conditions of the status.
func (in *AccessDenial) SetConditions(c []metav1.Condition) { in.Status.Conditions = c }

// AccessDenialList is a list of AccessDenial.
// +kubebuilder:object:root=true
type AccessDenialList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AccessDenial `json:"items"`
}
