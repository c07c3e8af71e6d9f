// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math/rand/v2"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// adminTraits are those of a server that is managed through an admin API.
var adminTraits = authserver.Traits{OwnClientID: true, OwnSecret: true, TwoKeys: true, Audiences: true, Disables: true, Lists: true}

// sent makes the facts those of a request for a chosen client id whose answer
// is not known.
func sent(f *RegistrationFacts) {
	f.Traits = adminTraits
	f.Record.State, f.Record.Client = RecordPending, authserver.Client{ID: "client-1"}
	f.Registration.Status.ClientID = ""
}

// A request for a client id that the register chose is looked for, not
// repeated; what it may yet create is deleted before it is forgotten.
func TestPendingOwnID(t *testing.T) {
	want := map[Standing]row{
		Allowed: {Nothing, Replace, Register, Nothing}, Frozen: all(Nothing), Undecided: all(Nothing), Refused: all(Revoke),
	}
	for _, world := range worlds {
		enter := func(f *RegistrationFacts) { sent(f); world.enter(f) }
		checkRow(t, RecordRegistered, enter, false, world.standing, want[world.standing])
		checkRow(t, RecordRegistered, enter, true, Refused, all(Revoke))
	}
}

// Where a client can be disabled a suspension keeps its id.
func TestSuspendedIsDisabled(t *testing.T) {
	suspended := func(change ...func(*RegistrationFacts)) RegistrationFacts {
		f := liveFacts(change...)
		f.Traits, f.Registration.Spec.State = adminTraits, v1alpha1.StateSuspended
		return f
	}
	enabled := Observation{Looked: true, Is: Present}
	disabled := Observation{Looked: true, Is: Present, Client: authserver.Client{Disabled: true}}
	for name, c := range map[string]struct {
		change func(*RegistrationFacts)
		want   Action
	}{
		"not yet":                     {func(*RegistrationFacts) {}, Disable},
		"done":                        {func(f *RegistrationFacts) { f.Record.Disabled = true }, Nothing},
		"done and seen":               {func(f *RegistrationFacts) { f.Record.Disabled, f.Observed = true, disabled }, Nothing},
		"done and undone":             {func(f *RegistrationFacts) { f.Record.Disabled, f.Observed = true, enabled }, Disable},
		"gone":                        {func(f *RegistrationFacts) { f.Observed = Observation{Looked: true, Is: Absent} }, Revoke},
		"a revocation began":          {func(f *RegistrationFacts) { f.Record.Cause = v1alpha1.CauseExpired }, Revoke},
		"being deleted":               {func(f *RegistrationFacts) { deleting(f.Registration) }, Revoke},
		"expired as well":             {func(f *RegistrationFacts) { setEnd(f.Registration, now) }, Revoke},
		"its server cannot disable":   {func(f *RegistrationFacts) { f.Traits.Disables = false }, Revoke},
		"disabled and being deleted":  {func(f *RegistrationFacts) { f.Record.Disabled = true; deleting(f.Registration) }, Revoke},
		"disabled and no more needed": {func(f *RegistrationFacts) { f.Record.Disabled, f.Registration.Spec.State = true, v1alpha1.StateActive }, Replace},
	} {
		f := suspended(c.change)
		if name == "its server cannot disable" {
			f.Traits.Disables = false
		}
		if name == "disabled and no more needed" {
			f.Registration.Spec.State = v1alpha1.StateActive
		}
		equal(t, name, c.want, Registration(f, now).Action)
	}
}

// What somebody disabled at the server is enabled again.
func TestDisabledByAnotherIsRepaired(t *testing.T) {
	f := liveFacts()
	f.Observed = Observation{Looked: true, Is: Present, Client: f.Record.Client}
	equal(t, "enabled", Keep, Registration(f, now).Action)
	f.Observed.Client.Disabled = true
	equal(t, "disabled", Replace, Registration(f, now).Action)
}

// A client that can no longer be managed and that a person let go of is given
// up and registered anew, although nothing was to be taken away.
func TestReleaseOfAnUnmanageableClient(t *testing.T) {
	for _, reason := range []string{v1alpha1.ReasonManagementLost, v1alpha1.ReasonManagementUnsupported, v1alpha1.ReasonReady} {
		f := liveFacts()
		f.Record.Replacing = true
		f.Registration.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: reason}}
		equal(t, reason+", not released", Replace, Registration(f, now).Action)
		f.Record.Released = "admin: deleted by hand"
		d := Registration(f, now)
		if reason == v1alpha1.ReasonReady {
			equal(t, reason, Replace, d.Action)
			continue
		}
		equal(t, reason, Revoke, d.Action)
		equal(t, reason+": cause", v1alpha1.CauseManagementLost, d.Verdict.Cause)
		f.Registration.Status.ClientID = "another"
		equal(t, reason+", told of another client", Replace, Registration(f, now).Action)
	}
}

// A client stays where it was registered: where clients come to be managed in
// another way, it is revoked there and registered anew.
func TestManagedInAnotherWay(t *testing.T) {
	f := liveFacts(func(f *RegistrationFacts) {
		f.change(func(as *v1alpha1.AuthorizationServer) {
			as.Spec.DynamicRegistration, as.Spec.Hydra = nil, &v1alpha1.HydraManagement{AdminURL: "https://hydra.example.com"}
		})
	})
	d := Registration(f, now)
	equal(t, "action", Revoke, d.Action)
	equal(t, "verdict", waitingFor(Refused, v1alpha1.ReasonAuthorizationServerNotFound, v1alpha1.CauseAuthorizationServerGone), brief(d.Verdict))
	equal(t, "connection", f.Record.Connection, d.Connection)
}

