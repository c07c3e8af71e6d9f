// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// longestLifespan bounds what is read as the lifespan of tokens: a year.
const longestLifespan = 365 * 24 * 60 * 60

// client is what a representation says, in the words of the port. What widens
// the reach of a client and has no word there is told as a scope that no wish
// can hold, so that it is seen to differ.
func (r representation) client() authserver.Client {
	lifetime, bounded := r.tokenLifetime()
	client := authserver.Client{
		ID: r.ClientID, Disabled: !r.Enabled,
		Registered: authserver.ClientMetadata{
			ID: r.ClientID, Name: r.Name,
			SoftwareID:      r.Attributes[attributeSoftwareID],
			SoftwareVersion: r.Attributes[attributeSoftwareVersion],
			ApplicationType: r.Attributes[attributeApplicationType],
			GrantTypes:      r.grantTypes(),
			ResponseTypes:   r.responseTypes(),
			RedirectURIs:    append([]string{}, r.RedirectURIs...),
			Scopes:          append(append([]string{}, r.OptionalScopes...), r.beyond(bounded)...),
			AuthMethod:      r.authMethod(),
			Assertion:       r.assertion(),
			Contacts:        r.contacts(),
			Audiences:       r.audiences(),
			TokenLifetime:   lifetime,
		},
	}
	if authserver.SharedSecret(client.Registered.AuthMethod) {
		client.Secret = authserver.NewSecret(r.Secret)
	}
	if r.Attributes[attributeUseKeys] == "true" {
		client.Registered.JWKS = compact(r.Attributes[attributeKeys])
	}
	if r.Attributes[attributeUseKeysURL] == "true" {
		client.Registered.JWKSURI = r.Attributes[attributeKeysURL]
	}
	return client
}

func (r representation) grantTypes() []string {
	grants := []string{}
	add := func(enabled bool, grant string) {
		if enabled {
			grants = append(grants, grant)
		}
	}
	enforced := r.Attributes[attributeChallenge] == challengeAll
	add(r.StandardFlow && enforced, grantCode)
	add(r.StandardFlow && !enforced, grantCode+" without PKCE (S256)")
	add(r.StandardFlow && r.Attributes[attributeRefresh] != "false", grantRefresh)
	add(r.ServiceAccount, grantCredentials)
	add(r.Attributes[attributeExchange] == "true", grantExchange)
	add(r.ImplicitFlow, "implicit")
	add(r.DirectGrants, "password")
	for _, name := range slices.Sorted(maps.Keys(otherGrants)) {
		add(r.Attributes[name] == "true", otherGrants[name])
	}
	return grants
}

func (r representation) responseTypes() []string {
	types := []string{}
	if r.StandardFlow {
		types = append(types, "code")
	}
	if r.ImplicitFlow {
		types = append(types, "token")
	}
	return types
}

func (r representation) authMethod() string {
	switch {
	case r.Public:
		return methodNone
	case r.Authenticator == authenticatorSecret && r.Attributes[attributeSecretMethod] == methodPost:
		return methodPost
	case r.Authenticator == authenticatorSecret:
		return methodBasic
	case r.Authenticator == authenticatorKey && (r.Attributes[attributeUseKeys] == "true" || r.Attributes[attributeUseKeysURL] == "true"),
		r.assertion().Issuer != "" && r.assertion().Subject != "":
		return methodKey
	}
	return r.Authenticator
}

// assertion says whose tokens the client authenticates by.
func (r representation) assertion() authserver.Assertion {
	if r.Public || r.Authenticator != authenticatorFederated {
		return authserver.Assertion{}
	}
	return authserver.Assertion{Issuer: r.Attributes[attributeAssertionIssuer], Subject: r.Attributes[attributeAssertionSubject]}
}

// beyond is what gives the client more than its wish could ask for, or would give
// it to somebody else.
func (r representation) beyond(bounded bool) []string {
	var more []string
	for _, name := range r.DefaultScopes {
		if name != serviceAccountScope {
			more = append(more, name+" (without asking)")
		}
	}
	for _, mapper := range r.ProtocolMappers {
		if mapper.Mapper != mapperSubject && (mapper.Mapper != mapperAudience || mapper.Config[customAudience] == "") {
			more = append(more, "protocol mapper "+mapper.Name)
		}
	}
	for what, so := range map[string]bool{
		"every role (fullScopeAllowed)": r.FullScope,
		"no question for consent":       r.StandardFlow && !r.Consent,
		"tokens of unbounded lifespan":  !bounded,
	} {
		if so {
			more = append(more, what)
		}
	}
	more = append(more, r.idleAssertion()...)
	slices.Sort(more)
	return more
}

// idleAssertion is whose tokens are named and not taken: the client would be found
// beside the one that they belong to.
func (r representation) idleAssertion() []string {
	if subject := r.Attributes[attributeAssertionSubject]; r.Authenticator != authenticatorFederated && subject != "" {
		return []string{"assertions of " + subject}
	}
	return nil
}

func (r representation) audiences() []string {
	audiences := []string{}
	for _, mapper := range r.ProtocolMappers {
		if mapper.Mapper == mapperAudience && mapper.Config[customAudience] != "" && mapper.Config[inAccessToken] == "true" {
			audiences = append(audiences, mapper.Config[customAudience])
		}
	}
	return audiences
}

// tokenLifetime is the lifespan of access tokens; 0 is that of the realm, which
// counts as unbounded where the register once set another.
func (r representation) tokenLifetime() (lifetime time.Duration, bounded bool) {
	seconds, err := strconv.ParseInt(r.Attributes[attributeTokenLifespan], 10, 64)
	if err != nil || seconds <= 0 {
		return 0, r.Attributes[attributeLifespan] == ""
	}
	return time.Duration(min(seconds, longestLifespan)) * time.Second, true
}

func (r representation) contacts() []string {
	var list []string
	if json.Unmarshal([]byte(r.Attributes[attributeContacts]), &list) != nil {
		return nil
	}
	return list
}

// compact is a JWK set as compact JSON; what is none stays as it is, so that it
// is seen to differ.
func compact(set string) string {
	var short bytes.Buffer
	if json.Compact(&short, []byte(set)) != nil {
		return set
	}
	return short.String()
}
