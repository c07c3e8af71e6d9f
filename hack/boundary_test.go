// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hack

import (
	"context"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/message"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// guardRow is a row of the guard's reasons: | `Reason` | status | meaning | remedy |.
var guardRow = regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\| ([0-9, ]*) ?\\| [^|]+ \\| [^|]+ \\|$")

// guardRows are the statuses that the page gives for each reason.
func guardRows(t *testing.T) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for _, match := range guardRow.FindAllStringSubmatch(read(t, filepath.Join(moduleRoot(t), "docs", "boundary.md")), -1) {
		rows[match[1]] = strings.FieldsFunc(match[2], func(r rune) bool { return r == ',' || r == ' ' })
	}
	return rows
}

func TestEveryReasonOfTheGuardIsDocumented(t *testing.T) {
	t.Parallel()
	rows := guardRows(t)
	for _, reason := range guard.Reasons() {
		if _, there := rows[string(reason)]; !there {
			t.Errorf("docs/boundary.md: the reason %s has no row with status, meaning and remedy", reason)
		}
	}
	for reason := range rows {
		if !slices.Contains(guard.Reasons(), guard.Reason(reason)) {
			t.Errorf("docs/boundary.md: guards have no reason %s", reason)
		}
	}
}

func TestEveryFailureOfAServerIsDocumented(t *testing.T) {
	t.Parallel()
	text := read(t, filepath.Join(moduleRoot(t), "docs", "boundary.md"))
	for _, failure := range guard.Failures() {
		row := regexp.MustCompile("(?m)^\\| `" + string(failure) + "` \\| [^|]+ \\| 50[24] \\| [^|]+ \\|$")
		if !row.MatchString(text) {
			t.Errorf("docs/boundary.md: the failure %s has no row with meaning, status and remedy", failure)
		}
	}
}

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// scene is a register with one server, one client and one grant, and what its
// tokens say.
type scene struct {
	age      time.Duration
	unknown  bool
	client   policy.ClientEntry
	grant    policy.GrantEntry
	denied   bool
	withhold bool
	token    guard.Reason
	scopes   []string
	request  guard.Request
}

func newScene() *scene {
	return &scene{
		client: policy.ClientEntry{
			Namespace: "payments", Name: "clerk", Owner: "me@example.com", ClientID: "one", EndsAt: noon.Add(time.Hour),
			Scopes: []policy.EntryScope{{Name: "read", Grants: []string{"reads"}}},
		},
		grant: policy.GrantEntry{
			Namespace: "payments", Name: "reads", Client: "clerk", ServerNamespace: "invoices", Server: "invoices",
			Scopes: []string{"read"}, Basis: v1alpha1.BasisAutomatic, EndsAt: noon.Add(time.Hour), InForce: true,
		},
		scopes: []string{"read"},
		request: guard.Request{
			Authorization: []string{"Bearer token"}, Message: guard.Message{Kind: guard.Call, Method: "tools/call", Tool: "look"},
		},
	}
}

func (s *scene) Server(name guard.ServerName) (guard.Server, bool) {
	return guard.Server{Issuer: "https://login.example.com", ServerEntry: policy.ServerEntry{
		Namespace: "invoices", Name: "invoices", Resource: "https://mcp.example.com/invoices", AuthorizationServer: "company", WithholdChanged: s.withhold,
		Scopes: []policy.CatalogueScope{{Name: "read", Tier: v1alpha1.TierRead, Tools: []string{"look"}}},
	}}, !s.unknown
}

func (s *scene) Clients(_, id string) []policy.ClientEntry {
	if s.client.ClientID != id {
		return nil
	}
	return []policy.ClientEntry{s.client}
}

func (s *scene) Denials(guard.Server, string) []policy.DenialEntry {
	if s.denied {
		return []policy.DenialEntry{{Name: "incident"}}
	}
	return nil
}

func (s *scene) Grants(policy.ClientEntry) []policy.GrantEntry { return []policy.GrantEntry{s.grant} }
func (s *scene) Age() (age time.Duration, complete bool)       { return s.age, true }
func (s *scene) FirstScopes(guard.Server) []string             { return []string{"enter"} }
func (s *scene) OnChange(func(guard.Change))                   {}
func (s *scene) Record(guard.Request, guard.Verdict)           {}

