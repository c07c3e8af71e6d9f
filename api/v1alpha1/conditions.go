// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types. Ready is the only one that users need; the others say where
// it comes from.
const (
	// ConditionAccepted: policy allows this object as written, now.
	//
	// True: Accepted.
	// False: every reason below that names something to mend or to wait for.
	// Unknown: FactUnknown.
	ConditionAccepted = "Accepted"

	// ConditionRegistered (MCPClientRegistration): the authorization server
	// agrees with the decision, as last observed.
	//
	// True: Registered, Narrowed.
	// False: NotRegistered, Revoked, Released, Disabled.
	// Unknown: Revoking, Unavailable, Unauthorized, ManagementLost,
	// ManagementUnsupported, SecretConflict, WriteRefused, FactUnknown,
	// AuthorizationServerNotReady.
	ConditionRegistered = "Registered"

	// ConditionApplied (ScopeGrant): the registration carries the scopes at
	// the authorization server.
	//
	// True: Applied.
	// False: NotApplied.
	// Unknown: RegistrationPending.
	ConditionApplied = "Applied"

	// ConditionDiscovered (AuthorizationServer): its metadata was read and is
	// usable.
	//
	// True: Discovered.
	// False: IssuerMismatch, ForeignEndpoint, RegistrationUnsupported,
	// Rejected.
	// Unknown: Unavailable, FactUnknown.
	ConditionDiscovered = "Discovered"

	// ConditionAdminAccess (AuthorizationServer that takes a credential of the
	// operator's): the authorization server lets the operator manage clients. Asked
	// with discovery and every few minutes where it can be asked without registering
	// a client; else what the last registration showed, and absent until then.
	//
	// True: Granted.
	// False: CredentialsMissing, Unauthorized, RoleMissing, RealmNotFound,
	// AdminAPINotFound, Rejected.
	// Unknown: Unavailable, FactUnknown.
	ConditionAdminAccess = "AdminAccess"

	// ConditionManageable (AuthorizationServer with dynamicRegistration): what
	// answers to registrations taught about the management of clients (RFC 7592).
	// Absent until something was learnt. What was learnt stands until the spec or
	// the metadata change.
	//
	// True: Managed.
	// False: ManagementUnsupported.
	ConditionManageable = "Manageable"

	// ConditionClockSynchronized (AuthorizationServer): the clocks of the operator's
	// machine, of the API server and of the authorization server agree. Absent until
	// something is known. Nothing is decided by it, and Ready does not depend on it.
	//
	// True: Synchronized.
	// False: OperatorClockOff, AuthorizationServerClockOff.
	ConditionClockSynchronized = "ClockSynchronized"

	// ConditionPKCEEnforced (MCPClientRegistration with AuthorizationCode):
	// the authorization server was asked for a code without a code_challenge,
	// and with the method plain, and refused (RFC 7636). Ready does not depend
	// on it unless the AuthorizationServer's policy says so.
	//
	// True: Refused.
	// False: NotRefused.
	// Unknown: Unclear, Unavailable.
	ConditionPKCEEnforced = "PKCEEnforced"

	// ConditionTokensConform (MCPClientRegistration, where the
	// AuthorizationServer has canaryTokens): a token of the client has the
	// granted audience and scopes and lives no longer than allowed. Ready does
	// not depend on it.
	//
	// True: Conform.
	// False: WrongAudience, WrongScope, TooLongLived.
	// Unknown: Unclear, Unavailable.
	ConditionTokensConform = "TokensConform"

	// ConditionProtected (MCPServer, unless spec.probe is disabled): the live server
	// refuses calls without a token and publishes fitting metadata (RFC 9728).
	// Ready does not depend on it.
	//
	// True: Protected.
	// False: AnonymousAccepted, ChallengeUnusable, MetadataMissing,
	// ResourceMismatch, AuthorizationServerNotListed, PKCENotPublished,
	// ScopesTooWide, AudienceNotChecked.
	// Unknown: Unavailable, AddressRefused, Unclear.
	ConditionProtected = "Protected"

	// ConditionReviewRequired (ScopeGrant) is present only while it is true:
	// tools of the granted scopes are not what they were when the grant was
	// approved.
	//
	// True: ToolsChanged.
	ConditionReviewRequired = "ReviewRequired"

	// ConditionEnforced (AccessDenial): every guard refuses whom it names. It is
	// not looked at again before the spec changes or the denial ends.
	//
	// True: Enforced.
	// False: GuardsPending, NoGuard, NotUnderstood, Expired.
	// Unknown: GuardsUnknown.
	ConditionEnforced = "Enforced"

	// ConditionReady: all of the others are true. Its reason is that of the
	// first that is not.
	ConditionReady = "Ready"

	// ConditionReconciling is present only while it is true: something is
	// under way or waited for, and no one needs to act on this object.
	ConditionReconciling = "Reconciling"

	// ConditionStalled is present only while it is true: nothing will change
	// until somebody acts. Its message says who and how.
	ConditionStalled = "Stalled"
)

