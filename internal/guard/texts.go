// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"net/url"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// texts say refusals to developers: what is wrong and what to do. What stands in
// braces is filled in.
var texts = map[Reason]string{
	TokenMissing:      "a bearer token is needed, in the Authorization header",
	TokenAmbiguous:    "send one bearer token, in one Authorization header, and none in the query",
	TokenMalformed:    "the token is not one that this server understands: it needs iss, exp and the claim that names its client, client_id or azp unless the AuthorizationServer says otherwise",
	TokenKind:         "the token is no access token: send the access token, not an ID token or another",
	TokenBound:        "sender-constrained tokens, bound to a key (cnf) or shown with a proof (DPoP), are not supported: send a plain bearer token, by the scheme Bearer",
	TokenAlgorithm:    "the token is not signed by an asymmetric algorithm",
	TokenSignature:    "the signature of the token is not by a key of its authorization server",
	TokenIssuer:       "the token is of another authorization server",
	TokenAudience:     "the token is for another resource: ask for one with the resource parameter (RFC 8707), or as the authorization server has it",
	TokenExpired:      "the token has expired",
	TokenNotYetValid:  "the token is not valid yet",
	TokenInactive:     "the authorization server says that the token is not active",
	SessionForeign:    "there is no such session",
	ClientBusy:        "too many requests of this user are under way by the client, or of all of its users, or too large ones: end some, and try again",
	OriginNotAllowed:  "pages of this origin may not call the MCP server: if they are to, whoever runs the guard adds --allow-origin with the origin to its flags",
	TokenUnverifiable: "the token cannot be verified now, because its authorization server does not answer: try again later",

	Reason(policy.RefusedDenied):         "the client is denied by an AccessDenial: ask the platform team",
	Reason(policy.RefusedUnknownClient):  "no MCPClientRegistration has this client",
	Reason(policy.RefusedRevoked):        "the client was revoked",
	Reason(policy.RefusedSuspended):      "the client is suspended",
	Reason(policy.RefusedExpired):        "the client has expired",
	Reason(policy.RefusedScopeMissing):   "the token lacks a scope that the client was granted: ask for a token with it",
	Reason(policy.RefusedNoGrant):        "no ScopeGrant in force gives the client {client} what the {needed} needs at the MCPServer {server}: create one, or look at the one there is (kubectl get scopegrant -n {clientNamespace}); the owner of the MCPServer approves it where its tier needs that",
	Reason(policy.RefusedToolUnknown):    "no scope of the MCPServer {server} leads to this tool: if it is to be called, ask the owner of the MCPServer to list it in spec.scopes[].tools (kubectl edit mcpserver {serverName} -n {serverNamespace})",
	Reason(policy.RefusedReviewRequired): "the tool changed since the ScopeGrant of the client {client} was approved: ask the owner of the MCPServer {server} to look at it and approve the grant again, by the command in its condition ReviewRequired (kubectl get scopegrant -n {clientNamespace} -o yaml)",
}

// noScope is the text of NoGrant where there is none to be granted.
const noScope = "no scope of the MCPServer {server} that is not tied to tools leads to this: if it is to be used, ask the owner of the MCPServer to add one (kubectl edit mcpserver {serverName} -n {serverNamespace})"

// words are the text of a refusal. They name the server and the client's own
// registration, which its token is the proof of, and nothing else that the
// register knows: no person, and no scope but the one to ask for.
func (v Verdict) words(m Message) string {
	text := texts[v.Reason]
	if v.Reason == Reason(policy.RefusedNoGrant) && len(v.Decision.StepUp) == 0 {
		text = noScope
	}
	if !strings.Contains(text, "{") {
		return text
	}
	needed := "request"
	if m.Tool != "" {
		needed = "tool"
		if len(v.Decision.StepUp) == 1 {
			needed += ", the scope " + v.Decision.StepUp[0] + ","
		}
	}
	client, server := v.Decision.Client, v.Server
	return strings.NewReplacer(
		"{needed}", needed, "{client}", client.Namespace+"/"+client.Name, "{clientNamespace}", client.Namespace,
		"{server}", server.Namespace+"/"+server.Name, "{serverName}", server.Name, "{serverNamespace}", server.Namespace,
	).Replace(text)
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
