// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// answered are facts about a server that gave these answers.
func answered(metadata policy.ProbeMetadataIs, answers ...policy.ProbeAnswer) policy.ProbeFacts {
	return policy.ProbeFacts{Contact: policy.Contacted, Anonymous: answers, MetadataIs: metadata}
}

var challenged3 = []policy.ProbeAnswer{policy.AnswerChallenged, policy.AnswerChallenged, policy.AnswerChallenged}

func TestWithoutAToken(t *testing.T) {
	huge := `{"jsonrpc":"2.0","id":1,"result":"` + strings.Repeat("a", 1<<20) + `"}`
	for name, c := range map[string]struct {
		change func(w *world)
		want   policy.ProbeFacts
	}{
		"a good server": {func(*world) {}, answered(policy.MetadataFound, challenged3...)},
		"a challenge without a lead, and the well-known place of the resource": {func(w *world) {
			w.challenge = func(*world) string { return "Bearer" }
		}, answered(policy.MetadataFound, challenged3...)},
		"a challenge without a lead, and the well-known place of the origin": {func(w *world) {
			w.challenge = func(*world) string { return `Basic realm="a", Bearer realm="b"` }
			w.metadata = map[string]http.HandlerFunc{wellKnown: w.says(nil)}
		}, answered(policy.MetadataFound, challenged3...)},
		"a challenge without metadata": {func(w *world) {
			w.challenge = func(*world) string { return "Bearer" }
			w.metadata = nil
		}, answered(policy.MetadataAbsent, challenged3...)},
		"a challenge that leads astray": {func(w *world) {
			w.challenge = func(w *world) string { return `Bearer resource_metadata="` + w.URL + `/elsewhere"` }
		}, answered(policy.MetadataAstray, challenged3...)},
		"a challenge that leads to another origin": {func(w *world) {
			w.challenge = func(*world) string { return `Bearer resource_metadata="https://elsewhere.example/metadata"` }
		}, answered(policy.MetadataForeign, challenged3...)},
		"a challenge that leads nowhere": {func(w *world) {
			w.challenge = func(*world) string { return `Bearer resource_metadata="::"` }
		}, answered(policy.MetadataForeign, challenged3...)},
		"401 without a challenge": {func(w *world) {
			w.challenge = func(*world) string { return "" }
		}, answered(policy.MetadataAbsent, policy.AnswerRefused, policy.AnswerRefused)},
		"401 with a challenge that cannot be read": {func(w *world) {
			w.challenge = func(*world) string { return `Bearer resource_metadata="unfinished` }
		}, answered(policy.MetadataAbsent, policy.AnswerRefused, policy.AnswerRefused)},
		"403": {func(w *world) { w.refuse = answers(http.StatusForbidden, jsonType, "{}") },
			answered(policy.MetadataAbsent, policy.AnswerRefused, policy.AnswerRefused)},
		"a redirect": {func(w *world) {
			w.refuse = func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, "/login", http.StatusFound) }
		}, answered(policy.MetadataAbsent, policy.AnswerRefused, policy.AnswerRefused)},
		"an error of JSON-RPC": {func(w *world) {
			w.refuse = answers(http.StatusOK, jsonType, `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"who are you?"}}`)
		}, answered(policy.MetadataAbsent, policy.AnswerRefused, policy.AnswerRefused)},
		"a page": {func(w *world) { w.refuse = answers(http.StatusOK, "text/html", "<html>welcome") },
			answered(policy.MetadataAbsent, policy.AnswerOdd, policy.AnswerOdd)},
		"a huge body": {func(w *world) { w.refuse = answers(http.StatusOK, jsonType, huge) },
			answered(policy.MetadataAbsent, policy.AnswerOdd, policy.AnswerOdd)},
		"no such place": {func(w *world) { w.refuse = http.NotFound },
			answered(policy.MetadataAbsent, policy.AnswerOdd, policy.AnswerOdd)},
		"overload": {func(w *world) { w.refuse = answers(http.StatusServiceUnavailable, jsonType, "{}") },
			answered(policy.MetadataAbsent, policy.AnswerPassing, policy.AnswerPassing, policy.AnswerPassing)},
		"a naked server": {func(w *world) { w.naked = true },
			answered(policy.MetadataAbsent, policy.AnswerAccepted, policy.AnswerAccepted, policy.AnswerAccepted)},
		"a naked server that streams": {func(w *world) { w.naked, w.streams = true, true },
			answered(policy.MetadataAbsent, policy.AnswerAccepted, policy.AnswerAccepted, policy.AnswerAccepted)},
		"a server that guards all but the list": {func(w *world) {
			refuse := w.challenge
			w.refuse = func(rw http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Mcp-Protocol-Version") == sessionful {
					w.result(rw, methodTools, "")
					return
				}
				rw.Header().Set("WWW-Authenticate", refuse(w))
				rw.WriteHeader(http.StatusUnauthorized)
			}
		}, answered(policy.MetadataFound, policy.AnswerChallenged, policy.AnswerAccepted, policy.AnswerChallenged)},
		"metadata that is none": {func(w *world) {
			w.metadata[wellKnown+"/mcp"] = answers(http.StatusOK, jsonType, `[]`)
		}, answered(policy.MetadataAstray, challenged3...)},
		"metadata without resource": {func(w *world) {
			w.metadata[wellKnown+"/mcp"] = w.says(map[string]any{"resource": ""})
		}, answered(policy.MetadataAstray, challenged3...)},
		"metadata of another type": {func(w *world) {
			w.metadata[wellKnown+"/mcp"] = answers(http.StatusOK, "text/html", "<html>")
		}, answered(policy.MetadataAstray, challenged3...)},
		"huge metadata": {func(w *world) { w.metadata[wellKnown+"/mcp"] = answers(http.StatusOK, jsonType, huge) },
			answered(policy.MetadataAstray, challenged3...)},
		"redirected metadata": {func(w *world) {
			w.metadata[wellKnown+"/mcp"] = func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "/elsewhere", http.StatusFound)
			}
		}, answered(policy.MetadataAstray, challenged3...)},
		"metadata that is not to be had now": {func(w *world) {
			w.metadata[wellKnown+"/mcp"] = answers(http.StatusBadGateway, jsonType, "{}")
		}, answered(policy.MetadataUnavailable, challenged3...)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			got := w.ask(t)
			if got.MetadataIs == policy.MetadataFound {
				c.want.Metadata = policy.ProbeMetadata{
					Resource: w.resource(), AuthorizationServers: []string{"https://other.example.com", issuer}, Scopes: []string{"files:read"},
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, r := range w.seen() {
				if r.authorization != "" || r.path == "/login" || r.path == "/elsewhere" && !strings.Contains(name, "astray") {
					t.Errorf("%+v arrived", r)
				}
			}
		})
	}
}

