// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// The clients of the fuzzed realm: one of ours, one that is being made, and a
// stranger's.
const (
	ours     = "mcpr-ours"
	second   = "mcpr-second"
	stranger = "stranger"
)

// answeredCase is what a fuzzed answer is to, and what must hold of it.
type answeredCase struct {
	*bent

	server *Server
	handle authserver.Handle
}

// answeredOps are the operations, and the requests that each makes, of which the
// first have answers to begin with: the others are made elsewhere too.
var answeredOps = []struct {
	run    func(answeredCase, *testing.T)
	seeded int
	steps  []contract.Operation
}{
	{answeredCase.register, 5, []contract.Operation{
		contract.Register, contract.Find, stepScopes, stepScope, stepTry, stepMakeScope, stepAssign, contract.Token,
	}},
	{answeredCase.find, 4, []contract.Operation{contract.Find, stepControl, stepTry, contract.Token}},
	{answeredCase.replace, 6, []contract.Operation{
		contract.Replace, contract.Find, stepWithdraw, stepHas, stepMakeScope, stepAssign, stepScopes, stepScope, stepTry, contract.Token,
	}},
	{answeredCase.disable, 2, []contract.Operation{contract.Replace, contract.Find, stepControl, contract.Token}},
	{answeredCase.revoke, 2, []contract.Operation{contract.Revoke, contract.Find, stepControl, contract.Token}},
	{answeredCase.prove, 2, []contract.Operation{contract.Find, stepControl, contract.Token}},
	{answeredCase.blind, 1, []contract.Operation{stepControl, contract.Token}},
	{answeredCase.list, 1, []contract.Operation{contract.List, contract.Token}},
	{answeredCase.tidy, 2, []contract.Operation{stepScopes, stepDeleteScope, contract.Token}},
	{answeredCase.discover, 1, []contract.Operation{contract.Discover}},
}

// lists are the requests that are answered with lists, writes those that change a
// client.
var (
	lists  = []contract.Operation{contract.Find, contract.List, stepControl, stepScopes, stepHas}
	writes = []contract.Operation{contract.Register, contract.Replace, contract.Revoke, stepAssign}
)

// seed is an answer to begin with.
type seed struct {
	status     uint16
	header     string
	body       string
	keep, tail uint16
	cut        bool
}

func (s seed) add(f *testing.F, op, step, skip int, works bool) {
	f.Helper()
	f.Add(uint8(op), uint8(step), uint8(skip), s.status, s.header, []byte(s.body), s.keep, s.tail, works, s.cut)
}

const typeJSON = "Content-Type: application/json"

// mark is the mark of ours as it is stored.
const mark = `"attributes":{"mcp-registrar.software_id":"mcp-registrar/cluster"}`

