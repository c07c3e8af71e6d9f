// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package tenant

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// change is what a tenant does to its objects while the client lives.
type change struct {
	name string
	make func(ctx context.Context, l *life) error
}

// edit changes an object as somebody would who reads it, and writes it.
func edit[T client.Object](ctx context.Context, c client.Client, object T, mutate func(T)) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		mutate(object)
		return c.Update(ctx, object)
	})
}

// changed edits the registration as its tenant.
func changed(mutate func(d dice, reg *v1alpha1.MCPClientRegistration)) func(context.Context, *life) error {
	return func(ctx context.Context, l *life) error {
		return edit(ctx, l.teams, l.reg.DeepCopy(), func(reg *v1alpha1.MCPClientRegistration) { mutate(l.dice, reg) })
	}
}

// changes are all of them. What one of them ends by itself is ended once more.
var changes = []change{
	{"another client name", changed(func(d dice, reg *v1alpha1.MCPClientRegistration) { reg.Spec.ClientName = "b" + d.text(126, letters...) })},
	{"another owner", changed(func(d dice, reg *v1alpha1.MCPClientRegistration) {
		annotated(reg, v1alpha1.AnnotationOwner, pick(d, "team-b@example.com", d.text(20, letters...), owner+"\n", d.mixed(30), strings.Repeat("a", 10_000)))
	})},
	{"another end", changed(func(d dice, reg *v1alpha1.MCPClientRegistration) {
		annotated(reg, v1alpha1.AnnotationExpiresAt, pick(d, "2998-12-31T23:59:59Z", "2100-01-01T00:00:00.000000000000001Z", "soon", ""))
	})},
	{"rotated", changed(func(d dice, reg *v1alpha1.MCPClientRegistration) {
		annotated(reg, v1alpha1.AnnotationRotate, d.mixed(50))
	})},
	{"adopted", changed(func(d dice, reg *v1alpha1.MCPClientRegistration) {
		annotated(reg, v1alpha1.AnnotationAdopt, d.mixed(50))
	})},
	{"other redirect URIs", changed(func(d dice, reg *v1alpha1.MCPClientRegistration) {
		if len(reg.Spec.RedirectURIs) > 0 {
			reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{"https://app.example.com/other", d.redirect()}
		}
	})},
	{"another Secret", changed(func(d dice, reg *v1alpha1.MCPClientRegistration) {
		reg.Spec.Credentials = &v1alpha1.Credentials{SecretName: d.longName(253), Annotations: map[string]string{"example.com/x": cut(d.mixed(4096), 4096)}}
	})},
	{"more finalizers", changed(func(d dice, reg *v1alpha1.MCPClientRegistration) {
		for i := range pick(d, 1, 15, 2000) {
			reg.Finalizers = append(reg.Finalizers, fmt.Sprintf("example.com/more-%d-%s", i, strings.Repeat("f", 40)))
		}
	})},
	{"no finalizers", changed(func(_ dice, reg *v1alpha1.MCPClientRegistration) { reg.Finalizers = nil })},
	{"full", changed(func(d dice, reg *v1alpha1.MCPClientRegistration) { descend(reg, d.filling()/600, 500) })},
	{"other labels", changed(func(d dice, reg *v1alpha1.MCPClientRegistration) {
		reg.Labels = map[string]string{"example.com/" + d.text(60, plainest...): d.text(63, plainest...), v1alpha1.LabelManagedBy: "x"}
	})},
	{"another grant", func(ctx context.Context, l *life) error {
		grant := l.grant("more-"+l.stem, l.server.Spec.Scopes[l.dice.IntN(len(l.server.Spec.Scopes))].Name)
		grant.Spec.Reason = cut(l.dice.mixed(200), 200)
		if err := l.teams.Create(ctx, grant); err != nil {
			return err
		}
		l.grants = append(l.grants, grant)
		return nil
	}},
	{"a grant less", func(ctx context.Context, l *life) error {
		return client.IgnoreNotFound(l.teams.Delete(ctx, l.grants[l.dice.IntN(len(l.grants))].DeepCopy()))
	}},
	{"other scopes of a grant", func(ctx context.Context, l *life) error {
		return edit(ctx, l.teams, l.grants[0].DeepCopy(), func(g *v1alpha1.ScopeGrant) {
			g.Spec.Scopes = append(g.Spec.Scopes[:1:1], v1alpha1.ScopeName(fmt.Sprintf("unknown:%s", l.dice.text(100, tokens...))))
		})
	}},
	{"another catalogue", func(ctx context.Context, l *life) error {
		return edit(ctx, l.teams, l.server.DeepCopy(), func(s *v1alpha1.MCPServer) {
			for i := range s.Spec.Scopes {
				s.Spec.Scopes[i].Description = cut(l.dice.mixed(100), 100)
				s.Spec.Scopes[i].Tools = []string{cut(l.dice.mixed(100), 128) + "x"}
			}
			s.Spec.Scopes = append(s.Spec.Scopes, v1alpha1.Scope{Name: "more:read", Tier: v1alpha1.TierElevated})[:min(128, len(s.Spec.Scopes)+1)]
		})
	}},
	{"clients of elsewhere", func(ctx context.Context, l *life) error {
		return edit(ctx, l.teams, l.server.DeepCopy(), func(s *v1alpha1.MCPServer) {
			s.Spec.AllowedClients = &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{}}}
			for i := range pick(l.dice, 1, 30, 1000) {
				s.Spec.AllowedClients.Selector.MatchLabels[fmt.Sprintf("l-%d", i)] = l.dice.mixed(10)
			}
		})
	}},
	{"suspended and back", func(ctx context.Context, l *life) error {
		for _, state := range []v1alpha1.RegistrationState{v1alpha1.StateSuspended, v1alpha1.StateActive} {
			err := edit(ctx, l.teams, l.reg.DeepCopy(), func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = state })
			if err != nil {
				return err
			}
		}
		return nil
	}},
}
