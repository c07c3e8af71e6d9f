// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"net/url"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// texts say refusals to developers: what is wrong and what to do.
var texts = map[Reason]string{
	TokenMissing:      "a bearer token is needed, in the Authorization header",
	TokenAmbiguous:    "send one bearer token, in one Authorization header, and none in the query",
	TokenMalformed:    "the token is not one that this server understands: it needs iss, aud, exp and client_id or azp",
	TokenAlgorithm:    "the token is not signed by an asymmetric algorithm",
	TokenSignature:    "the signature of the token is not by a key of its authorization server",
	TokenIssuer:       "the token is of another authorization server",
	TokenAudience:     "the token is for another resource: ask for one with the resource parameter (RFC 8707)",
	TokenExpired:      "the token has expired",
	TokenNotYetValid:  "the token is not valid yet",
	TokenInactive:     "the authorization server says that the token is not active",
	SessionForeign:    "there is no such session",
	ClientBusy:        "the client has too many requests under way: end some, and try again",
	TokenUnverifiable: "the token cannot be verified now, because its authorization server does not answer: try again later",

	Reason(policy.RefusedDenied):         "the client is denied by an AccessDenial: ask the platform team",
	Reason(policy.RefusedUnknownClient):  "no MCPClientRegistration has this client",
	Reason(policy.RefusedRevoked):        "the client was revoked",
	Reason(policy.RefusedSuspended):      "the client is suspended",
	Reason(policy.RefusedExpired):        "the client has expired",
	Reason(policy.RefusedNoGrant):        "no ScopeGrant in force gives the client this: have one granted",
	Reason(policy.RefusedScopeMissing):   "the token lacks a scope that the client was granted: ask for a token with it",
	Reason(policy.RefusedToolUnknown):    "no scope of the MCPServer leads to this",
	Reason(policy.RefusedReviewRequired): "the tool changed since the ScopeGrant was approved: have it approved again",
}

// wellKnown is the path of protected resource metadata (RFC 9728 §3).
const wellKnown = "/.well-known/oauth-protected-resource"

// MetadataURL is where the metadata of a resource is: the well-known segment
// goes between host and path (RFC 9728 §3.1). It is empty for what is no URL.
func MetadataURL(resource string) string {
	parsed, err := url.Parse(resource)
	if err != nil {
		return ""
	}
	return parsed.Scheme + "://" + parsed.Host + MetadataPath(resource)
}

// MetadataPath is the path and query of MetadataURL.
func MetadataPath(resource string) string {
	parsed, err := url.Parse(resource)
	if err != nil {
		return ""
	}
	path := parsed.EscapedPath()
	if path == "/" {
		path = ""
	}
	if parsed.RawQuery != "" {
		return wellKnown + path + "?" + parsed.RawQuery
	}
	return wellKnown + path
}
