// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"slices"
	"time"
)

// Recorder takes events. It never fails its caller, keeps it waiting for a
// bounded time only, and may be used by several goroutines.
type Recorder interface {
	// Record puts an event on record. When it returns the event is written, or
	// counted as a failure.
	Record(event Event)
}

// Discard is a Recorder that drops every event.
var Discard Recorder = discard{}

type discard struct{}

func (discard) Record(Event) {}

// Event is one change of an identity.
type Event struct {
	// Type says what happened.
	Type Type
	// Subject is the object it happened to: "Kind/namespace/name".
	Subject string
	// Time is when it happened. The zero time means now.
	Time time.Time
	// Data says the rest.
	Data Data
}

// Data is what an event says. A field that does not apply is left empty and out
// of the line. A text of more than 1024 bytes and a list of more than 256
// entries are cut. No field may ever carry a secret.
type Data struct {
	// Kind is the kind of the object.
	Kind string `json:"kind,omitempty"`
	// Namespace is the namespace of the object.
	Namespace string `json:"namespace,omitempty"`
	// Name is the name of the object.
	Name string `json:"name,omitempty"`
	// UID is the UID of the object.
	UID string `json:"uid,omitempty"`
	// Generation is the generation of the object's spec that was acted on.
	Generation int64 `json:"generation,omitempty"`
	// AuthorizationServer is the name of the AuthorizationServer.
	AuthorizationServer string `json:"authorizationServer,omitempty"`
	// Issuer is the issuer of the authorization server.
	Issuer string `json:"issuer,omitempty"`
	// ClientID is the client identifier at the authorization server.
	ClientID string `json:"clientID,omitempty"`
	// Owner is who answers for the object.
	Owner string `json:"owner,omitempty"`
	// RequestedBy is the user who created the object.
	RequestedBy string `json:"requestedBy,omitempty"`
	// ChangedBy is the user who last changed what the object asks for.
	ChangedBy string `json:"changedBy,omitempty"`
	// Scopes are the scopes that the client has, or that the grant asks for.
	Scopes []string `json:"scopes,omitempty"`
	// Grants are the grants that gave the scopes.
	Grants []Grant `json:"grants,omitempty"`
	// RedirectURIs are the redirect URIs of the client.
	RedirectURIs []string `json:"redirectURIs,omitempty"`
	// GrantTypes are the OAuth grant types of the client.
	GrantTypes []string `json:"grantTypes,omitempty"`
	// AuthMethod is how the client authenticates at the token endpoint.
	AuthMethod string `json:"authMethod,omitempty"`
	// ExpiresAt is when the object ends.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// Cause is why a client was revoked.
	Cause string `json:"cause,omitempty"`
	// Reason is the reason of a condition, or the reason that a person gave.
	Reason string `json:"reason,omitempty"`
	// Message explains it in a sentence.
	Message string `json:"message,omitempty"`
	// DueAt is since when a revocation was due.
	DueAt time.Time `json:"dueAt,omitzero"`
	// Server is the MCPServer: "namespace/name".
	Server string `json:"server,omitempty"`
	// Client is the MCPClientRegistration: "namespace/name".
	Client string `json:"client,omitempty"`
	// Decision is the approval or denial that the event is about.
	Decision *Approval `json:"decision,omitempty"`
	// Mark is what the operator puts into the name of a client to tell whose it
	// is.
	Mark string `json:"mark,omitempty"`
	// Added is what a change added.
	Added []string `json:"added,omitempty"`
	// Removed is what a change took away.
	Removed []string `json:"removed,omitempty"`
}

// Grant is a grant in force.
type Grant struct {
	// Name is the name of the ScopeGrant.
	Name string `json:"name,omitempty"`
	// Scopes are what it grants.
	Scopes []string `json:"scopes,omitempty"`
	// Approval is how it was approved: Automatic, PreApproved or Approved.
	Approval string `json:"approval,omitempty"`
	// ApprovedBy is the user who approved it.
	ApprovedBy string `json:"approvedBy,omitempty"`
	// ApprovedAt is when the operator took the approval up.
	ApprovedAt time.Time `json:"approvedAt,omitzero"`
	// Generation is the generation of the ScopeGrant that was approved.
	Generation int64 `json:"generation,omitempty"`
}

// Approval is what a person decided about a grant.
type Approval struct {
	// By is the user who decided.
	By string `json:"by,omitempty"`
	// At is when the decision was made.
	At time.Time `json:"at,omitzero"`
	// Name is the ScopeGrantApproval, as namespace/name.
	Name string `json:"name,omitempty"`
	// Reason is what the person gave as reason.
	Reason string `json:"reason,omitempty"`
	// ExpiresAt is when the decision ends; zero means with the grant.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// utc returns the data with all times in UTC.
func (d Data) utc() Data {
	d.ExpiresAt, d.DueAt = d.ExpiresAt.UTC(), d.DueAt.UTC()
	d.Grants = slices.Clone(d.Grants)
	for i := range d.Grants {
		d.Grants[i].ApprovedAt = d.Grants[i].ApprovedAt.UTC()
	}
	if d.Decision != nil {
		decision := *d.Decision
		decision.At, decision.ExpiresAt = decision.At.UTC(), decision.ExpiresAt.UTC()
		d.Decision = &decision
	}
	return d
}
