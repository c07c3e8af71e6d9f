// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

func TestContactCountsWhileEveryWatchIsOpen(t *testing.T) {
	d := newDesk()
	c, needed := &d.contact, map[sourceKey]bool{clientsAt: true, grantsAt: true}
	clients, granted := d.source(clientsAt), d.source(grantsAt)
	beat := func() { c.confirm(d.clock.Now(), c.turn(), needed) }
	is := func(when string, age time.Duration, complete bool) {
		t.Helper()
		gotAge, gotComplete := c.age(d.clock.Now())
		if gotComplete != complete || complete && gotAge != age {
			t.Errorf("%s: got age %s, complete %t; want %s, %t", when, gotAge, gotComplete, age, complete)
		}
	}
	c.opened(clients, true)
	c.replaced(clients, "1")
	beat()
	is("before all was read", 0, false)
	// The other is listed first and watched then.
	c.replaced(granted, "1")
	beat()
	is("between a list and its watch", 0, false)
	c.opened(granted, false)
	beat()
	is("when all is open", 0, true)
	d.clock.Step(time.Second)
	is("without an answer", time.Second, true)
	c.closed(clients)
	beat()
	is("while one is closed", time.Second, true)
	c.opened(clients, true)
	beat()
	is("while one delivers the list again", time.Second, true)
	c.replaced(clients, "2")
	turn := c.turn()
	c.closed(granted)
	c.opened(granted, false)
	c.confirm(d.clock.Now(), turn, needed)
	is("when one was closed while the answer was waited for", time.Second, true)
	beat()
	is("when all is open again", 0, true)
	d.source(otherAt)
	d.clock.Step(time.Second)
	beat()
	is("while a new one was not yet read", 0, true)
}

func TestAgeCountsTheTimeThatAMachineSlept(t *testing.T) {
	c := contact{sources: map[sourceKey]*source{}}
	now := time.Now()
	c.confirm(now, 0, nil)
	// What is parsed has no reading of the clock that never goes back.
	later, err := time.Parse(time.RFC3339Nano, now.Add(time.Hour).Format(time.RFC3339Nano))
	if err != nil {
		t.Fatal(err)
	}
	if age, complete := c.age(later); age != time.Hour || !complete {
		t.Errorf("got age %s, complete %t", age, complete)
	}
	if age, _ := c.age(now.Add(-time.Hour)); age != 0 {
		t.Errorf("got age %s of what is yet to come", age)
	}
}

func TestSeenIsTheLeastOfSeveral(t *testing.T) {
	at := func(namespace, as string) sourceKey {
		return sourceKey{registrations, namespace, fieldAuthorizationServer, as}
	}
	d := newDesk()
	d.source(grantsAt)
	one, two, unread := d.source(at("one", "as")), d.source(at("two", "as")), d.source(at("one", "other"))
	d.contact.replaced(one, "1200")
	expect := func(when string, want map[string]string) {
		t.Helper()
		if got := d.contact.seen(); !maps.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", when, got, want)
		}
	}
	expect("one of two read", map[string]string{})
	d.contact.replaced(two, "999")
	expect("both read", map[string]string{"as": "999"})
	two.UpdateResourceVersion("1201")
	expect("a bookmark", map[string]string{"as": "1200"})
	d.contact.replaced(one, "800")
	expect("an API server that was restored", map[string]string{"as": "800"})
	d.contact.replaced(unread, "not a number")
	expect("a version that cannot be compared", map[string]string{"as": "800"})
}

func TestNewsIsWrittenAtOnceAndThenTogether(t *testing.T) {
	var p pace
	now := start
	for _, step := range []struct{ after, want time.Duration }{
		{0, 25 * time.Millisecond}, {30 * time.Millisecond, 50 * time.Millisecond}, {60 * time.Millisecond, 100 * time.Millisecond},
		{time.Second, 200 * time.Millisecond}, {time.Second, 200 * time.Millisecond}, {2 * time.Second, 25 * time.Millisecond},
	} {
		now = now.Add(step.after)
		if got := p.next(now); got != step.want {
			t.Errorf("after %s: got %s, want %s", step.after, got, step.want)
		}
	}
}

func TestLeaseNameIsOneThatKubernetesAccepts(t *testing.T) {
	for identity, want := range map[string]string{
		"guard-0": "mcp-guard-guard-0-x7", "Files_Guard:1": "mcp-guard-files-guard-1-x7", "host.example.com.": "mcp-guard-host.example.com-x7",
		strings.Repeat("a", 300): "mcp-guard-" + strings.Repeat("a", 240) + "-x7",
	} {
		r := &Register{options: Options{Identity: identity}, drawn: "x7"}
		if got := r.leaseName(); got != want {
			t.Errorf("got %q for %q, want %q", got, identity, want)
		}
	}
}

func TestConnectionIsDoubtedWhenAnswersDoNotComeInTime(t *testing.T) {
	p := pulse{patience: silences}
	refused := errors.New("connection refused")
	late := fmt.Errorf("asking: %w", context.DeadlineExceeded)
	for i, step := range []struct {
		err  error
		want pulseChange
	}{
		{nil, pulseSame}, {refused, pulseLost}, {refused, pulseSame}, {refused, pulseSame}, {refused, pulseSame}, {nil, pulseBack},
		{late, pulseLost}, {late, pulseSame}, {late, pulseSilent},
		{late, pulseSame}, {late, pulseSame}, {late, pulseSame}, {late, pulseSame}, {late, pulseSame}, {late, pulseSilent},
		{nil, pulseBack}, {late, pulseLost}, {late, pulseSame}, {refused, pulseSame}, {late, pulseSame}, {late, pulseSame}, {late, pulseSilent},
	} {
		if got := p.felt(step.err); got != step.want {
			t.Errorf("step %d: got %d, want %d", i, got, step.want)
		}
	}
}
