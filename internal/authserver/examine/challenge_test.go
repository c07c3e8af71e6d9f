// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package examine

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// reply answers an authorization request; state is the one it came with.
type reply func(w http.ResponseWriter, state string)

func page(status int) reply {
	return func(w http.ResponseWriter, _ string) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html><form><input type=password></form></html>")
	}
}

// to redirects; STATE stands for the state of the request.
func to(location string) reply { return with(http.StatusFound, location) }

func with(status int, location string) reply {
	return func(w http.ResponseWriter, state string) {
		w.Header().Set("Location", strings.ReplaceAll(location, "STATE", state))
		w.WriteHeader(status)
	}
}

var (
	refusal = to(redirect + "?error=invalid_request&error_description=Missing+parameter%3A+code_challenge_method&state=STATE&iss=x")
	login   = to("https://login.example.com/?login_challenge=abc")
)

// answers are the replies to each kind of request.
type answers struct{ none, plain, s256 reply }

func (w *world) answering(a answers) {
	w.authorize = func(rw http.ResponseWriter, r *http.Request) {
		answer := map[string]reply{"": a.none, "plain": a.plain, "S256": a.s256}[r.Form.Get("code_challenge_method")]
		answer(rw, r.Form.Get("state"))
	}
}

// all answers every request alike.
func all(a reply) answers { return answers{a, a, a} }

func TestChallengeRequired(t *testing.T) {
	for name, test := range map[string]struct {
		answers answers
		want    authserver.Answer
	}{
		"refused at the redirect URI":                {answers{refusal, refusal, login}, authserver.Yes},
		"refused with a page":                        {answers{page(400), page(403), page(200)}, authserver.Yes},
		"refused by 303 and led on by a page":        {answers{with(303, redirect+"?error=invalid_request&state=STATE"), refusal, page(200)}, authserver.Yes},
		"refused on an error page of the server":     {answers{to("/oauth2/fallbacks/error?error=invalid_request"), to("/home/error?errorId=1"), login}, authserver.Yes},
		"a code for the S256 challenge":              {answers{refusal, refusal, to(redirect + "?code=c&state=STATE")}, authserver.Yes},
		"led to a login without a challenge":         {answers{login, refusal, login}, authserver.No},
		"led to a login with plain":                  {answers{refusal, page(200), login}, authserver.No},
		"a code without a challenge":                 {answers{to(redirect + "?code=c&state=STATE"), refusal, login}, authserver.No},
		"a code in the fragment":                     {answers{to(redirect + "#code=c"), refusal, login}, authserver.No},
		"a code beside an error":                     {answers{to(redirect + "?code=c&error=invalid_request&state=STATE"), refusal, login}, authserver.No},
		"a login on the server itself":               {answers{to("/interaction/x"), refusal, login}, authserver.No},
		"nothing refused":                            {all(page(200)), authserver.No},
		"everything refused at the redirect URI":     {all(refusal), authserver.Unclear},
		"everything refused with a page":             {all(page(400)), authserver.Unclear},
		"only the first refused, the second unclear": {answers{refusal, page(404), login}, authserver.Unclear},
		"the first unclear, the second led on":       {answers{page(404), login, login}, authserver.No},
		"an empty answer":                            {all(func(http.ResponseWriter, string) {}), authserver.Unclear},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answering(test.answers)
			got, err := w.examiner(t, Options{}).ChallengeRequired(t.Context(), w.challengeQuestion())
			if err != nil || got != test.want {
				t.Errorf("got %d, %v, want %d", got, err, test.want)
			}
		})
	}
}

