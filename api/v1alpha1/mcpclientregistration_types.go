// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ApplicationType is the kind of application (OpenID Connect Dynamic Client
// Registration §2, application_type).
// +kubebuilder:validation:Enum=Native;Web
type ApplicationType string

// The values of ApplicationType.
const (
	// ApplicationNative runs on a user's machine; it may redirect to loopback.
	ApplicationNative ApplicationType = "Native"
	// ApplicationWeb runs on a server; it redirects to https only.
	ApplicationWeb ApplicationType = "Web"
)

// GrantType is an OAuth grant type (RFC 7591 §2). Implicit and password do not
// exist here.
// +kubebuilder:validation:Enum=AuthorizationCode;RefreshToken;ClientCredentials;TokenExchange
type GrantType string

// The values of GrantType.
const (
	// GrantAuthorizationCode is authorization_code, always with PKCE S256.
	GrantAuthorizationCode GrantType = "AuthorizationCode"
	// GrantRefreshToken is refresh_token.
	GrantRefreshToken GrantType = "RefreshToken"
	// GrantClientCredentials is client_credentials.
	GrantClientCredentials GrantType = "ClientCredentials"
	// GrantTokenExchange is RFC 8693 token exchange.
	GrantTokenExchange GrantType = "TokenExchange"
)

// TokenEndpointAuthMethod is how a client proves who it is at the token
// endpoint (RFC 7591 §2, token_endpoint_auth_method).
// +kubebuilder:validation:Enum=None;PrivateKeyJWT;ClientSecretBasic;ClientSecretPost;ClientSecret
type TokenEndpointAuthMethod string

// The values of TokenEndpointAuthMethod.
const (
	// AuthMethodNone is a public client: it holds no secret.
	AuthMethodNone TokenEndpointAuthMethod = "None"
	// AuthMethodPrivateKeyJWT signs an assertion (RFC 7523).
	AuthMethodPrivateKeyJWT TokenEndpointAuthMethod = "PrivateKeyJWT"
	// AuthMethodClientSecretBasic sends a shared secret in the Authorization header
	// (RFC 6749 §2.3.1).
	AuthMethodClientSecretBasic TokenEndpointAuthMethod = "ClientSecretBasic"
	// AuthMethodClientSecretPost sends a shared secret in the body of the request
	// (RFC 6749 §2.3.1).
	AuthMethodClientSecretPost TokenEndpointAuthMethod = "ClientSecretPost"
	// AuthMethodClientSecret leaves open which of the two it is: client_secret_basic,
	// unless the authorization server supports, or the policy allows, only the other.
	AuthMethodClientSecret TokenEndpointAuthMethod = "ClientSecret"
)

// RegistrationState is what the owner wants of a registration.
// +kubebuilder:validation:Enum=Active;Suspended
type RegistrationState string

// The values of RegistrationState.
const (
	// StateActive: the client exists while the rules allow it.
	StateActive RegistrationState = "Active"
	// StateSuspended: the client is revoked until the state is Active again.
	StateSuspended RegistrationState = "Suspended"
)

// RedirectURI is where the authorization server may send a code: https; http for a
// loopback host, on any port where the authorization server follows RFC 8252 §7.3; or
// a private-use scheme (RFC 8252 §7.1), which needs applicationType: Native and a
// pattern of the AuthorizationServer's policy (redirectURIPatterns) that it matches.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=512
// +kubebuilder:validation:XValidation:rule="isURL(self) && (self.matches('^[a-z][a-z0-9+.-]*:/') && !self.matches('^(https?|about|blob|data|file|filesystem|ftps?|intent|jar|javascript|vbscript|view-source|wss?):') || size(url(self).getHostname()) > 0 && (self.startsWith('https://') || (self.startsWith('http://') && url(self).getHostname() in ['localhost', '127.0.0.1', '::1'])))",message="a redirect URI must be an https URL (http only for a loopback host) or of a private-use scheme (RFC 8252 section 7.1), for example http://127.0.0.1/callback or com.example.app:/callback"
// +kubebuilder:validation:XValidation:rule="!self.contains('*')",message="a redirect URI must not contain a wildcard: list each one, for example https://app.example.com/callback"
// +kubebuilder:validation:XValidation:rule="!self.contains('#')",message="a redirect URI must have no fragment, for example https://app.example.com/callback"
// +kubebuilder:validation:XValidation:rule="!self.matches('^[^/?#]*//[^/?#]*@')",message="a redirect URI must have no user information, for example https://app.example.com/callback"
// +kubebuilder:validation:XValidation:rule="!self.lowerAscii().matches('^[^?#]*/([.]|%2e){1,2}([/?#]|$)')",message="a redirect URI must have no path segment . or .., for example https://app.example.com/callback"
// +kubebuilder:validation:XValidation:rule="self.matches('^[]!#-;=?-[_a-z~]*$')",message="a redirect URI must hold only the characters of a URI (RFC 3986), others percent-encoded, for example https://app.example.com/callback"
type RedirectURI string

