// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"context"
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
func (s *Server) manageable(c exchange.Call, handle authserver.Handle) error {
	failure := &authserver.Error{Kind: authserver.Rejected, Op: c.Op}
	switch {
	case handle.ClientID == "", handle.ManagementURI == "", handle.ManagementToken.IsZero():
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
// unknown client look the same.
func (s *Server) ask(ctx context.Context, c exchange.Call, handle authserver.Handle) (finding, error) {
	if err := s.manageable(c, handle); err != nil {
		return s.hearWitness(ctx, c, handle, err)
	}
	got, err := s.exchange.Send(ctx, c)
	if err != nil {
		return finding{}, err
	}
	switch {
	case got.Status == http.StatusOK, c.Method == http.MethodDelete && got.Status == http.StatusNoContent:
		return finding{verdict: alive, answer: got}, nil
	case got.Status == http.StatusUnauthorized, got.Status == http.StatusNotFound:
		if handle.Deleted {
			return finding{verdict: gone}, nil
		}
	case got.Status != http.StatusForbidden:
		return finding{}, s.exchange.Classify(c, got)
	}
	return s.hearWitness(ctx, c, handle, s.refusal(c, got))
}

// hearWitness settles a doubt, or returns it.
func (s *Server) hearWitness(
	ctx context.Context, c exchange.Call, handle authserver.Handle, doubt error,
) (finding, error) {
	absent, err := s.witness(ctx, c.Op, handle)
	switch {
	case err != nil:
		return finding{}, err
	case absent:
		return finding{verdict: gone}, nil
	}
	return finding{verdict: doubtful, doubt: doubt}, nil
}

// refusal classifies an answer of the management endpoint, where 404 says no
// more than 401: the server knows no such client under this token.
func (s *Server) refusal(c exchange.Call, a exchange.Answer) *authserver.Error {
	failure := s.exchange.Classify(c, a)
	if a.Status == http.StatusNotFound {
		failure.Kind, failure.Code = authserver.Unauthorized, ""
	}
	return failure
}
