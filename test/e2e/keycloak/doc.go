// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package keycloak holds the tests of the Keycloak adapter against a real
// Keycloak, built with the tag e2e: the contract of every adapter, and what a
// user, a client and an attacker see of a client that the adapter registered.
//
// They know the adapter and Keycloak's OAuth endpoints. They must never look at
// how the adapter does it: a test with a stand-in for Keycloak is beside it.
//
// Start reading at TestKeycloak in keycloak_test.go.
package keycloak