// What another server does not know says nothing of this one: a client is
// revoked over the address that it was registered at.
func TestRegisteredAtAnotherAddress(t *testing.T) {
	f := liveFacts(func(f *RegistrationFacts) {
		f.Traits = adminTraits
		f.change(func(as *v1alpha1.AuthorizationServer) {
			as.Spec.DynamicRegistration, as.Spec.Hydra = nil, &v1alpha1.HydraManagement{AdminURL: "https://new.example.com"}
		})
		f.Record.Connection = Connection(f.AuthorizationServer.Object)
		f.Record.Connection.BaseURL = "https://old.example.com"
	})
	d := Registration(f, now)
	equal(t, "action", Revoke, d.Action)
	equal(t, "address", "https://old.example.com", d.Connection.BaseURL)
	equal(t, "address of its traits", "https://old.example.com", ConnectionOf(f.Record, f.AuthorizationServer).BaseURL)
	f.Record.State = RecordRevoked
	equal(t, "address of the next client", "https://new.example.com", ConnectionOf(f.Record, f.AuthorizationServer).BaseURL)
}

func adoptable(change ...func(*RegistrationFacts)) RegistrationFacts {
	f := liveFacts()
	f.Traits, f.Record, f.RecordIs = adminTraits, Record{}, Absent
	f.Registration.Status.ClientID = ""
	annotate(f.Registration, v1alpha1.AnnotationAdopt, "old-client")
	f.change(func(as *v1alpha1.AuthorizationServer) {
		as.Spec.Adoptions = []v1alpha1.Adoption{{ClientID: "old-client", Namespace: f.Registration.Namespace, Name: f.Registration.Name}}
	})
	for _, c := range change {
		c(&f)
	}
	return f
}

// T14: a client of somebody else is taken over only by the word of the
// platform team, which names the registration.
func TestT14Adoption(t *testing.T) {
	f := adoptable()
	d := Registration(f, now)
	equal(t, "action", Register, d.Action)
	equal(t, "client", "old-client", d.Adopt)
	for name, change := range map[string]func(*RegistrationFacts){
		"another client":       func(f *RegistrationFacts) { annotate(f.Registration, v1alpha1.AnnotationAdopt, "stolen") },
		"another registration": func(f *RegistrationFacts) { f.Registration.Name = "other" },
		"another namespace":    func(f *RegistrationFacts) { f.Registration.Namespace = "other" },
		"a server with tokens": func(f *RegistrationFacts) { f.Traits = authserver.Traits{} },
	} {
		d := Registration(adoptable(change), now)
		equal(t, name, Nothing, d.Action)
		equal(t, name+": reason", v1alpha1.ReasonAdoptionNotAllowed, d.Verdict.Reason)
	}
	begun := func(f *RegistrationFacts) {
		sent(f)
		f.RecordIs, f.Record.Adopting, f.Record.Client.ID = Present, true, "old-client"
	}
	f = adoptable(begun)
	f.Observed = Observation{Looked: true, Is: Present}
	equal(t, "found", Replace, Registration(f, now).Action)
	f.Observed.Is = Absent
	equal(t, "not there", Nothing, Registration(f, now).Action)
	f.Observed.Is = Present
	f.AuthorizationServer.Object.Spec.Adoptions = nil
	equal(t, "leave withdrawn", Revoke, Registration(f, now).Action)
	f = adoptable(begun)
	remove(f.Registration, v1alpha1.AnnotationAdopt)
	equal(t, "no longer asked for", Revoke, Registration(f, now).Action)
}

func consentedTo(f RegistrationFacts) bool {
	as := f.AuthorizationServer.Object
	if as == nil {
		return false
	}
	for _, a := range as.Spec.Adoptions {
		if a.ClientID == f.Record.Client.ID && a.Namespace == f.Registration.Namespace && a.Name == f.Registration.Name {
			return f.Registration.Annotations[v1alpha1.AnnotationAdopt] == a.ClientID
		}
	}
	return false
}

// randomOwnID makes the record one of a client at a server that is managed
// through an admin API.
func randomOwnID(r *rand.Rand, f *RegistrationFacts) {
	f.Record.Disabled = r.IntN(8) == 0
	if f.Record.RegisteredAt = now.Add(-300 * day); f.Registration.Spec.TokenEndpointAuthMethod != v1alpha1.AuthMethodNone {
		f.Registration.Spec.Credentials = &v1alpha1.Credentials{RotateAfterSeconds: new(int32(300))}
	}
	f.Record.Adopting = f.Record.State == RecordPending && r.IntN(3) == 0
	if !often(r) || f.Record.Adopting {
		annotate(f.Registration, v1alpha1.AnnotationAdopt, pick(r, "client-1", "client-2", ""))
	}
	if as := f.AuthorizationServer.Object; as != nil && r.IntN(2) == 0 {
		as.Spec.Adoptions = []v1alpha1.Adoption{{ClientID: "client-1", Namespace: "payments", Name: pick(r, "agent", "other")}}
	}
	if r.IntN(3) == 0 {
		f.Record.Rotation = Rotation{MadeAt: instant(r), NextSecret: authserver.NewSecret(pick(r, "", "next")), OldJWKS: pick(r, "", testJWKS), OldUntil: pick(r, instant(r), time.Time{})}
		f.Record.KeysSettleAt = pick(r, instant(r), time.Time{})
	}
	if r.IntN(2) == 0 {
		annotate(f.Registration, v1alpha1.AnnotationRotate, "now")
	}
}
