// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
)

// end is a way in which a client has to go.
type end struct {
	name string
	// make brings it about and returns the instant from which the client must not
	// exist.
	make func(ctx context.Context, l *life) (due time.Time, err error)
	// bare is refused by our admission policies.
	bare bool
}

func now(err error) (time.Time, error) { return time.Now(), err }

// ended edits the registration so that its client has to go.
func ended(mutate func(d dice, reg *v1alpha1.MCPClientRegistration)) func(context.Context, *life) (time.Time, error) {
	return func(ctx context.Context, l *life) (time.Time, error) { return now(changed(mutate)(ctx, l)) }
}

// disallowed changes what the platform team allows.
func disallowed(mutate func(as *v1alpha1.AuthorizationServer)) func(context.Context, *life) (time.Time, error) {
	return func(ctx context.Context, l *life) (time.Time, error) {
		return now(edit(ctx, l.world.Client, l.as.DeepCopy(), mutate))
	}
}

// instant writes an end date in one of the ways in which it can be read.
func (d dice) instant(at time.Time) string {
	return pick(d,
		at.UTC().Format("2006-01-02T15:04:05.000Z"), at.In(time.FixedZone("", 23*3600+59*60)).Format("2006-01-02T15:04:05.000000000000-07:00"),
		at.UTC().Format("2006-01-02T15:04:05.000Z"), at.UTC().Format("2006-01-02T15:04:05,000")+strings.Repeat("0", 500)+"Z",
	)
}