// Reasons of a positive answer.
const (
	// ReasonAccepted: policy allows the object. No remedy needed.
	ReasonAccepted = "Accepted"
	// ReasonRegistered: the client is registered as wished.
	ReasonRegistered = "Registered"
	// ReasonNarrowed: the client is registered with less than was wished;
	// the message says what the authorization server left out.
	ReasonNarrowed = "Narrowed"
	// ReasonApplied: the scopes are in force at the authorization server.
	ReasonApplied = "Applied"
	// ReasonDiscovered: the metadata is usable.
	ReasonDiscovered = "Discovered"
	// ReasonRefused: the server refused what it has to refuse. No remedy needed.
	ReasonRefused = "Refused"
	// ReasonConform: a token was as granted. No remedy needed.
	ReasonConform = "Conform"
	// ReasonReady: everything holds.
	ReasonReady = "Ready"
)

// Reasons that the object's own author removes.
const (
	// ReasonOwnerMissing: set the annotation mcp-registrar.dev/owner.
	ReasonOwnerMissing = "OwnerMissing"
	// ReasonOwnerInvalid: write the annotation mcp-registrar.dev/owner as one
	// line of at most 256 characters, none of them invisible.
	ReasonOwnerInvalid = "OwnerInvalid"
	// ReasonOwnerNotAllowed: the owner does not match the pattern of the
	// AuthorizationServer's policy.
	ReasonOwnerNotAllowed = "OwnerNotAllowed"
	// ReasonExpiryMissing: set the annotation mcp-registrar.dev/expires-at.
	ReasonExpiryMissing = "ExpiryMissing"
	// ReasonExpiryInvalid: write expires-at as an RFC 3339 instant.
	ReasonExpiryInvalid = "ExpiryInvalid"
	// ReasonLifetimeTooLong: choose an earlier expires-at; a term that was
	// accepted before stands until its own end.
	ReasonLifetimeTooLong = "LifetimeTooLong"
	// ReasonExpired: move expires-at forward to renew.
	ReasonExpired = "Expired"
	// ReasonSuspended: set spec.state to Active to register again.
	ReasonSuspended = "Suspended"
	// ReasonDeleting: the object is being deleted.
	ReasonDeleting = "Deleting"
	// ReasonClientNameNotAllowed: write spec.clientName as one line of at most
	// 128 characters.
	ReasonClientNameNotAllowed = "ClientNameNotAllowed"
	// ReasonGrantTypeNotAllowed: the policy does not list a grant type.
	ReasonGrantTypeNotAllowed = "GrantTypeNotAllowed"
	// ReasonAuthMethodNotAllowed: the policy does not list the method, or the
	// server does not support it.
	ReasonAuthMethodNotAllowed = "AuthMethodNotAllowed"
	// ReasonRedirectURINotAllowed: a redirect URI matches no pattern.
	ReasonRedirectURINotAllowed = "RedirectURINotAllowed"
	// ReasonJWKSNotAllowed: jwks is not a public JWK set, or jwksURI is not
	// listed by the policy.
	ReasonJWKSNotAllowed = "JWKSNotAllowed"
	// ReasonScopeNotAllowed: a scope is a wildcard or a catch-all name.
	ReasonScopeNotAllowed = "ScopeNotAllowed"
	// ReasonScopeUnknown: the server's catalogue does not list a scope.
	ReasonScopeUnknown = "ScopeUnknown"
	// ReasonTooManyGrants: as many grants as count are in force for the
	// registration; delete one, or ask for more in one grant.
	ReasonTooManyGrants = "TooManyGrants"
	// ReasonTooManyScopes: with this grant the registration would have more
	// scopes than it may; ask for fewer, or delete another grant.
	ReasonTooManyScopes = "TooManyScopes"
	// ReasonReasonMissing: spec.reason is required above tier Read.
	ReasonReasonMissing = "ReasonMissing"
	// ReasonSecretConflict: the named Secret exists and is not the
	// operator's; rename it or choose another secretName.
	ReasonSecretConflict = "SecretConflict"
	// ReasonWriteRefused: the API server refuses a write of the operator in the
	// object's namespace, for a quota, an admission policy or a missing right; the
	// message quotes it and says whose turn it is.
	ReasonWriteRefused = "WriteRefused"
)

