// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"context"
	"errors"
	"net/http"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/exchange"
)

// verdict is what is known of a client after its management endpoint, and
// where that is ambiguous the second witness, was asked.
type verdict int

const (
	doubtful verdict = iota
	alive
	gone
)

// finding is a verdict with what it rests on: the answer of a client that is
// alive, or the error to return in doubt.
type finding struct {
	verdict verdict
	answer  exchange.Answer
	doubt   error
}

func (s *Server) manage(op, method string, handle authserver.Handle) exchange.Call {
	return exchange.Call{
		Op: op, Method: method, URL: handle.ManagementURI,
		Authorization: exchange.Bearer(handle.ManagementToken),
		Effect:        true, Missing: CodeManagementUnsupported,
	}
}

// manageable refuses handles with which the management endpoint cannot, or
// must not, be asked.
func (s *Server) manageable(c exchange.Call, handle authserver.Handle) *authserver.Error {
	failure := &authserver.Error{Kind: authserver.Rejected, Op: c.Op}
	switch {
	case handle.ManagementURI == "", handle.ManagementToken.IsZero():
		failure.Code = CodeManagementUnsupported
	case !s.exchange.Ours(handle.ManagementURI):
		failure.Code = CodeForeignManagementURI
	default:
		return nil
	}
	return failure
}

// ask sends a GET or DELETE to the management endpoint. A refused token, or an
// endpoint that is not found, proves nothing by itself: a stale token and an
// unknown client look the same. After a deletion that was accepted it does, in
// the server's own form, but for a token that ran out.
func (s *Server) ask(ctx context.Context, c exchange.Call, handle authserver.Handle) (finding, error) {
	if err := s.manageable(c, handle); err != nil {
		return s.hearWitness(ctx, c, handle, err)
	}
	got, err := s.exchange.Send(ctx, c)
	if err != nil {
		return finding{}, err
	}
	switch {
	case c.Method == http.MethodDelete && got.Done(), c.Method == http.MethodGet && got.Status == http.StatusOK:
		return finding{verdict: alive, answer: got}, nil
	case !unknown(got.Status) && got.Status != http.StatusForbidden:
		return finding{}, s.exchange.Classify(c, got)
	}
	return s.doubt(ctx, c, handle, got)
}

// doubt settles what a refusal means.
func (s *Server) doubt(
	ctx context.Context, c exchange.Call, handle authserver.Handle, got exchange.Answer,
) (finding, error) {
	doubt := s.refusal(c, got)
	if doubt.Kind == authserver.Unauthorized && s.exchange.RanOut(got, handle.ManagementToken) {
		doubt.Code = CodeTokenExpired
		return s.hearWitness(ctx, c, handle, doubt)
	}
	if handle.Deleted && unknown(got.Status) {
		return s.confirm(ctx, c, handle, got, doubt)
	}
	return s.hearWitness(ctx, c, handle, doubt)
}

// unknown says that a status may mean that there is no such client.
func unknown(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusNotFound || status == http.StatusGone
}

// confirm says what a refusal means after a deletion that was accepted. One in
// the server's own form is proof; where anybody could have given it, or the token
// may be an old one, only if the token endpoint does not know the client either,
// as far as it can be asked.
func (s *Server) confirm(
	ctx context.Context, c exchange.Call, handle authserver.Handle, a exchange.Answer, doubt *authserver.Error,
) (finding, error) {
	voice := s.exchange.Refusal(a)
	switch {
	case voice == exchange.Strange:
		return s.hearWitness(ctx, c, handle, doubt)
	case handle.TokenDoubtful:
		return s.hearWitness(ctx, c, handle, doubt)
	case voice == exchange.Own && !handle.Uncertain, !s.askable(handle):
		return finding{verdict: gone}, nil
	}
	return s.hearWitness(ctx, c, handle, doubt)
}

// hearWitness settles a doubt, or returns it.
func (s *Server) hearWitness(
	ctx context.Context, c exchange.Call, handle authserver.Handle, doubt *authserver.Error,
) (finding, error) {
	said, err := s.witness(ctx, c.Op, handle)
	switch {
	case err != nil:
		if failure, ok := errors.AsType[*authserver.Error](err); ok {
			failure.MaybeApplied = failure.MaybeApplied || doubt.MaybeApplied
		}
		return finding{}, err
	case said == refusesClient:
		return finding{verdict: gone}, nil
	case said == knowsClient && doubt.Status == http.StatusNotFound && doubt.Kind == authserver.Unauthorized:
		// The client is there, and its management endpoint is not.
		doubt.Code = CodeManagementUnsupported
	}
	return finding{verdict: doubtful, doubt: doubt}, nil
}

// refusal classifies an answer of the management endpoint, where 404 and 410
// say no more than 401: the server knows no such client under this token.
func (s *Server) refusal(c exchange.Call, a exchange.Answer) *authserver.Error {
	failure := s.exchange.Classify(c, a)
	if failure.Kind == authserver.Rejected && (a.Status == http.StatusNotFound || a.Status == http.StatusGone) {
		failure.Kind, failure.Code = authserver.Unauthorized, ""
	}
	return failure
}
