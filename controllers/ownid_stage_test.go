// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

func (s *stage) credentials() map[string][]byte {
	s.t.Helper()
	var secret corev1.Secret
	if err := s.Get(s.t.Context(), client.ObjectKey{Namespace: clientsPlace, Name: s.reg.Name + "-mcp-client"}, &secret); err != nil {
		s.t.Fatal(err)
	}
	return secret.Data
}

func (s *stage) registration() *v1alpha1.MCPClientRegistration {
	s.t.Helper()
	var reg v1alpha1.MCPClientRegistration
	if err := s.Get(s.t.Context(), client.ObjectKeyFromObject(s.reg), &reg); err != nil {
		s.t.Fatal(err)
	}
	return &reg
}

// live is the only client at the authorization server.
func (s *stage) live() authserver.Client {
	s.t.Helper()
	clients := s.as.Clients()
	if len(clients) != 1 {
		s.t.Fatalf("%d clients, want one", len(clients))
	}
	return clients[0]
}

// keyed says that the authorization server takes the key that the team holds.
func (s *stage) keyed() bool {
	pair, err := readKeyPair(string(s.credentials()[v1alpha1.SecretKeyPrivateKey]))
	if err != nil {
		s.t.Fatal(err)
	}
	return policy.Holds(s.live().Registered.JWKS, pair.JWKS)
}

// The former owner's secret is of no use after an adoption, and the team gets
// another.
func TestT14AdoptionEndsTheOldSecret(t *testing.T) {
	s := newStage(t, "heir")
	s.manageOtherwise()
	old := authserver.NewSecret("known to the former owner")
	if _, err := s.as.Register(t.Context(), authserver.ClientMetadata{
		ID: "old-client", Secret: old, Name: "old", AuthMethod: "client_secret_basic", GrantTypes: []string{"client_credentials"},
	}); err != nil {
		t.Fatal(err)
	}
	s.issuer.Spec.Adoptions = []v1alpha1.Adoption{{ClientID: "old-client", Namespace: clientsPlace, Name: "heir"}}
	s.reg.Annotations[v1alpha1.AnnotationAdopt] = "old-client"
	s.begin()
	adopted := s.live()
	if adopted.ID != "old-client" || adopted.Secret.Equal(old) {
		t.Errorf("client %s, the old secret works: %t", adopted.ID, adopted.Secret.Equal(old))
	}
	if got := string(s.credentials()[v1alpha1.SecretKeyClientSecret]); got != adopted.Secret.Reveal() {
		t.Error("the team holds another secret than the server")
	}
}

// Nothing is rotated while the server is paused, and a rotation that the pause
// interrupts hands nothing over that the server does not know.
func TestRotationAndPause(t *testing.T) {
	pause := func(s *stage, value string) {
		edit(s, s.issuer, func(as *v1alpha1.AuthorizationServer) {
			as.Annotations = map[string]string{v1alpha1.AnnotationPaused: value}
		})
	}
	for name, interrupted := range map[string]bool{"paused before": false, "paused in between": true} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "keyed")
			s.manageOtherwise()
			s.reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodPrivateKeyJWT
			s.begin()
			first := string(s.credentials()[v1alpha1.SecretKeyKeyID])
			if interrupted {
				s.as.Fail(fake.Fault{Operation: fake.Replace, Err: unavailable}, fake.Fault{Operation: fake.Replace, Err: unavailable})
				s.broken["nothing"] = true
			} else {
				pause(s, "true")
			}
			ask := func(reg *v1alpha1.MCPClientRegistration) { reg.Annotations[v1alpha1.AnnotationRotate] = "now" }
			if interrupted {
				editOnce(s, s.reg, ask)
				s.pass()
				pause(s, "true")
			} else {
				edit(s, s.reg, ask)
			}
			s.later(time.Minute)
			if now := string(s.credentials()[v1alpha1.SecretKeyKeyID]); now != first || !s.keyed() {
				t.Errorf("while paused the key is another: %t; the server takes it: %t", now != first, s.keyed())
			}
			pause(s, "false")
			s.later(time.Minute)
			if now := string(s.credentials()[v1alpha1.SecretKeyKeyID]); now == first || !s.keyed() {
				t.Errorf("after the pause the key is the same: %t; the server takes it: %t", now == first, s.keyed())
			}
		})
	}
}