var answeredSeeds = []seed{
	{status: 200, header: typeJSON, body: `[]`},
	{status: 200, body: `[]`},
	{status: 200, header: "Content-Type: text/html", body: `[]`},
	{status: 200, header: typeJSON, body: `{}`},
	{status: 200, header: typeJSON, body: `null`},
	{status: 200, header: typeJSON, body: `[null]`},
	{status: 200, header: typeJSON, body: `[{}]`},
	{status: 200, header: typeJSON, body: `[{"id":"uuid-stranger","clientId":"stranger","attributes":{}}]`},
	{status: 200, header: typeJSON, body: `[{"id":"uuid-registrar","clientId":"mcp-registrar"}]`},
	{status: 200, header: typeJSON, body: `[{"id":"uuid-ours","clientId":"mcpr-ours"}]`},
	{status: 200, header: typeJSON, body: `[{"id":"uuid-stranger","clientId":"stranger"},{"id":"uuid-ours","clientId":"mcpr-ours",` + mark + `}]`},
	{status: 200, header: typeJSON, body: `{"id":"uuid-ours","clientId":"mcpr-ours",` + mark + `}`},
	{status: 200, header: typeJSON, body: `[{"id":"uuid-ours","clientId":"mcpr-ours",` + mark + `,"ID":"uuid-stranger","ClientID":"stranger","optionalClientScopes":["profile"]}]`},
	{status: 200, header: typeJSON, body: `[{"id":"uuid-ours","clientId":"mcpr-ours",` + mark + `,"clientAuthenticatorType":"client-secret","secret":"another","enabled":true}]`},
	{status: 200, header: typeJSON, body: `[{"id":"uuid-second","clientId":"mcpr-second",` + mark + `,"clientAuthenticatorType":"client-secret","secret":"another","optionalClientScopes":["forecast.read","other.read"]}]`},
	{status: 200, header: typeJSON, body: `[{"id":"..","clientId":"mcpr-ours",` + mark + `}]`},
	{status: 200, header: typeJSON, body: `[{"id":"../clients/uuid-stranger","clientId":"mcpr-ours",` + mark + `}]`},
	{status: 200, header: typeJSON, body: `[{"id":"..","name":"other.read","protocol":"openid-connect"},{"id":"x","name":"forecast.read","protocol":"openid-connect"}]`},
	{status: 200, header: typeJSON, body: `{"access_token":"x","expires_in":9999999999}`},
	{status: 200, header: typeJSON, body: `{"access_token":"e30.eyJpYXQiOjQxMDI0NDQ4MDB9.x","expires_in":300}`},
	{status: 200, header: typeJSON, body: `{"issuer":"x"}`},
	{status: 200, header: typeJSON, body: `[{"clientId":"mcpr-ours","id":"uuid-o`},
	{status: 200, header: typeJSON, body: `[{"clientId":"mcpr-ours","id":"uuid-o`, cut: true},
	{status: 200, header: typeJSON, body: `[]`, cut: true},
	{status: 200}, {status: 204}, {status: 201}, {status: 202}, {status: 304},
	{status: 201, header: typeJSON, body: `{"status":"ok"}`},
	{status: 404, header: typeJSON, body: `{"error":"Could not find client"}`},
	{status: 404, header: typeJSON, body: `{"errorMessage":"Client not found"}`},
	{status: 404, body: `{"error":"Could not find client"}`},
	{status: 404, header: "Content-Type: text/html", body: `<html>no such page</html>`},
	{status: 404, header: typeJSON, body: `{"message":"no route"}`},
	{status: 401, header: typeJSON, body: `{"error":"HTTP 401 Unauthorized"}`},
	{status: 401, header: "Www-Authenticate: Bearer error=\"invalid_token\""},
	{status: 403, header: typeJSON, body: `{"error":"HTTP 403 Forbidden"}`},
	{status: 400, header: typeJSON, body: `{"error":"invalid_client"}`},
	{status: 409, header: typeJSON, body: `{"errorMessage":"Client mcpr-second already exists"}`},
	{status: 405, header: "Allow: GET"},
	{status: 302, header: "Location: http://127.0.0.1:1/login"},
	{status: 307, header: "Location: /admin/realms/tools/clients/uuid-stranger"},
	{status: 503, header: "Retry-After: 7"},
	{status: 200, keep: 1, tail: 2},
	{status: 200, keep: 1, tail: 2, header: "Content-Type: text/html"},
	{status: 200, keep: 40},
	{status: 200, keep: 65535, body: `garbage`},
	{status: 200, keep: 1, tail: 65535, body: `{"clientId":"stranger","id":"uuid-stranger"},`},
	{status: 204, keep: 65535},
	{status: 404, keep: 65535},
	{status: 200, keep: 65535, cut: true},
}

