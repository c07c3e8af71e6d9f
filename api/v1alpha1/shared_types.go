// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotations that carry identity. They are annotations and not spec fields so
// that a renewal is a one-line reviewed commit that leaves the spec alone.
const (
	// AnnotationOwner names who answers for the object, for example
	// "team-payments@example.com". Required on MCPServer,
	// MCPClientRegistration and ScopeGrant. It must match the owner pattern
	// of the AuthorizationServer, if that has one.
	AnnotationOwner = "mcp-registrar.dev/owner"

	// AnnotationExpiresAt is the RFC 3339 instant at which the object ends,
	// for example "2027-03-31T00:00:00Z". Required on MCPClientRegistration
	// and ScopeGrant. An object is expired from that instant on.
	AnnotationExpiresAt = "mcp-registrar.dev/expires-at"

	// AnnotationRequestedBy names the user who created the object. It is
	// stamped by the API server and never changes.
	AnnotationRequestedBy = "mcp-registrar.dev/requested-by"

	// AnnotationChangedBy names the user who last changed the spec, the owner
	// or the end date of a registration or grant, or created or last changed the
	// spec or the owner of an MCPServer or AuthorizationServer. It is stamped by
	// the API server. Who changed a grant may not approve it.
	AnnotationChangedBy = "mcp-registrar.dev/changed-by"

	// AnnotationApprovedBy names the user who created a ScopeGrantApproval. It
	// is stamped by the API server and never changes.
	AnnotationApprovedBy = "mcp-registrar.dev/approved-by"

	// AnnotationPaused on an AuthorizationServer stops everything that the
	// operator does there, except what takes something away: revocations and
	// reductions go on. Any value but "false" and the empty one pauses; it
	// may name who paused and why.
	AnnotationPaused = "mcp-registrar.dev/paused"

	// AnnotationConfirmDeletion on an AuthorizationServer, an MCPServer or a
	// CustomResourceDefinition of this API group is how many clients whoever
	// deletes it knows of, in decimal digits. While more live on it, the API
	// server refuses the deletion.
	AnnotationConfirmDeletion = "mcp-registrar.dev/confirm-deletion"

	// AnnotationRotate on an MCPClientRegistration asks for new credentials,
	// once for each value it takes, for example the instant of asking.
	AnnotationRotate = "mcp-registrar.dev/rotate"

	// AnnotationAdopt on an MCPClientRegistration names a client id at the
	// authorization server that the registration takes over instead of
	// registering a new client. It counts only where spec.adoptions of the
	// AuthorizationServer names both.
	AnnotationAdopt = "mcp-registrar.dev/adopt"

	// AnnotationRelease is set by a platform administrator on the
	// registration record (a Secret in the operator's namespace) to let go
	// of a client whose revocation cannot be proven. Its value names who
	// releases and why; it ends up in an event.
	AnnotationRelease = "mcp-registrar.dev/release"
)

// Labels that the operator sets on what it creates.
const (
	// LabelManagedBy marks the Secrets that the operator created and may
	// write. Its value is ManagedByValue.
	LabelManagedBy = "app.kubernetes.io/managed-by"

	// ManagedByValue is the value of LabelManagedBy.
	ManagedByValue = "mcp-registrar"

	// LabelRegistrationUID is the UID of the MCPClientRegistration that a
	// Secret of the operator belongs to.
	LabelRegistrationUID = "mcp-registrar.dev/registration-uid"

	// LabelPossibleOrphan is "true" on a registration record that names
	// registration requests whose outcome was never learnt: a client with
	// that mark may exist at the authorization server and nobody owns it.
	LabelPossibleOrphan = "mcp-registrar.dev/possible-orphan"

	// LabelClient is a digest of the issuer and the client id that a
	// registration record speaks of: two records never speak of one client.
	LabelClient = "mcp-registrar.dev/client"

	// LabelServiceAccount is a digest of the issuer and the ServiceAccount whose
	// tokens authenticate the client that a registration record speaks of: two
	// records with a client never speak of one.
	LabelServiceAccount = "mcp-registrar.dev/service-account"

	// LabelAuthorizationServer names the AuthorizationServer that a
	// registration record belongs to.
	LabelAuthorizationServer = "mcp-registrar.dev/authorization-server"

	// LabelGuard is "true" on the Lease (coordination.k8s.io) that a guard
	// keeps in its own namespace. When spec.leaseDurationSeconds have passed
	// since spec.renewTime, the guard refuses everything.
	LabelGuard = "mcp-registrar.dev/guard"
)

// AnnotationRegistration on an AccessDenial that the operator made names the
// MCPClientRegistration that it stands in for, as namespace/name.
const AnnotationRegistration = "mcp-registrar.dev/registration"

// Annotations that a guard sets on its Lease.
const (
	// AnnotationGuards lists the MCPServers that a guard is in front of, each
	// as namespace/name, separated by commas.
	AnnotationGuards = "mcp-registrar.dev/guards"

	// AnnotationSeen holds, as a JSON object, for each AuthorizationServer by
	// name the resourceVersion up to which the guard acts on its
	// MCPClientRegistrations.
	AnnotationSeen = "mcp-registrar.dev/seen"

	// AnnotationDenials holds, as a JSON object, up to where the guard acts on
	// AccessDenials: "seen" is the resourceVersion, "open" the names of those
	// that it knows and does not act on, "more" that there are more of them.
	AnnotationDenials = "mcp-registrar.dev/denials"

	// AnnotationNonce is drawn anew for each write of a Lease, so that whoever
	// wrote it knows its last write again.
	AnnotationNonce = "mcp-registrar.dev/nonce"
)

// Finalizer holds an MCPClientRegistration until its client is proven to be
// gone at the authorization server.
const Finalizer = "mcp-registrar.dev/client"

