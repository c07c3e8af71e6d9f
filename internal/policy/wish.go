// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Words of RFC 7591 §2 and RFC 8693 §2.1.
const (
	wireAuthorizationCode = "authorization_code"
	wireNone              = "none"
	wirePrivateKeyJWT     = "private_key_jwt"
)

var wireGrantTypes = map[v1alpha1.GrantType]string{
	v1alpha1.GrantAuthorizationCode: wireAuthorizationCode,
	v1alpha1.GrantRefreshToken:      "refresh_token",
	v1alpha1.GrantClientCredentials: "client_credentials",
	v1alpha1.GrantTokenExchange:     "urn:ietf:params:oauth:grant-type:token-exchange",
}

// wireAuthMethods has no word for ClientSecret, which leaves it open.
var wireAuthMethods = map[v1alpha1.TokenEndpointAuthMethod]string{
	v1alpha1.AuthMethodNone:              wireNone,
	v1alpha1.AuthMethodPrivateKeyJWT:     wirePrivateKeyJWT,
	v1alpha1.AuthMethodClientSecretBasic: authserver.SecretBasic,
	v1alpha1.AuthMethodClientSecretPost:  authserver.SecretPost,
}

// wish translates a registration into client metadata, without its mark.
func wish(reg *v1alpha1.MCPClientRegistration, scopes []v1alpha1.EffectiveScope) authserver.ClientMetadata {
	metadata := authserver.ClientMetadata{
		Name:            reg.Spec.ClientName,
		ApplicationType: strings.ToLower(string(reg.Spec.ApplicationType)),
		AuthMethod:      wireAuthMethods[reg.Spec.TokenEndpointAuthMethod],
		JWKSURI:         reg.Spec.JWKSURI,
		Contacts:        contacts(reg),
	}
	metadata.JWKS, _ = publicJWKS(reg.Spec.JWKS)
	for _, grant := range reg.Spec.GrantTypes {
		metadata.GrantTypes = append(metadata.GrantTypes, wireGrantTypes[grant])
	}
	if slices.Contains(metadata.GrantTypes, wireAuthorizationCode) {
		metadata.ResponseTypes = []string{"code"}
	}
	for _, uri := range reg.Spec.RedirectURIs {
		metadata.RedirectURIs = append(metadata.RedirectURIs, string(uri))
	}
	for _, scope := range scopes {
		metadata.Scopes = append(metadata.Scopes, scope.Name)
	}
	slices.Sort(metadata.GrantTypes)
	slices.Sort(metadata.RedirectURIs)
	slices.Sort(metadata.Scopes)
	return metadata
}

// NeedsOwnKey says that the operator makes the client's key pair.
func NeedsOwnKey(spec v1alpha1.MCPClientRegistrationSpec) bool {
	return spec.TokenEndpointAuthMethod == v1alpha1.AuthMethodPrivateKeyJWT && spec.JWKS == "" && spec.JWKSURI == "" &&
		spec.ServiceAccountName == ""
}

// WantsSecret says that the registration has a credentials Secret: every client
// with a key or a secret, and another one that asks for it.
func WantsSecret(spec v1alpha1.MCPClientRegistrationSpec) bool {
	secretless := spec.TokenEndpointAuthMethod == v1alpha1.AuthMethodNone || spec.ServiceAccountName != ""
	return !secretless || spec.Credentials != nil
}

// ServiceAccountSubject is the claim sub of the tokens of a ServiceAccount. It
// names one: neither name can hold a colon.
func ServiceAccountSubject(namespace, name string) string {
	return "system:serviceaccount:" + namespace + ":" + name
}

// SecretName is the name of the credentials Secret.
func SecretName(reg *v1alpha1.MCPClientRegistration) string {
	if c := reg.Spec.Credentials; c != nil && c.SecretName != "" {
		return c.SecretName
	}
	return reg.Name + "-mcp-client"
}

// Marked adds the ownership mark to a wish: who registered it, for which
// object, and the mark itself. It is also put into the name, because many
// authorization servers drop software_id and software_version.
func Marked(w authserver.ClientMetadata, cluster, uid, mark string) authserver.ClientMetadata {
	w.SoftwareID = Owner(cluster, uid)
	w.SoftwareVersion = mark
	w.Name = shortened(w.Name, longestName-len(markOf(mark))) + markOf(mark)
	return w
}

// longestName is how many UTF-16 units of a name authorization servers can store;
// Keycloak answers 500 to a longer one. Names of 128 characters have more where each
// takes two units.
const longestName = 255

// shortened is a text of at most some UTF-16 units, in whole characters.
func shortened(text string, units int) string {
	for i, r := range text {
		if units -= utf16.RuneLen(r); units < 0 {
			return text[:i]
		}
	}
	return text
}

// markOf is what a name that is sent ends with.
func markOf(mark string) string { return " [" + mark + "]" }

// ownerPrefix begins every ownership mark.
const ownerPrefix = "mcp-registrar/"

// Owner is the software_id of the ownership mark of an object.
func Owner(cluster, uid string) string { return ownerPrefix + cluster + "/" + uid }

// OwnerOfAll is what the ownership marks of all objects of a cluster begin with, up to
// the last slash.
func OwnerOfAll(cluster string) string { return ownerPrefix + cluster }

