// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// denialStage is an API server with AccessDenials, and counts what is written.
type denialStage struct {
	client.Client
	denials *Denials
	writes  int
}

func newDenialStage(t *testing.T, there ...client.Object) *denialStage {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	s := &denialStage{}
	s.Client = fakeclient.NewClientBuilder().WithScheme(scheme).WithObjects(there...).
		WithIndex(&v1alpha1.AccessDenial{}, indexDenied, deniedRegistration).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.CreateOption) error {
				s.writes++
				return c.Create(ctx, object, opts...)
			},
			Update: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.UpdateOption) error {
				s.writes++
				return c.Update(ctx, object, opts...)
			},
			Delete: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.DeleteOption) error {
				s.writes++
				return c.Delete(ctx, object, opts...)
			},
		}).Build()
	s.denials = &Denials{Client: s.Client, Live: s.Client}
	return s
}

func (s *denialStage) all(t *testing.T) []v1alpha1.AccessDenial {
	t.Helper()
	var list v1alpha1.AccessDenialList
	if err := s.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

var deniedBot = types.NamespacedName{Namespace: "agents", Name: "bot"}

func TestADenialIsMadeOnceAndTakenBack(t *testing.T) {
	t.Parallel()
	person := &v1alpha1.AccessDenial{ObjectMeta: metav1.ObjectMeta{Name: "incident"}}
	s := newDenialStage(t, person)
	for range 3 {
		if err := s.denials.Ensure(t.Context(), deniedBot, "u1", "company", "c1", "status\nrefused"); err != nil {
			t.Fatal(err)
		}
	}
	if s.writes != 1 {
		t.Errorf("%d writes, want 1", s.writes)
	}
	made := s.all(t)[1]
	if made.Spec.Client == nil || made.Spec.Client.ClientID != "c1" || made.Spec.Registration != nil || made.Spec.Reason != "status refused" ||
		made.Annotations[v1alpha1.AnnotationRegistration] != "agents/bot" {
		t.Errorf("the denial is %+v", made)
	}
	// Another client of the registration has a denial of its own; both go together.
	if err := s.denials.Ensure(t.Context(), deniedBot, "u1", "company", "c2", "status refused"); err != nil {
		t.Fatal(err)
	}
	if got := len(s.all(t)); got != 3 {
		t.Errorf("%d denials, want 3", got)
	}
	for range 2 {
		if err := s.denials.Remove(t.Context(), "u1"); err != nil {
			t.Fatal(err)
		}
	}
	if left := s.all(t); s.writes != 4 || len(left) != 1 || left[0].Name != "incident" {
		t.Errorf("%d writes, want 4; left %+v", s.writes, left)
	}
}

func TestAClientThatIsNotKnownIsDeniedByItsRegistration(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", strings.Repeat("x", maxDeniedClient+1), "a\xffb"} {
		s := newDenialStage(t)
		if err := s.denials.Ensure(t.Context(), deniedBot, "u1", "company", id, ""); err != nil {
			t.Fatal(err)
		}
		made := s.all(t)[0]
		if r := made.Spec.Registration; r == nil || *r != (v1alpha1.DeniedRegistration{Namespace: "agents", Name: "bot", UID: "u1"}) || made.Spec.Reason == "" {
			t.Errorf("%.10q: the denial is %+v", id, made.Spec)
		}
	}
}

func TestADenialThatWouldEndGoesOn(t *testing.T) {
	t.Parallel()
	there := denialOf(deniedBot, "u1", "company", "c1", "status refused")
	there.Spec.ExpirationTime = &metav1.Time{Time: time.Unix(1, 0)}
	s := newDenialStage(t, there)
	for range 2 {
		if err := s.denials.Ensure(t.Context(), deniedBot, "u1", "company", "c1", "other words"); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.all(t)[0].Spec; got.ExpirationTime != nil || got.Reason != "status refused" || s.writes != 1 {
		t.Errorf("%d writes, the denial is %+v", s.writes, got)
	}
}

// Somebody who took the name does not make the operator believe that it is denied.
func TestAForeignDenialIsNotBelieved(t *testing.T) {
	t.Parallel()
	foreign := denialOf(deniedBot, "u1", "company", "c1", "mine")
	foreign.Labels = nil
	other := denialOf(deniedBot, "u2", "company", "c1", "mine")
	other.Spec.Client.ClientID = "another"
	s := newDenialStage(t, foreign, other)
	for _, uid := range []types.UID{"u1", "u2"} {
		if err := s.denials.Ensure(t.Context(), deniedBot, uid, "company", "c1", "x"); err == nil {
			t.Errorf("%s: no error", uid)
		}
	}
	if s.writes != 0 {
		t.Errorf("%d writes", s.writes)
	}
}
