// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"bytes"
	"sync"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dcr"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/gate"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/instrumented"
)

// Options is what every connection shares.
type Options struct {
	// Metrics counts and times; required.
	Metrics *instrumented.Metrics
	// Now is the clock; required.
	Now func() time.Time
	// AllowPrivate allows authorization servers at private addresses.
	AllowPrivate bool
}

// Connector is an authserver.Connector that keeps one connection per name.
type Connector struct {
	options Options

	mu          sync.Mutex
	connections map[string]*connection
}

type connection struct {
	config  authserver.Config
	adapter *dcr.Server
	server  authserver.Server
	gate    *gate.Gate
}

var _ authserver.Connector = (*Connector)(nil)

// New returns a connector without connections.
func New(options Options) *Connector {
	return &Connector{options: options, connections: map[string]*connection{}}
}

// Connect returns the connection of config.Name, made anew when the config has
// changed. The gate stays the same, resized. Nothing is contacted. Rejected:
// the config cannot be used.
func (c *Connector) Connect(config authserver.Config) (authserver.Server, authserver.Gate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.connections[config.Name]
	if known != nil && same(known.config, config) {
		return known.server, known.gate, nil
	}
	config.CABundle = bytes.Clone(config.CABundle)
	adapter, err := dcr.New(config, dcr.Options{
		Now: c.options.Now, AllowPrivate: c.options.AllowPrivate,
		Sent: c.options.Metrics.Sent(config.Name),
	})
	if err != nil {
		return nil, nil, err
	}
	made := &connection{config: config, adapter: adapter}
	if known == nil {
		made.gate = gate.New(config.MaxInFlight, c.options.Now)
	} else {
		made.gate = known.gate
		made.gate.Resize(config.MaxInFlight)
		known.adapter.Close()
	}
	held := &holding{next: adapter, gate: made.gate, now: c.options.Now}
	made.server = instrumented.Wrap(config.Name, held, c.options.Metrics)
	c.connections[config.Name] = made
	return made.server, made.gate, nil
}

// Forget drops the connection of a name and what was measured of it. Those who
// still use it can go on.
func (c *Connector) Forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.connections[name]
	if known == nil {
		return
	}
	known.adapter.Close()
	delete(c.connections, name)
	c.options.Metrics.Forget(name)
}

func same(a, b authserver.Config) bool {
	return a.Name == b.Name && a.Issuer == b.Issuer && bytes.Equal(a.CABundle, b.CABundle) &&
		a.InitialAccessToken.Equal(b.InitialAccessToken) &&
		a.RequestsPerSecond == b.RequestsPerSecond && a.MaxInFlight == b.MaxInFlight
}
