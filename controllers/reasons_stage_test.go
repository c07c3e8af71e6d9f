// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// begun is the present at the start of every case.
var begun = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

const (
	stageOperator = "mcp-registrar-system"
	clientsPlace  = "payments"
	serversPlace  = "invoices"
)

// stage is a small world in memory with the real reconcilers: one
// AuthorizationServer, one MCPServer, one registration, one grant. A case
// changes them, before they are created or after.
type stage struct {
	client.Client
	t     *testing.T
	clock *clocktesting.FakePassiveClock
	as    *strange

	connector *fake.Connector
	// broken are the kinds that cannot be read.
	broken map[string]bool
	grants *Grants

	registrations *RegistrationReconciler
	scopeGrants   *ScopeGrantReconciler
	servers       *MCPServerReconciler
	authServers   *AuthorizationServerReconciler
	accessDenials *AccessDenialReconciler
	approvals     *ApprovalReconciler
	strays        *StrayReconciler

	// The objects as they are to be created; nil is left out.
	issuer    *v1alpha1.AuthorizationServer
	server    *v1alpha1.MCPServer
	reg       *v1alpha1.MCPClientRegistration
	grant     *v1alpha1.ScopeGrant
	denial    *v1alpha1.AccessDenial
	namespace *corev1.Namespace
	created   bool
	// strips is what a third party's policy does to objects on their way into
	// storage; nil is nothing.
	strips func(client.Object)
	// refuses is what the API server answers to new credentials Secrets; nil is nothing.
	refuses error
	// requests are what the API server was asked: every write, and what was read
	// past the cache.
	requests []string
}

// counted is a reader of the API server.
type counted struct {
	client.Reader
	s *stage
}

func (c counted) Get(ctx context.Context, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
	c.s.requests = append(c.s.requests, fmt.Sprintf("get %T", object))
	return c.Reader.Get(ctx, key, object, opts...)
}

func (c counted) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	c.s.requests = append(c.s.requests, fmt.Sprintf("list %T", list))
	return c.Reader.List(ctx, list, opts...)
}

// strange is a fake authorization server that fails, as long as it is told to.
type strange struct {
	*fake.Server
	discovery, registration, finding, revocation, access error
	// deaf accepts deletions and does nothing.
	deaf bool
	// pages counts the pages that were asked for, by a server that has no last one;
	// zero leaves the list as it is.
	pages int
}

func (s *strange) List(ctx context.Context, cursor string) (authserver.Page, error) {
	page, err := s.Server.List(ctx, cursor)
	if s.pages > 0 {
		s.pages++
		page, err = s.Server.List(ctx, "")
		page.Next = strconv.Itoa(s.pages)
	}
	return page, err
}

func (s *strange) Discover(ctx context.Context) (authserver.Metadata, error) {
	if s.discovery != nil {
		return authserver.Metadata{}, s.discovery
	}
	return s.Server.Discover(ctx)
}

func (s *strange) CheckAccess(ctx context.Context) error {
	if s.access != nil {
		return s.access
	}
	return s.Server.CheckAccess(ctx)
}

func (s *strange) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	if s.registration != nil {
		return authserver.Client{}, s.registration
	}
	return s.Server.Register(ctx, wish)
}

func (s *strange) Find(ctx context.Context, handle authserver.Handle) (authserver.Client, bool, error) {
	if s.finding != nil {
		return authserver.Client{}, false, s.finding
	}
	return s.Server.Find(ctx, handle)
}

func (s *strange) Revoke(ctx context.Context, handle authserver.Handle) error {
	if s.revocation != nil || s.deaf {
		return s.revocation
	}
	return s.Server.Revoke(ctx, handle)
}

// indexes gives SetupIndexes the indexer of a fake client.
type indexes struct {
	manager.Manager
	builder *fakeclient.ClientBuilder
}

func (i indexes) GetFieldIndexer() client.FieldIndexer { return i }

func (i indexes) IndexField(_ context.Context, object client.Object, field string, values client.IndexerFunc) error {
	i.builder.WithIndex(object, field, values)
	return nil
}

