// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

// Type is the type attribute of an event, one of the constants below.
type Type string

// What happens to registrations and their clients.
const (
	// RegistrationRequested: an MCPClientRegistration was seen for the first
	// time. Says who requested it and what it asks for.
	RegistrationRequested Type = "dev.mcp-registrar.registration.requested"
	// ClientRegistered: the authorization server registered a client. Says the
	// client id and everything that was registered.
	ClientRegistered Type = "dev.mcp-registrar.client.registered"
	// ClientChanged: the authorization server accepted a change of the client.
	// Says what was added and removed.
	ClientChanged Type = "dev.mcp-registrar.client.changed"
	// ClientRotated: the credentials of the client were replaced.
	ClientRotated Type = "dev.mcp-registrar.client.rotated"
	// ClientRevoked: the authorization server accepted the deletion of the
	// client. Says the cause and since when it was due.
	ClientRevoked Type = "dev.mcp-registrar.client.revoked"
	// RevocationVerified: the client was seen to be absent after its deletion.
	RevocationVerified Type = "dev.mcp-registrar.client.revocation-verified"
	// ClientReleased: a person let go of a client whose revocation was blocked.
	// Says who and why; nobody has verified that the client is gone.
	ClientReleased Type = "dev.mcp-registrar.client.released"
	// ClientVanished: the authorization server does not know the client any
	// more, and the operator did not delete it.
	ClientVanished Type = "dev.mcp-registrar.client.vanished"
	// PossibleOrphan: a request to register a client had no usable answer, so
	// that there may be a client that nobody holds. Says its mark.
	PossibleOrphan Type = "dev.mcp-registrar.client.possible-orphan"
)

// What happens to grants.
const (
	// GrantRequested: a ScopeGrant was seen for the first time, or with a new
	// spec. Says who requested it and which scopes.
	GrantRequested Type = "dev.mcp-registrar.grant.requested"
	// GrantApproved: the operator took up an approval of a person.
	GrantApproved Type = "dev.mcp-registrar.grant.approved"
	// GrantDenied: the operator took up a denial of a person.
	GrantDenied Type = "dev.mcp-registrar.grant.denied"
	// ApprovalWithdrawn: an approval that was in force is gone. Says neither who
	// took it back nor what it was.
	ApprovalWithdrawn Type = "dev.mcp-registrar.grant.approval-withdrawn"
	// ApprovalVoided: an approval lost its force without a person taking it
	// back: the grant was changed after it, or its end was moved.
	ApprovalVoided Type = "dev.mcp-registrar.grant.approval-voided"
	// DecisionRestored: a decision that was told of before counts again, and
	// nobody decided anew: what it is of is there again, or what overruled it is
	// gone. Says which it is.
	DecisionRestored Type = "dev.mcp-registrar.grant.decision-restored"
)

// What is called. Guards write these.
const (
	// CallAllowed: a guard let a request to an MCP server pass. Says whose it
	// was and by whose grant.
	CallAllowed Type = "dev.mcp-registrar.call.allowed"
	// CallRefused: a guard refused a request to an MCP server. Says why, and
	// whose it was if that is known.
	CallRefused Type = "dev.mcp-registrar.call.refused"
)

// What happens to the stream itself. Stream writes these by itself.
const (
	// StreamStarted: the first line of each chain.
	StreamStarted Type = "dev.mcp-registrar.audit.started"
	// StreamRecovered: lines before this one were cut off while they were
	// written. Says the hash of what is left of each.
	StreamRecovered Type = "dev.mcp-registrar.audit.recovered"
	// StreamGap: events could not be written before this one. Says how many.
	StreamGap Type = "dev.mcp-registrar.audit.gap"
)

// Types returns every type, in the order of the documentation.
func Types() []Type {
	return []Type{
		RegistrationRequested,
		ClientRegistered, ClientChanged, ClientRotated,
		ClientRevoked, RevocationVerified, ClientReleased, ClientVanished, PossibleOrphan,
		GrantRequested, GrantApproved, GrantDenied, ApprovalWithdrawn, ApprovalVoided, DecisionRestored,
		CallAllowed, CallRefused,
		StreamStarted, StreamRecovered, StreamGap,
	}
}
