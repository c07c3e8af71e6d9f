// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// Words of RFC 7591 §2 and RFC 8693 §2.1.
const (
	methodNone  = "none"
	methodBasic = authserver.SecretBasic
	methodPost  = authserver.SecretPost
	methodKey   = "private_key_jwt"

	grantCode        = "authorization_code"
	grantRefresh     = "refresh_token"
	grantCredentials = "client_credentials"
	grantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"

	applicationWeb = "web"
)

// Words of Keycloak.
const (
	protocol     = "openid-connect"
	challengeAll = "S256"

	authenticatorSecret = "client-secret"
	authenticatorKey    = "client-jwt"
	// authenticatorFederated takes tokens of an identity provider of the realm
	// as assertions.
	authenticatorFederated = "federated-jwt"

	mapperSubject  = "oidc-sub-mapper"
	mapperAudience = "oidc-audience-mapper"
	customAudience = "included.custom.audience"
	inAccessToken  = "access.token.claim"
)

// longestText is the longest name, and the longest redirect URI, that Keycloak
// can store.
const longestText = 255

// The attributes of a client in which the register keeps what Keycloak has no
// place for.
const (
	attributeSoftwareID      = "mcp-registrar.software_id"
	attributeSoftwareVersion = "mcp-registrar.software_version"
	attributeApplicationType = "mcp-registrar.application_type"
	// Keycloak takes the secret in either place, and does not keep which.
	attributeSecretMethod = "mcp-registrar.token_endpoint_auth_method"
	attributeContacts     = "mcp-registrar.contacts"
	attributeLifespan     = "mcp-registrar.access_token_lifespan"
)

// The attributes of a client that decide what it may do.
const (
	attributeChallenge     = "pkce.code.challenge.method"
	attributeTokenLifespan = "access.token.lifespan"
	attributeRefresh       = "use.refresh.tokens"
	attributeExchange      = "standard.token.exchange.enabled"
	attributeUseKeys       = "use.jwks.string"
	attributeKeys          = "jwks.string"
	attributeUseKeysURL    = "use.jwks.url"
	attributeKeysURL       = "jwks.url"
	// The alias of the identity provider, and the claim sub of its tokens.
	attributeAssertionIssuer  = "jwt.credential.issuer"
	attributeAssertionSubject = "jwt.credential.sub"
)

// otherGrants are the attributes that switch on what no client of the register
// may do, and the grant type of each.
var otherGrants = map[string]string{
	"oauth2.device.authorization.grant.enabled": "urn:ietf:params:oauth:grant-type:device_code",
	"oidc.ciba.grant.enabled":                   "urn:openid:params:grant-type:ciba",
	"oauth2.jwt.authorization.grant.enabled":    "urn:ietf:params:oauth:grant-type:jwt-bearer",
}

// cleared are attributes that are taken away, because each is a further way in:
// a certificate beside the keys, a secret that was replaced, other URLs.
var cleared = []string{
	"jwt.credential.certificate", "client.secret.rotated", "client.secret.rotated.creation.time",
	"client.secret.rotated.expiration.time", "request.uris", "post.logout.redirect.uris",
	"standard.token.exchange.enableRefreshRequestedTokenType",
}

var (
	errBothKeySets = errors.New("jwks and jwks_uri exclude each other")
	errAssertion   = errors.New("assertions of another issuer need an issuer that is configured, a subject, private_key_jwt, and no keys")
	errKeySet      = errors.New("jwks is not a JSON object")
	errGrant       = errors.New("a grant type that Keycloak does not have")
	errMethod      = errors.New("an authentication method that is not used")
	errWildcard    = errors.New("a redirect URI with an asterisk, which Keycloak reads as a wildcard")
	errLifetime    = errors.New("the lifetime of tokens must be a whole number of seconds")
	errTooLong     = errors.New("a name, scope or redirect URI of more than 255 characters")
	errForm        = errors.New("not of the documented form")
)

