// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// TestContractWithTheDevelopmentServer runs the suite against a whole
// authorization server rather than one written for this package.
func TestContractWithTheDevelopmentServer(t *testing.T) {
	contract.Run(t, func(t *testing.T) contract.Subject {
		server, err := devas.New(devas.Options{InitialAccessToken: initialToken})
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Close() })
		adapter, err := New(authserver.Config{
			Issuer: server.Issuer(), InitialAccessToken: authserver.NewSecret(initialToken),
		}, Options{Now: time.Now, Timeout: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(adapter.Close)
		return developmentSubject(t, server, adapter)
	})
}

func developmentSubject(t *testing.T, server *devas.Server, adapter *Server) contract.Subject {
	switches := func(change func(*devas.Switches)) {
		current := server.Switches()
		change(&current)
		if err := server.Set(current); err != nil {
			t.Fatal(err)
		}
	}
	return contract.Subject{
		Server: adapter, Unsupported: []string{"JWKSURI"},
		Live: func() []string {
			var ids []string
			for _, client := range server.Clients() {
				ids = append(ids, client.ID)
			}
			return ids
		},
		Remove: func(id string) {
			if err := server.Remove(id); err != nil {
				t.Fatal(err)
			}
		},
		Rotate: func() {
			switches(func(s *devas.Switches) { s.RotateRegistrationToken = devas.RotateAlways })
		},
		Alter: func(alter func(authserver.ClientMetadata) authserver.ClientMetadata) {
			switches(func(s *devas.Switches) { asSwitches(s, alter(contract.Wish())) })
		},
		Fail: func(op contract.Operation, fault contract.Fault) {
			if err := server.Order(asFault(op, fault)); err != nil {
				t.Fatal(err)
			}
		},
	}
}

// asSwitches finds the switches that turn the suite's wish into altered.
func asSwitches(s *devas.Switches, altered authserver.ClientMetadata) {
	wish := contract.Wish()
	beyond := func(got, asked []string) string {
		for _, value := range got {
			if !slices.Contains(asked, value) {
				return value
			}
		}
		return ""
	}
	s.ExtraScope = beyond(altered.Scopes, wish.Scopes)
	s.ExtraRedirectURI = beyond(altered.RedirectURIs, wish.RedirectURIs)
	if len(altered.Scopes) < len(wish.Scopes) {
		s.OnlyScopes, s.OnlyGrantTypes = altered.Scopes, altered.GrantTypes
	}
}

func asFault(op contract.Operation, fault contract.Fault) devas.Fault {
	ordered := devas.Fault{
		Count: 1, Kind: devas.FaultStatus, Status: fault.Status, Error: fault.Code,
		Operation: map[contract.Operation]devas.Operation{
			contract.Discover: devas.Discovery, contract.Register: devas.Register, contract.Find: devas.Read,
			contract.Replace: devas.Replace, contract.Revoke: devas.Delete,
		}[op],
	}
	if fault.AfterWork {
		ordered.When = devas.After
	}
	if fault.RetryAfter > 0 {
		ordered.RetryAfter = strconv.Itoa(int(fault.RetryAfter.Seconds()))
	}
	if fault.AsDate {
		ordered.RetryAfter = time.Now().Add(fault.RetryAfter).UTC().Format(http.TimeFormat)
	}
	switch fault.Form {
	case contract.Refused:
		if ordered.Error == "" {
			ordered.Error = contract.Canary
		}
	case contract.Redirected:
		ordered.Kind, ordered.Location = devas.FaultRedirect, "http://127.0.0.1:1/"+contract.Canary
	case contract.Cut:
		ordered.Kind = devas.FaultTruncate
	case contract.Endless:
		ordered.Kind = devas.FaultLarge
	case contract.Silent:
		ordered.Kind = devas.FaultHang
	}
	return ordered
}

// TestAMaskIsSeenThroughAtAWholeServer holds fault A6 against a token endpoint that
// was not written for it.
func TestAMaskIsSeenThroughAtAWholeServer(t *testing.T) {
	as, err := devas.New(devas.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := as.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = as.Close() })
	server, err := New(authserver.Config{Issuer: as.Issuer()}, Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	if err := as.Set(devas.Switches{SecretMask: "********"}); err != nil {
		t.Fatal(err)
	}
	handle := confidentialHandle(t, server)
	found, _, err := server.Find(t.Context(), handle)
	if err != nil || !found.Secret.Equal(handle.ClientSecret) || found.SecretDoubtful {
		t.Errorf("the secret at hand is good: %v, doubtful %t", err, found.SecretDoubtful)
	}
	handle.ClientSecret = authserver.NewSecret("outdated")
	found, _, err = server.Find(t.Context(), handle)
	if err != nil || !found.Secret.IsZero() || !found.SecretDoubtful {
		t.Errorf("the secret at hand is outdated: %v, doubtful %t", err, found.SecretDoubtful)
	}
}
