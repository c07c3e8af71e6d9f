// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// answeredCase is what a fuzzed answer is to, and what must hold of it.
type answeredCase struct {
	w      *world
	server *Server
	handle authserver.Handle
	stance contract.Stance
}

var answeredOps = []func(answeredCase, *testing.T){
	answeredCase.register, answeredCase.find, answeredCase.replace, answeredCase.revoke,
	answeredCase.prove, answeredCase.witness, answeredCase.discover,
}

// FuzzAnswers puts an answer of any form in the place of the server's at each
// call: it is never a proof that a client is gone which lives, what names a client
// is returned, and the server itself ends all of it.
func FuzzAnswers(f *testing.F) {
	for op := range uint8(7) {
		for _, s := range contract.Stances() {
			f.Add(op, uint16(s.Status), s.Header["Content-Type"], s.Header["WWW-Authenticate"], []byte(s.Body), s.Cut)
		}
		for _, body := range []string{
			`{"client_id":"c","registration_access_token":"t","scope":["a"],"client_secret_expires_at":"0"}`,
			`{"client_id":7,"client_secret":"********","contacts":["a\n"]}`, `{"error":"invalid_client"}`, `{"error":"invalid_grant"}`,
			`{"error":"invalid_token","error_description":"expired"}`, `{"access_token":"x"}`, `{"issuer":"x"}`,
		} {
			for _, status := range []uint16{200, 201, 400, 401, 404} {
				f.Add(op, status, "application/json", "", []byte(body), false)
			}
		}
		f.Add(op, uint16(401), "", `Bearer error="invalid_token"`, []byte(nil), false)
		f.Add(op, uint16(201), "application/json", "\x00", []byte(`{"client_id":"c"}`), false)
	}
	w := newWorld(f)
	server := w.connect(f)
	f.Fuzz(func(t *testing.T, op uint8, status uint16, kind, challenge string, body []byte, cut bool) {
		client, err := server.Register(t.Context(), contract.Wish())
		if err != nil {
			t.Fatal(err)
		}
		stance := contract.Drawn(status, map[string]string{"Content-Type": kind, "WWW-Authenticate": challenge}, body, cut)
		c := answeredCase{w: w, server: server, handle: contract.HandleOf(t, server, client), stance: stance}
		answeredOps[int(op)%len(answeredOps)](c, t)
		w.stand(nil, false)
		for _, id := range w.live() {
			if id != client.ID {
				w.remove(id)
			}
		}
		end(t, w, server, c.handle)
		w.mu.Lock()
		w.requests = nil
		w.mu.Unlock()
	})
}

// says says that a name may stand in the answer, which may write it with escapes.
func (c answeredCase) says(name string) bool {
	return strings.Contains(c.stance.Body, name) || strings.Contains(c.stance.Body, `\u`)
}

func (c answeredCase) register(t *testing.T) {
	c.w.stand(&c.stance, true, contract.Register)
	client, err := c.server.Register(t.Context(), contract.Wish())
	c.stance.WantQuiet(t, err)
	if err == nil && client.ID == "" {
		t.Error("a client without id")
	}
	var said struct {
		ID string `json:"client_id"`
	}
	// A header with control characters makes the whole no HTTP.
	success := (c.stance.Status == 200 || c.stance.Status == 201) && !c.stance.Cut && c.stance.Header["Content-Type"] == "application/json" &&
		httpguts.ValidHeaderFieldValue(c.stance.Header["WWW-Authenticate"])
	printable := func(text string) bool {
		return text != "" && len(text) < 4096 && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
	}
	exact := bytes.Contains([]byte(c.stance.Body), []byte(`"client_id"`)) && strings.Count(strings.ToLower(c.stance.Body), "client_id") == 1
	if success && exact && json.Unmarshal([]byte(c.stance.Body), &said) == nil && printable(said.ID) && !client.Named() {
		t.Errorf("the client is not named: %v", err)
	}
}

// wantAlive holds that a client which lives is not proven gone.
func wantAlive(t *testing.T, found bool, err error) {
	t.Helper()
	if err == nil && !found {
		t.Error("a client that lives is proven gone")
	}
}

func (c answeredCase) find(t *testing.T) {
	c.w.stand(&c.stance, false, contract.Find)
	_, found, err := c.server.Find(t.Context(), c.handle)
	c.stance.WantQuiet(t, err)
	wantAlive(t, found, err)
}

func (c answeredCase) replace(t *testing.T) {
	c.w.stand(&c.stance, false, contract.Replace)
	client, err := c.server.Replace(t.Context(), c.handle, contract.Wish())
	if c.stance.WantQuiet(t, err); err == nil && client.ID != c.handle.ClientID {
		t.Errorf("replaced %q", client.ID)
	}
}

func (c answeredCase) revoke(t *testing.T) {
	c.w.stand(&c.stance, false, contract.Revoke)
	err := c.server.Revoke(t.Context(), c.handle)
	if c.stance.WantQuiet(t, err); err == nil && c.stance.Status != 200 && c.stance.Status != 201 && c.stance.Status != 204 {
		t.Errorf("%d deletes", c.stance.Status)
	}
	c.w.stand(nil, false)
	c.handle.Deleted = true
	_, found, err := c.server.Find(t.Context(), c.handle)
	wantAlive(t, found, err)
}

// prove asks for the proof of a deletion that nobody carried out. Who speaks as the
// server does is believed; where the token may be an old one, not against the
// token endpoint.
func (c answeredCase) prove(t *testing.T) {
	c.handle.Deleted = true
	c.w.stand(&c.stance, false, contract.Find)
	_, found, err := c.server.Find(t.Context(), c.handle)
	c.stance.WantQuiet(t, err)
	if err == nil && !found && !c.says("error") &&
		!strings.Contains(strings.ToLower(c.stance.Header["WWW-Authenticate"]), "bearer") {
		t.Error("a client that lives is proven gone")
	}
	c.handle.Uncertain = true
	_, found, err = c.server.Find(t.Context(), c.handle)
	wantAlive(t, found, err)
}

func (c answeredCase) witness(t *testing.T) {
	c.handle.ManagementToken = authserver.NewSecret("outdated")
	c.w.stand(&c.stance, false, contract.Token)
	_, found, err := c.server.Find(t.Context(), c.handle)
	if c.stance.WantQuiet(t, err); err == nil && !found && !c.says("error") {
		t.Error("a client that lives is proven gone")
	}
}

func (c answeredCase) discover(t *testing.T) {
	c.w.stand(&c.stance, false, contract.Discover)
	metadata, err := c.server.Discover(t.Context())
	if c.stance.WantQuiet(t, err); err == nil && metadata.Issuer != c.w.issuer() {
		t.Errorf("issuer %q", metadata.Issuer)
	}
	c.w.stand(nil, false)
	if _, err := c.server.Discover(t.Context()); err != nil {
		t.Errorf("the server itself: %v", err)
	}
}