// representation is a client as Keycloak represents it. What is sent leaves
// nothing out that decides what the client may do.
type representation struct {
	ID             string `json:"id,omitempty"`
	ClientID       string `json:"clientId"`
	Name           string `json:"name"`
	Description    string `json:"description"`
	Enabled        bool   `json:"enabled"`
	Protocol       string `json:"protocol"`
	Authenticator  string `json:"clientAuthenticatorType"`
	Secret         string `json:"secret,omitempty"`
	Public         bool   `json:"publicClient"`
	BearerOnly     bool   `json:"bearerOnly"`
	Consent        bool   `json:"consentRequired"`
	StandardFlow   bool   `json:"standardFlowEnabled"`
	ImplicitFlow   bool   `json:"implicitFlowEnabled"`
	DirectGrants   bool   `json:"directAccessGrantsEnabled"`
	ServiceAccount bool   `json:"serviceAccountsEnabled"`
	FullScope      bool   `json:"fullScopeAllowed"`
	otherURLs
	RedirectURIs    []string          `json:"redirectUris"`
	WebOrigins      []string          `json:"webOrigins"`
	Attributes      map[string]string `json:"attributes"`
	ProtocolMappers []mapper          `json:"protocolMappers"`
	DefaultScopes   []string          `json:"defaultClientScopes"`
	OptionalScopes  []string          `json:"optionalClientScopes"`
}

// otherURLs are URLs of a client that nothing of the register uses. They are
// only named to be emptied: a new client with an empty root URL is given the
// redirect URI "/*".
type otherURLs struct {
	RootURL  *string `json:"rootUrl,omitempty"`
	BaseURL  *string `json:"baseUrl,omitempty"`
	AdminURL *string `json:"adminUrl,omitempty"`
}

// mapper is a protocol mapper: it puts something into tokens.
type mapper struct {
	Name     string            `json:"name"`
	Protocol string            `json:"protocol"`
	Mapper   string            `json:"protocolMapper"`
	Config   map[string]string `json:"config"`
}

// represent is the client of a wish.
func (o *operation) represent(id string, wish authserver.ClientMetadata) (representation, error) {
	if code, err := o.unfit(wish); err != nil {
		return representation{}, o.rejected(code, err)
	}
	code := slices.Contains(wish.GrantTypes, grantCode)
	r := representation{
		ClientID: id, Name: wish.Name, Description: "Managed by MCP Registrar: it undoes what is changed here.",
		Enabled: true, Protocol: protocol,
		Public: wish.AuthMethod == methodNone, Authenticator: authenticatorSecret, Secret: wish.Secret.Reveal(),
		Consent: code, StandardFlow: code,
		ServiceAccount: slices.Contains(wish.GrantTypes, grantCredentials),
		RedirectURIs:   append([]string{}, wish.RedirectURIs...), WebOrigins: []string{},
		Attributes:    attributes(wish),
		DefaultScopes: []string{}, OptionalScopes: append([]string{}, wish.Scopes...),
	}
	switch {
	case wish.Assertion != authserver.Assertion{}:
		r.Authenticator = authenticatorFederated
	case wish.AuthMethod == methodKey:
		r.Authenticator = authenticatorKey
	}
	if code && wish.ApplicationType == applicationWeb {
		r.WebOrigins = []string{"+"}
	}
	r.ProtocolMappers = mappers(wish.Audiences)
	return r, nil
}

// unfit says why a wish cannot be carried out. What is too long for Keycloak's
// database would be an internal error there, to be tried again for ever.
func (o *operation) unfit(wish authserver.ClientMetadata) (code string, err error) {
	for _, uri := range wish.RedirectURIs {
		switch {
		case strings.Contains(uri, "*"):
			return CodeInvalidRedirectURI, errWildcard
		case tooLong(uri):
			return CodeInvalidRedirectURI, errTooLong
		}
	}
	unknown := func(grant string) bool {
		return !slices.Contains([]string{grantCode, grantRefresh, grantCredentials, grantExchange}, grant)
	}
	switch {
	case tooLong(wish.Name), slices.ContainsFunc(wish.Scopes, tooLong):
		return CodeInvalidMetadata, errTooLong
	case slices.ContainsFunc(wish.GrantTypes, unknown):
		return CodeInvalidMetadata, errGrant
	case !slices.Contains([]string{methodNone, methodBasic, methodPost, methodKey}, wish.AuthMethod):
		return CodeInvalidMetadata, errMethod
	case wish.TokenLifetime < 0, wish.TokenLifetime%time.Second != 0:
		return CodeInvalidMetadata, errLifetime
	case wish.Assertion != authserver.Assertion{} && !o.takesAssertion(wish):
		return CodeInvalidMetadata, errAssertion
	}
	return unfitKeys(wish)
}

