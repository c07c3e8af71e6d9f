// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"net/http"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// masks are how servers show a secret: hidden, hashed, and one that is neither.
var masks = []string{
	"********", "****abcd", "ab****", "xxxxxxxx", "{bcrypt}$2a$10$N9qo8uLOickgx2ZMRZoMye", "{noop}secret",
	"$2b$12$KIXaQ", "$argon2id$v=19$m=65536", "b109f3bbbc244eb82441917ed06d618b9008dd09",
	"••••••••", "abcd…", "не показан", "hidden\n",
}

func confidentialHandle(t *testing.T, server *Server) authserver.Handle {
	t.Helper()
	client, err := server.Register(t.Context(), contract.Confidential())
	if err != nil {
		t.Fatal(err)
	}
	return contract.HandleOf(t, server, client)
}

func tokenCalls(w *world) int { return len(w.sent(http.MethodPost, "/token")) }

func TestASecretThatIsReadCountsOnlyWhereItIsAccepted(t *testing.T) {
	for _, shown := range masks {
		t.Run(shown, func(t *testing.T) {
			w := newWorld(t)
			server := w.connect(t)
			handle := confidentialHandle(t, server)
			w.answer = func(d map[string]any) { d["client_secret"] = shown }
			for name, ask := range map[string]func(authserver.Handle) (authserver.Client, error){
				"find": func(h authserver.Handle) (authserver.Client, error) {
					client, _, err := server.Find(t.Context(), h)
					return client, err
				},
				"replace": func(h authserver.Handle) (authserver.Client, error) {
					return server.Replace(t.Context(), h, contract.Confidential())
				},
			} {
				got, err := ask(handle)
				if err != nil || !got.Secret.Equal(handle.ClientSecret) || got.SecretDoubtful {
					t.Errorf("%s: %v, doubtful %t", name, err, got.SecretDoubtful)
				}
				outdated := handle
				outdated.ClientSecret = authserver.NewSecret("outdated")
				if got, err = ask(outdated); err != nil || !got.Secret.IsZero() || !got.SecretDoubtful {
					t.Errorf("%s, neither is accepted: %v, doubtful %t", name, err, got.SecretDoubtful)
				}
				outdated.ClientSecret = authserver.NewSecret(masks[0])
				if got, err = ask(outdated); err != nil || !got.Secret.IsZero() || !got.SecretDoubtful {
					t.Errorf("%s, a mask is on record: %v, doubtful %t", name, err, got.SecretDoubtful)
				}
			}
		})
	}
}

func TestASecretThatAgreesCostsNothing(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	handle := confidentialHandle(t, server)
	for _, change := range []func(map[string]any){nil, func(d map[string]any) { delete(d, "client_secret") }} {
		w.answer = change
		if _, _, err := server.Find(t.Context(), handle); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Replace(t.Context(), handle, contract.Confidential()); err != nil {
			t.Fatal(err)
		}
	}
	if n := tokenCalls(w); n != 0 {
		t.Errorf("%d calls of the token endpoint", n)
	}
}

func TestARenewedSecretIsTakenAfterOneCall(t *testing.T) {
	for name, ask := range map[string]func(*testing.T, *Server, authserver.Handle) authserver.Client{
		"read": func(t *testing.T, s *Server, h authserver.Handle) authserver.Client {
			t.Helper()
			client, _, err := s.Find(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			return client
		},
		"written": func(t *testing.T, s *Server, h authserver.Handle) authserver.Client {
			t.Helper()
			client, err := s.Replace(t.Context(), h, contract.Confidential())
			if err != nil {
				t.Fatal(err)
			}
			return client
		},
	} {
		w := newWorld(t)
		server := w.connect(t)
		handle := confidentialHandle(t, server)
		renewed := "renewed-secret"
		w.mu.Lock()
		w.clients[handle.ClientID].secret = renewed
		w.mu.Unlock()
		if got := ask(t, server, handle); got.Secret.Reveal() != renewed || got.SecretDoubtful || tokenCalls(w) != 1 {
			t.Errorf("%s: doubtful %t, %d calls", name, got.SecretDoubtful, tokenCalls(w))
		}
	}
}

func TestATokenEndpointThatDoesNotSayLeavesTheSecretDoubtful(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>"))
		},
		"nothing":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"502":            func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"another object": func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]any{"status": "ok"}) },
		"another word": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 400, map[string]any{"error": "invalid_request"})
		},
	} {
		w := newWorld(t)
		server := w.connect(t)
		handle := confidentialHandle(t, server)
		w.token, w.answer = answer, func(d map[string]any) { d["client_secret"] = "another" }
		got, found, err := server.Find(t.Context(), handle)
		if err != nil || !found || !got.Secret.IsZero() || !got.SecretDoubtful {
			t.Errorf("%s: read: %v, doubtful %t", name, err, got.SecretDoubtful)
		}
		// A write may have renewed it: what it says is all there is.
		got, err = server.Replace(t.Context(), handle, contract.Confidential())
		if err != nil || got.Secret.Reveal() != "another" || !got.SecretDoubtful {
			t.Errorf("%s: written: %v, doubtful %t", name, err, got.SecretDoubtful)
		}
	}
}

// TestT20AMaskedSecretNeverWitnesses is the whole way of fault A6: a mask is
// read, later the management token is refused while the client lives.
func TestT20AMaskedSecretNeverWitnesses(t *testing.T) {
	for _, shown := range masks {
		w := newWorld(t)
		server := w.connect(t)
		handle := confidentialHandle(t, server)
		w.answer = func(d map[string]any) { d["client_secret"] = shown }
		found, _, err := server.Find(t.Context(), handle)
		if err != nil {
			t.Fatal(err)
		}
		if !found.Secret.IsZero() {
			handle.ClientSecret = found.Secret
		}
		handle.Uncertain = found.SecretDoubtful
		handle.ManagementToken = authserver.NewSecret("outdated")
		if _, _, err := server.Find(t.Context(), handle); err == nil {
			t.Errorf("%s: a live client is proven gone", shown)
		}
	}
}

func TestASecretThatTheClientDoesNotUse(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	w.answer = func(d map[string]any) { d["client_secret"] = "issued" }
	client, err := server.Register(t.Context(), contract.Wish())
	if err != nil {
		t.Fatal(err)
	}
	handle := contract.HandleOf(t, server, client)
	handle.AuthMethod = methodNone
	if found, _, err := server.Find(t.Context(), handle); err != nil || found.Secret.IsZero() {
		t.Errorf("a secret of a public client is for the rules to see: %v", err)
	}
	handle.AuthMethod = methodKey
	if found, _, err := server.Find(t.Context(), handle); err != nil || !found.Secret.IsZero() || found.SecretDoubtful {
		t.Errorf("a secret beside a key: %v", err)
	}
	if n := tokenCalls(w); n != 0 {
		t.Errorf("%d calls of the token endpoint", n)
	}
}
