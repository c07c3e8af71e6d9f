// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build soak

package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

const (
	// far is an end date that no run reaches.
	far = 24 * time.Hour
	// maxGrants is how many grants a registration has at most.
	maxGrants = 3
)

// catalogue are the servers and their scopes, whose names begin with that of
// their server.
var catalogue = map[string][]v1alpha1.ScopeName{
	"files": {"files:list:read", "files:item:read", "files:tree:read", "files:size:read"},
	"notes": {"notes:list:read", "notes:item:read", "notes:tree:read", "notes:size:read"},
}

// wanted is a registration as the script last left it.
type wanted struct {
	name      string
	method    v1alpha1.TokenEndpointAuthMethod
	redirects bool
	display   string
	redirect  string
	expires   time.Time
	suspended bool
	// released says that a person let go of a client of it.
	released bool
	grants   map[string]*wantedGrant
}

type wantedGrant struct {
	server  string
	scopes  []v1alpha1.ScopeName
	expires time.Time
}

// script creates, changes and deletes registrations. What it does next depends
// on the seed and on nothing else.
type script struct {
	client client.Client
	random *rand.Rand
	// slots hold a registration each, or none.
	slots []*wanted
	// made counts names, which are never used again.
	made, steps int
}

func newScript(c client.Client, seed uint64, registrations int) *script {
	return &script{client: c, random: rand.New(rand.NewPCG(seed, 1)), slots: make([]*wanted, registrations)}
}

// run goes on until the context ends, which is not an error.
func (s *script) run(ctx context.Context, pace time.Duration) error {
	for {
		pause := time.Duration(s.random.Int64N(int64(2 * pace)))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		// A step is not cut off: what it did would not be known.
		if err := s.step(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("step %d of the script: %w", s.steps, err)
		}
		s.steps++
	}
}

