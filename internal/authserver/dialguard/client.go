// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dialguard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// idleTimeout is shorter than the five seconds after which common servers close
// a connection, so that a request rarely meets one that is being closed.
const idleTimeout = 3 * time.Second

const (
	defaultTimeout = 10 * time.Second
	handshakeLimit = 5 * time.Second
	defaultBody    = 1 << 20
	headerLimit    = 64 << 10
	defaultIdle    = 4
)

// ErrTooLarge is returned by the body of an answer beyond the limit.
var ErrTooLarge = errors.New("answer too large")

// Options says whom a client may talk to and within which limits.
type Options struct {
	// Origin is a URL whose scheme, host and port every request must share.
	Origin string
	// Rules says which classes of addresses may be dialled.
	Rules Rules
	// CABundle holds PEM certificates to trust in place of the system's.
	CABundle []byte
	// Timeout bounds a request with its answer; 0 means 10 s.
	Timeout time.Duration
	// MaxBody bounds the body of an answer in bytes; 0 means 1 MiB.
	MaxBody int64
	// MaxIdle is how many unused connections are kept; 0 means 4.
	MaxIdle int
	// Resolver looks up names; nil means the system's.
	Resolver Resolver
}

// NewClient returns a client bound by options. It does not follow redirects:
// their answer is returned as it is. It speaks HTTP/1.1 only, whose rules for
// sending a request again after a lost connection are those that its callers
// rely on.
func NewClient(options Options) (*http.Client, error) {
	origin, err := ParseOrigin(options.Origin)
	if err != nil {
		return nil, err
	}
	roots, err := pool(options.CABundle)
	if err != nil {
		return nil, err
	}
	if options.Resolver == nil {
		options.Resolver = net.DefaultResolver
	}
	guarded := newDialer(origin, options.Rules, options.Resolver)
	return newClient(origin, options, guarded, roots), nil
}

func newClient(origin Origin, options Options, guarded *dialer, roots *x509.CertPool) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	idle := positive(options.MaxIdle, defaultIdle)
	transport := &http.Transport{
		DialContext:            guarded.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    handshakeLimit,
		DisableCompression:     true,
		MaxIdleConns:           idle,
		MaxIdleConnsPerHost:    idle,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: headerLimit,
		Protocols:              protocols,
	}
	return &http.Client{
		Transport:     &pinned{origin: origin, limit: positive(options.MaxBody, defaultBody), next: transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       positive(options.Timeout, defaultTimeout),
	}
}

func positive[T int | int64 | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

// pool returns nil, the system's roots, for an empty bundle.
func pool(bundle []byte) (*x509.CertPool, error) {
	if len(bundle) == 0 {
		return nil, nil //nolint:nilnil // crypto/tls reads a nil pool as the system's roots
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, errors.New("the CA bundle holds no certificate in PEM form")
	}
	return roots, nil
}

type bodyKey struct{}

// WithMaxBody has the answer to a request with the context bounded by another limit
// in bytes than that of the client: for one that is read as it comes.
func WithMaxBody(ctx context.Context, limit int64) context.Context {
	return context.WithValue(ctx, bodyKey{}, limit)
}

// pinned refuses other origins and bounds answers.
type pinned struct {
	origin Origin
	limit  int64
	next   *http.Transport
}

// RoundTrip sends a request to the origin.
func (p *pinned) RoundTrip(req *http.Request) (*http.Response, error) {
	if !p.origin.Includes(req.URL) || !strings.EqualFold(req.URL.Host, hostOf(req)) {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &RefusedError{Reason: "the URL is not on the origin configured"}
	}
	answer, err := p.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	limit := p.limit
	if other, given := req.Context().Value(bodyKey{}).(int64); given {
		limit = other
	}
	answer.Body = &limited{body: answer.Body, left: limit}
	return answer, nil
}

// CloseIdleConnections lets http.Client close what is not in use.
func (p *pinned) CloseIdleConnections() { p.next.CloseIdleConnections() }

func hostOf(req *http.Request) string {
	if req.Host == "" {
		return req.URL.Host
	}
	return req.Host
}

type limited struct {
	body io.ReadCloser
	left int64
}

// Read returns ErrTooLarge once there is more than the limit.
func (l *limited) Read(buffer []byte) (int, error) {
	if int64(len(buffer)) > l.left+1 {
		buffer = buffer[:l.left+1]
	}
	n, err := l.body.Read(buffer)
	if int64(n) > l.left {
		return int(l.left), ErrTooLarge
	}
	l.left -= int64(n)
	return n, err
}

// Close closes the body.
func (l *limited) Close() error { return l.body.Close() }
