// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package tenant lets tenants write whatever the API server takes: registrations,
// grants and servers of random members, extreme lengths, control characters, and
// sizes up to the limit, with the admission policies and without. Each tenant has
// its client registered, changes its objects, and ends the client in one of many
// ways; ten seconds later the client must be gone at the authorization server, the
// guard must refuse its token, and status or record must say so. Under the race
// detector the ten seconds are a minute: what holds it to ten is make fuzz.
//
// It must never ask the operator whether a client is gone: it asks the
// authorization server and the guard. It knows the reconcilers only as
// controllers.Setup puts them together, and the guard only by its HTTP front.
//
// Start reading at TestTenants in tenant_test.go; life_test.go is the life of one
// tenant, oddities_test.go what is odd about its objects, changes_test.go what it
// does later, ends_test.go how its client ends and what must hold then.
package tenant
