// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// errOtherwise is that of an answer that is not the one that is waited for.
var errOtherwise = errors.New("the answer is another one")

const (
	readyTrue = "True/Ready"
	waits     = "False/" + v1alpha1.ReasonApprovalRequired
)

// What people do with the rights that the chart's roles give them, and the operator with
// those of its account, up to the scopes that clients have at the authorization server.
func TestPeopleUnderTheChartsRoles(t *testing.T) {
	t.Parallel()
	g := newGoverned(t)
	for _, part := range []struct {
		name string
		test func(*testing.T, *governed)
	}{
		{"an approval is of what was looked at", approvalsOfWhatWasLookedAt},
		{"an approval ends with the server that was looked at", approvalEndsWithItsServer},
		{"one person behind two names approves nothing", onePersonBehindTwoNames},
		{"one server speaks for a resource", oneServerSpeaks},
		{"what is restored keeps its names", restoredKeepsItsNames},
		{"definitions stay where clients live", definitionsStay},
		{"the operator's account is no other account", operatorStaysItself},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, g) })
	}
}

// lookedAt is a client with a grant that was approved, and what becomes of them.
type lookedAt struct {
	name   string
	change func(t *testing.T, g *governed, c lookedAt)
	says   string
	reg    *v1alpha1.MCPClientRegistration
	asked  *v1alpha1.ScopeGrant
}

// editing has the developer change the registration.
func editing(change func(*v1alpha1.MCPClientRegistration)) func(*testing.T, *governed, lookedAt) {
	return func(t *testing.T, g *governed, c lookedAt) {
		g.edits(t, g.person(t, "dora", "team-payments"), c.reg, func() { change(c.reg) })
	}
}

// again has the developer delete the registration and make another one under its name.
func again(make func(name string) *v1alpha1.MCPClientRegistration) func(*testing.T, *governed, lookedAt) {
	return func(t *testing.T, g *governed, c lookedAt) {
		g.makesAgain(t, g.person(t, "dora", "team-payments"), c.reg, make(c.reg.Name))
	}
}

func changesAfterALook() []lookedAt {
	const madeAgain = "the MCPClientRegistration was deleted and created again"
	return []lookedAt{
		{name: "redirect-uri-changed", says: `redirect URIs: added "https://evil.example.com/callback"`, change: editing(func(reg *v1alpha1.MCPClientRegistration) {
			reg.Spec.RedirectURIs[0] = "https://evil.example.com/callback"
		})},
		{name: "redirect-uri-added", says: `redirect URIs: added "http://localhost/callback"`, change: editing(func(reg *v1alpha1.MCPClientRegistration) {
			reg.Spec.RedirectURIs = append(reg.Spec.RedirectURIs, "http://localhost/callback")
		})},
		{name: "client-name-changed", says: `client name: was "Client client-name-changed", is "Bank"`, change: editing(func(reg *v1alpha1.MCPClientRegistration) {
			reg.Spec.ClientName = "Bank"
		})},
		{name: "grant-type-added", says: `grant types: added "RefreshToken"`, change: editing(func(reg *v1alpha1.MCPClientRegistration) {
			reg.Spec.GrantTypes = append(reg.Spec.GrantTypes, v1alpha1.GrantRefreshToken)
		})},
		{name: "owner-of-the-client", says: `owner of the client: was "team-payments@example.com", is "mallory@example.com"`, change: editing(func(reg *v1alpha1.MCPClientRegistration) {
			reg.Annotations[v1alpha1.AnnotationOwner] = "mallory@example.com"
		})},
		{name: "owner-of-the-grant", says: `owner of the grant: was "team-payments@example.com", is "mallory@example.com"`, change: func(t *testing.T, g *governed, c lookedAt) {
			g.edits(t, g.person(t, "dora", "team-payments"), c.asked, func() { c.asked.Annotations[v1alpha1.AnnotationOwner] = "mallory@example.com" })
		}},
		{name: "made-again-confidential", says: madeAgain, change: again(func(name string) *v1alpha1.MCPClientRegistration {
			reg := registration(name)
			reg.Spec.TokenEndpointAuthMethod = v1alpha1.AuthMethodClientSecretBasic
			return reg
		})},
		{name: "made-again-alike", says: madeAgain, change: again(interactive)},
		{name: "grant-made-again", says: "the ScopeGrant was deleted and created again", change: func(t *testing.T, g *governed, c lookedAt) {
			g.makesAgain(t, g.person(t, "dora", "team-payments"), c.asked, granting(c.asked.Name, c.reg.Name, payScope))
		}},
	}
}