// TestWhatIsSent holds the forms of the calls, and that a session that nobody
// asked a token for is ended.
func TestWhatIsSent(t *testing.T) {
	w := newWorld(t)
	w.naked = true
	w.ask(t)
	want := []request{
		{"POST", "/mcp", methodInitialize, "", "", ""},
		{"DELETE", "/mcp", "", sessionful, "session-1", ""},
		{"POST", "/mcp", methodTools, sessionful, "", ""},
		{"POST", "/mcp", methodTools, stateless, "", ""},
	}
	if diff := cmp.Diff(want, w.seen(), cmp.AllowUnexported(request{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// counted is a resolver that counts what it is asked.
type counted struct {
	address netip.Addr
	asked   atomic.Int32
}

func (c *counted) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	c.asked.Add(1)
	return []netip.Addr{c.address}, nil
}

// TestForbiddenAddressesAreNotDialled has a listener that nobody may reach.
func TestForbiddenAddressesAreNotDialled(t *testing.T) {
	var dialled atomic.Int32
	world := httptest.NewUnstartedServer(http.NotFoundHandler())
	world.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dialled.Add(1)
		}
	}
	world.StartTLS()
	defer world.Close()
	port := world.Listener.Addr().(*net.TCPAddr).Port
	for name, c := range map[string]struct {
		resource, address string
		question          Question
		private           bool
	}{
		"a name that is loopback":               {fmt.Sprintf("https://mcp.example.com:%d/mcp", port), "127.0.0.1", Question{Loopback: true}, true},
		"loopback by number":                    {fmt.Sprintf("https://127.0.0.1:%d/mcp", port), "", Question{}, true},
		"localhost":                             {fmt.Sprintf("http://localhost:%d/mcp", port), "127.0.0.1", Question{}, true},
		"loopback in IPv6":                      {"https://mcp.example.com/mcp", "::ffff:127.0.0.1", Question{Loopback: true}, true},
		"cloud metadata":                        {"https://mcp.example.com/mcp", "169.254.169.254", Question{Loopback: true}, true},
		"a private address, which is not open":  {"https://mcp.example.com/mcp", "10.0.0.7", Question{Loopback: true}, false},
		"a number in an unusual spelling":       {"https://0x7f000001/mcp", "127.0.0.1", Question{Loopback: true}, true},
		"http to what is not loopback":          {"http://mcp.example.com/mcp", "127.0.0.1", Question{Loopback: true}, true},
		"what cannot be parsed":                 {"https://%zz/mcp", "127.0.0.1", Question{Loopback: true}, true},
		"a name whose address has another form": {"https://mcp.example.com/mcp", "64:ff9b::7f00:1", Question{Loopback: true}, true},
	} {
		resolver := &counted{}
		if c.address != "" {
			resolver.address = netip.MustParseAddr(c.address)
		}
		c.question.Resource = c.resource
		c.question.Borrow = func(context.Context, string, func(authserver.Secret, authserver.TokenFacts) error) error {
			t.Errorf("%s: a token was borrowed", name)
			return nil
		}
		got := New(Options{AllowPrivate: c.private, Resolver: resolver}).Ask(t.Context(), c.question)
		if diff := cmp.Diff(policy.ProbeFacts{Contact: policy.ContactRefused}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if n := resolver.asked.Load(); n > 1 {
			t.Errorf("%s: asked for %d times", name, n)
		}
	}
	if n := dialled.Load(); n != 0 {
		t.Errorf("dialled %d times", n)
	}
}

func TestAServerThatDoesNotAnswer(t *testing.T) {
	released := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-released }))
	defer slow.Close()
	defer close(released)
	begun := time.Now()
	got := New(Options{Timeout: 100 * time.Millisecond}).Ask(t.Context(), Question{Resource: slow.URL, Loopback: true})
	if got.Contact != policy.NoContact || len(got.Anonymous) != 0 {
		t.Errorf("%+v", got)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	got = New(Options{}).Ask(t.Context(), Question{Resource: untrusted.URL, Loopback: true})
	if got.Contact != policy.ContactUntrusted {
		t.Errorf("%+v", got)
	}
}

// TestAnAnswerThatStalls has a server that begins an answer and does not go on.
func TestAnAnswerThatStalls(t *testing.T) {
	released := make(chan struct{})
	stalling := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-released
	}))
	defer stalling.Close()
	defer close(released)
	got := New(Options{Timeout: 100 * time.Millisecond}).Ask(t.Context(), Question{Resource: stalling.URL, Loopback: true})
	if got.Contact != policy.Contacted || len(got.Anonymous) != 3 || got.Anonymous[0] != policy.AnswerPassing {
		t.Errorf("%+v", got)
	}
}
