// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const (
	adminName = "admin"
	formType  = "application/x-www-form-urlencoded"
)

// Answer is an HTTP answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Decode decodes the body as JSON.
func (a Answer) Decode(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(a.Body, into); err != nil {
		t.Fatalf("status %d: %v: %.200s", a.Status, err, a.Body)
	}
}

// Admin calls the Admin REST API as its first administrator: path goes on from
// /admin/realms. The answer may have any status.
func (s *Server) Admin(t testing.TB, method, path string, body any) Answer {
	t.Helper()
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	for _, renew := range []bool{false, true} {
		header := http.Header{"Authorization": {"Bearer " + s.adminToken(t, renew)}}
		if encoded != nil {
			header.Set("Content-Type", "application/json")
		}
		answer := s.send(t, method, s.URL+"/admin/realms"+path, header, encoded)
		if answer.Status != http.StatusUnauthorized {
			return answer
		}
	}
	t.Fatalf("%s %s: the administrator is refused", method, path)
	return Answer{}
}

// must is Admin for calls that succeed.
func (s *Server) must(t testing.TB, method, path string, body any) Answer {
	t.Helper()
	answer := s.Admin(t, method, path, body)
	if answer.Status/100 != 2 {
		t.Fatalf("%s %s: status %d: %.300s", method, path, answer.Status, answer.Body)
	}
	return answer
}

// created is must for calls that make something; it returns the new id.
func (s *Server) created(t testing.TB, path string, body any) string {
	t.Helper()
	location := s.must(t, http.MethodPost, path, body).Header.Get("Location")
	return location[strings.LastIndexByte(location, '/')+1:]
}

// Administrator is who administers the realm master, with the password: for programs of
// Keycloak's own.
func (s *Server) Administrator() (name, password string) { return adminName, s.password }

func (s *Server) adminToken(t testing.TB, renew bool) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != "" && !renew {
		return s.token
	}
	form := url.Values{
		"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {adminName}, "password": {s.password},
	}
	answer := s.send(t, http.MethodPost, s.URL+"/realms/master/protocol/openid-connect/token",
		http.Header{"Content-Type": {formType}}, []byte(form.Encode()))
	var said struct {
		AccessToken string `json:"access_token"`
	}
	answer.Decode(t, &said)
	s.token = said.AccessToken
	return s.token
}

func (s *Server) send(t testing.TB, method, target string, header http.Header, body []byte) Answer {
	t.Helper()
	answer, err := send(t.Context(), http.DefaultClient, method, target, header, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return answer
}

func send(
	ctx context.Context, client *http.Client, method, target string, header http.Header, body []byte,
) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	maps.Copy(request.Header, header)
	response, err := client.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer response.Body.Close()
	answer := Answer{Status: response.StatusCode, Header: response.Header}
	if answer.Body, err = io.ReadAll(response.Body); err != nil {
		return Answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	return answer, nil
}
