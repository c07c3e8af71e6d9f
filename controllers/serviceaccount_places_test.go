// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// lagging is a client whose cache does not have some records yet.
type lagging struct {
	client.Client
	hidden map[string]bool
	// lost are the names of objects that are created without an answer.
	lost map[string]bool
}

func (l *lagging) Get(ctx context.Context, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
	if _, secret := object.(*corev1.Secret); secret && l.hidden[key.Name] {
		key.Name = "not-there"
	}
	return l.Client.Get(ctx, key, object, opts...)
}

func (l *lagging) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	err := l.Client.List(ctx, list, opts...)
	if secrets, ok := list.(*corev1.SecretList); ok {
		secrets.Items = slices.DeleteFunc(secrets.Items, func(secret corev1.Secret) bool { return l.hidden[secret.Name] })
	}
	return err
}

func (l *lagging) Create(ctx context.Context, object client.Object, opts ...client.CreateOption) error {
	err := l.Client.Create(ctx, object, opts...)
	if err == nil && l.lost[object.GetName()] {
		delete(l.lost, object.GetName())
		return context.DeadlineExceeded
	}
	return err
}

// lag has the operator read through a cache that lacks the record of the first
// registration.
func (s *stage) lag() *lagging {
	l := &lagging{Client: s.Client, hidden: map[string]bool{"registration-first": true}}
	s.registrations.Records.Client, s.registrations.Places.Client = l, l
	return l
}

// another is a second registration like the first, with a grant of its own.
func (s *stage) another() (*v1alpha1.MCPClientRegistration, *v1alpha1.ScopeGrant) {
	second, grant := s.reg.DeepCopy(), s.grant.DeepCopy()
	second.Name, second.UID = "second", "second"
	grant.Name, grant.UID, grant.Spec.ClientRef.Name = "second", "second", "second"
	return second, grant
}

// errorsExpected says that passes may fail.
func (s *stage) errorsExpected() { s.broken["no kind of this name"] = true }

// shared are the circumstances in which a second registration asks for the
// ServiceAccount of the first.
var shared = map[string]func(s *stage, second client.Object, grant client.Object){
	"the cache lacks the record, and the status has the client": func(s *stage, second, grant client.Object) {
		s.lag()
		s.begin()
		s.create(second, grant)
		s.settle()
	},
	"the record was stored without an answer": func(s *stage, second, grant client.Object) {
		l := s.lag()
		l.lost = map[string]bool{"registration-first": true}
		s.create(second, grant)
		s.begin()
		clear(l.hidden)
		s.settle()
	},
	"another manager has taken the place": func(s *stage, second, grant client.Object) {
		s.lag()
		s.begin()
		s.registrations.Places = &Places{Client: s.registrations.Places.Client, Namespace: stageOperator}
		s.create(second, grant)
		s.settle()
	},
	"they are at two AuthorizationServers of one issuer": func(s *stage, second, grant client.Object) {
		s.connector.Put("other", s.as)
		other, server := s.issuer.DeepCopy(), s.server.DeepCopy()
		other.Name, other.UID = "other", "other"
		server.Name, server.UID, server.Spec.Resource, server.Spec.AuthorizationServerRef.Name = "others", "others", "https://mcp.example.com/others", "other"
		second.(*v1alpha1.MCPClientRegistration).Spec.AuthorizationServerRef.Name = "other"
		grant.(*v1alpha1.ScopeGrant).Spec.ServerRef.Name = "others"
		s.create(other, server)
		s.begin()
		s.create(second, grant)
		s.settle()
	},
	"an older version wrote the record": func(s *stage, second, grant client.Object) {
		s.begin()
		s.record(func(record *corev1.Secret) {
			var fields map[string]any
			if err := json.Unmarshal(record.Data[recordKey], &fields); err != nil {
				s.t.Fatal(err)
			}
			delete(fields, "serviceAccount")
			delete(record.Labels, v1alpha1.LabelServiceAccount)
			fields["wishDigest"] = "of the older version"
			encoded, err := json.Marshal(fields)
			if err != nil {
				s.t.Fatal(err)
			}
			record.Data[recordKey] = encoded
		})
		s.settle()
		s.create(second, grant)
		s.settle()
	},
	"the record cannot be read": func(s *stage, second, grant client.Object) {
		s.begin()
		s.record(func(record *corev1.Secret) { record.Data[recordKey] = []byte("{") })
		s.registrations.Places = &Places{Client: s.Client, Namespace: stageOperator}
		s.create(second, grant)
		s.settle()
	},
	"the first is suspended": func(s *stage, second, grant client.Object) {
		s.begin()
		s.create(second, grant)
		edit(s, s.reg, suspend)
	},
}

