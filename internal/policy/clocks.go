// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

// What the clocks say is shown and decides nothing here: ends are decided by the clock
// that the operator and the API server agree on, and the Date of an authorization server
// may be that of whatever answers in its place.

// ClockFact is what is known of the clock of the operator's machine.
type ClockFact struct {
	Known bool
	// Ahead is by how much it is ahead of the API server's, negative when behind.
	Ahead time.Duration
}

// bound is by how much a clock may be off before it is said to be wrong, and within what
// it must come again for that to be taken back: an offset at the edge is said once.
type bound struct{ most, again time.Duration }

// beyond says that an offset is, of a clock that was said to be wrong or not.
func (b bound) beyond(off time.Duration, said bool) bool {
	if said {
		return off > b.again
	}
	return off > b.most
}

var (
	// Beyond two seconds the operator does not go by its machine's clock.
	operatorClock = bound{2 * time.Second, time.Second}
	// A guard takes a token for not valid yet that is of more than five seconds later.
	serverClockAhead = bound{5 * time.Second, 3 * time.Second}
	// What a slow answer says is of some seconds ago.
	serverClockBehind = bound{30 * time.Second, 20 * time.Second}
)

// skewStep is what a clock difference must change by to be told anew: it is
// read in whole seconds, at the end of a request of some length.
const skewStep = 2 * time.Second

// clockSkew is by how many seconds the server's clock is ahead. What changed by a
// trifle is not written again.
func clockSkew(told *int32, read *time.Duration) *int32 {
	if read == nil {
		return nil
	}
	if told != nil && (*read-inSeconds(*told)).Abs() <= skewStep {
		return told
	}
	whole := read.Round(time.Second) / time.Second
	return new(int32(min(max(whole, math.MinInt32), math.MaxInt32)))
}

// operatorSkew is by how many seconds the operator's clock is ahead of the API server's;
// nil where it is not wrong.
func operatorSkew(told *int32, clock ClockFact) *int32 {
	switch {
	case !clock.Known:
		return told
	case !operatorClock.beyond(clock.Ahead.Abs(), told != nil):
		return nil
	}
	return clockSkew(told, &clock.Ahead)
}

func inSeconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// judgeClocks is the verdict behind the condition ClockSynchronized; nil where nothing is
// known. operator and server are by how much the clocks are ahead, as status says.
func judgeClocks(f AuthorizationServerFacts, operator, server *int32) *Verdict {
	said := ""
	if c := apimeta.FindStatusCondition(f.Server.Status.Conditions, v1alpha1.ConditionClockSynchronized); c != nil {
		said = c.Reason
	}
	off := server != nil && serverClockOff(inSeconds(*server), said == v1alpha1.ReasonAuthorizationServerClockOff)
	switch {
	case operator != nil:
		return &Verdict{
			Reason:  v1alpha1.ReasonOperatorClockOff,
			Message: fmt.Sprintf("the clock of the operator's machine is %s the API server's: set it (NTP); until then ends are decided by the API server's", apart(*operator)),
		}
	case off:
		return &Verdict{
			Reason:  v1alpha1.ReasonAuthorizationServerClockOff,
			Message: fmt.Sprintf("by the Date of its answers the clock of the authorization server, or of what answers in its place, is %s the API server's: set it (NTP); until then its tokens may be refused as not valid yet, or as expired, and it may refuse what clients sign; no end is decided by it", apart(*server)),
		}
	case server == nil && !f.Clock.Known:
		return nil
	}
	return &Verdict{Standing: Allowed, Reason: v1alpha1.ReasonSynchronized, Message: "the clocks of the operator, of the API server and, where it says its time, of the authorization server agree"}
}

func serverClockOff(ahead time.Duration, said bool) bool {
	return serverClockAhead.beyond(ahead, said) || serverClockBehind.beyond(-ahead, said)
}

// apart is a difference in words.
func apart(ahead int32) string {
	if ahead < 0 {
		return (-inSeconds(ahead)).String() + " behind"
	}
	return inSeconds(ahead).String() + " ahead of"
}
