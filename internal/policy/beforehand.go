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
		var last *v1alpha1.ScopeGrantApproval
		for _, a := range f.Approvals {
			if a.Spec.ClientRef == nil || a.Spec.Decision != v1alpha1.DecisionApproved || a.Spec.ExpirationTime == nil ||
				!concerns(a, f.Grant) || !slices.Contains(a.Spec.Scopes, string(scope.Name)) {
				continue
			}
			if against := unfit(f, a); against != "" {
				if !over(a, now) {
					g.why = against
				}
				continue
			}
			if outlasts(a, last) {
				last = a
			}
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

// unfit says why what was approved beforehand is not for the client as it is;
// empty when it is.
func unfit(f GrantFacts, a *v1alpha1.ScopeGrantApproval) string {
	approver := approverOf(a)
	person := approver != "" && !strings.HasPrefix(approver, serviceAccountPrefix)
	spec := a.Spec
	switch {
	case spec.ServerRef.UID != "" && spec.ServerRef.UID != string(f.Server.Object.UID):
		return fmt.Sprintf("ScopeGrantApproval %q is for an MCPServer with another UID", a.Name)
	case person && (approver == f.Grant.Annotations[v1alpha1.AnnotationRequestedBy] || approver == f.Grant.Annotations[v1alpha1.AnnotationChangedBy]):
		return fmt.Sprintf("ScopeGrantApproval %q was given by the one who asked for the grant or changed it: another person must", a.Name)
	case f.Registration == nil:
		return ""
	case len(spec.AuthMethods) > 0 && !slices.Contains(spec.AuthMethods, f.Registration.Spec.TokenEndpointAuthMethod):
		return fmt.Sprintf("ScopeGrantApproval %q is not for a client with tokenEndpointAuthMethod %s", a.Name, f.Registration.Spec.TokenEndpointAuthMethod)
	}
	for _, uri := range f.Registration.Spec.RedirectURIs {
		if host := hostOf(string(uri)); len(spec.RedirectHosts) > 0 && !slices.Contains(spec.RedirectHosts, host) {
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