// TestOneClientOfAServiceAccountWhateverHappens: two clients would live on each
// other: what is taken from the one is had by way of the other.
func TestOneClientOfAServiceAccountWhateverHappens(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(shared)) {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "first")
			s.secretless("cluster")
			s.errorsExpected()
			second, grant := s.another()
			shared[name](s, second, grant)
			if got := len(s.as.Clients()); got != 1 {
				t.Errorf("%d clients: the first is %s, the second %s", got, s.reason(s.reg), s.reason(second))
			}
		})
	}
}

// given are the ways in which a registration comes to nothing that was about to
// have a client.
var given = map[string]func(s *stage){
	"it went while its request had no answer": func(s *stage) {
		s.as.registration = &authserver.Error{Kind: authserver.Unavailable, Op: "registering", MaybeApplied: true}
		s.begin()
		reg := s.registration()
		reg.Finalizers = nil
		if err := s.Update(s.t.Context(), reg); err != nil {
			s.t.Fatal(err)
		}
		s.remove(reg)
		s.registrations.Places.Leave(reg.UID)
		s.as.registration = nil
		for range 10 {
			s.clock.SetTime(s.clock.Now().Add(time.Minute))
			s.settle()
		}
	},
	"its record could not be stored, and it expired": func(s *stage) {
		s.registrations.Records.Client = &refusing{s.Client}
		s.begin()
		s.registrations.Records.Client = s.Client
		edit(s, s.reg, func(reg *v1alpha1.MCPClientRegistration) {
			reg.Annotations[v1alpha1.AnnotationExpiresAt] = begun.Add(-time.Second).Format(time.RFC3339)
		})
	},
	"it asks for the client of another": func(s *stage) {
		reg, grant := s.reg, s.grant
		s.reg, s.grant = s.another()
		s.reg.Name, s.reg.UID, s.reg.Spec.ServiceAccountName = "holder", "holder", "another"
		s.grant.Name, s.grant.UID, s.grant.Spec.ClientRef.Name = "holder", "holder", "holder"
		s.begin()
		id := s.live().ID
		s.reg, s.grant = reg, grant
		edit(s, s.issuer, func(as *v1alpha1.AuthorizationServer) {
			as.Spec.Adoptions = []v1alpha1.Adoption{{ClientID: id, Namespace: clientsPlace, Name: "first"}}
		})
		s.reg.Annotations[v1alpha1.AnnotationAdopt] = id
		s.create(s.reg, s.grant)
		s.settle()
	},
	"it is refused": func(s *stage) {
		s.as.registration = rejected("invalid_client_metadata")
		s.begin()
		s.as.registration = nil
	},
}

// refusing stores nothing.
type refusing struct{ client.Client }

func (refusing) Create(context.Context, client.Object, ...client.CreateOption) error {
	return errors.New("the API server does not answer")
}

// TestTheServiceAccountOfNobodyIsFree: a registration that came to nothing keeps
// nobody waiting.
func TestTheServiceAccountOfNobodyIsFree(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "first")
			s.secretless("cluster")
			s.errorsExpected()
			second, grant := s.another()
			given[name](s)
			s.create(second, grant)
			s.settle()
			if got := s.reason(second); got != v1alpha1.ReasonReady {
				t.Errorf("the second is %s, taken in memory %v", got, s.registrations.Places.taken)
			}
		})
	}
}

