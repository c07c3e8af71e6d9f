// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package metadatadocument

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

const (
	mine   = base + "/mcpr-one"
	myPath = "/mcp/mcpr-one"
)

// ask sends a request to the host itself.
func (w *world) ask(t *testing.T, method, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "https://clients.example.com/", http.NoBody)
	r.RequestURI = target
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	answer := httptest.NewRecorder()
	w.host.ServeHTTP(answer, r)
	return answer
}

// want holds the status of a GET.
func (w *world) want(t *testing.T, what, target string, status int) {
	t.Helper()
	if got := w.ask(t, http.MethodGet, target).Code; got != status {
		t.Errorf("%s: status %d, want %d", what, got, status)
	}
}

// wish is a client whose owner is contract.Wish's.
func wish(id string) authserver.ClientMetadata {
	m := contract.Wish()
	m.ID, m.SoftwareVersion, m.Name = id, "7f3a", "weather [7f3a]"
	return m
}

// recorded is the document of a wish as it is on record.
func recorded(id string) authserver.Document {
	return authserver.Document{ID: id, Registered: kept(wish(id)), CopySeconds: 60}
}

func (w *world) register(t *testing.T, m authserver.ClientMetadata) authserver.Handle {
	t.Helper()
	if _, err := w.server.Register(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return authserver.Handle{ClientID: m.ID, Owner: m.SoftwareID}
}

func TestADocumentIsWhatTheDraftAsks(t *testing.T) {
	w := newWorld(t)
	w.register(t, wish(mine))
	got := w.ask(t, http.MethodGet, myPath)
	if got.Code != http.StatusOK {
		t.Fatalf("status %d", got.Code)
	}
	var document map[string]any
	if err := json.Unmarshal(got.Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"client_id": mine, "client_name": "weather", "application_type": "native",
		"redirect_uris": []any{"http://127.0.0.1/callback"}, "grant_types": []any{"authorization_code", "refresh_token"},
		"response_types": []any{"code"}, "token_endpoint_auth_method": "none", "scope": "forecast.read alerts.read",
	}
	if diff := cmp.Diff(want, document); diff != "" {
		t.Error(diff)
	}
	tag := got.Header().Get("ETag")
	wantHeader := http.Header{
		"Content-Type": {"application/json"}, "Cache-Control": {"max-age=60, must-revalidate"}, "Etag": {tag},
		"X-Content-Type-Options": {"nosniff"}, "Content-Length": {fmt.Sprint(got.Body.Len())},
	}
	if diff := cmp.Diff(wantHeader, got.Header()); diff != "" || !strings.HasPrefix(tag, `"`) {
		t.Error(diff, tag)
	}
	if head := w.ask(t, http.MethodHead, myPath); head.Code != http.StatusOK || !maps.EqualFunc(head.Header(), got.Header(), slices.Equal[[]string]) {
		t.Errorf("HEAD: %d %v", head.Code, head.Header())
	}
}

func TestAMachineHasItsKeysInTheDocument(t *testing.T) {
	w := newWorld(t)
	key := contract.NewKey(t)
	m := contract.Keyed(key)
	m.ID = mine
	w.register(t, m)
	body := w.ask(t, http.MethodGet, myPath).Body.String()
	for _, part := range []string{`"token_endpoint_auth_method":"private_key_jwt"`, `"jwks":{"keys":[{`, key.ID, `"redirect_uris":[]`, `"response_types":[]`} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
	if strings.Contains(body, `"d"`) || strings.Contains(body, "PRIVATE") {
		t.Errorf("a private key in %s", body)
	}
}

func TestACopyIsConfirmedByItsTag(t *testing.T) {
	w := newWorld(t)
	handle := w.register(t, wish(mine))
	tag := w.ask(t, http.MethodGet, myPath).Header().Get("ETag")
	for _, field := range []string{tag, "W/" + tag, "*", `"other", ` + tag, `"a",W/"b" ,` + tag + ` , "c"`} {
		got := w.ask(t, http.MethodGet, myPath, "If-None-Match", field)
		if got.Code != http.StatusNotModified || got.Body.Len() > 0 || got.Header().Get("ETag") != tag ||
			got.Header().Get("Cache-Control") != "max-age=60, must-revalidate" {
			t.Errorf("%s: %d %v", field, got.Code, got.Header())
		}
	}
	if got := w.ask(t, http.MethodGet, myPath, "If-None-Match", `"x"`, "If-None-Match", tag); got.Code != http.StatusNotModified {
		t.Errorf("two fields: %d", got.Code)
	}
	for _, field := range []string{"", `"other"`, strings.Trim(tag, `"`), "W/", `""`} {
		if got := w.ask(t, http.MethodGet, myPath, "If-None-Match", field); got.Code != http.StatusOK {
			t.Errorf("%q: %d", field, got.Code)
		}
	}
	other := wish(mine)
	other.Scopes = []string{"alerts.read"}
	if _, err := w.server.Replace(t.Context(), handle, other); err != nil {
		t.Fatal(err)
	}
	if got := w.ask(t, http.MethodGet, myPath, "If-None-Match", tag); got.Code != http.StatusOK || got.Header().Get("ETag") == tag {
		t.Errorf("another document: %d with the tag %s", got.Code, got.Header().Get("ETag"))
	}
	if err := w.server.Revoke(t.Context(), handle); err != nil {
		t.Fatal(err)
	}
	if got := w.ask(t, http.MethodGet, myPath, "If-None-Match", "*"); got.Code != http.StatusNotFound {
		t.Errorf("a revoked one: %d", got.Code)
	}
}

// TestEveryAbsenceLooksTheSame compares whole answers.
func TestEveryAbsenceLooksTheSame(t *testing.T) {
	w := newWorld(t).withRecord()
	now := w.times.now()
	for name, change := range map[string]func(*authserver.Document){
		"held":    func(d *authserver.Document) { d.Held = true },
		"pending": func(d *authserver.Document) { d.Pending = true },
		"ended":   func(d *authserver.Document) { d.Until = now },
		"broken":  func(d *authserver.Document) { d.Registered.JWKS = "{" },
		"secret":  func(d *authserver.Document) { d.Registered.AuthMethod = "client_secret_basic" },
		"served":  func(d *authserver.Document) { d.Until = now.Add(time.Second) },
		"revoked": func(*authserver.Document) {},
	} {
		document := recorded(base + "/" + name)
		change(&document)
		w.record.put(document)
	}
	owner := contract.Wish().SoftwareID
	if err := w.server.Revoke(t.Context(), authserver.Handle{ClientID: base + "/revoked", Owner: owner}); err != nil {
		t.Fatal(err)
	}
	w.want(t, "the one that is served", "/mcp/served", http.StatusOK)
	want := w.ask(t, http.MethodGet, "/never")
	if want.Code != http.StatusNotFound || want.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", want.Code, want.Header())
	}
	for _, target := range []string{
		"/", "*", "", "/mcp", "/mcp/", "/mcp/held", "/mcp/pending", "/mcp/ended", "/mcp/broken", "/mcp/secret", "/mcp/revoked",
		"/mcp/served/", "/mcp/served?", "/mcp/served?x=1", "/mcp//served", "//mcp/served", "/mcp/./served", "/mcp/x/../served",
		"/mcp/%73erved", "/%6dcp/served", "/mcp%2fserved", "/mcp/served%00", "/mcp/SERVED", "/mcp/served#", "/mcp/served;a",
		"https://clients.example.com/mcp/served", "mcp/served", "/healthz", "/metrics", "/debug/pprof/",
	} {
		wantSame(t, target, w.ask(t, http.MethodGet, target), want)
	}
	for _, method := range []string{
		http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, http.MethodTrace, http.MethodConnect, "get", "X",
	} {
		wantSame(t, method, w.ask(t, method, "/mcp/served"), want)
	}
}