// fill creates what is missing.
func (s *script) fill(ctx context.Context) error {
	for i := range s.slots {
		if s.slots[i] == nil {
			if err := s.create(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *script) step(ctx context.Context) error {
	i := s.random.IntN(len(s.slots))
	if s.slots[i] == nil {
		return s.create(ctx, i)
	}
	reg := s.slots[i]
	switch n := s.random.IntN(100); {
	case n < 14:
		return s.delete(ctx, i)
	case n < 34:
		return s.addGrant(ctx, reg)
	case n < 54:
		return s.removeGrant(ctx, reg)
	case n < 66:
		return s.rename(ctx, reg, fmt.Sprintf("%s %d", reg.name, s.random.IntN(1000)))
	case n < 78:
		return s.redirect(ctx, reg)
	case n < 90:
		return s.moveEnd(ctx, reg)
	case n < 95:
		return s.moveGrantEnd(ctx, reg)
	default:
		return s.suspend(ctx, reg)
	}
}

func (s *script) create(ctx context.Context, slot int) error {
	methods := []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodNone, v1alpha1.AuthMethodClientSecretBasic, v1alpha1.AuthMethodPrivateKeyJWT}
	s.made++
	reg := &wanted{
		name: fmt.Sprintf("client-%05d", s.made), method: methods[s.random.IntN(len(methods))],
		expires: time.Now().Add(far), grants: map[string]*wantedGrant{},
	}
	reg.display = reg.name
	if reg.redirects = reg.method == v1alpha1.AuthMethodNone || s.random.IntN(2) == 0; reg.redirects {
		reg.redirect = s.newRedirect()
	}
	s.slots[slot] = reg
	late := s.random.IntN(2) == 0
	if !late {
		if err := s.addGrant(ctx, reg); err != nil {
			return err
		}
	}
	if err := s.client.Create(ctx, reg.object(s.random.IntN(2) == 0)); err != nil {
		return err
	}
	for len(reg.grants) < 1+s.random.IntN(2) {
		if err := s.addGrant(ctx, reg); err != nil {
			return err
		}
	}
	return nil
}

// createSteady creates a registration in a slot of its own, which nothing but
// the caller changes.
func (s *script) createSteady(ctx context.Context, name string) (*wanted, error) {
	reg := &wanted{
		name: name, display: name, method: v1alpha1.AuthMethodClientSecretBasic,
		expires: time.Now().Add(far), grants: map[string]*wantedGrant{},
	}
	s.slots = append(s.slots, reg)
	if err := s.addGrant(ctx, reg); err != nil {
		return nil, err
	}
	return reg, s.client.Create(ctx, reg.object(false))
}

func (s *script) rename(ctx context.Context, reg *wanted, display string) error {
	reg.display = display
	return s.patch(ctx, reg, map[string]any{"spec": map[string]any{"clientName": display}})
}

func (w *wanted) object(credentials bool) *v1alpha1.MCPClientRegistration {
	reg := &v1alpha1.MCPClientRegistration{
		ObjectMeta: metav1.ObjectMeta{Namespace: operator.TeamNamespace, Name: w.name, Annotations: operator.Identity(w.expires)},
		Spec: v1alpha1.MCPClientRegistrationSpec{
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: operator.AuthorizationServer},
			ClientName:             w.display, ApplicationType: v1alpha1.ApplicationWeb,
			TokenEndpointAuthMethod: w.method,
		},
	}
	if w.method != v1alpha1.AuthMethodNone {
		reg.Spec.GrantTypes = append(reg.Spec.GrantTypes, v1alpha1.GrantClientCredentials)
	}
	if w.redirects {
		reg.Spec.GrantTypes = append(reg.Spec.GrantTypes, v1alpha1.GrantAuthorizationCode)
		reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{v1alpha1.RedirectURI(w.redirect)}
	}
	if credentials {
		reg.Spec.Credentials = &v1alpha1.Credentials{SecretName: w.name + "-oauth"}
	}
	return reg
}

func (s *script) newRedirect() string {
	return fmt.Sprintf("https://app.example.com/callback/%d", s.random.IntN(1_000_000))
}

func (s *script) redirect(ctx context.Context, reg *wanted) error {
	if !reg.redirects {
		return s.moveEnd(ctx, reg)
	}
	reg.redirect = s.newRedirect()
	return s.patch(ctx, reg, map[string]any{"spec": map[string]any{"redirectURIs": []string{reg.redirect}}})
}

// newEnd is, one time in three, so near that the end comes during the run.
func (s *script) newEnd() time.Time {
	if s.random.IntN(3) == 0 {
		return time.Now().Add(time.Duration(1000+s.random.IntN(3000)) * time.Millisecond)
	}
	return time.Now().Add(far + time.Duration(s.random.IntN(1000))*time.Second)
}

func (s *script) moveEnd(ctx context.Context, reg *wanted) error {
	reg.expires = s.newEnd()
	return s.patch(ctx, reg, map[string]any{"metadata": map[string]any{"annotations": operator.Identity(reg.expires)}})
}

func (s *script) moveGrantEnd(ctx context.Context, reg *wanted) error {
	name, ok := s.anyGrant(reg)
	if !ok {
		return s.addGrant(ctx, reg)
	}
	grant := reg.grants[name]
	grant.expires = s.newEnd()
	object := &v1alpha1.ScopeGrant{ObjectMeta: metav1.ObjectMeta{Namespace: operator.TeamNamespace, Name: name}}
	return s.merge(ctx, object, map[string]any{"metadata": map[string]any{"annotations": operator.Identity(grant.expires)}})
}

func (s *script) suspend(ctx context.Context, reg *wanted) error {
	reg.suspended = !reg.suspended
	state := v1alpha1.StateActive
	if reg.suspended {
		state = v1alpha1.StateSuspended
	}
	return s.patch(ctx, reg, map[string]any{"spec": map[string]any{"state": state}})
}

func (s *script) addGrant(ctx context.Context, reg *wanted) error {
	if len(reg.grants) >= maxGrants {
		return s.removeGrant(ctx, reg)
	}
	s.made++
	name := fmt.Sprintf("%s-%05d", reg.name, s.made)
	servers := slices.Sorted(maps.Keys(catalogue))
	grant := &wantedGrant{server: servers[s.random.IntN(len(servers))], expires: time.Now().Add(far)}
	scopes := catalogue[grant.server]
	for _, scope := range scopes {
		if s.random.IntN(2) == 0 {
			grant.scopes = append(grant.scopes, scope)
		}
	}
	if len(grant.scopes) == 0 {
		grant.scopes = scopes[:1]
	}
	reg.grants[name] = grant
	return s.client.Create(ctx, &v1alpha1.ScopeGrant{
		ObjectMeta: metav1.ObjectMeta{Namespace: operator.TeamNamespace, Name: name, Annotations: operator.Identity(grant.expires)},
		Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: reg.name}, ServerRef: v1alpha1.ServerReference{Name: grant.server}, Scopes: grant.scopes,
		},
	})
}

