// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// directory is one set of objects, as a directory of files holds it: two
// teams, each with a server and clients, and grants within and across.
type directory struct {
	as      *devas.Server
	name    string
	objects []client.Object
	regs    []*v1alpha1.MCPClientRegistration
	// took is how long it took to create the objects.
	took time.Duration
}

func newDirectory(t *testing.T, serial int) *directory {
	t.Helper()
	as, err := devas.New(devas.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := as.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := as.Close(); err != nil {
			t.Error(err)
		}
	})
	d := &directory{as: as, name: fmt.Sprintf("order-%d", serial)}
	one, two := &world{name: d.name, namespace: d.name + "-one"}, &world{name: d.name, namespace: d.name + "-two"}
	d.objects = append(d.objects, d.teams(one, two)...)
	until := time.Now().Add(time.Hour)
	for _, reg := range []*v1alpha1.MCPClientRegistration{
		one.registration("public", public, until), one.registration("machine", secret, until),
		two.registration("signed", key, until), two.registration("visitor", public, until),
	} {
		d.regs, d.objects = append(d.regs, reg), append(d.objects, reg)
	}
	for i, grant := range []*v1alpha1.ScopeGrant{
		one.grant("public", until, "files:read"), one.grant("public", until, "notes:read"), one.writing("machine", until),
		two.grant("signed", until, "files:read", "notes:read"), two.grant("visitor", until, "files:read"),
	} {
		grant.Name, grant.GenerateName = fmt.Sprintf("grant-%d", i), ""
		d.objects = append(d.objects, grant)
		if grant.Spec.ClientRef.Name == "visitor" {
			grant.Spec.ServerRef.Namespace = one.namespace
		}
	}
	return d
}

// teams are the namespaces, the authorization server and the servers. One
// server approves a client beforehand, and admits the other team by a label.
func (d *directory) teams(one, two *world) []client.Object {
	admitted := map[string]string{"mcp-clients": d.name}
	server := one.server("files")
	server.Spec.AllowedClients = &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: admitted}}
	return []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: one.namespace, Labels: admitted}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: two.namespace, Labels: admitted}},
		&v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: d.name}, Spec: v1alpha1.AuthorizationServerSpec{
			Issuer: d.as.Issuer(), DynamicRegistration: &v1alpha1.DynamicRegistration{},
			AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesSelector, Selector: &metav1.LabelSelector{MatchLabels: admitted}},
			AllowedServers:    &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
		}},
		server, two.server("files"), one.beforehand("machine", "files:write"),
	}
}

// apply creates the objects in an order. What cannot be created because its
// namespace is not there yet is tried again, as the tools of GitOps do.
func (d *directory) apply(t *testing.T, order []int) error {
	begun := time.Now()
	defer func() { d.took = time.Since(begun) }()
	for left := order; len(left) > 0; {
		var again []int
		for _, i := range left {
			switch err := shared.Create(t.Context(), d.objects[i]); {
			case apierrors.IsNotFound(err) && d.objects[i].GetNamespace() != "":
				again = append(again, i)
			case err != nil:
				return fmt.Errorf("%T %s: %w", d.objects[i], d.objects[i].GetName(), err)
			}
		}
		left = again
	}
	return nil
}

// shape is what the set has become, without what differs between two sets.
func (d *directory) shape(t *testing.T) []string {
	var lines []string
	for _, object := range d.objects {
		if err := shared.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			return append(lines, err.Error())
		}
		with, ok := object.(interface{ GetConditions() []metav1.Condition })
		if !ok {
			continue
		}
		for _, c := range with.GetConditions() {
			if c.Type == v1alpha1.ConditionClockSynchronized {
				// It is there once an answer was quick enough to measure the clocks by.
				continue
			}
			where := strings.ReplaceAll(object.GetNamespace()+"/"+object.GetName(), d.name, "")
			lines = append(lines, fmt.Sprintf("%T %s %s=%s/%s", object, where, c.Type, c.Status, c.Reason))
		}
	}
	for _, c := range d.as.Clients() {
		name, _, _ := strings.Cut(c.Name, " [")
		lines = append(lines, fmt.Sprintf("client %s %s %s %s %v", name, c.Scope, c.AuthMethod, c.GrantTypes, c.RedirectURIs))
	}
	slices.Sort(lines)
	return lines
}

// told are the events about the set.
func (d *directory) told(t *testing.T) []eventsv1.Event {
	t.Helper()
	var all eventsv1.EventList
	if err := shared.List(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all.Items, func(e eventsv1.Event) bool {
		return e.Regarding.Name != d.name && !strings.HasPrefix(e.Regarding.Namespace, d.name+"-")
	})
}

