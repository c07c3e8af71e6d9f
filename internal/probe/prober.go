// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// defaultTimeout bounds one request with its answer.
const defaultTimeout = 10 * time.Second

// wholeTimeout bounds everything that is asked of one server, in times of one
// request.
const wholeTimeout = 6

// Options say whom a Prober may talk to.
type Options struct {
	// AllowPrivate allows servers at private addresses.
	AllowPrivate bool
	// CABundle holds PEM certificates to trust in place of the system's.
	CABundle []byte
	// Resolver looks up names; nil means the system's.
	Resolver dialguard.Resolver
	// Timeout bounds one request with its answer; 0 means 10 s.
	Timeout time.Duration
}

// Question says what is asked of one server.
type Question struct {
	// Resource is the URL of the server.
	Resource string
	// Audience is what tokens for the server are for, where that is not Resource;
	// Tokens is how tokens are read.
	Audience string
	Tokens   policy.TokenReading
	// Loopback allows the server to be on this machine, where Resource says
	// so itself.
	Loopback bool
	// Borrow lends a token of the client by which the server is asked, for a
	// resource or, where that is empty, for none. nil: it is asked without a
	// client. Its errors are those of authserver.Examiner.
	Borrow func(ctx context.Context, resource string, use func(authserver.Secret, authserver.TokenFacts) error) error
}

// Prober asks live MCP servers.
type Prober struct{ options Options }

// New returns a prober.
func New(options Options) *Prober {
	if options.Timeout <= 0 {
		options.Timeout = defaultTimeout
	}
	return &Prober{options: options}
}

// Ask asks a server and says what was seen. It never fails: what could not be
// learnt is not in the facts.
func (p *Prober) Ask(ctx context.Context, q Question) policy.ProbeFacts {
	origin, err := dialguard.ParseOrigin(q.Resource)
	if err != nil {
		return policy.ProbeFacts{Contact: policy.ContactRefused}
	}
	client, err := dialguard.NewClient(dialguard.Options{
		Origin: q.Resource, CABundle: p.options.CABundle, Resolver: p.options.Resolver, Timeout: p.options.Timeout,
		Rules: dialguard.Rules{Loopback: q.Loopback && origin.IsLoopback(), Private: p.options.AllowPrivate},
	})
	if err != nil {
		return policy.ProbeFacts{Contact: policy.ContactRefused}
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, wholeTimeout*p.options.Timeout)
	defer cancel()
	c := &conversation{client: client, origin: origin, resource: q.Resource, audience: cmp.Or(q.Audience, q.Resource), tokens: q.Tokens}
	c.anonymous(ctx)
	if c.facts.Contact == policy.Contacted && q.Borrow != nil {
		c.byClient(ctx, q.Borrow)
	}
	return c.facts
}

// conversation is what is being asked of one server.
type conversation struct {
	client   *http.Client
	origin   dialguard.Origin
	resource string
	audience string
	tokens   policy.TokenReading
	facts    policy.ProbeFacts
}

// contactOf says why there was no answer.
func contactOf(err error) policy.ProbeContact {
	var refused *dialguard.RefusedError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &refused):
		return policy.ContactRefused
	case errors.As(err, &untrusted):
		return policy.ContactUntrusted
	}
	return policy.NoContact
}
