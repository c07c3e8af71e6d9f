// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AuthorizationServerSpec describes an OAuth 2.1 authorization server and how
// the operator manages clients there.
// +kubebuilder:validation:ExactlyOneOf=dynamicRegistration;keycloak;hydra;metadataDocument
// +kubebuilder:validation:XValidation:rule="has(self.dynamicRegistration) == has(oldSelf.dynamicRegistration) && has(self.keycloak) == has(oldSelf.keycloak) && has(self.hydra) == has(oldSelf.hydra)",message="how clients are managed is immutable, because a client cannot move from one way to another: create another AuthorizationServer, for example with dynamicRegistration: {}"
type AuthorizationServerSpec struct {
	// issuer is the issuer identifier of the authorization server (RFC 8414
	// §2), exactly as its metadata states it. Immutable: credentials belong
	// to an issuer. An https URL without query or fragment; http only for a
	// loopback host.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="issuer is immutable: create another AuthorizationServer for another issuer"
	// +kubebuilder:validation:XValidation:rule="isURL(self) && size(url(self).getHostname()) > 0 && (self.startsWith('https://') || (self.startsWith('http://') && url(self).getHostname() in ['localhost', '127.0.0.1', '::1']))",message="issuer must be an https URL (http only for a loopback host), for example https://auth.example.com"
	// +kubebuilder:validation:XValidation:rule="!self.contains('?') && !self.contains('#') && !self.contains('@')",message="issuer must have no query, fragment or user information, for example https://auth.example.com/realms/mcp"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[]!#-;=?-[_a-z~]*$')",message="issuer must hold only the characters of a URI (RFC 3986), others percent-encoded, for example https://auth.example.com/realms/mcp"
	Issuer string `json:"issuer"`

	// dynamicRegistration manages clients with OAuth 2.0 Dynamic Client
	// Registration and its management protocol (RFC 7591 and RFC 7592).
	// +optional
	DynamicRegistration *DynamicRegistration `json:"dynamicRegistration,omitempty"`

	// keycloak manages clients through Keycloak's Admin REST API.
	// +optional
	Keycloak *KeycloakManagement `json:"keycloak,omitempty"`

	// hydra manages clients through Ory Hydra's admin API.
	// +optional
	Hydra *HydraManagement `json:"hydra,omitempty"`

	// metadataDocument serves OAuth Client ID Metadata Documents: the client
	// id is the URL of a document that the operator serves and the
	// authorization server fetches.
	// +optional
	MetadataDocument *MetadataDocumentManagement `json:"metadataDocument,omitempty"`

	// orphanPolicy says what becomes of clients that carry the mark of this
	// cluster and belong to no registration: Report, or Reap to delete each
	// after orphanGraceSeconds. It needs an authorization server that can list
	// its clients. Left out, Report.
	// +optional
	OrphanPolicy OrphanPolicy `json:"orphanPolicy,omitempty"`

	// orphanGraceSeconds is for how long a client must have been seen without
	// a registration before it is deleted, in seconds. Left out, 86400.
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=31536000
	OrphanGraceSeconds *int32 `json:"orphanGraceSeconds,omitempty"`

	// formerClusters are clusters that are gone and whose clients are left at the
	// authorization server, each by the UID of its namespace kube-system. Their
	// clients count as orphans, and what their records name that were brought here
	// is revoked. Never name a cluster that lives: its clients would die.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:Pattern=`^[0-9A-Za-z-]+$`
	FormerClusters []string `json:"formerClusters,omitempty"`

	// adoptions lets registrations take over clients that exist at the
	// authorization server and are not the operator's. The registration asks
	// for it with the annotation mcp-registrar.dev/adopt. Consent is the
	// platform team's alone, which is why it is given here.
	// +optional
	// +listType=map
	// +listMapKey=clientID
	// +kubebuilder:validation:MaxItems=256
	Adoptions []Adoption `json:"adoptions,omitempty"`

	// canaryTokens has the operator ask for one token of each confidential
	// client whose credentials it made, after each change, and compare aud,
	// scope and lifetime with what was granted. The token is thrown away. Left
	// out, no token is asked for.
	// +optional
	CanaryTokens *bool `json:"canaryTokens,omitempty"` //nolint:kubeapilinter // a token is asked for or not; there is no third way

	// accessTokens says how guards, and the operator where it looks at a token,
	// read access tokens of this server. Left out, as RFC 9068 has them.
	// +optional
	AccessTokens *AccessTokens `json:"accessTokens,omitempty"`

	// caBundle holds PEM certificates (base64 in YAML) that are trusted for
	// connections to this server, in place of the system's. Left out, the
	// system's certificates are trusted.
	// +optional
	// +kubebuilder:validation:MaxLength=262144
	// +kubebuilder:validation:XValidation:rule="size(self) <= 262144",message="caBundle must be base64 text, for example what base64 -w0 prints of a PEM file"
	CABundle []byte `json:"caBundle,omitempty"`

	// requestsPerSecond bounds the rate of requests to this server. Left
	// out, the rate is not bounded by the operator; Retry-After is obeyed
	// either way.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	RequestsPerSecond *int32 `json:"requestsPerSecond,omitempty"`

	// maxInFlight bounds the requests under way to this server at one time.
	// A quarter of them is kept free for revocations. Left out, 16.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	MaxInFlight *int32 `json:"maxInFlight,omitempty"`

	// driftCheckSeconds is how often each client is compared with what the
	// authorization server holds, in seconds, spread over the interval. Left
	// out, 3600. A reading costs one request per client.
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=604800
	DriftCheckSeconds *int32 `json:"driftCheckSeconds,omitempty"`

	// allowedNamespaces says whose registrations are accepted. Left out, none
	// are: an authorization server is opened to namespaces on purpose.
	// +optional
	AllowedNamespaces *AllowedNamespaces `json:"allowedNamespaces,omitempty"`

	// allowedServers says whose MCPServers are accepted. The authorization
	// server issues a scope for whatever server it was granted for: whoever
	// may list a scope may give it. Left out, none are. Of those that name one
	// resource the first is accepted, by creation, then by namespace and name.
	// +optional
	AllowedServers *AllowedNamespaces `json:"allowedServers,omitempty"`

	// policy bounds what registrations may ask for. Left out, only the rules
	// that always hold apply.
	// +optional
	Policy *RegistrationPolicy `json:"policy,omitempty"`
}

