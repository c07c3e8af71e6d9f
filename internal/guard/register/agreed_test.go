// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import (
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// The Lease states the agreed time, and how old the register is the machine's clock tells:
// that the two come apart, or together, makes nothing fresh that is not.
func TestTheLeaseStatesTheAgreedTime(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		d, p, _ := traveller(t, "guards")
		agreed := clocktesting.NewFakeClock(d.clock.Now())
		d.agreed = agreed
		beats(t, d)
		agreed.SetTime(d.clock.Now().Add(-ahead))
		d.lease.write(t.Context())
		if got := p.leases[d.leaseName()].Spec.RenewTime; !got.Time.Equal(agreed.Now()) {
			t.Errorf("%s ahead: the Lease is of %s, and it is %s", ahead, got, agreed.Now())
		}
		if age, complete := d.Age(); age != 0 || !complete {
			t.Errorf("%s ahead: the register is %s old, complete %t", ahead, age, complete)
		}
		d.clock.Step(2 * time.Minute)
		agreed.SetTime(d.clock.Now().Add(-2 * ahead))
		if age, _ := d.Age(); age != 2*time.Minute {
			t.Errorf("%s ahead: the register is %s old after two minutes without word", ahead, age)
		}
	}
}
