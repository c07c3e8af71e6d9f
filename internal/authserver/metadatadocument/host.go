// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package metadatadocument

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// What a host bears: more is answered with 429. All who ask share it: behind an
// ingress every request has the ingress's address.
const (
	defaultPerSecond = 500
	defaultInFlight  = 128
	maxHeaderBytes   = 8 << 10
)

// HostOptions are fixed for the life of a Host.
type HostOptions struct {
	// Now is the clock; required.
	Now func() time.Time
	// PerSecond bounds the requests per second; 0 means 500. Twice as many
	// may come at one time.
	PerSecond int
	// InFlight bounds the requests under way at one time; 0 means 128.
	InFlight int
}

// Host serves documents. It holds no documents itself but asks what is on
// record; only what an adapter of this process did a moment ago goes before
// that, because the record follows a little later. Without a record to ask,
// what adapters did is all there is.
type Host struct {
	now     func() time.Time
	limiter *rate.Limiter
	places  chan struct{}
	record  atomic.Pointer[authserver.Documents]
	acts    acts
	// closed says that nobody listens: nothing is served.
	closed bool
}

var _ http.Handler = (*Host)(nil)

// NewHost returns a host without documents.
func NewHost(o HostOptions) *Host {
	perSecond, inFlight := defaultPerSecond, defaultInFlight
	if o.PerSecond > 0 {
		perSecond = o.PerSecond
	}
	if o.InFlight > 0 {
		inFlight = o.InFlight
	}
	return &Host{
		now: o.Now, limiter: rate.NewLimiter(rate.Limit(perSecond), 2*perSecond), places: make(chan struct{}, inFlight),
	}
}

// Attach gives the host a record to ask.
func (h *Host) Attach(record authserver.Documents) { h.record.Store(&record) }

// Current says that the host serves: it knows what is on record.
func (h *Host) Current() bool {
	record := h.record.Load()
	return !h.closed && (record == nil || (*record).Current())
}

// NewHTTPServer returns a server of h and of nothing else. Its limits are for a
// listener that faces an ingress.
func NewHTTPServer(h *Host) *http.Server {
	return &http.Server{
		Handler:                      h,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            5 * time.Second,
		ReadTimeout:                  5 * time.Second,
		WriteTimeout:                 10 * time.Second,
		IdleTimeout:                  2 * time.Minute,
		MaxHeaderBytes:               maxHeaderBytes,
	}
}

// publish serves a document from now on, as far as what is on record does not
// hold it back.
func (h *Host) publish(path string, document authserver.Document) {
	h.acts.put(path, act{document: document, at: h.now()}, h.record.Load() != nil)
}

// withdraw serves a document no longer.
func (h *Host) withdraw(path string) {
	h.acts.put(path, act{withdrawn: true, at: h.now()}, h.record.Load() != nil)
}

// settled says that look knows about a document: it was withdrawn here, or what
// is on record is known.
func (h *Host) settled(path string) bool {
	done, acted := h.acts.of(path, h.now(), h.record.Load() != nil)
	return acted && done.withdrawn || h.Current()
}

// ServeHTTP answers one request: with a document that is served now, and
// otherwise with one and the same 404, whatever the reason. What a busy host or
// one that does not know the record answers does not depend on what was asked
// for.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case h.places <- struct{}{}:
		defer func() { <-h.places }()
	default:
		refuse(w, http.StatusTooManyRequests)
		return
	}
	now := h.now()
	switch {
	case !h.limiter.AllowN(now, 1):
		refuse(w, http.StatusTooManyRequests)
		return
	case !h.Current():
		refuse(w, http.StatusServiceUnavailable)
		return
	}
	// The path is compared as it was sent. Nothing is decoded, cleaned or cut
	// off, so that a document has one spelling, the one in client_id.
	document, served, err := h.look(r.Context(), r.RequestURI)
	switch {
	case err != nil:
		refuse(w, http.StatusServiceUnavailable)
	case !served || document.Held || ended(document, now), r.Method != http.MethodGet && r.Method != http.MethodHead:
		refuse(w, http.StatusNotFound)
	default:
		send(w, r, document, now)
	}
}

// look says what is to be said of a document: whether its client is there, and
// whether it is held back.
func (h *Host) look(ctx context.Context, path string) (authserver.Document, bool, error) {
	record := h.record.Load()
	done, acted := h.acts.of(path, h.now(), record != nil)
	if record == nil || acted && done.withdrawn {
		return done.document, acted && !done.withdrawn, nil
	}
	document, found, err := (*record).Document(ctx, path)
	switch {
	case err != nil:
		return authserver.Document{}, false, err
	case found && acted:
		document.Registered = done.document.Registered
		return document, true, nil
	case acted:
		// The record of a client that was just registered is on its way. When
		// the client ends is not known, so there must be no copies.
		done.document.CopySeconds, done.document.Held = 0, h.now().Sub(done.at) >= actAhead
		return done.document, true, nil
	}
	return document, found && !document.Pending, nil
}

func ended(d authserver.Document, now time.Time) bool {
	return !d.Until.IsZero() && !now.Before(d.Until)
}

// freshFor is for how many seconds a copy may be used: not beyond the end of
// the client, so that an end that is known beforehand leaves no copies behind.
func freshFor(d authserver.Document, now time.Time) int {
	if d.Until.IsZero() {
		return d.CopySeconds
	}
	return max(0, min(d.CopySeconds, int(d.Until.Sub(now)/time.Second)))
}

func send(w http.ResponseWriter, r *http.Request, d authserver.Document, now time.Time) {
	body, code := write(d.ID, d.Registered)
	if code != "" {
		refuse(w, http.StatusNotFound)
		return
	}
	tag, header := etag(body), w.Header()
	header.Set("Cache-Control", "max-age="+strconv.Itoa(freshFor(d, now))+", must-revalidate")
	header.Set("ETag", tag)
	header.Set("X-Content-Type-Options", "nosniff")
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	answer(w, http.StatusOK, body)
}

// matches is the comparison of If-None-Match (RFC 9110 section 13.1.2). Tags
// have no comma in them.
func matches(fields []string, tag string) bool {
	for _, field := range fields {
		for candidate := range strings.SplitSeq(field, ",") {
			candidate = strings.TrimSpace(candidate)
			if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
				return true
			}
		}
	}
	return false
}

// refuse answers without a document. Caches keep a 404 on their own unless they
// are told not to (RFC 9110 section 15.1).
func refuse(w http.ResponseWriter, status int) {
	body, header := []byte(http.StatusText(status)+"\n"), w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("X-Content-Type-Options", "nosniff")
	if status != http.StatusNotFound {
		header.Set("Retry-After", "2")
	}
	answer(w, status, body)
}

// answer writes the body out. An error means that whoever asked has gone.
func answer(w http.ResponseWriter, status int, body []byte) {
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil {
		return
	}
}