// late carries out requests that it answered with errors, when it is told to.
type late struct {
	*strange
	errs []error
	sent []authserver.ClientMetadata
}

func (l *late) Register(ctx context.Context, wish authserver.ClientMetadata) (authserver.Client, error) {
	if len(l.errs) == 0 {
		return l.strange.Register(ctx, wish)
	}
	err := l.errs[0]
	l.errs, l.sent = l.errs[1:], append(l.sent, wish)
	return authserver.Client{}, err
}

// TestALateRequestIsNotForgotten: a request without an answer may be carried out
// after its repetition was not.
func TestALateRequestIsNotForgotten(t *testing.T) {
	for name, second := range map[string]error{
		"not carried out": &authserver.Error{Kind: authserver.Unavailable}, "unauthorized": &authserver.Error{Kind: authserver.Unauthorized},
		"not sent": &authserver.Error{Kind: authserver.Unavailable, Unsent: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, "first")
			s.manageOtherwise()
			s.errorsExpected()
			l := &late{strange: s.as, errs: []error{&authserver.Error{Kind: authserver.Unavailable, MaybeApplied: true}, second}}
			s.connector.Put("company", l)
			s.created = true
			s.create(s.namespace, s.issuer, s.server, s.reg, s.grant)
			for len(l.errs) > 0 {
				s.pass()
			}
			if _, err := s.as.Server.Register(t.Context(), l.sent[0]); err != nil {
				t.Fatal(err)
			}
			s.settle()
			if got := s.reason(s.reg); len(s.as.Clients()) != 1 || got != v1alpha1.ReasonReady || s.live().ID != s.registration().Status.ClientID {
				t.Errorf("%s with %d clients", got, len(s.as.Clients()))
			}
		})
	}
}

// renamed calls the issuer of the cluster's tokens otherwise, and takes no other.
type renamed struct {
	*strange
	issuer string
}

func (r *renamed) Traits() authserver.Traits {
	traits := r.strange.Traits()
	traits.AssertionIssuer = r.issuer
	return traits
}

func (r *renamed) Replace(ctx context.Context, handle authserver.Handle, wish authserver.ClientMetadata) (authserver.Client, error) {
	if wish.Assertion.Issuer != r.issuer {
		return authserver.Client{}, rejected("invalid_client_metadata")
	}
	wish.Assertion.Issuer = r.strange.Traits().AssertionIssuer
	answer, err := r.strange.Replace(ctx, handle, wish)
	answer.Registered.Assertion.Issuer = r.issuer
	return answer, err
}

// TestAScopeGoesWhileTheIssuerIsCalledOtherwise: what is taken away while the rest
// is frozen takes nothing else along.
func TestAScopeGoesWhileTheIssuerIsCalledOtherwise(t *testing.T) {
	s := newStage(t, "first")
	s.secretless("cluster")
	s.errorsExpected()
	more := s.grant.DeepCopy()
	more.Name, more.UID, more.Spec.Scopes = "more", "more", []v1alpha1.ScopeName{"invoices:export"}
	s.create(more)
	s.begin()
	id := s.live().ID
	s.connector.Put("company", &renamed{strange: s.as, issuer: "cluster-b"})
	edit(s, s.issuer, func(as *v1alpha1.AuthorizationServer) {
		as.Annotations = map[string]string{v1alpha1.AnnotationPaused: "true"}
		as.Spec.Keycloak.KubernetesIdentityProvider = "cluster-b"
	})
	s.vanish(more)
	if got := s.live(); got.ID != id || !slices.Equal(got.Registered.Scopes, []string{"invoices:read"}) {
		t.Errorf("client %s with %v, want %s with one scope", got.ID, got.Registered.Scopes, id)
	}
}
