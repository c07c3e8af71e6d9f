// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

const (
	// bound is how long after the instant everything must be true.
	bound = 10 * time.Second
	// patience is how long a client may take to be there, and everything to go.
	patience = 30 * time.Second
	// most is how often a tenant is refused before that is a fault of ours.
	most = 40
)

// life is that of one tenant.
type life struct {
	*world
	*objects
	*tally
	dice       dice
	index      int
	stem       string
	odd, did   []string
	server7591 *devas.Server
	front      *front
	// id, party and token are of the client while it lived.
	id    string
	party *party
	token string
}

// draw makes the objects of a tenant. What it is that is odd about a tenant is
// dealt out, so that all has its turn; the rest is chance.
func (l *life) draw(attempt int) {
	l.dice = dice{rand.New(rand.NewPCG(l.seed, uint64(l.index)<<16|uint64(attempt)))}
	l.stem = fmt.Sprintf("t-%d-%d", l.index, attempt)
	l.objects, l.odd, l.did = newObjects(l.stem, l.stem), nil, nil
	switch l.dice.IntN(4) {
	case 0:
		l.reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodPrivateKeyJWT
	case 1:
		l.reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodNone
		l.interactive(v1alpha1.ApplicationNative, "http://127.0.0.1/callback")
	}
	if l.dice.odds(3) {
		l.grants[0].Spec.Scopes = names(l.server.Spec.Scopes)
	}
	dealt := l.dealt(l.world.policies, l.index)
	for i := range 1 + l.dice.IntN(3) {
		one := dealt
		if i > 0 || attempt > most/2 {
			one = pick(l.dice, oddities...)
		}
		if one.bare && l.world.policies && i > 0 || slices.Contains(l.odd, one.name) {
			continue
		}
		one.make(l.dice, l.objects)
		l.odd = append(l.odd, one.name)
	}
}

// begin has the API server take the objects of a tenant. What it refuses does not
// count: another one is drawn.
func (l *life) begin(ctx context.Context) error {
	var last error
	for attempt := range most {
		l.draw(attempt)
		last = l.enter(ctx)
		if last == nil {
			l.tally.admit(l.odd)
			return nil
		}
		if !apierrors.IsInvalid(last) && !apierrors.IsForbidden(last) && !apierrors.IsRequestEntityTooLargeError(last) && !apierrors.IsBadRequest(last) && !tooLarge(last) {
			return last
		}
		l.tally.refuse(l.odd, last)
		if err := l.leave(ctx); err != nil {
			return err
		}
	}
	return fmt.Errorf("%d tenants were refused: %w", most, last)
}

// tooLarge says that storage does not take an object.
func tooLarge(err error) bool {
	return strings.Contains(err.Error(), "too large") || strings.Contains(err.Error(), "larger than max")
}

// enter starts the authorization server and creates everything.
func (l *life) enter(ctx context.Context) error {
	var err error
	if l.server7591, err = devas.New(devas.Options{Switches: l.switches, Hydra: l.ownIDs}); err != nil {
		return err
	}
	if err := l.server7591.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	l.as.Spec.Issuer, l.as.Spec.DynamicRegistration = l.server7591.Issuer(), &v1alpha1.DynamicRegistration{}
	if l.ownIDs {
		l.as.Spec.DynamicRegistration, l.as.Spec.Hydra = nil, &v1alpha1.HydraManagement{AdminURL: l.server7591.HydraURL()}
	}
	if err := l.world.Create(ctx, l.as); err != nil {
		return err
	}
	if err := l.send(ctx, "mcpservers", l.server); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	for _, grant := range l.grants {
		if err := l.send(ctx, "scopegrants", grant); err != nil {
			return fmt.Errorf("grant: %w", err)
		}
	}
	if l.approval != nil {
		if err := l.world.Create(ctx, l.approval); err != nil {
			return fmt.Errorf("approval: %w", err)
		}
	}
	if err := l.send(ctx, "mcpclientregistrations", l.reg); err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	if err := l.apply(ctx, l.objects); err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	return l.world.Get(ctx, client.ObjectKeyFromObject(l.reg), l.reg)
}

