// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Package register is the live register of a guard: the servers it is in front
// of, the clients of their authorization servers and the grants at them, followed
// by watches and answered from memory, with how long ago the API server was last
// heard. It tells the operator, by a Lease, up to where it has followed.
//
// It must never know tokens, messages or rules: what an object says is for package
// policy to read, and what follows from it for package guard. It never keeps an
// object: what policy makes of it is kept, in as little memory as it takes. It
// writes nothing but its own Lease.
//
// Start reading at New and Run in register.go; memory.go is what is kept, source.go
// how it comes in, contact.go what may be relied on.
package register
