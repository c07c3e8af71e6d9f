// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	pathHydraClients = "/admin/clients"
	pathHydraTokens  = "/admin/oauth2/tokens"

	hydraPage        = 100
	hydraLargestPage = 500
)

var (
	errHydraTaken   = &hydraError{http.StatusConflict, "Unable to insert or update resource because a resource with that value exists already", ""}
	errHydraUnknown = &hydraError{http.StatusNotFound, "Unable to locate the resource", ""}
)

// hydraError is an error as Hydra writes it: a sentence where others have a
// code.
type hydraError struct {
	status      int
	text        string
	description string
}

func (e *hydraError) Error() string { return e.text + ": " + e.description }

func hydraMalformed(description string) error {
	return &hydraError{http.StatusBadRequest, "The request was malformed or contained invalid parameters", description}
}

func hydraInvalid(description string) error {
	return &hydraError{http.StatusBadRequest, codeInvalidMetadata, description}
}

// classifyHydra tells the operation of a request to Hydra's admin API.
func classifyHydra(r *http.Request) (o Operation, clientID string) {
	switch {
	case r.URL.Path == pathHydraClients && r.Method == http.MethodPost:
		return Register, ""
	case r.URL.Path == pathHydraClients && r.Method == http.MethodGet:
		return List, ""
	case r.URL.Path == pathHydraTokens && r.Method == http.MethodDelete:
		return EndTokens, r.URL.Query().Get("client_id")
	}
	id, ok := strings.CutPrefix(r.URL.Path, pathHydraClients+"/")
	if o, known := operationByMethod[r.Method]; ok && known {
		return o, id
	}
	return Other, ""
}

// hydraRoutes are those of Hydra's admin API that concern clients. It asks for
// no credential, as Hydra does not.
func (s *Server) hydraRoutes() http.Handler {
	mux := http.NewServeMux()
	client := pathHydraClients + "/{id}"
	for pattern, act := range map[string]func(r *http.Request) (status int, answer any, err error){
		"POST " + pathHydraClients:  s.hydraCreate,
		"GET " + client:             s.hydraGet,
		"PUT " + client:             s.hydraSet,
		"DELETE " + client:          s.hydraDelete,
		"DELETE " + pathHydraTokens: s.hydraEndTokens,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			status, answer, err := act(r)
			hydraAnswer(w, status, answer, err)
		})
	}
	mux.HandleFunc("GET "+pathHydraClients, s.hydraList)
	return notFromBrowsers(mux)
}

func hydraAnswer(w http.ResponseWriter, status int, answer any, err error) {
	var failure *hydraError
	switch {
	case errors.As(err, &failure):
		writeJSON(w, failure.status, map[string]string{"error": failure.text, "error_description": failure.description})
	case err != nil:
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "The error is unrecognizable", "error_description": err.Error()})
	case answer == nil:
		w.WriteHeader(status)
	default:
		writeJSON(w, status, answer)
	}
}

func (s *Server) hydraCreate(r *http.Request) (int, any, error) {
	sent, err := readHydra(r)
	if err != nil {
		return 0, nil, err
	}
	switches := s.Switches()
	rec := sent.record(switches, s.clock.Now())
	noteClient(r.Context(), rec.id)
	if !s.registry.insert(rec) {
		return 0, nil, errHydraTaken
	}
	answer := rec.hydraAnswer()
	if rec.AuthMethod != methodNone {
		answer["client_secret"] = rec.secret
	}
	answer["registration_access_token"] = rec.token
	answer["registration_client_uri"] = s.Issuer() + "/oauth2/register/" + rec.id
	return http.StatusCreated, answer, nil
}

func (s *Server) hydraGet(r *http.Request) (int, any, error) {
	rec, ok := s.registry.get(r.PathValue("id"))
	if !ok || rec.hydra == nil {
		return 0, nil, errHydraUnknown
	}
	return http.StatusOK, rec.hydraAnswer(), nil
}

