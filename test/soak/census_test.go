// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build soak

package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

// world is everything there is at one moment, by name, UID or id.
type world struct {
	registrations map[string]*v1alpha1.MCPClientRegistration
	grants        map[string]*v1alpha1.ScopeGrant
	records       map[types.UID]*storedRecord
	secrets       map[string]*corev1.Secret
	clients       map[string]devas.Client
	as            v1alpha1.AuthorizationServer
}

// storedRecord is the part of a registration record that is compared.
type storedRecord struct {
	State     string   `json:"state"`
	Replacing bool     `json:"replacing"`
	Mark      string   `json:"mark"`
	Orphans   []string `json:"orphans"`
	Client    struct {
		ID              string `json:"id"`
		ManagementURI   string `json:"managementURI"`
		ManagementToken string `json:"managementToken"`
	} `json:"client"`
	labelled bool
}

// survey reads the world.
func survey(ctx context.Context, s *operator.Stage) (*world, error) {
	var registrations v1alpha1.MCPClientRegistrationList
	var grants v1alpha1.ScopeGrantList
	var secrets corev1.SecretList
	for _, list := range []client.ObjectList{&registrations, &grants, &secrets} {
		if err := s.List(ctx, list); err != nil {
			return nil, err
		}
	}
	w := &world{
		registrations: map[string]*v1alpha1.MCPClientRegistration{}, grants: map[string]*v1alpha1.ScopeGrant{},
		records: map[types.UID]*storedRecord{}, secrets: map[string]*corev1.Secret{}, clients: map[string]devas.Client{},
	}
	for i := range registrations.Items {
		w.registrations[registrations.Items[i].Name] = &registrations.Items[i]
	}
	for i := range grants.Items {
		w.grants[grants.Items[i].Name] = &grants.Items[i]
	}
	for _, c := range s.AS.Clients() {
		w.clients[c.ID] = c
	}
	for i := range secrets.Items {
		if err := w.addSecret(&secrets.Items[i]); err != nil {
			return nil, err
		}
	}
	return w, s.Get(ctx, client.ObjectKey{Name: operator.AuthorizationServer}, &w.as)
}

func (w *world) addSecret(secret *corev1.Secret) error {
	uid := secret.Labels[v1alpha1.LabelRegistrationUID]
	switch {
	case secret.Namespace == operator.TeamNamespace:
		w.secrets[secret.Name] = secret
	case secret.Namespace == operator.Namespace && uid != "":
		record := &storedRecord{labelled: secret.Labels[v1alpha1.LabelPossibleOrphan] == "true"}
		if err := json.Unmarshal(secret.Data["record.json"], record); err != nil {
			return fmt.Errorf("decoding record %s: %w", secret.Name, err)
		}
		w.records[types.UID(uid)] = record
	}
	return nil
}

// reported are the marks of all possible orphans that the operator names.
func (w *world) reported() map[string]bool {
	marks := map[string]bool{}
	for _, reg := range w.registrations {
		for _, mark := range reg.Status.PossibleOrphans {
			marks[mark] = true
		}
	}
	for _, record := range w.records {
		if record.labelled {
			for _, mark := range record.Orphans {
				marks[mark] = true
			}
		}
	}
	return marks
}

// differences compares the world with what the script wants. It is empty when
// the operator has kept every promise. lost are registrations whose client can
// no longer be managed; they are judged elsewhere.
func (w *world) differences(slots []*wanted, lost map[string]bool, now time.Time) []string {
	var found []string
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	wantedNames := map[string]bool{}
	for _, reg := range slots {
		if reg != nil {
			wantedNames[reg.name] = true
			if !lost[reg.name] {
				found = append(found, w.judge(reg, now)...)
			}
		}
	}
	for name, reg := range w.registrations {
		if !wantedNames[name] && !lost[name] {
			say("%s: still there, deleted %v", name, reg.DeletionTimestamp)
		}
	}
	found = append(found, w.compareClients(lost)...)
	found = append(found, w.compareRecords(lost)...)
	for name, secret := range w.secrets {
		if reg := w.registrations[ownerOf(secret)]; reg == nil || (reg.Status.SecretName != name && !lost[reg.Name]) {
			say("Secret %s of %s: belongs to no live client", name, ownerOf(secret))
		}
	}
	slices.Sort(found)
	return found
}