// A key that was replaced does not come back with an old Secret.
func TestAReplacedKeyDoesNotComeBack(t *testing.T) {
	s := newStage(t, "keyed")
	s.manageOtherwise()
	s.reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodPrivateKeyJWT
	s.begin()
	old := s.credentials()
	edit(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Annotations[v1alpha1.AnnotationRotate] = "now" })
	s.later(time.Hour)
	var secret corev1.Secret
	if err := s.Get(t.Context(), client.ObjectKey{Namespace: clientsPlace, Name: "keyed-mcp-client"}, &secret); err != nil {
		t.Fatal(err)
	}
	secret.Data = old
	if err := s.Update(t.Context(), &secret); err != nil {
		t.Fatal(err)
	}
	s.settle()
	if id := string(s.credentials()[v1alpha1.SecretKeyKeyID]); id == string(old[v1alpha1.SecretKeyKeyID]) || !s.keyed() {
		t.Errorf("the team has the old key: %t; the server takes what it has: %t", id == string(old[v1alpha1.SecretKeyKeyID]), s.keyed())
	}
	pair, err := readKeyPair(string(old[v1alpha1.SecretKeyPrivateKey]))
	if err != nil {
		t.Fatal(err)
	}
	if policy.Holds(s.live().Registered.JWKS, pair.JWKS) {
		t.Error("the server takes the old key again")
	}
}

// A client that somebody enables while its deletion fails is disabled again.
func TestT19EnabledWhileItsDeletionFails(t *testing.T) {
	s := newStage(t, "doomed")
	s.manageOtherwise()
	s.as.revocation = unavailable
	s.expires()
	if !s.live().Disabled {
		t.Fatal("the client is not disabled")
	}
	handle := authserver.Handle{ClientID: s.live().ID, Owner: policy.Owner("cluster", string(s.reg.UID))}
	wish := s.live().Registered
	wish.ID = s.live().ID
	if _, err := s.as.Replace(context.WithoutCancel(t.Context()), handle, wish); err != nil {
		t.Fatal(err)
	}
	s.later(time.Minute)
	if !s.live().Disabled {
		t.Error("the client is enabled and stays so")
	}
	s.as.revocation = nil
	s.later(time.Minute)
	if r := s.registration().Status.Revocation; len(s.as.Clients()) > 0 || r == nil || r.VerifiedAt == nil {
		t.Errorf("%d clients, revocation %+v", len(s.as.Clients()), r)
	}
}

// A request without an answer may be carried out after its deletion: its end is
// proven only when that is no longer possible.
func TestT19ALateRequestDoesNotOutliveItsProof(t *testing.T) {
	s := newStage(t, "late")
	s.manageOtherwise()
	s.as.registration = &authserver.Error{Kind: authserver.Unavailable, MaybeApplied: true}
	s.as.finding = unavailable
	s.begin()
	pending := s.stored()
	if !pending.Findable() {
		t.Fatalf("record %+v", pending)
	}
	s.as.registration, s.as.finding = nil, nil
	s.remove(s.reg)
	s.settle()
	s.registration()
	if _, err := s.as.Register(t.Context(), policy.Marked(authserver.ClientMetadata{ID: pending.Client.ID, AuthMethod: "none"}, "cluster", string(s.reg.UID), pending.Mark)); err != nil {
		t.Fatal(err)
	}
	s.later(31 * time.Second)
	s.later(31 * time.Second)
	if len(s.as.Clients()) > 0 {
		t.Error("the late client lives")
	}
	var gone v1alpha1.MCPClientRegistrationList
	if err := s.List(t.Context(), &gone); err != nil || len(gone.Items) > 0 {
		t.Errorf("%d registrations are left, %v", len(gone.Items), err)
	}
}

// A request is refused whose forerunner had no answer: what that one may have made, now
// or late, is known by its id. It is deleted again and nobody's orphan.
func TestRefusedAfterALostRequest(t *testing.T) {
	s := newStage(t, "refused-after")
	s.manageOtherwise()
	heard := &told{}
	s.registrations.Audit = heard
	s.as.registration = &authserver.Error{Kind: authserver.Unavailable, MaybeApplied: true}
	s.as.finding = unavailable
	s.begin()
	pending := s.stored()
	if !pending.Findable() {
		t.Fatalf("record %+v", pending)
	}
	s.as.registration, s.as.finding = &authserver.Error{Kind: authserver.Rejected, Code: "invalid_redirect_uri"}, nil
	s.settle()
	s.as.registration = nil
	if _, err := s.as.Register(t.Context(), policy.Marked(authserver.ClientMetadata{ID: pending.Client.ID, AuthMethod: "none"}, "cluster", string(s.reg.UID), pending.Mark)); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		s.later(15 * time.Second)
	}
	if clients := s.as.Clients(); len(clients) > 0 {
		t.Errorf("%d clients live", len(clients))
	}
	if !slices.Contains(heard.kinds, audit.PossibleOrphan) {
		t.Errorf("the audit record tells of %v", heard.kinds)
	}
	record := s.stored()
	if len(record.Orphans) > 0 || record.RefusedReason != v1alpha1.ReasonRejected || record.RefusedCode != "invalid_redirect_uri" {
		t.Errorf("record %+v", record)
	}
	if told := s.registration().Status; len(told.PossibleOrphans) > 0 || told.ClientID != "" {
		t.Errorf("status %+v", told)
	}
}

