// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package lifecycle decides how a client leaves the authorization server: what
// is stored, what is asked of the server, and what each answer makes of the
// record, until the client is proven to be gone.
//
// It is one function, Next, over what is stored and what was just learnt. It
// decides for every client that must not exist, whichever way it came to be
// known: by a registration, by a record whose registration is gone, or by a list
// of the server's clients. Whether a client may exist is not its business: that
// is what the rules in internal/policy say. It knows no context, no client, no
// logger and no clock, and does nothing: controllers/executor.go carries its
// plans out.
//
// Start reading at Next in next.go; answers.go says what becomes of the record.
// hack/lifecycledoc asks it about every situation and writes docs/lifecycle.md from
// its answers. The properties that must hold, whatever is stored, whatever a server
// answers and wherever the process dies, are tests in walk_test.go.
package lifecycle