func ownerOf(secret *corev1.Secret) string {
	for _, reference := range secret.OwnerReferences {
		return reference.Name
	}
	return ""
}

// judge compares one registration with the wish and with its client.
func (w *world) judge(want *wanted, now time.Time) []string {
	reg := w.registrations[want.name]
	if reg == nil {
		return []string{want.name + ": is not there"}
	}
	state := ready(reg.Status.Conditions, reg.Status.ObservedGeneration, reg.Generation)
	if !slices.Contains(want.verdicts(now), state) {
		return []string{fmt.Sprintf("%s: Ready is %s, want one of %v", want.name, state, want.verdicts(now))}
	}
	found := w.judgeGrants(want, state == "True/Ready", now)
	if state != "True/Ready" {
		if reg.Status.ClientID != "" || !gone(reg, want.released) {
			found = append(found, fmt.Sprintf("%s: refused, but its client is not proven to be gone: %+v", want.name, reg.Status.Revocation))
		}
		return found
	}
	c, live := w.clients[reg.Status.ClientID]
	if !live {
		return append(found, fmt.Sprintf("%s: Ready, but its client %q is not live", want.name, reg.Status.ClientID))
	}
	scope := strings.Fields(c.Scope)
	slices.Sort(scope)
	if !slices.Equal(scope, want.inForce(now)) {
		found = append(found, fmt.Sprintf("%s: the client has scopes %v, want %v", want.name, scope, want.inForce(now)))
	}
	if name := fmt.Sprintf("%s [%s]", want.display, c.SoftwareVersion); c.Name != name {
		found = append(found, fmt.Sprintf("%s: the client is called %q, want %q", want.name, c.Name, name))
	}
	if want.redirects && !slices.Equal(c.RedirectURIs, []string{want.redirect}) {
		found = append(found, fmt.Sprintf("%s: the client redirects to %v, want %s", want.name, c.RedirectURIs, want.redirect))
	}
	return found
}

// gone says that a refused registration never had a client, that its absence
// is proven, that it is named as a possible orphan, or that a person answers for it:
// which the script knows, and the status must tell from a proof.
func gone(reg *v1alpha1.MCPClientRegistration, released bool) bool {
	revocation := reg.Status.Revocation
	if revocation == nil || revocation.VerifiedAt != nil || len(reg.Status.PossibleOrphans) > 0 {
		return true
	}
	registered := meta.FindStatusCondition(reg.Status.Conditions, v1alpha1.ConditionRegistered)
	return released && registered != nil && registered.Reason == v1alpha1.ReasonReleased
}

func (w *world) judgeGrants(want *wanted, applied bool, now time.Time) []string {
	var found []string
	for name, grant := range want.grants {
		object := w.grants[name]
		if object == nil {
			found = append(found, "grant "+name+": is not there")
			continue
		}
		state := ready(object.Status.Conditions, object.Status.ObservedGeneration, object.Generation)
		if isReady := state == "True/Ready"; state == "unseen" || isReady != (applied && now.Before(grant.expires)) {
			found = append(found, fmt.Sprintf("grant %s: Ready is %s, that of its registration %v", name, state, applied))
		}
	}
	return found
}

// compareClients holds that the live clients are those of the registrations and
// the reported possible orphans, and nobody else's.
func (w *world) compareClients(lost map[string]bool) []string {
	var found []string
	holders := map[string]string{}
	for name, reg := range w.registrations {
		id := reg.Status.ClientID
		if record := w.records[reg.UID]; lost[name] && record != nil {
			id = record.Client.ID
		}
		if id == "" {
			continue
		}
		if other := holders[id]; other != "" {
			found = append(found, fmt.Sprintf("client %s: held by both %s and %s", id, name, other))
		}
		holders[id] = name
	}
	reported := w.reported()
	for name, reg := range w.registrations {
		if record := w.records[reg.UID]; lost[name] && record != nil && record.State == "Pending" {
			// Its last request is on record, and a person is asked about it already.
			reported[record.Mark] = true
		}
	}
	for id, c := range w.clients {
		if isReported := reported[c.SoftwareVersion]; isReported == (holders[id] != "") {
			found = append(found, fmt.Sprintf("client %s (%s, mark %s): live, holder %q, reported as possible orphan %v", id, c.Name, c.SoftwareVersion, holders[id], isReported))
		}
	}
	return found
}

