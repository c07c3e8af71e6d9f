// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"bytes"
	"cmp"
	"reflect"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/examine"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/gate"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/instrumented"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/keycloak"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/metadatadocument"
)

// Options is what every connection shares.
type Options struct {
	// Metrics counts and times; required.
	Metrics *instrumented.Metrics
	// Now is the clock; required.
	Now func() time.Time
	// AllowPrivate allows authorization servers at private addresses.
	AllowPrivate bool
	// Documents serves metadata documents; nil where none are served.
	Documents *metadatadocument.Host

	// limiter bounds the rate of one connection, whoever of it sends.
	limiter *rate.Limiter
	// memory is what connections with Keycloak share.
	memory *keycloak.Memory
}

// Connector is an authserver.Connector that keeps one connection per name.
type Connector struct {
	options Options

	mu          sync.Mutex
	connections map[string]*connection
}

type connection struct {
	config   authserver.Config
	adapter  closer
	asking   *examine.Examiner
	server   authserver.Server
	examiner authserver.Examiner
	gate     *gate.Gate
}

// closer is an adapter that holds connections open.
type closer interface {
	authserver.Server
	// Close closes the connections that are not in use. The server stays
	// usable.
	Close()
}

func (c *connection) close() {
	c.adapter.Close()
	c.asking.Close()
}

var _ authserver.Connector = (*Connector)(nil)

// New returns a connector without connections.
func New(options Options) *Connector {
	options.memory = keycloak.NewMemory()
	return &Connector{options: options, connections: map[string]*connection{}}
}

// Connect returns the connection of config.Name, made anew when the config has
// changed. The gate stays the same, resized. Nothing is contacted. Rejected:
// the config cannot be used.
func (c *Connector) Connect(config authserver.Config) (authserver.Server, authserver.Gate, error) {
	made, err := c.connection(config)
	if err != nil {
		return nil, nil, err
	}
	return made.server, made.gate, nil
}

// Examine returns the examiner of the connection of config.Name.
func (c *Connector) Examine(config authserver.Config) (authserver.Examiner, error) {
	made, err := c.connection(config)
	if err != nil {
		return nil, err
	}
	return made.examiner, nil
}

// Traits are those of the adapter of a method; those of an unknown method are
// the zero value.
func (c *Connector) Traits(config authserver.Config) authserver.Traits {
	adapter, known := adapters[method(config)]
	if !known {
		return authserver.Traits{}
	}
	return adapter.traits(config)
}

func (c *Connector) connection(config authserver.Config) (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.connections[config.Name]
	if known != nil && reflect.DeepEqual(known.config, config) {
		return known, nil
	}
	config.CABundle = bytes.Clone(config.CABundle)
	made, err := c.open(config)
	if err != nil {
		return nil, err
	}
	if known == nil {
		made.gate = gate.New(config.MaxInFlight, c.options.Now)
	} else {
		made.gate = known.gate
		made.gate.Resize(config.MaxInFlight)
		known.close()
	}
	made.server = instrumented.Wrap(config.Name, &holding{next: made.adapter, gate: made.gate, now: c.options.Now}, c.options.Metrics)
	made.examiner = instrumented.WrapExaminer(config.Name, &holdingExaminer{next: made.examiner, gate: made.gate, now: c.options.Now}, c.options.Metrics)
	c.connections[config.Name] = made
	return made, nil
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
	known.close()
	delete(c.connections, name)
	c.options.Metrics.Forget(name)
}

func method(config authserver.Config) authserver.Method {
	return cmp.Or(config.Method, authserver.DynamicRegistration)
}
