// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

const (
	realm       = "tools"
	registrar   = "mcp-registrar"
	adminSecret = "admin-secret"
)

// world behaves as Keycloak 26 was seen to.
type world struct {
	*httptest.Server

	between *contract.Intermediary
	mu      sync.Mutex
	clients map[string]map[string]any
	// scopes are the internal ids of client scopes by name, bodies what they were made of.
	scopes map[string]string
	bodies map[string]map[string]any
	tokens map[string]time.Time
	faults map[contract.Operation][]contract.Fault
	sent   []string
	// taken is an internal id that a client scope of another realm has.
	taken string
	// told is how many bytes were answered.
	told    int
	fetched int
	// life is expires_in of admin tokens.
	life time.Duration
	// ahead is by how much the clock is ahead.
	ahead time.Duration
	// role is what the register's account may do: "manage", "view", "query" or
	// nothing.
	role string
	// secret is the one that the register's own client has.
	secret string
	// careless answers a lookup with every client.
	careless bool
	// refuse is a status for the token endpoint.
	refuse int
	// mask is shown in place of secrets.
	mask string
	// chosen takes the place of secrets that are sent.
	chosen string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		clients: map[string]map[string]any{}, bodies: map[string]map[string]any{}, scopes: map[string]string{"profile": "id-profile", "offline_access": "id-offline"},
		tokens: map[string]time.Time{}, faults: map[contract.Operation][]contract.Fault{},
		life: 5 * time.Minute, role: "manage", secret: adminSecret,
	}
	for _, id := range []string{"account", "realm-management", registrar} {
		w.add(map[string]any{"clientId": id, "secret": adminSecret, "name": "${client_" + id + "}"})
	}
	w.between = &contract.Intermediary{Next: w, StepOf: w.stepOf}
	w.Server = httptest.NewServer(w.between)
	t.Cleanup(w.Close)
	return w
}

func (w *world) issuer() string { return w.URL + "/realms/" + realm }

func (w *world) connect(t testing.TB, options Options) *Server {
	t.Helper()
	if options.Now == nil {
		options.Now = time.Now
	}
	options.Timeout, options.PageSize = 2*time.Second, 3
	server, err := New(authserver.Config{
		Issuer: w.issuer(), BaseURL: w.URL + "/", Realm: realm, MaxInFlight: 8, AssertionIssuer: "cluster",
		AdminID: registrar, AdminPassword: authserver.NewSecret(adminSecret),
	}, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func (w *world) subject(t *testing.T) contract.Subject {
	return contract.Subject{
		Server: w.connect(t, Options{}), PageSize: 3, Live: w.live,
		Remove: func(id string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.clients, id)
		},
		Fail: w.fail,
		Stranger: func(id string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.add(map[string]any{"clientId": id, "name": "a stranger's"})
		},
		Token: w.grants, Stand: w.stand, Scopes: w.scopeNames,
	}
}

// stepOf says what a request of the admin API is for. What Disable sends differs
// from what Replace does in its body alone, so that both are Replace.
func (w *world) stepOf(r *http.Request) contract.Operation {
	path, admin := strings.CutPrefix(r.URL.Path, "/admin/realms/"+realm)
	switch {
	case strings.HasPrefix(r.URL.Path, "/.well-known/"):
		return contract.Discover
	case !admin:
		return contract.Token
	case path == "/clients" && r.URL.Query().Has("clientId"):
		return contract.Find
	case path == "/clients" && r.URL.RawQuery == "max=1":
		return contract.Access
	case path == "/clients" && r.Method == http.MethodGet:
		return contract.List
	case path == "/client-scopes" && r.Method == http.MethodGet:
		return contract.Tidy
	case strings.HasPrefix(path, "/client-scopes"), strings.Contains(path, "-client-scopes"):
		return ""
	case path == "/clients":
		return contract.Register
	case r.Method == http.MethodPut:
		return contract.Replace
	case r.Method == http.MethodDelete:
		return contract.Revoke
	}
	return ""
}

func (w *world) stand(stance *contract.Stance, hides bool, steps ...contract.Operation) bool {
	if stance == nil {
		w.between.Stand(nil, false)
		return true
	}
	if slices.Contains(steps, contract.Disable) {
		steps = append(steps, contract.Replace)
	}
	w.between.Stand(stance, hides, steps...)
	return true
}

func (w *world) live() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Collect(maps.Keys(w.clients)), func(id string) bool {
		return slices.Contains([]string{"account", "realm-management", registrar}, id)
	})
}

