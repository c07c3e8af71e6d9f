// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

const (
	hydraClients = "/admin/clients"
	hydraTokens  = "/admin/oauth2/tokens"
)

func startHydra(t *testing.T) *fixture { return start(t, devas.Options{Hydra: true}) }

func (f *fixture) hydra(method, path string, body any) reply {
	f.Helper()
	if body == nil {
		return f.do(f.request(method, f.server.HydraURL()+path, "", "", ""))
	}
	return f.sendJSON(method, f.server.HydraURL()+path, "", body)
}

func hydraClient(over map[string]any) map[string]any {
	m := map[string]any{
		"client_id": "own-id", "client_secret": "own-secret", "client_name": "batch", "owner": "us",
		"metadata": map[string]any{"software_id": "us", "software_version": "v1"}, "scope": "read write",
		"grant_types": []string{"client_credentials"}, "token_endpoint_auth_method": "client_secret_basic",
		"audience": []string{resource}, "client_credentials_grant_access_token_lifespan": "90s",
	}
	maps.Copy(m, over)
	return m
}

func (f *fixture) made(over map[string]any) reply {
	f.Helper()
	r := f.hydra(http.MethodPost, hydraClients, hydraClient(over))
	if r.status != http.StatusCreated {
		f.Fatalf("making a client: %d %v", r.status, r.json)
	}
	return r
}

func TestHydraTakesAnIDAndASecretOfOnesOwn(t *testing.T) {
	f := startHydra(t)
	made := f.made(map[string]any{"software_id": "dropped", "unknown": "dropped"})
	if made.text("client_id") != "own-id" || made.text("client_secret") != "own-secret" || made.text("registration_access_token") == "" {
		t.Errorf("answer: %v", made.json)
	}
	read := f.hydra(http.MethodGet, hydraClients+"/own-id", nil)
	if read.status != http.StatusOK || read.text("owner") != "us" || read.text("client_credentials_grant_access_token_lifespan") != "1m30s" ||
		read.json["refresh_token_grant_access_token_lifespan"] != nil {
		t.Errorf("read: %d %v", read.status, read.json)
	}
	for _, name := range []string{"client_secret", "software_id", "unknown", "registration_access_token"} {
		if _, shown := read.json[name]; shown {
			t.Errorf("%s is shown", name)
		}
	}
	if clients := f.server.Clients(); len(clients) != 1 || clients[0].SoftwareID != "us" || clients[0].SoftwareVersion != "v1" {
		t.Errorf("clients: %+v", clients)
	}
	wantError(t, f.hydra(http.MethodPost, hydraClients, hydraClient(nil)), http.StatusConflict,
		"Unable to insert or update resource because a resource with that value exists already")
	if other := f.made(map[string]any{"client_id": nil, "client_secret": nil}); other.text("client_id") == "" || other.text("client_secret") == "" {
		t.Errorf("what is not chosen is made: %v", other.json)
	}
}

func TestHydraReplacesAllButTheSecret(t *testing.T) {
	f := startHydra(t)
	f.made(nil)
	own := credentials{"own-id", "own-secret"}
	replaced := f.hydra(http.MethodPut, hydraClients+"/own-id", map[string]any{
		"client_id": "another", "grant_types": []string{"client_credentials"}, "scope": "read",
	})
	if replaced.status != http.StatusOK || replaced.text("client_id") != "own-id" || replaced.text("owner") != "" ||
		len(replaced.json["metadata"].(map[string]any)) != 0 || replaced.json["client_credentials_grant_access_token_lifespan"] != nil ||
		len(replaced.json["audience"].([]any)) != 0 || replaced.text("token_endpoint_auth_method") != "client_secret_basic" {
		t.Errorf("replaced: %d %v", replaced.status, replaced.json)
	}
	if _, shown := replaced.json["client_secret"]; shown {
		t.Error("a secret that was not sent is shown")
	}
	if r := f.token(own, url.Values{"grant_type": {"client_credentials"}}); r.status != http.StatusOK {
		t.Errorf("the secret did not stay: %d %v", r.status, r.json)
	}
	changed := f.hydra(http.MethodPut, hydraClients+"/own-id", hydraClient(map[string]any{"client_secret": "new-secret"}))
	if changed.text("client_secret") != "new-secret" {
		t.Errorf("changed: %v", changed.json)
	}
	wantError(t, f.token(own, url.Values{"grant_type": {"client_credentials"}}), http.StatusUnauthorized, "invalid_client")
	if r := f.token(credentials{"own-id", "new-secret"}, url.Values{"grant_type": {"client_credentials"}}); r.status != http.StatusOK {
		t.Errorf("the new secret: %d %v", r.status, r.json)
	}
	wantError(t, f.hydra(http.MethodPut, hydraClients+"/nobody", hydraClient(nil)), http.StatusNotFound, "Unable to locate the resource")
	if len(f.server.Clients()) != 1 {
		t.Errorf("clients: %+v", f.server.Clients())
	}
}