// Credentials says where the client's credentials are written.
type Credentials struct {
	// secretName is the name of the Secret. Left out, the registration's
	// name followed by "-mcp-client". A Secret that the operator did not
	// create is never overwritten.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="secretName must be the name of a Secret: lower-case letters, digits, - and . (RFC 1123), for example desktop-oauth"
	SecretName string `json:"secretName,omitempty"`

	// labels are added to the Secret.
	// +optional
	// +kubebuilder:validation:MaxProperties=12
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('mcp-registrar.dev/') && k != 'app.kubernetes.io/managed-by')",message="labels must not use mcp-registrar.dev/ or app.kubernetes.io/managed-by: the operator sets those, for example labels: {team: payments}"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k).hasValue())",message="labels must have keys that Kubernetes accepts, for example labels: {team: payments}"
	// +kubebuilder:validation:XValidation:rule=`self.all(k, size(self[k]) <= 63 && !self[k].matches(r'[^-\w.]') && (size(self[k]) == 0 || !['-', '_', '.'].exists(c, self[k].startsWith(c) || self[k].endsWith(c))))`,message="labels must have values of at most 63 letters, digits, -, _ and ., beginning and ending with a letter or digit, for example labels: {team: payments}"
	Labels map[string]string `json:"labels,omitempty"`

	// annotations are added to the Secret.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('mcp-registrar.dev/'))",message="annotations must not use mcp-registrar.dev/: the operator sets those, for example annotations: {reloader.example.com/match: 'true'}"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !format.qualifiedName().validate(k.lowerAscii()).hasValue())",message="annotations must have keys that Kubernetes accepts, for example annotations: {reloader.example.com/match: 'true'}"
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(self[k]) <= 4096)",message="annotations must have values of at most 4096 characters, for example annotations: {reloader.example.com/match: 'true'}"
	// +kubebuilder:validation:XValidation:rule="self.map(k, size(self[k])).sum() <= 16384",message="annotations must have values of at most 16384 characters together: keep what they say elsewhere, for example in a ConfigMap"
	Annotations map[string]string `json:"annotations,omitempty"`

	// rotateAfterSeconds is after how many seconds the key or secret that the
	// operator made is replaced, less a part of up to a tenth that differs
	// from registration to registration. Left out, it is replaced only when
	// the annotation mcp-registrar.dev/rotate asks for it.
	// +optional
	// +kubebuilder:validation:Minimum=300
	// +kubebuilder:validation:Maximum=315360000
	RotateAfterSeconds *int32 `json:"rotateAfterSeconds,omitempty"`

	// rotationOverlapSeconds is for how many seconds the old key stays valid
	// beside the new one, where the authorization server can hold two keys.
	// Left out, 300.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	RotationOverlapSeconds *int32 `json:"rotationOverlapSeconds,omitempty"`
}