func (s *script) removeGrant(ctx context.Context, reg *wanted) error {
	name, ok := s.anyGrant(reg)
	if !ok {
		return s.addGrant(ctx, reg)
	}
	delete(reg.grants, name)
	return s.client.Delete(ctx, &v1alpha1.ScopeGrant{ObjectMeta: metav1.ObjectMeta{Namespace: operator.TeamNamespace, Name: name}})
}

// anyGrant picks in the order of names: that of a map differs from run to run.
func (s *script) anyGrant(reg *wanted) (string, bool) {
	if len(reg.grants) == 0 {
		return "", false
	}
	names := slices.Sorted(maps.Keys(reg.grants))
	return names[s.random.IntN(len(names))], true
}

// delete deletes a registration with its grants, in either order.
func (s *script) delete(ctx context.Context, slot int) error {
	reg := s.slots[slot]
	s.slots[slot] = nil
	object := &v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{Namespace: operator.TeamNamespace, Name: reg.name}}
	first := s.random.IntN(2) == 0
	var errs []error
	if first {
		errs = append(errs, s.client.Delete(ctx, object))
	}
	for _, name := range slices.Sorted(maps.Keys(reg.grants)) {
		errs = append(errs, s.client.Delete(ctx, &v1alpha1.ScopeGrant{ObjectMeta: metav1.ObjectMeta{Namespace: operator.TeamNamespace, Name: name}}))
	}
	if !first {
		errs = append(errs, s.client.Delete(ctx, object))
	}
	return errors.Join(errs...)
}

func (s *script) patch(ctx context.Context, reg *wanted, change map[string]any) error {
	return s.merge(ctx, &v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{Namespace: operator.TeamNamespace, Name: reg.name}}, change)
}

func (s *script) merge(ctx context.Context, object client.Object, change map[string]any) error {
	data, err := json.Marshal(change)
	if err != nil {
		return err
	}
	return s.client.Patch(ctx, object, client.RawPatch("application/merge-patch+json", data))
}

// inForce are the scopes that the grants of a registration give at an instant.
func (w *wanted) inForce(now time.Time) []string {
	all := map[string]bool{}
	for _, grant := range w.grants {
		if now.Before(grant.expires) {
			for _, scope := range grant.scopes {
				all[string(scope)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// verdicts are what Ready may say at an instant: more than one where several
// reasons hold.
func (w *wanted) verdicts(now time.Time) []string {
	var found []string
	if !now.Before(w.expires) {
		found = append(found, "False/"+v1alpha1.ReasonExpired)
	}
	if w.suspended {
		found = append(found, "False/"+v1alpha1.ReasonSuspended)
	}
	if len(w.inForce(now)) == 0 {
		found = append(found, "False/"+v1alpha1.ReasonNoGrantInForce)
	}
	if found == nil {
		return []string{"True/" + v1alpha1.ReasonReady}
	}
	return found
}
