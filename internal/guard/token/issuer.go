// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package token

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

const (
	wellKnownOAuth  = "/.well-known/oauth-authorization-server"
	wellKnownOpenID = "/.well-known/openid-configuration"

	discoverOp = "discovering metadata"
	keysOp     = "reading the key set"

	requestLimit = 5 * time.Second
)

var (
	errNoMetadata   = errors.New("the issuer has no metadata")
	errOtherIssuer  = errors.New("the metadata is another issuer's")
	errDocuments    = errors.New("two metadata documents of the issuer contradict each other")
	errNoKeySet     = errors.New("the metadata names no jwks_uri")
	errKeySetPlace  = errors.New("the jwks_uri must be https; loopback is for issuers at loopback only")
	errForeignPlace = errors.New("the introspection endpoint must be on the issuer's origin, where its credential belongs")
)

// metadata is what is used of an issuer's metadata (RFC 8414 §2).
type metadata struct {
	keySet        string
	introspection string
}

// issuer is an authorization server whose tokens are verified.
type issuer struct {
	name     string
	options  exchange.Options
	origin   dialguard.Origin
	exchange *exchange.Exchange
	clock    clock.PassiveClock

	metadata kept[metadata]
	keys     kept[*keySet]

	introspection *Introspection
	asking        chan struct{}
	asked         singleflight.Group
	active        *lru.Cache
	inactive      *lru.Cache
}

func newIssuer(name string, options Options) (*issuer, error) {
	made := &issuer{name: name, clock: options.Clock, options: exchange.Options{
		Now: options.Clock.Now, CABundle: options.CABundle, AllowPrivate: options.AllowPrivate,
		MaxInFlight: mostAsking, Timeout: requestLimit,
	}}
	var err error
	if made.exchange, err = exchange.New(name, made.options); err != nil {
		return nil, err
	}
	if made.origin, err = dialguard.ParseOrigin(name); err != nil {
		return nil, err
	}
	made.metadata.fetch = made.discover
	made.keys.fetch = made.fetchKeys
	if asked, configured := options.Introspection[name]; configured {
		asked.CacheFor = cmp.Or(asked.CacheFor, usualCache)
		made.introspection = &asked
		made.asking = make(chan struct{}, mostAsking)
		made.active, made.inactive = lru.New(mostActive), lru.New(mostInactive)
	}
	return made, nil
}

// discover reads the metadata of the first place that has any, and completes what it
// lacks from the next one, which must not contradict it.
func (i *issuer) discover(ctx context.Context, _ metadata) (metadata, error) {
	var known metadata
	found := false
	for _, place := range i.wellKnown() {
		next, there, err := i.readPlace(ctx, place)
		if err != nil {
			return i.lacking(known, err)
		}
		if !there {
			continue
		}
		if known, err = known.with(next); err != nil {
			return metadata{}, err
		}
		if found = true; i.whole(known) {
			break
		}
	}
	if !found {
		return metadata{}, errNoMetadata
	}
	return known, nil
}

// whole reports whether metadata has all that is needed.
func (i *issuer) whole(known metadata) bool {
	return known.keySet != "" && (i.introspection == nil || known.introspection != "")
}

// lacking is what is known where the rest cannot be learnt: opaque tokens can be asked
// about, and JWTs wait for the key set. Documents of two issuers count for nothing.
func (i *issuer) lacking(known metadata, cause error) (metadata, error) {
	if i.introspection == nil || known.introspection == "" || errors.Is(cause, errOtherIssuer) {
		return metadata{}, cause
	}
	return known, nil
}

// with completes metadata with that of another place of the same issuer.
func (m metadata) with(other metadata) (metadata, error) {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	if differ(m.keySet, other.keySet) || differ(m.introspection, other.introspection) {
		return metadata{}, errDocuments
	}
	return metadata{
		keySet: cmp.Or(m.keySet, other.keySet), introspection: cmp.Or(m.introspection, other.introspection),
	}, nil
}

// readPlace reads the metadata of one place; there is false where it has none.
func (i *issuer) readPlace(ctx context.Context, place string) (read metadata, there bool, err error) {
	c := exchange.Call{Op: discoverOp, Method: http.MethodGet, URL: place}
	got, err := i.exchange.Send(ctx, c)
	switch {
	case err != nil:
		return metadata{}, false, err
	case got.Status == http.StatusOK:
		read, err = i.readMetadata(c, got)
		return read, err == nil, err
	case got.Status < 400 || got.Status >= 500 || got.Status == http.StatusTooManyRequests:
		return metadata{}, false, i.exchange.Classify(c, got)
	}
	return metadata{}, false, nil
}

// wellKnown returns the places of the metadata: RFC 8414 §3.1 puts its segment
// between host and path, as some servers do with that of OpenID Connect
// Discovery, whose §4 puts it after the path.
func (i *issuer) wellKnown() []string {
	path := ""
	if parsed, err := url.Parse(i.name); err == nil {
		path = strings.TrimSuffix(parsed.EscapedPath(), "/")
	}
	origin := i.exchange.Origin()
	places := []string{origin + wellKnownOAuth + path, origin + wellKnownOpenID + path}
	if path != "" {
		places = append(places, origin+path+wellKnownOpenID)
	}
	return places
}

// readMetadata compares the issuer byte by byte (RFC 8414 §3.3).
func (i *issuer) readMetadata(c exchange.Call, a exchange.Answer) (metadata, error) {
	if a.BodyErr != nil {
		return metadata{}, exchange.Useless(c, a, nil)
	}
	fields, err := exchange.DecodeObject(a.Body)
	if err != nil {
		return metadata{}, exchange.Useless(c, a, err)
	}
	named := fields.Text("issuer", exchange.LongText)
	read := metadata{
		keySet:        fields.Text("jwks_uri", exchange.LongText),
		introspection: fields.Text("introspection_endpoint", exchange.LongText),
	}
	if err := fields.Err(); err != nil {
		return metadata{}, exchange.Useless(c, a, err)
	}
	if named != i.name {
		return metadata{}, errOtherIssuer
	}
	return read, nil
}

// fetchKeys reads the key set, which is the last one where it has the same keys.
func (i *issuer) fetchKeys(ctx context.Context, last *keySet) (*keySet, error) {
	known, err := i.metadata.get(ctx, i.clock.Now())
	if err != nil {
		return nil, err
	}
	source, err := i.keySource(known.keySet)
	if err != nil {
		return nil, err
	}
	if source != i.exchange {
		defer source.Close()
	}
	c := exchange.Call{Op: keysOp, Method: http.MethodGet, URL: known.keySet}
	got, err := source.Send(ctx, c)
	switch {
	case err != nil:
		return nil, err
	case got.Status != http.StatusOK:
		return nil, source.Classify(c, got)
	case got.BodyErr != nil:
		return nil, exchange.Useless(c, got, nil)
	}
	read, err := readKeySet(got.Body)
	if err != nil {
		return nil, exchange.Useless(c, got, err)
	}
	if last != nil && last.print == read.print {
		return last, nil
	}
	return read, nil
}

// keySource is whom to ask for the key set. It may be on another origin than the
// issuer, but never on this machine where the issuer is not.
func (i *issuer) keySource(place string) (*exchange.Exchange, error) {
	if place == "" {
		return nil, errNoKeySet
	}
	if i.exchange.Ours(place) {
		return i.exchange, nil
	}
	origin, err := dialguard.ParseOrigin(place)
	if err != nil || origin.IsLoopback() && !i.origin.IsLoopback() {
		return nil, errKeySetPlace
	}
	return exchange.New(origin.String(), i.options)
}