// ends are all of them.
var ends = []end{
	{name: "deleted", make: func(ctx context.Context, l *life) (time.Time, error) {
		return now(l.teams.Delete(ctx, l.reg.DeepCopy(), client.PropagationPolicy(pick(l.dice, metav1.DeletePropagationForeground, metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan))))
	}},
	{name: "deleted with all of its objects", make: func(ctx context.Context, l *life) (time.Time, error) {
		if _, err := l.withoutServer(ctx); err != nil {
			return now(err)
		}
		if err := l.teams.Delete(ctx, l.reg.DeepCopy()); err != nil {
			return now(err)
		}
		return now(l.ungranted(ctx))
	}},
	{name: "deleted without finalizers", bare: true, make: pastFinalizers},
	{name: "deleted without finalizers, with the authorization server", bare: true, make: func(ctx context.Context, l *life) (time.Time, error) {
		if _, err := l.withoutAuthorizationServer(ctx); err != nil {
			return now(err)
		}
		return pastFinalizers(ctx, l)
	}},
	{name: "expired", make: func(ctx context.Context, l *life) (time.Time, error) {
		at := time.Now().Add(time.Duration(l.dice.IntN(3000)) * time.Millisecond)
		_, err := ended(func(d dice, reg *v1alpha1.MCPClientRegistration) {
			annotated(reg, v1alpha1.AnnotationExpiresAt, d.instant(at))
		})(ctx, l)
		return later(at, time.Now()), err
	}},
	{name: "expired long ago", make: ended(func(d dice, reg *v1alpha1.MCPClientRegistration) {
		annotated(reg, v1alpha1.AnnotationExpiresAt, pick(d, "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2024-02-29T00:00:00-23:59", time.Now().UTC().Format(time.RFC3339)))
	})},
	{name: "without an end", bare: true, make: ended(func(d dice, reg *v1alpha1.MCPClientRegistration) {
		if d.odds(2) {
			delete(reg.Annotations, v1alpha1.AnnotationExpiresAt)
			return
		}
		annotated(reg, v1alpha1.AnnotationExpiresAt, pick(d, "never", "9999-12-31T23:59:59-23:59", d.mixed(100), strings.Repeat("2", 1000)))
	})},
	{name: "without an owner", bare: true, make: ended(func(d dice, reg *v1alpha1.MCPClientRegistration) {
		if d.odds(2) {
			delete(reg.Annotations, v1alpha1.AnnotationOwner)
			return
		}
		annotated(reg, v1alpha1.AnnotationOwner, pick(d, "", " ", "a\n", "a\u202eb", strings.Repeat("😀", 257), strings.Repeat("a", 50_000), "a\x00"))
	})},
	{name: "suspended", make: ended(func(_ dice, reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = v1alpha1.StateSuspended })},
	{name: "ungranted", make: func(ctx context.Context, l *life) (time.Time, error) { return now(l.ungranted(ctx)) }},
	{name: "grants expired", make: func(ctx context.Context, l *life) (time.Time, error) {
		at := time.Now().Add(time.Duration(l.dice.IntN(2000)) * time.Millisecond)
		for _, grant := range l.grants {
			err := edit(ctx, l.teams, grant.DeepCopy(), func(g *v1alpha1.ScopeGrant) { annotated(g, v1alpha1.AnnotationExpiresAt, l.dice.instant(at)) })
			if client.IgnoreNotFound(err) != nil {
				return now(err)
			}
		}
		return later(at, time.Now()), nil
	}},
	{name: "server deleted", make: func(ctx context.Context, l *life) (time.Time, error) { return l.withoutServer(ctx) }},
	{name: "server without the scopes", make: func(ctx context.Context, l *life) (time.Time, error) {
		return now(edit(ctx, l.teams, l.server.DeepCopy(), func(s *v1alpha1.MCPServer) {
			s.Spec.Scopes = []v1alpha1.Scope{{Name: "else:read", Tier: v1alpha1.TierRead}}
		}))
	}},
	{name: "server that approves nothing", make: func(ctx context.Context, l *life) (time.Time, error) {
		return now(edit(ctx, l.teams, l.server.DeepCopy(), func(s *v1alpha1.MCPServer) {
			s.Spec.Grants = &v1alpha1.GrantPolicy{AutoApprovedTiers: &[]v1alpha1.Tier{}}
		}))
	}},
	{name: "server without an owner", bare: true, make: func(ctx context.Context, l *life) (time.Time, error) {
		return now(edit(ctx, l.teams, l.server.DeepCopy(), func(s *v1alpha1.MCPServer) {
			annotated(s, v1alpha1.AnnotationOwner, pick(l.dice, "", "\n", "a\u2028", strings.Repeat("a", 300)))
		}))
	}},
	{name: "owners not allowed", make: disallowed(func(as *v1alpha1.AuthorizationServer) {
		as.Spec.Policy = &v1alpha1.RegistrationPolicy{OwnerPattern: "nobody"}
	})},
	{name: "grant types not allowed", make: disallowed(func(as *v1alpha1.AuthorizationServer) {
		as.Spec.Policy = &v1alpha1.RegistrationPolicy{AllowedGrantTypes: []v1alpha1.GrantType{v1alpha1.GrantTokenExchange}}
	})},
	{name: "namespaces not allowed", make: disallowed(func(as *v1alpha1.AuthorizationServer) { as.Spec.AllowedNamespaces = nil })},
	{name: "authorization server deleted", make: func(ctx context.Context, l *life) (time.Time, error) { return l.withoutAuthorizationServer(ctx) }},
}

// withoutServer deletes the MCPServer, having said that clients live on it.
func (l *life) withoutServer(ctx context.Context) (time.Time, error) {
	if err := edit(ctx, l.teams, l.server.DeepCopy(), func(s *v1alpha1.MCPServer) {
		annotated(s, v1alpha1.AnnotationConfirmDeletion, "1")
	}); err != nil {
		return now(err)
	}
	return now(l.teams.Delete(ctx, l.server.DeepCopy()))
}