// takesAssertion says that a wish for assertions of another issuer is whole: of
// a client with the authenticator for them, but without a subject or with
// another identity provider, nobody knows who it is.
func (o *operation) takesAssertion(wish authserver.ClientMetadata) bool {
	issuer := o.server.config.AssertionIssuer
	return issuer != "" && wish.Assertion.Issuer == issuer && wish.Assertion.Subject != "" &&
		wish.AuthMethod == methodKey && wish.JWKS == "" && wish.JWKSURI == ""
}

func unfitKeys(wish authserver.ClientMetadata) (code string, err error) {
	if wish.JWKS == "" {
		return "", nil
	}
	if wish.JWKSURI != "" {
		return CodeInvalidMetadata, errBothKeySets
	}
	if _, err := exchange.DecodeObject([]byte(wish.JWKS)); err != nil {
		return CodeInvalidMetadata, errKeySet
	}
	return "", nil
}

func tooLong(text string) bool { return utf8.RuneCountInString(text) > longestText }

// attributes says everything explicitly: Keycloak keeps an attribute that is
// not named and removes one whose value is empty.
func attributes(wish authserver.ClientMetadata) map[string]string {
	values := map[string]string{
		attributeSoftwareID:      wish.SoftwareID,
		attributeSoftwareVersion: wish.SoftwareVersion,
		attributeApplicationType: strings.ToLower(wish.ApplicationType),
		attributeSecretMethod:    "",
		attributeContacts:        contacts(wish.Contacts),
		attributeChallenge:       challengeAll,
		attributeRefresh:         strconv.FormatBool(slices.Contains(wish.GrantTypes, grantRefresh)),
		attributeExchange:        strconv.FormatBool(slices.Contains(wish.GrantTypes, grantExchange)),
		attributeTokenLifespan:   "",
		attributeLifespan:        "",
		attributeUseKeys:         "false", attributeKeys: "",
		attributeUseKeysURL: "false", attributeKeysURL: "",
		attributeAssertionIssuer: wish.Assertion.Issuer, attributeAssertionSubject: wish.Assertion.Subject,
		"client_credentials.use_refresh_token": "false",
	}
	if wish.TokenLifetime > 0 {
		seconds := strconv.FormatInt(int64(wish.TokenLifetime/time.Second), 10)
		values[attributeTokenLifespan], values[attributeLifespan] = seconds, seconds
	}
	for name := range otherGrants {
		values[name] = "false"
	}
	for _, name := range cleared {
		values[name] = ""
	}
	switch {
	case wish.AuthMethod == methodPost:
		values[attributeSecretMethod] = methodPost
	case wish.AuthMethod != methodKey:
	case wish.JWKS != "":
		values[attributeUseKeys], values[attributeKeys] = "true", wish.JWKS
	case wish.JWKSURI != "":
		values[attributeUseKeysURL], values[attributeKeysURL] = "true", wish.JWKSURI
	}
	return values
}

func contacts(list []string) string {
	encoded, err := json.Marshal(list)
	if err != nil || len(list) == 0 {
		return ""
	}
	return string(encoded)
}

// mappers puts the subject and the audiences into tokens, and nothing else: the
// client has none of the realm's own client scopes, which add more.
func mappers(audiences []string) []mapper {
	list := []mapper{{
		Name: "mcp-registrar subject", Protocol: protocol, Mapper: mapperSubject,
		Config: map[string]string{inAccessToken: "true", "introspection.token.claim": "true"},
	}}
	for i, audience := range audiences {
		list = append(list, mapper{
			Name: "mcp-registrar audience " + strconv.Itoa(i+1), Protocol: protocol, Mapper: mapperAudience,
			Config: map[string]string{
				customAudience: audience, inAccessToken: "true",
				"introspection.token.claim": "true", "id.token.claim": "false",
			},
		})
	}
	return list
}
