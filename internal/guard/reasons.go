// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"cmp"
	"net/http"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Reason is why a request was allowed or refused.
type Reason string

// ReasonAllowed says that the client may make the request.
const ReasonAllowed Reason = "Allowed"

// Reasons of tokens.
const (
	// TokenMissing: there is no Authorization header with a bearer token.
	TokenMissing Reason = "TokenMissing"
	// TokenAmbiguous: there is more than one, or one in the query.
	TokenAmbiguous Reason = "TokenAmbiguous"
	// TokenMalformed: it is not what was expected, or says too little.
	TokenMalformed Reason = "TokenMalformed"
	// TokenKind: it is no access token, but another kind of token.
	TokenKind Reason = "TokenKind"
	// TokenBound: it is bound to a key, or was shown as one that is (DPoP).
	TokenBound Reason = "TokenBound"
	// TokenAlgorithm: it is not signed, or by an algorithm that is not allowed.
	TokenAlgorithm Reason = "TokenAlgorithm" //nolint:gosec // It is a word, no credential.
	// TokenSignature: no key of its issuer signed it.
	TokenSignature Reason = "TokenSignature"
	// TokenIssuer: another issuer made it.
	TokenIssuer Reason = "TokenIssuer"
	// TokenAudience: it is for another resource.
	TokenAudience Reason = "TokenAudience"
	// TokenExpired: its time is over.
	TokenExpired Reason = "TokenExpired"
	// TokenNotYetValid: its time has not come.
	TokenNotYetValid Reason = "TokenNotYetValid"
	// TokenInactive: its issuer says that it is not active (RFC 7662 §2.2).
	TokenInactive Reason = "TokenInactive"
	// TokenUnverifiable: its issuer could not be asked, so nothing is known.
	TokenUnverifiable Reason = "TokenUnverifiable" //nolint:gosec // It is a word, no credential.
)

// Reasons of requests.
const (
	// RequestMalformed: the body is not one JSON-RPC message.
	RequestMalformed Reason = "RequestMalformed"
	// RequestBatch: the body is a batch.
	RequestBatch Reason = "RequestBatch"
	// RequestTooLarge: the body is larger than allowed.
	RequestTooLarge Reason = "RequestTooLarge"
	// RequestHeaderMismatch: a header says other than the body, or is missing
	// where the protocol's revision demands it.
	RequestHeaderMismatch Reason = "RequestHeaderMismatch"
	// RequestUnsupported: a method or media type that MCP does not have.
	RequestUnsupported Reason = "RequestUnsupported"
	// SessionForeign: the session was given to another client, or to another
	// subject. It is answered as if there were none.
	SessionForeign Reason = "SessionForeign"
	// ClientBusy: a user of the client, or all of them, have too many requests under way.
	ClientBusy Reason = "ClientBusy"
	// OriginNotAllowed: a browser sends the request for a page of an origin that
	// is not allowed.
	OriginNotAllowed Reason = "OriginNotAllowed"
)

// Reasons of the guard itself.
const (
	// ServerUnknown: there is no such MCPServer.
	ServerUnknown Reason = "ServerUnknown"
	// GuardNotNamed: the MCPServer is guarded from other namespaces.
	GuardNotNamed Reason = "GuardNotNamed"
	// RegisterStale: the register was not heard of for too long.
	RegisterStale Reason = "RegisterStale"
)

// Reasons returns every reason, in the order of the documentation.
func Reasons() []Reason {
	return []Reason{
		ReasonAllowed,
		TokenMissing, TokenAmbiguous, TokenMalformed, TokenKind, TokenBound, TokenAlgorithm, TokenSignature, TokenIssuer, TokenAudience,
		TokenExpired, TokenNotYetValid, TokenInactive, TokenUnverifiable,
		Reason(policy.RefusedDenied), Reason(policy.RefusedUnknownClient), Reason(policy.RefusedRevoked), Reason(policy.RefusedSuspended), Reason(policy.RefusedExpired),
		Reason(policy.RefusedNoGrant), Reason(policy.RefusedScopeMissing), Reason(policy.RefusedToolUnknown), Reason(policy.RefusedReviewRequired),
		RequestMalformed, RequestBatch, RequestTooLarge, RequestHeaderMismatch, RequestUnsupported, SessionForeign, ClientBusy, OriginNotAllowed,
		ServerUnknown, GuardNotNamed, RegisterStale,
	}
}

// statuses are the HTTP statuses of refusals (RFC 6750 §3.1) that are not about
// the token as such.
var statuses = map[Reason]int{
	TokenAmbiguous:                       http.StatusBadRequest,
	Reason(policy.RefusedNoGrant):        http.StatusForbidden,
	Reason(policy.RefusedScopeMissing):   http.StatusForbidden,
	Reason(policy.RefusedToolUnknown):    http.StatusForbidden,
	Reason(policy.RefusedReviewRequired): http.StatusForbidden,
	SessionForeign:                       http.StatusNotFound,
	ClientBusy:                           http.StatusTooManyRequests,
	OriginNotAllowed:                     http.StatusForbidden,
	ServerUnknown:                        http.StatusServiceUnavailable,
	GuardNotNamed:                        http.StatusServiceUnavailable,
	RegisterStale:                        http.StatusServiceUnavailable,
	TokenUnverifiable:                    http.StatusServiceUnavailable,
}

// status is the HTTP status of a refusal.
func (r Reason) status() int { return cmp.Or(statuses[r], http.StatusUnauthorized) }

// codes are the JSON-RPC error codes of refusals. The protocol leaves -32000 to
// -32099 to servers; these ten are taken by no SDK that is known.
var codes = map[Reason]int{
	TokenMissing:      -32010,
	TokenAmbiguous:    -32010,
	TokenMalformed:    -32010,
	TokenKind:         -32010,
	TokenBound:        -32010,
	TokenAlgorithm:    -32010,
	TokenSignature:    -32010,
	TokenIssuer:       -32010,
	TokenAudience:     -32010,
	TokenExpired:      -32010,
	TokenNotYetValid:  -32010,
	TokenInactive:     -32010,
	TokenUnverifiable: -32018,

	Reason(policy.RefusedDenied):         -32011,
	Reason(policy.RefusedUnknownClient):  -32011,
	Reason(policy.RefusedRevoked):        -32011,
	Reason(policy.RefusedSuspended):      -32011,
	Reason(policy.RefusedExpired):        -32011,
	Reason(policy.RefusedNoGrant):        -32012,
	Reason(policy.RefusedScopeMissing):   -32013,
	Reason(policy.RefusedToolUnknown):    -32014,
	Reason(policy.RefusedReviewRequired): -32015,

	SessionForeign: -32016,
	ClientBusy:     -32017,
	ServerUnknown:  -32018,
	GuardNotNamed:  -32018,
	RegisterStale:  -32018,

	OriginNotAllowed: -32019,
}

// Code is the JSON-RPC error code of a refusal; 0 where that is the fault's.
func (r Reason) Code() int { return codes[r] }
