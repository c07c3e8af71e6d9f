// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"net/http"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// policyRefuses is how Keycloak tells that a client registration policy refuses
// a request although its token is good. The error code beside it is that of a
// token that is not good enough (RFC 6750 §3.1).
const policyRefuses = " rejected request to client-registration service. Details: "

// policyWords are by how the details begin.
var policyWords = map[string]string{
	"Not permitted to use specified clientScope": CodeScopeNotAllowed,
	"It's allowed to have max ":                  CodeTooManyClients,
	"Host not trusted":                           CodeHostNotTrusted,
	"URI doesn't match any trusted host":         CodeURINotTrusted,
}

// byPolicy tells a refusal of the client from one of the token: another token
// does not help there, another client or another policy does.
func byPolicy(failure *authserver.Error, c exchange.Call, a exchange.Answer) *authserver.Error {
	if a.Status != http.StatusForbidden || a.BodyErr != nil {
		return failure
	}
	fields, err := exchange.LookInto(a.Body)
	if err != nil || !a.Refuses() {
		return failure
	}
	_, details, found := strings.Cut(fields.Text("error_description", exchange.LongText), policyRefuses)
	if !found {
		return failure
	}
	failure.Kind, failure.Code = authserver.Rejected, CodeRefusedByPolicy
	failure.Quote = exchange.QuoteOf(c, a)
	for beginning, word := range policyWords {
		if strings.HasPrefix(details, beginning) {
			failure.Code = word
		}
	}
	return failure
}
