// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// TestIntermediary has somebody answer in the place of real authorization servers,
// as a reverse proxy may, at each step of the end of a client and at its beginning:
// nothing that the server did not say is believed.
func TestIntermediary(t *testing.T) {
	w := startWorld(t)
	for name, r := range w.realServers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for name, test := range map[string]func(*testing.T, *realScene){
				"the end of clients":                     testStances,
				"what is written at the end of clients":  testStancesOfWrites,
				"a deletion that is done":                testHiddenDeletion,
				"a registration that nobody hears about": testLostAnswers,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, r.stage(t, w))
				})
			}
		})
	}
}

// testStances has each kind of answer of others stand for the server while clients
// end: none of it ends a client, and nothing is said that is not so.
func testStances(t *testing.T, r *realScene) { r.stances(t, "stance", ending) }

// testStancesOfWrites lets through what is read. An admin API is not told of a
// deletion before it was asked whose the client is.
func testStancesOfWrites(t *testing.T, r *realScene) {
	r.stances(t, "write", []contract.Operation{contract.Replace, contract.Revoke})
}

func (r *realScene) stances(t *testing.T, prefix string, steps []contract.Operation) {
	t.Helper()
	stances := contract.Stances()
	leavers := r.mixed(t, prefix, len(stances))
	for i, v := range leavers {
		before := r.between.times(steps, v.keys...)
		r.between.stands(stances[i], false, steps, v.keys...)
		r.begin(t, v, i)
		NewWithT(t).Eventually(func() int { return r.between.times(steps, v.keys...) }, patience, often).
			Should(BeNumerically(">", before), stances[i].Name+": nobody is asked")
	}
	time.Sleep(3 * time.Second)
	for i, v := range leavers {
		r.requireAlive(t, v, stances[i].Name)
		r.between.leaves(v.keys...)
	}
	began := time.Now()
	for i, v := range leavers {
		r.requireEnded(t, v, i)
	}
	t.Logf("all ended %s after the server was heard again", time.Since(began).Round(time.Millisecond))
}

// requireAlive holds that a client lives, and that nothing else is said.
func (r *realScene) requireAlive(t *testing.T, v *leaver, why string) {
	t.Helper()
	if err := r.Get(t.Context(), client.ObjectKeyFromObject(v.reg), v.reg); err != nil {
		t.Errorf("%s: %v", why, err)
	}
	if said := v.reg.Status.Revocation; said != nil && said.VerifiedAt != nil {
		t.Errorf("%s: a client that lives is said to be proven gone: %+v", why, said)
	}
	if left := r.named(t, v.reg.Spec.ClientName); len(left) != 1 {
		t.Errorf("%s: the clients %v live, want the one", why, left)
	}
}

// begin ends a client: every second one by its object, the others by their grant, so
// that the status tells.
func (r *realScene) begin(t *testing.T, v *leaver, i int) {
	t.Helper()
	if i%2 == 0 {
		r.remove(t, v.reg)
		return
	}
	r.remove(t, r.newGrant(v.reg.Name, v.reg.Name))
}

// requireEnded waits for what begin began.
func (r *realScene) requireEnded(t *testing.T, v *leaver, i int) {
	t.Helper()
	if i%2 == 0 {
		r.requireGone(t, v.reg)
	} else {
		r.requireRevoked(t, v.reg, v.party, v1alpha1.ReasonNoGrantInForce, v1alpha1.CauseNoGrantInForce)
	}
	if standing := v.party.standing(t)(); standing != "invalid_client" {
		t.Errorf("%s: the token endpoint says %s", v.reg.Name, standing)
	}
	r.requireNothingLeft(t, v.reg)
}

// stancesNamed are some of all.
func stancesNamed(t *testing.T, names ...string) []contract.Stance {
	t.Helper()
	some := slices.DeleteFunc(contract.Stances(), func(s contract.Stance) bool { return !slices.Contains(names, s.Name) })
	if len(some) != len(names) {
		t.Fatalf("of %v there are %d", names, len(some))
	}
	return some
}

// testHiddenDeletion has the server delete clients while somebody else answers.
func testHiddenDeletion(t *testing.T, r *realScene) {
	stances := stancesNamed(t, "a maintenance page", "nothing", "half of an answer", "a page with 502", "a page with 404", "the way to a login with 302")
	leavers := r.mixed(t, "hidden", len(stances))
	revoking := []contract.Operation{contract.Revoke}
	for i, v := range leavers {
		r.between.stands(stances[i], true, revoking, v.keys...)
		r.begin(t, v, i)
	}
	for _, v := range leavers {
		NewWithT(t).Eventually(func() int { return r.between.times(revoking, v.keys...) }, patience, often).Should(BeNumerically(">", 0))
		r.between.leaves(v.keys...)
	}
	for i, v := range leavers {
		r.requireEnded(t, v, i)
	}
}

// testLostAnswers has registrations carried out whose answer is somebody else's:
// clients that nobody knows are few, and told; where the operator chooses the ids
// there are none.
func testLostAnswers(t *testing.T, r *realScene) {
	stances := stancesNamed(t, "a maintenance page", "nothing", "half of an answer", "a page with 502", "another server's object", "the way to a login with 302")
	var regs []*v1alpha1.MCPClientRegistration
	for i := range stances {
		reg := r.newRegistration(r.namespace+"-lost-"+string(rune('a'+i)), methods[i%len(methods)])
		r.between.stands(stances[i], true, registering, reg.Spec.ClientName)
		r.create(t, reg, r.newGrant(reg.Name, reg.Name, "files:read"))
		regs = append(regs, reg)
	}
	if r.ownIDs {
		for _, reg := range regs {
			NewWithT(t).Eventually(func() int { return r.between.times(registering, reg.Spec.ClientName) }, patience, often).Should(BeNumerically(">", 0))
			r.between.leaves(reg.Spec.ClientName)
		}
	}
	for i, reg := range regs {
		t.Run(stances[i].Name, func(t *testing.T) {
			if r.ownIDs {
				p := r.waitReady(t, reg)
				NewWithT(t).Expect(r.named(t, reg.Spec.ClientName)).To(Equal([]string{p.id}))
				r.remove(t, reg)
				r.requireGone(t, reg)
				NewWithT(t).Expect(r.named(t, reg.Spec.ClientName)).To(BeEmpty())
				return
			}
			r.requireFewAndTold(t, reg)
		})
	}
}

// requireFewAndTold holds that of the clients that a registration may have left, at
// most two, each is found by a mark that is on record, also when the object is gone.
func (r *realScene) requireFewAndTold(t *testing.T, reg *v1alpha1.MCPClientRegistration) {
	t.Helper()
	g := NewWithT(t)
	g.Eventually(func() string { return r.decided(t, reg) }, patience, often).Should(Equal("False/" + v1alpha1.ReasonPossibleOrphans))
	times := func() int { return r.between.times(registering, reg.Spec.ClientName) }
	g.Expect(times()).To(BeNumerically("<=", 2))
	g.Consistently(times, 2*time.Second, often).Should(Equal(times()))
	g.Expect(reg.Status.PossibleOrphans).To(HaveLen(times()))
	g.Expect(r.named(t, reg.Spec.ClientName)).To(HaveLen(times()))
	marks := reg.Status.PossibleOrphans
	r.remove(t, reg)
	r.requireGone(t, reg)
	l := &load{scene: r.scene}
	for _, mark := range marks {
		g.Expect(l.left(t)).To(ContainElement(ContainSubstring(mark)), "the mark stays on record")
	}
}