// approvalsOfWhatWasLookedAt has a developer change something after the approval: the
// scope is gone at the authorization server until an owner looked again.
func approvalsOfWhatWasLookedAt(t *testing.T, g *governed) {
	dora, otto := g.person(t, "dora", "team-payments"), g.person(t, "otto", "team-invoices")
	cases := changesAfterALook()
	// All together: what waits is gathered for some seconds.
	approved := func() {
		for _, c := range cases {
			g.creates(t, otto, g.shown(t, otto, c.asked))
		}
		for _, c := range cases {
			g.stands(t, c.asked, readyTrue, "", payScope, readScope)
		}
	}
	for i := range cases {
		c := &cases[i]
		c.reg, c.asked = interactive(c.name), granting(c.name+"-pays", c.name, payScope)
		g.creates(t, dora, c.reg, granting(c.name+"-reads", c.name, readScope), c.asked)
	}
	for _, c := range cases {
		g.stands(t, c.asked, waits, "of tier Elevated", readScope)
	}
	approved()
	for _, c := range cases {
		c.change(t, g, c)
	}
	for _, c := range cases {
		g.stands(t, c.asked, waits, c.says, readScope)
	}
	approved()
}

// edits changes an object as it is.
func (g *governed) edits(t *testing.T, by client.Client, object client.Object, change func()) {
	t.Helper()
	g.soon(t, "changing "+object.GetName(), func() error {
		if err := by.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			return err
		}
		change()
		return by.Update(t.Context(), object)
	})
}

// makesAgain deletes an object and creates another one under its name.
func (g *governed) makesAgain(t *testing.T, by client.Client, object, again client.Object) {
	t.Helper()
	if err := by.Delete(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	g.soon(t, object.GetName()+" is gone", func() error {
		err := g.looks.Get(t.Context(), client.ObjectKeyFromObject(object), object.DeepCopyObject().(client.Object))
		if !apierrors.IsNotFound(err) {
			return errors.Join(errOtherwise, err)
		}
		return nil
	})
	g.creates(t, by, again)
}

// approvalEndsWithItsServer has the owner of a server make it again under its name, with
// another resource and owner.
func approvalEndsWithItsServer(t *testing.T, g *governed) {
	dora, otto := g.person(t, "dora", "team-payments"), g.person(t, "otto", "team-invoices")
	changes := map[string]func(*v1alpha1.MCPServer){
		"another-resource-and-owner": func(s *v1alpha1.MCPServer) {
			s.Spec.Resource, s.Annotations[v1alpha1.AnnotationOwner] = "https://bank.example.com/mcp", "mallory@example.com"
		},
		"another-resource": func(s *v1alpha1.MCPServer) { s.Spec.Resource = "https://bank.example.com/other" },
		"alike":            func(*v1alpha1.MCPServer) {},
	}
	made := func(name string) *v1alpha1.MCPServer {
		return serverOf("invoices", name, "https://mcp.example.com/"+name, v1alpha1.TierRead)
	}
	asked := map[string]*v1alpha1.ScopeGrant{}
	for name := range changes {
		reads := granting(name+"-reads", name, readScope)
		asked[name] = granting(name+"-pays", name, payScope)
		reads.Spec.ServerRef.Name, asked[name].Spec.ServerRef.Name = name, name
		g.creates(t, otto, made(name))
		g.creates(t, dora, interactive(name), reads, asked[name])
	}
	for name := range changes {
		g.creates(t, otto, g.shown(t, otto, asked[name]))
	}
	for name, change := range changes {
		g.stands(t, asked[name], readyTrue, "", payScope, readScope)
		server := made(name)
		g.soon(t, "a deletion that was not confirmed is refused", func() error {
			if err := otto.Delete(t.Context(), server, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "confirm-deletion=1") {
				return errors.Join(errOtherwise, err)
			}
			return nil
		})
		g.edits(t, otto, server, func() { server.Annotations[v1alpha1.AnnotationConfirmDeletion] = "1" })
		again := made(name)
		change(again)
		g.makesAgain(t, otto, server, again)
	}
	for name := range changes {
		g.stands(t, asked[name], waits, "the MCPServer was deleted and created again", readScope)
	}
}

// onePersonBehindTwoNames has those who decide at a server hold something in the client's
// namespace too, by which they are its ServiceAccount, in whose name is asked.
func onePersonBehindTwoNames(t *testing.T, g *governed) {
	const account = "system:serviceaccount:payments:ci"
	g.binds(t, account, "payments", release+"-client-developer")
	g.binds(t, "alice", "payments", "admin")
	g.binds(t, "edith", "payments", "edit")
	for name, right := range map[string]rbacv1.PolicyRule{
		"sam":   {APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create", "get"}},
		"wes":   {APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"create"}},
		"vicky": {APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}},
	} {
		g.creates(t, g.looks, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "test-" + name}, Rules: []rbacv1.PolicyRule{right}})
		g.binds(t, name, "payments", "test-"+name)
	}
	as := rest.CopyConfig(g.identity(t, "alice", "team-invoices"))
	as.Impersonate.UserName = account
	asked := granting("two-names-pays", "two-names", payScope)
	g.creates(t, g.client(t, as), interactive("two-names"), granting("two-names-reads", "two-names", readScope), asked)
	if by := asked.Annotations[v1alpha1.AnnotationRequestedBy]; by != account {
		t.Fatalf("asked for by %q", by)
	}
	otto := g.person(t, "otto", "team-invoices")
	decision := g.shown(t, otto, asked)
	for _, name := range []string{"alice", "edith", "sam", "wes", "vicky"} {
		by, last := g.person(t, name, "team-invoices"), error(nil)
		g.soon(t, name+" cannot approve", func() error {
			last = by.Create(t.Context(), decision.DeepCopy(), client.DryRunAll)
			if last == nil || !strings.Contains(last.Error(), fmt.Sprintf("user %q could act as %q", name, account)) {
				return errors.Join(errOtherwise, last)
			}
			return nil
		})
	}
	g.stands(t, asked, waits, "", readScope)
	g.creates(t, otto, decision)
	g.stands(t, asked, readyTrue, "", payScope, readScope)
}

