// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package fake_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
)

// personalities are the kinds of authorization servers there are.
var personalities = map[string]authserver.Traits{
	"registration protocol": {TwoKeys: true},
	"one key":               {},
	"own id":                {OwnClientID: true},
	"own id and secret":     {OwnClientID: true, OwnSecret: true, Audiences: true, Disables: true},
	"own id and list": {
		OwnClientID: true, IDPrefix: "cluster-", OwnSecret: true, TwoKeys: true, Audiences: true, Disables: true, Lists: true, ChecksAccess: true,
		AssertionIssuer: "cluster",
	},
	"list without own id": {Lists: true},
	"own id and scopes":   {OwnClientID: true, OwnSecret: true, Lists: true, Tidies: true},
	"documents": {
		OwnClientID: true, IDPrefix: "https://clients.example/", TwoKeys: true, Disables: true,
		SharedSecretUnsupported: true, CopyLifetime: time.Minute,
	},
}

func TestContract(t *testing.T) {
	for name, traits := range personalities {
		t.Run(name, func(t *testing.T) {
			contract.Run(t, func(*testing.T) contract.Subject { return subject(fake.NewWith("https://as.example", traits)) })
		})
	}
}

func subject(server *fake.Server) contract.Subject {
	const pageSize = 3
	server.Switch(func(s *fake.Switches) { s.PageSize = pageSize })
	s := contract.Subject{
		Server: server,
		Live: func() []string {
			var ids []string
			for _, client := range server.Clients() {
				ids = append(ids, client.ID)
			}
			return ids
		},
		Remove: server.Remove, Scopes: server.Scopes,
		Rotate: func() { server.Switch(func(s *fake.Switches) { s.RotateTokens = true }) },
		Alter: func(alter func(authserver.ClientMetadata) authserver.ClientMetadata) {
			server.Switch(func(s *fake.Switches) { s.Alter = alter })
		},
		Fail: func(op contract.Operation, fault contract.Fault) {
			server.Fail(fake.Fault{
				Operation: fake.Operation(op), AfterWork: fault.AfterWork, Err: translate(server.Traits(), op, fault),
			})
		},
		Token: func(t *testing.T, handle authserver.Handle) bool {
			_, err := server.CanaryToken(t.Context(), authserver.TokenQuestion{Handle: handle})
			return err == nil
		},
		PageSize: pageSize,
		Stand: func(stance *contract.Stance, hides bool, steps ...contract.Operation) bool {
			return stand(server, stance, hides, steps)
		},
	}
	if server.Traits().OwnClientID {
		s.Stranger = func(id string) { server.Strange(authserver.ClientMetadata{ID: id, Name: "somebody's"}) }
	}
	return s
}

// stand has somebody answer in the fake's place, which has no token endpoint to be
// asked alone.
func stand(server *fake.Server, stance *contract.Stance, hides bool, steps []contract.Operation) bool {
	who := fake.Itself
	switch {
	case stance == nil:
	case hides:
		who = fake.Hiding
	case stance.Patient:
		who = fake.Patient
	case stance.Deletes && !server.Traits().OwnClientID && !slices.Contains(steps, contract.Disable):
		who = fake.Accepting
	default:
		who = fake.Page
	}
	server.Switch(func(s *fake.Switches) { s.Stand = who })
	return stance == nil || !slices.Equal(steps, []contract.Operation{contract.Token})
}

// translate says with what error an adapter answers a fault.
func translate(traits authserver.Traits, op contract.Operation, fault contract.Fault) *authserver.Error {
	effect := op != contract.Discover && op != contract.List && op != contract.Tidy && op != contract.Access && (op != contract.Find || !traits.OwnClientID)
	lost := &authserver.Error{Kind: authserver.Unavailable, Op: string(op), MaybeApplied: effect}
	switch {
	case fault.Form == contract.Redirected:
		return &authserver.Error{Kind: authserver.Unavailable, Code: "redirect_refused", MaybeApplied: effect}
	case fault.Form == contract.Endless:
		lost.Code = "too_large"
		return lost
	case fault.Form != contract.Refused, fault.Status == 500:
		return lost
	}
	kinds := map[int]authserver.Kind{
		400: authserver.Rejected, 401: authserver.Unauthorized, 403: authserver.Unauthorized,
		404: authserver.Unauthorized, 405: authserver.Rejected, 409: authserver.Conflict,
	}
	answer := &authserver.Error{Kind: kinds[fault.Status], Status: fault.Status, RetryAfter: fault.RetryAfter}
	if fault.Status == 400 && (op == contract.Register || op == contract.Replace) {
		answer.Quote = authserver.NewQuote(contract.Canary)
	}
	switch {
	case op == contract.Register && (fault.Status == 404 || fault.Status == 405):
		answer.Kind, answer.Code = authserver.Rejected, "registration_unsupported"
	case fault.Status == 405, fault.Status == 404 && op != contract.Replace:
		answer.Code = "management_unsupported"
	case fault.Code != contract.Canary:
		answer.Code = fault.Code
	}
	return answer
}