// TestWhatIsNoRefusal puts each answer in the place of both refusals: the
// server that leads S256 on is then not said to enforce anything.
func TestWhatIsNoRefusal(t *testing.T) {
	const invalid = "error=invalid_request&state=STATE"
	for name, test := range map[string]struct {
		answer reply
		want   authserver.Answer
	}{
		"login_required":                  {to(redirect + "?error=login_required&state=STATE"), authserver.Unclear},
		"access_denied":                   {to(redirect + "?error=access_denied&state=STATE"), authserver.Unclear},
		"invalid_scope":                   {to(redirect + "?error=invalid_scope&state=STATE"), authserver.Unclear},
		"unauthorized_client":             {to(redirect + "?error=unauthorized_client&state=STATE"), authserver.Unclear},
		"two errors":                      {to(redirect + "?error=invalid_request&error=access_denied&state=STATE"), authserver.Unclear},
		"no state":                        {to(redirect + "?error=invalid_request"), authserver.Unclear},
		"another state":                   {to(redirect + "?error=invalid_request&state=other"), authserver.Unclear},
		"an error in the fragment":        {to(redirect + "#" + invalid), authserver.Unclear},
		"a host that begins alike":        {to("https://app.example.com.evil/callback?" + invalid), authserver.Unclear},
		"a host after user information":   {to("https://app.example.com@evil.example/callback?" + invalid), authserver.Unclear},
		"user information before it":      {to("https://user:secret@app.example.com/callback?" + invalid), authserver.Unclear},
		"a longer path":                   {to(redirect + "/x?" + invalid), authserver.Unclear},
		"a path that climbs":              {to("https://app.example.com/x/../callback?" + invalid), authserver.Unclear},
		"an encoded path":                 {to("https://app.example.com/%63allback?" + invalid), authserver.Unclear},
		"another port":                    {to("https://app.example.com:8443/callback?" + invalid), authserver.Unclear},
		"http in place of https":          {to("http://app.example.com/callback?" + invalid), authserver.Unclear},
		"a script":                        {to("javascript:alert(1)?" + invalid), authserver.Unclear},
		"another app":                     {to("com.example.app:/callback?" + invalid), authserver.Unclear},
		"a foreign error page":            {to("https://errors.example.com/error?error=invalid_request"), authserver.Unclear},
		"another error on its error page": {to("/error?error=invalid_scope"), authserver.Unclear},
		"its own endpoint with a slash":   {to("/authorize/?x=1"), authserver.Unclear},
		"a permanent redirect":            {with(301, "https://login.example.com/"), authserver.Unclear},
		"no location":                     {func(w http.ResponseWriter, _ string) { w.WriteHeader(302) }, authserver.Unclear},
		"a query that is none":            {to(redirect + "?error=%zz"), authserver.Unclear},
		"two locations": {func(w http.ResponseWriter, state string) {
			w.Header()["Location"] = []string{redirect + "?error=invalid_request&state=" + state, "https://evil.example/"}
			w.WriteHeader(302)
		}, authserver.Unclear},
		"a challenge of HTTP":             {page(401), authserver.Unclear},
		"not found":                       {page(404), authserver.Unclear},
		"JSON with success":               {func(w http.ResponseWriter, _ string) { w.Header().Set("Content-Type", "application/json") }, authserver.Unclear},
		"the redirect URI's host in caps": {to("https://APP.example.com:443/callback?" + invalid), authserver.Yes},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answering(answers{test.answer, test.answer, login})
			got, err := w.examiner(t, Options{}).ChallengeRequired(t.Context(), w.challengeQuestion())
			if err != nil || got != test.want {
				t.Errorf("got %d, %v, want %d", got, err, test.want)
			}
		})
	}
}

func TestRedirectURIsOfEachKind(t *testing.T) {
	for _, uri := range []string{
		"http://127.0.0.1/callback", "http://[::1]:7777/callback", "http://localhost", "com.example.app:/callback",
		"com.example.app:callback", "https://app.example.com/cb?tenant=a&x=1", "https://app.example.com",
	} {
		t.Run(uri, func(t *testing.T) {
			w := newWorld(t)
			separator := "?"
			if strings.Contains(uri, "?") {
				separator = "&"
			}
			back := to(uri + separator + "error=invalid_request&state=STATE")
			w.answering(answers{back, back, login})
			q := w.challengeQuestion()
			q.RedirectURI = uri
			got, err := w.examiner(t, Options{}).ChallengeRequired(t.Context(), q)
			if err != nil || got != authserver.Yes {
				t.Errorf("got %d, %v", got, err)
			}
			if sent := w.asked()[0].params.Get("redirect_uri"); sent != uri {
				t.Errorf("asked with %q", sent)
			}
		})
	}
}