// oneServerSpeaks has another tenant describe a server with a resource that is taken, and
// approve everything by itself.
func oneServerSpeaks(t *testing.T, g *governed) {
	for _, role := range []string{"server-owner", "client-developer", "grant-approver"} {
		g.binds(t, "mallory", "rogue", release+"-"+role)
	}
	mallory := g.person(t, "mallory")
	for name, resource := range map[string]string{
		"same": "https://mcp.example.com/invoices", "slash": "https://mcp.example.com/invoices/",
		"port": "https://mcp.example.com:443/invoices", "dots": "https://mcp.example.com/a/../invoices",
	} {
		server := serverOf("rogue", name, resource, v1alpha1.TierRead, v1alpha1.TierWrite, v1alpha1.TierElevated)
		reg, asked := interactive(name), granting(name, name, payScope)
		reg.Namespace, asked.Namespace = "rogue", "rogue"
		asked.Spec.ServerRef = v1alpha1.ServerReference{Name: name, Namespace: "rogue"}
		g.creates(t, mallory, server, reg, asked)
		g.stands(t, asked, "False/"+v1alpha1.ReasonServerNotAccepted, "")
		g.soon(t, name+" is refused", func() error {
			if err := mallory.Get(t.Context(), client.ObjectKeyFromObject(server), server); err != nil {
				return err
			}
			c := apimeta.FindStatusCondition(server.Status.Conditions, v1alpha1.ConditionReady)
			if c == nil || c.Reason != v1alpha1.ReasonResourceTaken || strings.Contains(c.Message, "team-invoices") {
				return fmt.Errorf("it says %+v", c)
			}
			return nil
		})
		for _, c := range g.as.Clients() {
			if strings.HasPrefix(c.Name, reg.Spec.ClientName+" ") || c.Name == reg.Spec.ClientName {
				t.Errorf("%s: client %q has %q", name, c.ID, c.Scope)
			}
		}
	}
}

