// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

const (
	openMethod  = v1alpha1.AuthMethodClientSecret
	basicMethod = v1alpha1.AuthMethodClientSecretBasic
	postMethod  = v1alpha1.AuthMethodClientSecretPost
	keyMethod   = v1alpha1.AuthMethodPrivateKeyJWT
)

// methodFacts are those of a registration that asks for a method, at a server that
// supports and allows some; nil leaves that open.
func methodFacts(method v1alpha1.TokenEndpointAuthMethod, supported, allowed []v1alpha1.TokenEndpointAuthMethod, changes ...func(*RegistrationFacts)) RegistrationFacts {
	return facts(append([]func(*RegistrationFacts){func(f *RegistrationFacts) {
		f.Registration.Spec.TokenEndpointAuthMethod = method
		f.change(func(as *v1alpha1.AuthorizationServer) {
			as.Spec.Policy = &v1alpha1.RegistrationPolicy{AllowedTokenEndpointAuthMethods: allowed}
			as.Status.Metadata.TokenEndpointAuthMethods = supported
		})
	}}, changes...)...)
}

func TestWhichMethodIsRegistered(t *testing.T) {
	type methods = []v1alpha1.TokenEndpointAuthMethod
	const basic, post = authserver.SecretBasic, authserver.SecretPost
	for name, c := range map[string]struct {
		asked              v1alpha1.TokenEndpointAuthMethod
		supported, allowed methods
		wire               string
		others             []string
		refused            string
	}{
		"stated, and the server does not say":       {postMethod, nil, nil, post, []string{post}, ""},
		"stated and supported":                      {postMethod, methods{basicMethod, postMethod}, nil, post, []string{post}, ""},
		"stated and not supported":                  {basicMethod, methods{postMethod, keyMethod}, nil, basic, []string{basic}, "supports ClientSecretPost, PrivateKeyJWT and not ClientSecretBasic"},
		"a key where there are secrets only":        {keyMethod, methods{postMethod}, nil, "private_key_jwt", []string{"private_key_jwt"}, "supports ClientSecretPost and not PrivateKeyJWT"},
		"public clients are not always listed":      {v1alpha1.AuthMethodNone, methods{postMethod}, nil, "none", []string{"none"}, ""},
		"open, and the server does not say":         {openMethod, nil, nil, basic, []string{basic, post}, ""},
		"open at a server with both":                {openMethod, methods{postMethod, basicMethod}, nil, basic, []string{basic, post}, ""},
		"open at a server with one":                 {openMethod, methods{postMethod, keyMethod}, nil, post, []string{basic, post}, ""},
		"open at a server with neither":             {openMethod, methods{keyMethod}, nil, basic, []string{basic, post}, "supports PrivateKeyJWT and not ClientSecretBasic or ClientSecretPost"},
		"open, where the policy allows one":         {openMethod, methods{postMethod, basicMethod}, methods{postMethod}, post, []string{post}, ""},
		"open, where the policy allows the other":   {openMethod, nil, methods{keyMethod, basicMethod}, basic, []string{basic}, ""},
		"open, where the policy allows what is not": {openMethod, methods{postMethod}, methods{basicMethod}, basic, []string{basic}, "supports ClientSecretPost and not ClientSecretBasic"},
		"open, where the policy allows both":        {openMethod, methods{postMethod}, methods{openMethod}, post, []string{basic, post}, ""},
		"open, where the policy allows neither":     {openMethod, nil, methods{keyMethod}, basic, nil, "ClientSecret\" is not allowed"},
		"stated, where the policy allows both":      {postMethod, nil, methods{openMethod}, post, []string{post}, ""},
		"stated, where the policy allows the other": {postMethod, nil, methods{basicMethod}, post, nil, "ClientSecretPost\" is not allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			f := methodFacts(c.asked, c.supported, c.allowed)
			if c.asked == v1alpha1.AuthMethodNone {
				interactive(f.Registration)
			}
			d := Registration(f, now)
			equal(t, "method", c.wire, d.Wish.AuthMethod)
			equal(t, "methods that will do", c.others, d.AuthMethods)
			if c.refused == "" {
				equal(t, "standing", Allowed, d.Verdict.Standing)
				return
			}
			equal(t, "reason", v1alpha1.ReasonAuthMethodNotAllowed, d.Verdict.Reason)
			mentions(t, d.Verdict.Message, c.refused)
			if d.Action == Register {
				t.Error("it is registered all the same")
			}
		})
	}
}

// A client keeps the method that it has, whatever its server supports by now, as
// long as the policy allows it.
func TestALiveClientKeepsItsMethod(t *testing.T) {
	live := func(has string, supported, allowed []v1alpha1.TokenEndpointAuthMethod) RegistrationDecision {
		f := methodFacts(openMethod, supported, allowed)
		f.RecordIs, f.Record = Present, liveFacts().Record
		f.Record.Client.Registered.AuthMethod = has
		wish := Registration(f, now).Wish
		wish.AuthMethod = has
		f.Record.WishDigest = Digest(wish)
		return Registration(f, now)
	}
	none := []v1alpha1.TokenEndpointAuthMethod(nil)
	for _, has := range []string{authserver.SecretBasic, authserver.SecretPost} {
		for _, supported := range [][]v1alpha1.TokenEndpointAuthMethod{none, {basicMethod}, {postMethod}, {keyMethod}} {
			if d := live(has, supported, none); d.Action != Keep || d.Wish.AuthMethod != has || d.Verdict.Standing != Allowed {
				t.Errorf("%s, supported %v: %v %s (%s)", has, supported, d.Action, d.Wish.AuthMethod, d.Verdict.Message)
			}
		}
	}
	if d := live(authserver.SecretPost, none, []v1alpha1.TokenEndpointAuthMethod{basicMethod}); d.Action != Replace || d.Wish.AuthMethod != authserver.SecretBasic {
		t.Errorf("the policy does not allow it any more: %v %s", d.Action, d.Wish.AuthMethod)
	}
}

// What a server supports is told in the API's words.
func TestSupportedMethodsAreDescribed(t *testing.T) {
	for name, c := range map[string]struct {
		says []string
		want []v1alpha1.TokenEndpointAuthMethod
	}{
		"nothing":      {nil, nil},
		"other things": {[]string{"tls_client_auth", "client_secret_jwt"}, nil},
		"all": {
			[]string{"client_secret_post", "tls_client_auth", "none", "private_key_jwt", "client_secret_basic", "none"},
			[]v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodNone, keyMethod, basicMethod, postMethod},
		},
	} {
		metadata, _ := describe(authserver.Metadata{TokenEndpointAuthMethods: c.says})
		equal(t, name, c.want, metadata.TokenEndpointAuthMethods)
	}
}