// Reasons that somebody else removes.
const (
	// ReasonAuthorizationServerNotFound: waiting for the AuthorizationServer.
	ReasonAuthorizationServerNotFound = "AuthorizationServerNotFound"
	// ReasonAuthorizationServerNotReady: waiting for its discovery.
	ReasonAuthorizationServerNotReady = "AuthorizationServerNotReady"
	// ReasonAuthorizationServerMismatch: client and server use different
	// AuthorizationServers.
	ReasonAuthorizationServerMismatch = "AuthorizationServerMismatch"
	// ReasonNamespaceNotAllowed: the AuthorizationServer does not admit this
	// namespace; ask the platform team.
	ReasonNamespaceNotAllowed = "NamespaceNotAllowed"
	// ReasonResourceTaken: another MCPServer has the resource at this
	// AuthorizationServer; use another, or ask the platform team.
	ReasonResourceTaken = "ResourceTaken"
	// ReasonManagementUnsupported: clients of this authorization server
	// cannot be managed, so none may be registered.
	ReasonManagementUnsupported = "ManagementUnsupported"
	// ReasonPKCEUnsupported: the authorization server does not publish S256.
	ReasonPKCEUnsupported = "PKCEUnsupported"
	// ReasonInvalidPolicy: a pattern of spec.policy does not compile.
	ReasonInvalidPolicy = "InvalidPolicy"
	// ReasonRegistrationNotFound: waiting for the MCPClientRegistration.
	ReasonRegistrationNotFound = "RegistrationNotFound"
	// ReasonServerNotAvailable: no such MCPServer admits this namespace;
	// whether it exists is not told.
	ReasonServerNotAvailable = "ServerNotAvailable"
	// ReasonServerNotAccepted: the MCPServer itself is not accepted.
	ReasonServerNotAccepted = "ServerNotAccepted"
	// ReasonApprovalRequired: waiting for an owner of the MCPServer to
	// approve the grant as it stands.
	ReasonApprovalRequired = "ApprovalRequired"
	// ReasonApprovalUnverified: nobody checked who gave the approval, because
	// the admission policies were not installed.
	ReasonApprovalUnverified = "ApprovalUnverified"
	// ReasonApprovalVoid: the approval is not of what is there now, or not of
	// another person than the one who asked, or for an MCPServer with another UID.
	// Its message says which.
	ReasonApprovalVoid = "ApprovalVoid"
	// ReasonGrantNotFound: the ScopeGrant of an approval does not exist.
	ReasonGrantNotFound = "GrantNotFound"
	// ReasonApprovalDenied: an owner of the MCPServer denied the grant.
	ReasonApprovalDenied = "ApprovalDenied"
	// ReasonPaused: the platform team paused the AuthorizationServer.
	ReasonPaused = "Paused"
	// ReasonServiceAccountInUse: another registration has a client at the
	// authorization server that authenticates by the tokens of the same
	// ServiceAccount.
	ReasonServiceAccountInUse = "ServiceAccountInUse"
	// ReasonQuotaExceeded: the namespace has as many registrations, MCPServers,
	// grants or scopes as the AuthorizationServer's policy allows.
	ReasonQuotaExceeded = "QuotaExceeded"
	// ReasonAdoptionNotAllowed: the annotation mcp-registrar.dev/adopt names a
	// client that the AuthorizationServer does not give to this registration.
	// Remedy: have the platform team add it to spec.adoptions.
	ReasonAdoptionNotAllowed = "AdoptionNotAllowed"
	// ReasonServerNotWatched: the operator does not watch the namespace of
	// the MCPServer.
	ReasonServerNotWatched = "ServerNotWatched"
	// ReasonNoGrantInForce: waiting for a ScopeGrant that is in force.
	ReasonNoGrantInForce = "NoGrantInForce"
	// ReasonRegistrationPending: waiting for the registration to carry it.
	ReasonRegistrationPending = "RegistrationPending"
	// ReasonNotApplied: the registration does not carry the scopes.
	ReasonNotApplied = "NotApplied"
	// ReasonFactUnknown: something could not be read; tried again.
	ReasonFactUnknown = "FactUnknown"
)

