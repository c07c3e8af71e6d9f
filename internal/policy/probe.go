// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"net/url"
	"slices"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// ProbeSubject is what it takes to decide whether and how a live MCP server is
// asked.
type ProbeSubject struct {
	Server              *v1alpha1.MCPServer
	AuthorizationServer AuthorizationServerFact
	// Verdict is that about the server.
	Verdict Verdict
	// Client is the registration that spec.probe.clientRef names, as ClientIs
	// says.
	Client   *v1alpha1.MCPClientRegistration
	ClientIs Knowledge
	// Grants are those of the server.
	Grants []v1alpha1.ScopeGrant
}

// ProbePlan says whether and how a live MCP server is asked. The zero value
// asks nothing.
type ProbePlan struct {
	// On says that the server is asked.
	On bool
	// Undecided says that it is not known whether it may be asked: what was
	// found before stands.
	Undecided bool
	// Loopback allows the server to be on the operator's own machine.
	Loopback bool
	// WithClient says that it is asked with tokens of the client too, for
	// Scopes.
	WithClient bool
	Scopes     []string
	// Obstacle says why the client that is named cannot be used.
	Obstacle string
	// Tokens is how the client's tokens are read.
	Tokens TokenReading
}

// Probe decides whether and how a live MCP server is asked. Only one that is
// accepted is: whoever may not have servers does not make the operator dial.
func Probe(s ProbeSubject, now time.Time) ProbePlan {
	probe := s.Server.Spec.Probe
	switch {
	case s.Server.DeletionTimestamp != nil, probe != nil && probe.Mode != "" && probe.Mode != v1alpha1.ProbeEnabled:
		return ProbePlan{}
	case s.Verdict.Standing == Undecided:
		return ProbePlan{Undecided: true}
	case s.Verdict.Standing != Allowed:
		return ProbePlan{}
	}
	plan := ProbePlan{On: true, Loopback: s.development(), Tokens: TokensOf(s.AuthorizationServer.Object)}
	if probe == nil || probe.ClientRef == nil {
		return plan
	}
	for _, rule := range probeClientRules {
		if plan.Obstacle = rule(s); plan.Obstacle != "" {
			return plan
		}
	}
	if plan.Scopes = s.scopes(now); len(plan.Scopes) == 0 {
		plan.Obstacle = "it has no scope of this server in force: grant it one"
	}
	plan.WithClient = plan.Obstacle == ""
	return plan
}

// development says that the authorization server is on the operator's own
// machine, by the word of the platform team: only then an MCP server may be
// there too. In a pod, loopback is the operator itself.
func (s ProbeSubject) development() bool {
	if s.AuthorizationServer.Object == nil {
		return false
	}
	issuer, err := url.Parse(s.AuthorizationServer.Object.Spec.Issuer)
	return err == nil && loopback(issuer.Hostname())
}

// probeClientRules are asked in this order; the first obstacle wins.
var probeClientRules = []func(ProbeSubject) string{
	probeClientFound,
	probeClientOfSameServer,
	probeClientAsksForItself,
	probeClientCredentialsOurs,
	probeClientRegistered,
}

// The client must be in the server's own namespace: nobody else's may be used.
func probeClientFound(s ProbeSubject) string {
	switch {
	case s.ClientIs == Present && s.Client != nil && s.Client.Namespace == s.Server.Namespace:
		return ""
	case s.ClientIs == Unknown:
		return "it could not be read: tried again"
	}
	return "there is no such MCPClientRegistration in the namespace of the MCPServer: create it"
}

// The client must be registered where the server's tokens come from.
func probeClientOfSameServer(s ProbeSubject) string {
	if s.Client.Spec.AuthorizationServerRef.Name != s.Server.Spec.AuthorizationServerRef.Name {
		return "it is registered at another AuthorizationServer: name one that is registered at the same"
	}
	return ""
}