func TestHydraRefusesInSentences(t *testing.T) {
	f := startHydra(t)
	for name, c := range map[string]struct {
		body any
		code string
	}{
		"a short secret":        {hydraClient(map[string]any{"client_secret": "short"}), "invalid_client_metadata"},
		"a key without keys":    {hydraClient(map[string]any{"token_endpoint_auth_method": "private_key_jwt"}), "invalid_client_metadata"},
		"a bad lifespan":        {hydraClient(map[string]any{"client_credentials_grant_access_token_lifespan": "soon"}), "The request was malformed or contained invalid parameters"},
		"scopes as a list":      {hydraClient(map[string]any{"scope": []string{"a"}}), "The request was malformed or contained invalid parameters"},
		"what is no client":     {[]string{}, "The request was malformed or contained invalid parameters"},
		"a lifespan in seconds": {hydraClient(map[string]any{"client_credentials_grant_access_token_lifespan": 90}), "The request was malformed or contained invalid parameters"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, f.hydra(http.MethodPost, hydraClients, c.body), http.StatusBadRequest, c.code)
		})
	}
	wantError(t, f.hydra(http.MethodGet, hydraClients+"/nobody", nil), http.StatusNotFound, "Unable to locate the resource")
	wantError(t, f.hydra(http.MethodDelete, hydraClients+"/nobody", nil), http.StatusNotFound, "Unable to locate the resource")
	wantError(t, f.hydra(http.MethodDelete, hydraTokens, nil), http.StatusBadRequest, "invalid_request")
	wantError(t, f.hydra(http.MethodGet, hydraClients+"?page_token=%25", nil), http.StatusBadRequest, "The request was malformed or contained invalid parameters")
	if r := f.hydra(http.MethodGet, "/clients/nobody", nil); r.status != http.StatusNotFound || r.json != nil {
		t.Errorf("a path that is not there: %d %v", r.status, r.json)
	}
	stored := f.made(map[string]any{"token_endpoint_auth_method": "tls_of_the_future"})
	if stored.text("token_endpoint_auth_method") != "tls_of_the_future" {
		t.Errorf("an unknown method is stored: %v", stored.json)
	}
	wantError(t, f.token(credentials{"own-id", "own-secret"}, url.Values{"grant_type": {"client_credentials"}}), http.StatusUnauthorized, "invalid_client")
}

func TestHydraTokensAreForTheAudienceAndTheLifespan(t *testing.T) {
	f := startHydra(t)
	f.made(nil)
	own := credentials{"own-id", "own-secret"}
	r := f.token(own, url.Values{"grant_type": {"client_credentials"}, "audience": {resource}, "resource": {"https://ignored.example"}})
	claims := f.verified(r.text("access_token"))
	if !slices.Equal(claims.Audience, []string{resource}) || claims.Scope != "read write" {
		t.Errorf("claims: %+v", claims)
	}
	if life := claims.Expiry.Time().Sub(claims.IssuedAt.Time()); life > 91*time.Second || life < 89*time.Second {
		t.Errorf("lives for %s", life)
	}
	if claims := f.verified(f.clientCredentials(own).text("access_token")); slices.Contains(claims.Audience, resource) {
		t.Errorf("resource is not ignored: %+v", claims)
	}
	wantError(t, f.token(own, url.Values{"grant_type": {"client_credentials"}, "audience": {"https://else.example"}}), http.StatusBadRequest, "invalid_request")
}

