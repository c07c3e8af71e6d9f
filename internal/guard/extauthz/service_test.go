// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package extauthz

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/message"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// refusal is a denial as far as clients see it.
type refusal struct {
	status    int
	challenge string
	reason    string
	id        string
	code      int
}

func refusalOf(t *testing.T, answer *authv3.CheckResponse) refusal {
	t.Helper()
	response := answer.GetDeniedResponse()
	if response == nil || answer.GetStatus().GetCode() == int32(codes.OK) {
		t.Fatalf("not refused: %v", answer)
	}
	if err := response.ValidateAll(); err != nil {
		t.Error(err)
	}
	found := refusal{status: int(response.GetStatus().GetCode())}
	headers := map[string]string{}
	for _, option := range response.GetHeaders() {
		if option.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			t.Errorf("the header %s may be added to another", option.GetHeader().GetKey())
		}
		headers[option.GetHeader().GetKey()] = option.GetHeader().GetValue()
	}
	if headers["content-type"] != "application/json" || headers["cache-control"] != "no-store" {
		t.Errorf("headers %v", headers)
	}
	found.challenge = headers["www-authenticate"]
	var body struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   struct {
			Code    int
			Message string
			Data    struct{ Reason string }
		}
	}
	if err := json.Unmarshal([]byte(response.GetBody()), &body); err != nil {
		t.Fatalf("%v: %s", err, response.GetBody())
	}
	if body.Version != "2.0" || body.Error.Code >= 0 || body.Error.Message == "" {
		t.Errorf("the body is %s", response.GetBody())
	}
	found.reason, found.id, found.code = body.Error.Data.Reason, string(body.ID), body.Error.Code
	return found
}

func TestAnAllowedCallPassesWithoutItsToken(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	asked := post("good", "balance")
	asked.Headers["traceparent"] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	answer := s.ask(t, asked, nil)
	if answer.GetStatus().GetCode() != int32(codes.OK) {
		t.Fatalf("refused: %v", answer)
	}
	if diff := cmp.Diff(append(message.Overriding(), "authorization"), answer.GetOkResponse().GetHeadersToRemove()); diff != "" {
		t.Error(diff)
	}
	request, verdict := s.decisions.last(t)
	if request.Message.Tool != "balance" || request.TraceParent != asked.Headers["traceparent"] || !request.ReceivedAt.Equal(noon) ||
		verdict.Decision.Scope != "ledger:read" {
		t.Errorf("recorded %+v: %+v", request, verdict)
	}
}

// Some servers take an underscore for a hyphen: no header that the guard has not looked at
// reaches them in place of one that it has.
func TestHeadersByAnotherSpellingAreTakenAway(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	asked := post("good", "balance")
	for _, name := range []string{"mcp_session_id", "X_Forwarded_For", "mcp-param-my_key", "x-http-method", "x-other"} {
		asked.Headers[name] = "1"
	}
	for i := range 5000 {
		asked.Headers["x_"+strconv.Itoa(i)] = "1"
	}
	begun := time.Now()
	removed := s.ask(t, asked, nil).GetOkResponse().GetHeadersToRemove()
	if took := time.Since(begun); len(removed) != len(message.Overriding())+5003 || took > 5*time.Second {
		t.Errorf("%d are removed, in %s", len(removed), took)
	}
	for name, want := range map[string]int{"mcp_session_id": 1, "x_forwarded_for": 1, "x_4999": 1, "x-http-method": 1, "mcp-param-my_key": 0, "x-other": 0} {
		if got := len(slices.DeleteFunc(slices.Clone(removed), func(n string) bool { return n != name })); got != want {
			t.Errorf("%s is removed %d times, want %d", name, got, want)
		}
	}
}

func TestATokenIsPassedOnWhereConfigured(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(o *Options) {
		o.PassToken = func(name guard.ServerName) bool { return name.Name == "ledger" }
	})
	if removed := s.ask(t, post("good", "balance"), nil).GetOkResponse().GetHeadersToRemove(); slices.Contains(removed, "authorization") {
		t.Errorf("removed %v", removed)
	}
}

// change changes a request that would be allowed.
type change = func(*authv3.AttributeContext_HttpRequest)

func body(text string) change {
	return func(r *authv3.AttributeContext_HttpRequest) { r.RawBody = []byte(text) }
}

func field(key, value string) change {
	return func(r *authv3.AttributeContext_HttpRequest) { r.Headers[key] = value }
}

