// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package soak kills the manager at random moments while registrations are
// created, changed and deleted, and then compares what is left: objects,
// records, Secrets and clients at the authorization server. It does so with
// registration access tokens that stay, with ones that change, and with client
// ids of the operator's own. It has the build tag soak; "make soak" runs it, and
// with -intermediary somebody answers in the authorization server's place for a
// quarter of the time. What the script did is known from its own notes, what came
// of it only from the API server and the authorization server.
//
// It must never take the manager's word for anything: a status is compared with
// the world.
//
// Start reading at run in soak_test.go; census_test.go says what must hold.
package soak
