// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"net/url"
	"path"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// ClaimsFact are the MCPServers that name the resource of another one.
type ClaimsFact struct {
	// Is says whether they could be listed.
	Is Knowledge
	// Others are all of them that use the same AuthorizationServer, in any order. The
	// server itself may be among them.
	Others []Claimant
}

// Claimant is an MCPServer with its namespace.
type Claimant struct {
	Server    *v1alpha1.MCPServer
	Namespace NamespaceFact
}

// ClaimKey tells apart for what MCPServers speak: two with one key name one resource
// (RFC 8707 §2) at one AuthorizationServer.
func ClaimKey(server *v1alpha1.MCPServer) string {
	return server.Spec.AuthorizationServerRef.Name + " " + canonical(server.Spec.Resource)
}

// canonical is the form that equivalent URIs have in common (RFC 3986 §6.2): scheme and
// host in lower case, no default port, no dot segments, no percent-encoding without need,
// and no slash at the end of the path. What is no URI stays as it is.
func canonical(resource string) string {
	u, err := url.Parse(resource)
	if err != nil || u.Host == "" {
		return resource
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if defaults := map[string]string{"https": ":443", "http": ":80"}[scheme]; defaults != "" {
		host = strings.TrimSuffix(strings.TrimSuffix(host, defaults), ":")
	}
	at := url.URL{Scheme: scheme, Host: host, Path: path.Clean("/" + u.Path), RawQuery: u.RawQuery}
	return strings.TrimSuffix(at.String(), "/")
}

// A resource speaks for one server: who has it keeps it until it is gone or its namespace is
// admitted no more, and after it the first has it. Of the first nothing is told here: it may be another tenant's.
func serverResourceIsItsOwn(f ServerFacts) *Verdict {
	if f.Claims.Is != Present {
		return unknownVerdict("what other MCPServers there are")
	}
	first, unknown := ahead(f)
	switch {
	case first != nil:
		return &Verdict{
			Reason:  v1alpha1.ReasonResourceTaken,
			Message: "spec.resource: another MCPServer has this resource at this AuthorizationServer: use a resource of your own, for example https://mcp.example.com/team-a/files, or ask the platform team",
		}
	case unknown:
		return unknownVerdict("the namespace of another MCPServer")
	}
	return nil
}

// Speaker is the MCPServer that has the resource of another one; nil where that has it
// itself, or is not known to have it not.
func Speaker(f ServerFacts) *v1alpha1.MCPServer {
	first, _ := ahead(f)
	return first
}

// ahead finds the first of the servers that come before one and are admitted. Unknown
// says that one of those before it may be.
func ahead(f ServerFacts) (first *v1alpha1.MCPServer, unknown bool) {
	for _, other := range f.Claims.Others {
		if ClaimKey(other.Server) != ClaimKey(f.Server) || Before(other.Server, f.Server) >= 0 {
			continue
		}
		switch admitsServer(f.AuthorizationServer.Object, other.Namespace) {
		case Present:
			if first == nil || Before(other.Server, first) < 0 {
				first = other.Server
			}
		case Unknown:
			unknown = true
		case Absent:
		}
	}
	return first, unknown
}

// Before compares MCPServers by who has their resource, where both name one: one that was
// not refused for it or for its namespace comes before one that was, however old that is,
// since clients may live on it; then by creation, then by namespace and name. It is negative
// where a comes first, and zero only for one and the same.
func Before(a, b *v1alpha1.MCPServer) int {
	return cmp.Or(compareBool(WaitsForResource(a), WaitsForResource(b)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}

// compareBool orders false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// WaitsForResource reports whether a server was last refused because its resource is
// another's or its namespace is not admitted.
func WaitsForResource(server *v1alpha1.MCPServer) bool {
	accepted := apimeta.FindStatusCondition(server.Status.Conditions, v1alpha1.ConditionAccepted)
	return accepted != nil && accepted.Status == metav1.ConditionFalse &&
		(accepted.Reason == v1alpha1.ReasonResourceTaken || accepted.Reason == v1alpha1.ReasonNamespaceNotAllowed)
}

// admitsServer says whether an AuthorizationServer admits the MCPServers of a namespace.
// One that says nothing admits none.
func admitsServer(as *v1alpha1.AuthorizationServer, namespace NamespaceFact) Knowledge {
	switch {
	case as == nil:
		return Unknown
	case as.Spec.AllowedServers == nil:
		return Absent
	}
	return admits(as.Spec.AllowedServers.From, as.Spec.AllowedServers.Selector, "", namespace)
}
