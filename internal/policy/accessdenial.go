// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"time"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// DenialEntry is an AccessDenial as the boundary keeps it: it names a client, or a
// registration, or nobody that this release knows.
type DenialEntry struct {
	Name string
	// AuthorizationServer and ClientID name a client.
	AuthorizationServer, ClientID string
	// Namespace and Registration name a registration; UID the very object, empty
	// for any of that name.
	Namespace, Registration, UID string
	// EndsAt is when the denial ends; over from that instant on. Zero is never.
	EndsAt time.Time
}

// DenialOf reads a denial.
func DenialOf(denial *v1alpha1.AccessDenial) DenialEntry {
	entry := DenialEntry{Name: denial.Name}
	if c := denial.Spec.Client; c != nil {
		entry.AuthorizationServer, entry.ClientID = c.AuthorizationServerRef.Name, c.ClientID
	}
	if r := denial.Spec.Registration; r != nil {
		entry.Namespace, entry.Registration, entry.UID = r.Namespace, r.Name, r.UID
	}
	if end := denial.Spec.ExpirationTime; end != nil {
		entry.EndsAt = end.Time
	}
	return entry
}

// Understood says that it is known whom the denial names.
func (d DenialEntry) Understood() bool { return d.namesClient() || d.namesRegistration() }

func (d DenialEntry) namesClient() bool { return d.AuthorizationServer != "" && d.ClientID != "" }

func (d DenialEntry) namesRegistration() bool { return d.Namespace != "" && d.Registration != "" }

// Over says that the denial has ended.
func (d DenialEntry) Over(now time.Time) bool { return !d.EndsAt.IsZero() && expired(now, d.EndsAt) }

// denied says that a denial of the client has not ended.
func (f CallFacts) denied(now time.Time) bool {
	return slices.ContainsFunc(f.Denials, func(d DenialEntry) bool { return !d.Over(now) })
}

// Holds says that the denial is about the client of a registration.
func (d DenialEntry) Holds(c ClientEntry) bool {
	return d.namesRegistration() && d.Namespace == c.Namespace && d.Registration == c.Name && (d.UID == "" || d.UID == c.UID)
}

// EnforcementFacts are what Enforced rests on.
type EnforcementFacts struct {
	Denial *v1alpha1.AccessDenial
	// Version is a resourceVersion that it had since its spec last changed: what
	// comes later changes nothing for guards.
	Version string
	// GuardsAre says whether the guards could be listed, all of them.
	GuardsAre Knowledge
	Guards    []Guard
	// Servers are the MCPServers that there are, by namespace/name, each with the
	// namespaces that its guards must run in; none where any may.
	Servers map[string][]string
}

// Enforcement is what guards are known to make of a denial.
type Enforcement struct {
	// Verdict is that of the condition Enforced.
	Verdict Verdict
	// By is how many guards refuse whom it names, Pending are the Leases of those
	// that are not known to, in their order.
	By      int
	Pending []string
	// Enforced says that every guard does, and that there is one.
	Enforced bool
}

// Enforced says which guards act on a denial as it is now. A Lease of one that is
// in front of no server, or that all its servers refuse, counts for nothing: such
// a guard lets nothing pass.
func Enforced(f EnforcementFacts, now time.Time) Enforcement {
	entry := DenialOf(f.Denial)
	var e Enforcement
	for _, guard := range f.Guards {
		switch {
		case !guard.inFrontOf(f.Servers), !now.Before(guard.Until.Add(guardTolerance)):
		case guard.Denials.acts(f.Denial.Name, f.Version):
			e.By++
		default:
			e.Pending = append(e.Pending, guard.Namespace+"/"+guard.Name)
		}
	}
	slices.Sort(e.Pending)
	e.Verdict = e.verdict(f, entry, now)
	e.Enforced = e.Verdict.Reason == v1alpha1.ReasonEnforced
	return e
}

func (e Enforcement) verdict(f EnforcementFacts, entry DenialEntry, now time.Time) Verdict {
	switch {
	case !entry.Understood():
		return Verdict{Reason: v1alpha1.ReasonNotUnderstood, Message: "the denial names nobody that this release knows, and is not enforced: upgrade the operator and the guards"}
	case entry.Over(now):
		return Verdict{Reason: v1alpha1.ReasonExpired, Message: "the denial has ended, and guards no longer refuse whom it names: move spec.expirationTime forward, or delete it"}
	case f.GuardsAre != Present:
		return Verdict{
			Standing: Undecided, Reason: v1alpha1.ReasonGuardsUnknown,
			Message: "guards refuse whom it names, but the operator does not watch all namespaces: whether every guard does is not known",
		}
	case len(e.Pending) > 0:
		return Verdict{Waiting: true, Reason: v1alpha1.ReasonGuardsPending, Message: "waiting for the guards that status.pendingGuards names"}
	case e.By == 0:
		return Verdict{Reason: v1alpha1.ReasonNoGuard, Message: "no guard is known, so nobody enforces it: put a guard with a Lease in front of the MCP servers"}
	}
	return Verdict{Standing: Allowed, Reason: v1alpha1.ReasonEnforced, Message: "every guard refuses whom it names"}
}

// inFrontOf says that a guard may let something pass: one of its servers is there
// and takes its guards from its namespace.
func (g Guard) inFrontOf(servers map[string][]string) bool {
	return slices.ContainsFunc(g.Servers, func(name string) bool {
		from, there := servers[name]
		return there && (len(from) == 0 || slices.Contains(from, g.Namespace))
	})
}

// GuardDenials is what a guard tells of denials.
type GuardDenials struct {
	// Seen is the resourceVersion up to which it acts on them; empty when it does
	// not say.
	Seen string
	// Open are those that it knows and does not act on; More that there are more.
	Open []string
	More bool
}

// acts says that a guard acts on a denial as it was at a resourceVersion.
func (g GuardDenials) acts(name, version string) bool {
	return Guard{Seen: g.Seen}.saw(version) && !g.More && !slices.Contains(g.Open, name)
}
