// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import "time"

// CallRecorder takes decisions about calls. It never fails its caller, keeps it
// waiting for a bounded time only, and may be used by several goroutines.
type CallRecorder interface {
	// RecordCall puts a decision on record. When it returns the event is written,
	// or counted as a failure.
	RecordCall(event CallEvent)
}

// CallEvent is one decision about a call of an MCP server.
type CallEvent struct {
	// Type is CallAllowed or CallRefused.
	Type Type
	// Time is when it was decided. The zero time means now.
	Time time.Time
	// Data says the rest.
	Data CallData
}

// Verdicts of CallData.
const (
	VerdictAllowed = "Allowed"
	VerdictRefused = "Refused"
)

// CallData is what is said of a call. A field that does not apply is left empty
// and out of the line. A text of more than 1024 bytes and a list of more than
// 64 entries are cut. There is no field for arguments, for what a call
// answered, or for a token.
type CallData struct {
	// Server is the MCPServer: "namespace/name". It is also the subject.
	Server string `json:"server,omitempty"`
	// Resource is its resource identifier.
	Resource string `json:"resource,omitempty"`
	// Method is the JSON-RPC method.
	Method string `json:"method,omitempty"`
	// Tool is the tool that was called, as the client named it.
	Tool string `json:"tool,omitempty"`
	// RequestID is the JSON-RPC id as it was written.
	RequestID string `json:"requestID,omitempty"`
	// Verdict is VerdictAllowed or VerdictRefused.
	Verdict string `json:"verdict,omitempty"`
	// Reason is why.
	Reason string `json:"reason,omitempty"`
	// AuthorizationServer is the name of the AuthorizationServer.
	AuthorizationServer string `json:"authorizationServer,omitempty"`
	// Issuer is the issuer of the token.
	Issuer string `json:"issuer,omitempty"`
	// ClientID is the client that the token was issued to.
	ClientID string `json:"clientID,omitempty"`
	// Subject is the subject of the token.
	Subject string `json:"subject,omitempty"`
	// TokenID is the identifier of the token (jti).
	TokenID string `json:"tokenID,omitempty"`
	// TokenExpiresAt is when the token expires.
	TokenExpiresAt time.Time `json:"tokenExpiresAt,omitzero"`
	// Client is the MCPClientRegistration: "namespace/name".
	Client string `json:"client,omitempty"`
	// RegistrationUID is its UID.
	RegistrationUID string `json:"registrationUID,omitempty"`
	// Owner is who answers for it.
	Owner string `json:"owner,omitempty"`
	// Grant is the ScopeGrant that allowed the call, in the namespace of the
	// client.
	Grant string `json:"grant,omitempty"`
	// Basis is how that was approved: Automatic, PreApproved or Approved.
	Basis string `json:"basis,omitempty"`
	// ApprovedBy is the user who approved it.
	ApprovedBy string `json:"approvedBy,omitempty"`
	// Scope is the scope that allowed the call.
	Scope string `json:"scope,omitempty"`
	// StepUp are the scopes that the client was told to ask for.
	StepUp []string `json:"stepUp,omitempty"`
	// TraceParent is the traceparent (W3C Trace Context) of the request.
	TraceParent string `json:"traceparent,omitempty"`
	// Omitted is how many refusals of callers without an identity were left out
	// before this line.
	Omitted uint64 `json:"omitted,omitempty"`
}

// RecordCall implements CallRecorder.
func (s *Stream) RecordCall(event CallEvent) {
	data, err := encodeJSON(event.Data.bounded())
	e := s.entry(event.Type, "MCPServer/"+event.Data.Server, event.Time)
	e.passing = true
	s.record(e, data, err)
}

// maxSteps bounds the list of a call, so that the line fits in any case.
const maxSteps = 64

// bounded returns the data with each text and the list cut, and the time in UTC.
func (d CallData) bounded() CallData {
	for _, text := range []*string{
		&d.Server, &d.Resource, &d.Method, &d.Tool, &d.RequestID, &d.Verdict, &d.Reason, &d.AuthorizationServer, &d.Issuer, &d.ClientID,
		&d.Subject, &d.TokenID, &d.Client, &d.RegistrationUID, &d.Owner, &d.Grant, &d.Basis, &d.ApprovedBy, &d.Scope, &d.TraceParent,
	} {
		*text = cut(*text)
	}
	d.StepUp = cutList(d.StepUp, maxSteps)
	d.TokenExpiresAt = d.TokenExpiresAt.UTC()
	return d
}
