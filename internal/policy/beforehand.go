// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// given is what owners of a server approved before it was asked for.
type given struct {
	// covers says that each of the scopes is approved, or was; until is when the
	// first of them ends.
	covers   bool
	until    time.Time
	approval *v1alpha1.ScopeGrantApproval
	// why says what stands against an approval that covers a scope.
	why string
}

// beforehand looks for the approval that ends last, for each of some scopes.
func beforehand(f GrantFacts, scopes []v1alpha1.Scope, now time.Time) given {
	g := given{covers: true}
	for _, scope := range scopes {
		last, against := lastFor(f, string(scope.Name), now)
		if against != "" {
			g.why = against
		}
		if last == nil {
			g.covers = false
			continue
		}
		if g.until.IsZero() || approvedUntil(last).Before(g.until) {
			g.until, g.approval = approvedUntil(last), last
		}
	}
	if !g.covers {
		g.until, g.approval = time.Time{}, nil
	}
	return g
}

// lastFor is the approval of a scope that ends last, and what stands against another
// one that has not ended.
func lastFor(f GrantFacts, scope string, now time.Time) (last *v1alpha1.ScopeGrantApproval, why string) {
	for _, a := range f.Approvals {
		if !approvesBeforehand(a, scope) || !concerns(a, f.Grant) {
			continue
		}
		against := unfit(f, a)
		switch {
		case against == "" && outlasts(a, last):
			last = a
		case against != "" && !over(a, now):
			why = against
		}
	}
	return last, why
}

func approvesBeforehand(a *v1alpha1.ScopeGrantApproval, scope string) bool {
	return a.Spec.ClientRef != nil && a.Spec.Decision == v1alpha1.DecisionApproved && a.Spec.ExpirationTime != nil &&
		slices.Contains(a.Spec.Scopes, scope)
}

// unfit says why what was approved beforehand is not for the client as it is;
// empty when it is.
func unfit(f GrantFacts, a *v1alpha1.ScopeGrantApproval) string {
	if uid := a.Spec.ServerRef.UID; uid != "" && uid != string(f.Server.Object.UID) {
		return fmt.Sprintf("ScopeGrantApproval %q is for an MCPServer with another UID", a.Name)
	}
	if approver := approverOf(a); approver != "" && !strings.HasPrefix(approver, serviceAccountPrefix) &&
		(approver == f.Grant.Annotations[v1alpha1.AnnotationRequestedBy] || approver == f.Grant.Annotations[v1alpha1.AnnotationChangedBy]) {
		return fmt.Sprintf("ScopeGrantApproval %q was given by the one who asked for the grant or changed it: another person must", a.Name)
	}
	if f.Registration == nil {
		return ""
	}
	return unfitClient(f.Registration, a)
}

// unfitClient says which bound of what was approved beforehand a client exceeds.
func unfitClient(reg *v1alpha1.MCPClientRegistration, a *v1alpha1.ScopeGrantApproval) string {
	if methods := a.Spec.AuthMethods; len(methods) > 0 && !slices.Contains(methods, reg.Spec.TokenEndpointAuthMethod) {
		return fmt.Sprintf("ScopeGrantApproval %q is not for a client with tokenEndpointAuthMethod %s", a.Name, reg.Spec.TokenEndpointAuthMethod)
	}
	if len(a.Spec.RedirectHosts) == 0 {
		return ""
	}
	if len(reg.Spec.RedirectURIs) == 0 {
		return fmt.Sprintf("ScopeGrantApproval %q is for a client that redirects to the hosts of its redirectHosts, and this one has no redirect URI", a.Name)
	}
	for _, uri := range reg.Spec.RedirectURIs {
		if host := hostOf(string(uri)); !slices.Contains(a.Spec.RedirectHosts, host) {
			return fmt.Sprintf("ScopeGrantApproval %q is not for a client with a redirect URI at %q", a.Name, shorten(host))
		}
	}
	return ""
}

// serviceAccountPrefix begins the user names of ServiceAccounts.
const serviceAccountPrefix = "system:serviceaccount:"

// hostOf is the host of a redirect URI, or its scheme where it has none.
func hostOf(uri string) string {
	parsed, err := url.Parse(uri)
	if err != nil {
		return uri
	}
	if host := parsed.Hostname(); host != "" {
		return host
	}
	return parsed.Scheme + ":"
}
