// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// saw holds each write against the authorization server at the moment at which
// it is made: what must hold at every moment, not only in the end.
func (s *scene) saw(old, object client.Object) {
	switch now := object.(type) {
	case nil:
		if gone, ok := old.(*v1alpha1.MCPClientRegistration); ok && controllerutil.ContainsFinalizer(gone, v1alpha1.Finalizer) {
			s.letGo(gone)
		}
	case *v1alpha1.MCPClientRegistration:
		before, known := old.(*v1alpha1.MCPClientRegistration)
		if known && controllerutil.ContainsFinalizer(before, v1alpha1.Finalizer) && !controllerutil.ContainsFinalizer(now, v1alpha1.Finalizer) {
			s.letGo(now)
		}
		if known && !reflect.DeepEqual(before.Status, now.Status) {
			s.stated(now)
		}
	case *corev1.Secret:
		if now.Type == v1alpha1.SecretTypeCredentials {
			s.handedOut(now)
		}
	}
}

// letGo holds that the finalizer goes only when nothing is left, but for what
// was reported.
func (s *scene) letGo(reg *v1alpha1.MCPClientRegistration) {
	for _, live := range s.clientsOf(string(reg.UID)) {
		if !s.reported(live) && !s.released {
			s.problem("the finalizer went while the client %s lives", live.ID)
		}
	}
}

// single holds that a registration never has two clients, but for what was
// reported before the second came into being.
func (s *scene) single() {
	owners := map[string]string{}
	for _, live := range s.fake.Clients() {
		owner := live.Registered.SoftwareID
		if s.stranger(live) || s.reported(live) || strings.HasSuffix(owner, "/lost") {
			continue
		}
		if other := owners[owner]; other != "" {
			s.problem("the clients %s and %s live for one registration", other, live.ID)
		}
		owners[owner] = live.ID
	}
}

// bound holds that there is no client of an object that could go without it.
func (s *scene) bound() {
	var reg v1alpha1.MCPClientRegistration
	if s.released || !s.read(&reg, s.key) || controllerutil.ContainsFinalizer(&reg, v1alpha1.Finalizer) {
		return
	}
	if len(s.clientsOf(string(reg.UID))) > 0 {
		s.problem("there is a client and its object has no finalizer")
	}
}

// clientsOf are the live clients of a registration.
func (s *scene) clientsOf(uid string) []authserver.Client {
	return slices.DeleteFunc(s.fake.Clients(), func(c authserver.Client) bool {
		return c.Registered.SoftwareID != "mcp-registrar/"+clusterName+"/"+uid
	})
}

// reported says that a client is on record as a possible orphan.
func (s *scene) reported(c authserver.Client) bool {
	for _, object := range s.cluster.at("Secret", s.cluster.latest("Secret")) {
		record, ok := object.(*corev1.Secret)
		if !ok || record.Type != v1alpha1.SecretTypeRecord || record.Labels[v1alpha1.LabelPossibleOrphan] != "true" {
			continue
		}
		if slices.Contains(readRecord(record).Orphans, c.Registered.SoftwareVersion) {
			return true
		}
	}
	return false
}

// storedRecord is what is read of a registration record.
type storedRecord struct {
	State     string
	Orphans   []string
	Replacing bool
	Client    struct {
		ID              string
		ManagementToken string
		Secret          string
	}
}

func readRecord(secret *corev1.Secret) storedRecord {
	var record storedRecord
	if err := json.Unmarshal(secret.Data["record.json"], &record); err != nil {
		record.State = "unreadable: " + err.Error()
	}
	return record
}

