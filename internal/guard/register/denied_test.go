// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

func deniedClient(name, as, clientID string) *v1alpha1.AccessDenial {
	d := &v1alpha1.AccessDenial{ObjectMeta: metav1.ObjectMeta{Name: name}}
	d.Spec.Client = &v1alpha1.DeniedClient{AuthorizationServerRef: v1alpha1.AuthorizationServerReference{Name: as}, ClientID: clientID}
	return d
}

func deniedHolder(name, registration, uid string) *v1alpha1.AccessDenial {
	d := &v1alpha1.AccessDenial{ObjectMeta: metav1.ObjectMeta{Name: name}}
	d.Spec.Registration = &v1alpha1.DeniedRegistration{Namespace: "team", Name: registration, UID: uid}
	return d
}

func issuer(name, url string) *v1alpha1.AuthorizationServer {
	as := &v1alpha1.AuthorizationServer{ObjectMeta: metav1.ObjectMeta{Name: name}}
	as.Spec.Issuer = url
	return as
}

// denied are the names of the denials of a client at the authorization server.
func (d *desk) denied(as, clientID string) []string {
	var names []string
	for _, entry := range d.Denials(guard.Server{ServerEntry: policy.ServerEntry{AuthorizationServer: as}}, clientID) {
		names = append(names, entry.Name)
	}
	slices.Sort(names)
	return names
}

func TestDenialsAreFoundByClientAndByRegistration(t *testing.T) {
	d := newDesk()
	denied, clients := d.source(denialsAt), d.source(clientsAt)
	_ = clients.Add(object(t, registration("app", "id")))
	_ = d.source(issuerAt).Add(object(t, issuer("as", "https://as.example.com")))
	_ = d.source(sourceKey{authorizationServers, "", fieldName, "twin"}).Add(object(t, issuer("twin", "https://as.example.com")))
	for _, denial := range []*v1alpha1.AccessDenial{
		deniedClient("by-client", "as", "id"), deniedClient("by-issuer", "twin", "id"), deniedClient("elsewhere", "other", "id"),
		deniedClient("unknown", "as", "ghost"), deniedHolder("by-name", "app", ""), deniedHolder("by-uid", "app", "uid-of-app"),
		deniedHolder("of-another", "app", "uid-of-before"), deniedHolder("of-nobody", "nobody", ""),
	} {
		_ = denied.Add(object(t, denial))
	}
	for _, c := range []struct {
		as, id string
		want   []string
	}{
		{"as", "id", []string{"by-client", "by-issuer", "by-name", "by-uid"}},
		{"twin", "id", []string{"by-client", "by-issuer"}},
		{"as", "ghost", []string{"unknown"}},
		{"as", "somebody", nil}, {"as", "", nil},
	} {
		if got := d.denied(c.as, c.id); !slices.Equal(got, c.want) {
			t.Errorf("%s at %s: denied by %q, want %q", c.id, c.as, got, c.want)
		}
	}
	// It holds for whatever client the registration has, and whatever it says.
	_ = clients.Update(object(t, registration("app", "new")))
	if got := d.denied("as", "new"); !slices.Equal(got, []string{"by-name", "by-uid"}) {
		t.Errorf("with another client: denied by %q", got)
	}
	_ = clients.Delete(object(t, registration("app", "new")))
	if got := d.denied("as", "id"); !slices.Equal(got, []string{"by-client", "by-issuer"}) {
		t.Errorf("without the registration: denied by %q", got)
	}
	if got := d.memory.deniedServers(); !slices.Equal(got, []string{"as", "other", "twin"}) {
		t.Errorf("watched for denials are %q", got)
	}
}

