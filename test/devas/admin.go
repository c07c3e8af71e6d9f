// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
)

// Counts is the answer of GET /counts on the admin surface.
type Counts struct {
	// Counts are the requests by operation and status.
	Counts Counters `json:"counts"`
	// MaxInFlight is the highest number of requests in work at once.
	MaxInFlight int `json:"maxInFlight"`
}

// adminRoutes is the admin surface:
//
//	GET    /clients, /deleted, /counts, /log, /faults, /switches
//	DELETE /clients/{id}      Remove
//	PATCH  /clients/{id}      Amend, with the metadata to replace
//	POST   /faults            Order, with one Fault
//	DELETE /faults            ClearFaults
//	POST   /switches          Set, with only the switches to change
//	DELETE /switches          back to the switches of the start
//	DELETE /counts            ResetCounts
//	POST   /stop, /start      Stop and Start of the issuer
func (s *Server) adminRoutes() http.Handler {
	mux := http.NewServeMux()
	show := func(path string, value func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, value()) })
	}
	do := func(pattern string, act func(r *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { acknowledge(w, act(r)) })
	}
	show("/clients", func() any { return s.Clients() })
	show("/deleted", func() any { return append([]string{}, s.Deleted()...) })
	show("/counts", func() any { return Counts{Counts: s.Counts(), MaxInFlight: s.MaxInFlight()} })
	show("/log", func() any { return s.Log() })
	show("/faults", func() any { return append([]Fault{}, s.Faults()...) })
	show("/switches", func() any { return s.Switches() })
	do("DELETE /clients/{id}", func(r *http.Request) error { return s.Remove(r.PathValue("id")) })
	do("PATCH /clients/{id}", s.adminAmend)
	do("POST /faults", s.adminOrder)
	do("DELETE /faults", func(*http.Request) error { s.ClearFaults(); return nil })
	do("POST /switches", s.adminSwitches)
	do("DELETE /switches", func(*http.Request) error { return s.Set(s.options.Switches) })
	do("DELETE /counts", func(*http.Request) error { s.ResetCounts(); return nil })
	do("POST /stop", func(*http.Request) error { return s.Stop() })
	do("POST /start", func(r *http.Request) error { return s.serve(context.WithoutCancel(r.Context())) })
	return notFromBrowsers(mux)
}

// notFromBrowsers refuses what a web page could send to a port on loopback.
func notFromBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" || checkLoopback(r.Host) != nil {
			writeError(w, http.StatusForbidden, &protocolError{Code: "access_denied"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func acknowledge(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, errUnknownClient):
		writeError(w, http.StatusNotFound, &protocolError{Code: "invalid_request", Description: err.Error()})
	default:
		writeError(w, http.StatusBadRequest, &protocolError{Code: "invalid_request", Description: err.Error()})
	}
}

func (s *Server) adminAmend(r *http.Request) error {
	var fields map[string]any
	if err := decodeStrict(r, &fields); err != nil {
		return err
	}
	return s.Amend(r.PathValue("id"), fields)
}

func (s *Server) adminOrder(r *http.Request) error {
	var f Fault
	if err := decodeStrict(r, &f); err != nil {
		return err
	}
	return s.Order(f)
}

// adminSwitches changes the switches that are sent and keeps the others.
func (s *Server) adminSwitches(r *http.Request) error {
	next := s.Switches()
	next.OnlyScopes, next.OnlyGrantTypes = slices.Clone(next.OnlyScopes), slices.Clone(next.OnlyGrantTypes)
	if err := decodeStrict(r, &next); err != nil {
		return err
	}
	return s.Set(next)
}

// decodeStrict refuses unknown fields, so that a misspelt order is no order.
func decodeStrict(r *http.Request, value any) error {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	return decoder.Decode(value)
}
