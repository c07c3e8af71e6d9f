// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Tier ranks what a scope lets its holder do.
// +kubebuilder:validation:Enum=Read;Write;Elevated
type Tier string

// The values of Tier.
const (
	// TierRead lets its holder look.
	TierRead Tier = "Read"
	// TierWrite lets its holder change things.
	TierWrite Tier = "Write"
	// TierElevated lets its holder do what should rarely be done.
	TierElevated Tier = "Elevated"
)

// ScopeName is one OAuth scope token (RFC 6749 §3.3). Wildcards and catch-all
// names are refused: a scope that means everything governs nothing.
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
// +kubebuilder:validation:XValidation:rule="self.matches('^[]!#-[^-~]*$')",message="a scope must be one token of printable ASCII without space, double quote or backslash (RFC 6749 section 3.3), for example invoices:read"
// +kubebuilder:validation:XValidation:rule="!self.contains('*')",message="a scope must not contain a wildcard: name what it allows, for example invoices:read"
// +kubebuilder:validation:XValidation:rule="!self.lowerAscii().matches('^(.*[:./])?(all|any|everything|admin|administrator|root|superuser|full|full[-_.]?access|wildcard)$')",message="a scope must not be a catch-all name: name what it allows, for example invoices:read"
// +kubebuilder:validation:XValidation:rule="!(self in ['openid', 'offline_access'])",message="openid and offline_access are scopes of the authorization server itself and lead to no server: name what it allows, for example invoices:read; clients with the grant type RefreshToken are registered with them by themselves"
type ScopeName string

// CatchAllPattern is the regular expression (RE2, on the lower-cased name)
// that finds catch-all scope names. The schema holds the same expression.
const CatchAllPattern = `^(.*[:./])?(all|any|everything|admin|administrator|root|superuser|full|full[-_.]?access|wildcard)$`

// Scope is one entry of an MCP server's catalogue.
type Scope struct {
	// name is the scope as the authorization server and tokens know it.
	// +required
	Name ScopeName `json:"name"`

	// tier ranks the scope: Read, Write or Elevated. It decides who must
	// approve a grant.
	// +required
	Tier Tier `json:"tier"`

	// tools lists the MCP tools that the scope allows. Left out, the scope is
	// not tied to tools.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	Tools []string `json:"tools,omitempty"`

	// description says to people what the scope allows.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Description string `json:"description,omitempty"`
}

// GrantPolicy says which grants come into force without a person.
type GrantPolicy struct {
	// autoApprovedTiers lists the tiers whose grants need no approval. Left
	// out, Read. An empty list means that every grant needs approval.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=3
	AutoApprovedTiers *[]Tier `json:"autoApprovedTiers,omitempty"`

	// maxLifetimes bounds how far ahead the end of a grant may lie when it is
	// set, for each tier that is listed. A grant of several tiers has the
	// shortest of their bounds. Left out, a grant lives as long as its
	// registration.
	// +optional
	// +listType=map
	// +listMapKey=tier
	// +kubebuilder:validation:MaxItems=3
	MaxLifetimes []TierLifetime `json:"maxLifetimes,omitempty"`
}

// TierLifetime bounds the grants of a tier.
type TierLifetime struct {
	// tier that is bounded.
	// +required
	Tier Tier `json:"tier"`

	// seconds is how far ahead the end of a grant may lie when it is set.
	// +required
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=315360000
	Seconds int32 `json:"seconds"`
}

// Boundary says how calls reach an MCP server.
// +kubebuilder:validation:Enum=Open;Guarded
type Boundary string

// The values of Boundary.
const (
	// BoundaryOpen: clients may reach the server without passing a guard.
	BoundaryOpen Boundary = "Open"
	// BoundaryGuarded: every call passes a guard (mcp-guard as proxy, or as
	// the external authorization service of a gateway).
	BoundaryGuarded Boundary = "Guarded"
)

// ToolChanges says what becomes of a tool whose definition is not the one that
// was there when its scope was approved.
// +kubebuilder:validation:Enum=Report;Withhold
type ToolChanges string

// The values of ToolChanges.
const (
	// ToolChangesReport: the grant says so, and the tool can be called.
	ToolChangesReport ToolChanges = "Report"
	// ToolChangesWithhold: guards refuse the tool until it is approved again.
	ToolChangesWithhold ToolChanges = "Withhold"
)

// ProbeMode says whether the live server is asked.
// +kubebuilder:validation:Enum=Enabled;Disabled
type ProbeMode string

