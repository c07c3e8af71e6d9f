// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

func document(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

func TestRegisterSendsEverythingExplicitly(t *testing.T) {
	w := newWorld(t)
	wish := contract.Confidential()
	wish.ApplicationType = "Web"
	wish.JWKS = "{\"keys\": []}"
	if _, err := w.connect(t).Register(t.Context(), wish); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"client_name": "weather (7f3a)", "software_id": "mcp-registrar/cluster", "software_version": "7f3a",
		"application_type": "web", "grant_types": []any{"client_credentials"}, "response_types": []any{},
		"scope": "forecast.read alerts.read", "token_endpoint_auth_method": "client_secret_basic",
		"jwks": map[string]any{"keys": []any{}}, "contacts": []any{"team@weather.example"},
	}
	if diff := cmp.Diff(want, document(t, w.sent("POST", "/register")[0].body)); diff != "" {
		t.Error(diff)
	}
}

func TestReplaceSendsTheIDAndNoSecret(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	client, err := server.Register(t.Context(), contract.Confidential())
	if err != nil {
		t.Fatal(err)
	}
	wish := contract.Confidential()
	wish.Scopes = nil
	if _, err := server.Replace(t.Context(), contract.HandleOf(t, server, client), wish); err != nil {
		t.Fatal(err)
	}
	put := w.requests[len(w.requests)-1]
	members := document(t, put.body)
	if members["client_id"] != client.ID || members["scope"] != "" {
		t.Errorf("sent %v", members)
	}
	for _, name := range []string{
		"client_secret", "registration_access_token", "registration_client_uri",
		"client_secret_expires_at", "client_id_issued_at",
	} {
		if _, present := members[name]; present {
			t.Errorf("%s is sent", name)
		}
	}
}

func TestT3EachCredentialGoesToItsEndpointOnly(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	client, err := server.Register(t.Context(), contract.Confidential())
	if err != nil {
		t.Fatal(err)
	}
	handle := contract.HandleOf(t, server, client)
	for range 2 {
		if err := server.Revoke(t.Context(), handle); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range w.requests {
		text := r.path + string(r.body) + r.authorization
		places := map[string]bool{
			initialToken:                    r.method == "POST" && strings.HasSuffix(r.path, "/register"),
			client.ManagementToken.Reveal(): r.method == "DELETE",
		}
		for secret, allowed := range places {
			if strings.Contains(text, secret) != allowed {
				t.Errorf("%s %s: credential there %t, want %t", r.method, r.path, !allowed, allowed)
			}
		}
	}
}

func TestT3AForeignManagementURIIsNeverContacted(t *testing.T) {
	other := newWorld(t)
	w := newWorld(t)
	server := w.connect(t)
	w.answer = func(document map[string]any) { document["registration_client_uri"] = other.URL + "/register/x" }
	_, err := server.Register(t.Context(), contract.Wish())
	if failure := wantError(t, err, authserver.Rejected, CodeForeignManagementURI); !failure.MaybeApplied {
		t.Error("the client was registered all the same")
	}
	handle := authserver.Handle{
		ClientID: "x", ManagementURI: other.URL + "/register/x", ManagementToken: authserver.NewSecret("token"),
		TokenEndpoint: other.URL + "/token", AuthMethod: methodNone,
	}
	wantError(t, server.Revoke(t.Context(), handle), authserver.Rejected, CodeForeignManagementURI)
	_, _, err = server.Find(t.Context(), handle)
	wantError(t, err, authserver.Rejected, CodeForeignManagementURI)
	_, err = server.Replace(t.Context(), handle, contract.Wish())
	wantError(t, err, authserver.Rejected, CodeForeignManagementURI)
	if len(other.requests) != 0 {
		t.Errorf("contacted: %v", other.requests)
	}
}

func TestAnswersThatAreNotWhatTheRFCSays(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"no client id":               func(d map[string]any) { delete(d, "client_id") },
		"an empty client id":         func(d map[string]any) { d["client_id"] = "" },
		"a client id of wrong type":  func(d map[string]any) { d["client_id"] = 7.5 },
		"a client id with a newline": func(d map[string]any) { d["client_id"] = "a\nb" },
		"a token with a newline":     func(d map[string]any) { d["registration_access_token"] = "a\r\nX: y" },
		"a secret outside ASCII":     func(d map[string]any) { d["client_secret"] = "ä" },
		"scope as a list of numbers": func(d map[string]any) { d["scope"] = []int{7} },
		"grant types as a text":      func(d map[string]any) { d["grant_types"] = "authorization_code" },
		"an expiry as a text":        func(d map[string]any) { d["client_secret_expires_at"] = "never" },
		"an expiry beyond all years": func(d map[string]any) { d["client_secret_expires_at"] = int64(1) << 60 },
		"an expiry before 1970":      func(d map[string]any) { d["client_secret_expires_at"] = -5 },
		"jwks as a text":             func(d map[string]any) { d["jwks"] = "{}" },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answer = change
			server := w.connect(t)
			client, err := server.Register(t.Context(), contract.Wish())
			if failure := wantError(t, err, authserver.Unavailable, exchange.CodeUndecodable); !failure.MaybeApplied {
				t.Error("the client was registered all the same")
			}
			if !client.Named() {
				t.Error("the answer says how to undo it")
			}
			handle := authserver.Handle{ManagementURI: client.ManagementURI, ManagementToken: client.ManagementToken}
			err = server.Revoke(t.Context(), handle)
			if undone := err == nil && len(w.live()) == 0; undone != (name != "a token with a newline") {
				t.Errorf("undone %t: %v", undone, err)
			}
		})
	}
}

