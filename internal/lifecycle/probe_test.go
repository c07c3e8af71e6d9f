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
