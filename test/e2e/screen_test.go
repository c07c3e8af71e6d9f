// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// screen is where clients open the browser of a person, who logs in and consents to
// everything. It goes wherever a client sends it, to the client's redirect URI.
type screen struct {
	account

	// url is what a URL to open is appended to.
	url      string
	redirect string
	client   *http.Client

	mu       sync.Mutex
	openings []opening
}

// opening is one time that a client opened the browser.
type opening struct {
	at     time.Time
	scopes []string
	// shown is the page of the authorization server that the person ended at; empty
	// where they came back to the client.
	shown string
	// failure is the error that they came back with.
	failure string
}

// mostRedirects is how often a browser follows a redirect.
const mostRedirects = 20

func newScreen(t *testing.T, who account, redirect string) *screen {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{account: who, redirect: redirect}
	s.client = &http.Client{Jar: jar, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		switch {
		case strings.HasPrefix(next.URL.String(), redirect+"?"):
			return http.ErrUseLastResponse
		case len(via) > mostRedirects:
			return errors.New("the authorization server goes on redirecting")
		}
		return nil
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A client that does not wait for the browser must not end it.
		shown, err := s.open(context.WithoutCancel(r.Context()), r.URL.Query().Get("url"))
		if err == nil {
			err = json.NewEncoder(w).Encode(map[string]string{"shown": shown})
		}
		if err != nil {
			t.Errorf("the browser: %v", err)
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL + "/open?url="
	return s
}

// open goes through login and consent and takes what comes of it to the client.
func (s *screen) open(ctx context.Context, address string) (shown string, err error) {
	asked, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.openings = append(s.openings, opening{at: time.Now(), scopes: strings.Fields(asked.Query().Get("scope"))})
	this := &s.openings[len(s.openings)-1]
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	response, page, err := fetch(ctx, s.client, http.MethodGet, address, nil)
	for range mostPages {
		if err != nil {
			return "", err
		}
		action, form := s.fill(page)
		if form == nil || response.StatusCode != http.StatusOK {
			break
		}
		next, wrong := response.Request.URL.Parse(action)
		if wrong != nil {
			return "", wrong
		}
		response, page, err = fetch(ctx, s.client, http.MethodPost, next.String(), form)
	}
	location, missing := response.Location()
	if err != nil || missing != nil {
		this.shown = cmp.Or(response.Status, "nothing")
		return this.shown, err
	}
	this.at, this.failure = time.Now(), location.Query().Get("error")
	return "", s.bring(ctx, location.String())
}

// bring goes to the redirect URI. Some clients listen there only after they opened the
// browser.
func (s *screen) bring(ctx context.Context, address string) error {
	for {
		_, _, err := fetch(ctx, s.client, http.MethodGet, address, nil)
		if err == nil || !errors.Is(err, syscall.ECONNREFUSED) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(often):
		}
	}
}

// seen are all openings until now; it waits for one that is under way.
func (s *screen) seen() []opening {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.openings)
}
