// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
)

// operation is something that people, or time, do to a registration.
type operation struct {
	name string
	// before brings the scene to where the operation begins.
	before func(s *scene)
	// begin is what people do.
	begin func(s *scene)
	end   outcome
	// writes and calls are the budgets of a run without faults: writes to
	// Kubernetes, and calls of the authorization server. The absence of a budget
	// is no budget: -1.
	writes func(s *scene) int
	calls  func(s *scene) int
	// toReady says that only what comes before Ready counts.
	toReady bool
	// after says what else must hold in the end.
	after func(s *scene)
	// keeps says that the client stays the same.
	keeps bool
	// lagging says that caches may show the world of before the registration.
	lagging bool
	// methods are those that it matters for; nil means all.
	methods []v1alpha1.TokenEndpointAuthMethod
	// unanswered says that the operation begins with a request that had no
	// answer.
	unanswered bool
	// only says at which servers the operation makes sense, where not at all.
	only func(personality) bool
}

var operations = []operation{
	{
		name:  "create",
		begin: func(s *scene) { s.add(s.registration(), s.grant("first", "files:read")) },
		end:   ready, writes: createWrites, calls: one, toReady: true,
	},
	{
		name: "create without its finalizer", methods: public,
		begin: func(s *scene) {
			reg := s.registration()
			reg.Finalizers = nil
			s.add(reg, s.grant("first", "files:read"))
		},
		end: ready, writes: func(s *scene) int { return createWrites(s) + 1 }, calls: one, toReady: true,
	},
	{
		name: "add a scope", methods: keyed, before: (*scene).established,
		begin: func(s *scene) {
			s.scopes = append(s.scopes, "notes:read")
			s.add(s.grant("second", "notes:read"))
		},
		end: ready, writes: changeWrites, calls: one, after: (*scene).changed, keeps: true,
	},
	{
		name: "remove a scope", methods: keyed,
		before: func(s *scene) {
			s.scopes = []string{"files:read", "notes:read"}
			s.add(s.grant("second", "notes:read"))
			s.established()
		},
		begin: func(s *scene) {
			s.scopes = []string{"files:read"}
			s.must(s.cluster.remove(s.ctx, s.grant("second", "notes:read")))
		},
		end: ready, writes: changeWrites, calls: one, after: (*scene).changed, keeps: true,
	},
	{
		name: "change a redirect URI", methods: public, before: (*scene).established,
		begin: func(s *scene) {
			s.redirects = []string{"https://app.example.com/other"}
			s.edit(func(reg *v1alpha1.MCPClientRegistration) {
				reg.Spec.RedirectURIs = []v1alpha1.RedirectURI{"https://app.example.com/other"}
			})
		},
		end: ready, writes: changeWrites, calls: one, after: (*scene).changed, keeps: true,
	},
	{
		name: "rotate", methods: confidential, before: (*scene).established,
		begin: func(s *scene) {
			s.edit(func(reg *v1alpha1.MCPClientRegistration) { reg.Annotations[v1alpha1.AnnotationRotate] = "now" })
		},
		end: ready, after: (*scene).rotated, keeps: true,
	},
	{
		name: "restore deleted credentials", methods: confidential, before: (*scene).established,
		begin: func(s *scene) { s.must(s.cluster.remove(s.ctx, s.secret())); s.touch() },
		end:   ready, keeps: true,
	},
	{
		name: "suspend", methods: keyed, before: (*scene).established,
		begin: func(s *scene) { s.state(v1alpha1.StateSuspended) },
		end:   suspended, calls: revokeCalls,
	},
	{
		name: "resume", methods: shared,
		before: func(s *scene) {
			s.established()
			s.state(v1alpha1.StateSuspended)
			s.live()
		},
		begin: func(s *scene) { s.state(v1alpha1.StateActive) },
		end:   ready, calls: one,
	},
	{
		name: "suspend while the resumption has no answer", methods: keyed, before: (*scene).unansweredResumption, lagging: true,
		begin: func(s *scene) { s.state(v1alpha1.StateSuspended) },
		end:   suspended,
		only:  func(p personality) bool { return p.traits("").Disables },
	},
	{
		name: "expire", methods: keyed, before: (*scene).established,
		begin: func(s *scene) { s.clock.SetTime(s.clock.Now().Add(lifetime)) },
		end:   revoked, calls: revokeCalls,
	},
	{
		name: "renew after the end", methods: keyed,
		before: func(s *scene) {
			s.established()
			s.clock.SetTime(s.clock.Now().Add(lifetime))
			s.live()
		},
		begin: func(s *scene) {
			s.edit(func(reg *v1alpha1.MCPClientRegistration) {
				reg.Annotations[v1alpha1.AnnotationExpiresAt] = s.clock.Now().Add(30 * time.Minute).UTC().Format(time.RFC3339)
			})
		},
		end: ready, calls: one,
	},
	{
		name: "renew just before the end", methods: keyed, before: (*scene).established,
		begin: func(s *scene) {
			s.edit(func(reg *v1alpha1.MCPClientRegistration) {
				reg.Annotations[v1alpha1.AnnotationExpiresAt] = s.clock.Now().Add(lifetime + 30*time.Minute).UTC().Format(time.RFC3339)
			})
			s.clock.SetTime(s.clock.Now().Add(lifetime))
		},
		end: ready, keeps: true,
	},
	{
		name: "lose the last grant", methods: public, before: (*scene).established,
		begin: func(s *scene) { s.must(s.cluster.remove(s.ctx, s.grant("first", "files:read"))) },
		end:   revoked, calls: revokeCalls,
	},
	{
		name: "delete", before: (*scene).established,
		begin: func(s *scene) { s.must(s.cluster.remove(s.ctx, s.bare())) },
		end:   gone, calls: revokeCalls,
	},
	{
		name: "delete right after the creation", methods: public, before: (*scene).established, lagging: true,
		begin: func(s *scene) { s.must(s.cluster.remove(s.ctx, s.bare())) },
		end:   gone,
	},
	{
		name: "delete while a request has no answer", methods: keyed, before: (*scene).unanswered, unanswered: true, lagging: true,
		begin: func(s *scene) { s.must(s.cluster.remove(s.ctx, s.bare())) },
		end:   gone,
	},
	{
		name: "suspend while a request has no answer", methods: public, before: (*scene).unanswered, unanswered: true, lagging: true,
		begin: func(s *scene) { s.state(v1alpha1.StateSuspended) },
		end:   refused,
	},
	{
		name: "change while a request has no answer", methods: keyed, before: (*scene).unanswered, unanswered: true, lagging: true,
		begin: func(s *scene) {
			s.scopes = []string{"files:read", "notes:read"}
			s.add(s.grant("second", "notes:read"))
		},
		end: ready,
	},
	{
		name: "delete after the management token was lost",
		before: func(s *scene) {
			s.established()
			s.loseToken()
		},
		begin: func(s *scene) { s.must(s.cluster.remove(s.ctx, s.bare())) },
		end:   blocked,
		only:  func(p personality) bool { return p.losesTokens },
	},
	{
		name: "delete with the namespace", methods: keyed, before: (*scene).established,
		begin: func(s *scene) {
			s.must(s.cluster.remove(s.ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.name}}))
			s.must(s.cluster.remove(s.ctx, s.secret()))
			s.must(s.cluster.remove(s.ctx, s.grant("first", "files:read")))
			s.must(s.cluster.remove(s.ctx, s.server()))
			s.must(s.cluster.remove(s.ctx, s.bare()))
		},
		end: gone,
	},
	{
		name: "delete past the finalizer", methods: keyed, before: (*scene).established,
		begin: func(s *scene) { s.pastFinalizer() },
		end:   gone,
	},
	{
		name: "delete past the finalizer, with the authorization server", methods: keyed, before: (*scene).established,
		begin: func(s *scene) {
			s.must(s.cluster.remove(s.ctx, &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: s.name}}))
			s.pastFinalizer()
		},
		end: gone,
	},
	{
		name: "reap orphans", before: (*scene).crowded,
		begin: func(s *scene) { s.target, s.horizon = authorizationServers, 2*time.Minute },
		end:   swept, after: (*scene).reaped,
		only: func(p personality) bool { return p.traits("").Lists }, methods: public,
	},
}

