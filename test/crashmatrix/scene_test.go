// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
)

const (
	operatorNamespace = "mcp-registrar-system"
	clusterName       = "cluster-uid"
	registrationName  = "desktop"
	// patience is how many passes one life of the manager gets to come to rest.
	patience = 40
	// seldom is how far ahead a pass may be put off and all is at rest: what
	// is tried again that seldom waits for a person.
	seldom = time.Minute
)

// scene is one registration at one authorization server in one cluster.
type scene struct {
	ctx         context.Context
	scheme      *runtime.Scheme
	cluster     *cluster
	fake        *fake.Server
	ledger      *ledger
	clock       *testclock.FakePassiveClock
	personality personality
	method      v1alpha1.TokenEndpointAuthMethod
	// name is that of the namespace and of the AuthorizationServer.
	name string
	// floor are the versions from before the operation: no cache is further
	// behind.
	floor map[string]int
	// scopes and redirects are what the client should have in the end.
	scopes    []string
	redirects []string
	// clientID is that of before the operation.
	clientID string
	// credentials are those of before the operation.
	credentials map[string][]byte
	// target is which controller the operation is about.
	target string
	key    client.ObjectKey
	// stray names the record of the registration, where that is gone.
	stray   client.ObjectKey
	horizon time.Duration
	// deceived says that the authorization server accepts something and does not
	// do it.
	deceived bool
	// released says that a person took the finalizer off.
	released bool
	// strangers are the clients that nobody may touch.
	strangers []authserver.Client

	problems []string
	said     []string
}

// problem notes what does not hold.
func (s *scene) problem(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

func (s *scene) must(err error) {
	if err != nil {
		s.problem("the scene cannot be set: %v", err)
	}
}

// backing makes the API server of a scene.
type backing func(now *testclock.FakePassiveClock) client.Client

func newScene(ctx context.Context, scheme *runtime.Scheme, name string, make backing, p personality, method v1alpha1.TokenEndpointAuthMethod) *scene {
	// At a whole second, as times in objects are: which part of one has passed
	// must not decide anything.
	clock := testclock.NewFakePassiveClock(time.Now().Truncate(time.Second))
	issuer := "https://" + name + ".example.com"
	s := &scene{
		ctx: ctx, scheme: scheme, clock: clock, personality: p, method: method, name: name, target: "mcpclientregistration", horizon: seldom,
		key: client.ObjectKey{Namespace: name, Name: registrationName}, fake: fake.NewWith(issuer, p.traits(issuer)),
		cluster: newCluster(make(clock)), floor: map[string]int{}, scopes: []string{"files:read"},
	}
	s.ledger = newLedger(s.fake)
	s.cluster.seen = s.saw
	if p.switches != nil {
		s.fake.Switch(p.switches)
	}
	as := &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.AuthorizationServerSpec{
		Issuer: issuer, AllowedNamespaces: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, AllowedServers: &v1alpha1.AllowedNamespaces{From: v1alpha1.NamespacesAll}, DriftCheckSeconds: new(int32(604800)),
	}}
	p.adapt(&as.Spec, issuer)
	home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Finalizers: []string{"example.com/hold"}}}
	s.add(home, as, s.server())
	as.Status = v1alpha1.AuthorizationServerStatus{
		ObservedGeneration: as.Generation,
		Metadata: &v1alpha1.ServerMetadata{
			AuthorizationEndpoint: issuer + "/authorize", TokenEndpoint: issuer + "/token", RegistrationEndpoint: issuer + "/register",
		},
		Capabilities: []v1alpha1.Capability{
			v1alpha1.CapabilityRegistration, v1alpha1.CapabilityClientIDMetadataDocument, v1alpha1.CapabilityPKCES256,
		},
	}
	s.must(s.cluster.Status().Update(ctx, as))
	s.must(s.cluster.learn(ctx, as))
	return s
}

func (s *scene) add(objects ...client.Object) {
	for _, object := range objects {
		s.must(s.cluster.create(s.ctx, object))
	}
}

func (s *scene) identity(until time.Duration) map[string]string {
	return map[string]string{
		v1alpha1.AnnotationOwner:     "team-a@example.com",
		v1alpha1.AnnotationExpiresAt: s.clock.Now().Add(until).UTC().Format(time.RFC3339),
	}
}

func (s *scene) server() *v1alpha1.MCPServer {
	return &v1alpha1.MCPServer{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: "files", Annotations: s.identity(time.Hour)},
		Spec: v1alpha1.MCPServerSpec{
			Resource:               "https://mcp.example.com/" + s.name,
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: s.name},
			Scopes: []v1alpha1.Scope{
				{Name: "files:read", Tier: v1alpha1.TierRead}, {Name: "notes:read", Tier: v1alpha1.TierRead},
			},
		},
	}
}

func (s *scene) grant(name string, scope v1alpha1.ScopeName) *v1alpha1.ScopeGrant {
	return &v1alpha1.ScopeGrant{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: name, Annotations: s.identity(3 * time.Hour)},
		Spec: v1alpha1.ScopeGrantSpec{
			ClientRef: v1alpha1.LocalReference{Name: registrationName},
			ServerRef: v1alpha1.ServerReference{Name: "files"},
			Scopes:    []v1alpha1.ScopeName{scope},
		},
	}
}

// lifetime is how long the registration lives.
const lifetime = 2 * time.Hour