func TestHydraCodeFlowHasTheAudienceAndItsLifespans(t *testing.T) {
	f := startHydra(t)
	f.made(map[string]any{
		"client_secret": nil, "token_endpoint_auth_method": "none", "redirect_uris": []string{redirect},
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		"authorization_code_grant_access_token_lifespan": "2m", "refresh_token_grant_access_token_lifespan": "1m",
	})
	public := credentials{id: "own-id"}
	wantLife := func(r reply, want time.Duration) {
		t.Helper()
		claims := f.verified(r.text("access_token"))
		if life := claims.Expiry.Time().Sub(claims.IssuedAt.Time()).Round(10 * time.Second); life != want || !slices.Equal(claims.Audience, []string{resource}) {
			t.Errorf("lives for %s, for %v", life, claims.Audience)
		}
	}
	tokens := f.codeFlow(public, url.Values{"audience": {resource}})
	wantLife(tokens, 2*time.Minute)
	wantLife(f.token(public, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.text("refresh_token")}}), time.Minute)
}

func TestHydraTokensEndWithTheClient(t *testing.T) {
	f := startHydra(t)
	f.made(nil)
	f.made(map[string]any{"client_id": "witness"})
	own, witness := credentials{"own-id", "own-secret"}, credentials{"witness", "own-secret"}
	active := func(token string) bool { return f.introspect(witness, token).json["active"] == true }
	first := f.clientCredentials(own).text("access_token")
	others := f.clientCredentials(witness).text("access_token")
	if r := f.hydra(http.MethodDelete, hydraTokens+"?client_id=own-id", nil); r.status != http.StatusNoContent {
		t.Errorf("ending tokens: %d %v", r.status, r.json)
	}
	if active(first) || !active(others) {
		t.Error("the tokens of one client did not end, or those of another did")
	}
	second := f.clientCredentials(own).text("access_token")
	if r := f.hydra(http.MethodDelete, hydraClients+"/own-id", nil); r.status != http.StatusNoContent || !active(others) || active(second) {
		t.Errorf("deleting: %d, its token active %t", r.status, active(second))
	}
	f.made(nil)
	if active(second) {
		t.Error("the token of an earlier client of the same id is good again")
	}
	if r := f.hydra(http.MethodDelete, hydraTokens+"?client_id=nobody", nil); r.status != http.StatusNoContent {
		t.Errorf("ending the tokens of nobody: %d", r.status)
	}
}

var nextLink = regexp.MustCompile(`<([^>]*)>; rel="next"`)

