// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// unbound does something while one policy is not in force. Tests of this
// package do not run in parallel.
func (w *world) unbound(t *testing.T, policy string, do func()) {
	t.Helper()
	c := w.clients[admin]
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: policy}, binding); err != nil {
		t.Fatal(err)
	}
	bound := binding.DeepCopy()
	if err := c.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	offends := with(without(registration("probe"), v1alpha1.AnnotationOwner), v1alpha1.AnnotationExpiresAt, "never")
	switch policy {
	case operatorOnly:
		offends = with(registration("probe"), "mcp-registrar.dev/probe", "x")
	case sizeOnly:
		offends = filled(registration("probe"), 65537, "a")
	}
	offence := func() error {
		return w.clients[alice].Create(t.Context(), offends.DeepCopy(), client.DryRunAll)
	}
	w.until(t, func() bool { return offence() == nil })
	do()
	bound.ResourceVersion, bound.UID = "", ""
	if err := c.Create(t.Context(), bound); err != nil {
		t.Fatal(err)
	}
	w.until(t, func() bool { err := offence(); return err != nil && strings.Contains(err.Error(), policy) })
}

// stamping are the policies that stamp, creation last: the API server takes them
// up and drops them in this order.
var stamping = []string{"mcp-registrar-approval", "mcp-registrar-change", "mcp-registrar-creation"}

// unstamped does something while nothing is stamped, as on clusters that do not
// know MutatingAdmissionPolicy.
func (w *world) unstamped(t *testing.T, do func()) {
	t.Helper()
	c := w.clients[admin]
	var bound []*admissionv1.MutatingAdmissionPolicyBinding
	for _, name := range stamping {
		binding := &admissionv1.MutatingAdmissionPolicyBinding{}
		if err := c.Get(t.Context(), client.ObjectKey{Name: name}, binding); err != nil {
			t.Fatal(err)
		}
		bound = append(bound, binding.DeepCopy())
		if err := c.Delete(t.Context(), binding); err != nil {
			t.Fatal(err)
		}
	}
	stamped := func() bool {
		probe := registration("probe")
		err := w.clients[alice].Create(t.Context(), probe, client.DryRunAll)
		return err != nil || probe.Annotations[v1alpha1.AnnotationRequestedBy] != ""
	}
	w.until(t, func() bool { return !stamped() })
	do()
	for _, binding := range bound {
		binding.ResourceVersion, binding.UID = "", ""
		if err := c.Create(t.Context(), binding); err != nil {
			t.Fatal(err)
		}
	}
	w.until(t, stamped)
}

func (w *world) until(t *testing.T, done func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true,
		func(context.Context) (bool, error) { return done(), nil })
	if err != nil {
		t.Fatal(err)
	}
}

// warnings are what the API server warned of.
type warnings struct {
	mutex sync.Mutex
	heard []string
}

func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.heard = append(w.heard, text)
}

func (w *warnings) all() []string {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.heard
}

// listening is the client of one person who listens to warnings.
func (w *world) listening(t *testing.T, who string) (client.Client, *warnings) {
	t.Helper()
	heard := &warnings{}
	config := rest.CopyConfig(w.configs[who])
	config.WarningHandlerWithContext = heard
	c, err := client.New(config, client.Options{Scheme: w.scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c, heard
}