// registration is the one that the scene is about. Its finalizer is on, as the
// admission policy puts it there.
func (s *scene) registration() *v1alpha1.MCPClientRegistration {
	reg := &v1alpha1.MCPClientRegistration{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.key.Namespace, Name: s.key.Name, Annotations: s.identity(lifetime), Finalizers: []string{v1alpha1.Finalizer},
		},
		Spec: v1alpha1.MCPClientRegistrationSpec{
			AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: s.name},
			ClientName:             "Desktop", ApplicationType: v1alpha1.ApplicationWeb,
			GrantTypes:              []v1alpha1.GrantType{v1alpha1.GrantAuthorizationCode},
			RedirectURIs:            []v1alpha1.RedirectURI{"https://app.example.com/callback"},
			TokenEndpointAuthMethod: s.method,
		},
	}
	if s.method != v1alpha1.AuthMethodNone {
		reg.Spec.Credentials = &v1alpha1.Credentials{RotationOverlapSeconds: new(int32(10))}
	}
	s.redirects = []string{"https://app.example.com/callback"}
	return reg
}

// read reads an object from the API server; false where there is none.
func (s *scene) read(object client.Object, key client.ObjectKey) bool {
	err := s.cluster.Get(s.ctx, key, object)
	if client.IgnoreNotFound(err) != nil {
		s.problem("reading %s: %v", key, err)
	}
	return err == nil
}

// edit changes the registration as its team would.
func (s *scene) edit(change func(*v1alpha1.MCPClientRegistration)) {
	var reg v1alpha1.MCPClientRegistration
	if !s.read(&reg, s.key) {
		s.problem("the registration is gone before the operation")
		return
	}
	change(&reg)
	s.must(s.cluster.Update(s.ctx, &reg))
	s.must(s.cluster.learn(s.ctx, &reg))
}

// mark notes how far caches are behind at most.
func (s *scene) mark() {
	s.floor = map[string]int{}
	for kind := range maps.Keys(s.cluster.versions) {
		s.floor[kind] = s.cluster.latest(kind)
	}
}

// operate begins the operation: people do something.
func (s *scene) operate(begin func(*scene)) {
	var reg v1alpha1.MCPClientRegistration
	if s.read(&reg, s.key) {
		s.clientID = reg.Status.ClientID
	}
	s.credentials = s.held()
	s.ledger.events = slices.DeleteFunc(s.ledger.events, func(e audit.Event) bool { return e.Type == audit.ClientChanged })
	begin(s)
}

// settle runs passes until the process dies, or until nothing is left to do.
// A pass comes when a watch, a delay or an error asks for it, and for no other
// reason; only once at rest something unrelated brings another.
func (s *scene) settle(p *process) {
	failures, resynced, forgotten := 0, false, false
	for p.passes < patience {
		s.cluster.woken = false
		before := len(p.calls)
		result, err := p.reconcile(s.target, s.subject())
		if p.dead {
			return
		}
		if forgotten {
			s.holdsRest(p.calls[before:])
		}
		delay := result.RequeueAfter
		switch {
		case err != nil:
			delay = 100 * time.Millisecond << min(failures, 8)
			failures++
		default:
			failures = 0
		}
		if s.cluster.woken {
			delay = time.Millisecond
		}
		if delay > 0 && delay < s.horizon {
			s.clock.SetTime(s.clock.Now().Add(delay))
			continue
		}
		if resynced {
			return
		}
		resynced, forgotten = true, delay == 0
	}
	s.problem("stuck: no rest after %d passes", patience)
}

// holdsRest holds that a pass that nothing asked for changes nothing at the
// authorization server: it would have waited for something unrelated.
func (s *scene) holdsRest(calls []call) {
	for _, c := range calls {
		if c.class == serverCall && c.changes {
			s.problem("nothing would have asked for: %s", c)
		}
	}
}

// subject is what the controller of the operation works on.
func (s *scene) subject() client.ObjectKey {
	switch s.target {
	case authorizationServers:
		return client.ObjectKey{Name: s.name}
	case strays:
		return s.stray
	}
	return s.key
}

const (
	// authorizationServers is the controller of AuthorizationServers.
	authorizationServers = "authorizationserver"
	// strays is the controller of the records of registrations that are gone.
	strays = "stray"
)

// live runs a life of the manager without faults.
func (s *scene) live() *process {
	p, err := s.process(noFault)
	if err != nil {
		s.problem("starting the manager: %v", err)
		return p
	}
	s.settle(p)
	return p
}

// trace tells what a life did, the broken boundary marked.
func (p *process) trace() string {
	var text strings.Builder
	for i, call := range p.calls {
		mark := "  "
		if i == p.fault.at {
			mark = "* "
		}
		fmt.Fprintf(&text, "  %s%3d %s", mark, i, call)
		if i == p.fault.at {
			fmt.Fprintf(&text, ": %s", p.fault.mode)
			if call.came != nil {
				fmt.Fprintf(&text, ", which came to: %v", call.came)
			}
		}
		text.WriteString("\n")
	}
	return text.String()
}

// describeKey names an object in a trace.
func describeKey(s *scene, kind string, key client.ObjectKey) string {
	switch {
	case kind == "Secret" && strings.HasPrefix(key.Name, "registration-"):
		return "record"
	case kind == "Secret" && key.Namespace == s.name:
		return "credentials"
	}
	return kind
}