// page reads one page of clients and returns the path of the next.
func (f *fixture) page(path string) (ids []string, next string) {
	f.Helper()
	resp, err := f.http.Do(f.request(http.MethodGet, f.server.HydraURL()+path, "", "", ""))
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	var clients []struct {
		ID string `json:"client_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&clients); err != nil {
		f.Fatal(err)
	}
	for _, client := range clients {
		ids = append(ids, client.ID)
	}
	if match := nextLink.FindStringSubmatch(resp.Header.Get("Link")); match != nil {
		next = match[1]
	}
	return ids, next
}

func TestHydraListsByPages(t *testing.T) {
	f := startHydra(t)
	for i := range 701 {
		f.made(map[string]any{"client_id": fmt.Sprintf("c-%03d", i), "owner": fmt.Sprintf("owner-%d", i%2), "client_name": fmt.Sprintf("name-%d", i%700)})
	}
	for query, want := range map[string][]int{
		"": {100, 100, 100, 100, 100, 100, 100, 1}, "?page_size=1000": {500, 201}, "?page_size=0": {100, 100, 100, 100, 100, 100, 100, 1},
		"?owner=owner-1&page_size=350": {350}, "?client_name=name-0": {2}, "?owner=nobody": {0},
	} {
		path, seen, sizes := hydraClients+query, map[string]bool{}, []int(nil)
		for path != "" {
			var ids []string
			ids, path = f.page(path)
			sizes = append(sizes, len(ids))
			for _, id := range ids {
				if seen[id] {
					t.Errorf("%s: %s twice", query, id)
				}
				seen[id] = true
			}
		}
		if !slices.Equal(sizes, want) {
			t.Errorf("%s: pages of %v, want %v", query, sizes, want)
		}
	}
	first, next := f.page(hydraClients)
	for _, id := range first {
		f.hydra(http.MethodDelete, hydraClients+"/"+id, nil)
	}
	if second, _ := f.page(next); second[0] != "c-100" {
		t.Errorf("after a deletion the next page begins with %s", second[0])
	}
}

func TestHydraHasNoDynamicRegistration(t *testing.T) {
	f := startHydra(t)
	if r := f.register(public(nil)); r.status != http.StatusNotFound {
		t.Errorf("registering: %d %v", r.status, r.json)
	}
	if r := f.get(f.server.Issuer()+"/register/own-id", "token"); r.status != http.StatusNotFound {
		t.Errorf("managing: %d %v", r.status, r.json)
	}
	if r := f.get(f.server.Issuer()+oauthPath, ""); r.status != http.StatusNotFound {
		t.Errorf("RFC 8414 metadata: %d", r.status)
	}
	metadata := f.get(f.server.Issuer()+"/.well-known/openid-configuration", "")
	if _, there := metadata.json["registration_endpoint"]; there || metadata.text("issuer") != f.server.Issuer() {
		t.Errorf("metadata: %v", metadata.json)
	}
	if r := f.do(f.request(http.MethodGet, f.server.Issuer()+hydraClients, "", "", "")); r.status != http.StatusNotFound {
		t.Errorf("the admin API at the issuer: %d", r.status)
	}
}

func TestHydraIsDisturbedCountedAndStopped(t *testing.T) {
	f := startHydra(t)
	f.made(nil)
	for _, fault := range []devas.Fault{
		{Operation: devas.List, Status: 503, RetryAfter: "7", Count: 1}, {Operation: devas.EndTokens, Status: 500, Count: 1},
		{Operation: devas.Delete, ClientID: "own-id", Status: 401, Count: 1},
	} {
		if err := f.server.Order(fault); err != nil {
			t.Fatal(err)
		}
	}
	if r := f.hydra(http.MethodGet, hydraClients, nil); r.status != 503 || r.header.Get("Retry-After") != "7" {
		t.Errorf("list: %d", r.status)
	}
	if r := f.hydra(http.MethodDelete, hydraTokens+"?client_id=x", nil); r.status != 500 {
		t.Errorf("tokens: %d", r.status)
	}
	if r := f.hydra(http.MethodDelete, hydraClients+"/own-id", nil); r.status != 401 || len(f.server.Clients()) != 1 {
		t.Errorf("delete: %d", r.status)
	}
	counts := f.server.Counts()
	if counts[devas.Register][201] != 1 || counts[devas.List][503] != 1 || counts[devas.EndTokens][500] != 1 || counts[devas.Delete][401] != 1 {
		t.Errorf("counts: %v", counts)
	}
	log := f.server.Log()
	if last := log[len(log)-1]; last.ClientID != "own-id" || last.Operation != devas.Delete || log[0].ClientID != "own-id" {
		t.Errorf("log: %+v", log)
	}
	before := f.server.HydraURL()
	if err := f.server.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.try(f.request(http.MethodGet, before+hydraClients, "", "", "")); err == nil {
		t.Error("the admin API answers while the server is stopped")
	}
	if err := f.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := f.hydra(http.MethodGet, hydraClients+"/own-id", nil); r.status != http.StatusOK || f.server.HydraURL() != before {
		t.Errorf("after the start: %d at %s", r.status, f.server.HydraURL())
	}
}

func TestHydraBendsAndAmends(t *testing.T) {
	f := startHydra(t)
	f.set(devas.Switches{ExtraScope: "admin", OnlyGrantTypes: []string{"client_credentials"}})
	if r := f.made(map[string]any{"grant_types": []string{"client_credentials", "authorization_code"}}); r.text("scope") != "read write admin" || len(r.json["grant_types"].([]any)) != 1 {
		t.Errorf("made: %v", r.json)
	}
	f.set(devas.Switches{})
	if err := f.server.Amend("own-id", map[string]any{"scope": "everything", "owner": "them"}); err != nil {
		t.Fatal(err)
	}
	r := f.hydra(http.MethodGet, hydraClients+"/own-id", nil)
	if r.text("scope") != "everything" || r.text("owner") != "them" || !strings.Contains(fmt.Sprint(r.json["audience"]), resource) {
		t.Errorf("amended: %v", r.json)
	}
	if got := f.token(credentials{"own-id", "own-secret"}, url.Values{"grant_type": {"client_credentials"}}); got.text("scope") != "everything" {
		t.Errorf("a token after the amendment: %d %v", got.status, got.json)
	}
}
