// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// Two JWK sets.
const (
	oldSet   = `{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`
	probeSet = `{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`
)

// A key that the server shows that it did not take proves nothing by its refusal.
func TestProbeKeyThatWasNotTaken(t *testing.T) {
	kid := "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s" // RFC 7638 thumbprint of probeSet's key
	f := Facts{
		Record: policy.Record{State: policy.RecordRegistered, Client: authserver.Client{
			ID: "c", ManagementURI: "https://as/c", ManagementToken: authserver.NewSecret("t"),
			Registered: authserver.ClientMetadata{AuthMethod: "private_key_jwt", JWKS: oldSet},
		}, TokenEndpoint: "https://as/token"},
		Cause: v1alpha1.CauseExpired, DueAt: start, Repeatable: true,
		ProbeKey: KeyPair{Private: authserver.NewSecret("pem"), ID: kid, JWKS: probeSet},
	}
	plan := Next(f, start)
	if plan.Call != GiveProbeKey {
		t.Fatal(plan.Call)
	}
	answer := f.Record.Client
	out := plan.After(Answer{Client: answer}, start)
	h := out.Record.Handle(policy.CredentialsFact{}, start)
	if !h.PrivateKey.IsZero() && !h.Uncertain {
		t.Errorf("the witness is heard with a key that the server said it does not have: kid %s", h.KeyID)
	}
}

// A client whose last update has no answer is looked at before it is deleted, also where
// its token is known to be good: what is registered by then may be what shows its
// absence.
func TestClientWithAnOpenUpdateIsLookedAt(t *testing.T) {
	f := Facts{Record: policy.Record{
		State: policy.RecordRegistered, Replacing: true,
		Client: authserver.Client{ID: "client", ManagementURI: "https://as.example.com/client", ManagementToken: authserver.NewSecret("0")},
	}, Repeatable: true}
	plan := Next(f, start)
	if plan.Call != Look {
		t.Fatalf("%s in place of a look", plan.Call)
	}
	if out := plan.After(Answer{Found: true}, start); out.Record.Replacing || out.Err != nil {
		t.Errorf("%+v", out)
	}
	if next := Next(f.Without(Look), start); next.Call != Revoke {
		t.Errorf("%s after the look", next.Call)
	}
}

// A client whose token is refused is looked for at once, and not again where that was
// tried in vain: the refusal stands, and is tried again as any failure.
func TestClientThatWasLookedForInVainWaits(t *testing.T) {
	w := Wanted{Action: policy.Replace, Record: policy.Record{State: policy.RecordRegistered, Client: authserver.Client{ID: "client"}}}
	refusal := Answer{Err: failure(authserver.Unauthorized, false)}
	if out := Give(w, start).After(refusal, start); !out.Suspect || out.Wait != AtOnce || out.Err != nil {
		t.Errorf("at first: %+v", out)
	}
	w.Observed.Tried = true
	if out := Give(w, start).After(refusal, start); out.Suspect || out.Wait > 0 || out.Err == nil {
		t.Errorf("after a look in vain: %+v", out)
	}
}