// DynamicRegistration is RFC 7591 registration with RFC 7592 management.
type DynamicRegistration struct {
	// initialAccessTokenSecretRef names the initial access token (RFC 7591
	// §3) in a Secret of the operator's namespace. Left out, registration is
	// asked for without a token.
	// +optional
	InitialAccessTokenSecretRef *SecretKeyReference `json:"initialAccessTokenSecretRef,omitempty"`
}

// AccessTokens says which claims of an access token, or members of an
// introspection answer (RFC 7662), say what.
type AccessTokens struct {
	// clientIDClaims are the claims that name the client, for example [cid] for
	// Okta or [appid] for tokens of version 1.0 of Entra ID: the first that a
	// token has counts. All of them that it has, and client_id and azp in any
	// case, must name the same client. Left out, [client_id, azp].
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:XValidation:rule="self.all(c, !(c in ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'cnf', 'act']))",message="clientIDClaims must not hold a claim of another meaning (iss, sub, aud, exp, nbf, iat, jti, cnf, act): name the claim that identifies the client, for example cid"
	ClientIDClaims []ClaimName `json:"clientIDClaims,omitempty"`

	// scopeClaims are the claims that hold scopes, as text with spaces or as a
	// list, for example [scp, roles] for Entra ID: only the first that a token
	// has is read. Left out, [scope, scp].
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	// +kubebuilder:validation:XValidation:rule="self.all(c, !(c in ['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'cnf', 'act']))",message="scopeClaims must not hold a claim of another meaning (iss, sub, aud, exp, nbf, iat, jti, cnf, act): name the claim that holds scopes, for example scp"
	ScopeClaims []ClaimName `json:"scopeClaims,omitempty"`

	// audienceSource says where a token names the server that it is for:
	// AudienceClaim or ScopePrefix. Left out, AudienceClaim.
	// +optional
	AudienceSource AudienceSource `json:"audienceSource,omitempty"`
}

// ClaimName is the name of a claim at the top level of a token (RFC 7519 §4).
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:XValidation:rule="self.matches('^[!#-Z^-~]+$')",message="must be the name of a claim in ASCII without space, quote, bracket or backslash, for example cid"
type ClaimName string

// AudienceSource says where a token names the server that it is for.
// +kubebuilder:validation:Enum=AudienceClaim;ScopePrefix
type AudienceSource string

