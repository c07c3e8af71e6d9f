// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keycloak starts a real Keycloak for tests, with a database in memory,
// on a free port of loopback, and is its administrator: realms, clients, users,
// policies. It also plays a user with a browser.
//
// It knows Keycloak's Admin REST API and its login pages. It must never use the
// adapter that is tested with it, and a server that it starts never outlives
// the test's process.
//
// Start reading at Start in server.go, then Realm in realm.go; browser.go logs
// in, registration.go prepares dynamic client registration.
package keycloak
