// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/test/sandbox"
)

// absent is an authorization server that can be away.
type absent struct {
	*fake.Server
	// failure is what every call comes to while it is away; nil when it is not.
	failure *authserver.Error
	calls   map[fake.Operation]int
}

// ask counts a call and says what it comes to while the server is away. A request
// without effect cannot have been carried out.
func (a *absent) ask(op fake.Operation, effect bool) error {
	a.calls[op]++
	if a.failure == nil {
		return nil
	}
	failure := *a.failure
	failure.Op, failure.MaybeApplied = string(op), failure.MaybeApplied && effect
	return &failure
}

func (a *absent) total() int {
	sum := 0
	for _, n := range a.calls {
		sum += n
	}
	return sum
}

func (a *absent) Discover(ctx context.Context) (authserver.Metadata, error) {
	if err := a.ask(fake.Discover, false); err != nil {
		return authserver.Metadata{}, err
	}
	return a.Server.Discover(ctx)
}

func (a *absent) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	if err := a.ask(fake.Register, true); err != nil {
		return authserver.Client{}, err
	}
	return a.Server.Register(ctx, wish)
}

func (a *absent) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	if err := a.ask(fake.Find, false); err != nil {
		return authserver.Client{}, false, err
	}
	return a.Server.Find(ctx, handle)
}

func (a *absent) Replace(ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata) (authserver.Client, error) {
	if err := a.ask(fake.Replace, true); err != nil {
		return authserver.Client{}, err
	}
	return a.Server.Replace(ctx, handle, wish)
}

func (a *absent) Disable(ctx context.Context, handle authserver.Handle) error {
	if err := a.ask(fake.Disable, true); err != nil {
		return err
	}
	return a.Server.Disable(ctx, handle)
}

func (a *absent) Revoke(ctx context.Context, handle authserver.Handle) error {
	if err := a.ask(fake.Revoke, true); err != nil {
		return err
	}
	return a.Server.Revoke(ctx, handle)
}

// hour is one hour at one authorization server, in a moment.
type hour struct {
	*sandbox.Sandbox
	t  *testing.T
	as *absent
}

func newHour(t *testing.T, ahead time.Duration) *hour {
	t.Helper()
	const issuer = "https://auth.example.com"
	as := &absent{Server: fake.New(issuer), calls: map[fake.Operation]int{}}
	connector := fake.NewConnector()
	connector.Put("auth", as)
	s, err := sandbox.New(t.Context(), sandbox.Options{Connector: connector, Start: time.Now().Truncate(time.Second), APIServerAhead: ahead})
	if err != nil {
		t.Fatal(err)
	}
	h := &hour{s, t, as}
	h.put(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}},
		&v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: "auth"}, Spec: v1alpha1.AuthorizationServerSpec{
			Issuer: issuer, DynamicRegistration: &v1alpha1.DynamicRegistration{},
			AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, AllowedServers: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll},
			DriftCheckSeconds: new(int32(7 * 24 * 3600)),
		}})
	server := (&world{name: "auth", namespace: "team"}).server("files")
	h.put(server)
	return h
}

func (h *hour) put(objects ...client.Object) {
	h.t.Helper()
	if err := h.Put(h.t.Context(), objects...); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hour) pass(d time.Duration) {
	h.t.Helper()
	if err := h.RunFor(h.t.Context(), d); err != nil {
		h.t.Fatal(err)
	}
}

// creates makes registrations with a grant each, which live for some time from
// now.
func (h *hour) creates(prefix string, count int, life time.Duration) []*v1alpha1.MCPClientRegistration {
	h.t.Helper()
	w := &world{name: "auth", namespace: "team"}
	var made []*v1alpha1.MCPClientRegistration
	var all []client.Object
	for i := range count {
		name := fmt.Sprintf("%s-%d", prefix, i)
		reg := w.registration(name, []v1alpha1.TokenEndpointAuthMethod{public, secret, key}[i%3], h.Clock.Now().Add(life))
		grant := w.grant(name, h.Clock.Now().Add(24*time.Hour), "files:read")
		grant.Name, grant.GenerateName = name, ""
		made, all = append(made, reg), append(all, reg, grant)
	}
	h.put(all...)
	return made
}

// says is the state of one condition: "gone" without the object.
func (h *hour) says(reg *v1alpha1.MCPClientRegistration, condition string) string {
	h.t.Helper()
	err := h.Get(h.t.Context(), client.ObjectKeyFromObject(reg), reg)
	if apierrors.IsNotFound(err) {
		return "gone"
	}
	if err != nil {
		h.t.Fatal(err)
	}
	found := meta.FindStatusCondition(reg.Status.Conditions, condition)
	if found == nil {
		return "unseen"
	}
	return string(found.Status) + "/" + found.Reason
}

