// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package extauthz

import (
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// beside is a register with the server of another team.
type beside struct {
	*known
	other guard.Server
}

func (b beside) Server(n guard.ServerName) (guard.Server, bool) {
	if n.Namespace == b.other.Namespace {
		return b.other, true
	}
	return b.known.Server(n)
}

// An address that two servers claim is that of neither: else a team that claims
// another's would decide about its calls.
func TestAnAddressOfTwoServersIsNobodys(t *testing.T) {
	t.Parallel()
	k := &known{server: ledger(), complete: true, clients: map[string]policy.ClientEntry{}}
	other := ledger()
	other.Namespace, other.Name = "mallory", "m"
	other.Scopes = []policy.CatalogueScope{{Name: "m:all", Tools: []string{"post_entry"}}}
	k.clients["c-eve"] = policy.ClientEntry{
		Namespace: "mallory", Name: "eve", ClientID: "c-eve", Owner: "m", EndsAt: noon.Add(time.Hour),
		Scopes: []policy.EntryScope{{Name: "m:all", Grants: []string{"g"}}},
	}
	k.grants = []policy.GrantEntry{{
		Namespace: "mallory", Name: "g", Client: "eve", ServerNamespace: "mallory", Server: "m", Scopes: []string{"m:all"},
		EndsAt: noon.Add(time.Hour), InForce: true,
	}}
	register, fake := beside{k, other}, clocktesting.NewFakeClock(noon)
	engine := guard.New(guard.Options{Register: register, Tokens: tokens{"eve": token("eve", "m:all")}, Recorder: &decisions{}, Clock: fake, MaxStaleness: time.Minute})
	for _, names := range [][]guard.ServerName{
		{{Namespace: "mallory", Name: "m"}, {Namespace: "finance", Name: "ledger"}},
		{{Namespace: "finance", Name: "ledger"}, {Namespace: "mallory", Name: "m"}},
	} {
		s := New(Options{Engine: engine, Register: register, Clock: fake, Servers: names})
		answer, err := s.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: post("eve", "post_entry")},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if codes.Code(answer.GetStatus().GetCode()) == codes.OK {
			t.Errorf("with %v a client without a grant of the ledger calls its tool", names)
		}
	}
}
