// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Canary is a text that faulty answers carry where they carry any, to see that
// it does not come out in an error.
const Canary = "canary-in-the-body"

// Operation names a method of authserver.Server.
type Operation string

// The operations.
const (
	Discover Operation = "discover"
	Register Operation = "register"
	Find     Operation = "find"
	Replace  Operation = "replace"
	Disable  Operation = "disable"
	Revoke   Operation = "revoke"
	List     Operation = "list"
	Access   Operation = "access"
	Tidy     Operation = "tidy"
)

// Form is how an answer goes wrong.
type Form int

// The forms of wrong answers.
const (
	// Refused is a whole answer with Status, Code and RetryAfter.
	Refused Form = iota
	// Redirected is a redirect to another host.
	Redirected
	// Cut is an answer of success that breaks off in its body.
	Cut
	// Endless is an answer of success with 5 MiB.
	Endless
	// Silent is a connection on which nothing comes back.
	Silent
)

// Fault is one wrong answer.
type Fault struct {
	Form   Form
	Status int
	// Code is the OAuth error code in the body; empty for none.
	Code string
	// RetryAfter is asked for; zero for not at all.
	RetryAfter time.Duration
	// AsDate asks in the form of a date.
	AsDate bool
	// AfterWork says that the work is done all the same.
	AfterWork bool
}

// Subject is an authorization server under test and the means to disturb it.
// It begins without clients of the register's.
type Subject struct {
	Server authserver.Server
	// Live returns the ids of the clients that live, without those that the
	// server came with.
	Live func() []string
	// Remove makes a client vanish. Nil skips what needs it.
	Remove func(id string)
	// Rotate switches the rotation of management tokens on. Nil skips what
	// needs it.
	Rotate func()
	// Alter sets what becomes of a wish. Nil skips what needs it.
	Alter func(func(authserver.ClientMetadata) authserver.ClientMetadata)
	// Fail orders a fault for the next call of an operation: for the request
	// that does its work where it takes several, and again for a request that
	// the adapter repeats within the call. Nil skips what needs it.
	Fail func(op Operation, fault Fault)
	// Stranger makes a client that carries no mark of ownership. Nil where
	// only Register makes clients.
	Stranger func(id string)
	// Token says whether the credentials of a handle get a token with
	// client_credentials now. Nil where there is no token endpoint.
	Token func(t *testing.T, handle authserver.Handle) bool
	// Stand puts somebody in the server's place at some steps, or nobody where
	// the stance is nil; one that hides lets the server do its work all the same.
	// It is false where the subject has no such step. Nil skips what needs it.
	Stand func(stance *Stance, hides bool, steps ...Operation) bool
	// Scopes returns the scopes that are objects at the server, without those that it
	// came with. Nil skips what needs it.
	Scopes func() []string
	// Unsupported are the fields of authserver.ClientMetadata that the server, or
	// its adapter, has no place for, beside those that its traits name.
	Unsupported []string
	// PageSize is how many clients a page of List holds at most; 0 where it is
	// more than the suite makes.
	PageSize int
}

// HandleOf returns the handle of a client that was just registered.
func HandleOf(t *testing.T, server authserver.Server, client authserver.Client) authserver.Handle {
	t.Helper()
	metadata, err := server.Discover(t.Context())
	if err != nil {
		t.Fatalf("discovering: %v", err)
	}
	handle := authserver.Handle{
		ClientID: client.ID, Owner: client.Registered.SoftwareID,
		ManagementURI: client.ManagementURI, ManagementToken: client.ManagementToken,
		TokenEndpoint: metadata.TokenEndpoint, AuthMethod: client.Registered.AuthMethod,
		ClientSecret: client.Secret,
	}
	if len(client.Registered.RedirectURIs) > 0 {
		handle.RedirectURI = client.Registered.RedirectURIs[0]
	}
	return handle
}