// MCPClientRegistrationSpec describes the client. It names no scopes: scopes
// come only from grants.
// +kubebuilder:validation:XValidation:rule="self.grantTypes.exists(g, g == 'AuthorizationCode') == (has(self.redirectURIs) && size(self.redirectURIs) > 0)",message="redirectURIs must be given exactly when grantTypes holds AuthorizationCode, for example redirectURIs: [http://127.0.0.1/callback]"
// +kubebuilder:validation:XValidation:rule="!self.grantTypes.exists(g, g == 'RefreshToken') || self.grantTypes.exists(g, g == 'AuthorizationCode')",message="grantTypes with RefreshToken must also hold AuthorizationCode, for example grantTypes: [AuthorizationCode, RefreshToken]"
// +kubebuilder:validation:XValidation:rule="self.tokenEndpointAuthMethod != 'None' || !self.grantTypes.exists(g, g == 'ClientCredentials' || g == 'TokenExchange')",message="a public client (tokenEndpointAuthMethod: None) has no secret and cannot use ClientCredentials or TokenExchange; use tokenEndpointAuthMethod: PrivateKeyJWT"
// +kubebuilder:validation:XValidation:rule="self.tokenEndpointAuthMethod == 'PrivateKeyJWT' || (!has(self.jwks) && !has(self.jwksURI))",message="jwks and jwksURI need tokenEndpointAuthMethod: PrivateKeyJWT"
// +kubebuilder:validation:XValidation:rule="!has(self.jwks) || !has(self.jwksURI)",message="only one of jwks and jwksURI may be given (RFC 7591 section 2); leave out both to have the operator make a key pair"
// +kubebuilder:validation:XValidation:rule="!has(self.serviceAccountName) || (self.tokenEndpointAuthMethod == 'PrivateKeyJWT' && !has(self.jwks) && !has(self.jwksURI))",message="serviceAccountName needs tokenEndpointAuthMethod: PrivateKeyJWT without jwks and jwksURI: the tokens of the ServiceAccount take the place of a key"
// +kubebuilder:validation:XValidation:rule="has(self.serviceAccountName) == has(oldSelf.serviceAccountName) && (!has(self.serviceAccountName) || self.serviceAccountName == oldSelf.serviceAccountName)",message="serviceAccountName is immutable: create another MCPClientRegistration"
// +kubebuilder:validation:XValidation:rule=`!has(self.jwks) || !self.jwks.matches(r'"(d|p|q|dp|dq|qi|oth|k)"\s*:')`,message="jwks must hold public keys only: remove the private members (d, p, q, dp, dq, qi, oth, k) and replace the key, for it is no longer secret"
// +kubebuilder:validation:XValidation:rule="self.applicationType == 'Native' || !has(self.redirectURIs) || self.redirectURIs.all(u, u.startsWith('https://'))",message="redirectURIs of applicationType Web must be https, for example https://app.example.com/callback"
type MCPClientRegistrationSpec struct {
	// authorizationServerRef names the AuthorizationServer. Immutable: a
	// client belongs to one authorization server.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="authorizationServerRef is immutable: create another MCPClientRegistration for another authorization server"
	AuthorizationServerRef AuthorizationServerReference `json:"authorizationServerRef"`

	// clientName is the name that people see when they are asked for
	// consent. The operator adds a mark that is unique to the registration.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[^\p{Cc}\p{Zl}\p{Zp}\x{202A}-\x{202E}\x{2066}-\x{2069}]*$')`,message="clientName must be one line without control or text-direction characters, for example Desktop assistant"
	// +kubebuilder:validation:XValidation:rule="self.trim() == self",message="clientName must not begin or end with white space, for example Desktop assistant"
	ClientName string `json:"clientName"`

	// applicationType: Native (runs on a user's machine, may redirect to
	// loopback) or Web (redirects to https only).
	// +required
	ApplicationType ApplicationType `json:"applicationType"`

	// grantTypes lists the OAuth grant types that the client uses.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	GrantTypes []GrantType `json:"grantTypes"`

	// redirectURIs lists where the authorization server may send a code, each
	// in full. Required with AuthorizationCode, refused otherwise.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	RedirectURIs []RedirectURI `json:"redirectURIs,omitempty"`

	// tokenEndpointAuthMethod: None (public client), PrivateKeyJWT,
	// ClientSecretBasic, ClientSecretPost, or ClientSecret: a secret that is sent in
	// whichever of the two ways the authorization server supports
	// (client_secret_basic where it supports both). Immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="tokenEndpointAuthMethod is immutable: create another MCPClientRegistration"
	TokenEndpointAuthMethod TokenEndpointAuthMethod `json:"tokenEndpointAuthMethod"`

	// jwks is the client's public JWK set (RFC 7517) as JSON text; private
	// members are refused. Only with PrivateKeyJWT. With none of jwks, jwksURI
	// and serviceAccountName the operator makes a key pair and writes the
	// private key into the credentials Secret.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=16384
	JWKS string `json:"jwks,omitempty"`

	// jwksURI is where the authorization server fetches the client's JWK set.
	// Only with PrivateKeyJWT, and only where the policy of the
	// AuthorizationServer lists it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="isURL(self) && size(url(self).getHostname()) > 0 && self.startsWith('https://')",message="jwksURI must be an https URL, for example https://app.example.com/jwks.json"
	// +kubebuilder:validation:XValidation:rule="!self.contains('#')",message="jwksURI must have no fragment, for example https://app.example.com/jwks.json"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[^/?#]*//[^/?#]*@')",message="jwksURI must have no user information, for example https://app.example.com/jwks.json"
	// +kubebuilder:validation:XValidation:rule="!self.lowerAscii().matches('^[^?#]*/([.]|%2e){1,2}([/?#]|$)')",message="jwksURI must have no path segment . or .., for example https://app.example.com/jwks.json"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[]!#-;=?-[_a-z~]*$')",message="jwksURI must hold only the characters of a URI (RFC 3986), others percent-encoded, for example https://app.example.com/jwks.json"
	JWKSURI string `json:"jwksURI,omitempty"`

	// serviceAccountName is the name of a ServiceAccount of this namespace whose
	// tokens the client sends as its assertions (RFC 7523 section 2.2), so that
	// it needs no key and no secret. The audience of the tokens is the issuer of
	// the AuthorizationServer. Only with PrivateKeyJWT, and only where the
	// AuthorizationServer trusts the tokens of this cluster. One ServiceAccount is
	// one client. Immutable.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="serviceAccountName must be the name of a ServiceAccount: lower-case letters, digits, - and . (RFC 1123), for example report-agent"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`

	// credentials says where the client's credentials are written. Left out,
	// a client with a key or a secret gets the Secret "<name>-mcp-client". A
	// client that has nothing secret (a public one, or one with a
	// serviceAccountName) gets none: its client_id is in the status. Given for
	// such a client, the Secret holds the client_id and the endpoints.
	// +optional
	Credentials *Credentials `json:"credentials,omitempty"`

	// state: Active, or Suspended to revoke the client until the state is
	// Active again. Left out, Active.
	// +optional
	State RegistrationState `json:"state,omitempty"`
}

