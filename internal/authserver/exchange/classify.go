// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
)

// longestRetryAfter bounds what a server may ask for.
const longestRetryAfter = time.Hour

// knownCodes are the error codes of RFC 6749 §5.2, RFC 6750 §3.1 and RFC 7591
// §3.2.2.
var knownCodes = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
	"unsupported_grant_type", "invalid_scope", "invalid_token", "insufficient_scope",
	"invalid_redirect_uri", "invalid_client_metadata",
	"invalid_software_statement", "unapproved_software_statement",
}

// Classify turns an answer that is not the expected one into an error. It is
// the only judge of HTTP statuses that are not success. Only what the server
// itself says is a refusal: see Voice. Of the rest nobody knows what was done
// behind it, but that who asks for patience has done nothing.
func (e *Exchange) Classify(c Call, a Answer) *authserver.Error {
	failure := &authserver.Error{Op: c.Op, Status: a.Status, Kind: authserver.Unavailable}
	switch a.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		failure.RetryAfter = retryAfter(a.Header.Get("Retry-After"), answered(a.Header, e.options.Now()))
		// A proxy says 503 too when the connection behind it broke; only with
		// Retry-After is it the server that turned the request away.
		failure.MaybeApplied = c.Effect && a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") == ""
		return failure
	case http.StatusTooEarly:
		return failure
	}
	failure.MaybeApplied = c.Effect
	switch class := a.Status / 100; {
	case class == 3:
		failure.Code = CodeRedirectRefused
		return failure
	case class != 4 && a.Status != http.StatusNotImplemented, a.Status == http.StatusRequestTimeout:
		return failure
	case e.Refusal(a) == Strange:
		failure.Code = CodeNotTheServer
		if a.Status == http.StatusNotFound && c.Nowhere != "" {
			failure.Code = c.Nowhere
		}
		return failure
	}
	failure.MaybeApplied = false
	failure.Kind, failure.Code = refusal(c, a)
	failure.Quote = quoteOfRefusal(c, a)
	return failure
}

// refusal is what a status means that the server itself gave.
func refusal(c Call, a Answer) (authserver.Kind, string) {
	switch a.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return authserver.Unauthorized, ErrorCode(a)
	case http.StatusConflict:
		return authserver.Conflict, ""
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return authserver.Rejected, c.Missing
	}
	return authserver.Rejected, ErrorCode(a)
}

// Useless is for an answer that says success but cannot be used: err says why,
// where it is all there.
func Useless(c Call, a Answer, err error) *authserver.Error {
	failure := &authserver.Error{
		Kind: authserver.Unavailable, Op: c.Op, Status: a.Status,
		Code: CodeUndecodable, MaybeApplied: c.Effect, Err: err,
	}
	switch {
	case errors.Is(a.BodyErr, dialguard.ErrTooLarge):
		failure.Code, failure.Err = CodeTooLarge, nil
	case a.BodyErr != nil:
		failure.Code, failure.Err = "", Cause(a.BodyErr)
	}
	return failure
}

// unanswered is for a request without an answer.
func unanswered(c Call, err error, sent bool) *authserver.Error {
	failure := &authserver.Error{
		Kind: authserver.Unavailable, Op: c.Op, MaybeApplied: sent && c.Effect, Err: Cause(err),
	}
	if _, refused := errors.AsType[*dialguard.RefusedError](err); refused {
		failure.Code = CodeAddressRefused
	}
	return failure
}

// ErrorCode returns the error code of an answer if it is a known one, in the
// server's own form.
func ErrorCode(a Answer) string {
	if !refuses(a) {
		return ""
	}
	fields, err := LookInto(a.Body)
	if err != nil {
		return ""
	}
	code := fields.Shown("error", 64)
	if !slices.Contains(knownCodes, code) {
		return ""
	}
	return code
}

// Read reads the object that an answer of success must be, in the server's own
// form but for the members, which are for the caller to see to.
func Read(c Call, a Answer) (*Object, error) {
	if err := unread(c, a); err != nil {
		return nil, err
	}
	fields, err := LookInto(a.Body)
	if err != nil {
		return nil, Useless(c, a, err)
	}
	return fields, nil
}

// ReadList reads the list that an answer of success must be, as Read reads an
// object. An empty one has no members that speak for it: it must call itself JSON.
func ReadList(c Call, a Answer) ([]*Object, error) {
	if err := unread(c, a); err != nil {
		return nil, err
	}
	list, err := LookThrough(a.Body)
	if err != nil {
		return nil, Useless(c, a, err)
	}
	if len(list) == 0 && len(a.Header.Values("Content-Type")) == 0 {
		return nil, notTheServer(c, a)
	}
	return list, nil
}

// unread is why an answer of success is not even to be decoded.
func unread(c Call, a Answer) error {
	if a.BodyErr != nil {
		return Useless(c, a, nil)
	}
	if !a.typed() {
		return notTheServer(c, a)
	}
	return nil
}

// notTheServer is for an answer of success that nothing shows to be the server's.
func notTheServer(c Call, a Answer) error {
	failure := Useless(c, a, nil)
	failure.Code = CodeNotTheServer
	return failure
}

// retryAfter reads both forms of Retry-After (RFC 9110 §10.2.3), clamped to
// between nothing and an hour.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return longestRetryAfter
		}
		return min(time.Duration(seconds)*time.Second, longestRetryAfter)
	}
	until, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(until.Sub(now), 0), longestRetryAfter)
}

// answered is the present by the clock that an answer was written by: its Date
// header (RFC 9110 §6.6.1), or now where there is none.
func answered(header http.Header, now time.Time) time.Time {
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		return date
	}
	return now
}