// newStage makes the world of one case; the registration and the grant have its
// name.
func newStage(t *testing.T, name string) *stage {
	t.Helper()
	s := &stage{t: t, clock: clocktesting.NewFakePassiveClock(begun), as: &strange{Server: fake.New("https://auth.example.com")}, broken: map[string]bool{}}
	s.prepare(name)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	builder := fakeclient.NewClientBuilder().WithScheme(scheme).
		WithStatusSubresource(&v1alpha1.AuthorizationServer{}, &v1alpha1.MCPServer{}, &v1alpha1.MCPClientRegistration{}, &v1alpha1.ScopeGrant{}, &v1alpha1.AccessDenial{}, &v1alpha1.ScopeGrantApproval{}).
		WithInterceptorFuncs(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
			if s.broken[fmt.Sprintf("%T", object)] {
				return errors.New("the API server does not answer")
			}
			return c.Get(ctx, key, object, opts...)
		}, Create: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.CreateOption) error {
			s.strip(object)
			s.requests = append(s.requests, fmt.Sprintf("create %T", object))
			if secret, ok := object.(*corev1.Secret); ok && secret.Type == v1alpha1.SecretTypeCredentials && s.refuses != nil {
				return s.refuses
			}
			return c.Create(ctx, object, opts...)
		}, Update: func(ctx context.Context, c client.WithWatch, object client.Object, opts ...client.UpdateOption) error {
			s.strip(object)
			s.requests = append(s.requests, fmt.Sprintf("update %T", object))
			return c.Update(ctx, object, opts...)
		}, SubResourceUpdate: func(ctx context.Context, c client.Client, part string, object client.Object, opts ...client.SubResourceUpdateOption) error {
			s.requests = append(s.requests, fmt.Sprintf("update %s of %T", part, object))
			return c.SubResource(part).Update(ctx, object, opts...)
		}, Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, opts ...client.PatchOption) error {
			s.requests = append(s.requests, fmt.Sprintf("patch %T", object))
			if err := c.Patch(ctx, object, patch, opts...); err != nil || s.strips == nil {
				return err
			}
			s.strip(object)
			return c.Update(ctx, object)
		}})
	if err := SetupIndexes(t.Context(), indexes{builder: builder}); err != nil {
		t.Fatal(err)
	}
	s.Client = builder.Build()
	s.assemble()
	return s
}

func (s *stage) strip(object client.Object) {
	if s.strips != nil {
		s.strips(object)
	}
}

// assemble makes the reconcilers as Setup does.
func (s *stage) assemble() {
	connector := fake.NewConnector()
	connector.Put("company", s.as)
	s.connector = connector
	recorder, metrics := &events.FakeRecorder{}, NewMetrics(prometheus.NewRegistry())
	servers := &Servers{Connector: connector, Client: s.Client, Namespace: stageOperator}
	s.grants = &Grants{Client: s.Client, Admission: &Admission{Client: s.Client, Clock: s.clock, Served: true}}
	access := NewAccess()
	records, strays := &Records{Client: s.Client, Live: counted{s.Client, s}, Namespace: stageOperator}, NewStrays()
	s.registrations = &RegistrationReconciler{
		Client: s.Client, Clock: s.clock, Servers: servers, Grants: s.grants, Cluster: "cluster",
		Records: records, Strays: strays, Access: access,
		Credentials: &Credentials{Client: s.Client, Live: counted{s.Client, s}},
		Places:      &Places{Client: s.Client, Namespace: stageOperator},
		Drift:       NewDriftSchedule(begun), Examinations: NewExaminations(), Recorder: recorder, Metrics: metrics, Audit: audit.Discard,
	}
	s.scopeGrants = &ScopeGrantReconciler{Client: s.Client, Clock: s.clock, Grants: s.grants, Recorder: recorder, Audit: audit.Discard}
	s.approvals = &ApprovalReconciler{Client: s.Client, Clock: s.clock, Grants: s.grants, Recorder: recorder}
	s.servers = &MCPServerReconciler{Client: s.Client, Clock: s.clock, Recorder: recorder}
	s.accessDenials = &AccessDenialReconciler{
		Client: s.Client, Clock: s.clock, Guards: newGuards(s.Client, nil, nil), Denials: &Denials{Client: s.Client, Live: s.Client}, Recorder: recorder,
	}
	s.authServers = &AuthorizationServerReconciler{
		Client: s.Client, Clock: s.clock, Servers: servers, Recorder: recorder, Metrics: metrics, Audit: audit.Discard,
		Live: s.Client, Namespace: stageOperator, Strays: strays, Access: access,
	}
	s.strays = &StrayReconciler{
		Client: s.Client, Clock: s.clock, Servers: servers, Audit: audit.Discard,
		Live: s.Client, Namespace: stageOperator, Strays: strays, Records: records, Cluster: "cluster",
	}
}