// RevocationCause says why a client was revoked.
// +kubebuilder:validation:Enum=Deleted;Expired;OwnerMissing;ExpiryMissing;Suspended;NoGrantInForce;NotAllowed;AuthorizationServerGone;Widened;SecretExpired;Unusable;Vanished;ManagementLost
type RevocationCause string

// The values of RevocationCause.
const (
	// CauseDeleted: the registration is being deleted.
	CauseDeleted RevocationCause = "Deleted"
	// CauseExpired: the term ended.
	CauseExpired RevocationCause = "Expired"
	// CauseOwnerMissing: nobody answers for the client any more.
	CauseOwnerMissing RevocationCause = "OwnerMissing"
	// CauseExpiryMissing: the end date was removed or cannot be read.
	CauseExpiryMissing RevocationCause = "ExpiryMissing"
	// CauseSuspended: spec.state is Suspended.
	CauseSuspended RevocationCause = "Suspended"
	// CauseNoGrantInForce: the last grant ended.
	CauseNoGrantInForce RevocationCause = "NoGrantInForce"
	// CauseNotAllowed: the AuthorizationServer no longer allows it.
	CauseNotAllowed RevocationCause = "NotAllowed"
	// CauseAuthorizationServerGone: the AuthorizationServer object is gone.
	CauseAuthorizationServerGone RevocationCause = "AuthorizationServerGone"
	// CauseWidened: the server registered more than was asked for.
	CauseWidened RevocationCause = "Widened"
	// CauseSecretExpired: the server issued a secret that has expired.
	CauseSecretExpired RevocationCause = "SecretExpired"
	// CauseUnusable: the server's answer to the registration named a client and
	// could not be used otherwise.
	CauseUnusable RevocationCause = "Unusable"
	// CauseVanished: somebody else deleted the client at the server.
	CauseVanished RevocationCause = "Vanished"
	// CauseManagementLost: a person let go of a client that could no longer be
	// managed.
	CauseManagementLost RevocationCause = "ManagementLost"
)

// Revocation is the record of the last revocation.
type Revocation struct {
	// cause says why.
	// +required
	Cause RevocationCause `json:"cause"`

	// clientID is the client that was revoked.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	ClientID string `json:"clientID,omitempty"`

	// dueAt is the instant from which the client should not have existed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	DueAt metav1.Time `json:"dueAt"`

	// revokedAtASAt is when the authorization server accepted that the client
	// is disabled, or deleted where it cannot disable.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	RevokedAtASAt *metav1.Time `json:"revokedAtASAt,omitempty"`

	// verifiedAt is when the client was proven to be gone. Absent means that
	// this is not yet proven.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	VerifiedAt *metav1.Time `json:"verifiedAt,omitempty"`

	// deniedAt is when every guard in front of the servers that the client had
	// scopes of was known to refuse it. Absent while one of them is not known
	// to, or where one of the servers is not guarded (spec.boundary of the
	// MCPServer).
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	DeniedAt *metav1.Time `json:"deniedAt,omitempty"`

	// residualUntil is until when a self-contained token can still pass at a
	// server that checks only signatures: revokedAtASAt plus the longest
	// access-token lifetime that may have been issued, plus the time for
	// which the server may use a copy of the client (metadata documents); or
	// deniedAt where that is known and earlier.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	ResidualUntil *metav1.Time `json:"residualUntil,omitempty"`
}