// The values of AudienceSource.
const (
	// AudienceSourceClaim: aud must hold the audience of the MCPServer.
	AudienceSourceClaim AudienceSource = "AudienceClaim"
	// AudienceSourceScopePrefix: a token without aud is for the MCPServer if one
	// of its scopes is the audience, a slash, and a name without slash, as Amazon
	// Cognito writes scopes. One with aud is held to it.
	AudienceSourceScopePrefix AudienceSource = "ScopePrefix"
)

// OrphanPolicy says what becomes of clients that belong to no registration.
// +kubebuilder:validation:Enum=Report;Reap
type OrphanPolicy string

// The values of OrphanPolicy.
const (
	// OrphanPolicyReport: they are counted and named in the status.
	OrphanPolicyReport OrphanPolicy = "Report"
	// OrphanPolicyReap: they are deleted after a grace period.
	OrphanPolicyReap OrphanPolicy = "Reap"
)

// Adoption lets one registration take over one client.
type Adoption struct {
	// clientID is the client at the authorization server.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	ClientID string `json:"clientID"`

	// namespace is that of the registration.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`

	// name is that of the registration.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// KeycloakManagement is management through Keycloak's Admin REST API.
// +kubebuilder:validation:XValidation:rule="self.realm == oldSelf.realm && has(self.baseURL) == has(oldSelf.baseURL) && (!has(self.baseURL) || self.baseURL == oldSelf.baseURL)",message="realm and baseURL are immutable, because clients belong to one realm: create another AuthorizationServer, for example with realm: mcp"
type KeycloakManagement struct {
	// baseURL is the root of the server, without /admin and /realms: https,
	// http only for a loopback host. Left out, the part of issuer before
	// /realms/.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="isURL(self) && size(url(self).getHostname()) > 0 && (self.startsWith('https://') || (self.startsWith('http://') && url(self).getHostname() in ['localhost', '127.0.0.1', '::1']))",message="baseURL must be an https URL (http only for a loopback host), for example https://keycloak.example.com"
	// +kubebuilder:validation:XValidation:rule="!self.contains('?') && !self.contains('#') && !self.contains('@')",message="baseURL must have no query, fragment or user information, for example https://keycloak.example.com"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[]!#-;=?-[_a-z~]*$')",message="baseURL must hold only the characters of a URI (RFC 3986), others percent-encoded, for example https://keycloak.example.com"
	BaseURL string `json:"baseURL,omitempty"`

	// credentialsSecretRef names a Secret in the operator's namespace with
	// the keys client-id and client-secret: a confidential client of the realm
	// with a service account that may manage clients there (the client role
	// manage-clients of realm-management).
	// +required
	CredentialsSecretRef LocalSecretReference `json:"credentialsSecretRef"`

	// kubernetesIdentityProvider is the alias of an identity provider of the
	// realm, of Keycloak's type Kubernetes, that trusts the ServiceAccount tokens
	// of this cluster. With it registrations may name a serviceAccountName. Left
	// out, none may.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	KubernetesIdentityProvider string `json:"kubernetesIdentityProvider,omitempty"`

	// realm is the name of the realm.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Realm string `json:"realm"`
}

// HydraManagement is management through Ory Hydra's admin API.
type HydraManagement struct {
	// adminURL is the base URL of the admin API: https, http only for a
	// loopback host. Immutable: at another one every client would seem gone.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="adminURL is immutable, because clients belong to one server: create another AuthorizationServer, for example with adminURL: https://hydra-admin.example.com"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="isURL(self) && size(url(self).getHostname()) > 0 && (self.startsWith('https://') || (self.startsWith('http://') && url(self).getHostname() in ['localhost', '127.0.0.1', '::1']))",message="adminURL must be an https URL (http only for a loopback host), for example https://hydra-admin.example.com"
	// +kubebuilder:validation:XValidation:rule="!self.contains('?') && !self.contains('#') && !self.contains('@')",message="adminURL must have no query, fragment or user information, for example https://hydra-admin.example.com"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[]!#-;=?-[_a-z~]*$')",message="adminURL must hold only the characters of a URI (RFC 3986), others percent-encoded, for example https://hydra-admin.example.com"
	AdminURL string `json:"adminURL"`
}

// MetadataDocumentManagement is management by serving client metadata.
type MetadataDocumentManagement struct {
	// baseURL is the https URL under which documents are served: the client
	// id is this URL, a slash and a name. An ingress or gateway of yours leads
	// from there to the operator's document port.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="isURL(self) && size(url(self).getHostname()) > 0 && self.startsWith('https://')",message="baseURL must be an https URL, for example https://clients.example.com/mcp"
	// +kubebuilder:validation:XValidation:rule="!self.contains('?') && !self.contains('#') && !self.contains('@')",message="baseURL must have no query, fragment or user information, for example https://clients.example.com/mcp"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[]!#-;=?-[_a-z~]*$')",message="baseURL must hold only the characters of a URI (RFC 3986), others percent-encoded, for example https://clients.example.com/mcp"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="baseURL is immutable: it is a part of every client id; create another AuthorizationServer"
	// +kubebuilder:validation:XValidation:rule="!self.endsWith('/')",message="baseURL must not end with a slash, for example https://clients.example.com/mcp"
	// +kubebuilder:validation:XValidation:rule="!self.lowerAscii().matches('^[^?#]*/([.]|%2e){1,2}([/?#]|$)')",message="baseURL must have no path segment . or .., for example https://clients.example.com/mcp"
	BaseURL string `json:"baseURL"`

	// cacheSeconds is for how many seconds an authorization server may go on
	// using a document that it has fetched (Cache-Control: max-age). A
	// revocation takes this long to be felt there. Left out, 60.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	CacheSeconds *int32 `json:"cacheSeconds,omitempty"`
}

// OIDCScope is a scope of an authorization server itself (OpenID Connect Core 1.0).
// +kubebuilder:validation:Enum=openid;offline_access
type OIDCScope string

// The values of OIDCScope.
const (
	// OIDCScopeOpenID asks for an ID token (§3.1.2.1).
	OIDCScopeOpenID OIDCScope = "openid"
	// OIDCScopeOfflineAccess asks for a refresh token (§11).
	OIDCScopeOfflineAccess OIDCScope = "offline_access"
)

// RegistrationPolicy bounds what registrations may ask for.
type RegistrationPolicy struct {
	// maxRegistrationLifetimeSeconds is the longest term of a registration,
	// in seconds, counted from when the operator first accepted the end
	// date. Left out, a term may be any length.
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=315360000
	MaxRegistrationLifetimeSeconds *int64 `json:"maxRegistrationLifetimeSeconds,omitempty"`

	// requirePKCEEnforced makes a registration with AuthorizationCode ready
	// only when the authorization server was seen to refuse its requests
	// without a code_challenge and with the method plain (RFC 7636).
	// +optional
	RequirePKCEEnforced *bool `json:"requirePKCEEnforced,omitempty"` //nolint:kubeapilinter // Ready depends on it or not; there is no third way

	// maxRegistrationsPerNamespace is how many registrations of one namespace
	// may have a client at this server at one time. One more waits until
	// another ends. Left out, the number is not bounded.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxRegistrationsPerNamespace *int32 `json:"maxRegistrationsPerNamespace,omitempty"`

	// maxServersPerNamespace is how many MCPServers of one namespace may be accepted
	// at this server. One more waits until another is deleted. Left out, 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxServersPerNamespace *int32 `json:"maxServersPerNamespace,omitempty"`

	// maxCatalogueScopesPerNamespace is how many different scopes the catalogues of
	// the MCPServers of one namespace may hold together when one more is accepted.
	// Left out, 2000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxCatalogueScopesPerNamespace *int32 `json:"maxCatalogueScopesPerNamespace,omitempty"`

	// maxGrantsPerNamespace is how many ScopeGrants of one namespace may be in force
	// at this server. One more waits until another ends. Left out, 5000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	MaxGrantsPerNamespace *int32 `json:"maxGrantsPerNamespace,omitempty"`

	// maxGrantedScopesPerNamespace is how many different scopes the ScopeGrants of one
	// namespace may give together at this server. Left out, 1000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxGrantedScopesPerNamespace *int32 `json:"maxGrantedScopesPerNamespace,omitempty"`

	// ownerPattern is a regular expression (RE2) that the whole owner
	// annotation must match. Left out, any owner but an empty one is
	// accepted.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	OwnerPattern string `json:"ownerPattern,omitempty"`

	// allowedGrantTypes lists the grant types that may be asked for. Left
	// out, all that the API knows.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	AllowedGrantTypes []GrantType `json:"allowedGrantTypes,omitempty"`

	// allowedTokenEndpointAuthMethods lists the client authentication methods
	// that may be asked for. ClientSecret stands for ClientSecretBasic and
	// ClientSecretPost; a registration with ClientSecret gets one of the two that is
	// listed. Left out, all that the API knows.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=5
	AllowedTokenEndpointAuthMethods []TokenEndpointAuthMethod `json:"allowedTokenEndpointAuthMethods,omitempty"`

	// allowedOIDCScopes lists which scopes of the authorization server itself clients
	// with the grant type RefreshToken are registered with, where it publishes them
	// (scopes_supported): openid (OpenID Connect Core 1.0 §3.1.2.1) and offline_access
	// (§11). Many servers give refresh tokens only to who asks for offline_access, and
	// many clients ask for it. They are not granted, and lead to no server. openid lets a
	// client learn who its users are, and some servers refuse to register it. Left out,
	// offline_access alone. An empty list means none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	AllowedOIDCScopes *[]OIDCScope `json:"allowedOIDCScopes,omitempty"`

	// redirectURIPatterns are regular expressions (RE2); each redirect URI
	// must match one of them as a whole. One of a private-use scheme (RFC 8252 §7.1)
	// needs a pattern that names the scheme, for example
	// com\.example\.app:/callback: any program on a user's machine may take such a
	// scheme for itself. Left out, https, and http for a loopback host.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	RedirectURIPatterns []string `json:"redirectURIPatterns,omitempty"`

	// jwksURIPatterns are regular expressions (RE2); a registration's jwksURI
	// must match one of them as a whole. Left out, no jwksURI is accepted:
	// the authorization server would fetch a URL that a tenant chose.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	JWKSURIPatterns []string `json:"jwksURIPatterns,omitempty"`
}

// AuthorizationServerStatus is what the operator found.
type AuthorizationServerStatus struct {
	// conditions: Accepted, Discovered, Ready; Reconciling and Stalled only
	// while true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule="self.all(c, c.lastTransitionTime >= timestamp('0001-01-01T00:00:00Z'))",message="lastTransitionTime must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that this status speaks of; -1
	// before the object was seen.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// metadata is the discovered server metadata (RFC 8414, or OpenID
	// Connect Discovery).
	// +optional
	Metadata *ServerMetadata `json:"metadata,omitempty"`

	// capabilities lists what the server was found to support.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Capabilities []Capability `json:"capabilities,omitempty"`

	// clients counts the clients that the operator knows of at this server.
	// It follows within seconds, not at once.
	// +optional
	Clients *ClientCounts `json:"clients,omitempty"`

	// inventory is what was found when the clients of this server were last
	// listed; absent where the server cannot list them.
	// +optional
	Inventory *Inventory `json:"inventory,omitempty"`

	// clockSkewSeconds is by how many seconds the clock of the server was
	// ahead of the operator's when its metadata was last read (the Date header
	// of the answer), negative when behind; absent where it did not say.
	// +optional
	ClockSkewSeconds *int32 `json:"clockSkewSeconds,omitempty"`

	// operatorClockSkewSeconds is by how many seconds the clock of the operator's
	// machine was ahead of the API server's when that was told last, negative when
	// behind; present only while it is wrong.
	// +optional
	OperatorClockSkewSeconds *int32 `json:"operatorClockSkewSeconds,omitempty"`
}

// Inventory is what was found in a list of all clients.
type Inventory struct {
	// takenAt is when the list was complete.
	// +required
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	TakenAt metav1.Time `json:"takenAt"`
	// managed clients carry the mark of this cluster and belong to a
	// registration.
	// +required
	Managed int32 `json:"managed"`
	// unmanaged clients carry no mark of this cluster.
	// +required
	Unmanaged int32 `json:"unmanaged"`
	// orphaned clients carry the mark of this cluster and belong to no
	// registration.
	// +required
	Orphaned int32 `json:"orphaned"`
	// unmanagedClients are the ids of the first 50 of them, sorted.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MaxLength=512
	UnmanagedClients []string `json:"unmanagedClients,omitempty"`
	// orphanedClients are the first 50 of them, by id.
	// +optional
	// +listType=map
	// +listMapKey=clientID
	// +kubebuilder:validation:MaxItems=50
	OrphanedClients []OrphanedClient `json:"orphanedClients,omitempty"`
}

// OrphanedClient is a client of this cluster that belongs to no registration.
type OrphanedClient struct {
	// clientID is the client at the authorization server.
	// +required
	// +kubebuilder:validation:MaxLength=512
	ClientID string `json:"clientID"`
	// since is when it was first seen so.
	// +required
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	Since metav1.Time `json:"since"`
}

// Capability is something that an authorization server supports.
// +kubebuilder:validation:Enum=Registration;ClientIDMetadataDocument;Revocation;Introspection;PKCES256;IssuerInResponse;OpenID;OfflineAccess
type Capability string

// The values of Capability.
const (
	// CapabilityRegistration: a registration endpoint (RFC 7591).
	CapabilityRegistration Capability = "Registration"
	// CapabilityClientIDMetadataDocument: client_id_metadata_document_supported.
	CapabilityClientIDMetadataDocument Capability = "ClientIDMetadataDocument"
	// CapabilityRevocation: a token revocation endpoint (RFC 7009).
	CapabilityRevocation Capability = "Revocation"
	// CapabilityIntrospection: a token introspection endpoint (RFC 7662).
	CapabilityIntrospection Capability = "Introspection"
	// CapabilityPKCES256: S256 in code_challenge_methods_supported (RFC 7636).
	CapabilityPKCES256 Capability = "PKCES256"
	// CapabilityIssuerInResponse: the iss response parameter (RFC 9207).
	CapabilityIssuerInResponse Capability = "IssuerInResponse"
	// CapabilityOpenID: openid in scopes_supported (OpenID Connect Core 1.0), and clients
	// can be registered with it. Keycloak refuses that: there every client may ask for it.
	CapabilityOpenID Capability = "OpenID"
	// CapabilityOfflineAccess: offline_access in scopes_supported (ibidem, §11).
	CapabilityOfflineAccess Capability = "OfflineAccess"
)

// ServerMetadata is the part of the server metadata that the operator uses
// (RFC 8414 §2).
type ServerMetadata struct {
	// authorizationEndpoint is the URL of the authorization endpoint.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	AuthorizationEndpoint string `json:"authorizationEndpoint,omitempty"`
	// tokenEndpoint is the URL of the token endpoint.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	TokenEndpoint string `json:"tokenEndpoint,omitempty"`
	// registrationEndpoint is the URL of the registration endpoint.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	RegistrationEndpoint string `json:"registrationEndpoint,omitempty"`
	// tokenEndpointAuthMethods are the methods of the API that the server says it
	// supports (token_endpoint_auth_methods_supported). Left out where it does not
	// say, or names none of them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=5
	TokenEndpointAuthMethods []TokenEndpointAuthMethod `json:"tokenEndpointAuthMethods,omitempty"`
}

// ClientCounts counts clients at an authorization server.
type ClientCounts struct {
	// managed clients: those of a registration.
	// +required
	Managed int32 `json:"managed"`
	// possibleOrphans: registration requests whose outcome was never learnt.
	// +required
	PossibleOrphans int32 `json:"possibleOrphans"`
}

// AuthorizationServer is an OAuth 2.1 authorization server at which the
// operator registers clients. It belongs to the platform team.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=mcpas,categories=mcp-registrar
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Issuer",type=string,JSONPath=`.spec.issuer`
// +kubebuilder:printcolumn:name="Clients",type=integer,JSONPath=`.status.clients.managed`
// +kubebuilder:printcolumn:name="Orphans",type=integer,JSONPath=`.status.clients.possibleOrphans`
// +kubebuilder:printcolumn:name="Clock",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="ClockSynchronized")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AuthorizationServer struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the wish.
	// +required
	Spec AuthorizationServerSpec `json:"spec"`

	// status is what is true.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status AuthorizationServerStatus `json:"status,omitempty"`
}

// GetConditions returns the conditions of the status.
func (in *AuthorizationServer) GetConditions() []metav1.Condition { return in.Status.Conditions }

// SetConditions replaces the conditions of the status.
func (in *AuthorizationServer) SetConditions(c []metav1.Condition) { in.Status.Conditions = c }

// AuthorizationServerList is a list of AuthorizationServer.
// +kubebuilder:object:root=true
type AuthorizationServerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AuthorizationServer `json:"items"`
}