// fail orders a fault, and once more for a request that the adapter repeats.
func (w *world) fail(op contract.Operation, fault contract.Fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults[op] = append(w.faults[op], fault)
	if fault.Status == http.StatusUnauthorized && op != contract.Discover || fault.Form == contract.Endless && op == contract.List {
		w.faults[op] = append(w.faults[op], fault)
	}
}

func (w *world) ServeHTTP(response http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	response.Header()["Date"] = nil // Keycloak does not say it either
	response = counting{response, &w.told}
	w.sent = append(w.sent, r.Method+" "+r.URL.RequestURI())
	op, handle := w.route(r, raw)
	if faults := w.faults[op]; len(faults) > 0 {
		w.faults[op] = faults[1:]
		if faults[0].AfterWork {
			handle(httptest.NewRecorder())
		}
		w.disturb(response, r, faults[0])
		return
	}
	handle(response)
}

func (w *world) route(r *http.Request, raw []byte) (contract.Operation, func(http.ResponseWriter)) {
	path, admin := strings.CutPrefix(r.URL.Path, "/admin/realms/"+realm)
	var body map[string]any
	_ = json.Unmarshal(raw, &body)
	query := r.URL.Query()
	if !admin {
		return w.public(r, raw)
	}
	if until, known := w.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]; !known || time.Now().After(until) {
		return "", said(http.StatusUnauthorized, map[string]any{"error": "HTTP 401 Unauthorized"})
	}
	if w.role == "" || r.Method != http.MethodGet && w.role != "manage" {
		return "", said(http.StatusForbidden, map[string]any{"error": "HTTP 403 Forbidden"})
	}
	uuid, tail, _ := strings.Cut(strings.TrimPrefix(path, "/clients/"), "/")
	switch {
	case path == "/clients" && r.Method == http.MethodPost:
		return contract.Register, func(out http.ResponseWriter) { w.create(out, body) }
	case path == "/clients" && query.Has("clientId"):
		return contract.Find, func(out http.ResponseWriter) { w.look(out, query.Get("clientId")) }
	case path == "/clients" && r.URL.RawQuery == "max=1":
		return contract.Access, func(out http.ResponseWriter) { w.list(out, query) }
	case path == "/clients":
		return contract.List, func(out http.ResponseWriter) { w.list(out, query) }
	case path == "/client-scopes" && r.Method == http.MethodGet:
		return contract.Tidy, func(out http.ResponseWriter) { w.clientScopes(out, r.Method, body) }
	case path == "/client-scopes":
		return "", func(out http.ResponseWriter) { w.clientScopes(out, r.Method, body) }
	case strings.HasPrefix(path, "/client-scopes/"):
		return "", func(out http.ResponseWriter) {
			w.clientScope(out, r.Method, strings.TrimPrefix(path, "/client-scopes/"))
		}
	case tail != "":
		return "", func(out http.ResponseWriter) { w.assign(out, r.Method, uuid, tail) }
	case r.Method == http.MethodDelete:
		return contract.Revoke, func(out http.ResponseWriter) { w.remove(out, uuid) }
	case body["protocol"] == nil:
		return contract.Disable, func(out http.ResponseWriter) { w.update(out, uuid, body) }
	}
	return contract.Replace, func(out http.ResponseWriter) { w.update(out, uuid, body) }
}