// stated holds a status against the truth.
func (s *scene) stated(reg *v1alpha1.MCPClientRegistration) {
	client := s.client(reg.Status.ClientID)
	if meta.IsStatusConditionTrue(reg.Status.Conditions, v1alpha1.ConditionReady) {
		switch {
		case client == nil:
			s.problem("Ready is True and there is no client %q", reg.Status.ClientID)
		case client.Disabled:
			s.problem("Ready is True and the client %s is disabled", client.ID)
		case !slices.Equal(scopeNames(reg), sorted(client.Registered.Scopes)):
			s.problem("status.scopes %v, the client has %v", scopeNames(reg), client.Registered.Scopes)
		default:
			s.holdsCredentials(client)
		}
	}
	r := reg.Status.Revocation
	if r == nil || r.ClientID == "" || r.ClientID == reg.Status.ClientID && r.RevokedAtASAt == nil {
		return
	}
	revoked, ready := s.client(r.ClientID), meta.IsStatusConditionTrue(reg.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case revoked == nil, ready && r.ClientID == reg.Status.ClientID:
	case r.VerifiedAt != nil && !revoked.Disabled:
		s.problem("status.revocation.verifiedAt is set and the client %s lives", r.ClientID)
	case r.RevokedAtASAt != nil && !revoked.Disabled && !s.deceived:
		s.problem("status.revocation.revokedAtASAt is set and the client %s can be used", r.ClientID)
	}
}

func (s *scene) client(id string) *authserver.Client {
	for _, client := range s.fake.Clients() {
		if client.ID == id {
			return &client
		}
	}
	return nil
}

func scopeNames(reg *v1alpha1.MCPClientRegistration) []string {
	var names []string
	for _, scope := range reg.Status.Scopes {
		names = append(names, scope.Name)
	}
	return sorted(names)
}

func sorted(values []string) []string {
	copied := slices.Clone(values)
	slices.Sort(copied)
	return copied
}

// wantsSecret says that the team holds a Secret.
func (s *scene) wantsSecret() bool { return s.method != v1alpha1.AuthMethodNone }

// held is what the team's Secret holds; nil where there is none.
func (s *scene) held() map[string][]byte {
	var secret corev1.Secret
	if !s.wantsSecret() || !s.read(&secret, client.ObjectKey{Namespace: s.name, Name: registrationName + "-mcp-client"}) {
		return nil
	}
	return secret.Data
}

// holdsCredentials holds that what the team has works.
func (s *scene) holdsCredentials(c *authserver.Client) {
	if !s.wantsSecret() {
		return
	}
	if held := s.held(); held == nil {
		s.problem("Ready is True and the team has no credentials")
	} else if refusal := s.refusal(held, c); refusal != "" {
		s.problem("Ready is True and the credentials do not work: %s", refusal)
	}
}

// refusal says why the authorization server refuses credentials; empty where it
// takes them.
func (s *scene) refusal(held map[string][]byte, c *authserver.Client) string {
	switch {
	case c == nil:
		return "there is no client " + string(held[v1alpha1.SecretKeyClientID])
	case string(held[v1alpha1.SecretKeyClientID]) != c.ID:
		return "the Secret names the client " + string(held[v1alpha1.SecretKeyClientID]) + ", which is " + c.ID
	case s.method == v1alpha1.AuthMethodClientSecretBasic && string(held[v1alpha1.SecretKeyClientSecret]) != c.Secret.Reveal():
		return "the client has another secret"
	case s.method == v1alpha1.AuthMethodPrivateKeyJWT && !knowsKey(held, s.keysToHandOut(c)):
		return "the client has another key"
	case string(held[v1alpha1.SecretKeyTokenEndpoint]) == "":
		return "the Secret has no token endpoint"
	}
	return ""
}

// knowsKey says that a JWK set holds the key of some credentials.
func knowsKey(held map[string][]byte, keys string) bool {
	id := string(held[v1alpha1.SecretKeyKeyID])
	return id != "" && strings.Contains(keys, id)
}

// keysToHandOut are the keys of a client that its team may be given: those in
// force. Of a client whose only key was lost it is enough that the next one is
// registered: the team has no other.
func (s *scene) keysToHandOut(c *authserver.Client) string {
	if strings.Count(c.Registered.JWKS, `"kid"`) == 1 {
		return c.Registered.JWKS
	}
	return s.fake.KeysInForce(c.ID)
}

// handedOut holds that a team is given nothing that the authorization server
// does not take.
func (s *scene) handedOut(now *corev1.Secret) {
	for _, key := range []string{v1alpha1.SecretKeyPrivateKey, v1alpha1.SecretKeyClientSecret} {
		s.ledger.secret(key, string(now.Data[key]))
	}
	client := s.client(string(now.Data[v1alpha1.SecretKeyClientID]))
	if refusal := s.refusal(now.Data, client); refusal != "" {
		s.problem("credentials were handed out that do not work: %s", refusal)
	}
}