// stored is what is stored about the client.
func (s *stage) stored() policy.Record {
	s.t.Helper()
	var secret corev1.Secret
	if err := s.Get(s.t.Context(), client.ObjectKey{Namespace: stageOperator, Name: recordName(s.reg.UID)}, &secret); err != nil {
		s.t.Fatal(err)
	}
	record, err := decodeRecord(&secret)
	if err != nil {
		s.t.Fatal(err)
	}
	return record
}

// Where an AuthorizationServer became one that is managed in another way, or
// elsewhere, a client is revoked where it is.
func TestRevokedWhereItIs(t *testing.T) {
	s := newStage(t, "moved")
	s.begin()
	id := s.live().ID
	there := s.as.Server
	edit(s, s.issuer, func(as *v1alpha1.AuthorizationServer) {
		as.Spec.DynamicRegistration, as.Spec.Hydra = nil, &v1alpha1.HydraManagement{AdminURL: "https://hydra.example.com"}
	})
	s.settle()
	if configs := s.connector.Configs(); len(there.Clients()) > 0 && there.Clients()[0].ID == id {
		t.Errorf("the old client lives; last config %+v", configs[len(configs)-1])
	}
	if c := s.registration().Status.ClientID; c == id {
		t.Errorf("the status still names %s", c)
	}
}

// A suspended client dies with its AuthorizationServer.
func TestSuspendedDiesWithItsServer(t *testing.T) {
	s := newStage(t, "asleep")
	s.manageOtherwise()
	s.begin()
	edit(s, s.reg, suspend)
	s.settle()
	if !s.live().Disabled {
		t.Fatal("not disabled")
	}
	s.vanish(&v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: "company"}})
	s.later(time.Minute)
	if r := s.registration().Status.Revocation; len(s.as.Clients()) > 0 || r == nil || r.Cause != v1alpha1.CauseAuthorizationServerGone {
		t.Errorf("%d clients, revocation %+v", len(s.as.Clients()), r)
	}
}

// A client whose enabling has no answer may be enabled: suspended again, it is
// disabled again. One whose enabling was refused is still disabled, and is not
// asked about.
func TestSuspendedAgainWhileItsEnablingIsNotKnown(t *testing.T) {
	for name, c := range map[string]struct {
		answer    authserver.Error
		afterWork bool
		disables  int
	}{
		"carried out":     {authserver.Error{Kind: authserver.Unavailable, MaybeApplied: true}, true, 1},
		"not carried out": {authserver.Error{Kind: authserver.Unavailable, MaybeApplied: true}, false, 1},
		"refused":         {authserver.Error{Kind: authserver.Rejected}, false, 0},
		"not sent":        {authserver.Error{Kind: authserver.Unavailable}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "again")
			s.manageOtherwise()
			s.begin()
			suspend := func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateSuspended }
			edit(s, s.reg, suspend)
			c.answer.Op = "replacing client"
			s.as.Fail(fake.Fault{Operation: fake.Replace, AfterWork: c.afterWork, Err: &c.answer})
			editOnce(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateActive })
			_, err := s.registrations.Reconcile(t.Context(), s.registration())
			if (err == nil) != (c.answer.Kind == authserver.Rejected) || s.live().Disabled == c.afterWork {
				t.Fatalf("%v, disabled: %t", err, s.live().Disabled)
			}
			before := s.as.Calls(fake.Disable)
			edit(s, s.reg, suspend)
			if calls := s.as.Calls(fake.Disable) - before; !s.live().Disabled || calls != c.disables {
				t.Errorf("disabled: %t, by %d requests, want %d", s.live().Disabled, calls, c.disables)
			}
		})
	}
}
