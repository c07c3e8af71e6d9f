// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
	"github.com/mcp-registrar/mcp-registrar/test/operator"
)

// The server whose owner decides about grants, and what it is asked for.
const (
	guarded      = "payments"
	guardedScope = "payments:release"
)

// policyAge is longer than the manager wants the admission policies to have been
// there before it honours an approval.
const policyAge = 15 * time.Second

// approvals measures how long after an owner's word the authorization server has
// it: from the API server's answer to that of the authorization server.
func (b *bench) approvals(t *testing.T, n int) {
	t.Helper()
	const gap = 100 * time.Millisecond
	b.awaitPolicies(t)
	all := names("guarded", n)
	clients := b.guardedClients(t, all)
	owner := b.as(t, "olga")
	for _, turn := range []struct {
		what     string
		withdraw bool
		gap      time.Duration
	}{
		{"approvals, one every 100ms: scope given", false, gap},
		{"withdrawals, one every 100ms: scope taken away", true, gap},
		{"approvals at once: scope given", false, 0},
		{"withdrawals at once: scope taken away", true, 0},
	} {
		b.awaitIdle(t)
		b.AS.ResetCounts()
		said := b.decide(t, owner, all, turn.withdraw, turn.gap)
		took := b.awaitReplaced(t, clients, said)
		say(t, "approvals", "%d %s at the authorization server after %s", n, turn.what, took)
	}
}

// awaitPolicies waits until approvals count.
func (b *bench) awaitPolicies(t *testing.T) {
	t.Helper()
	eventually(t, "waiting for the admission policies to count", time.Minute, func(ctx context.Context) (bool, error) {
		var binding admissionregistrationv1.ValidatingAdmissionPolicyBinding
		err := b.Get(ctx, types.NamespacedName{Name: "mcp-registrar-approval"}, &binding)
		return time.Since(binding.CreationTimestamp.Time) >= policyAge, err
	})
}

// as is a client for a user of this name who may decide about grants, and could act as
// nobody else.
func (b *bench) as(t *testing.T, name string) client.Client {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: operator.TeamNamespace, Name: "approves"}
	b.create(t, []client.Object{
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"scopegrantapprovals"}, Verbs: []string{"create", "delete"},
		}}},
		&rbacv1.RoleBinding{
			ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}},
		},
	})
	config := rest.CopyConfig(b.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: name}
	c, err := client.New(config, client.Options{Scheme: b.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// guardedClients makes registrations that have one scope and wait for another,
// and returns the id of each client by its name.
func (b *bench) guardedClients(t *testing.T, all []string) map[string]string {
	t.Helper()
	b.create(t, []client.Object{&v1alpha1.MCPServer{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: operator.TeamNamespace, Name: guarded, Annotations: map[string]string{v1alpha1.AnnotationOwner: operator.Owner},
		},
		Spec: v1alpha1.MCPServerSpec{
			Resource:               "https://mcp.example.com/" + guarded,
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: operator.AuthorizationServer},
			Scopes:                 []v1alpha1.Scope{{Name: guardedScope, Tier: v1alpha1.TierElevated}},
		},
	}})
	seen := b.watchReady(t, all)
	each(t, all, func(ctx context.Context, i int) error {
		objects := registration(all[i], time.Now().Add(4*time.Hour))
		wish := objects[1].DeepCopyObject().(*v1alpha1.ScopeGrant)
		wish.Name += "-releases"
		wish.Spec.ServerRef.Name, wish.Spec.Scopes, wish.Spec.Reason = guarded, []v1alpha1.ScopeName{guardedScope}, "measurement"
		for _, object := range append(objects, wish) {
			if err := b.Create(ctx, object); err != nil {
				return err
			}
		}
		return nil
	})
	seen.wait(t)
	clients := make(map[string]string, len(all))
	for _, name := range all {
		var reg v1alpha1.MCPClientRegistration
		if err := b.Get(t.Context(), types.NamespacedName{Namespace: operator.TeamNamespace, Name: name}, &reg); err != nil {
			t.Fatal(err)
		}
		clients[name] = reg.Status.ClientID
	}
	return clients
}

// decide writes a decision about the grant of each name, with a gap between them
// or many at a time, and returns when the API server had answered each.
func (b *bench) decide(t *testing.T, owner client.Client, all []string, withdraw bool, gap time.Duration) map[string]time.Time {
	t.Helper()
	answered, decisions := make([]time.Time, len(all)), make([]*v1alpha1.ScopeGrantApproval, len(all))
	for i, name := range all {
		decisions[i] = b.looked(t, name)
	}
	one := func(ctx context.Context, i int) (err error) {
		if withdraw {
			err = owner.Delete(ctx, decisions[i])
		} else {
			err = owner.Create(ctx, decisions[i])
		}
		answered[i] = time.Now()
		return err
	}
	if gap == 0 {
		each(t, all, one)
	} else {
		ticker := time.NewTicker(gap)
		defer ticker.Stop()
		for i := range all {
			<-ticker.C
			if err := one(t.Context(), i); err != nil {
				t.Fatal(err)
			}
		}
	}
	said := make(map[string]time.Time, len(all))
	for i, name := range all {
		said[name] = answered[i]
	}
	return said
}

// awaitReplaced returns how long after the decision each client was changed.
func (b *bench) awaitReplaced(t *testing.T, clients map[string]string, said map[string]time.Time) spread {
	t.Helper()
	decided := make(map[string]time.Time, len(clients))
	for name, id := range clients {
		decided[id] = said[name]
	}
	took := map[string]time.Duration{}
	eventually(t, "waiting for the clients to be changed", 2*time.Minute, func(context.Context) (bool, error) {
		for _, entry := range b.AS.Log() {
			at, ours := decided[entry.ClientID]
			if !ours || entry.Operation != devas.Replace {
				continue
			}
			if entry.Status != 200 {
				return false, errors.New("the authorization server refused a change")
			}
			took[entry.ClientID] = entry.Time.Sub(at)
		}
		return len(took) == len(decided), nil
	})
	var durations []time.Duration
	for _, d := range took {
		durations = append(durations, d)
	}
	return newSpread(durations)
}

// looked is what an owner says who looked at the grant of a name.
func (b *bench) looked(t *testing.T, name string) *v1alpha1.ScopeGrantApproval {
	t.Helper()
	grant, reg, server := &v1alpha1.ScopeGrant{}, &v1alpha1.MCPClientRegistration{}, &v1alpha1.MCPServer{}
	for object, of := range map[client.Object]string{grant: name + "-releases", reg: name, server: guarded} {
		if err := b.Get(t.Context(), types.NamespacedName{Namespace: operator.TeamNamespace, Name: of}, object); err != nil {
			t.Fatal(err)
		}
	}
	return &v1alpha1.ScopeGrantApproval{
		ObjectMeta: metav1.ObjectMeta{Namespace: server.Namespace, Name: grant.Name},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef:    v1alpha1.ApprovedServer{Name: server.Name, UID: string(server.UID)},
			GrantRef:     &v1alpha1.ApprovedGrant{Namespace: grant.Namespace, Name: grant.Name, UID: string(grant.UID), Generation: grant.Generation},
			Registration: &v1alpha1.ApprovedRegistration{UID: string(reg.UID), Generation: reg.Generation},
			Digest:       policy.Look(grant, reg, server).Digest(),
			ToolsDigest:  policy.ToolsDigest(grant, server),
			RequestedBy:  grant.Annotations[v1alpha1.AnnotationRequestedBy], Decision: v1alpha1.DecisionApproved,
		},
	}
}