// The values of ProbeMode.
const (
	// ProbeEnabled: the server is asked regularly, and after each change.
	ProbeEnabled ProbeMode = "Enabled"
	// ProbeDisabled: the server is never contacted.
	ProbeDisabled ProbeMode = "Disabled"
)

// Probe says how the live server is examined.
type Probe struct {
	// mode is Enabled or Disabled. Left out, Enabled.
	// +optional
	Mode ProbeMode `json:"mode,omitempty"`

	// clientRef names an MCPClientRegistration in the server's namespace by
	// which the server is asked for its tools, and is offered a token of
	// another audience. Its client must have the grant type
	// ClientCredentials, credentials that the operator made, and a scope of
	// this server granted. Left out, tools are not looked at.
	// +optional
	ClientRef *LocalReference `json:"clientRef,omitempty"`
}

// ToolDigest identifies the definition of a tool.
type ToolDigest struct {
	// name of the tool.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name"`
	// digest is the SHA-256 of its definition in canonical form (RFC 8785),
	// in hexadecimal digits.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest"`
}

// MCPServerSpec describes an MCP server as an OAuth resource server.
// +kubebuilder:validation:XValidation:rule="!has(self.entryScope) || !self.scopes.exists(s, s.name == self.entryScope)",message="entryScope must not be one of scopes: every client has it without a grant; choose another name, for example mcp:enter"
// +kubebuilder:validation:XValidation:rule="has(self.audience) == has(oldSelf.audience)",message="audience is immutable: tokens were issued for it; create another MCPServer for another audience"
type MCPServerSpec struct {
	// resource is the canonical URI of the server (RFC 8707 §2, RFC 9728 §2):
	// what clients ask for a token for, and the audience of its tokens.
	// Immutable. https without fragment; http only for a loopback host.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="resource is immutable: tokens were issued for it; create another MCPServer for another resource"
	// +kubebuilder:validation:XValidation:rule="isURL(self) && size(url(self).getHostname()) > 0 && (self.startsWith('https://') || (self.startsWith('http://') && url(self).getHostname() in ['localhost', '127.0.0.1', '::1']))",message="resource must be an https URL (http only for a loopback host), for example https://mcp.example.com/invoices"
	// +kubebuilder:validation:XValidation:rule="!self.contains('#')",message="resource must have no fragment, for example https://mcp.example.com/invoices"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[^/?#]*//[^/?#]*@')",message="resource must have no user information, for example https://mcp.example.com/invoices"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[^/?#]*//[^/?#]*[A-Z]')",message="resource must have its host in lower case, for example https://mcp.example.com/invoices"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[]!#-;=?-[_a-z~]*$')",message="resource must hold only the characters of a URI (RFC 3986), others percent-encoded, for example https://mcp.example.com/invoices"
	Resource string `json:"resource"`

	// audience is what tokens for the server hold in aud, where its
	// authorization server does not issue the resource: for example
	// api://default of an Okta authorization server, or the application ID URI
	// or client ID of an API in Entra ID. Servers of one audience take each
	// other's tokens. Immutable. Left out, the resource.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^[!#-Z^-~]+$')",message="audience must be ASCII without space, quote, bracket or backslash, for example api://default"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="audience is immutable: tokens were issued for it; create another MCPServer for another audience"
	Audience string `json:"audience,omitempty"`

	// authorizationServerRef names the AuthorizationServer whose tokens the
	// server accepts. Immutable.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="authorizationServerRef is immutable: clients are registered there; create another MCPServer for another authorization server"
	AuthorizationServerRef AuthorizationServerReference `json:"authorizationServerRef"`

	// scopes is the catalogue: what can be granted, and to which tools it
	// leads. A grant of a scope that is not listed is not in force.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:XValidation:rule="self.map(s, size(s.name) + (has(s.description) ? size(s.description) : 0) + (has(s.tools) ? s.tools.map(t, size(t)).sum() : 0)).sum() <= 32768",message="scopes must have names, descriptions and tools of at most 32768 characters together: shorten the descriptions, or spread the scopes over several MCPServers, for example one for each group of tools"
	Scopes []Scope `json:"scopes"`

	// entryScope is a scope that every client with a grant in force at this server is
	// registered with, beside what it was granted. It gives what every client may do,
	// which is to open a session and to see the tools that it may call, and nothing
	// else: it must not be one of scopes. It is the only scope that clients are told
	// to ask for first (the first challenge and scopes_supported), so that one with
	// few grants can log in; what a call needs beyond it they are told when they make
	// it. Left out, they are told the scopes that all clients of this server have,
	// and none where there is none.
	// +optional
	EntryScope ScopeName `json:"entryScope,omitempty"`

	// accessTokenLifetimeSeconds is the upper bound of the lifetime of access
	// tokens for this server, in seconds. After a revocation a self-contained
	// token may still pass for that long. Left out, 900.
	// +optional
	// +kubebuilder:validation:Minimum=30
	// +kubebuilder:validation:Maximum=3600
	AccessTokenLifetimeSeconds *int32 `json:"accessTokenLifetimeSeconds,omitempty"`

	// allowedClients says which namespaces may hold clients of this server.
	// Left out, only the server's own namespace.
	// +optional
	AllowedClients *AllowedClients `json:"allowedClients,omitempty"`

	// grants says which grants come into force without a person, and for how
	// long grants may be asked for. Left out, those of tier Read, for as long
	// as the registration lives.
	// +optional
	Grants *GrantPolicy `json:"grants,omitempty"`

	// boundary says how calls reach the server: Open or Guarded. With Guarded
	// the power of a revoked client is taken to end when every guard has the
	// news, instead of with its last token. Left out, Open.
	// +optional
	Boundary Boundary `json:"boundary,omitempty"`

	// guardNamespaces are the namespaces that the guards of a guarded server run
	// in. A guard elsewhere does not serve it, and no Lease elsewhere is
	// believed. Left out, the server's own namespace.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	GuardNamespaces []string `json:"guardNamespaces,omitempty"`

	// probe says how the live server is examined. Left out, it is asked
	// without a client.
	// +optional
	Probe *Probe `json:"probe,omitempty"`

	// toolChanges says what becomes of a tool whose definition changed, or
	// which is new, under a scope that was approved before: Report or
	// Withhold. Left out, Report.
	// +optional
	ToolChanges ToolChanges `json:"toolChanges,omitempty"`
}