// OwnedBy says that a software_id is the mark of an object of a cluster, and of
// which.
func OwnedBy(cluster, softwareID string) (uid string, ours bool) {
	return strings.CutPrefix(softwareID, ownerPrefix+cluster+"/")
}

// OwnedByOneOf is OwnedBy of the first of some clusters whose mark it is.
func OwnedByOneOf(clusters []string, softwareID string) (uid string, ours bool) {
	for _, cluster := range clusters {
		if uid, ours = OwnedBy(cluster, softwareID); ours {
			return uid, true
		}
	}
	return "", false
}

// Clusters are those whose clients at a server are the operator's: its own, and those that
// are said to be gone.
func Clusters(own string, as *v1alpha1.AuthorizationServer) []string {
	return append([]string{own}, as.Spec.FormerClusters...)
}

// Digest identifies an unmarked wish.
func Digest(w authserver.ClientMetadata) string {
	encoded, err := json.Marshal(w)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:16])
}

// KeysDigest identifies the keys that are asked for, in whatever order and form;
// empty for none.
func KeysDigest(w authserver.ClientMetadata) string {
	if w.JWKS == "" && w.JWKSURI == "" {
		return ""
	}
	keys, readable := thumbprints(w.JWKS)
	if !readable {
		keys = []string{w.JWKS}
	}
	slices.Sort(keys)
	return Digest(authserver.ClientMetadata{JWKS: strings.Join(keys, " "), JWKSURI: w.JWKSURI})
}

// difference is what an answer has beyond a wish, and what it lacks.
type difference struct {
	excess, missing []string
}

// Compare compares what was registered with what was asked for (RFC 7591
// §3.2.1: the server may replace any value). Excess is a danger, missing a
// report.
func Compare(asked authserver.ClientMetadata, got authserver.Client) (excess, missing []string) {
	var d difference
	d.list("scope", asked.Scopes, got.Registered.Scopes)
	d.list("grant type", asked.GrantTypes, got.Registered.GrantTypes)
	d.list("redirect URI", asked.RedirectURIs, got.Registered.RedirectURIs)
	d.list("response type", asked.ResponseTypes, yielding(got.Registered.ResponseTypes))
	if asked.AuthMethod != got.Registered.AuthMethod {
		d.excess = append(d.excess, "authentication method "+got.Registered.AuthMethod)
	}
	if asked.AuthMethod == wireNone && !got.Secret.IsZero() {
		d.excess = append(d.excess, "a secret for a public client")
	}
	d.list("audience", asked.Audiences, got.Registered.Audiences)
	switch lifetime := got.Registered.TokenLifetime; {
	case asked.TokenLifetime == 0:
	case lifetime == 0:
		d.excess = append(d.excess, "token lifetime of the server's own")
	case lifetime > asked.TokenLifetime:
		d.excess = append(d.excess, "token lifetime "+lifetime.String())
	}
	d.keys(asked, got.Registered)
	d.assertion(asked.Assertion, got.Registered.Assertion)
	return d.excess, d.missing
}

// yielding leaves out the response type none, which yields neither a code nor a
// token (OAuth 2.0 Multiple Response Type Encoding Practices §4). Some servers
// add it to every client.
func yielding(types []string) []string {
	return slices.DeleteFunc(slices.Clone(types), func(t string) bool { return t == "none" })
}

// keys compares key sets by their thumbprints. A server that does not repeat
// the keys says nothing about them.
func (d *difference) keys(asked, got authserver.ClientMetadata) {
	if got.JWKSURI != "" && got.JWKSURI != asked.JWKSURI {
		d.excess = append(d.excess, "jwks_uri "+shorten(got.JWKSURI))
	}
	if got.JWKS == "" {
		return
	}
	theirs, readable := thumbprints(got.JWKS)
	ours, _ := thumbprints(asked.JWKS)
	if !readable {
		d.excess = append(d.excess, "a key set that cannot be read")
		return
	}
	d.list("key", ours, theirs)
}

// assertion compares whose tokens a client authenticates by. Those of anybody
// but whom was asked for would make somebody else the client.
func (d *difference) assertion(asked, got authserver.Assertion) {
	switch got {
	case asked:
	case authserver.Assertion{}:
		d.missing = append(d.missing, "assertions of "+shorten(asked.Subject))
	default:
		d.excess = append(d.excess, "assertions of "+shorten(got.Subject)+" from "+shorten(got.Issuer))
	}
}

func (d *difference) list(what string, asked, got []string) {
	for _, value := range got {
		if !slices.Contains(asked, value) {
			d.excess = append(d.excess, what+" "+shorten(value))
		}
	}
	for _, value := range asked {
		if !slices.Contains(got, value) {
			d.missing = append(d.missing, what+" "+shorten(value))
		}
	}
}

// shorten bounds a value of another party before it is shown, and keeps
// control characters out.
func shorten(value string) string {
	value = strings.Map(func(r rune) rune {
		if breaksLine(r) {
			return '?'
		}
		return r
	}, value)
	if runes := []rune(value); len(runes) > 80 {
		return string(runes[:80]) + "…"
	}
	return value
}