// withoutAuthorizationServer deletes the AuthorizationServer, having said that clients
// live on it.
func (l *life) withoutAuthorizationServer(ctx context.Context) (time.Time, error) {
	if err := edit(ctx, l.world.Client, l.as.DeepCopy(), func(as *v1alpha1.AuthorizationServer) {
		annotated(as, v1alpha1.AnnotationConfirmDeletion, "1")
	}); err != nil {
		return now(err)
	}
	return now(l.world.Delete(ctx, l.as.DeepCopy()))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// ungranted deletes every grant of the client.
func (l *life) ungranted(ctx context.Context) error {
	for _, grant := range l.grants {
		if err := l.teams.Delete(ctx, grant.DeepCopy()); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// pastFinalizers deletes the registration and takes off what holds it.
func pastFinalizers(ctx context.Context, l *life) (time.Time, error) {
	if err := l.teams.Delete(ctx, l.reg.DeepCopy()); err != nil {
		return now(err)
	}
	due := time.Now()
	return due, client.IgnoreNotFound(edit(ctx, l.teams, l.reg.DeepCopy(), func(reg *v1alpha1.MCPClientRegistration) { reg.Finalizers = nil }))
}

// gone says what of the end is not true yet; nothing when all of it is.
func (l *life) gone(ctx context.Context) (missing []string, err error) {
	if live := l.server7591.Clients(); len(live) > 0 {
		missing = append(missing, fmt.Sprintf("%d clients live at the authorization server", len(live)))
	}
	if l.party != nil {
		unknown, err := l.party.unknown(ctx)
		if err != nil {
			return nil, err
		}
		if !unknown {
			missing = append(missing, "the token endpoint knows the client")
		}
	}
	if l.token != "" {
		passed, _, err := l.front.ask(ctx, l.token)
		if err != nil {
			return nil, err
		}
		if passed {
			missing = append(missing, "the guard lets the client pass")
		}
	}
	if len(missing) > 0 {
		// What is not so yet is not told yet.
		return missing, nil
	}
	untold, err := l.untold(ctx)
	if untold != "" {
		missing = append(missing, untold)
	}
	return missing, err
}

// untold is what neither status nor record says of the end of the client.
func (l *life) untold(ctx context.Context) (string, error) {
	deleted := l.server7591.Deleted()
	var reg v1alpha1.MCPClientRegistration
	err := l.world.Get(ctx, client.ObjectKeyFromObject(l.reg), &reg)
	switch {
	case apierrors.IsNotFound(err):
		for _, id := range deleted {
			if !l.audit.has(id, audit.ClientRevoked) {
				return "the object is gone, and the record does not say that the client was revoked", nil
			}
		}
		return "", nil
	case err != nil:
		return "", err
	}
	denied, err := l.denied(ctx)
	switch {
	case err != nil:
		return "", err
	case len(deleted) > 0 && slices.Contains(denied, deleted[len(deleted)-1]):
		return "", nil
	case meta.IsStatusConditionTrue(reg.Status.Conditions, v1alpha1.ConditionReady):
		return "the status says Ready", nil
	case len(deleted) == 0:
		return "", nil
	}
	if r := reg.Status.Revocation; r == nil || r.RevokedAtASAt == nil || r.ClientID != deleted[len(deleted)-1] {
		return fmt.Sprintf("neither status nor an AccessDenial says that the client was revoked: %+v", r), nil
	}
	return "", nil
}

// denied are the clients that AccessDenials name for the registration.
func (l *life) denied(ctx context.Context) ([]string, error) {
	var list v1alpha1.AccessDenialList
	if err := l.world.List(ctx, &list, client.MatchingLabels{v1alpha1.LabelRegistrationUID: string(l.reg.UID)}); err != nil {
		return nil, err
	}
	var ids []string
	for _, denial := range list.Items {
		if denial.Spec.Client != nil {
			ids = append(ids, denial.Spec.Client.ClientID)
		}
	}
	return ids, nil
}

// kept says what of the operator's is still there when the tenant has left.
func (l *life) kept(ctx context.Context) (string, error) {
	denied, err := l.denied(ctx)
	if err != nil || len(denied) > 0 {
		return fmt.Sprintf("AccessDenials of %v are left", denied), err
	}
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: operatorNamespace, Name: "registration-" + string(l.reg.UID)}
	switch err := l.world.Get(ctx, key, &secret); {
	case apierrors.IsNotFound(err):
	case err != nil:
		return "", err
	default:
		return "the record is left: " + string(secret.Data["record.json"]), nil
	}
	for _, id := range l.server7591.Deleted() {
		if !l.audit.has(id, audit.RevocationVerified) {
			return "it is not on record that the absence of the client was verified", nil
		}
	}
	return "", nil
}