func TestADenialIsToldAndCountsAsSeen(t *testing.T) {
	d := newDesk()
	denied := d.source(denialsAt)
	_ = d.source(clientsAt).Add(object(t, registration("app", "id")))
	_ = d.source(issuerAt).Replace([]any{object(t, issuer("as", "https://as.example.com"))}, "3")
	d.heard()
	sent(d.news)
	change := []guard.Change{{AuthorizationServer: "as", ClientID: "id"}}
	for _, step := range []struct {
		name string
		do   func() error
		told []guard.Change
	}{
		{"a client is denied", func() error { return denied.Add(object(t, deniedClient("one", "as", "id"))) }, change},
		{"its reason changes", func() error { return denied.Update(object(t, deniedClient("one", "as", "id"))) }, change},
		{"its registration is denied", func() error { return denied.Add(object(t, deniedHolder("two", "app", ""))) }, change},
		{"nobody that is known", func() error { return denied.Add(object(t, deniedClient("three", "as", "ghost"))) }, []guard.Change{{AuthorizationServer: "as", ClientID: "ghost"}}},
		{"the first is taken back", func() error { return denied.Delete(object(t, deniedClient("one", "as", "id"))) }, change},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := d.heard(); !slices.Equal(got, step.told) {
			t.Errorf("%s: told %v, want %v", step.name, got, step.told)
		}
		if denied.UpdateResourceVersion("7"); !sent(d.news) || !sent(d.moved) {
			t.Errorf("%s: the Lease, or what must be watched, is not asked for", step.name)
		}
	}
	if kept, misread := d.memory.denialCounts(); kept != 2 || misread != 0 {
		t.Errorf("%d are kept, %d misread", kept, misread)
	}
}

// What a guard cannot act on it does not say that it acts on.
func TestWhatIsNotActedOnIsSaid(t *testing.T) {
	d := newDesk()
	denied := d.source(denialsAt)
	if got := d.acted(); got.Seen != "" {
		t.Errorf("before denials were read, %q is seen", got.Seen)
	}
	_ = d.source(issuerAt).Replace([]any{object(t, issuer("as", "https://as.example.com"))}, "3")
	newer := &v1alpha1.AccessDenial{ObjectMeta: metav1.ObjectMeta{Name: "newer"}}
	broken := &item[v1alpha1.AccessDenial]{}
	if err := broken.UnmarshalJSON([]byte(`{"metadata":{"name":"broken"},"spec":{"client":"c"}}`)); err != nil {
		t.Fatal(err)
	}
	items := []any{object(t, newer), broken, object(t, deniedClient("known", "as", "id")), object(t, deniedClient("unread", "other", "id"))}
	if err := denied.Replace(items, "9"); err != nil {
		t.Fatal(err)
	}
	if got := d.acted(); got.Seen != "9" || got.More || !slices.Equal(got.Open, []string{"broken", "newer", "unread"}) {
		t.Errorf("got %+v", got)
	}
	_ = d.source(sourceKey{authorizationServers, "", fieldName, "other"}).Replace(nil, "4")
	if got := d.acted(); !slices.Equal(got.Open, []string{"broken", "newer"}) {
		t.Errorf("once its authorization server was looked for: got %+v", got)
	}
	for i := range maxOpen {
		_ = denied.Add(object(t, &v1alpha1.AccessDenial{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint(i)}}))
	}
	if got := d.acted(); len(got.Open) != maxOpen || !got.More {
		t.Errorf("got %+v", got)
	}
}

// A register that cannot read denials is never complete.
func TestNothingIsReliedOnWithoutDenials(t *testing.T) {
	d := newDesk()
	server := &v1alpha1.MCPServer{ObjectMeta: named("tools", "files")}
	server.Spec.AuthorizationServerRef.Name = "as"
	_ = d.source(serverSource(files)).Replace([]any{object(t, server)}, "1")
	for _, k := range []sourceKey{issuerAt, clientsAt, grantsAt} {
		_ = d.source(k).Replace(nil, "1")
	}
	for _, s := range d.contact.sources {
		d.contact.opened(s, false)
	}
	beat := func() bool {
		d.contact.confirm(d.clock.Now(), d.contact.turn(), d.needed())
		_, complete := d.Age()
		return complete
	}
	if beat() {
		t.Error("complete although denials were not read")
	}
	denied := d.source(denialsAt)
	_ = denied.Replace(nil, "1")
	d.contact.opened(denied, false)
	if !beat() {
		t.Error("not complete although all was read")
	}
	d.contact.closed(denied)
	d.clock.Step(time.Hour)
	beat()
	if age, _ := d.Age(); age != time.Hour {
		t.Errorf("the age is %s while denials are not watched", age)
	}
}