func (w *world) public(r *http.Request, raw []byte) (contract.Operation, func(http.ResponseWriter)) {
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server/realms/" + realm:
		return contract.Discover, said(http.StatusOK, map[string]any{
			"issuer": w.issuer(), "token_endpoint": w.issuer() + "/protocol/openid-connect/token",
			"code_challenge_methods_supported": []string{"plain", "S256"},
		})
	case "/realms/" + realm + "/protocol/openid-connect/token":
		return "", func(out http.ResponseWriter) { w.issue(out, r, string(raw)) }
	}
	return "", said(http.StatusNotFound, map[string]any{"error": "Realm not found."})
}

func (w *world) issue(out http.ResponseWriter, r *http.Request, form string) {
	id, secret, _ := r.BasicAuth()
	switch {
	case w.refuse != 0:
		said(w.refuse, map[string]any{"error": "server_error"})(out)
	case id != registrar && w.good(authserver.Handle{ClientID: id, ClientSecret: authserver.NewSecret(secret)}):
		said(http.StatusOK, map[string]any{"access_token": rand.Text(), "expires_in": 300})(out)
	case id != registrar || secret != w.secret || form != "grant_type=client_credentials":
		said(http.StatusUnauthorized, map[string]any{"error": "unauthorized_client", "error_description": contract.Canary})(out)
	default:
		w.fetched++
		claims := fmt.Sprintf(`{"iat":%d}`, time.Now().Add(w.ahead).Unix())
		token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "." + rand.Text()
		w.tokens[token] = time.Now().Add(w.life)
		said(http.StatusOK, map[string]any{"access_token": token, "expires_in": int(w.life.Seconds())})(out)
	}
}

func (w *world) disturb(out http.ResponseWriter, r *http.Request, fault contract.Fault) {
	switch fault.Form {
	case contract.Silent:
		w.mu.Unlock()
		<-r.Context().Done()
		w.mu.Lock()
	case contract.Redirected:
		http.Redirect(out, r, "http://127.0.0.1:1/elsewhere?"+contract.Canary, fault.Status)
	case contract.Cut:
		out.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(out, `[{"clientId": "`+contract.Canary)
	case contract.Endless:
		_, _ = io.WriteString(out, `[{"clientId": "`+contract.Canary+strings.Repeat("x", 5<<20)+`"}]`)
	case contract.Refused:
		if fault.RetryAfter > 0 && fault.AsDate {
			out.Header().Set("Retry-After", time.Now().Add(fault.RetryAfter).UTC().Format(http.TimeFormat))
		} else if fault.RetryAfter > 0 {
			out.Header().Set("Retry-After", strconv.Itoa(int(fault.RetryAfter.Seconds())))
		}
		said(fault.Status, map[string]any{"error": fault.Code, "errorMessage": contract.Canary})(out)
	}
}

func said(status int, document any) func(http.ResponseWriter) {
	return func(out http.ResponseWriter) {
		out.Header().Set("Content-Type", "application/json")
		out.WriteHeader(status)
		if document != nil {
			_ = json.NewEncoder(out).Encode(document)
		}
	}
}

// grants says what the token endpoint would to another client than the register's:
// it looks at the client's state alone.
func (w *world) grants(_ *testing.T, handle authserver.Handle) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.good(handle)
}

func (w *world) good(handle authserver.Handle) bool {
	client := w.clients[handle.ClientID]
	if client == nil || client["enabled"] != true || client["serviceAccountsEnabled"] != true || client["publicClient"] == true {
		return false
	}
	if client["clientAuthenticatorType"] == "client-jwt" {
		keys, _ := client["attributes"].(map[string]any)["jwks.string"].(string)
		return handle.KeyID != "" && strings.Contains(keys, handle.KeyID)
	}
	return client["secret"] == handle.ClientSecret.Reveal()
}