func (s *scene) Verify(ctx context.Context, shown guard.Presentation, q guard.TokenQuestion) (guard.Token, error) {
	return s.StillGood(ctx, guard.Token{}, shown.Token, q)
}

func (s *scene) StillGood(context.Context, guard.Token, string, guard.TokenQuestion) (guard.Token, error) {
	if s.token != "" {
		return guard.Token{}, &guard.TokenError{Reason: s.token}
	}
	return guard.Token{ClientID: "one", Scopes: s.scopes, ExpiresAt: noon.Add(time.Minute)}, nil
}

// sceneOf makes a guard answer for a reason; nil where it is not the engine that
// gives it.
func sceneOf(reason guard.Reason) *scene {
	s := newScene()
	change := map[guard.Reason]func(){
		guard.TokenMissing:                         func() { s.request.Authorization = nil },
		guard.TokenAmbiguous:                       func() { s.request.URL += "?access_token=token" },
		guard.SessionForeign:                       func() { s.request.Session = "another's" },
		guard.ServerUnknown:                        func() { s.unknown = true },
		guard.RegisterStale:                        func() { s.age = time.Hour },
		guard.Reason(policy.RefusedDenied):         func() { s.denied = true },
		guard.Reason(policy.RefusedUnknownClient):  func() { s.client.ClientID = "two" },
		guard.Reason(policy.RefusedRevoked):        func() { s.client.Left = policy.RefusedRevoked },
		guard.Reason(policy.RefusedSuspended):      func() { s.client.Left = policy.RefusedSuspended },
		guard.Reason(policy.RefusedExpired):        func() { s.client.EndsAt = noon },
		guard.Reason(policy.RefusedNoGrant):        func() { s.grant.InForce = false },
		guard.Reason(policy.RefusedScopeMissing):   func() { s.scopes = nil },
		guard.Reason(policy.RefusedToolUnknown):    func() { s.request.Message.Tool = "erase" },
		guard.Reason(policy.RefusedReviewRequired): func() { s.withhold, s.grant.ChangedTools = true, []string{"look"} },
		guard.RequestMalformed:                     nil,
		guard.RequestBatch:                         nil,
		guard.OriginNotAllowed:                     func() { s.request.Origin = []string{"https://elsewhere.example.com"} },
		guard.RequestTooLarge:                      nil,
		guard.RequestHeaderMismatch:                nil,
		guard.RequestUnsupported:                   nil,
		guard.ReasonAllowed:                        func() {},
	}
	do, there := change[reason]
	switch {
	case !there: // a reason of tokens, which Tokens gives
		s.token = reason
	case do == nil:
		return nil
	default:
		do()
	}
	return s
}

func TestTheStatusesOfTheGuardAreThoseOfThePage(t *testing.T) {
	t.Parallel()
	rows := guardRows(t)
	for _, reason := range guard.Reasons() {
		s := sceneOf(reason)
		if s == nil {
			continue
		}
		engine := guard.New(guard.Options{Register: s, Tokens: s, Recorder: s, Clock: clocktesting.NewFakeClock(noon), MaxStaleness: time.Minute})
		engine.Answered(guard.Request{Session: s.request.Session}, guard.Verdict{Token: guard.Token{ClientID: "another"}}, nil)
		var statuses []string
		for _, id := range []string{"7", ""} {
			s.request.Message.ID = id
			got := engine.Decide(t.Context(), s.request)
			if got.Reason != reason || got.Code != reason.Code() {
				t.Errorf("the guard says %s with the code %d, not %s with %d", got.Reason, got.Code, reason, reason.Code())
			}
			if status := strconv.Itoa(got.Status); got.Status != 0 && !slices.Contains(statuses, status) {
				statuses = append(statuses, status)
			}
		}
		if !slices.Equal(statuses, rows[string(reason)]) {
			t.Errorf("docs/boundary.md has %s with %v, the guard has %v", reason, rows[string(reason)], statuses)
		}
	}
}

// guardCode is a row of the guard's codes: | `code` | reasons | meaning |.
var guardCode = regexp.MustCompile("(?m)^\\| `(-[0-9]+)` \\| ([^|]*) \\| [^|]+ \\|$")