// MCPServerStatus is what the operator found.
type MCPServerStatus struct {
	// conditions: Accepted, Ready, and Protected where the server is probed;
	// Reconciling and Stalled only while true.
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

	// grants counts the grants of this server. It follows within seconds,
	// not at once.
	// +optional
	Grants *GrantCounts `json:"grants,omitempty"`

	// pendingGrants lists the grants that wait for approval, and those whose
	// tools changed since, by namespace and name: at most 50, and 400 KiB. Where
	// more wait, each namespace has one in turn, its oldest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	PendingGrants []PendingGrant `json:"pendingGrants,omitempty"`

	// pendingGrantsOmitted is how many more wait than pendingGrants has room
	// for. Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	PendingGrantsOmitted int32 `json:"pendingGrantsOmitted,omitempty"`

	// pendingGrantsOmittedIn says in which namespaces they are, at most the 50
	// with the most.
	// +optional
	// +listType=map
	// +listMapKey=namespace
	// +kubebuilder:validation:MaxItems=50
	PendingGrantsOmittedIn []OmittedGrants `json:"pendingGrantsOmittedIn,omitempty"`

	// tools are those that the live server offered when it was last asked, at
	// most the first 256 by name.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Tools []ToolDigest `json:"tools,omitempty"`

	// toolsOmitted is how many more the server offered than tools has room for.
	// Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ToolsOmitted int32 `json:"toolsOmitted,omitempty"`

	// unmappedTools are those of them that no scope leads to, at most the
	// first 50 by name.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:items:MaxLength=128
	UnmappedTools []string `json:"unmappedTools,omitempty"`

	// unmappedToolsOmitted is how many more of them there are than unmappedTools
	// has room for. Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	UnmappedToolsOmitted int32 `json:"unmappedToolsOmitted,omitempty"`
}

// GrantCounts counts the grants of an MCP server.
type GrantCounts struct {
	// inForce: grants whose scopes the server's owners have granted.
	// +required
	InForce int32 `json:"inForce"`
	// pending: grants that wait for the approval of the server's owners.
	// +required
	Pending int32 `json:"pending"`
	// clients: registrations that have a grant in force. They lose it when the
	// server is deleted, which has to be confirmed while there are any.
	// +required
	Clients int32 `json:"clients"`
}

// OmittedGrants counts what is left out of a namespace.
type OmittedGrants struct {
	// namespace of the ScopeGrants.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// grants is how many are left out.
	// +required
	// +kubebuilder:validation:Minimum=1
	Grants int32 `json:"grants"`
}

