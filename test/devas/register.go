// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

// newRoutes are the routes of the issuer: the engine's, and those of
// registration and its management.
func (s *Server) newRoutes(engine http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", engine)
	if s.options.Hydra {
		s.hideRegistration(mux)
	} else {
		s.showRegistration(mux, engine)
	}
	mux.HandleFunc(pathAuthorize, func(w http.ResponseWriter, r *http.Request) {
		engine.ServeHTTP(w, r)
		if err := addIssuer(w.Header(), s.Issuer()); err != nil {
			writeError(w, http.StatusInternalServerError, &protocolError{Code: "server_error", Description: err.Error()})
		}
	})
	for _, path := range []string{pathToken, pathIntrospect, pathRevoke} {
		mux.Handle(path, challenged(engine))
	}
	return mux
}

// hideRegistration is what Ory Hydra does while its feature is off: it knows
// no registration endpoint, and of the metadata documents only that of OpenID
// Connect.
func (s *Server) hideRegistration(mux *http.ServeMux) {
	for _, path := range []string{pathOAuthServer, pathRegister, clientPathPrefix} {
		mux.HandleFunc(path, http.NotFound)
	}
}

func (s *Server) showRegistration(mux *http.ServeMux, engine http.Handler) {
	mux.HandleFunc(pathOAuthServer, func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = pathOpenID
		engine.ServeHTTP(w, r)
	})
	mux.HandleFunc("POST "+pathRegister, s.register)
	mux.HandleFunc("GET "+clientPathPrefix+"{id}", s.read)
	mux.HandleFunc("PUT "+clientPathPrefix+"{id}", s.replace)
	mux.HandleFunc("DELETE "+clientPathPrefix+"{id}", s.remove)
	mux.HandleFunc(pathRegister, notAllowed)
	mux.HandleFunc(clientPathPrefix+"{id}", notAllowed)
}

func notAllowed(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusMethodNotAllowed, &protocolError{Code: "invalid_request"})
}

// challenged adds the headers RFC 6749 asks for and the engine leaves out.
func challenged(engine http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _, basic := r.BasicAuth()
		if r.URL.Path == pathIntrospect && !basic && r.FormValue("client_assertion") == "" {
			writeError(w, http.StatusUnauthorized, &protocolError{Code: "invalid_client"})
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		engine.ServeHTTP(challenger{w}, r)
	})
}

type challenger struct {
	http.ResponseWriter
}

// WriteHeader implements http.ResponseWriter.
func (c challenger) WriteHeader(status int) {
	if status == http.StatusUnauthorized {
		c.Header().Set("WWW-Authenticate", `Basic realm="devas"`)
	}
	c.ResponseWriter.WriteHeader(status)
}

func (s *Server) register(w http.ResponseWriter, r *http.Request) {
	if want := s.options.InitialAccessToken; want != "" && !sameSecret(want, bearer(r)) {
		refuse(w, errUnauthorized)
		return
	}
	body, err := readJSON(r)
	if err != nil {
		refuse(w, err)
		return
	}
	m, err := parseMetadata(body, s.options.ScopesSupported)
	if err != nil {
		refuse(w, err)
		return
	}
	switches := s.Switches()
	m.bend(switches)
	rec := newRecord(m, switches, s.clock.Now())
	s.registry.add(rec)
	noteClient(r.Context(), rec.id)
	s.tell(w, http.StatusCreated, rec, switches)
}

func (s *Server) read(w http.ResponseWriter, r *http.Request) {
	switches := s.Switches()
	rec, err := s.registry.manage(r.PathValue("id"), bearer(r), func(rec *record) (*record, error) {
		if switches.rotates(Read) {
			return rec.rotated(), nil
		}
		return rec, nil
	})
	if err != nil {
		refuse(w, err)
		return
	}
	s.tell(w, http.StatusOK, rec, switches)
}

func (s *Server) replace(w http.ResponseWriter, r *http.Request) {
	body, bodyErr := readJSON(r)
	switches := s.Switches()
	rec, err := s.registry.manage(r.PathValue("id"), bearer(r), func(rec *record) (*record, error) {
		if bodyErr != nil {
			return nil, bodyErr
		}
		return s.replacement(rec, body, switches)
	})
	if err != nil {
		refuse(w, err)
		return
	}
	s.tell(w, http.StatusOK, rec, switches)
}

// replacement is the record a PUT leads to (RFC 7592 section 2.2).
func (s *Server) replacement(rec *record, body []byte, switches Switches) (*record, error) {
	if err := checkReplacement(rec, body); err != nil {
		return nil, err
	}
	m, err := parseMetadata(body, s.options.ScopesSupported)
	if err != nil {
		return nil, err
	}
	m.bend(switches)
	next := rec.replaced(m, switches)
	if switches.rotates(Replace) {
		next = next.rotated()
	}
	return next, nil
}

func checkReplacement(rec *record, body []byte) error {
	var sent map[string]json.RawMessage
	if err := json.Unmarshal(body, &sent); err != nil {
		return invalidMetadata("the body is not a JSON object of client metadata")
	}
	for _, name := range []string{
		"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at",
	} {
		if _, ok := sent[name]; ok {
			return invalidMetadata("%s must not be sent", name)
		}
	}
	var own struct {
		ID     string  `json:"client_id"`
		Secret *string `json:"client_secret"`
	}
	if err := json.Unmarshal(body, &own); err != nil || own.ID != rec.id {
		return invalidMetadata("client_id must be sent and be that of the client")
	}
	if own.Secret != nil && !sameSecret(*own.Secret, rec.secret) {
		return invalidMetadata("client_secret is not that of the client")
	}
	return nil
}

func (s *Server) remove(w http.ResponseWriter, r *http.Request) {
	_, err := s.registry.manage(r.PathValue("id"), bearer(r), func(*record) (*record, error) { return gone, nil })
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) tell(w http.ResponseWriter, status int, rec *record, switches Switches) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	said := rec.answer(s.Issuer(), switches)
	if _, shown := said["client_secret"]; shown && switches.SecretMask != "" && status != http.StatusCreated {
		said["client_secret"] = switches.SecretMask
	}
	rewrite(said, switches.AnswerWith)
	writeJSON(w, status, said)
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return token
}

func readJSON(r *http.Request) ([]byte, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return nil, invalidMetadata("Content-Type must be application/json")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, invalidMetadata("the body cannot be read")
	}
	return body, nil
}

// refuse answers an error of registration or its management.
func refuse(w http.ResponseWriter, err error) {
	var protocol *protocolError
	switch {
	case errors.As(err, &protocol):
		writeError(w, http.StatusBadRequest, protocol)
	case errors.Is(err, errUnauthorized):
		writeError(w, http.StatusUnauthorized, &protocolError{Code: "invalid_token"})
	default:
		writeError(w, http.StatusInternalServerError, &protocolError{Code: "server_error", Description: err.Error()})
	}
}
