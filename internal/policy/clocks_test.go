// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// clockFacts are those of a server that says its time, and of an operator.
func clockFacts(operator ClockFact, server *time.Duration) AuthorizationServerFacts {
	f := serverFacts()
	f.Clock, f.Metadata.ClockSkew = operator, server
	return f
}

func TestClocks(t *testing.T) {
	t.Parallel()
	known := func(ahead time.Duration) ClockFact { return ClockFact{Known: true, Ahead: ahead} }
	for _, c := range []struct {
		name     string
		operator ClockFact
		server   *time.Duration
		reason   string
		says     string
	}{
		{"nothing is known", ClockFact{}, nil, "", ""},
		{"all agree", known(0), new(time.Duration(0)), v1alpha1.ReasonSynchronized, "agree"},
		{"the server says no time", known(time.Second), nil, v1alpha1.ReasonSynchronized, "agree"},
		{"the operator is at its bound", known(-2 * time.Second), nil, v1alpha1.ReasonSynchronized, ""},
		{"the operator is ahead", known(time.Hour), new(time.Duration(0)), v1alpha1.ReasonOperatorClockOff, "operator's machine is 1h0m0s ahead of the API server's"},
		{"the operator is behind", known(-time.Hour), nil, v1alpha1.ReasonOperatorClockOff, "1h0m0s behind the API server's"},
		{"the server is ahead", known(0), new(6 * time.Second), v1alpha1.ReasonAuthorizationServerClockOff, "6s ahead of the API server's"},
		{"the server is at its bound", known(0), new(5 * time.Second), v1alpha1.ReasonSynchronized, ""},
		{"a slow answer", known(0), new(-10 * time.Second), v1alpha1.ReasonSynchronized, ""},
		{"the server is behind", ClockFact{}, new(-5 * time.Minute), v1alpha1.ReasonAuthorizationServerClockOff, "5m0s behind the API server's"},
		{"both are off", known(time.Minute), new(time.Minute), v1alpha1.ReasonOperatorClockOff, ""},
	} {
		d := AuthorizationServer(clockFacts(c.operator, c.server))
		got := d.ClockSynchronized
		if (got == nil) != (c.reason == "") {
			t.Errorf("%s: %+v", c.name, got)
			continue
		}
		if got == nil {
			continue
		}
		if got.Reason != c.reason || !strings.Contains(got.Message, c.says) || (got.Standing == Allowed) != (c.reason == v1alpha1.ReasonSynchronized) {
			t.Errorf("%s: %+v", c.name, got)
		}
		if d.Accepted.Standing != Allowed || d.Discovered.Standing != Allowed {
			t.Errorf("%s: it decides something: %+v", c.name, d)
		}
	}
}

// toldClocks is what a status says of clocks after a decision.
func toldClocks(f *AuthorizationServerFacts) string {
	d := AuthorizationServer(*f)
	f.Server.Status.ClockSkewSeconds, f.Server.Status.OperatorClockSkewSeconds = d.ClockSkewSeconds, d.OperatorClockSkewSeconds
	f.Server.Status.Conditions = nil
	if v := d.ClockSynchronized; v != nil {
		status := metav1.ConditionFalse
		if v.Standing == Allowed {
			status = metav1.ConditionTrue
		}
		f.Server.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionClockSynchronized, Status: status, Reason: v.Reason, Message: v.Message}}
	}
	said := func(n *int32) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	return fmt.Sprint(said(d.ClockSkewSeconds), said(d.OperatorClockSkewSeconds), f.Server.Status.Conditions)
}

// Whatever the offsets are, clocks that stay as they are cost four writes at most in all,
// for all that they are read with an error each time: for each one when it is seen first,
// and one where the first reading was at an edge. What is far off is told, and what is
// right is not.
func TestClocksThatStayAreToldOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5000) {
		random := rand.New(rand.NewPCG(seed, 2))
		within := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(2*d))) - d }
		operator, server := within(10*time.Second), within(time.Minute)
		if seed%2 == 0 {
			operator, server = within(time.Hour), within(time.Hour)
		}
		f := serverFacts()
		var last string
		changes := 0
		for range 50 {
			f.Clock = ClockFact{Known: random.IntN(10) > 0, Ahead: operator + within(450*time.Millisecond)}
			f.Metadata.ClockSkew = new(server + within(900*time.Millisecond))
			if now := toldClocks(&f); now != last {
				changes, last = changes+1, now
			}
		}
		if changes > 4 {
			t.Fatalf("seed %d: operator %s, server %s: told %d times, last %s", seed, operator, server, changes, last)
		}
		wrong := operator.Abs() > 2500*time.Millisecond || server > 8*time.Second || server < -33*time.Second
		right := operator.Abs() < 500*time.Millisecond && server < 2*time.Second && server > -17*time.Second
		said := f.Server.Status.Conditions[0].Status == metav1.ConditionFalse
		if wrong && !said || right && said {
			t.Fatalf("seed %d: operator %s, server %s: told %s", seed, operator, server, last)
		}
	}
}