// Reasons that speak of the authorization server.
const (
	// ReasonNotRegistered: there is no client at the authorization server.
	ReasonNotRegistered = "NotRegistered"
	// ReasonRevoking: the client is being revoked; absence is not yet proven.
	ReasonRevoking = "Revoking"
	// ReasonRevoked: the client is proven to be gone.
	ReasonRevoked = "Revoked"
	// ReasonDisabled: the client is disabled at the authorization server while
	// the registration is suspended.
	ReasonDisabled = "Disabled"
	// ReasonReleased: a person let go of a client that was not proven to be
	// gone.
	ReasonReleased = "Released"
	// ReasonUnavailable: the authorization server gives no usable answer;
	// tried again.
	ReasonUnavailable = "Unavailable"
	// ReasonUnauthorized: the authorization server refuses the operator's own
	// credentials. Remedy for the platform team: see the condition AdminAccess of
	// the AuthorizationServer.
	ReasonUnauthorized = "Unauthorized"
	// ReasonGranted: the operator may manage clients. No remedy needed.
	ReasonGranted = "Granted"
	// ReasonCredentialsMissing: the Secret with the operator's own credentials, or
	// a key of it, is not there. Remedy: create it.
	ReasonCredentialsMissing = "CredentialsMissing"
	// ReasonRoleMissing: the operator's account has too few rights. Remedy: give it
	// the role that the message names.
	ReasonRoleMissing = "RoleMissing"
	// ReasonRealmNotFound: there is no such realm. Remedy: correct spec.keycloak.
	ReasonRealmNotFound = "RealmNotFound"
	// ReasonAdminAPINotFound: there is no admin API at that URL. Remedy: correct
	// spec.hydra.adminURL.
	ReasonAdminAPINotFound = "AdminAPINotFound"
	// ReasonSynchronized: the clocks agree. No remedy needed.
	ReasonSynchronized = "Synchronized"
	// ReasonOperatorClockOff: the clock of the operator's machine is more than two
	// seconds off the API server's. Remedy: set it (NTP).
	ReasonOperatorClockOff = "OperatorClockOff"
	// ReasonAuthorizationServerClockOff: by the Date of its answers the clock of the
	// authorization server is more than five seconds ahead of the API server's, or thirty
	// behind. Remedy: set it, or the one of what answers in its place.
	ReasonAuthorizationServerClockOff = "AuthorizationServerClockOff"
	// ReasonManagementLost: the authorization server refuses the client's
	// management token while the client may be alive; delete the client
	// there, then release it.
	ReasonManagementLost = "ManagementLost"
	// ReasonManaged: clients of this authorization server can be managed.
	ReasonManaged = "Managed"
	// ReasonRecordDamaged: the registration record lost labels or content to
	// somebody else; find out who changes Secrets in the operator's namespace.
	ReasonRecordDamaged = "RecordDamaged"
	// ReasonFinalizerRefused: the operator's finalizer does not stay on the
	// object, so that nothing new is registered for it; find out who removes it.
	ReasonFinalizerRefused = "FinalizerRefused"
	// ReasonRejected: the authorization server refuses the request.
	ReasonRejected = "Rejected"
	// ReasonWidened: the authorization server registered more than was asked
	// for; the client was revoked.
	ReasonWidened = "Widened"
	// ReasonSecretExpired: the authorization server issued a client secret
	// that has expired; the client was revoked.
	ReasonSecretExpired = "SecretExpired"
	// ReasonPossibleOrphans: too many registration requests ended without an
	// answer; look for their marks at the authorization server.
	ReasonPossibleOrphans = "PossibleOrphans"
	// ReasonIssuerMismatch: the metadata names another issuer.
	ReasonIssuerMismatch = "IssuerMismatch"
	// ReasonForeignEndpoint: an endpoint is on another origin than the
	// issuer.
	ReasonForeignEndpoint = "ForeignEndpoint"
	// ReasonRegistrationUnsupported: there is no registration endpoint.
	ReasonRegistrationUnsupported = "RegistrationUnsupported"

	// ReasonNotRefused: the server led a request on that it has to refuse.
	// Remedy: enforce PKCE with S256 at the authorization server.
	ReasonNotRefused = "NotRefused"
	// ReasonUnclear: what the server answered says neither yes nor no.
	ReasonUnclear = "Unclear"
	// ReasonWrongAudience: aud of a token is not the resource or the audience of
	// the servers granted. Remedy: have the authorization server issue it (RFC
	// 8707).
	ReasonWrongAudience = "WrongAudience"
	// ReasonWrongScope: a token has more scopes than were granted. Remedy:
	// correct the authorization server's scope policy.
	ReasonWrongScope = "WrongScope"
	// ReasonTooLongLived: a token lives longer than the servers granted allow.
	// Remedy: shorten access tokens at the authorization server.
	ReasonTooLongLived = "TooLongLived"
)