// settled is the shape of a set in which everything is ready.
func settled() []string {
	var lines []string
	object := func(name string, conditions ...string) {
		for _, c := range append(conditions, "Accepted=True/Accepted", "Ready=True/Ready") {
			lines = append(lines, name+" "+c)
		}
	}
	object("*v1alpha1.AuthorizationServer /", "Discovered=True/Discovered", "Manageable=True/Managed")
	for _, team := range []string{"-one", "-two"} {
		object("*v1alpha1.MCPServer " + team + "/files")
	}
	for _, name := range []string{"-one/public", "-one/machine", "-two/signed", "-two/visitor"} {
		object("*v1alpha1.MCPClientRegistration "+name, "Registered=True/Registered")
	}
	for _, name := range []string{"-one/public", "-two/visitor"} {
		lines = append(lines, "*v1alpha1.MCPClientRegistration "+name+" PKCEEnforced=True/Refused")
	}
	for _, name := range []string{"-one/grant-0", "-one/grant-1", "-one/grant-2", "-two/grant-3", "-two/grant-4"} {
		object("*v1alpha1.ScopeGrant "+name, "Applied=True/Applied")
	}
	object("*v1alpha1.ScopeGrantApproval -one/machine")
	lines = append(lines,
		"client public files:read notes:read none [authorization_code] [http://127.0.0.1/callback]",
		"client machine files:write client_secret_basic [client_credentials] []",
		"client signed files:read notes:read private_key_jwt [client_credentials] []",
		"client visitor files:read none [authorization_code] [http://127.0.0.1/callback]")
	slices.Sort(lines)
	return lines
}

// TestAnyOrderEndsInTheSameState: one set in 50 orders, and nothing is said
// that somebody would act on.
func TestAnyOrderEndsInTheSameState(t *testing.T) {
	t.Parallel()
	const orders, atOneTime = 50, 5
	random := rand.New(rand.NewPCG(7591, 7592))
	var sets []*directory
	var sequences [][]int
	for serial := range orders {
		sets = append(sets, newDirectory(t, serial))
		sequences = append(sequences, random.Perm(len(sets[serial].objects)))
	}
	var group sync.WaitGroup
	places := make(chan struct{}, atOneTime)
	for serial, set := range sets {
		group.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if err := set.apply(t, sequences[serial]); err != nil {
				t.Errorf("order %d: %v", serial, err)
			}
		})
	}
	group.Wait()
	want := settled()
	for serial, set := range sets {
		NewWithT(t).Eventually(func() []string { return set.shape(t) }, eventually, often).Should(Equal(want), fmt.Sprint("order ", serial, sequences[serial]))
	}
	for serial, set := range sets {
		// A machine that is busy makes objects wait by chance, an order always.
		for again := 1; len(set.checkEvents(t, serial)) > 0; again++ {
			if again > 3 {
				t.Errorf("order %d %v: %v", serial, sequences[serial], set.checkEvents(t, serial))
				break
			}
			set = newDirectory(t, again*orders+serial)
			if err := set.apply(t, sequences[serial]); err != nil {
				t.Fatalf("order %d: %v", serial, err)
			}
			NewWithT(t).Eventually(func() []string { return set.shape(t) }, eventually, often).Should(Equal(want), fmt.Sprint("order ", serial))
		}
		if registered := set.as.Counts().Total(devas.Register); registered != len(set.regs) {
			t.Errorf("order %d: %d registrations for %d objects", serial, registered, len(set.regs))
		}
	}
}

// checkEvents waits until each object's Ready is told, and looks for anything
// that somebody would act on. It returns what waited for longer than a moment, and
// said so, although all objects were made at once.
func (d *directory) checkEvents(t *testing.T, serial int) (waited []string) {
	t.Helper()
	ready := map[string]bool{}
	NewWithT(t).Eventually(func() int {
		for _, event := range d.told(t) {
			if event.Reason == v1alpha1.ReasonReady {
				ready[event.Regarding.Kind+" "+event.Regarding.Namespace+"/"+event.Regarding.Name] = true
			}
		}
		return len(ready)
	}, eventually, often).Should(Equal(13), func() string { return fmt.Sprint("order ", serial, slices.Sorted(maps.Keys(ready))) })
	for _, event := range d.told(t) {
		if event.Type != corev1.EventTypeNormal {
			t.Errorf("order %d: %s %s about %s %s: %s", serial, event.Type, event.Reason, event.Regarding.Kind, event.Regarding.Name, event.Note)
		}
		if event.Reason != v1alpha1.ReasonReady && d.took < time.Second {
			waited = append(waited, fmt.Sprintf("%s about %s %s", event.Reason, event.Regarding.Kind, event.Regarding.Name))
		}
	}
	return waited
}