func TestLoginFirst(t *testing.T) {
	for name, test := range map[string]struct {
		answers answers
		want    authserver.Answer
	}{
		"a login says nothing":          {all(login), authserver.Unclear},
		"a code says no":                {all(to(redirect + "?code=c&state=STATE")), authserver.No},
		"refusals say yes all the same": {answers{refusal, refusal, login}, authserver.Yes},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answering(test.answers)
			got, err := w.examiner(t, Options{LoginFirst: true}).ChallengeRequired(t.Context(), w.challengeQuestion())
			if err != nil || got != test.want {
				t.Errorf("got %d, %v, want %d", got, err, test.want)
			}
		})
	}
}

func TestWhatIsAsked(t *testing.T) {
	w := newWorld(t)
	cookie := func(next reply) reply {
		return func(rw http.ResponseWriter, state string) {
			http.SetCookie(rw, &http.Cookie{Name: "session", Value: "1"})
			next(rw, state)
		}
	}
	w.answering(answers{cookie(refusal), cookie(refusal), cookie(login)})
	q := w.challengeQuestion()
	q.AuthorizationEndpoint += "?tenant=a"
	if got, err := w.examiner(t, Options{}).ChallengeRequired(t.Context(), q); err != nil || got != authserver.Yes {
		t.Fatalf("got %d, %v", got, err)
	}
	challenge := regexp.MustCompile("^[A-Za-z0-9._~-]{43,128}$")
	var methods, states []string
	for _, r := range w.asked() {
		if r.method != http.MethodGet || r.authorization != "" || r.header.Get("Cookie") != "" ||
			!strings.HasPrefix(r.header.Get("Accept"), "text/html") {
			t.Errorf("%s with %v", r.method, r.header)
		}
		methods, states = append(methods, r.params.Get("code_challenge_method")), append(states, r.params.Get("state"))
		if has := r.params.Has("code_challenge"); has != (r.params.Get("code_challenge_method") != "") ||
			has && !challenge.MatchString(r.params.Get("code_challenge")) {
			t.Errorf("challenge %q", r.params["code_challenge"])
		}
		for _, name := range []string{"state", "code_challenge", "code_challenge_method"} {
			r.params.Del(name)
		}
		want := url.Values{
			"tenant": {"a"}, "response_type": {"code"}, "client_id": {"client-1"}, "redirect_uri": {redirect},
			"scope": {"files:read notes:read"}, "resource": {resource},
		}
		if !cmp.Equal(r.params, want) {
			t.Error(cmp.Diff(want, r.params))
		}
	}
	if !slices.Equal(methods, []string{"", "plain", "S256"}) {
		t.Errorf("asked with %q", methods)
	}
	slices.Sort(states)
	if slices.Contains(states, "") || len(slices.Compact(states)) != 3 {
		t.Errorf("states %q", states)
	}
}

func TestNothingMoreIsAskedThanNeeded(t *testing.T) {
	for name, test := range map[string]struct {
		answers answers
		want    int
	}{
		"led on at once":     {all(login), 1},
		"led on with plain":  {answers{refusal, login, login}, 2},
		"unclear without it": {answers{page(404), refusal, login}, 2},
		"refused twice":      {answers{refusal, refusal, login}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answering(test.answers)
			if _, err := w.examiner(t, Options{}).ChallengeRequired(t.Context(), w.challengeQuestion()); err != nil {
				t.Fatal(err)
			}
			if got := len(w.asked()); got != test.want {
				t.Errorf("%d requests, want %d", got, test.want)
			}
		})
	}
}

