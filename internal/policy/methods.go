// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// secretMethods are what ClientSecret leaves open, the preferred one first.
var secretMethods = []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodClientSecretBasic, v1alpha1.AuthMethodClientSecretPost}

// HasSecret reports whether clients of a method have a shared secret.
func HasSecret(method v1alpha1.TokenEndpointAuthMethod) bool {
	return method == v1alpha1.AuthMethodClientSecret || slices.Contains(secretMethods, method)
}

// choices are the methods that a registration may be given, the preferred one first:
// the one that it states, or those that it leaves open, less what the policy does not
// list. Where the secret is sent gives a client no more power: what the policy allows
// is accepted in an answer too.
func (q *inquiry) choices() []v1alpha1.TokenEndpointAuthMethod {
	asked := []v1alpha1.TokenEndpointAuthMethod{q.Registration.Spec.TokenEndpointAuthMethod}
	if asked[0] == v1alpha1.AuthMethodClientSecret {
		asked = slices.Clone(secretMethods)
	}
	allowed := registrationPolicy(q.AuthorizationServer).AllowedTokenEndpointAuthMethods
	return slices.DeleteFunc(asked, func(m v1alpha1.TokenEndpointAuthMethod) bool {
		listed := slices.Contains(allowed, m) || HasSecret(m) && slices.Contains(allowed, v1alpha1.AuthMethodClientSecret)
		return wireAuthMethods[m] == "" || allowed != nil && !listed
	})
}

// authMethods are the choices in the words of RFC 7591.
func (q *inquiry) authMethods() []string {
	var words []string
	for _, m := range q.choices() {
		words = append(words, wireAuthMethods[m])
	}
	return words
}

// authMethod is the method to register: the one that the client has, if it is a
// choice, else the first choice that the server supports.
func (q *inquiry) authMethod() string {
	words := q.authMethods()
	if has := q.Record.Client.Registered.AuthMethod; q.Record.Live() && slices.Contains(words, has) {
		return has
	}
	supported := q.supportedMethods()
	for i, m := range q.choices() {
		if slices.Contains(supported, m) {
			return words[i]
		}
	}
	switch stated := wireAuthMethods[q.Registration.Spec.TokenEndpointAuthMethod]; {
	case len(words) > 0:
		return words[0]
	case q.Registration.Spec.TokenEndpointAuthMethod == v1alpha1.AuthMethodClientSecret:
		return authserver.SecretBasic
	default:
		return stated
	}
}

// supportedMethods are those that the server says it supports; nil where it says
// nothing of them.
func (q *inquiry) supportedMethods() []v1alpha1.TokenEndpointAuthMethod {
	if as := q.AuthorizationServer.Object; as != nil && as.Status.Metadata != nil {
		return as.Status.Metadata.TokenEndpointAuthMethods
	}
	return nil
}

// describedMethods are the methods of the API among those of a server's metadata.
func describedMethods(said []string) []v1alpha1.TokenEndpointAuthMethod {
	var methods []v1alpha1.TokenEndpointAuthMethod
	for _, m := range []v1alpha1.TokenEndpointAuthMethod{
		v1alpha1.AuthMethodNone, v1alpha1.AuthMethodPrivateKeyJWT,
		v1alpha1.AuthMethodClientSecretBasic, v1alpha1.AuthMethodClientSecretPost,
	} {
		if slices.Contains(said, wireAuthMethods[m]) {
			methods = append(methods, m)
		}
	}
	return methods
}

// The authentication method must be one that the policy lists.
func authMethodAllowed(q *inquiry) *Verdict {
	method := q.Registration.Spec.TokenEndpointAuthMethod
	if len(q.choices()) == 0 {
		allowed := registrationPolicy(q.AuthorizationServer).AllowedTokenEndpointAuthMethods
		return notAllowed(v1alpha1.ReasonAuthMethodNotAllowed,
			fmt.Sprintf("spec.tokenEndpointAuthMethod: %q is not allowed by the AuthorizationServer's policy: choose another, for example tokenEndpointAuthMethod: %s", method, example(allowed, v1alpha1.AuthMethodPrivateKeyJWT)))
	}
	if q.Traits.SharedSecretUnsupported && HasSecret(method) {
		return notAllowed(v1alpha1.ReasonAuthMethodNotAllowed,
			"spec.tokenEndpointAuthMethod: clients of this AuthorizationServer cannot have a secret: use tokenEndpointAuthMethod: PrivateKeyJWT")
	}
	return nil
}

// A method that the server says it does not support is not asked of it. Public
// clients are an exception: many servers take them and do not list none. A client
// that there is keeps its method.
func authMethodSupported(q *inquiry) *Verdict {
	supported, choices := q.supportedMethods(), q.choices()
	missing := func(m v1alpha1.TokenEndpointAuthMethod) bool { return !slices.Contains(supported, m) }
	if len(supported) == 0 || q.Record.Live() || slices.Contains(choices, v1alpha1.AuthMethodNone) ||
		slices.ContainsFunc(choices, func(m v1alpha1.TokenEndpointAuthMethod) bool { return !missing(m) }) {
		return nil
	}
	return &Verdict{
		Standing: Frozen, Reason: v1alpha1.ReasonAuthMethodNotAllowed,
		Message: fmt.Sprintf("spec.tokenEndpointAuthMethod: the authorization server supports %s and not %s (token_endpoint_auth_methods_supported): create a registration with a method that it supports, or ask the platform team to enable another there",
			listed(supported, ", "), listed(choices, " or ")),
	}
}

func listed(methods []v1alpha1.TokenEndpointAuthMethod, between string) string {
	words := make([]string, 0, len(methods))
	for _, m := range methods {
		words = append(words, string(m))
	}
	return strings.Join(words, between)
}