// stageMeta is that of an object which the operator has not seen.
func stageMeta(namespace, name, owner string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID(name), Generation: 1,
		CreationTimestamp: metav1.NewTime(begun.Add(-time.Hour)),
		Annotations:       map[string]string{v1alpha1.AnnotationOwner: owner},
	}
}

// ending gives an object an end date, and somebody who asked for it.
func ending(m metav1.ObjectMeta, at time.Time) metav1.ObjectMeta {
	m.Annotations[v1alpha1.AnnotationExpiresAt] = at.Format(time.RFC3339)
	m.Annotations[v1alpha1.AnnotationRequestedBy] = "alice"
	return m
}

// prepare makes the objects of a world in which all is well.
func (s *stage) prepare(name string) {
	end := begun.AddDate(0, 0, 30)
	s.issuer = &v1alpha1.AuthorizationServer{
		ObjectMeta: metav1.ObjectMeta{Name: "company", UID: "company", Generation: 1, CreationTimestamp: metav1.NewTime(begun.Add(-time.Hour)), Annotations: map[string]string{}},
		Spec: v1alpha1.AuthorizationServerSpec{
			Issuer: "https://auth.example.com", DynamicRegistration: &v1alpha1.DynamicRegistration{},
			AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, AllowedServers: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, Policy: &v1alpha1.RegistrationPolicy{},
		},
		Status: v1alpha1.AuthorizationServerStatus{ObservedGeneration: -1},
	}
	s.server = &v1alpha1.MCPServer{
		ObjectMeta: stageMeta(serversPlace, "invoices", "team-invoices@example.com"),
		Spec: v1alpha1.MCPServerSpec{
			Resource:               "https://mcp.example.com/invoices",
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: "company"},
			Scopes: []v1alpha1.Scope{
				{Name: "invoices:read", Tier: v1alpha1.TierRead}, {Name: "invoices:export", Tier: v1alpha1.TierRead},
				{Name: "invoices:write", Tier: v1alpha1.TierWrite},
			},
			AllowedClients: &v1alpha1.AllowedClients{Namespaces: v1alpha1.NamespacesAll},
		},
		Status: v1alpha1.MCPServerStatus{ObservedGeneration: -1},
	}
	s.reg = &v1alpha1.MCPClientRegistration{
		ObjectMeta: ending(stageMeta(clientsPlace, name, "team-payments@example.com"), end),
		Spec: v1alpha1.MCPClientRegistrationSpec{
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: "company"},
			ClientName:             "Payment reconciler", ApplicationType: v1alpha1.ApplicationWeb,
			GrantTypes:              []v1alpha1.GrantType{v1alpha1.GrantClientCredentials},
			TokenEndpointAuthMethod: v1alpha1.AuthMethodClientSecretBasic,
		},
		Status: v1alpha1.MCPClientRegistrationStatus{ObservedGeneration: -1},
	}
	s.grant = &v1alpha1.ScopeGrant{
		ObjectMeta: ending(stageMeta(clientsPlace, name, "team-payments@example.com"), end),
		Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: name},
			ServerRef: v1alpha1.ServerReference{Name: "invoices", Namespace: serversPlace}, Scopes: []v1alpha1.ScopeName{"invoices:read"},
		},
		Status: v1alpha1.ScopeGrantStatus{ObservedGeneration: -1},
	}
	s.namespace = &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: clientsPlace}}
}