// FuzzAnswers puts an answer of any form in the place of Keycloak's at each request
// of each operation, or bends Keycloak's own. A client that lives is proven gone by
// nothing but Keycloak's form of it, with the register's own client beside it; a
// stranger's client is not touched; a new one is asked for once; an error says what
// may have been done; and Keycloak itself ends all of it.
func FuzzAnswers(f *testing.F) {
	for op, o := range answeredOps {
		for i, step := range o.steps[:o.seeded] {
			for _, s := range answeredSeeds {
				// A list in the place of what is no list is one more object.
				if strings.HasPrefix(s.body, "[") && len(s.body) > 2 && !slices.Contains(lists, step) {
					continue
				}
				s.add(f, op, i+1, 0, s.keep > 0)
				if s.keep == 0 && slices.Contains(writes, step) {
					s.add(f, op, i+1, 0, true)
				}
			}
		}
	}
	for _, s := range answeredSeeds {
		s.add(f, 0, 2, 1, s.keep > 0) // the second look, behind what was done
		s.add(f, 4, 0, 0, s.keep > 0) // everything
	}
	for _, s := range contract.Stances() {
		var header []string
		for name, value := range s.Header {
			header = append(header, name+": "+value)
		}
		slices.Sort(header)
		first := seed{status: uint16(s.Status), header: strings.Join(header, "\n"), body: s.Body, cut: s.Cut}
		first.add(f, 1, 1, 0, false)
		first.add(f, 4, 1, 0, false)
	}
	w := newWorld(f)
	server := w.connect(f, Options{})
	f.Fuzz(func(t *testing.T, op, step, skip uint8, status uint16, header string, body []byte, keep, tail uint16, works, cut bool) {
		o := answeredOps[int(op)%len(answeredOps)]
		steps := append([]contract.Operation{stepAny}, o.steps...)
		c := answeredCase{
			bent: &bent{
				world: w, step: steps[int(step)%len(steps)], skip: int(skip % 4), works: works, keep: int(keep), tail: int(tail),
				stance: contract.Drawn(status, headers(header), body, cut),
			},
			server: server, handle: w.begin(t, server),
		}
		before := w.state(t, stranger) + w.state(t, registrar)
		o.run(c, t)
		w.between.Stand(nil, false)
		names := func(s served) bool { return s.shows(ours, "uuid-stranger") || s.shows(second, "uuid-stranger") }
		if w.state(t, stranger)+w.state(t, registrar) != before && !c.any(names, contract.Find) {
			t.Error("a stranger's client was touched")
		}
		c.end(t)
	})
}

// begin has a realm with a client of ours and one of a stranger, and an adapter
// that knows nothing.
func (w *world) begin(t *testing.T, server *Server) authserver.Handle {
	t.Helper()
	server.token.held.Store(nil)
	server.scopes = newBook(time.Now)
	wish := answeredWish(ours)
	encoded, err := json.Marshal(wished(t, wish))
	if err != nil {
		t.Fatal(err)
	}
	var client map[string]any
	if err := json.Unmarshal(encoded, &client); err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.role, w.sent = "manage", nil
	clear(w.tokens)
	maps.DeleteFunc(w.clients, func(id string, _ map[string]any) bool { return strings.HasPrefix(id, "mcpr-") || id == stranger })
	clear(w.bodies)
	w.scopes = map[string]string{
		"profile": "id-profile", "offline_access": "id-offline", "forecast.read": "id-forecast.read", "alerts.read": "id-alerts.read",
	}
	w.add(client)["id"] = "uuid-ours"
	w.add(map[string]any{"clientId": stranger, "id": "uuid-stranger"})
	return authserver.Handle{
		ClientID: ours, Owner: wish.SoftwareID, AuthMethod: wish.AuthMethod, ClientSecret: wish.Secret,
		TokenEndpoint: w.issuer() + "/protocol/openid-connect/token",
	}
}

func answeredWish(id string) authserver.ClientMetadata {
	wish := contract.For(Traits(authserver.Config{}), contract.Confidential())
	wish.ID = id
	return wish
}

// end holds that Keycloak itself, asked again, ends every client of ours and
// proves it.
func (c answeredCase) end(t *testing.T) {
	t.Helper()
	for _, id := range []string{ours, second} {
		handle := authserver.Handle{ClientID: id, Owner: c.handle.Owner}
		if err := c.server.Revoke(t.Context(), handle); err != nil {
			t.Errorf("revoke %s: %v", id, err)
		}
		if _, found, err := c.server.Find(t.Context(), handle); err != nil || found {
			t.Errorf("proof of %s: %t, %v", id, found, err)
		}
	}
	if live := c.world.live(); !slices.Equal(live, []string{stranger}) {
		t.Errorf("alive: %v", live)
	}
}

// wantSaid holds that an error is the port's, and does not say of what was done
// that it was not.
func (c answeredCase) wantSaid(t *testing.T, err error, done bool, steps ...contract.Operation) {
	t.Helper()
	c.stance.WantQuiet(t, err)
	failure, failed := errors.AsType[*authserver.Error](err)
	if failed && done && !failure.MaybeApplied && !c.any(served.refuses, steps...) {
		t.Errorf("%v: does not say that something may have been done", err)
	}
}

// wantAlive holds that a client which lives is proven gone only by who speaks as
// Keycloak does.
func (c answeredCase) wantAlive(t *testing.T, found bool, err error) {
	t.Helper()
	if err == nil && !found && !c.any(served.empty, contract.Find) {
		t.Error("a client that lives is proven gone")
	}
}

