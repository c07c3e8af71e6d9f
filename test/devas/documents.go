// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxDocument is how much of a document is read: section 8.7 of
// draft-ietf-oauth-client-id-metadata-document recommends 5 kilobytes.
const maxDocument = 5000

var (
	errNoDocument  = errors.New("there is no such document")
	errBadDocument = errors.New("the document is not one of this client")
)

// documents fetches Client ID Metadata Documents: a client whose id is an https
// URL is what the document there says, for as long as the document may be
// cached. It is in the registry meanwhile, and not when it cannot be fetched.
type documents struct {
	http      *http.Client
	registry  *registry
	grants    *grants
	supported []string
	now       func() time.Time

	mu     sync.Mutex
	copies map[string]docCopy
}

// docCopy is a document that was fetched.
type docCopy struct {
	record *record
	tag    string
	until  time.Time
}

func newDocuments(o Options, g *grants) *documents {
	if o.MetadataDocuments == nil {
		return nil
	}
	fetching := *o.MetadataDocuments
	fetching.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &documents{
		http: &fetching, registry: g.registry, grants: g, supported: o.ScopesSupported, now: g.clock.Now,
		copies: map[string]docCopy{},
	}
}

// before looks at the document of the client that a request names, and then
// passes the request on. That there is none is seen by the registry.
func (d *documents) before(next http.Handler) http.Handler {
	if d == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := clientNamed(r); strings.HasPrefix(id, "https://") {
			d.look(r.Context(), id)
		}
		next.ServeHTTP(w, r)
	})
}

// clientNamed is the client that a request says it is of, proven or not.
func clientNamed(r *http.Request) string {
	if c, ok := r.Context().Value(callKey{}).(*call); ok && c.clientID != "" {
		return c.clientID
	}
	parts := strings.Split(r.FormValue("client_assertion"), ".")
	if len(parts) != 3 {
		return ""
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Subject
}

// look makes the registry hold what the document of an id says now.
func (d *documents) look(ctx context.Context, id string) {
	d.mu.Lock()
	known, fetched := d.copies[id]
	d.mu.Unlock()
	if fetched && d.now().Before(known.until) {
		return
	}
	next, err := d.fetch(ctx, id, known)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.copies[id] = next
		d.registry.add(next.record)
		return
	}
	delete(d.copies, id)
	d.registry.drop(id)
	if errors.Is(err, errNoDocument) {
		d.grants.forget(id)
	}
}

// drop takes a client out, until it is there again.
func (g *registry) drop(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.clients, id)
}

// fetch gets a document, or is told that the copy is the same still.
func (d *documents) fetch(ctx context.Context, id string, known docCopy) (docCopy, error) {
	if !identifier(id) {
		return docCopy{}, errBadDocument
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, id, http.NoBody)
	if err != nil {
		return docCopy{}, err
	}
	request.Header.Set("Accept", "application/json")
	if known.tag != "" {
		request.Header.Set("If-None-Match", known.tag)
	}
	asked := d.now()
	response, err := d.http.Do(request)
	if err != nil {
		return docCopy{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxDocument+1))
	if err != nil {
		return docCopy{}, err
	}
	next := docCopy{record: known.record, tag: response.Header.Get("ETag"), until: asked.Add(freshness(response.Header))}
	switch {
	case response.StatusCode == http.StatusNotModified && known.record != nil:
		return next, nil
	case response.StatusCode == http.StatusNotFound, response.StatusCode == http.StatusGone:
		return docCopy{}, errNoDocument
	case response.StatusCode != http.StatusOK:
		return docCopy{}, fmt.Errorf("status %d", response.StatusCode)
	}
	next.record, err = d.read(id, response.Header.Get("Content-Type"), body)
	return next, err
}

// identifier says that a client id is a Client Identifier URL (section 3).
func identifier(id string) bool {
	parsed, err := url.Parse(id)
	return err == nil && parsed.Scheme == "https" && parsed.Host != "" && parsed.User == nil &&
		parsed.Path != "" && !strings.Contains(id, "#") &&
		!slices.ContainsFunc(strings.Split(parsed.Path, "/"), func(segment string) bool { return segment == "." || segment == ".." })
}

// freshness is for how long an answer may be cached (RFC 9111 section 4.2.1).
func freshness(header http.Header) time.Duration {
	seconds := 0
	for part := range strings.SplitSeq(header.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if n, err := strconv.Atoi(value); err == nil {
				seconds = n
			}
		}
	}
	age, err := strconv.Atoi(header.Get("Age"))
	if err != nil {
		age = 0
	}
	return time.Duration(seconds-age) * time.Second
}

// read checks a document (sections 4 and 4.1) and makes a client of it.
func (d *documents) read(id, contentType string, body []byte) (*record, error) {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") || len(body) > maxDocument {
		return nil, errBadDocument
	}
	var said struct {
		ClientID     string           `json:"client_id"`
		ClientName   string           `json:"client_name"`
		RedirectURIs *[]string        `json:"redirect_uris"`
		Secret       *json.RawMessage `json:"client_secret"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, errBadDocument
	}
	m, err := parseMetadata(body, d.supported)
	switch {
	case err != nil:
		return nil, err
	case said.ClientID != id, said.ClientName == "", said.RedirectURIs == nil, said.Secret != nil:
		return nil, errBadDocument
	case m.AuthMethod != methodNone && m.AuthMethod != methodPrivateKey:
		return nil, errBadDocument
	}
	return &record{metadata: m, id: id, token: rand.Text(), created: d.now()}, nil
}