func (s *stage) create(objects ...client.Object) {
	s.t.Helper()
	for _, object := range objects {
		if err := s.Create(s.t.Context(), object); err != nil {
			s.t.Fatal(err)
		}
	}
}

// begin creates what the case left of the objects, and settles.
func (s *stage) begin() {
	s.t.Helper()
	s.created = true
	s.create(s.namespace)
	if s.issuer != nil {
		s.create(s.issuer)
	}
	if s.server != nil {
		s.create(s.server)
	}
	if s.reg != nil {
		s.create(s.reg)
	}
	if s.grant != nil {
		s.create(s.grant)
	}
	if s.denial != nil {
		s.create(s.denial)
	}
	s.settle()
}

// settle has everything reconciled until there is nothing more to say.
func (s *stage) settle() {
	for range 6 {
		s.pass()
	}
}

// pass has everything reconciled once. Errors are retried by the next pass, as
// by the queue.
func (s *stage) pass() {
	s.t.Helper()
	ctx := s.t.Context()
	var failed error
	for _, object := range s.objects() {
		var err error
		switch o := object.(type) {
		case *v1alpha1.AuthorizationServer:
			_, err = s.authServers.Reconcile(ctx, o)
		case *v1alpha1.MCPServer:
			_, err = s.servers.Reconcile(ctx, o)
			if s.servers.Probes != nil {
				s.servers.Probes.turn(ctx, client.ObjectKeyFromObject(o))
			}
		case *v1alpha1.MCPClientRegistration:
			_, err = s.registrations.Reconcile(ctx, o)
		case *v1alpha1.ScopeGrant:
			_, err = s.scopeGrants.Reconcile(ctx, o)
		case *v1alpha1.ScopeGrantApproval:
			_, err = s.approvals.Reconcile(ctx, o)
		case *v1alpha1.AccessDenial:
			_, err = s.accessDenials.Reconcile(ctx, o)
		}
		failed = cmp.Or(failed, err)
	}
	failed = cmp.Or(failed, s.strayPass())
	if failed != nil && !s.faulty() {
		s.t.Errorf("an error without a fault: %v", failed)
	}
}

// strayPass has every record looked at once, as it is by then.
func (s *stage) strayPass() (failed error) {
	s.t.Helper()
	var records corev1.SecretList
	if err := s.List(s.t.Context(), &records, client.InNamespace(stageOperator)); err != nil {
		s.t.Fatal(err)
	}
	for i := range records.Items {
		_, err := s.strays.Reconcile(s.t.Context(), &records.Items[i])
		failed = cmp.Or(failed, err)
	}
	return failed
}

// faulty says that errors are to be expected.
func (s *stage) faulty() bool {
	return len(s.broken) > 0 || s.refuses != nil || s.as.pages > 0 || s.as.discovery != nil || s.as.registration != nil || s.as.finding != nil || s.as.revocation != nil || s.as.access != nil
}

// objects reads all objects of the API, those that others rest on first.
func (s *stage) objects() []client.Object {
	s.t.Helper()
	var objects []client.Object
	for _, list := range []client.ObjectList{
		&v1alpha1.AuthorizationServerList{}, &v1alpha1.MCPServerList{}, &v1alpha1.MCPClientRegistrationList{}, &v1alpha1.ScopeGrantList{},
		&v1alpha1.AccessDenialList{}, &v1alpha1.ScopeGrantApprovalList{},
	} {
		if err := s.List(s.t.Context(), list); err != nil {
			s.t.Fatal(err)
		}
		switch l := list.(type) {
		case *v1alpha1.AuthorizationServerList:
			objects = append(objects, pointers(l.Items)...)
		case *v1alpha1.MCPServerList:
			objects = append(objects, pointers(l.Items)...)
		case *v1alpha1.MCPClientRegistrationList:
			objects = append(objects, pointers(l.Items)...)
		case *v1alpha1.ScopeGrantList:
			objects = append(objects, pointers(l.Items)...)
		case *v1alpha1.ScopeGrantApprovalList:
			objects = append(objects, pointers(l.Items)...)
		case *v1alpha1.AccessDenialList:
			objects = append(objects, pointers(l.Items)...)
		}
	}
	return objects
}

