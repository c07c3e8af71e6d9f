// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// outcome is how an operation ends.
type outcome string

// The outcomes.
const (
	// ready: one client, as wished, and the team can use it.
	ready outcome = "ready"
	// revoked: no client, the object stays.
	revoked outcome = "revoked"
	// refused: no client that can be used, and none that was ever known.
	refused outcome = "refused"
	// suspended: no client that can be used, the object stays.
	suspended outcome = "suspended"
	// blocked: the client cannot be managed, and nothing is let go.
	blocked outcome = "blocked"
	// swept: what the operation is about is said by its after.
	swept outcome = "swept"
	// gone: no client, no object, no credentials, no record.
	gone outcome = "gone"
)

// rests holds the world against what an operation should have come to, when
// all is at rest. lost says that the management token was lost with an answer,
// as it may be.
func (s *scene) rests(end outcome, lost bool) {
	var reg v1alpha1.MCPClientRegistration
	there := s.read(&reg, s.key)
	if lost && !there && s.counted() {
		return
	}
	s.nobodyUnknown(&reg, there)
	for _, problem := range s.ledger.check() {
		s.problem("%s", problem)
	}
	s.tellsNoSecret()
	if there && lost && s.blocked(&reg) {
		return
	}
	switch end {
	case ready:
		s.restsReady(&reg, there)
	case revoked, suspended, refused:
		s.restsRevoked(&reg, there, end)
	case gone:
		s.restsGone(there)
	case blocked:
		if !there || !s.blocked(&reg) {
			s.problem("a client that cannot be managed was let go, or the status does not tell of it: %s", describe(&reg, there))
		}
	case swept:
	}
}

// counted says that the AuthorizationServer counts a client that cannot be
// managed any more and whose object is gone. Where it went itself, the record stays.
func (s *scene) counted() bool {
	var as v1alpha1.AuthorizationServer
	switch {
	case !s.released:
		return false
	case !s.read(&as, client.ObjectKey{Name: s.name}):
		return s.read(&corev1.Secret{}, s.stray)
	}
	return as.Status.Clients != nil && as.Status.Clients.PossibleOrphans > 0
}

// nobodyUnknown holds that each live client is the registration's or reported.
func (s *scene) nobodyUnknown(reg *v1alpha1.MCPClientRegistration, there bool) {
	for _, live := range s.fake.Clients() {
		if there && live.ID == reg.Status.ClientID && live.ID != "" {
			continue
		}
		parked := there && live.Disabled && reg.Spec.State == v1alpha1.StateSuspended && live.Registered.SoftwareID == "mcp-registrar/"+clusterName+"/"+string(reg.UID)
		if s.stranger(live) || parked {
			continue
		}
		switch {
		case s.personality.own():
			s.problem("the client %s lives and is nobody's, although ids are the operator's own", live.ID)
		case there && !slices.Contains(reg.Status.PossibleOrphans, live.Registered.SoftwareVersion):
			s.problem("status.possibleOrphans does not tell of the client %s (%s)", live.ID, live.Registered.SoftwareVersion)
		case !s.reported(live):
			s.problem("the client %s (%s) lives and nobody knows it", live.ID, live.Registered.SoftwareVersion)
		}
	}
}

// stranger says that a client is none of this cluster.
func (s *scene) stranger(c authserver.Client) bool {
	return !strings.HasPrefix(c.Registered.SoftwareID, "mcp-registrar/"+clusterName+"/")
}

// blocked says that the status tells of a client that cannot be managed any
// more, and that nothing was let go.
func (s *scene) blocked(reg *v1alpha1.MCPClientRegistration) bool {
	told := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionReady)
	if told == nil || told.Reason != v1alpha1.ReasonManagementLost {
		return false
	}
	switch {
	case !controllerutil.ContainsFinalizer(reg, v1alpha1.Finalizer):
		s.problem("the management of the client is lost and the finalizer is gone")
	case s.client(reg.Status.ClientID) == nil:
		s.problem("the management of the client is lost, and the client of the status does not exist")
	case !meta.IsStatusConditionTrue(reg.Status.Conditions, v1alpha1.ConditionStalled):
		s.problem("the management of the client is lost and the object is not stalled")
	}
	return true
}