// wantMarked holds that what was ended was said to carry our mark, which may be
// written with escapes.
func (c answeredCase) wantMarked(t *testing.T, ended bool) {
	t.Helper()
	unmarked := func(s served) bool {
		return s.shows(ours, "") && !strings.Contains(s.Body, c.handle.Owner) && !strings.Contains(s.Body, `\u`)
	}
	if ended && !slices.Contains(c.passed, contract.Find) && c.any(unmarked, contract.Find) {
		t.Error("a client without our mark was ended")
	}
}

// wantSecret holds that a secret is the one at hand, or one that was taken.
func (c answeredCase) wantSecret(t *testing.T, client authserver.Client, id string) {
	t.Helper()
	c.world.mu.Lock()
	stored, _ := c.world.clients[id]["secret"].(string)
	c.world.mu.Unlock()
	if !client.Secret.IsZero() && client.Secret.Reveal() != stored && !c.stood(stepTry) {
		t.Error("a secret that Keycloak does not take")
	}
}

func (c answeredCase) register(t *testing.T) {
	wish := answeredWish(second)
	wish.Scopes = []string{"forecast.read", "other.read"}
	c.bent.stand()
	client, err := c.server.Register(t.Context(), wish)
	stored := c.world.state(t, second)
	c.wantSaid(t, err, stored != "", contract.Register)
	if err == nil && client.ID != second || err != nil && client.ID != "" && client.ID != second {
		t.Errorf("registered %q, %v", client.ID, err)
	}
	if err == nil && stored == "" && !c.stood(contract.Find) {
		t.Error("registered, and is not there")
	}
	if stored != "" {
		c.wantSecret(t, client, second)
	}
	refused := func(s served) bool { return s.Status == 401 && s.refuses() }
	if live := c.world.live(); len(live) > 3 || c.made > 1 && !c.any(refused, contract.Register) {
		t.Errorf("asked for %d times, alive: %v", c.made, live)
	}
}

func (c answeredCase) find(t *testing.T) {
	c.bent.stand()
	client, found, err := c.server.Find(t.Context(), c.handle)
	c.stance.WantQuiet(t, err)
	c.wantAlive(t, found, err)
	if !found {
		return
	}
	if client.ID != ours || client.Registered.ID != ours || client.Registered.SoftwareID != c.handle.Owner {
		t.Errorf("found %q, %q of %q", client.ID, client.Registered.ID, client.Registered.SoftwareID)
	}
	c.wantSecret(t, client, ours)
}

// replace once keeps the secret and once changes it.
func (c answeredCase) replace(t *testing.T) {
	wish := answeredWish(ours)
	wish.Name, wish.Scopes = "another", []string{"alerts.read", "other.read"}
	if c.works {
		wish.Secret = authserver.Secret{}
	}
	before := c.world.state(t, ours)
	c.bent.stand()
	client, err := c.server.Replace(t.Context(), c.handle, wish)
	c.wantSaid(t, err, c.world.state(t, ours) != before, contract.Replace, stepAssign, stepWithdraw)
	if err != nil {
		return
	}
	if client.ID != ours {
		t.Errorf("replaced %q", client.ID)
	}
	c.wantSecret(t, client, ours)
	if c.stood(contract.Find) {
		return
	}
	var stored representation
	if err := json.Unmarshal([]byte(c.world.state(t, ours)), &stored); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(client.Registered, stored.client().Registered) {
		t.Errorf("said %+v\nis %+v", client.Registered, stored.client().Registered)
	}
}

func (c answeredCase) disable(t *testing.T) {
	before := c.world.state(t, ours)
	c.bent.stand()
	err := c.server.Disable(t.Context(), c.handle)
	after := c.world.state(t, ours)
	c.wantSaid(t, err, after != before, contract.Replace)
	c.wantMarked(t, after != before)
	accepted := func(s served) bool { return s.Status == 204 }
	if err == nil && after == before && !c.any(accepted, contract.Replace) && !c.any(served.empty, contract.Find) {
		t.Error("nothing was disabled, and no error says so")
	}
}

func (c answeredCase) revoke(t *testing.T) {
	c.bent.stand()
	err := c.server.Revoke(t.Context(), c.handle)
	alive := c.world.state(t, ours) != ""
	c.wantSaid(t, err, !alive, contract.Revoke)
	c.wantMarked(t, !alive)
	if err == nil && alive && !c.any(served.done, contract.Revoke) && !c.any(served.empty, contract.Find) {
		t.Error("nothing was deleted, and no error says so")
	}
	c.world.between.Stand(nil, false)
	if _, found, err := c.server.Find(t.Context(), c.handle); err != nil || found != alive {
		t.Errorf("alive %t, found %t, %v", alive, found, err)
	}
}