func TestWhatAnAnswerLeavesOut(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	w.answer = func(document map[string]any) {
		id := document["client_id"]
		clear(document)
		document["client_id"], document["client_secret_expires_at"] = id, 0
	}
	client, err := server.Register(t.Context(), contract.Wish())
	if err != nil {
		t.Fatal(err)
	}
	want := contract.Wish()
	want.Name, want.SoftwareID, want.SoftwareVersion, want.Contacts = "", "", "", nil
	if diff := cmp.Diff(want, client.Registered); diff != "" {
		t.Error(diff)
	}
	if client.ManagementURI != "" || !client.ManagementToken.IsZero() || !client.SecretExpiresAt.IsZero() {
		t.Errorf("%+v", client)
	}
	handle := contract.HandleOf(t, server, client)
	wantError(t, server.Revoke(t.Context(), handle), authserver.Rejected, CodeManagementUnsupported)
	w.remove(client.ID)
	if err := server.Revoke(t.Context(), handle); err != nil {
		t.Errorf("a client that is gone, without management: %v", err)
	}
}

func TestWhatAnAnswerSays(t *testing.T) {
	w := newWorld(t)
	w.answer = func(document map[string]any) {
		document["client_secret"], document["client_secret_expires_at"] = "issued", 1795262400
		document["scope"], document["software_id"] = "", nil
		delete(document, "token_endpoint_auth_method")
		document["jwks"] = map[string]any{"keys": []any{}}
	}
	client, err := w.connect(t).Register(t.Context(), contract.Wish())
	if err != nil {
		t.Fatal(err)
	}
	if client.Registered.AuthMethod != methodBasic {
		t.Errorf("a secret without a method means %q", client.Registered.AuthMethod)
	}
	if client.Registered.Scopes == nil || len(client.Registered.Scopes) != 0 {
		t.Errorf("an empty scope is read as %v", client.Registered.Scopes)
	}
	if want := time.Unix(1795262400, 0); !client.SecretExpiresAt.Equal(want) {
		t.Errorf("the secret expires at %s", client.SecretExpiresAt)
	}
	if client.Registered.JWKS != "{\"keys\":[]}" {
		t.Errorf("jwks %s", client.Registered.JWKS)
	}
}

func TestAnotherClientInTheAnswerIsAConflict(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	client, err := server.Register(t.Context(), contract.Wish())
	if err != nil {
		t.Fatal(err)
	}
	handle := contract.HandleOf(t, server, client)
	w.answer = func(document map[string]any) { document["client_id"] = "another" }
	_, found, err := server.Find(t.Context(), handle)
	wantError(t, err, authserver.Conflict, exchange.CodeClientMismatch)
	if found {
		t.Error("found")
	}
	_, err = server.Replace(t.Context(), handle, contract.Wish())
	wantError(t, err, authserver.Conflict, exchange.CodeClientMismatch)
}

func TestWishesThatCannotBeSent(t *testing.T) {
	w := newWorld(t)
	server := w.connect(t)
	for _, keys := range [][2]string{{"{}", "https://keys.example"}, {"[]", ""}, {"\"{}\"", ""}, {"{", ""}} {
		wish := contract.Wish()
		wish.JWKS, wish.JWKSURI = keys[0], keys[1]
		_, err := server.Register(t.Context(), wish)
		if failure := wantError(t, err, authserver.Rejected, "invalid_client_metadata"); failure.MaybeApplied {
			t.Error("nothing was sent")
		}
	}
	if slices.ContainsFunc(w.requests, func(r seen) bool { return r.method == "POST" }) {
		t.Error("something was sent")
	}
}