// restsReady holds that there is one client, as wished.
func (s *scene) restsReady(reg *v1alpha1.MCPClientRegistration, there bool) {
	if !there || !meta.IsStatusConditionTrue(reg.Status.Conditions, v1alpha1.ConditionReady) {
		s.problem("not ready: %s", describe(reg, there))
		return
	}
	live := s.client(reg.Status.ClientID)
	switch {
	case live == nil:
		s.problem("there is no client %q", reg.Status.ClientID)
		return
	case reg.Status.ObservedGeneration != reg.Generation:
		s.problem("status speaks of generation %d, the object is at %d", reg.Status.ObservedGeneration, reg.Generation)
	case !slices.Equal(sorted(live.Registered.Scopes), sorted(s.scopes)):
		s.problem("the client has the scopes %v, want %v", live.Registered.Scopes, s.scopes)
	case !slices.Equal(sorted(live.Registered.RedirectURIs), sorted(s.redirects)):
		s.problem("the client has the redirect URIs %v, want %v", live.Registered.RedirectURIs, s.redirects)
	case !controllerutil.ContainsFinalizer(reg, v1alpha1.Finalizer):
		s.problem("the finalizer is missing")
	}
	s.stated(reg)
	s.recordAgrees(reg, live)
}

// kept holds that the client is the one of before: a change is no reason for
// another id.
func (s *scene) kept() {
	var reg v1alpha1.MCPClientRegistration
	if s.read(&reg, s.key) && reg.Status.ClientID != s.clientID {
		s.problem("the client %s took the place of %s", reg.Status.ClientID, s.clientID)
	}
}

// recordAgrees holds that the record has what a revocation needs.
func (s *scene) recordAgrees(reg *v1alpha1.MCPClientRegistration, live *authserver.Client) {
	record, there := s.record(reg)
	switch {
	case !there:
		s.problem("the record is missing")
	case record.State != "Registered" || record.Replacing || record.Client.ID != live.ID:
		s.problem("the record says %+v, the client is %s", record.State, live.ID)
	case record.Client.ManagementToken != live.ManagementToken.Reveal():
		s.problem("the record holds another management token than the server")
	}
}

func (s *scene) record(reg *v1alpha1.MCPClientRegistration) (storedRecord, bool) {
	var secret corev1.Secret
	if !s.read(&secret, client.ObjectKey{Namespace: operatorNamespace, Name: "registration-" + string(reg.UID)}) {
		return storedRecord{}, false
	}
	return readRecord(&secret), true
}

// restsRevoked holds that there is no client that can be used, and that the
// status says so.
func (s *scene) restsRevoked(reg *v1alpha1.MCPClientRegistration, there bool, end outcome) {
	if !there {
		s.problem("the object is gone")
		return
	}
	told := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionReady)
	if told == nil || told.Status != metav1.ConditionFalse {
		s.problem("Ready is not False: %s", describe(reg, there))
	}
	disables := end != revoked && s.fake.Traits().Disables
	for _, live := range s.clientsOf(string(reg.UID)) {
		if !s.reported(live) && !(disables && live.Disabled) {
			s.problem("the client %s lives after its end", live.ID)
		}
	}
	if s.held() != nil && !disables {
		s.problem("the credentials are left")
	}
	if r := reg.Status.Revocation; !disables && end != refused && (r == nil || r.RevokedAtASAt == nil || r.VerifiedAt == nil) {
		s.problem("status.revocation is not complete: %+v", r)
	}
}

// restsGone holds that nothing is left but what is reported.
func (s *scene) restsGone(there bool) {
	if there {
		var reg v1alpha1.MCPClientRegistration
		s.problem("the object is still there: %s", describe(&reg, s.read(&reg, s.key)))
		return
	}
	if s.held() != nil {
		s.problem("the credentials are left")
	}
	for _, object := range s.cluster.at("Secret", s.cluster.latest("Secret")) {
		if object.GetNamespace() == operatorNamespace && object.GetLabels()[v1alpha1.LabelPossibleOrphan] != "true" {
			s.problem("the record %s is left and reports nothing", object.GetName())
		}
	}
}

// tellsNoSecret holds that no status, event or line of the log tells a secret.
func (s *scene) tellsNoSecret() {
	told := map[client.Object]bool{}
	for _, version := range s.cluster.versions["MCPClientRegistration"] {
		for _, reg := range version {
			if told[reg] {
				continue
			}
			told[reg] = true
			text, err := json.Marshal(reg)
			if err != nil {
				s.problem("encoding a registration: %v", err)
			}
			if what := s.ledger.leak(string(text)); what != "" {
				s.problem("a registration tells a %s", what)
			}
		}
	}
	for _, said := range s.said {
		if what := s.ledger.leak(said); what != "" {
			s.problem("a line of the log or an event tells a %s", what)
		}
	}
}

// describe prints the conditions of a registration.
func describe(reg *v1alpha1.MCPClientRegistration, there bool) string {
	if !there {
		return "gone"
	}
	text := "client " + reg.Status.ClientID
	for _, c := range reg.Status.Conditions {
		text += ", " + c.Type + "=" + string(c.Status) + "/" + c.Reason
	}
	return text
}