func wantSame(t *testing.T, what string, got, want *httptest.ResponseRecorder) {
	t.Helper()
	if got.Code != want.Code || got.Body.String() != want.Body.String() || !maps.EqualFunc(got.Header(), want.Header(), slices.Equal[[]string]) {
		t.Errorf("%q: %d %v %s", what, got.Code, got.Header(), got.Body)
	}
}

func TestACopyIsGoodUntilTheEndAndNoLonger(t *testing.T) {
	w := newWorld(t).withRecord()
	document := recorded(mine)
	for _, c := range []struct {
		left    time.Duration
		control string
	}{
		{time.Hour, "max-age=60, must-revalidate"},
		{60 * time.Second, "max-age=60, must-revalidate"},
		{60*time.Second - 1, "max-age=59, must-revalidate"},
		{time.Nanosecond, "max-age=0, must-revalidate"},
	} {
		document.Until = w.times.now().Add(c.left)
		w.record.put(document)
		if got := w.ask(t, http.MethodGet, myPath); got.Code != http.StatusOK || got.Header().Get("Cache-Control") != c.control {
			t.Errorf("%s before the end: %d, %s", c.left, got.Code, got.Header().Get("Cache-Control"))
		}
	}
	for _, left := range []time.Duration{0, -1} {
		document.Until = w.times.now().Add(left)
		w.record.put(document)
		w.want(t, fmt.Sprintf("%s before the end", left), myPath, http.StatusNotFound)
	}
	document.CopySeconds, document.Until = 0, time.Time{}
	w.record.put(document)
	if got := w.ask(t, http.MethodGet, myPath).Header().Get("Cache-Control"); got != "max-age=0, must-revalidate" {
		t.Error(got)
	}
}

