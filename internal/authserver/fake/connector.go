// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package fake

import (
	"slices"
	"sync"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Connector is an authserver.Connector that hands out fakes by name.
type Connector struct {
	mu      sync.Mutex
	servers map[string]authserver.Server
	gates   map[string]*Gate
	configs []authserver.Config
}

var _ authserver.Connector = (*Connector)(nil)

// NewConnector returns a connector that knows no server.
func NewConnector() *Connector {
	return &Connector{servers: map[string]authserver.Server{}, gates: map[string]*Gate{}}
}

// Put makes a server known under a name.
func (c *Connector) Put(name string, server authserver.Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers[name] = server
}

// Connect returns the server of config.Name. An unknown name is Rejected.
func (c *Connector) Connect(config authserver.Config) (authserver.Server, authserver.Gate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.configs = append(c.configs, config)
	server, known := c.servers[config.Name]
	if !known {
		return nil, nil, &authserver.Error{Kind: authserver.Rejected, Op: "connecting"}
	}
	return server, c.gate(config.Name), nil
}

// Traits are those of the server of config.Name; the zero value of none.
func (c *Connector) Traits(config authserver.Config) authserver.Traits {
	c.mu.Lock()
	defer c.mu.Unlock()
	if server, known := c.servers[config.Name]; known {
		return server.Traits()
	}
	return authserver.Traits{}
}

// Examine returns the server of config.Name where it is an examiner too.
func (c *Connector) Examine(config authserver.Config) (authserver.Examiner, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if examiner, ok := c.servers[config.Name].(authserver.Examiner); ok {
		return examiner, nil
	}
	return nil, &authserver.Error{Kind: authserver.Rejected, Op: "connecting"}
}

// Gate returns the gate of a name.
func (c *Connector) Gate(name string) *Gate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.gate(name)
}

// Configs returns what Connect was called with, oldest first.
func (c *Connector) Configs() []authserver.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.configs)
}

func (c *Connector) gate(name string) *Gate {
	if c.gates[name] == nil {
		c.gates[name] = &Gate{entered: map[authserver.Urgency]int{}}
	}
	return c.gates[name]
}

// Gate is an authserver.Gate that is open until it is closed.
type Gate struct {
	mu      sync.Mutex
	closed  time.Duration
	inside  int
	entered map[authserver.Urgency]int
}

// Enter lets in, or refuses while closed.
func (g *Gate) Enter(urgency authserver.Urgency) (func(), error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed > 0 {
		return nil, &authserver.Error{
			Kind: authserver.Unavailable, Op: "entering", Unsent: true, RetryAfter: g.closed,
		}
	}
	g.inside++
	g.entered[urgency]++
	return sync.OnceFunc(g.leave), nil
}

func (g *Gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
}

// Close refuses everyone from now on, with this RetryAfter.
func (g *Gate) Close(retryAfter time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = retryAfter
}

// Open lets everyone in again.
func (g *Gate) Open() { g.Close(0) }

// Inside says how many have not left.
func (g *Gate) Inside() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}

// Entered says how many were let in with an urgency.
func (g *Gate) Entered(urgency authserver.Urgency) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.entered[urgency]
}