// EffectiveScope is a scope in force and where it comes from.
type EffectiveScope struct {
	// name of the scope.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name"`

	// grants lists the names of the ScopeGrants that it comes from.
	// +required
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=253
	Grants []string `json:"grants"`

	// grantsOmitted is how many more it comes from than grants has room for.
	// Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	GrantsOmitted int32 `json:"grantsOmitted,omitempty"`
}

// MCPClientRegistrationStatus is what is true of the client.
type MCPClientRegistrationStatus struct {
	// conditions: Accepted, Registered, Ready; Reconciling and Stalled only
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

	// clientID is the client identifier at the authorization server, while
	// there is a client.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	ClientID string `json:"clientID,omitempty"`

	// scopes are those in force at the authorization server, each with the
	// grants it comes from.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=1024
	Scopes []EffectiveScope `json:"scopes,omitempty"`

	// scopesOmitted is how many more are in force than scopes has room for.
	// Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ScopesOmitted int32 `json:"scopesOmitted,omitempty"`

	// expiresAt is the effective end: the earliest of the annotation and the
	// term's start plus the policy's maximum.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// term is the period that was last accepted.
	// +optional
	Term *Term `json:"term,omitempty"`

	// registeredAt is when the present client was registered.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	RegisteredAt *metav1.Time `json:"registeredAt,omitempty"`

	// rotatedAt is when the present key or secret was made, if the operator
	// made it and has replaced one before.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	RotatedAt *metav1.Time `json:"rotatedAt,omitempty"`

	// oldKeyUntil is until when the key before the present one is accepted;
	// absent when it is no more.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	OldKeyUntil *metav1.Time `json:"oldKeyUntil,omitempty"`

	// secretName is the Secret that holds the credentials, if there is one.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// possibleOrphans lists the marks of registration requests whose outcome
	// was never learnt. A client whose client_name or software_version holds
	// such a mark, other than the one in clientID, belongs to nobody and
	// should be deleted at the authorization server. At most the first 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=128
	PossibleOrphans []string `json:"possibleOrphans,omitempty"`

	// possibleOrphansOmitted is how many more there are than possibleOrphans
	// has room for. Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	PossibleOrphansOmitted int32 `json:"possibleOrphansOmitted,omitempty"`

	// revocation is the record of the last revocation.
	// +optional
	Revocation *Revocation `json:"revocation,omitempty"`
}

// MCPClientRegistration is one MCP client identity. It belongs to the team
// that runs the client.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mcpreg,categories=mcp-registrar
// +kubebuilder:selectablefield:JSONPath=`.spec.authorizationServerRef.name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.metadata.annotations.mcp-registrar\.dev/owner`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.expiresAt`
// +kubebuilder:printcolumn:name="AS",type=string,JSONPath=`.spec.authorizationServerRef.name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="ClientID",type=string,priority=1,JSONPath=`.status.clientID`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 242 || (has(self.spec.credentials) && has(self.spec.credentials.secretName))",message="metadata.name is too long for the default name of the credentials Secret: at most 242 characters, or give spec.credentials.secretName"
type MCPClientRegistration struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the wish.
	// +required
	Spec MCPClientRegistrationSpec `json:"spec"`

	// status is what is true.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status MCPClientRegistrationStatus `json:"status,omitempty"`
}

// GetConditions returns the conditions of the status.
func (in *MCPClientRegistration) GetConditions() []metav1.Condition { return in.Status.Conditions }

// SetConditions replaces the conditions of the status.
func (in *MCPClientRegistration) SetConditions(c []metav1.Condition) { in.Status.Conditions = c }

// MCPClientRegistrationList is a list of MCPClientRegistration.
// +kubebuilder:object:root=true
type MCPClientRegistrationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPClientRegistration `json:"items"`
}
