// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// load is registrations that come and go while something is done to those who
// look after them.
type load struct {
	*scene
	at *devas.Server
	// foreign are the clients that were there before.
	foreign []string
	// kept are to have a client in the end, ended are not, gone are deleted.
	kept, ended, gone []*v1alpha1.MCPClientRegistration
}

func newLoad(s *scene, as *devas.Server) *load {
	l := &load{scene: s, at: as}
	for _, client := range as.Clients() {
		l.foreign = append(l.foreign, client.ID)
	}
	return l
}

// creates makes registrations with a grant each, until an instant.
func (l *load) creates(t *testing.T, prefix string, count int, until time.Time) {
	t.Helper()
	for i := range count {
		name := fmt.Sprintf("%s-%d", prefix, i)
		reg := l.newRegistration(name, methods[i%len(methods)])
		reg.Annotations = identity(until)
		l.persists(t, func() error { return l.Create(t.Context(), reg) })
		grant := l.newGrant(name, name, "files:read")
		l.persists(t, func() error { return l.Create(t.Context(), grant) })
		if time.Until(until) < patience {
			l.ended = append(l.ended, reg)
		} else {
			l.kept = append(l.kept, reg)
		}
	}
}

// deletes deletes the first of those that were created with a prefix.
func (l *load) deletes(t *testing.T, prefix string, count int) {
	t.Helper()
	for _, reg := range slices.Clone(l.kept) {
		if count == 0 || !strings.HasPrefix(reg.Name, prefix+"-") {
			continue
		}
		count--
		l.persists(t, func() error { return client.IgnoreNotFound(l.Delete(t.Context(), reg)) })
		l.gone = append(l.gone, reg)
		l.kept = slices.DeleteFunc(l.kept, func(kept *v1alpha1.MCPClientRegistration) bool { return kept == reg })
	}
	if count > 0 {
		t.Fatalf("%d registrations to delete are missing", count)
	}
}

// persists tries something until the API server takes it, or says that it had.
func (l *load) persists(t *testing.T, try func() error) {
	t.Helper()
	NewWithT(t).Eventually(func() error {
		if err := try(); !apierrors.IsAlreadyExists(err) {
			return err
		}
		return nil
	}, patience, often).Should(Succeed())
}

// settle waits until everything is as it should be, and requires that each client
// at the authorization server is one registration's, and each registration's
// credentials are of its client. It returns how many clients nobody has; their
// marks must have been reported.
func (l *load) settle(t *testing.T) (orphans int) {
	t.Helper()
	g := NewWithT(t)
	owned, reported := map[string]string{}, []string{}
	for _, reg := range l.kept {
		g.Eventually(l.ready(t, reg), patience, often).Should(Equal("True/Ready"), reg.Name)
		if other := owned[reg.Status.ClientID]; other != "" {
			t.Errorf("%s and %s have the same client", other, reg.Name)
		}
		owned[reg.Status.ClientID] = reg.Name
		reported = append(reported, reg.Status.PossibleOrphans...)
		p := newParty(t, l.secret(t, reg.Status.SecretName))
		g.Expect(p.id).To(Equal(reg.Status.ClientID), "the Secret of %s", reg.Name)
		g.Expect(p.standing(t)()).To(Equal("known"), reg.Name)
	}
	for _, reg := range l.ended {
		g.Eventually(l.ready(t, reg), patience, often).Should(Equal("False/"+v1alpha1.ReasonExpired), reg.Name)
		reported = append(reported, reg.Status.PossibleOrphans...)
		l.requireNotEarly(t, reg)
	}
	for _, reg := range l.gone {
		g.Eventually(func() bool { return apierrors.IsNotFound(l.Get(t.Context(), client.ObjectKeyFromObject(reg), reg)) }, patience, often).
			Should(BeTrue(), "%s is still there", reg.Name)
		reported = append(reported, reg.Status.PossibleOrphans...)
	}
	return l.requireNoneDoubled(t, owned, append(reported, l.left(t)...))
}