func TestNothingIsAskedElsewhere(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*authserver.ChallengeQuestion){
		"a foreign endpoint":         func(q *authserver.ChallengeQuestion) { q.AuthorizationEndpoint = "https://elsewhere.example/authorize" },
		"no endpoint":                func(q *authserver.ChallengeQuestion) { q.AuthorizationEndpoint = "" },
		"an endpoint with fragment":  func(q *authserver.ChallengeQuestion) { q.AuthorizationEndpoint += "#x" },
		"no client":                  func(q *authserver.ChallengeQuestion) { q.ClientID = "" },
		"no redirect URI":            func(q *authserver.ChallengeQuestion) { q.RedirectURI = "" },
		"a relative redirect URI":    func(q *authserver.ChallengeQuestion) { q.RedirectURI = "/callback" },
		"a redirect URI with a user": func(q *authserver.ChallengeQuestion) { q.RedirectURI = "https://a:b@app.example.com/" },
		"a broken redirect URI":      func(q *authserver.ChallengeQuestion) { q.RedirectURI = "https://[" },
		"a redirect with fragment":   func(q *authserver.ChallengeQuestion) { q.RedirectURI += "#x" },
	} {
		q := w.challengeQuestion()
		change(&q)
		if got, err := w.examiner(t, Options{}).ChallengeRequired(t.Context(), q); err != nil || got != authserver.Unclear {
			t.Errorf("%s: got %d, %v", name, got, err)
		}
	}
	if asked := w.asked(); len(asked) != 0 {
		t.Errorf("asked: %v", asked)
	}
}

func TestAServerThatCannotSayNow(t *testing.T) {
	busy := func(status int) reply {
		return func(w http.ResponseWriter, _ string) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(status)
		}
	}
	for name, test := range map[string]struct {
		answers answers
		after   time.Duration
	}{
		"429 at once":                     {all(busy(429)), 7 * time.Second},
		"503 at the second":               {answers{refusal, busy(503), login}, 7 * time.Second},
		"503 at the control":              {answers{refusal, refusal, busy(503)}, 7 * time.Second},
		"a location that is no URL":       {all(to("http://[::1")), 0},
		"500":                             {all(page(500)), 0},
		"temporarily at the redirect URI": {all(to(redirect + "?error=temporarily_unavailable&state=STATE")), 0},
		"a server error there":            {all(to(redirect + "?error=server_error&state=STATE")), 0},
		"a closed connection":             {all(func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }), 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.answering(test.answers)
			got, err := w.examiner(t, Options{}).ChallengeRequired(t.Context(), w.challengeQuestion())
			var failure *authserver.Error
			if !errors.As(err, &failure) || failure.Kind != authserver.Unavailable || failure.RetryAfter != test.after || got != authserver.Unclear {
				t.Errorf("got %d, %v", got, err)
			}
		})
	}
}

func TestAnEndlessPageIsCutOff(t *testing.T) {
	w := newWorld(t)
	endless := func(rw http.ResponseWriter, _ string) {
		rw.Header().Set("Content-Type", "text/html")
		for chunk := strings.Repeat("x", 1<<16); ; {
			if _, err := io.WriteString(rw, chunk); err != nil {
				return
			}
		}
	}
	w.answering(answers{refusal, refusal, endless})
	if got, err := w.examiner(t, Options{}).ChallengeRequired(t.Context(), w.challengeQuestion()); err != nil || got != authserver.Yes {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestNoAnswerInTime(t *testing.T) {
	w := newWorld(t)
	w.authorize = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	_, err := w.examiner(t, Options{Timeout: 50 * time.Millisecond}).ChallengeRequired(t.Context(), w.challengeQuestion())
	var failure *authserver.Error
	if !errors.As(err, &failure) || failure.Kind != authserver.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if strings.Contains(err.Error(), "client-1") || strings.Contains(err.Error(), "http") {
		t.Errorf("the error quotes the request: %v", err)
	}
}

func TestConfigsThatCannotBeUsed(t *testing.T) {
	for name, config := range map[string]authserver.Config{
		"no issuer":         {},
		"plain http":        {Issuer: "http://as.example"},
		"no bundle":         {Issuer: "https://as.example", CABundle: []byte("none")},
		"issuer with query": {Issuer: "https://as.example?x"},
	} {
		_, err := New(config, Options{Now: time.Now})
		var failure *authserver.Error
		if !errors.As(err, &failure) || failure.Kind != authserver.Rejected {
			t.Errorf("%s: %v", name, err)
		}
	}
}