// The client must be able to get tokens without a person.
func probeClientAsksForItself(s ProbeSubject) string {
	if !slices.Contains(s.Client.Spec.GrantTypes, v1alpha1.GrantClientCredentials) {
		return "it has not the grant type ClientCredentials: name one that has"
	}
	return ""
}

// The client's credentials must be the operator's to use: it made them.
func probeClientCredentialsOurs(s ProbeSubject) string {
	if !HasSecret(s.Client.Spec.TokenEndpointAuthMethod) && !NeedsOwnKey(s.Client.Spec) {
		return "the operator did not make its credentials: name one with a secret, or with a key made by the operator"
	}
	return ""
}

// The client must be at the authorization server now.
func probeClientRegistered(s ProbeSubject) string {
	if client := ClientOf(s.Client); client.ClientID == "" || client.Left != "" {
		return "it has no client at the authorization server: see its conditions"
	}
	return ""
}

// scopes are those of the server that the client has in force, the entry scope first:
// a server may take nobody in without it.
func (s ProbeSubject) scopes(now time.Time) []string {
	client, server := ClientOf(s.Client), ServerOf(s.Server)
	var names []string
	for _, scope := range append([]CatalogueScope{{Name: server.EntryScope}}, server.Scopes...) {
		if scope.Name == "" {
			continue
		}
		if slices.ContainsFunc(s.Grants, func(grant v1alpha1.ScopeGrant) bool {
			return GrantOf(&grant).gives(server, client, scope.Name, now)
		}) {
			names = append(names, scope.Name)
		}
	}
	if expired(now, client.EndsAt) {
		return nil
	}
	return names
}

// maxUnmapped is how many unmapped tools the status of a server names.
const maxUnmapped = 50

// unmapped are the tools that no scope of the server leads to, by name.
func unmapped(server *v1alpha1.MCPServer, tools []v1alpha1.ToolDigest) []string {
	entry := ServerOf(server)
	var names []string
	for _, tool := range tools {
		if !entry.Catalogued(tool.Name) {
			names = append(names, tool.Name)
		}
	}
	slices.Sort(names)
	return names
}

// maxTools is how many tools the status of a server holds.
const maxTools = 256

// kept are the tools that a status has room for, by name: those that a scope leads
// to first, so that no crowd of others pushes them out.
func kept(server *v1alpha1.MCPServer, tools []v1alpha1.ToolDigest) []v1alpha1.ToolDigest {
	entry := ServerOf(server)
	sorted := slices.Clone(tools)
	slices.SortFunc(sorted, byName)
	slices.SortStableFunc(sorted, func(a, b v1alpha1.ToolDigest) int {
		return cmp.Compare(priority(entry, a), priority(entry, b))
	})
	sorted = sorted[:min(len(sorted), maxTools)]
	slices.SortFunc(sorted, byName)
	return sorted
}

func priority(server ServerEntry, tool v1alpha1.ToolDigest) int {
	if server.Catalogued(tool.Name) {
		return 0
	}
	return 1
}

// OfferedTools are the tools of a server for its status, and those of them that no
// scope leads to, with how many of each there is no room for.
type OfferedTools struct {
	Tools           []v1alpha1.ToolDigest
	Omitted         int
	Unmapped        []string
	UnmappedOmitted int
}

// Offered are the tools of a server as they were last seen, by the client that is
// named for it.
func Offered(server *v1alpha1.MCPServer, plan ProbePlan, f ProbeFacts) OfferedTools {
	var offered OfferedTools
	switch {
	case !plan.On, !plan.WithClient && plan.Obstacle == "":
		return offered
	case f.ToolsAre == Present:
		offered.Tools = kept(server, f.Tools)
		offered.Omitted = len(f.Tools) - len(offered.Tools)
	default:
		offered.Tools, offered.Omitted = server.Status.Tools, int(server.Status.ToolsOmitted)
	}
	names := unmapped(server, offered.Tools)
	offered.Unmapped = names[:min(len(names), maxUnmapped)]
	offered.UnmappedOmitted = len(names) - len(offered.Unmapped)
	return offered
}