// live is the life of a tenant from its beginning to its end.
func (l *life) live(ctx context.Context) (err error) {
	if err := l.begin(ctx); err != nil {
		return err
	}
	if l.front, err = l.newFront(ctx, l.server.Name); err != nil {
		return err
	}
	hasty := l.dice.odds(12)
	if !hasty {
		if err := l.awaitClient(ctx); err != nil {
			return err
		}
	}
	for range l.dice.IntN(3) {
		one := pick(l.dice, changes...)
		said := ""
		if err := one.make(ctx, l); err != nil {
			said = ": " + brief(err)
		}
		l.did = append(l.did, one.name+said)
		if l.dice.odds(2) {
			time.Sleep(time.Duration(l.dice.IntN(1000)) * time.Millisecond)
		}
	}
	due, err := l.end(ctx)
	if err != nil {
		return err
	}
	if err := l.awaitEnd(ctx, due); err != nil {
		return err
	}
	return l.depart(ctx)
}

func brief(err error) string {
	text := err.Error()
	return text[:min(len(text), 160)]
}

// awaitClient waits until the client is there, or it is said why there is none,
// and has it get a token that the guard lets pass.
func (l *life) awaitClient(ctx context.Context) error {
	for end := time.Now().Add(patience); ; time.Sleep(2 * often) {
		if err := l.world.Get(ctx, client.ObjectKeyFromObject(l.reg), l.reg); err != nil {
			return err
		}
		ready := meta.FindStatusCondition(l.reg.Status.Conditions, v1alpha1.ConditionReady)
		if ready != nil && ready.Status == "True" && l.reg.Status.ClientID != "" {
			break
		}
		if ready != nil && (meta.IsStatusConditionTrue(l.reg.Status.Conditions, v1alpha1.ConditionStalled) || ready.Reason == v1alpha1.ReasonNoGrantInForce) {
			// Grants may follow; what is refused is refused.
			if time.Since(l.reg.CreationTimestamp.Time) > 4*time.Second {
				l.tally.without(ready.Reason)
				return nil
			}
		}
		if time.Now().After(end) {
			reason := "no status"
			if ready != nil {
				reason = ready.Reason
			}
			l.tally.without(reason)
			return nil
		}
	}
	l.id = l.reg.Status.ClientID
	l.tally.registered()
	return l.obtain(ctx)
}

// obtain gets a token, where the tenant can, and has the guard let it pass.
func (l *life) obtain(ctx context.Context) error {
	if l.reg.Spec.JWKS != "" {
		return nil
	}
	var secret *corev1.Secret
	if name := l.reg.Status.SecretName; name != "" {
		secret = &corev1.Secret{}
		if err := l.world.Get(ctx, client.ObjectKey{Namespace: teamNamespace, Name: name}, secret); err != nil {
			return err
		}
	}
	var err error
	if l.party, err = newParty(l.server7591, l.reg, secret); err != nil {
		return err
	}
	if len(l.reg.Status.Scopes) == 0 {
		return nil
	}
	l.token, err = l.party.token(ctx, l.reg, l.reg.Status.Scopes[0].Name, policy.AudienceOf(l.server))
	if err != nil {
		return err
	}
	l.tally.token()
	for end := time.Now().Add(patience); ; time.Sleep(often) {
		passed, said, err := l.front.ask(ctx, l.token)
		if err != nil || passed {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the guard refuses a client in good standing: %s", said)
		}
	}
}

// end brings the end about, in one of the ways that the API server takes.
func (l *life) end(ctx context.Context) (time.Time, error) {
	for range most {
		one := pick(l.dice, ends...)
		if one.bare && l.world.policies {
			continue
		}
		due, err := one.make(ctx, l)
		if err == nil {
			l.did = append(l.did, "END "+one.name)
			l.tally.ended(one.name)
			return due, nil
		}
		l.did = append(l.did, one.name+": "+brief(err))
		if apierrors.IsNotFound(err) {
			continue
		}
		if !apierrors.IsInvalid(err) && !apierrors.IsForbidden(err) && !tooLarge(err) {
			return due, err
		}
	}
	return time.Time{}, errors.New("every end was refused")
}