func TestSwitches(t *testing.T) {
	server := fake.New("https://as.example")
	expiry := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	server.Switch(func(s *fake.Switches) {
		s.SecretForPublic, s.SecretExpiresAt, s.NoManagement, s.DropMark = true, expiry, true, true
		s.Alter = fake.Narrow("alerts.read")
	})
	client, err := server.Register(t.Context(), contract.Wish())
	if err != nil {
		t.Fatal(err)
	}
	if client.Secret.IsZero() || !client.SecretExpiresAt.Equal(expiry) || client.ManagementURI != "" ||
		!client.ManagementToken.IsZero() || client.Registered.SoftwareID != "" || len(client.Registered.Scopes) != 1 {
		t.Errorf("%+v", client)
	}
	server.Edit(client.ID, func(m *authserver.ClientMetadata) { m.Name = "edited" })
	if got := server.Clients()[0].Registered.Name; got != "edited" {
		t.Errorf("name %q", got)
	}
	server.Describe(func(m *authserver.Metadata) { m.CodeChallengeMethods = nil })
	if metadata, err := server.Discover(t.Context()); err != nil || metadata.CodeChallengeMethods != nil {
		t.Errorf("%+v, %v", metadata, err)
	}
}

func TestFaultsAreTakenInOrderAndOnCallSeesTheWorld(t *testing.T) {
	server := fake.New("https://as.example")
	seen := -1
	server.Switch(func(s *fake.Switches) {
		s.OnCall = func(_ context.Context, op fake.Operation) {
			if op == fake.Register {
				seen = len(server.Clients())
			}
		}
	})
	first, second := &authserver.Error{Code: "first"}, &authserver.Error{Code: "second"}
	server.Fail(fake.Fault{Operation: fake.Register, Err: first},
		fake.Fault{Operation: fake.Register, Err: second, AfterWork: true})
	for _, want := range []*authserver.Error{first, second} {
		if _, err := server.Register(t.Context(), contract.Wish()); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if _, err := server.Register(t.Context(), contract.Wish()); err != nil {
		t.Error(err)
	}
	if seen != 1 || len(server.Clients()) != 2 || server.Calls(fake.Register) != 3 {
		t.Errorf("seen %d, clients %d, calls %d", seen, len(server.Clients()), server.Calls(fake.Register))
	}
}

func TestConnector(t *testing.T) {
	connector := fake.NewConnector()
	if _, _, err := connector.Connect(authserver.Config{Name: "main"}); err == nil {
		t.Error("an unknown name connects")
	}
	server := fake.New("https://as.example")
	connector.Put("main", server)
	got, gate, err := connector.Connect(authserver.Config{Name: "main"})
	if err != nil || got != authserver.Server(server) || gate != authserver.Gate(connector.Gate("main")) {
		t.Fatalf("%v, %v, %v", got, gate, err)
	}
	leave, err := gate.Enter(authserver.Urgent)
	if err != nil || connector.Gate("main").Inside() != 1 {
		t.Fatalf("%v", err)
	}
	leave()
	connector.Gate("main").Close(time.Second)
	var refused *authserver.Error
	if _, err := gate.Enter(authserver.Routine); !errors.As(err, &refused) || !refused.Unsent ||
		refused.RetryAfter != time.Second {
		t.Errorf("%v", err)
	}
	connector.Gate("main").Open()
	if _, err := gate.Enter(authserver.Routine); err != nil {
		t.Error(err)
	}
	if connector.Gate("main").Entered(authserver.Urgent) != 1 || len(connector.Configs()) != 2 {
		t.Errorf("%d entered, %d configs", connector.Gate("main").Entered(authserver.Urgent), len(connector.Configs()))
	}
}
