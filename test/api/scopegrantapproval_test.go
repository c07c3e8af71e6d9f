// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"strings"
	"testing"
)

func TestApprovalsOfWhatWasLookedAt(t *testing.T) {
	const (
		one       = "spec: Invalid value: exactly one of the fields in [grantRef clientRef] must be set"
		immutable = "spec: Invalid value: spec is immutable, for it is of what was looked at: delete this ScopeGrantApproval and create another"
		needs     = "spec: Invalid value: grantRef with decision Approved needs serverRef.uid, registration, digest and requestedBy, as status.pendingGrants of the MCPServer shows them"
		others    = "spec: Invalid value: scopes, redirectHosts and authMethods go with clientRef: with grantRef the scopes are those of the grant"
	)
	clientRef := map[string]any{"namespace": "payments", "name": "reader"}
	check(t, approval, []rule{
		{name: "with a reason and an end", create: edits(set("reason", "agreed"), set("expirationTime", "2027-03-31T00:00:00Z"))},
		{name: "without the definitions of tools", create: edits(unset("toolsDigest"))},
		{name: "of nothing", create: edits(unset("grantRef")), want: []string{one}},
		{name: "of a grant and a client", create: edits(set("clientRef", clientRef)), want: []string{
			"spec: Invalid value: clientRef needs scopes and expirationTime, for example scopes: [invoices:pay] and expirationTime: 2027-03-31T00:00:00Z", one,
			"spec: Invalid value: registration, digest, toolsDigest and requestedBy go with grantRef: with clientRef nothing was looked at yet",
		}},
		{name: "without the server's UID", create: edits(unset("serverRef.uid")), want: []string{needs}},
		{name: "without the registration", create: edits(unset("registration")), want: []string{needs}},
		{name: "without a digest", create: edits(unset("digest")), want: []string{needs}},
		{name: "without who asked", create: edits(unset("requestedBy")), want: []string{needs}},
		{name: "without the grant's UID", create: edits(unset("grantRef.uid")), want: []string{"spec.grantRef.uid: Required value"}},
		{name: "with scopes", create: edits(set("scopes", list("invoices:pay"))), want: []string{others}},
		{name: "with hosts", create: edits(set("redirectHosts", list("app.example.com"))), want: []string{others}},
		{name: "with methods", create: edits(set("authMethods", list("None"))), want: []string{others}},
		{name: "a denial of no more than the grant", create: edits(set("decision", "Denied"), unset("digest"), unset("registration"), unset("requestedBy"), unset("serverRef.uid"))},
		{name: "no decision", create: edits(unset("decision")), want: []string{"spec.decision: Required value"}},
		{name: "another word", create: edits(set("decision", "Maybe")), want: []string{`spec.decision: Unsupported value: "Maybe": supported values: "Approved", "Denied"`}},
		{name: "a digest in capitals", create: edits(set("digest", strings.Repeat("0A", 32))), want: []string{
			`spec.digest: Invalid value: "` + strings.Repeat("0A", 32) + "\": spec.digest in body should match '^[0-9a-f]{64}$'",
		}},
		{name: "another decision later", update: edits(set("decision", "Denied")), want: []string{immutable}},
		{name: "another digest later", update: edits(set("digest", strings.Repeat("b", 64))), want: []string{immutable}},
		{name: "another generation later", update: edits(set("grantRef.generation", int64(2))), want: []string{immutable}},
		{name: "an end later", update: edits(set("expirationTime", "2027-03-31T00:00:00Z")), want: []string{immutable}},
		{name: "another reason later", update: edits(set("reason", "none")), want: []string{immutable}},
	})
}

func TestApprovalsBeforehand(t *testing.T) {
	const (
		immutable = "spec: Invalid value: spec is immutable, for it is of what was looked at: delete this ScopeGrantApproval and create another"
		needs     = "spec: Invalid value: clientRef needs scopes and expirationTime, for example scopes: [invoices:pay] and expirationTime: 2027-03-31T00:00:00Z"
		looked    = "spec: Invalid value: registration, digest, toolsDigest and requestedBy go with grantRef: with clientRef nothing was looked at yet"
	)
	check(t, beforehand, []rule{
		{name: "for one server, hosts and methods", create: edits(set("serverRef.uid", "u1"), set("redirectHosts", list("app.example.com")), set("authMethods", list("None")))},
		{name: "a denial", create: edits(set("decision", "Denied"))},
		{name: "without scopes", create: edits(unset("scopes")), want: []string{needs}},
		{name: "without an end", create: edits(unset("expirationTime")), want: []string{needs}},
		{name: "with a digest", create: edits(set("digest", strings.Repeat("0", 64))), want: []string{looked}},
		{name: "with a digest of tools", create: edits(set("toolsDigest", strings.Repeat("0", 64))), want: []string{looked}},
		{name: "with a registration", create: edits(set("registration", map[string]any{"uid": "u", "generation": int64(1)})), want: []string{looked}},
		{name: "with who asked", create: edits(set("requestedBy", "alice")), want: []string{looked}},
		{name: "more scopes later", update: edits(set("scopes", list("invoices:pay", "invoices:void"))), want: []string{immutable}},
		{name: "another client later", update: edits(set("clientRef.name", "other")), want: []string{immutable}},
	})
}