// awaitEnd holds that all is true within the bound, on a machine that is not too
// busy.
func (l *life) awaitEnd(ctx context.Context, due time.Time) error {
	last := []string{"nothing"}
	for {
		missing, err := l.gone(ctx)
		late, excuse := time.Since(due), l.pulse.excuse(due)
		allowed := time.Duration(excuse * float64(bound))
		switch {
		case err != nil:
			return err
		case len(missing) == 0 && late <= allowed:
			l.tally.took(late, excuse)
			return nil
		case len(missing) == 0:
			return fmt.Errorf("only %s after the instant, and %s were allowed; last: %s", late, allowed, strings.Join(last, "; "))
		case late > allowed+patience:
			return fmt.Errorf("not even %s after the instant: %s", late.Round(time.Second), strings.Join(missing, "; "))
		}
		last = missing
		time.Sleep(often)
	}
}

// depart deletes what is left and holds that nothing stays behind.
func (l *life) depart(ctx context.Context) error {
	if err := l.teams.Delete(ctx, l.reg.DeepCopy()); client.IgnoreNotFound(err) != nil {
		return err
	}
	if err := l.unfinalize(ctx); err != nil {
		return err
	}
	for end := time.Now().Add(patience + bound); ; time.Sleep(2 * often) {
		err := l.world.Get(ctx, client.ObjectKeyFromObject(l.reg), &v1alpha1.MCPClientRegistration{})
		kept := "the registration stays although it is deleted"
		if apierrors.IsNotFound(err) {
			kept, err = l.kept(ctx)
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		if live := len(l.server7591.Clients()); kept == "" && live == 0 {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d clients live; %s", len(l.server7591.Clients()), kept)
		}
	}
	return l.leave(ctx)
}

// unfinalize takes the finalizers of others off.
func (l *life) unfinalize(ctx context.Context) error {
	err := edit(ctx, l.world.Client, l.reg.DeepCopy(), func(reg *v1alpha1.MCPClientRegistration) {
		reg.Finalizers = slices.DeleteFunc(reg.Finalizers, func(f string) bool { return f != v1alpha1.Finalizer })
	})
	return client.IgnoreNotFound(err)
}

// leave deletes the rest.
func (l *life) leave(ctx context.Context) error {
	objects := []client.Object{l.server, l.reg, l.as}
	for _, grant := range l.grants {
		objects = append(objects, grant)
	}
	if l.approval != nil {
		objects = append(objects, l.approval)
	}
	for _, object := range objects {
		err := l.world.Delete(ctx, object)
		if apierrors.IsForbidden(err) {
			// The count of clients that live on it is some seconds old.
			err = l.confirmed(ctx, object)
		}
		if client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	if err := l.unfinalize(ctx); err != nil {
		return err
	}
	return l.close()
}

// confirmed deletes what clients may live on.
func (l *life) confirmed(ctx context.Context, object client.Object) error {
	confirmation := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"999999999"}}}`, v1alpha1.AnnotationConfirmDeletion)
	if err := l.world.Patch(ctx, object, client.RawPatch(types.MergePatchType, confirmation)); err != nil {
		return err
	}
	return l.world.Delete(ctx, object)
}

// close ends what runs for the tenant.
func (l *life) close() error {
	if l.front != nil {
		l.front.end()
		l.front = nil
	}
	if l.server7591 == nil {
		return nil
	}
	return l.server7591.Close()
}

// describe says what a tenant was like, so that one can see what was wrong.
func (l *life) describe(ctx context.Context) string {
	text := fmt.Sprintf("odd: %s\ndid: %s\n", strings.Join(l.odd, ", "), strings.Join(l.did, ", "))
	var reg v1alpha1.MCPClientRegistration
	err := l.world.Get(context.WithoutCancel(ctx), client.ObjectKeyFromObject(l.reg), &reg)
	if err != nil {
		text += brief(err) + "\n"
	}
	text += fmt.Sprintf("client %q, token %t, deletion %v, %d finalizers, revocation %+v\n", reg.Status.ClientID, l.token != "", reg.DeletionTimestamp, len(reg.Finalizers), reg.Status.Revocation)
	for _, c := range reg.Status.Conditions {
		text += fmt.Sprintf("  %s=%s %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	if l.front != nil {
		l.front.mu.Lock()
		defer l.front.mu.Unlock()
		text += "the guard: " + strings.Join(l.front.said, "\n  ") + "\n"
	}
	log := l.server7591.Log()
	for _, entry := range log[max(0, len(log)-12):] {
		text += fmt.Sprintf("  %s %s %s %d\n", entry.Time.Format("15:04:05.000"), entry.Operation, entry.ClientID, entry.Status)
	}
	return text
}
