// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package threats

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
	"github.com/mcp-registrar/mcp-registrar/test/sandbox"
)

// heard is everything that was logged and put on the audit record.
type heard struct{ lines []string }

func (h *heard) Record(event audit.Event) {
	line, err := json.Marshal(event)
	h.lines = append(h.lines, string(line), fmt.Sprintf("%+v %v", event, err))
}

// TestT11NoSecretIsShown runs registrations from their beginning to their end, with
// every call failing once, and looks for what is secret of them in all that many
// people may read.
func TestT11NoSecretIsShown(t *testing.T) {
	as := fake.New("https://auth.example.com")
	as.Switch(func(s *fake.Switches) { s.RotateTokens = true })
	for _, op := range []fake.Operation{fake.Discover, fake.Register, fake.Replace, fake.Revoke, fake.Find} {
		as.Fail(fake.Fault{Operation: op, Err: &authserver.Error{Kind: authserver.Unavailable, Op: string(op), Status: 500}})
	}
	connector, said := fake.NewConnector(), &heard{}
	connector.Put("auth", as)
	ctx := logf.IntoContext(t.Context(), funcr.New(func(prefix, args string) { said.lines = append(said.lines, prefix+args) }, funcr.Options{Verbosity: 9}))
	s, err := sandbox.New(ctx, sandbox.Options{Connector: connector, Start: noon, Audit: said})
	if err != nil {
		t.Fatal(err)
	}
	good, its := furniture()
	keyed := good.DeepCopy()
	keyed.Name, keyed.Spec.TokenEndpointAuthMethod = "keyed", v1alpha1.AuthMethodPrivateKeyJWT
	grant := its[len(its)-1].DeepCopyObject().(*v1alpha1.ScopeGrant)
	grant.Name, grant.Spec.ClientRef.Name = "keyed", "keyed"
	if err := s.Put(ctx, append(its, good, keyed, grant)...); err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{}
	for _, step := range []func() error{
		func() error { return nil },
		func() error { return s.Annotate(ctx, good, v1alpha1.AnnotationExpiresAt, "2026-11-01T00:00:00Z") },
		func() error { return s.Remove(ctx, keyed) },
		func() error { return s.Annotate(ctx, good, v1alpha1.AnnotationExpiresAt, "2026-09-01T00:00:00Z") },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if err := s.RunFor(ctx, 10*time.Second); err != nil {
				t.Fatal(err)
			}
			collect(t, s, as, secrets)
			said.lines = append(said.lines, statuses(t, s)...)
		}
	}
	if live := as.Clients(); len(live) > 0 {
		t.Errorf("%d clients live in the end", len(live))
	}
	requireUnseen(t, said.lines, secrets)
}

// collect notes every value that is secret now.
func collect(t *testing.T, s *sandbox.Sandbox, as *fake.Server, secrets map[string]string) {
	t.Helper()
	for _, live := range as.Clients() {
		secrets[live.Secret.Reveal()], secrets[live.ManagementToken.Reveal()] = "client secret", "management token"
	}
	var held corev1.SecretList
	if err := s.List(t.Context(), &held); err != nil {
		t.Fatal(err)
	}
	for _, secret := range held.Items {
		for line := range strings.Lines(string(secret.Data[v1alpha1.SecretKeyPrivateKey])) {
			if !strings.HasPrefix(line, "-----") {
				secrets[strings.TrimSpace(line)] = "private key"
			}
		}
	}
	delete(secrets, "")
}

// statuses are the objects of all kinds as everybody may read them.
func statuses(t *testing.T, s *sandbox.Sandbox) []string {
	t.Helper()
	var regs v1alpha1.MCPClientRegistrationList
	var grants v1alpha1.ScopeGrantList
	var servers v1alpha1.AuthorizationServerList
	if err := s.List(t.Context(), &regs); err != nil {
		t.Fatal(err)
	}
	if err := s.List(t.Context(), &grants); err != nil {
		t.Fatal(err)
	}
	if err := s.List(t.Context(), &servers); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, list := range []any{regs, grants, servers} {
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(text))
	}
	return lines
}

func requireUnseen(t *testing.T, lines []string, secrets map[string]string) {
	t.Helper()
	kinds := map[string]int{}
	text := strings.Join(lines, "\n")
	for value, what := range secrets {
		kinds[what]++
		if strings.Contains(text, value) {
			t.Errorf("a %s is shown", what)
		}
	}
	t.Logf("looked for %v in %d bytes", kinds, len(text))
	for _, what := range []string{"client secret", "management token", "private key"} {
		if kinds[what] == 0 {
			t.Errorf("no %s came up: the test shows nothing", what)
		}
	}
	for _, part := range []string{"client.registered", "client.revoked", "Client registered"} {
		if !strings.Contains(text, part) {
			t.Errorf("nothing tells of %q: the test shows nothing", part)
		}
	}
}