func bearerOf(raw string) change { return field("authorization", "Bearer "+raw) }

func without(key string) change {
	return func(r *authv3.AttributeContext_HttpRequest) { delete(r.Headers, key) }
}

func path(text string) change {
	return func(r *authv3.AttributeContext_HttpRequest) { r.Path = text }
}

func TestAttacks(t *testing.T) {
	t.Parallel()
	const call = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"balance"}}`
	s := newSetup(t, nil)
	for _, c := range []struct {
		name   string
		with   change
		status int
		reason guard.Reason
	}{
		{"no token", without("authorization"), 401, guard.TokenMissing},
		{"another scheme", field("authorization", "Basic Z29vZA=="), 401, guard.TokenMissing},
		{"garbage", bearerOf("garbage"), 401, guard.TokenMalformed},
		{"alg none", bearerOf("none"), 401, guard.TokenAlgorithm},
		{"wrong key", bearerOf("key"), 401, guard.TokenSignature},
		{"wrong issuer", bearerOf("issuer"), 401, guard.TokenIssuer},
		{"wrong audience", bearerOf("audience"), 401, guard.TokenAudience},
		{"expired", bearerOf("old"), 401, guard.TokenExpired},
		{"not yet valid", bearerOf("early"), 401, guard.TokenNotYetValid},
		{"its issuer does not answer", bearerOf("unverifiable"), 503, guard.TokenUnverifiable},
		{"a token in the query", path("/mcp?access_token=good"), 400, guard.TokenAmbiguous},
		{"a token in the query, escaped", path("/mcp?x=1&%61ccess_token=good"), 400, guard.TokenAmbiguous},
		{"two tokens, joined", field("authorization", "Bearer good, Bearer good"), 400, guard.TokenAmbiguous},
		{"two schemes, joined", field("authorization", "Basic Z29vZA==,Bearer good"), 400, guard.TokenAmbiguous},
		{"the header names another tool", field("mcp-name", "post_entry"), 400, guard.RequestHeaderMismatch},
		{"the header names another tool in Base64",
			field("mcp-name", "=?base64?"+base64.StdEncoding.EncodeToString([]byte("post_entry"))+"?="), 400, guard.RequestHeaderMismatch},
		{"the header names another method", field("mcp-method", "tools/list"), 400, guard.RequestHeaderMismatch},
		{"two method headers, joined", field("mcp-method", "tools/call,tools/call"), 400, guard.RequestHeaderMismatch},
		{"a batch", body("[" + call + "," + strings.Replace(call, "balance", "post_entry", 1) + "]"), 400, guard.RequestBatch},
		{"the body is cut off", field("x-envoy-auth-partial-body", "true"), 413, guard.RequestTooLarge},
		{"the body is cut off, and the client says no", field("x-envoy-auth-partial-body", "false,true"), 413, guard.RequestTooLarge},
		{"the body is shorter than the client said", field("content-length", "4000"), 413, guard.RequestTooLarge},
		{"the body is not sent", body(""), 400, guard.RequestMalformed},
		{"the body is not JSON", body("balance"), 400, guard.RequestMalformed},
		{"the tool is named twice", body(strings.Replace(call, `"name"`, `"name":"post_entry","name"`, 1)), 400, guard.RequestMalformed},
		{"another media type", field("content-type", "text/plain"), 415, guard.RequestUnsupported},
		{"another HTTP method", func(r *authv3.AttributeContext_HttpRequest) { r.Method, r.Body, r.RawBody = "PUT", "", nil }, 405, guard.RequestUnsupported},
		{"a GET with a body", func(r *authv3.AttributeContext_HttpRequest) { r.Method = "GET" }, 400, guard.RequestMalformed},
		{"a token in the query, escaped twice", func(r *authv3.AttributeContext_HttpRequest) { r.Path += "?access%255ftoken=x" }, 400, guard.TokenAmbiguous},
		{"an unknown client", bearerOf("other"), 401, guard.Reason(policy.RefusedUnknownClient)},
		{"a revoked client", bearerOf("revoked"), 401, guard.Reason(policy.RefusedRevoked)},
		{"a suspended client", bearerOf("suspended"), 401, guard.Reason(policy.RefusedSuspended)},
		{"a client that has expired", bearerOf("expired"), 401, guard.Reason(policy.RefusedExpired)},
		{"a grant that has expired", bearerOf("lapsed"), 200, guard.Reason(policy.RefusedNoGrant)},
		{"a scope without a grant", bearerOf("ungranted"), 200, guard.Reason(policy.RefusedNoGrant)},
		{"a grant without the scope", body(strings.Replace(call, "balance", "post_entry", 1)), 403, guard.Reason(policy.RefusedScopeMissing)},
		{"a tool that no scope leads to", body(strings.Replace(call, "balance", "drop", 1)), 200, guard.Reason(policy.RefusedToolUnknown)},
		{"a grant that has expired, and no answer is waited for", func(r *authv3.AttributeContext_HttpRequest) {
			bearerOf("lapsed")(r)
			body(strings.Replace(call, `"id":7,`, "", 1))(r)
		}, 403, guard.Reason(policy.RefusedNoGrant)},
		{"a path above", path("/mcp/../admin"), 404, guard.ServerUnknown},
		{"a path above, escaped", path("/mcp/%2e%2e/admin"), 404, guard.ServerUnknown},
		{"a path below", path("/mcp/admin"), 404, guard.ServerUnknown},
		{"a path escaped otherwise", path("/%6dcp"), 404, guard.ServerUnknown},
		{"a path with line breaks", path("/mcp\r\nAuthorization: Bearer good"), 404, guard.ServerUnknown},
		{"another host", func(r *authv3.AttributeContext_HttpRequest) { r.Host = "example.com" }, 404, guard.ServerUnknown},
		{"another port", func(r *authv3.AttributeContext_HttpRequest) { r.Host = "ledger.example.com:8443" }, 404, guard.ServerUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			asked := post("good", "balance")
			asked.RawBody = []byte(call)
			c.with(asked)
			got := refusalOf(t, s.ask(t, asked, nil))
			if got.status != c.status || got.reason != string(c.reason) {
				t.Errorf("got %d %s, want %d %s", got.status, got.reason, c.status, c.reason)
			}
			// What no token helps against is a response, and has no challenge. It is a
			// denial to Envoy all the same: see refusalOf.
			if c.status == 200 && (got.id != "7" || got.code != c.reason.Code()) {
				t.Errorf("answered to %s with %d", got.id, got.code)
			}
			challenged := c.status == 401 || c.reason == guard.Reason(policy.RefusedScopeMissing) || c.reason == guard.TokenAmbiguous
			const metadata = `resource_metadata="https://ledger.example.com/.well-known/oauth-protected-resource/mcp"`
			if strings.Contains(got.challenge, metadata) != challenged {
				t.Errorf("the challenge is %q", got.challenge)
			}
		})
	}
}

func TestAStepUpNamesTheScope(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	got := refusalOf(t, s.ask(t, post("good", "post_entry"), nil))
	for _, want := range []string{`error="insufficient_scope"`, `scope="ledger:read ledger:write"`} {
		if !strings.Contains(got.challenge, want) {
			t.Errorf("the challenge %q lacks %s", got.challenge, want)
		}
	}
	if got.id != "7" {
		t.Errorf("the id is %s", got.id)
	}
}

func TestARevokedClientIsRefusedWithTheSameToken(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	if s.ask(t, post("good", "balance"), nil).GetOkResponse() == nil {
		t.Fatal("refused before")
	}
	s.register.change("c-agent", func(c *policy.ClientEntry) { c.Left = policy.RefusedRevoked })
	if got := refusalOf(t, s.ask(t, post("good", "balance"), nil)); got.status != 401 || got.reason != "Revoked" {
		t.Errorf("%+v", got)
	}
}

func TestHeadersAsTheyWereReceived(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	raw := func(with ...string) *authv3.AttributeContext_HttpRequest {
		asked := post("good", "balance")
		asked.HeaderMap = &corev3.HeaderMap{}
		for i := 0; i < len(with); i += 2 {
			asked.HeaderMap.Headers = append(asked.HeaderMap.Headers, &corev3.HeaderValue{Key: with[i], RawValue: []byte(with[i+1])})
		}
		asked.Headers = nil
		return asked
	}
	if answer := s.ask(t, raw("authorization", "Bearer good", "content-type", "application/json"), nil); answer.GetOkResponse() == nil {
		t.Errorf("refused: %v", answer)
	}
	twice := raw("authorization", "Bearer good", "content-type", "application/json", "Authorization", "Bearer good")
	if got := refusalOf(t, s.ask(t, twice, nil)); got.reason != string(guard.TokenAmbiguous) {
		t.Errorf("%+v", got)
	}
	names := raw("authorization", "Bearer good", "content-type", "application/json", "mcp-name", "balance", "mcp-name", "balance")
	if got := refusalOf(t, s.ask(t, names, nil)); got.reason != string(guard.RequestHeaderMismatch) {
		t.Errorf("%+v", got)
	}
}

func TestABodyMayBeText(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	asked := post("good", "balance")
	asked.Body, asked.RawBody = string(asked.RawBody), nil
	if answer := s.ask(t, asked, nil); answer.GetOkResponse() == nil {
		t.Errorf("refused: %v", answer)
	}
}

func TestWithoutTheBodyHeadersDecideOnlyWhereTheServerHoldsRequestsToThem(t *testing.T) {
	t.Parallel()
	yes := func(o *Options) { o.HeadersOnly = func(guard.ServerName) bool { return true } }
	for _, c := range []struct {
		name     string
		with     func(*Options)
		revision string
		want     guard.Reason
	}{
		{"it does", yes, "2026-07-28", guard.ReasonAllowed},
		{"it does, and the revision does not", yes, "2025-11-25", guard.RequestUnsupported},
		{"it does not", nil, "2026-07-28", guard.RequestMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, c.with)
			asked := post("good", "balance")
			asked.RawBody = nil
			asked.Headers["mcp-protocol-version"], asked.Headers["mcp-method"], asked.Headers["mcp-name"] = c.revision, "tools/call", "balance"
			s.ask(t, asked, nil)
			if _, verdict := s.decisions.last(t); verdict.Reason != c.want {
				t.Errorf("%s: %s", verdict.Reason, verdict.Text)
			}
		})
	}
}

func TestTheServerIsChosenByRouteOrAddress(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	for _, c := range []struct {
		name, host, path, extension string
		found                       bool
	}{
		{"the address", "ledger.example.com", "/mcp", "", true},
		{"its port named", "ledger.example.com:443", "/mcp", "", true},
		{"in capitals", "Ledger.Example.COM", "/mcp", "", true},
		{"with a query", "ledger.example.com", "/mcp?x=1", "", true},
		{"the port of http", "ledger.example.com:80", "/mcp", "", false},
		{"no host", "", "/mcp", "", false},
		{"a route that names it", "ledger.finance.svc:8080", "/", "finance/ledger", true},
		{"a route that names another", "ledger.example.com", "/mcp", "finance/other", false},
		{"a route that names none", "ledger.example.com", "/mcp", "ledger", false},
	} {
		asked := post("good", "balance")
		asked.Host, asked.Path = c.host, c.path
		var extensions map[string]string
		if c.extension != "" {
			extensions = map[string]string{"mcp-server": c.extension}
		}
		if got := s.ask(t, asked, extensions).GetOkResponse() != nil; got != c.found {
			t.Errorf("%s: allowed is %v", c.name, got)
		}
	}
}

func TestPagesOfOtherOriginsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	for origin, ok := range map[string]bool{
		"https://app.example.com": true, "https://ledger.example.com": true,
		"https://evil.example.com": false, "null": false, "": false, "https://app.example.com,https://app.example.com": false,
	} {
		asked := post("good", "balance")
		asked.Headers["origin"] = origin
		got := s.ask(t, asked, nil)
		if ok {
			if got.GetStatus().GetCode() != int32(codes.OK) {
				t.Errorf("%s: %v", origin, got)
			}
			continue
		}
		if refused := refusalOf(t, got); refused.status != 403 || refused.reason != string(guard.OriginNotAllowed) || refused.challenge != "" {
			t.Errorf("%s: %+v", origin, refused)
		}
	}
}

// A browser asks before a page's request with a header of its own, as the SDKs send.
func TestBrowsersMayAskForMetadata(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	asked := post("", "")
	asked.Method, asked.Path, asked.Body, asked.RawBody = "OPTIONS", guard.MetadataPath(ledger().Resource), "", nil
	asked.Headers = map[string]string{
		"origin": "https://elsewhere.example.com", "access-control-request-method": "GET",
		"access-control-request-headers": "mcp-protocol-version",
	}
	answer := s.ask(t, asked, nil)
	response := answer.GetDeniedResponse()
	if response.GetStatus().GetCode() != 204 || response.GetBody() != "" || answer.GetStatus().GetCode() == int32(codes.OK) {
		t.Errorf("%v", answer)
	}
	headers := map[string]string{}
	for _, option := range response.GetHeaders() {
		headers[option.GetHeader().GetKey()] = option.GetHeader().GetValue()
	}
	if diff := cmp.Diff(map[string]string{
		"access-control-allow-origin": "*", "access-control-allow-methods": "GET, OPTIONS",
		"access-control-allow-headers": "Content-Type, MCP-Protocol-Version",
	}, headers); diff != "" {
		t.Error(diff)
	}
	asked.Path = "/mcp"
	if got := refusalOf(t, s.ask(t, asked, nil)); got.reason != string(guard.OriginNotAllowed) {
		t.Errorf("for the server itself: %+v", got)
	}
}

func TestMetadataNeedsNoToken(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	const at = "/.well-known/oauth-protected-resource/mcp"
	asked := &authv3.AttributeContext_HttpRequest{Method: "GET", Host: "ledger.example.com", Path: at}
	for name, extensions := range map[string]map[string]string{"by address": nil, "by route": {"mcp-server": "finance/ledger"}} {
		answer := s.ask(t, asked, extensions)
		response := answer.GetDeniedResponse()
		if response.GetStatus().GetCode() != 200 || answer.GetStatus().GetCode() == int32(codes.OK) {
			t.Errorf("%s: %v", name, answer)
		}
		const want = `{"resource":"https://ledger.example.com/mcp","authorization_servers":["https://login.example.com"],` +
			`"scopes_supported":["ledger:read"],"bearer_methods_supported":["header"]}`
		if response.GetBody() != want {
			t.Errorf("%s: %s", name, response.GetBody())
		}
		if !slices.ContainsFunc(response.GetHeaders(), func(h *corev3.HeaderValueOption) bool {
			return h.GetHeader().GetKey() == "access-control-allow-origin" && h.GetHeader().GetValue() == "*"
		}) {
			t.Errorf("%s: pages cannot read it: %v", name, response.GetHeaders())
		}
	}
	asked.Method = "POST"
	if got := refusalOf(t, s.ask(t, asked, nil)); got.status != 404 {
		t.Errorf("%+v", got)
	}
	asked.Method, asked.Host = "GET", "example.com"
	if got := refusalOf(t, s.ask(t, asked, nil)); got.status != 404 {
		t.Errorf("%+v", got)
	}
}

func TestAStaleRegisterRefusesAll(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	s.register.heard(time.Minute+1, true)
	got := refusalOf(t, s.ask(t, post("good", "balance"), nil))
	if got.status != 503 || got.reason != string(guard.RegisterStale) || got.challenge != "" {
		t.Errorf("%+v", got)
	}
}

func TestACheckOfNothingIsRefused(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	answer, err := s.check.Check(t.Context(), &authv3.CheckRequest{})
	if err != nil || refusalOf(t, answer).status != 404 {
		t.Errorf("%v, %v", answer, err)
	}
	answer = s.ask(t, nil, map[string]string{"mcp-server": "finance/ledger"})
	if got := refusalOf(t, answer); got.status != 401 {
		t.Errorf("%+v", got)
	}
}

func TestTheRealClockIsTheUsualOne(t *testing.T) {
	t.Parallel()
	s := newSetup(t, func(o *Options) { o.Clock = nil })
	s.ask(t, post("good", "balance"), nil)
	if request, _ := s.decisions.last(t); time.Since(request.ReceivedAt) > time.Minute {
		t.Errorf("it came at %v", request.ReceivedAt)
	}
}

func TestWhatACheckAddsIsTold(t *testing.T) {
	t.Parallel()
	told := make(chan guard.ServerName, 1)
	s := newSetup(t, func(o *Options) { o.Added = func(name guard.ServerName, _ time.Duration) { told <- name } })
	s.ask(t, post("good", "balance"), nil)
	if name := <-told; name.String() != "finance/ledger" {
		t.Error(name)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := newSetup(t, nil)
	client := healthv1.NewHealthClient(s.conn)
	ask := func(service string) (healthv1.HealthCheckResponse_ServingStatus, codes.Code) {
		answer, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
		return answer.GetStatus(), status.Code(err)
	}
	for _, service := range []string{"", "envoy.service.auth.v3.Authorization"} {
		if got, code := ask(service); got != healthv1.HealthCheckResponse_SERVING || code != codes.OK {
			t.Errorf("%q: %v, %v", service, got, code)
		}
	}
	if _, code := ask("other"); code != codes.NotFound {
		t.Errorf("another service: %v", code)
	}
	s.register.heard(0, false)
	if got, _ := ask(""); got != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("before the register was read: %v", got)
	}
}