// takenBySDKs are the codes that SDKs and the protocol give a meaning of their own.
var takenBySDKs = []int{-32000, -32001, -32002, -32042, -32600, -32601, -32602, -32603, -32700}

// Each reason has the one code of its row, of those that nobody else uses; those of
// unreadable requests are the protocol's.
func TestTheCodesOfTheGuardAreThoseOfThePage(t *testing.T) {
	t.Parallel()
	rows := map[guard.Reason][]int{}
	for _, match := range guardCode.FindAllStringSubmatch(read(t, filepath.Join(moduleRoot(t), "docs", "boundary.md")), -1) {
		code, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		for name := range strings.FieldsFuncSeq(match[2], func(r rune) bool { return strings.ContainsRune("`, ", r) }) {
			rows[guard.Reason(name)] = append(rows[guard.Reason(name)], code)
		}
	}
	for _, reason := range guard.Reasons() {
		code, listed := reason.Code(), rows[reason]
		delete(rows, reason)
		switch {
		case reason == guard.ReasonAllowed:
			if code != 0 || listed != nil {
				t.Errorf("what is allowed has the code %d, in docs/boundary.md %v", code, listed)
			}
		case strings.HasPrefix(string(reason), "Request"):
			if want := faultCodes(reason); code != 0 || !slices.Equal(listed, want) {
				t.Errorf("docs/boundary.md has %s with %v, the guard has %v", reason, listed, want)
			}
		default:
			if code < -32019 || code > -32010 || slices.Contains(takenBySDKs, code) || !slices.Equal(listed, []int{code}) {
				t.Errorf("docs/boundary.md has %s with %v, the guard has %d", reason, listed, code)
			}
		}
	}
	if len(rows) > 0 {
		t.Errorf("docs/boundary.md has codes for what is no reason: %v", rows)
	}
}

// faultCodes are the codes of unreadable requests, as the table has them.
func faultCodes(reason guard.Reason) []int {
	plain := http.Header{"Content-Type": {"application/json"}}
	var codes []int
	for _, c := range []struct {
		header http.Header
		method string
		body   string
	}{
		{http.Header{"Content-Type": {"application/json"}, "Mcp-Method": {"ping"}}, http.MethodPost, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`},
		{plain, http.MethodPost, `{"jsonrpc":"1.0"}`}, {plain, http.MethodPost, "[]"}, {plain, http.MethodPut, ""}, {http.Header{}, http.MethodPost, ""},
		{plain, http.MethodPost, "{"},
	} {
		got, _ := message.Parse(c.header, c.method, []byte(c.body))
		if got.Fault != nil && got.Fault.Reason == reason && !slices.Contains(codes, got.Fault.Code) {
			codes = append(codes, got.Fault.Code)
		}
	}
	if reason == guard.RequestTooLarge { // Front ends find it, with the code of a request that is none.
		codes = append(codes, -32600)
	}
	return codes
}

func TestTheStatusesOfUnreadableRequestsAreThoseOfThePage(t *testing.T) {
	t.Parallel()
	rows := guardRows(t)
	plain := http.Header{"Content-Type": {"application/json"}}
	for _, c := range []struct {
		reason guard.Reason
		header http.Header
		method string
		body   string
	}{
		{guard.RequestMalformed, plain, http.MethodPost, "{"},
		{guard.RequestBatch, plain, http.MethodPost, "[]"},
		{guard.RequestHeaderMismatch, http.Header{"Content-Type": {"application/json"}, "Mcp-Method": {"ping"}}, http.MethodPost, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`},
		{guard.RequestUnsupported, plain, http.MethodPut, ""},
		{guard.RequestUnsupported, http.Header{}, http.MethodPost, ""},
	} {
		got, _ := message.Parse(c.header, c.method, []byte(c.body))
		if got.Fault == nil || got.Fault.Reason != c.reason || !slices.Contains(rows[string(c.reason)], strconv.Itoa(got.Fault.Status)) {
			t.Errorf("docs/boundary.md has %s with %v, the guard says %+v", c.reason, rows[string(c.reason)], got.Fault)
		}
	}
}