// PendingGrant is a grant that waits for approval, as an owner of the server has
// to look at it: a ScopeGrantApproval repeats grant, registration and digest.
type PendingGrant struct {
	// namespace of the ScopeGrant.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// name of the ScopeGrant.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// uid of the ScopeGrant.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`
	// generation of the ScopeGrant.
	// +required
	// +kubebuilder:validation:Minimum=1
	Generation int64 `json:"generation"`
	// client is the name of the MCPClientRegistration.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Client string `json:"client"`
	// registration is the MCPClientRegistration as it was looked at.
	// +required
	Registration ApprovedRegistration `json:"registration"`
	// digest of everything that an approval is of. Left out where not all of it
	// has room here, so that nobody approves what is not shown: message says so.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest,omitempty"`
	// toolsDigest is of the definitions of the tools that the scopes lead to, as
	// tools of the status has them. Left out, none are known, or there is no digest.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	ToolsDigest string `json:"toolsDigest,omitempty"`
	// changedTools are those that are new, changed or gone since the grant was
	// approved. To approve it again is to approve them.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	ChangedTools []string `json:"changedTools,omitempty"`
	// changedToolsOmitted is how many more there are. Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ChangedToolsOmitted int32 `json:"changedToolsOmitted,omitempty"`
	// message says why there is no digest, and what to do. Left out, there is one.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// clientName is how the client calls itself to users.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	ClientName string `json:"clientName,omitempty"`
	// applicationType of the client: Web or Native.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	ApplicationType string `json:"applicationType,omitempty"`
	// grantTypes of the client.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=32
	GrantTypes []string `json:"grantTypes,omitempty"`
	// owner answers for the client.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Owner string `json:"owner,omitempty"`
	// grantOwner answers for the grant.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	GrantOwner string `json:"grantOwner,omitempty"`
	// authMethod is how the client authenticates; None is a public client.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	AuthMethod string `json:"authMethod,omitempty"`
	// redirectURIs of the client.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=512
	RedirectURIs []string `json:"redirectURIs,omitempty"`
	// redirectURIsOmitted is how many more there are. Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	RedirectURIsOmitted int32 `json:"redirectURIsOmitted,omitempty"`
	// keys of the client: their thumbprints (RFC 7638), or where they come from.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=640
	Keys []string `json:"keys,omitempty"`
	// keysOmitted is how many more there are. Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	KeysOmitted int32 `json:"keysOmitted,omitempty"`
	// resource of the MCPServer.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Resource string `json:"resource,omitempty"`
	// scopes that are asked for, those of the most powerful tier first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Scopes []PendingScope `json:"scopes,omitempty"`
	// scopesOmitted is how many more are asked for. Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ScopesOmitted int32 `json:"scopesOmitted,omitempty"`
	// reason says what for.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
	// expirationTime is the end that is asked for.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self >= timestamp('0001-01-01T00:00:00Z')",message="must be an RFC 3339 instant, for example 2027-03-31T00:00:00Z"
	ExpirationTime *metav1.Time `json:"expirationTime,omitempty"`
	// requestedBy is the user who asked.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	RequestedBy string `json:"requestedBy,omitempty"`
}

// PendingScope is a scope that is asked for, as the catalogue of the server has it.
type PendingScope struct {
	// name of the scope.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name"`
	// tier of the scope: Read, Write or Elevated.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Tier string `json:"tier,omitempty"`
	// tools that the scope leads to; "(any)" of one that is tied to none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=128
	Tools []string `json:"tools,omitempty"`
	// toolsOmitted is how many more it leads to. Left out, none.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ToolsOmitted int32 `json:"toolsOmitted,omitempty"`
}

// MCPServer is an MCP server, seen as an OAuth 2.1 resource server. It belongs
// to the team that runs the server.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=mcpsrv,categories=mcp-registrar
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Owner",type=string,JSONPath=`.metadata.annotations.mcp-registrar\.dev/owner`
// +kubebuilder:printcolumn:name="AS",type=string,JSONPath=`.spec.authorizationServerRef.name`
// +kubebuilder:printcolumn:name="Grants",type=integer,JSONPath=`.status.grants.inForce`
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=`.status.grants.pending`
// +kubebuilder:printcolumn:name="Resource",type=string,priority=1,JSONPath=`.spec.resource`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MCPServer struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the wish.
	// +required
	Spec MCPServerSpec `json:"spec"`

	// status is what is true.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status MCPServerStatus `json:"status,omitempty"`
}

// GetConditions returns the conditions of the status.
func (in *MCPServer) GetConditions() []metav1.Condition { return in.Status.Conditions }

// SetConditions replaces the conditions of the status.
func (in *MCPServer) SetConditions(c []metav1.Condition) { in.Status.Conditions = c }

// MCPServerList is a list of MCPServer.
// +kubebuilder:object:root=true
type MCPServerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPServer `json:"items"`
}