// established brings the registration to Ready.
func (s *scene) established() {
	s.add(s.registration(), s.grant("first", "files:read"))
	s.live()
	if len(s.fake.Clients()) != 1 {
		s.problem("the scene cannot be set: there is not one client")
	}
}

// pastFinalizer takes the finalizer off and deletes the registration with what is the
// team's of it.
func (s *scene) pastFinalizer() {
	s.released, s.target = true, strays
	s.edit(func(reg *v1alpha1.MCPClientRegistration) {
		reg.Finalizers = nil
		s.stray = client.ObjectKey{Namespace: operatorNamespace, Name: "registration-" + string(reg.UID)}
	})
	s.must(s.cluster.remove(s.ctx, s.secret()))
	s.must(s.cluster.remove(s.ctx, s.bare()))
}

// unanswered has the manager die when the authorization server has registered
// the client and nothing is stored yet.
func (s *scene) unanswered() {
	s.add(s.registration(), s.grant("first", "files:read"))
	p, err := s.process(fault{at: -1, verb: "Register", mode: crashAfter})
	s.must(err)
	s.settle(p)
	if !p.dead || len(s.fake.Clients()) != 1 {
		s.problem("the scene cannot be set: the manager lives on, or there is no client")
	}
}

// unansweredResumption has the manager die when the authorization server has
// enabled a suspended client.
func (s *scene) unansweredResumption() {
	s.established()
	s.state(v1alpha1.StateSuspended)
	s.live()
	s.state(v1alpha1.StateActive)
	p, err := s.process(fault{at: -1, verb: "Replace", mode: crashAfter})
	s.must(err)
	s.settle(p)
	if clients := s.fake.Clients(); !p.dead || len(clients) != 1 || clients[0].Disabled {
		s.problem("the scene cannot be set: the manager lives on, or the client is not enabled")
	}
}