// Reasons of Enforced on an AccessDenial.
const (
	// ReasonEnforced: every guard refuses whom the denial names. No remedy
	// needed.
	ReasonEnforced = "Enforced"
	// ReasonGuardsPending: waiting for guards that are not known to have it;
	// status.pendingGuards names them.
	ReasonGuardsPending = "GuardsPending"
	// ReasonNoGuard: no guard is known, so nobody enforces it. Remedy: put a
	// guard with a Lease in front of the MCP servers.
	ReasonNoGuard = "NoGuard"
	// ReasonGuardsUnknown: the operator does not watch all namespaces, so there
	// may be guards that it does not know of.
	ReasonGuardsUnknown = "GuardsUnknown"
	// ReasonNotUnderstood: the denial names nobody that this release knows.
	// Remedy: upgrade the operator and the guards.
	ReasonNotUnderstood = "NotUnderstood"
)

// Reasons of Protected and ReviewRequired: what was found at a live MCP server.
const (
	// ReasonProtected: the server refuses what it has to refuse. No remedy
	// needed.
	ReasonProtected = "Protected"
	// ReasonAnonymousAccepted: the server answers calls without a token.
	// Remedy: put a guard in front of it, or turn its authorization on.
	ReasonAnonymousAccepted = "AnonymousAccepted"
	// ReasonChallengeUnusable: it refuses, but not with 401 and a Bearer
	// challenge that leads to its metadata (RFC 9728 §5.1). Remedy: as above.
	ReasonChallengeUnusable = "ChallengeUnusable"
	// ReasonMetadataMissing: there is no protected resource metadata. Remedy:
	// publish it (RFC 9728 §3).
	ReasonMetadataMissing = "MetadataMissing"
	// ReasonResourceMismatch: the metadata is of another resource. Remedy: make
	// it equal to spec.resource.
	ReasonResourceMismatch = "ResourceMismatch"
	// ReasonAuthorizationServerNotListed: the metadata does not list the issuer
	// of the AuthorizationServer. Remedy: list it in authorization_servers.
	ReasonAuthorizationServerNotListed = "AuthorizationServerNotListed"
	// ReasonPKCENotPublished: the authorization server does not publish S256
	// (RFC 8414 §2, code_challenge_methods_supported). Remedy: have it do so.
	ReasonPKCENotPublished = "PKCENotPublished"
	// ReasonScopesTooWide: scopes_supported holds a wildcard, a catch-all name
	// or offline_access. Remedy: publish what a first call needs.
	ReasonScopesTooWide = "ScopesTooWide"
	// ReasonAudienceNotChecked: a token of another audience was accepted.
	// Remedy: have the server compare aud with its resource (RFC 8707), or with
	// its audience.
	ReasonAudienceNotChecked = "AudienceNotChecked"
	// ReasonAddressRefused: the server has an address that the operator does not
	// dial. Remedy: open private addresses by the operator's flag, or turn the
	// probe of this server off.
	ReasonAddressRefused = "AddressRefused"
	// ReasonToolsChanged: a tool is new, or its definition changed, since the
	// grant was approved. Remedy: look at it and approve the grant again.
	ReasonToolsChanged = "ToolsChanged"
)