// requireNotEarly holds a revocation against the end of its registration.
func (l *load) requireNotEarly(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	end, err := time.Parse(time.RFC3339, reg.Annotations[v1alpha1.AnnotationExpiresAt])
	if err != nil {
		t.Fatal(err)
	}
	if r := reg.Status.Revocation; r != nil && r.RevokedAtASAt != nil && r.RevokedAtASAt.Time.Before(end) {
		t.Errorf("%s was revoked at %s, before its end %s", reg.Name, r.RevokedAtASAt, end)
	}
}

// left are the marks in records of registrations that are gone.
func (l *load) left(t *testing.T) []string {
	t.Helper()
	var records corev1.SecretList
	if err := l.List(t.Context(), &records, client.InNamespace(operatorNamespace), client.HasLabels{v1alpha1.LabelRegistrationUID}); err != nil {
		t.Fatal(err)
	}
	var marks []string
	for _, record := range records.Items {
		marks = append(marks, string(record.Data["record.json"]))
	}
	return marks
}

// requireNoneDoubled holds the clients at the authorization server against those
// that registrations have.
func (l *load) requireNoneDoubled(t *testing.T, owned map[string]string, reported []string) (orphans int) {
	t.Helper()
	seen := 0
	for _, live := range l.at.Clients() {
		if slices.Contains(l.foreign, live.ID) {
			continue
		}
		if owned[live.ID] != "" {
			seen++
			continue
		}
		orphans++
		if !slices.ContainsFunc(reported, func(mark string) bool { return mark != "" && marked(live.Name, mark) }) {
			t.Errorf("client %s (%s) lives, is nobody's, and was not reported", live.ID, live.Name)
		}
	}
	if seen != len(l.kept) {
		t.Errorf("%d clients live for %d registrations", seen, len(l.kept))
	}
	t.Logf("%d clients for %d registrations, %d ended, %d deleted; %d clients that nobody has, all reported", seen, len(l.kept), len(l.ended), len(l.gone), orphans)
	return orphans
}

// marked says that the name of a client ends with a mark, which is told alone or
// in a record.
func marked(name, reported string) bool {
	_, after, found := strings.Cut(name, " [")
	return found && strings.Contains(reported, strings.TrimSuffix(after, "]"))
}

// TestAPIServerRestart stops the API server in the middle of work, and starts it
// again.
func TestAPIServerRestart(t *testing.T) {
	w := startWorld(t)
	as := w.startDevAS(t)
	w.connect(t, "devas", as.Issuer())
	l := newLoad(newScene(t, w, "devas"), as)
	g := NewWithT(t)
	l.creates(t, "before", 10, inAnHour())
	for _, reg := range l.kept {
		l.waitReady(t, reg)
	}
	if err := as.Set(devas.Switches{LatencyMillis: 100}); err != nil {
		t.Fatal(err)
	}
	l.creates(t, "lapsing", 10, time.Now().Add(4*time.Second))
	l.creates(t, "under-way", 30, inAnHour())
	l.deletes(t, "before", 5)
	g.Eventually(func() int { return as.Counts().Total(devas.Register) }, patience, often).Should(BeNumerically(">", 20))

	begun, first := time.Now(), w.manager
	if err := w.plane.KillAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.plane.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("the API server was away for %s", time.Since(begun).Round(time.Millisecond))
	w.asAKubeletWould(t, time.Now())
	l.creates(t, "after", 10, inAnHour())
	orphans := l.settle(t)
	select {
	case <-first.ended:
		t.Log("the manager ended meanwhile and was started again")
	default:
		if orphans > 0 {
			t.Errorf("%d clients are nobody's, though the manager lived to delete what it could not store", orphans)
		}
	}
}

// asAKubeletWould waits until the lease is renewed again, and starts the manager
// anew if it ended because it could not do that in time.
func (w *world) asAKubeletWould(t *testing.T, since time.Time) {
	t.Helper()
	NewWithT(t).Eventually(func() bool {
		select {
		case <-w.manager.ended:
			w.startManager(t)
			return true
		default:
			renewed := w.held(t).RenewTime
			return renewed != nil && renewed.After(since)
		}
	}, patience, often).Should(BeTrue(), "the manager neither leads nor ends")
}
