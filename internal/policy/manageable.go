// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// What one answer taught about a server holds for all its clients: a server without
// client management (RFC 7592) would be left with one more client that nobody can
// remove by each registration that tries.

// ServerDigest identifies an authorization server as it is configured and as it
// describes itself: what was learnt about it stands until that changes.
func ServerDigest(as *v1alpha1.AuthorizationServer) string {
	if as == nil {
		return ""
	}
	text, err := json.Marshal(struct {
		UID        string
		Generation int64
		Metadata   *v1alpha1.ServerMetadata
	}{string(as.UID), as.Generation, as.Status.Metadata})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// Described is an authorization server as its status is about to describe it: what
// was learnt of it holds also where somebody emptied its status.
func Described(f AuthorizationServerFacts) *v1alpha1.AuthorizationServer {
	described := f.Server.DeepCopy()
	switch judgeDiscovery(f).Standing {
	case Allowed:
		described.Status.Metadata, described.Status.Capabilities = describe(f.Metadata)
	case Refused:
		described.Status.Metadata, described.Status.Capabilities = nil, nil
	case Frozen, Undecided:
	}
	return described
}

// Manageable is what is known of the management of clients at a server: Absent
// where it was shown to have none, as it is now.
func Manageable(as *v1alpha1.AuthorizationServer) Knowledge {
	return learnt(as, v1alpha1.ConditionManageable)
}

// learnt is what a condition says of a server as it is now.
func learnt(as *v1alpha1.AuthorizationServer, condition string) Knowledge {
	if as == nil {
		return Unknown
	}
	c := apimeta.FindStatusCondition(as.Status.Conditions, condition)
	if c == nil || c.ObservedGeneration != as.Generation {
		return Unknown
	}
	switch c.Status {
	case metav1.ConditionTrue:
		return Present
	case metav1.ConditionFalse:
		return Absent
	case metav1.ConditionUnknown:
	}
	return Unknown
}

// judgeManageable is the verdict behind the condition Manageable; nil until
// something was learnt.
func judgeManageable(f AuthorizationServerFacts) *Verdict {
	switch {
	case f.Traits.OwnClientID:
		return nil
	case unmanageableBefore(f):
		// Whoever learnt it may be gone.
	case f.Manageable == Unknown:
		return nil
	case f.Manageable == Present:
		return &Verdict{Standing: Allowed, Reason: v1alpha1.ReasonManaged, Message: "clients can be read, changed and deleted (RFC 7592)"}
	}
	return &Verdict{
		Reason:  v1alpha1.ReasonManagementUnsupported,
		Message: "the authorization server registers clients and gives no way to delete them again (RFC 7592: no registration_client_uri, or no registration_access_token): nothing more is registered there; enable client management, or manage clients in another way, then change this object; look for the marks in the registrations' status.possibleOrphans at the authorization server and delete what carries them",
	}
}

// unmanageableBefore says that the status tells so of the server as it still is.
func unmanageableBefore(f AuthorizationServerFacts) bool {
	return Manageable(f.Server) == Absent && ServerDigest(f.Server) == ServerDigest(Described(f))
}

// Where no client can be deleted again none is registered.
func serverManageable(q *inquiry) *Verdict {
	as := q.AuthorizationServer.Object
	if as == nil || q.Traits.OwnClientID || q.Record.Live() || (Manageable(as) != Absent && !q.Unmanageable) {
		return nil
	}
	return &Verdict{
		Standing: Frozen, Reason: v1alpha1.ReasonManagementUnsupported,
		Message: "spec.authorizationServerRef: the authorization server gives no way to delete clients again (RFC 7592): none is registered there until the platform team changes that",
	}
}
