// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"net/http"
	"strings"
)

// Operation names what a request asks of the server. Counters, the log and
// faults are kept by operation.
type Operation string

const (
	// Discovery is a GET of either metadata document.
	Discovery Operation = "discovery"
	// Register is a POST to the registration endpoint (RFC 7591).
	Register Operation = "register"
	// Read is a GET of a client configuration endpoint (RFC 7592).
	Read Operation = "read"
	// Replace is a PUT to a client configuration endpoint (RFC 7592).
	Replace Operation = "replace"
	// Delete is a DELETE of a client configuration endpoint (RFC 7592).
	Delete Operation = "delete"
	// List is a GET of a page of clients (Hydra's admin API).
	List Operation = "list"
	// EndTokens is a DELETE of the tokens of a client (Hydra's admin API).
	EndTokens Operation = "endTokens"
	// Authorize is a request to the authorization endpoint.
	Authorize Operation = "authorize"
	// Token is a request to the token endpoint, whatever the grant.
	Token Operation = "token"
	// Introspect is a request to the introspection endpoint (RFC 7662).
	Introspect Operation = "introspect"
	// Revoke is a request to the revocation endpoint (RFC 7009).
	Revoke Operation = "revoke"
	// Keys is a GET of the JWK set.
	Keys Operation = "keys"
	// Other is everything else, mostly paths that do not exist.
	Other Operation = "other"
	// Any matches every operation. It is for faults only.
	Any Operation = "any"
)

const (
	pathAuthorize    = "/authorize"
	pathToken        = "/token"
	pathIntrospect   = "/introspect"
	pathRevoke       = "/revoke"
	pathKeys         = "/keys"
	pathRegister     = "/register"
	pathOpenID       = "/.well-known/openid-configuration"
	pathOAuthServer  = "/.well-known/oauth-authorization-server"
	clientPathPrefix = pathRegister + "/"
)

var operationByPath = map[string]Operation{
	pathAuthorize:   Authorize,
	pathToken:       Token,
	pathIntrospect:  Introspect,
	pathRevoke:      Revoke,
	pathKeys:        Keys,
	pathOpenID:      Discovery,
	pathOAuthServer: Discovery,
}

var operationByMethod = map[string]Operation{
	http.MethodGet:    Read,
	http.MethodPut:    Replace,
	http.MethodDelete: Delete,
}

var operations = []Operation{
	Discovery, Register, Read, Replace, Delete, List, EndTokens, Authorize, Token, Introspect, Revoke, Keys, Other, Any,
}

// classify tells the operation of a request and, for client configuration
// endpoints, the client it names.
func classify(r *http.Request) (o Operation, clientID string) {
	if r.URL.Path == pathRegister && r.Method == http.MethodPost {
		return Register, ""
	}
	if id, ok := strings.CutPrefix(r.URL.Path, clientPathPrefix); ok {
		if o, ok := operationByMethod[r.Method]; ok {
			return o, id
		}
		return Other, id
	}
	if o, ok := operationByPath[r.URL.Path]; ok {
		return o, ""
	}
	return Other, ""
}
