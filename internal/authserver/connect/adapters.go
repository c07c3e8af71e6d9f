// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package connect

import (
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dcr"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/examine"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/hydra"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/keycloak"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/metadatadocument"
)

// adapter is how a method is carried out.
type adapter struct {
	traits func(config authserver.Config) authserver.Traits
	open   func(config authserver.Config, options Options) (closer, error)
	// loginFirst says that the servers of the method look at a code_challenge
	// only after the login.
	loginFirst bool
}

// adapters are all there are: the only place that knows them by name.
var adapters = map[authserver.Method]adapter{
	authserver.DynamicRegistration: {
		traits: func(authserver.Config) authserver.Traits { return dcr.Traits },
		open: func(config authserver.Config, options Options) (closer, error) {
			return openDCR(config, options, false)
		},
	},
	authserver.Hydra: {
		traits: func(authserver.Config) authserver.Traits { return hydra.Traits },
		open: func(config authserver.Config, options Options) (closer, error) {
			return hydra.New(config, hydra.Options{
				Now: options.Now, AllowPrivate: options.AllowPrivate, Sent: options.Metrics.Sent(config.Name),
				Limiter: options.limiter,
			})
		},
		loginFirst: true,
	},
	authserver.Keycloak: {
		traits: keycloak.Traits,
		open: func(config authserver.Config, options Options) (closer, error) {
			return keycloak.New(config, keycloak.Options{
				Now: options.Now, AllowPrivate: options.AllowPrivate, Sent: options.Metrics.Sent(config.Name),
				Limiter: options.limiter, Memory: options.memory,
			})
		},
	},
	authserver.MetadataDocument: {
		traits: metadatadocument.Traits,
		open: func(config authserver.Config, options Options) (closer, error) {
			discovery, err := openDCR(config, options, true)
			if err != nil {
				return nil, err
			}
			return metadatadocument.New(config, options.Documents, discovery)
		},
	},
}

// openDCR opens a server of which, where that is so, only the metadata is read.
func openDCR(config authserver.Config, options Options, metadataOnly bool) (*dcr.Server, error) {
	return dcr.New(config, dcr.Options{
		Now: options.Now, AllowPrivate: options.AllowPrivate, Sent: options.Metrics.Sent(config.Name),
		Limiter: options.limiter, MetadataOnly: metadataOnly,
	})
}

// open makes the adapter and the examiner of a config.
func (c *Connector) open(config authserver.Config) (*connection, error) {
	kind, known := adapters[method(config)]
	if !known {
		return nil, &authserver.Error{Kind: authserver.Rejected, Op: "connecting", Code: "unknown_method"}
	}
	options := c.options
	options.limiter = exchange.NewLimiter(config.RequestsPerSecond)
	server, err := kind.open(config, options)
	if err != nil {
		return nil, err
	}
	asking, err := examine.New(config, examine.Options{
		Now: options.Now, AllowPrivate: options.AllowPrivate, LoginFirst: kind.loginFirst,
		Limiter: options.limiter, Sent: options.Metrics.Sent(config.Name),
	})
	if err != nil {
		server.Close()
		return nil, err
	}
	return &connection{config: config, adapter: server, asking: asking, examiner: asking}, nil
}
