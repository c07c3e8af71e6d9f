// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// Guard is a guard as its Lease tells of it.
type Guard struct {
	// Namespace is where it runs, Name that of its Lease.
	Namespace, Name string
	// Servers are the MCPServers it is in front of, as namespace/name.
	Servers []string
	// Seen is the resourceVersion up to which it acts on the registrations of
	// the authorization server; empty when it does not say.
	Seen string
	// Denials is what it tells of AccessDenials.
	Denials GuardDenials
	// Until is until when it lets anything pass if it renews no more.
	Until time.Time
}

// DenialFacts are what Denied rests on.
type DenialFacts struct {
	// Registration is the object, at the resourceVersion it has.
	Registration *v1alpha1.MCPClientRegistration
	// ClientID is the client that was revoked.
	ClientID string
	// Reached are the servers that the client ever had scopes of, as
	// namespace/name.
	Reached []string
	// Guarded are those servers of which every call passes a guard, now, with
	// the namespaces that their guards run in.
	Guarded map[string][]string
	// GuardsAre says whether the guards could be listed, all of them.
	GuardsAre Knowledge
	Guards    []Guard
}

// guardTolerance is by how much the clock of a guard may go slower while a Lease
// holds.
const guardTolerance = 10 * time.Second

// Denied says that a revoked client is refused wherever it had access: each
// server it could reach is guarded, has a guard, and every guard of it either
// acts on the registration as it is now, or is no longer allowed to let anything
// pass. What is not known counts against it.
func Denied(f DenialFacts, now time.Time) bool {
	entry := ClientOf(f.Registration)
	leaves := entry.ClientID != f.ClientID || entry.Left != "" || expired(now, entry.EndsAt)
	if !leaves || f.ClientID == "" || f.GuardsAre != Present || len(f.Reached) == 0 {
		return false
	}
	for _, server := range f.Reached {
		if len(f.Guarded[server]) == 0 || !f.deniedAt(server, now) {
			return false
		}
	}
	return true
}

func (f DenialFacts) deniedAt(server string, now time.Time) bool {
	guards := 0
	for _, guard := range f.Guards {
		if !slices.Contains(guard.Servers, server) || !slices.Contains(f.Guarded[server], guard.Namespace) {
			continue
		}
		guards++
		if !guard.saw(f.Registration.ResourceVersion) && now.Before(guard.Until.Add(guardTolerance)) {
			return false
		}
	}
	return guards > 0
}

// saw says that a guard acts on an object of a resourceVersion.
func (g Guard) saw(version string) bool {
	order, err := resourceversion.CompareResourceVersion(g.Seen, version)
	return err == nil && order >= 0
}

// Anywhere stands among the servers that a client reached for those that nobody
// knows: it is never guarded.
const Anywhere = "*"

// Reached are the servers of some grants in force, added to those of before.
func Reached(before []string, grants []GrantInForce) []string {
	all := slices.Clone(before)
	for _, grant := range grants {
		all = append(all, grant.Grant.ServerNamespace()+"/"+grant.Grant.Spec.ServerRef.Name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Reachable adds to the servers that a client reached those that have a scope of
// the same name as one of them, an entry scope included: an authorization server
// that binds scopes to no resource gives the client tokens for these too. Where it
// does bind them (bound), only servers that share an audience with one of them are
// added.
func Reachable(reached []string, servers map[string]*v1alpha1.MCPServer, bound bool) []string {
	scopes, audiences := map[v1alpha1.ScopeName]bool{}, map[string]bool{}
	for _, name := range reached {
		if server, there := servers[name]; there {
			audiences[AudienceOf(server)] = true
			for _, scope := range scopesAt(server) {
				scopes[scope] = true
			}
		}
	}
	all := slices.Clone(reached)
	for name, server := range servers {
		if bound && !audiences[AudienceOf(server)] {
			continue
		}
		if slices.ContainsFunc(scopesAt(server), func(scope v1alpha1.ScopeName) bool { return scopes[scope] }) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// scopesAt are the scopes that mean something to a server: those that are granted, and
// the entry scope.
func scopesAt(server *v1alpha1.MCPServer) []v1alpha1.ScopeName {
	var names []v1alpha1.ScopeName
	for _, scope := range server.Spec.Scopes {
		names = append(names, scope.Name)
	}
	if entry := server.Spec.EntryScope; entry != "" {
		names = append(names, entry)
	}
	return names
}
