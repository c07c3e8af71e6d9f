// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package api

import (
	"strings"
	"testing"
)

func TestAccessDenial(t *testing.T) {
	const (
		one       = "spec: Invalid value: exactly one of the fields in [client registration] must be set"
		immutable = "spec: Invalid value: client and registration are immutable: create another AccessDenial"
		line      = "reason must be one line without control or text-direction characters, for example Key leaked, incident 4711"
	)
	long := func(n int) string { return strings.Repeat("n", n) }
	registration := map[string]any{"namespace": "agents", "name": "bot"}
	instead := edits(unset("client"), set("registration", registration))
	check(t, accessDenial, []rule{
		{name: "a registration", create: instead},
		{name: "a registration with its UID", create: append(edits(set("registration.uid", "u1")), append(instead, set("registration.uid", "u1"))...)},
		{name: "both", create: edits(set("registration", registration)), want: []string{one}},
		{name: "neither", create: edits(unset("client")), want: []string{one}},
		{name: "a client id of 2048 characters", create: edits(set("client.clientID", long(2048)))},
		{name: "a client id of 2049 characters", create: edits(set("client.clientID", long(2049))), want: []string{"spec.client.clientID: Too long: may not be more than 2048 bytes"}},
		{name: "no client id", create: edits(unset("client.clientID")), want: []string{"spec.client.clientID: Required value"}},
		{name: "no authorization server", create: edits(unset("client.authorizationServerRef")), want: []string{"spec.client.authorizationServerRef: Required value"}},
		{name: "a reason of 1024 characters", create: edits(set("reason", long(1024)))},
		{name: "a reason of 1025 characters", create: edits(set("reason", long(1025))), want: []string{"spec.reason: Too long: may not be more than 1024 bytes"}},
		{name: "no reason", create: edits(unset("reason")), want: []string{"spec.reason: Required value"}},
		{name: "a reason of two lines", create: edits(set("reason", "one\ntwo")), want: []string{`spec.reason: Invalid value: "one\ntwo": ` + line}},
		{name: "a reason that turns the text", create: edits(set("reason", "one\u202Etwo")), want: []string{`spec.reason: Invalid value: "one\u202etwo": ` + line}},
		{name: "an end", create: edits(set("expirationTime", "2027-03-31T00:00:00Z"))},
		{name: "another reason and an end later", update: edits(set("reason", "It was not them."), set("expirationTime", "2027-03-31T00:00:00Z"))},
		{name: "another client", update: edits(set("client.clientID", "other")), want: []string{"spec.client: Invalid value: client is immutable: create another AccessDenial for another client"}},
		{name: "another authorization server", update: edits(set("client.authorizationServerRef.name", "other")), want: []string{"spec.client: Invalid value: client is immutable: create another AccessDenial for another client"}},
		{name: "a registration instead", update: instead, want: []string{immutable}},
	})
}
