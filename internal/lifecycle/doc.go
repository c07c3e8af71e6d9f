// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package lifecycle decides what happens next to a client: what is stored, what is
// asked of the authorization server, and what each answer makes of the record.
//
// It is two functions over what is stored and what was just learnt. Next is for every
// client that must not exist, whichever way it came to be known: by a registration, by
// a record whose registration is gone, or by a list of the server's clients. Give is
// for one that may exist. Whether it may, and what it is to be, is not their business:
// that is what the rules in internal/policy say. The package knows no context, no
// client, no logger and no clock, and does nothing: controllers/executor.go and
// controllers/registration_give.go carry its plans out.
//
// Start reading at Next in next.go and Give in give.go; answers.go and given.go say
// what becomes of the record, status.go what is told of it. hack/lifecycledoc asks
// about every situation and writes docs/lifecycle.md from the answers. The properties
// that must hold, whatever is stored, whatever a server answers and wherever the
// process dies, are tests in walk_test.go and life_test.go.
package lifecycle
