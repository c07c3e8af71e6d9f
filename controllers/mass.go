// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

const (
	// massSize clients that are revoked for one cause at one object within massTime are
	// told of, once in massTime.
	massSize = 10
	massTime = time.Minute
	// massCauses is how many causes are remembered before those that are over are
	// forgotten.
	massCauses = 1024
)

// massCause is why clients are revoked, and the object at which they are counted.
type massCause struct {
	cause v1alpha1.RevocationCause
	kind  string
	types.NamespacedName
}

// mass finds out that many clients are revoked at one time. Its zero value is ready.
type mass struct {
	mu   sync.Mutex
	seen map[massCause]*massCount
}

// massCount are the last ends of clients by one cause, at most massSize, and when that
// was last told.
type massCount struct {
	ends []time.Time
	told time.Time
}

// add notes that a client was revoked, and reports whether that is to be told.
func (m *mass) add(c massCause, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.seen) >= massCauses {
		m.forget(now)
	}
	count := m.seen[c]
	if count == nil {
		count = &massCount{}
		if m.seen == nil {
			m.seen = map[massCause]*massCount{}
		}
		m.seen[c] = count
	}
	if len(count.ends) >= massSize {
		count.ends = slices.Delete(count.ends, 0, len(count.ends)-massSize+1)
	}
	count.ends = append(count.ends, now)
	if len(count.ends) < massSize || now.Sub(count.ends[0]) > massTime {
		return false
	}
	if !count.told.IsZero() && now.Sub(count.told) <= massTime {
		return false
	}
	count.told = now
	return true
}

// forget forgets the causes of which nobody ended for a while. The lock is held.
func (m *mass) forget(now time.Time) {
	for c, count := range m.seen {
		if now.Sub(count.ends[len(count.ends)-1]) > massTime {
			delete(m.seen, c)
		}
	}
}

// revoked counts a revocation that the authorization server accepted, and warns of many
// at the object that they have in common: the MCPServer where clients lost their grants,
// and the AuthorizationServer otherwise.
func (s *step) revoked(cause v1alpha1.RevocationCause, lateness time.Duration, authorizationServer string) {
	s.Metrics.Revoked(cause, lateness)
	now, told := s.Clock.Now(), false
	for _, object := range s.inCommon(cause, authorizationServer) {
		kind := kindAuthorizationServer
		if object.GetNamespace() != "" {
			kind = kindMCPServer
		}
		if !s.mass.add(massCause{cause, kind, client.ObjectKeyFromObject(object)}, now) {
			continue
		}
		told = true
		s.Recorder.Eventf(object, nil, corev1.EventTypeWarning, "MassRevocation", "Revoke",
			"%d clients were revoked within a minute with cause %s, the last of them %s/%s; if this is an accident, put back what they lived on: they are registered anew, with new ids and credentials",
			massSize, cause, s.reg.Namespace, s.reg.Name)
	}
	if told {
		s.Metrics.RevokedMany(cause)
	}
}

// inCommon are the objects at which a revocation is counted. They may be gone.
func (s *step) inCommon(cause v1alpha1.RevocationCause, authorizationServer string) []client.Object {
	var servers []client.Object
	if cause == v1alpha1.CauseNoGrantInForce {
		servers = lostServers(s.reg, s.seen.facts.Grants)
	}
	if len(servers) > 0 {
		return servers
	}
	if as := s.seen.facts.AuthorizationServer.Object; as != nil && as.Name == authorizationServer {
		return []client.Object{as}
	}
	return []client.Object{&v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: authorizationServer}}}
}

// lostServers are the MCPServers of the grants that a client lived on by its status.
func lostServers(reg *v1alpha1.MCPClientRegistration, grants []policy.GrantFacts) []client.Object {
	var servers []client.Object
	for _, facts := range grants {
		grant := facts.Grant
		lived := slices.ContainsFunc(reg.Status.Scopes, func(scope v1alpha1.EffectiveScope) bool {
			return slices.Contains(scope.Grants, grant.Name)
		})
		key := types.NamespacedName{Namespace: grant.ServerNamespace(), Name: grant.Spec.ServerRef.Name}
		if !lived || slices.ContainsFunc(servers, func(o client.Object) bool { return client.ObjectKeyFromObject(o) == key }) {
			continue
		}
		servers = append(servers, cmp.Or(facts.Server.Object,
			&v1alpha1.MCPServer{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}))
	}
	return servers
}