// loseToken has somebody use the management token, who keeps the next.
func (s *scene) loseToken() {
	for _, c := range s.fake.Clients() {
		_, _, err := s.fake.Find(s.ctx, authserver.Handle{ClientID: c.ID, ManagementToken: c.ManagementToken})
		s.must(err)
	}
	s.ledger.look()
}

// crowded adds to the registration's client those of strangers, those of
// another cluster and those that this cluster has lost, more than a page of a
// list holds, the lost ones among the last.
func (s *scene) crowded() {
	s.established()
	s.fake.Switch(func(switches *fake.Switches) { switches.PageSize = 2 })
	for i := range 8 {
		wish := authserver.ClientMetadata{ID: fmt.Sprintf("z-%d", i), Name: "Somebody's", AuthMethod: "none", Scopes: []string{"files:read"}}
		switch i {
		case 2, 3:
			wish.SoftwareID, wish.SoftwareVersion = "mcp-registrar/other-cluster/uid-4", fmt.Sprintf("mark-%d", i)
		case 5, 7:
			wish.SoftwareID, wish.SoftwareVersion = "mcp-registrar/"+clusterName+"/lost", fmt.Sprintf("mark-%d", i)
		}
		_, err := s.fake.Register(s.ctx, wish)
		s.must(err)
		s.ledger.look()
		if life := s.ledger.lives[wish.ID+"/"+wish.SoftwareVersion]; life != nil {
			life.foreign = true
		}
	}
	s.strangers = slices.DeleteFunc(s.fake.Clients(), func(c authserver.Client) bool {
		return c.Registered.SoftwareID == "mcp-registrar/"+clusterName+"/lost"
	})
}

// reaped holds that the orphans are gone, that nobody else was touched, and
// that the inventory says so.
func (s *scene) reaped() {
	if left := s.fake.Clients(); !reflect.DeepEqual(left, s.strangers) {
		s.problem("%d clients are left, or not the same as before; want %d", len(left), len(s.strangers))
	}
	var as v1alpha1.AuthorizationServer
	if !s.read(&as, s.subject()) || as.Status.Inventory == nil {
		s.problem("there is no inventory")
		return
	}
	if i := as.Status.Inventory; i.Managed != 1 || i.Unmanaged != 6 || i.Orphaned != 0 {
		s.problem("the inventory has %d managed, %d unmanaged and %d orphaned clients; want 1, 6 and 0", i.Managed, i.Unmanaged, i.Orphaned)
	}
}

