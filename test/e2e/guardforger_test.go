// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// forger is a development authorization server whose signing key is ours: what
// tokens say is up to the test. It registers and revokes clients as it should.
type forger struct {
	*devas.Server
	url string
	key *ecdsa.PrivateKey
}

func (w *world) startForger(t *testing.T) *forger {
	t.Helper()
	f := &forger{Server: w.startDevAS(t), key: newKey(t)}
	target, err := url.Parse(f.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = target.Host
			r.Out.Header.Del("Accept-Encoding")
		},
		ModifyResponse: f.renamed,
	}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.HandleFunc("GET /keys", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		// A client that left needs no keys.
		_ = json.NewEncoder(rw).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &f.key.PublicKey, KeyID: forgedKeyID, Algorithm: "ES256", Use: "sig"}}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

const forgedKeyID = "forged"

// renamed puts the forger's address in the place of the server's own.
func (f *forger) renamed(response *http.Response) error {
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	content = bytes.ReplaceAll(content, []byte(f.Issuer()), []byte(f.url))
	response.Body = io.NopCloser(bytes.NewReader(content))
	response.ContentLength = int64(len(content))
	response.Header.Set("Content-Length", strconv.Itoa(len(content)))
	return nil
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// forgery is what a token says.
type forgery map[string]any

// token is what a good token says.
func (f *forger) token(client, resource, scope string) forgery {
	now := time.Now()
	return forgery{
		"iss": f.url, "aud": resource, "client_id": client, "sub": client, "scope": scope, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
}

// with is the same with one claim changed.
func (c forgery) with(claim string, value any) forgery {
	changed := maps.Clone(c)
	changed[claim] = value
	return changed
}

// sign signs a token by the server's own key.
func (f *forger) sign(t *testing.T, said forgery) string {
	t.Helper()
	return signBy(t, jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: f.key, KeyID: forgedKeyID}}, said)
}

func signBy(t *testing.T, key jose.SigningKey, said forgery) string {
	t.Helper()
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jwt.Signed(signer).Claims(map[string]any(said)).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return signed
}