// hydraSet replaces a client. The id is that of the path, whatever is sent; the
// secret stays if none is sent; everything else that is not sent is gone.
func (s *Server) hydraSet(r *http.Request) (int, any, error) {
	sent, err := readHydra(r)
	if err != nil {
		return 0, nil, err
	}
	var answer map[string]any
	err = s.registry.override(r.PathValue("id"), func(rec *record) (*record, error) {
		next := sent.record(s.Switches(), rec.created)
		next.id, next.token = rec.id, rec.token
		if sent.Secret == "" {
			next.secret = rec.secret
		}
		answer = next.hydraAnswer()
		if sent.Secret != "" {
			answer["client_secret"] = sent.Secret
		}
		return next, nil
	})
	if errors.Is(err, errUnknownClient) {
		return 0, nil, errHydraUnknown
	}
	return http.StatusOK, answer, err
}

func (s *Server) hydraDelete(r *http.Request) (int, any, error) {
	if err := s.Remove(r.PathValue("id")); errors.Is(err, errUnknownClient) {
		return 0, nil, errHydraUnknown
	} else if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, nil
}

// hydraEndTokens deletes the access tokens of a client, known or not.
func (s *Server) hydraEndTokens(r *http.Request) (int, any, error) {
	id := r.URL.Query().Get("client_id")
	if id == "" {
		return 0, nil, &hydraError{http.StatusBadRequest, "invalid_request", "Query parameter 'client_id' is not defined but it should have been."}
	}
	s.grants.endAccess(id)
	return http.StatusNoContent, nil, nil
}

// hydraList is a page of clients in the order of their ids. A page_token says
// after which id it begins, so that what is deleted meanwhile moves nothing.
func (s *Server) hydraList(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	size := hydraPage
	if n, err := strconv.Atoi(query.Get("page_size")); err == nil && n > 0 {
		size = min(n, hydraLargestPage)
	}
	after, err := base64.RawURLEncoding.DecodeString(query.Get("page_token"))
	if err != nil {
		hydraAnswer(w, 0, nil, hydraMalformed("Unable to parse pagination parameters: invalid page token, do not craft your own page tokens"))
		return
	}
	matches := func(rec *record) bool {
		return rec.hydra != nil && rec.id > string(after) && (query.Get("owner") == "" || query.Get("owner") == rec.hydra.Owner) &&
			(query.Get("client_name") == "" || query.Get("client_name") == rec.ClientName)
	}
	recs := s.registry.byID(matches)
	link := hydraLink(r.URL, size, "", "first")
	if len(recs) > size {
		recs = recs[:size]
		link += "," + hydraLink(r.URL, size, recs[size-1].id, "next")
	}
	w.Header().Set("Link", link)
	answer := make([]map[string]any, 0, len(recs))
	for _, rec := range recs {
		answer = append(answer, rec.hydraAnswer())
	}
	writeJSON(w, http.StatusOK, answer)
}

func hydraLink(from *url.URL, size int, after, rel string) string {
	query := from.Query()
	query.Set("page_size", strconv.Itoa(size))
	query.Del("page_token")
	if after != "" {
		query.Set("page_token", base64.RawURLEncoding.EncodeToString([]byte(after)))
	}
	return "<" + from.Path + "?" + query.Encode() + ">; rel=\"" + rel + "\""
}

func readHydra(r *http.Request) (*hydraClient, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, hydraMalformed("Unable to read the request body")
	}
	return parseHydra(body)
}

// hydraAudience is the audience of a token for the audiences asked for: those
// that are registered, and none where none is asked for. The resource
// indicators of RFC 8707 are ignored.
func (rec *record) hydraAudience(form url.Values) ([]string, error) {
	var asked []string
	for _, value := range form["audience"] {
		asked = append(asked, strings.Fields(value)...)
	}
	for _, audience := range asked {
		if !slices.Contains(rec.hydra.Audience, audience) {
			return nil, errors.New("Requested audience '" + audience + "' has not been whitelisted by the OAuth 2.0 Client.")
		}
	}
	return asked, nil
}
