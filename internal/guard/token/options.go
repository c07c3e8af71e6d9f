// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"
	"k8s.io/utils/lru"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

const (
	// mostSkew is by how much an issuer's clock may be ahead.
	mostSkew = 5 * time.Second
	// verifiedFor bounds how long a signature is not looked at again.
	verifiedFor = time.Minute
	// mostVerified is how many verified tokens are remembered.
	mostVerified = 10_000
)

// Options is what a Verifier needs.
type Options struct {
	// Clock is the clock; required.
	Clock clock.PassiveClock
	// AllowPrivate allows issuers at private addresses. An issuer whose URL names
	// this machine is always allowed.
	AllowPrivate bool
	// CABundle holds PEM certificates to trust in place of the system's.
	CABundle []byte
	// ClockSkew is by how much nbf and iat may be in the future: 5 s at most,
	// which is also what 0 means. There is none for exp.
	ClockSkew time.Duration
	// Introspection says which issuers are asked about tokens, by issuer.
	Introspection map[string]Introspection
}

// Introspection says how an issuer is asked about tokens.
type Introspection struct {
	// ClientID and ClientSecret authenticate the guard; required.
	ClientID     string
	ClientSecret authserver.Secret
	// CacheFor bounds how long an answer holds; 0 means 5 s, and 1 s is the
	// least.
	CacheFor time.Duration
	// ForceIntrospection has the issuer asked about JWTs too, once they are
	// verified.
	ForceIntrospection bool
}

// Verifier verifies tokens of every issuer that it is asked about.
type Verifier struct {
	options Options

	mu       sync.RWMutex
	issuers  map[string]*issuer
	verified *lru.Cache
}

// New returns a Verifier. Nothing is contacted yet.
func New(options Options) (*Verifier, error) {
	if options.Clock == nil {
		return nil, errors.New("a clock is required")
	}
	if options.ClockSkew < 0 || options.ClockSkew > mostSkew {
		return nil, fmt.Errorf("clock skew %s: it must be between 0 and %s", options.ClockSkew, mostSkew)
	}
	if options.ClockSkew == 0 {
		options.ClockSkew = mostSkew
	}
	if len(options.CABundle) > 0 && !x509.NewCertPool().AppendCertsFromPEM(options.CABundle) {
		return nil, errors.New("the CA bundle holds no certificate in PEM form")
	}
	v := &Verifier{options: options, issuers: map[string]*issuer{}, verified: lru.New(mostVerified)}
	for name, asked := range options.Introspection {
		if err := asked.check(); err != nil {
			return nil, fmt.Errorf("introspection at %s: %w", name, err)
		}
		if _, err := v.issuer(name); err != nil {
			return nil, fmt.Errorf("introspection at %s: %w", name, err)
		}
	}
	return v, nil
}

func (i Introspection) check() error {
	switch {
	case i.ClientID == "" || i.ClientSecret.IsZero():
		return errors.New("a client id and a secret are required")
	case i.CacheFor != 0 && i.CacheFor < leastCache:
		return fmt.Errorf("answers must hold for %s at least", leastCache)
	}
	return nil
}

// Close closes the connections that are not in use. The Verifier stays usable.
func (v *Verifier) Close() {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, i := range v.issuers {
		i.exchange.Close()
	}
}

// issuer returns an issuer, which becomes known when it is first named. Its
// name is configuration, never a token's.
func (v *Verifier) issuer(name string) (*issuer, error) {
	v.mu.RLock()
	known := v.issuers[name]
	v.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if known = v.issuers[name]; known != nil {
		return known, nil
	}
	made, err := newIssuer(name, v.options)
	if err != nil {
		return nil, err
	}
	v.issuers[name] = made
	return made, nil
}