// compareRecords holds that a record without its object names possible
// orphans, and that the AuthorizationServer counts what there is.
func (w *world) compareRecords(lost map[string]bool) []string {
	var found []string
	objects := map[types.UID]*v1alpha1.MCPClientRegistration{}
	for _, reg := range w.registrations {
		objects[reg.UID] = reg
	}
	managed, orphans := 0, 0
	for uid, record := range w.records {
		orphans += len(record.Orphans)
		if record.labelled != (len(record.Orphans) > 0) {
			found = append(found, fmt.Sprintf("record %s: label of possible orphans %v, but there are %d", uid, record.labelled, len(record.Orphans)))
		}
		reg := objects[uid]
		switch {
		case reg == nil && len(record.Orphans) == 0:
			found = append(found, fmt.Sprintf("record %s: has no object and names no possible orphan", uid))
		case reg == nil:
		case lost[reg.Name]:
			// It may be one of which a person has to say what became of its client.
			if record.State == "Registered" {
				managed++
			}
		case reg.Status.ClientID != "":
			managed++
			if record.Client.ID != reg.Status.ClientID {
				found = append(found, fmt.Sprintf("%s: status names client %q, record %q", reg.Name, reg.Status.ClientID, record.Client.ID))
			}
		}
	}
	if c := w.as.Status.Clients; c == nil || int(c.Managed) != managed || int(c.PossibleOrphans) != orphans {
		found = append(found, fmt.Sprintf("AuthorizationServer: counts %+v, want %d managed clients and %d possible orphans", c, managed, orphans))
	}
	return found
}

// unclear names what must not be where the operator chooses client ids: two
// clients of one registration, one of no registration, and clients that only
// may be there.
func (w *world) unclear() []string {
	var found []string
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	owners, held := map[string]string{}, map[string]bool{}
	for _, reg := range w.registrations {
		held[reg.Status.ClientID] = true
	}
	for id, c := range w.clients {
		if other := owners[c.SoftwareID]; other != "" {
			say("clients %s and %s: both of %s", id, other, c.SoftwareID)
		}
		owners[c.SoftwareID] = id
		if !held[id] {
			say("client %s of %s: of no registration", id, c.SoftwareID)
		}
		if c.SoftwareID == "" {
			say("client %s: carries no mark of ownership", id)
		}
	}
	for mark := range w.reported() {
		say("mark %s: reported as possible orphan", mark)
	}
	return found
}

// realOrphans counts the clients that belong to nobody.
func (w *world) realOrphans() int {
	reported, n := w.reported(), 0
	for c := range maps.Values(w.clients) {
		if reported[c.SoftwareVersion] {
			n++
		}
	}
	return n
}

// ready is the Ready condition in short: "True/Ready", or "unseen" if it does
// not speak of the object as it now is.
func ready(conditions []metav1.Condition, observed, generation int64) string {
	c := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if c == nil || observed != generation {
		return "unseen"
	}
	return string(c.Status) + "/" + c.Reason
}

// explain says what is known of the registrations that differences speak of.
func (w *world) explain(differences []string, log []devas.Entry) string {
	var text strings.Builder
	for name, reg := range w.registrations {
		if !slices.ContainsFunc(differences, func(d string) bool { return strings.Contains(d, name) }) {
			continue
		}
		fmt.Fprintf(&text, "%s: %s, %s, expires %s, deleted %v, client %q, Secret %q, finalizers %v\n", name, reg.Spec.TokenEndpointAuthMethod,
			ready(reg.Status.Conditions, reg.Status.ObservedGeneration, reg.Generation), reg.Annotations[v1alpha1.AnnotationExpiresAt],
			reg.DeletionTimestamp, reg.Status.ClientID, reg.Status.SecretName, reg.Finalizers)
		record := w.records[reg.UID]
		if record == nil {
			text.WriteString("  no record\n")
			continue
		}
		fmt.Fprintf(&text, "  record: state %q, replacing %v, client %q, orphans %v\n", record.State, record.Replacing, record.Client.ID, record.Orphans)
		for _, entry := range log {
			if entry.ClientID != "" && entry.ClientID == record.Client.ID {
				fmt.Fprintf(&text, "  %s %s %d\n", entry.Time.UTC().Format(time.RFC3339Nano), entry.Operation, entry.Status)
			}
		}
	}
	return text.String()
}
