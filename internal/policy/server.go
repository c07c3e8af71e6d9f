// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// ServerFacts are what the decision about an MCPServer rests on.
type ServerFacts struct {
	Server              *v1alpha1.MCPServer
	AuthorizationServer AuthorizationServerFact
	// Namespace is that of the server.
	Namespace NamespaceFact
	// Claims are the servers that name its resource.
	Claims ClaimsFact
	// Room is what the MCPServers of its namespace share.
	Room *Room
}

// Server decides whether an MCPServer is accepted.
func Server(f ServerFacts) Verdict {
	for _, rule := range serverRules {
		if verdict := rule(f); verdict != nil {
			return *verdict
		}
	}
	return Verdict{Standing: Allowed, Reason: v1alpha1.ReasonAccepted, Message: "the server is accepted"}
}

// serverRules are asked in this order; the first refusal wins.
var serverRules = []func(ServerFacts) *Verdict{
	serverHasOwner,
	serverScopesAreNames,
	serverAuthorizationServerFound,
	serverNamespaceAllowed,
	serverResourceIsItsOwn,
	serverOwnerMatches,
	serverHasRoom,
}

// A server for which nobody answers is not accepted.
func serverHasOwner(f ServerFacts) *Verdict { return readOwner(f.Server) }

// A catalogue must not hold wildcards, catch-all names, or a name twice.
func serverScopesAreNames(f ServerFacts) *Verdict {
	for i, scope := range f.Server.Spec.Scopes {
		refusal := scopeRefusal(scope.Name)
		if slices.ContainsFunc(f.Server.Spec.Scopes[:i], func(s v1alpha1.Scope) bool { return s.Name == scope.Name }) {
			refusal = fmt.Sprintf("scope %q is listed twice: keep one entry", scope.Name)
		}
		if refusal != "" {
			return &Verdict{Reason: v1alpha1.ReasonScopeNotAllowed, Message: "spec.scopes: " + refusal}
		}
	}
	return entryScopeRefusal(f.Server.Spec)
}

// What every client has without a grant must be nothing that is granted.
func entryScopeRefusal(spec v1alpha1.MCPServerSpec) *Verdict {
	entry, refusal := spec.EntryScope, ""
	switch {
	case entry == "":
		return nil
	case slices.ContainsFunc(spec.Scopes, func(s v1alpha1.Scope) bool { return s.Name == entry }):
		refusal = fmt.Sprintf("%q is one of spec.scopes, and every client would have it without a grant: choose another name, for example mcp:enter", entry)
	default:
		refusal = scopeRefusal(entry)
	}
	if refusal == "" {
		return nil
	}
	return &Verdict{Reason: v1alpha1.ReasonScopeNotAllowed, Message: "spec.entryScope: " + refusal}
}

// A server without its AuthorizationServer waits.
func serverAuthorizationServerFound(f ServerFacts) *Verdict {
	return authorizationServerFound(f.Server.Spec.AuthorizationServerRef.Name, f.AuthorizationServer)
}

// The AuthorizationServer must admit servers of the namespace: whoever may list a
// scope may give it.
func serverNamespaceAllowed(f ServerFacts) *Verdict {
	switch admitsServer(f.AuthorizationServer.Object, f.Namespace) {
	case Present:
		return nil
	case Unknown:
		return unknownVerdict("the namespace of the MCPServer")
	case Absent:
	}
	return &Verdict{
		Reason:  v1alpha1.ReasonNamespaceNotAllowed,
		Message: "spec.authorizationServerRef: the AuthorizationServer does not admit MCPServers of this namespace: ask the platform team to list it in spec.allowedServers",
	}
}

// The owner must be one that the platform team accepts.
func serverOwnerMatches(f ServerFacts) *Verdict {
	return ownerMatches(f.Server, f.AuthorizationServer)
}

func authorizationServerFound(name string, f AuthorizationServerFact) *Verdict {
	switch f.Is {
	case Unknown:
		return unknownVerdict("the AuthorizationServer")
	case Present:
		if f.Object.DeletionTimestamp == nil {
			return nil
		}
	case Absent:
	}
	return &Verdict{
		Reason: v1alpha1.ReasonAuthorizationServerNotFound, Waiting: true, Cause: v1alpha1.CauseAuthorizationServerGone,
		Message: fmt.Sprintf("spec.authorizationServerRef: there is no AuthorizationServer %q: create it, or ask the platform team for the right name", name),
	}
}

// ownerMatches refuses an owner that the pattern does not match.
func ownerMatches(object metav1.Object, f AuthorizationServerFact) *Verdict {
	p := registrationPolicy(f)
	if p.OwnerPattern == "" {
		return nil
	}
	switch matchesAny([]string{p.OwnerPattern}, object.GetAnnotations()[v1alpha1.AnnotationOwner]) {
	case Present:
		return nil
	case Unknown:
		return badPatternVerdict()
	case Absent:
	}
	return &Verdict{
		Reason: v1alpha1.ReasonOwnerNotAllowed, Cause: v1alpha1.CauseNotAllowed,
		Message: fmt.Sprintf("annotation mcp-registrar.dev/owner does not match the pattern %q of the AuthorizationServer: name an owner that does, %s", p.OwnerPattern, ownerExample),
	}
}

func registrationPolicy(f AuthorizationServerFact) v1alpha1.RegistrationPolicy {
	if f.Object == nil || f.Object.Spec.Policy == nil {
		return v1alpha1.RegistrationPolicy{}
	}
	return *f.Object.Spec.Policy
}

func maximumLifetime(f AuthorizationServerFact) time.Duration {
	if seconds := registrationPolicy(f).MaxRegistrationLifetimeSeconds; seconds != nil {
		return time.Duration(*seconds) * time.Second
	}
	return 0
}