func pointers[T any, P interface {
	*T
	client.Object
}](items []T) []client.Object {
	var objects []client.Object
	for i := range items {
		objects = append(objects, P(&items[i]))
	}
	return objects
}

// edit changes an object as a person does, and settles. A change of spec is a
// new generation.
func edit[T client.Object](s *stage, object T, change func(T)) {
	s.t.Helper()
	editOnce(s, object, change)
	s.settle()
}

// editOnce is edit without what follows.
func editOnce[T client.Object](s *stage, object T, change func(T)) {
	s.t.Helper()
	if err := s.Get(s.t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		s.t.Fatal(err)
	}
	before := spec(s.t, object)
	change(object)
	if !reflect.DeepEqual(before, spec(s.t, object)) {
		object.SetGeneration(object.GetGeneration() + 1)
	}
	if err := s.Update(s.t.Context(), object); err != nil {
		s.t.Fatal(err)
	}
}

func spec(t *testing.T, object client.Object) any {
	t.Helper()
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	return fields["spec"]
}

// later lets time pass, and settles.
func (s *stage) later(d time.Duration) {
	s.clock.SetTime(s.clock.Now().Add(d))
	s.settle()
}

// installPolicies makes the admission policies that approvals rest on.
func (s *stage) installPolicies() {
	for _, name := range approvalPolicies {
		object := metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(begun.Add(-time.Hour))}
		s.create(
			&admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: object},
			&admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: object, Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName: name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
			}},
		)
	}
}

// decide creates what an owner of the server decides about the grant.
func (s *stage) decide(decision v1alpha1.ApprovalDecision) {
	s.t.Helper()
	var grant v1alpha1.ScopeGrant
	var reg v1alpha1.MCPClientRegistration
	var server v1alpha1.MCPServer
	for object, like := range map[client.Object]client.Object{&grant: s.grant, &reg: s.reg, &server: s.server} {
		if err := s.Get(s.t.Context(), client.ObjectKeyFromObject(like), object); err != nil {
			s.t.Fatal(err)
		}
	}
	s.create(&v1alpha1.ScopeGrantApproval{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: server.Namespace, Name: "monthly-close", UID: "uid-of-monthly-close", CreationTimestamp: metav1.NewTime(begun),
			Annotations: map[string]string{v1alpha1.AnnotationApprovedBy: "olga"},
		},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef:    v1alpha1.ApprovedServer{Name: server.Name, UID: string(server.UID)},
			GrantRef:     &v1alpha1.ApprovedGrant{Namespace: grant.Namespace, Name: grant.Name, UID: string(grant.UID), Generation: grant.Generation},
			Registration: &v1alpha1.ApprovedRegistration{UID: string(reg.UID), Generation: reg.Generation},
			Digest:       policy.Look(&grant, &reg, &server).Digest(),
			ToolsDigest:  policy.ToolsDigest(&grant, &server), Decision: decision, Reason: "see FIN-1234",
		},
	})
	s.settle()
}

// beforehand has an owner of the server approve a scope before it is asked for.
func (s *stage) beforehand(until time.Time) { s.beforehandOf("", until) }

func (s *stage) beforehandOf(server string, until time.Time) {
	s.create(&v1alpha1.ScopeGrantApproval{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.server.Namespace, Name: "monthly-close", UID: "uid-of-monthly-close", CreationTimestamp: metav1.NewTime(begun)},
		Spec: v1alpha1.ScopeGrantApprovalSpec{
			ServerRef: v1alpha1.ApprovedServer{Name: s.server.Name, UID: server},
			ClientRef: &v1alpha1.ApprovedClient{Namespace: clientsPlace, Name: s.reg.Name},
			Scopes:    []string{"invoices:write"}, Decision: v1alpha1.DecisionApproved, ExpirationTime: new(metav1.NewTime(until)),
		},
	})
}