// restoredKeepsItsNames has the account of a backup tool create what others asked for.
func restoredKeepsItsNames(t *testing.T, g *governed) {
	g.binds(t, "velero", "", release+"-restorer")
	velero, dora := g.person(t, "velero"), g.person(t, "dora", "team-payments")
	named := func(object client.Object) client.Object {
		object.GetAnnotations()[v1alpha1.AnnotationRequestedBy] = "nora"
		object.GetAnnotations()[v1alpha1.AnnotationChangedBy] = "nils"
		object.SetLabels(map[string]string{"velero.io/backup-name": "nightly"})
		return object
	}
	server := serverOf("invoices", "restored", "https://mcp.example.com/restored", v1alpha1.TierRead)
	server.Annotations[v1alpha1.AnnotationChangedBy] = "nils"
	reads := granting("restored", "restored", readScope)
	reads.Spec.ServerRef.Name = server.Name
	beforehand := &v1alpha1.ScopeGrantApproval{
		ObjectMeta: metav1.ObjectMeta{Name: "restored", Namespace: "invoices", Annotations: map[string]string{v1alpha1.AnnotationApprovedBy: "olga"}},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef: v1alpha1.ApprovedServer{Name: server.Name}, ClientRef: &v1alpha1.ApprovedClient{Namespace: "payments", Name: "restored"},
			Scopes: []string{payScope}, Decision: v1alpha1.DecisionApproved, ExpirationTime: new(metav1.NewTime(time.Now().Add(time.Hour))),
		},
	}
	for _, object := range []client.Object{named(interactive("forged")), named(granting("forged", "forged", readScope))} {
		if err := dora.Create(t.Context(), object); err == nil || !strings.Contains(err.Error(), "mcp-registrar-requester") {
			t.Errorf("a developer creates a %T in the name of others: %v", object, err)
		}
	}
	forged := beforehand.DeepCopy()
	if err := g.person(t, "otto", "team-invoices").Create(t.Context(), forged); err == nil || !strings.Contains(err.Error(), "approved-by must be the user") {
		t.Errorf("an owner approves in the name of another: %v", err)
	}
	for object, want := range map[client.Object]map[string]string{
		server:                         {v1alpha1.AnnotationChangedBy: "nils"},
		named(interactive("restored")): {v1alpha1.AnnotationRequestedBy: "nora", v1alpha1.AnnotationChangedBy: "nils"},
		named(reads):                   {v1alpha1.AnnotationRequestedBy: "nora", v1alpha1.AnnotationChangedBy: "nils"},
		beforehand:                     {v1alpha1.AnnotationApprovedBy: "olga"},
	} {
		g.creates(t, velero, object)
		for key, name := range want {
			if got := object.GetAnnotations()[key]; got != name {
				t.Errorf("%T: %s is %q, want %q", object, key, got, name)
			}
		}
	}
	g.stands(t, reads, readyTrue, "", readScope)
}

// definitionsStay has whoever may delete definitions do it by accident: a cluster admin,
// whom the policies hold as well, and people with a role of the chart, who may not.
func definitionsStay(t *testing.T, g *governed) {
	g.binds(t, "carla", "", "cluster-admin")
	carla := g.person(t, "carla")
	g.soon(t, "a client lives on the server", func() error {
		var as v1alpha1.AuthorizationServer
		if err := g.looks.Get(t.Context(), client.ObjectKey{Name: "company"}, &as); err != nil {
			return err
		}
		if as.Status.Clients == nil || as.Status.Clients.Managed == 0 {
			return fmt.Errorf("%+v", as.Status.Clients)
		}
		return nil
	})
	for _, resource := range []string{"mcpservers", "mcpclientregistrations", "scopegrants", "authorizationservers"} {
		definition := &metav1.PartialObjectMetadata{
			TypeMeta:   metav1.TypeMeta{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition"},
			ObjectMeta: metav1.ObjectMeta{Name: resource + ".mcp-registrar.dev"},
		}
		g.soon(t, resource, func() error {
			err := carla.Delete(t.Context(), definition.DeepCopy(), client.DryRunAll)
			if err == nil || !strings.Contains(err.Error(), "mcp-registrar.dev/confirm-deletion=") {
				return errors.Join(errOtherwise, err)
			}
			return nil
		})
		for name, group := range map[string]string{"paul": "platform-team", "otto": "team-invoices"} {
			if err := g.person(t, name, group).Delete(t.Context(), definition.DeepCopy(), client.DryRunAll); !apierrors.IsForbidden(err) || strings.Contains(err.Error(), "confirm") {
				t.Errorf("%s by one of %s: %v", resource, group, err)
			}
		}
	}
}

// operatorStaysItself has somebody with the operator's token make Secrets that are tokens of
// other accounts.
func operatorStaysItself(t *testing.T, g *governed) {
	account, err := g.plane.ServiceAccountConfig(t.Context(), namespace, release)
	if err != nil {
		t.Fatal(err)
	}
	operator := g.client(t, account)
	for in, of := range map[string]string{metav1.NamespaceSystem: "clusterrole-aggregation-controller", "payments": "default", namespace: release} {
		for _, kind := range []corev1.SecretType{corev1.SecretTypeServiceAccountToken, corev1.SecretTypeOpaque} {
			secret := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: in, Name: "token", Annotations: map[string]string{corev1.ServiceAccountNameKey: of},
					Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedByValue},
				},
				Type: kind,
			}
			if err := operator.Create(t.Context(), secret); err == nil || !strings.Contains(err.Error(), "Secrets of its own types only") {
				t.Errorf("a Secret of type %s in %s: %v", kind, in, err)
			}
		}
	}
}