func (h *hour) require(regs []*v1alpha1.MCPClientRegistration, condition, want string) {
	h.t.Helper()
	for _, reg := range regs {
		if got := h.says(reg, condition); got != want {
			h.t.Fatalf("%s of %s is %s, want %s\n%s", condition, reg.Name, got, want, describe(reg))
		}
	}
}

// TestServerAwayForAnHour: what was due meanwhile is done when it returns, what was
// asked for meanwhile is given, the conditions say what is true all along, and
// the server is not overrun.
func TestServerAwayForAnHour(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]*authserver.Error{
		"nobody listens":                    {Kind: authserver.Unavailable},
		"a proxy says that nobody is there": {Kind: authserver.Unavailable, Status: 502, MaybeApplied: true},
		"it asks to be left alone":          {Kind: authserver.Unavailable, Status: 503, RetryAfter: 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testAwayForAnHour(t, failure)
		})
	}
}

func testAwayForAnHour(t *testing.T, failure *authserver.Error) {
	h := newHour(t, 0)
	kept := h.creates("kept", 3, 24*time.Hour)
	lapsing := h.creates("lapsing", 3, 15*time.Minute)
	doomed := h.creates("doomed", 3, 24*time.Hour)
	h.pass(5 * time.Minute)
	h.require(slices.Concat(kept, lapsing, doomed), v1alpha1.ConditionReady, "True/Ready")

	h.as.failure, h.as.calls = failure, map[fake.Operation]int{}
	h.pass(5 * time.Minute)
	wanted := h.creates("wanted", 3, 24*time.Hour)
	for _, reg := range doomed {
		if err := h.Remove(t.Context(), reg); err != nil {
			t.Fatal(err)
		}
	}
	for range 11 {
		h.pass(5 * time.Minute)
		h.require(kept, v1alpha1.ConditionReady, "True/Ready")
		if h.Clock.Now().Sub(lapsing[0].CreationTimestamp.Time) > 16*time.Minute {
			h.require(lapsing, v1alpha1.ConditionRegistered, "Unknown/"+v1alpha1.ReasonUnavailable)
			h.require(lapsing, v1alpha1.ConditionReady, "Unknown/"+v1alpha1.ReasonUnavailable)
		}
		h.require(doomed, v1alpha1.ConditionReady, "Unknown/"+v1alpha1.ReasonUnavailable)
		h.require(wanted, v1alpha1.ConditionReady, "Unknown/"+v1alpha1.ReasonUnavailable)
		for _, reg := range slices.Concat(lapsing, doomed) {
			if r := reg.Status.Revocation; r != nil && (r.RevokedAtASAt != nil || r.VerifiedAt != nil) {
				t.Fatalf("%s is said to be revoked: %+v", reg.Name, r)
			}
		}
	}
	troubled, calls := len(lapsing)+len(doomed)+len(wanted), h.as.total()
	t.Logf("%d calls in an hour for %d registrations that something is to be done about: %v", calls, troubled, h.as.calls)
	if most := 80 * troubled; calls > most {
		t.Errorf("%d calls in an hour, want %d at most: one a minute and a few at first for each", calls, most)
	}
	if live := len(h.as.Clients()); live != len(kept)+len(lapsing)+len(doomed) {
		t.Fatalf("%d clients live at the end of the outage", live)
	}
	h.returns(max(failure.RetryAfter, time.Minute)+time.Second, kept, wanted, lapsing, doomed)
}

// returns has the server return and requires everything that was held up within a
// time.
func (h *hour) returns(within time.Duration, kept, wanted, lapsing, doomed []*v1alpha1.MCPClientRegistration) {
	h.t.Helper()
	h.as.failure = nil
	returned := h.Clock.Now()
	h.pass(within)
	h.require(kept, v1alpha1.ConditionReady, "True/Ready")
	h.require(lapsing, v1alpha1.ConditionReady, "False/"+v1alpha1.ReasonExpired)
	h.require(doomed, v1alpha1.ConditionReady, "gone")
	for _, reg := range lapsing {
		r := reg.Status.Revocation
		if r == nil || r.VerifiedAt == nil || r.RevokedAtASAt.Time.Before(returned.Add(-time.Second)) || !r.DueAt.Time.Equal(reg.CreationTimestamp.Add(15*time.Minute)) {
			h.t.Fatalf("%s was revoked in this way: %+v", reg.Name, r)
		}
	}
	h.pass(10 * time.Minute)
	h.require(wanted, v1alpha1.ConditionReady, "True/Ready")
	if live := len(h.as.Clients()); live != len(kept)+len(wanted) {
		h.t.Errorf("%d clients live for %d registrations", live, len(kept)+len(wanted))
	}
}
