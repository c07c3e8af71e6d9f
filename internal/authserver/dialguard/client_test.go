// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dialguard

import (
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func client(t *testing.T, options Options) *http.Client {
	t.Helper()
	options.Rules.Loopback = true
	c, err := NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func get(t *testing.T, c *http.Client, target string) (*http.Response, []byte, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return answer, body, err
}

func TestT4BodiesAreBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/exact" {
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("x", 5<<20))
	}))
	defer server.Close()
	c := client(t, Options{Origin: server.URL})
	if _, body, err := get(t, c, server.URL+"/exact"); err != nil || len(body) != 1<<20 {
		t.Errorf("1 MiB: %d bytes, %v", len(body), err)
	}
	if _, body, err := get(t, c, server.URL+"/more"); !errors.Is(err, ErrTooLarge) || len(body) != 1<<20 {
		t.Errorf("5 MiB: %d bytes, %v", len(body), err)
	}
}

func TestHeadersAreBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Large", strings.Repeat("x", 1<<20))
	}))
	defer server.Close()
	if _, _, err := get(t, client(t, Options{Origin: server.URL}), server.URL); err == nil {
		t.Error("a header of 1 MiB is accepted")
	}
}

func TestT1RedirectsAreNotFollowed(t *testing.T) {
	var others atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { others.Add(1) }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	answer, _, err := get(t, client(t, Options{Origin: server.URL}), server.URL)
	if err != nil || answer.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("answer %v, error %v", answer, err)
	}
	if others.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

func TestTheEnvironmentNamesNoProxy(t *testing.T) {
	var proxied atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	t.Setenv("ALL_PROXY", proxy.URL)
	c, err := NewClient(Options{Origin: "https://as.invalid", Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	guarded, ok := c.Transport.(*pinned)
	if !ok || guarded.next.Proxy != nil {
		t.Error("a proxy function is set")
	}
	if _, _, err := get(t, c, "https://as.invalid/"); err == nil || proxied.Load() != 0 {
		t.Errorf("error %v, %d requests at the proxy", err, proxied.Load())
	}
}

func TestCertificatesAreVerified(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	if _, _, err := get(t, client(t, Options{Origin: server.URL}), server.URL); err == nil {
		t.Error("an unknown authority is trusted")
	}
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if _, _, err := get(t, client(t, Options{Origin: server.URL, CABundle: bundle}), server.URL); err != nil {
		t.Errorf("the bundle is not trusted: %v", err)
	}
	if _, err := NewClient(Options{Origin: server.URL, CABundle: []byte("none")}); err == nil {
		t.Error("a bundle without certificates is accepted")
	}
}

func TestRequestsAreBoundedInTime(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	_, _, err := get(t, client(t, Options{Origin: server.URL, Timeout: 50 * time.Millisecond}), server.URL)
	if err == nil {
		t.Error("no error after the time was up")
	}
}