// prove asks for a client that is gone.
func (c answeredCase) prove(t *testing.T) {
	c.world.mu.Lock()
	delete(c.world.clients, ours)
	c.world.mu.Unlock()
	c.bent.stand()
	_, found, err := c.server.Find(t.Context(), c.handle)
	c.stance.WantQuiet(t, err)
	if found && !c.any(func(s served) bool { return s.shows(ours, "") }, contract.Find) {
		t.Error("a client that is gone is found")
	}
	unseen := func(s served) bool { return !s.shows(registrar, "") }
	if err == nil && !found && c.any(unseen, stepControl) && !c.any(func(s served) bool { return s.Status == 401 }, stepControl) {
		t.Error("proven gone by who was not seen to look")
	}
}

// blind asks as one who is shown no clients: only who shows the register's own in
// Keycloak's place proves anything.
func (c answeredCase) blind(t *testing.T) {
	c.world.mu.Lock()
	c.world.role = "query"
	c.world.mu.Unlock()
	c.bent.stand()
	_, found, err := c.server.Find(t.Context(), c.handle)
	c.stance.WantQuiet(t, err)
	if err == nil && !found && !c.any(func(s served) bool { return s.shows(registrar, "") }, stepControl) {
		t.Error("a client that lives is proven gone")
	}
	c.world.mu.Lock()
	c.world.role = "manage"
	c.world.mu.Unlock()
}

func (c answeredCase) list(t *testing.T) {
	c.bent.stand()
	page, err := c.server.List(t.Context(), "")
	c.stance.WantQuiet(t, err)
	strange := func(s served) bool { return !s.lists() && s.Status != 401 }
	if err == nil && c.any(strange, contract.List) && len(c.served) == 1 {
		t.Errorf("listed %v", page.Clients)
	}
	if err == nil && len(page.Clients) == 0 {
		t.Error("no clients at all")
	}
	c.world.between.Stand(nil, false)
	marked := false
	for cursor := ""; ; cursor = page.Next {
		if page, err = c.server.List(t.Context(), cursor); err != nil {
			t.Fatal(err)
		}
		marked = marked || slices.ContainsFunc(page.Clients, func(l authserver.Listed) bool {
			return l.ID == ours && l.SoftwareID == c.handle.Owner
		})
		if page.Next == "" {
			break
		}
	}
	if !marked {
		t.Error("not listed as ours")
	}
}

// tidy has a scope of ours that no client has, and others that must stay, unless
// somebody in Keycloak's place says of them what is not so.
func (c answeredCase) tidy(t *testing.T) {
	const idle = "idle.read"
	c.world.mu.Lock()
	c.world.addScope(idle, "mcp-registrar")
	c.world.addScope("another.read", "mcp-registrar/b")
	c.world.mu.Unlock()
	c.bent.stand()
	_, err := c.server.Tidy(t.Context(), authserver.Tidying{Owner: "mcp-registrar", Used: func(scope string) bool { return scope == "forecast.read" }})
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	gone := c.world.scopes[idle] == ""
	c.wantSaid(t, err, gone, stepDeleteScope)
	for _, name := range []string{"profile", "forecast.read", "alerts.read", "another.read"} {
		if c.world.scopes[name] == "" && !c.any(func(s served) bool { return strings.Contains(s.Body, attributeSoftwareID) }, stepScopes) {
			t.Errorf("%s is gone", name)
		}
	}
	if strange := func(s served) bool { return !s.lists() && s.Status != 401 }; gone && c.any(strange, stepScopes) {
		t.Error("deleted after what is no list")
	}
	if err == nil && !gone && len(c.served) == 0 {
		t.Error("left, and no error says so")
	}
}

func (c answeredCase) discover(t *testing.T) {
	c.bent.stand()
	metadata, err := c.server.Discover(t.Context())
	if c.stance.WantQuiet(t, err); err == nil && metadata.Issuer != c.world.issuer() {
		t.Errorf("issuer %q", metadata.Issuer)
	}
	c.world.between.Stand(nil, false)
	if _, err := c.server.Discover(t.Context()); err != nil {
		t.Errorf("the server itself: %v", err)
	}
}