// changed holds that the audit record tells of the change.
func (s *scene) changed() {
	if !s.ledger.told(audit.ClientChanged) {
		s.problem("audit: nothing tells of the change")
	}
}

func (s *scene) bare() *v1alpha1.MCPClientRegistration {
	return &v1alpha1.MCPClientRegistration{ObjectMeta: metav1.ObjectMeta{Namespace: s.key.Namespace, Name: s.key.Name}}
}

func (s *scene) secret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: registrationName + "-mcp-client"}}
}

func (s *scene) state(state v1alpha1.RegistrationState) {
	s.edit(func(reg *v1alpha1.MCPClientRegistration) { reg.Spec.State = state })
}

// touch has the registration looked at, which nothing else would do soon: the
// credentials of teams are not watched.
func (s *scene) touch() {
	s.edit(func(reg *v1alpha1.MCPClientRegistration) { reg.Annotations["example.com/touched"] = "yes" })
}

// createWrites are the Kubernetes writes from the creation to Ready: that a
// request is about to be sent, the answer, the status, and the credentials where
// there are any. With an id of its own choosing too a request is on record before
// it is sent: a deletion in the meantime would not know of the client.
func createWrites(s *scene) int {
	if s.method == v1alpha1.AuthMethodNone {
		return 3
	}
	return 4
}

// changeWrites are the Kubernetes writes of an update: that an answer is
// outstanding, the answer, the credentials and the status.
func changeWrites(s *scene) int {
	if s.method == v1alpha1.AuthMethodNone {
		return 3
	}
	return 4
}

func one(*scene) int { return 1 }

// revokeCalls are a revocation, in two steps where the first disables, and its
// proof.
func revokeCalls(s *scene) int {
	if s.fake.Traits().Disables {
		return 3
	}
	return 2
}

// rotated holds that the old credentials are of no use any more, where they
// could be replaced.
func (s *scene) rotated() {
	held := s.held()
	client := s.client(string(held[v1alpha1.SecretKeyClientID]))
	switch s.method {
	case v1alpha1.AuthMethodPrivateKeyJWT:
		if string(held[v1alpha1.SecretKeyKeyID]) == string(s.credentials[v1alpha1.SecretKeyKeyID]) {
			s.problem("the key was not rotated")
		}
		if client != nil && knowsKey(s.credentials, s.fake.KeysInForce(client.ID)) {
			s.problem("the old key is still good")
		}
	case v1alpha1.AuthMethodClientSecretBasic, v1alpha1.AuthMethodClientSecretPost, v1alpha1.AuthMethodClientSecret:
		same := string(held[v1alpha1.SecretKeyClientSecret]) == string(s.credentials[v1alpha1.SecretKeyClientSecret])
		if same && s.fake.Traits().OwnSecret {
			s.problem("the secret was not rotated")
		}
	case v1alpha1.AuthMethodNone:
	}
}

var methods = []v1alpha1.TokenEndpointAuthMethod{
	v1alpha1.AuthMethodNone, v1alpha1.AuthMethodClientSecretBasic, v1alpha1.AuthMethodPrivateKeyJWT,
}

var (
	public       = []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodNone}
	keyed        = []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodPrivateKeyJWT}
	shared       = []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodNone, v1alpha1.AuthMethodClientSecretBasic}
	confidential = []v1alpha1.TokenEndpointAuthMethod{v1alpha1.AuthMethodClientSecretBasic, v1alpha1.AuthMethodPrivateKeyJWT}
)

// makesSense says whether an operation is one for clients of a method at a
// server.
func (o operation) makesSense(p personality, method v1alpha1.TokenEndpointAuthMethod) bool {
	if method == v1alpha1.AuthMethodClientSecretBasic && p.traits("").SharedSecretUnsupported {
		return false
	}
	if (o.only != nil && !o.only(p)) || (o.methods != nil && !slices.Contains(o.methods, method)) {
		return false
	}
	return true
}