// Keys of the credentials Secret. A key is present only when it has a value.
const (
	// SecretKeyClientID is the OAuth client identifier (RFC 6749 §2.2).
	SecretKeyClientID = "client_id"
	// SecretKeyClientSecret is the client secret (with a method that has one).
	SecretKeyClientSecret = "client_secret"
	// SecretKeyAdminID and SecretKeyAdminSecret are the keys of a Secret with
	// the operator's own credentials for an admin API.
	SecretKeyAdminID     = "client-id"
	SecretKeyAdminSecret = "client-secret"
	// SecretKeyPrivateKey is the PEM encoded PKCS #8 private key of a client
	// that authenticates by private_key_jwt with a key made by the operator.
	SecretKeyPrivateKey = "private_key.pem"
	// SecretKeyKeyID is the "kid" of that key in the registered JWK set.
	SecretKeyKeyID = "key_id"
	// SecretKeyIssuer is the issuer identifier of the authorization server
	// (RFC 8414 §2).
	SecretKeyIssuer = "issuer"
	// SecretKeyTokenEndpoint is the URL of the token endpoint.
	SecretKeyTokenEndpoint = "token_endpoint"
	// SecretKeyAuthMethod is the token endpoint authentication method in the
	// words of RFC 7591 §2: none, client_secret_basic, client_secret_post
	// or private_key_jwt.
	SecretKeyAuthMethod = "token_endpoint_auth_method"
	// SecretKeyScope is the space-separated list of granted scopes.
	SecretKeyScope = "scope"
	// SecretKeyResources is the space-separated list of the MCP servers'
	// resource identifiers (RFC 8707) that the scopes belong to.
	SecretKeyResources = "resources"
)

// SecretTypeCredentials is the type of a credentials Secret.
const SecretTypeCredentials = "mcp-registrar.dev/credentials"

// SecretTypeRecord is the type of a registration record.
const SecretTypeRecord = "mcp-registrar.dev/registration-record"

// SecretTypeAuditKey is the type of the Secret that holds the keys of the audit
// stream.
const SecretTypeAuditKey = "mcp-registrar.dev/audit-key"

// AuthorizationServerReference names an AuthorizationServer.
type AuthorizationServerReference struct {
	// name of the AuthorizationServer (cluster-scoped).
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// LocalReference names an object in the same namespace.
type LocalReference struct {
	// name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// ServerReference names an MCPServer.
type ServerReference struct {
	// name of the MCPServer.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// namespace of the MCPServer. Left out, it is the namespace of the
	// object that holds this reference. A server of another namespace must
	// admit this namespace in its spec.allowedClients.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
}

// SecretKeyReference names one key of a Secret in the operator's own
// namespace. No other namespace is ever read.
type SecretKeyReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// key in the Secret's data.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// LocalSecretReference names a Secret in the operator's own namespace. No
// other namespace is ever read.
type LocalSecretReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// NamespacesFrom says which namespaces are admitted.
// +kubebuilder:validation:Enum=Same;All;Selector
type NamespacesFrom string

// The values of NamespacesFrom.
const (
	// NamespacesSame admits only the namespace of the object itself.
	NamespacesSame NamespacesFrom = "Same"
	// NamespacesAll admits every namespace.
	NamespacesAll NamespacesFrom = "All"
	// NamespacesSelector admits the namespaces whose labels match.
	NamespacesSelector NamespacesFrom = "Selector"
)

// AllowedClients says which namespaces may hold clients of an MCPServer.
// +kubebuilder:validation:XValidation:rule="(self.namespaces == 'Selector') == has(self.selector)",message="selector must be set exactly when namespaces is Selector, for example namespaces: Selector with selector: {matchLabels: {mcp-clients: allowed}}"
// +kubebuilder:validation:XValidation:rule="!has(self.selector) || !has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, e.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist'] && (e.operator in ['In', 'NotIn']) == (has(e.values) && size(e.values) > 0))",message="selector.matchExpressions must have operator In or NotIn with values, or Exists or DoesNotExist without, for example {key: mcp-clients, operator: Exists}"
type AllowedClients struct {
	// namespaces: Same (only the server's own namespace), All, or Selector
	// (those whose labels match selector).
	// +required
	Namespaces NamespacesFrom `json:"namespaces"`

	// selector over namespace labels. Required with Selector, refused
	// otherwise.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// AllowedNamespaces says which namespaces may register clients at an
// AuthorizationServer.
// +kubebuilder:validation:XValidation:rule="(self.from == 'Selector') == has(self.selector)",message="selector must be set exactly when from is Selector, for example from: Selector with selector: {matchLabels: {mcp-clients: allowed}}"
// +kubebuilder:validation:XValidation:rule="!has(self.selector) || !has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, e.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist'] && (e.operator in ['In', 'NotIn']) == (has(e.values) && size(e.values) > 0))",message="selector.matchExpressions must have operator In or NotIn with values, or Exists or DoesNotExist without, for example {key: mcp-clients, operator: Exists}"
type AllowedNamespaces struct {
	// from: All, or Selector (those whose labels match selector).
	// +required
	// +kubebuilder:validation:XValidation:rule="self != 'Same'",message="from must be All or Selector: an AuthorizationServer has no namespace of its own, for example from: All"
	From NamespacesFrom `json:"from"`

	// selector over namespace labels. Required with Selector, refused
	// otherwise.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// Term is a period of validity as the operator accepted it.
type Term struct {
	// startedAt is when the operator first accepted this end date. For the
	// first term it is the object's creation.
	// +required
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	StartedAt metav1.Time `json:"startedAt"`

	// expiresAt is the end date that was accepted.
	// +required
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	ExpiresAt metav1.Time `json:"expiresAt"`
}