// add makes a client with what Keycloak fills in.
func (w *world) add(body map[string]any) map[string]any {
	client := map[string]any{
		"id": rand.Text(), "enabled": true, "protocol": protocol, "clientAuthenticatorType": "client-secret",
		"directAccessGrantsEnabled": true, "standardFlowEnabled": true, "fullScopeAllowed": true,
		"redirectUris": []any{}, "webOrigins": []any{}, "notBefore": 0.0,
		"defaultClientScopes": []any{"profile"}, "optionalClientScopes": []any{"offline_access"},
	}
	if body["rootUrl"] == "" {
		client["redirectUris"] = []any{"/*"}
	}
	id, _ := body["clientId"].(string)
	w.clients[id] = client
	w.merge(client, body)
	if names, given := body["optionalClientScopes"].([]any); given {
		client["defaultClientScopes"] = []any{}
		client["optionalClientScopes"] = slices.DeleteFunc(slices.Clone(names), func(name any) bool {
			return w.scopes[fmt.Sprint(name)] == ""
		})
	}
	if client["serviceAccountsEnabled"] == true {
		defaults, _ := client["defaultClientScopes"].([]any)
		client["defaultClientScopes"] = append(defaults, "service_account")
	}
	if client["publicClient"] != true && client["secret"] == nil {
		client["secret"] = rand.Text()
	}
	return client
}

// merge is what PUT does: it keeps what is not named, attributes one by one,
// and the client scopes whatever is named.
func (w *world) merge(client, body map[string]any) {
	attributes := map[string]any{"realm_client": "false"}
	if old, given := client["attributes"].(map[string]any); given {
		attributes = old
	}
	for name, value := range body {
		switch name {
		case "defaultClientScopes", "optionalClientScopes":
		case "attributes":
			for key, value := range value.(map[string]any) {
				if attributes[key] = value; value == nil || value == "" {
					delete(attributes, key)
				}
			}
		default:
			client[name] = value
		}
	}
	client["attributes"] = attributes
}

func (w *world) create(out http.ResponseWriter, body map[string]any) {
	id, _ := body["clientId"].(string)
	if w.clients[id] != nil {
		said(http.StatusConflict, map[string]any{"errorMessage": "Client " + id + " already exists"})(out)
		return
	}
	client := w.add(body)
	if w.chosen != "" {
		client["secret"] = w.chosen
	}
	out.Header().Set("Location", w.URL+"/admin/realms/"+realm+"/clients/"+fmt.Sprint(client["id"]))
	said(http.StatusCreated, nil)(out)
}

func (w *world) look(out http.ResponseWriter, id string) {
	found := []any{}
	for _, known := range slices.Sorted(maps.Keys(w.clients)) {
		if w.role != "query" && (w.careless || known == id) {
			shown := maps.Clone(w.clients[known])
			if w.mask != "" && shown["secret"] != nil {
				shown["secret"] = w.mask
			}
			found = append(found, shown)
		}
	}
	said(http.StatusOK, found)(out)
}

func (w *world) list(out http.ResponseWriter, query url.Values) {
	ids := slices.Sorted(maps.Keys(w.clients))
	if w.role == "query" {
		ids = nil
	}
	first, _ := strconv.Atoi(query.Get("first"))
	size, _ := strconv.Atoi(query.Get("max"))
	page := []any{}
	for _, id := range ids[min(first, len(ids)):min(first+size, len(ids))] {
		shown := maps.Clone(w.clients[id])
		shown["access"] = map[string]any{"view": true, "configure": w.role == "manage", "manage": w.role == "manage"}
		page = append(page, shown)
	}
	said(http.StatusOK, page)(out)
}

func (w *world) byUUID(uuid string) map[string]any {
	for _, client := range w.clients {
		if client["id"] == uuid {
			return client
		}
	}
	return nil
}

func (w *world) update(out http.ResponseWriter, uuid string, body map[string]any) {
	client := w.byUUID(uuid)
	if client == nil {
		said(http.StatusNotFound, map[string]any{"error": "Could not find client"})(out)
		return
	}
	w.merge(client, body)
	said(http.StatusNoContent, nil)(out)
}

func (w *world) remove(out http.ResponseWriter, uuid string) {
	client := w.byUUID(uuid)
	if client == nil {
		said(http.StatusNotFound, map[string]any{"error": "Could not find client"})(out)
		return
	}
	delete(w.clients, fmt.Sprint(client["clientId"]))
	said(http.StatusNoContent, nil)(out)
}
