// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

// Rotation says when a registration access token is replaced by a new one.
type Rotation string

const (
	// RotateNever keeps the token of the registration for good. It is the default.
	RotateNever Rotation = "never"
	// RotateOnPut gives a new token with every replacement, as Ory Hydra does.
	RotateOnPut Rotation = "put"
	// RotateAlways gives a new token with every read and every replacement,
	// as Keycloak does.
	RotateAlways Rotation = "always"
)

// Switches are the lasting deviations of the server. They can be changed at
// run time and hold for every request that begins after the change. The zero
// value deviates in nothing.
type Switches struct {
	// RotateRegistrationToken says when a new registration access token is
	// given; the old one is refused from then on. Empty means never.
	RotateRegistrationToken Rotation `json:"rotateRegistrationToken,omitempty"`
	// RotateSecretOnPut gives a new client_secret with every replacement.
	RotateSecretOnPut bool `json:"rotateSecretOnPut,omitempty"`
	// DropUnknownFields leaves metadata this server does not know out of its answers.
	DropUnknownFields bool `json:"dropUnknownFields,omitempty"`
	// DropSoftware leaves software_id and software_version out of answers.
	DropSoftware bool `json:"dropSoftware,omitempty"`

	// OnlyScopes, if not nil, narrows registered scopes to these.
	OnlyScopes []string `json:"onlyScopes,omitempty"`
	// OnlyGrantTypes, if not nil, narrows registered grant types to these.
	OnlyGrantTypes []string `json:"onlyGrantTypes,omitempty"`
	// ExtraScope is registered beyond what was asked.
	ExtraScope string `json:"extraScope,omitempty"`
	// ExtraGrantType is registered beyond what was asked.
	ExtraGrantType string `json:"extraGrantType,omitempty"`
	// ExtraRedirectURI is registered beyond what was asked.
	ExtraRedirectURI string `json:"extraRedirectURI,omitempty"`
	// AuthMethod is registered in place of the method that was asked for.
	AuthMethod string `json:"authMethod,omitempty"`
	// SecretForPublic answers with a client_secret to a client that asked
	// for the method "none".
	SecretForPublic bool `json:"secretForPublic,omitempty"`
	// SecretMask is shown in place of a secret by everything but the answer to a
	// registration.
	SecretMask string `json:"secretMask,omitempty"`
	// SecretExpired gives every secret issued an expiry in the past; the
	// token endpoint refuses such a secret.
	SecretExpired bool `json:"secretExpired,omitempty"`

	// PKCEOptional takes authorization requests without a code_challenge, and
	// redeems their codes whatever the code_verifier.
	PKCEOptional bool `json:"pkceOptional,omitempty"`
	// AcceptPlain takes the code_challenge_method "plain" beside S256.
	AcceptPlain bool `json:"acceptPlain,omitempty"`
	// TokenAudience is the audience of access tokens in place of the resources
	// asked for.
	TokenAudience string `json:"tokenAudience,omitempty"`
	// TokenScope is in access tokens beyond what was asked for.
	TokenScope string `json:"tokenScope,omitempty"`
	// TokenLifetimeSeconds is the life of access tokens in place of
	// Options.AccessTokenLifetime.
	TokenLifetimeSeconds int `json:"tokenLifetimeSeconds,omitempty"`

	// LatencyMillis is added to every request before its work is done.
	LatencyMillis int `json:"latencyMillis,omitempty"`
	// ClockAheadSeconds moves the Date header of every answer, and nothing else,
	// ahead of this machine's clock; negative means behind.
	ClockAheadSeconds int `json:"clockAheadSeconds,omitempty"`
	// HideS256 leaves code_challenge_methods_supported out of discovery.
	HideS256 bool `json:"hideS256,omitempty"`
	// AuthMethods, if not nil, are all that discovery lists as
	// token_endpoint_auth_methods_supported.
	AuthMethods []string `json:"authMethods,omitempty"`
	// Issuer replaces the issuer in discovery, and only there.
	Issuer string `json:"issuer,omitempty"`
	// RegistrationOrigin replaces scheme://host:port of registration_endpoint
	// in discovery.
	RegistrationOrigin string `json:"registrationOrigin,omitempty"`
	// ClientURIOrigin replaces scheme://host:port of registration_client_uri
	// in answers.
	ClientURIOrigin string `json:"clientURIOrigin,omitempty"`
	// AnswerWith are members of client information responses in place of the
	// server's own; null leaves one out. The server itself goes by what it has.
	AnswerWith map[string]json.RawMessage `json:"answerWith,omitempty"`
}

// rewrite puts what was ordered in place of members of an answer.
func rewrite(answer map[string]any, with map[string]json.RawMessage) {
	for name, value := range with {
		if string(value) == "null" {
			delete(answer, name)
			continue
		}
		answer[name] = value
	}
}

func (s Switches) validate() error {
	switch s.RotateRegistrationToken {
	case "", RotateNever, RotateOnPut, RotateAlways:
	default:
		return fmt.Errorf("rotation %q: want never, put or always", s.RotateRegistrationToken)
	}
	if s.TokenLifetimeSeconds < 0 {
		return fmt.Errorf("token lifetime %d s: must not be negative", s.TokenLifetimeSeconds)
	}
	if s.LatencyMillis < 0 {
		return fmt.Errorf("latency %d ms: must not be negative", s.LatencyMillis)
	}
	return nil
}

// challengeAccepted reports whether an authorization request may go on with
// its code_challenge (RFC 7636).
func (s Switches) challengeAccepted(r *oidc.AuthRequest) bool {
	if r.CodeChallenge == "" {
		return s.PKCEOptional
	}
	switch r.CodeChallengeMethod {
	case oidc.CodeChallengeMethodS256:
		return true
	case oidc.CodeChallengeMethodPlain, "":
		return s.AcceptPlain || s.PKCEOptional
	default:
		return false
	}
}

// deviates puts what was ordered in place of what a token was asked for with.
func (s Switches) deviates(t *tokenRequest) {
	if s.TokenAudience != "" {
		t.audience = []string{s.TokenAudience}
	}
	if s.TokenScope != "" && !slices.Contains(t.scopes, s.TokenScope) {
		t.scopes = append(slices.Clone(t.scopes), s.TokenScope)
	}
	if s.TokenLifetimeSeconds > 0 {
		t.lifetime = time.Duration(s.TokenLifetimeSeconds) * time.Second
	}
}

func (s Switches) rotates(o Operation) bool {
	switch s.RotateRegistrationToken {
	case RotateAlways:
		return o == Read || o == Replace
	case RotateOnPut:
		return o == Replace
	case RotateNever:
		return false
	default:
		return false
	}
}