func TestNothingIsServedThatCannotBeKnown(t *testing.T) {
	w := newWorld(t).withRecord()
	w.record.put(recorded(mine))
	w.record.unknown = true
	want := w.ask(t, http.MethodGet, "/never")
	if want.Code != http.StatusServiceUnavailable || want.Header().Get("Retry-After") == "" || want.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", want.Code, want.Header())
	}
	wantSame(t, "one that is there", w.ask(t, http.MethodGet, myPath), want)
	w.record.unknown = false
	w.want(t, "when it is known", myPath, http.StatusOK)
	w.record.err = errors.New("no cache")
	w.want(t, "when it cannot be read", myPath, http.StatusServiceUnavailable)
}

func TestMoreThanTheHostBearsIsRefused(t *testing.T) {
	w := newWorld(t)
	w.host = NewHost(HostOptions{Now: w.times.now, PerSecond: 2, InFlight: 1})
	w.host.publish(myPath, recorded(mine))
	for i := range 4 {
		w.want(t, fmt.Sprintf("request %d at once", i), myPath, http.StatusOK)
	}
	refused := w.ask(t, http.MethodGet, myPath)
	if refused.Code != http.StatusTooManyRequests || refused.Header().Get("Retry-After") == "" || refused.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", refused.Code, refused.Header())
	}
	wantSame(t, "one that is not there", w.ask(t, http.MethodGet, "/never"), refused)
	w.times.pass(time.Second)
	w.want(t, "later", myPath, http.StatusOK)
	w.host.places <- struct{}{}
	wantSame(t, "beside another", w.ask(t, http.MethodGet, myPath), refused)
	<-w.host.places
	w.want(t, "alone", myPath, http.StatusOK)
}

// TestT11NoSecretIsInADocument registers a client with everything that must not
// come out.
func TestT11NoSecretIsInADocument(t *testing.T) {
	w := newWorld(t)
	m := wish(mine)
	m.Secret, m.Contacts = authserver.NewSecret(contract.Canary), []string{contract.Canary + "@example.com"}
	m.SoftwareID = "mcp-registrar/" + contract.Canary + "/uid"
	m.Audiences = []string{"https://" + contract.Canary + ".example.com"}
	w.register(t, m)
	got := w.ask(t, http.MethodGet, myPath)
	if text := fmt.Sprint(got.Header(), got.Body); got.Code != http.StatusOK || strings.Contains(text, contract.Canary) || strings.Contains(text, "7f3a") {
		t.Error(got.Code, text)
	}
}
