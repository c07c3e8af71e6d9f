// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
)

// personality is a kind of authorization server.
type personality struct {
	name     string
	traits   func(issuer string) authserver.Traits
	switches func(*fake.Switches)
	// adapt says in the AuthorizationServer how clients are managed there.
	adapt func(spec *v1alpha1.AuthorizationServerSpec, issuer string)
	// losesTokens says that an answer may carry the only copy of what the
	// client is managed with.
	losesTokens bool
}

// own says that client ids are the operator's own.
func (p personality) own() bool { return p.traits("").OwnClientID }

var personalities = []personality{
	{
		name: "dynamic registration",
		traits: func(string) authserver.Traits {
			return authserver.Traits{TwoKeys: true, KeysLinger: authserver.KeyCacheRace}
		},
		switches: func(s *fake.Switches) { s.KeepKeys = true },
		adapt:    byRegistration,
	},
	{
		name:        "dynamic registration with single-use tokens",
		traits:      func(string) authserver.Traits { return authserver.Traits{TwoKeys: true} },
		switches:    func(s *fake.Switches) { s.RotateTokens = true },
		adapt:       byRegistration,
		losesTokens: true,
	},
	{
		name: "own id that disables and lists",
		traits: func(string) authserver.Traits {
			return authserver.Traits{
				OwnClientID: true, OwnSecret: true, TwoKeys: true, Audiences: true, Disables: true, Lists: true, KeysLinger: authserver.KeyCacheRace,
			}
		},
		switches: func(s *fake.Switches) { s.KeepKeys = true },
		adapt:    byAdmin,
	},
	{
		name: "own id",
		traits: func(string) authserver.Traits {
			return authserver.Traits{OwnClientID: true, OwnSecret: true, Audiences: true}
		},
		adapt: byAdmin,
	},
	{
		name: "metadata documents",
		traits: func(issuer string) authserver.Traits {
			return authserver.Traits{
				OwnClientID: true, IDPrefix: documents(issuer) + "/", TwoKeys: true,
				SharedSecretUnsupported: true, CopyLifetime: 30 * time.Second,
			}
		},
		adapt: func(spec *v1alpha1.AuthorizationServerSpec, issuer string) {
			spec.MetadataDocument = &v1alpha1.MetadataDocumentManagement{BaseURL: documents(issuer), CacheSeconds: new(int32(30))}
		},
	},
}

func documents(issuer string) string { return issuer + "/clients" }

func byRegistration(spec *v1alpha1.AuthorizationServerSpec, _ string) {
	spec.DynamicRegistration = &v1alpha1.DynamicRegistration{}
}

func byAdmin(spec *v1alpha1.AuthorizationServerSpec, issuer string) {
	spec.Hydra = &v1alpha1.HydraManagement{AdminURL: issuer + "/admin"}
	spec.OrphanPolicy, spec.OrphanGraceSeconds = v1alpha1.OrphanPolicyReap, new(int32(60))
}
