// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// office is an authorization server with all the clients of one registration. While
// it lies, requests are lost before or after they were carried out, and answers are
// refusals or cannot be used.
type office struct {
	r    *mathrand.Rand
	lies bool
	// own says that the register chooses client ids, by an admin API; rotates that
	// every answer brings another management token.
	own, rotates bool
	clients      map[string]*enrolled
	// coming are registrations that are under way, and will be carried out.
	coming []coming
	// seen are the ids that were given.
	seen map[string]bool
	now  time.Time
	// deceived are the clients that would have been taken for gone while they lived.
	deceived []string
	// lost counts what ended without a word that could be used.
	lost int
	made int
}

// enrolled is one client.
type enrolled struct {
	mark, token string
	holds       authserver.ClientMetadata
	secret      authserver.Secret
	disabled    bool
}

// coming is a registration that is carried out late, after its requester gave up.
type coming struct {
	id     string
	client *enrolled
	at     time.Time
}

// settle lets come what is under way.
func (o *office) settle(now time.Time) {
	o.now = now
	o.coming = slices.DeleteFunc(o.coming, func(c coming) bool {
		if now.Before(c.at) {
			return false
		}
		// One that comes after a later request for the same id was carried out is for
		// the inventory to find: it has no part here.
		if !o.seen[c.id] {
			o.clients[c.id], o.seen[c.id] = c.client, true
		}
		return true
	})
}

// ask answers a call with what is known in handle.
func (o *office) ask(plan Plan, handle authserver.Handle) Answer {
	switch plan.Call {
	case None:
		return Answer{}
	case Register:
		return o.register(plan.Request)
	case Look, Prove:
		return o.read(handle)
	case Replace, GiveProbeKey, Disable:
		return o.update(plan, handle)
	case Revoke:
	}
	return o.revoke(handle)
}

// lie is a request that comes to nothing, or of which nothing is heard: done says
// whether it is carried out.
func (o *office) lie() (done, lying bool, err error) {
	if !o.lies || o.r.IntN(2) == 0 {
		return true, false, nil
	}
	o.lost++
	switch o.r.IntN(4) {
	case 0:
		return false, true, failure(authserver.Unavailable, false)
	case 1:
		return false, true, failure(authserver.Unavailable, true)
	case 2:
		return false, true, failure(authserver.Rejected, false)
	}
	return true, true, failure(authserver.Unavailable, true)
}

func (o *office) register(request authserver.ClientMetadata) Answer {
	done, lying, err := o.lie()
	if !done {
		return Answer{Err: err}
	}
	id := request.ID
	if o.own && o.clients[id] != nil {
		return Answer{Err: failure(authserver.Conflict, false)}
	}
	o.made++
	if !o.own {
		id = fmt.Sprintf("client-%d", o.made)
	}
	_, mark, _ := strings.Cut(request.Name, " [")
	c := &enrolled{mark: strings.TrimSuffix(mark, "]"), token: fmt.Sprintf("token-%d-0", o.made), holds: request, secret: request.Secret}
	if lying && o.r.IntN(3) == 0 {
		o.coming = append(o.coming, coming{id, c, o.now.Add(time.Duration(o.r.Int64N(int64(late))))})
		return Answer{Err: err}
	}
	o.clients[id], o.seen[id] = c, true
	answer := authserver.Client{ID: id, Registered: request, Secret: request.Secret}
	if !o.own {
		answer.ManagementURI, answer.ManagementToken = "https://as.example.com/"+id, authserver.NewSecret(c.token)
	}
	switch {
	case !lying:
	case !o.own && o.r.IntN(3) > 0:
		// It names the client, and cannot be used otherwise.
		if o.r.IntN(2) == 0 {
			answer.ManagementToken = authserver.Secret{}
		}
		return Answer{Client: answer, Err: err}
	default:
		return Answer{Err: err}
	}
	if o.lies && !o.own && o.r.IntN(8) == 0 {
		// It gives no way to manage clients.
		o.lost++
		answer.ManagementURI, answer.ManagementToken = "", authserver.Secret{}
	}
	if o.lies && o.r.IntN(4) == 0 {
		answer.Registered.Scopes = append(slices.Clone(request.Scopes), "more")
	}
	return Answer{Client: answer}
}

// renewed is what every answer about a client brings.
func (o *office) renewed(id string, c *enrolled) authserver.Client {
	answer := authserver.Client{ID: id, Registered: c.holds, Disabled: c.disabled}
	if !o.own && o.rotates {
		c.token += "+"
		answer.ManagementToken = authserver.NewSecret(c.token)
	}
	return answer
}

// find returns the client that a handle is good for.
func (o *office) find(handle authserver.Handle) (*enrolled, error) {
	c := o.clients[handle.ClientID]
	if c != nil && !o.own && handle.ManagementToken.Reveal() != c.token {
		if handle.AuthMethod == "private_key_jwt" && shown(handle) && !handle.Deleted && !strings.Contains(c.holds.JWKS, `"kid":"`+handle.KeyID+`"`) {
			// Neither its token nor a key that counts as certain is good: it is taken
			// for gone.
			o.deceived = append(o.deceived, handle.ClientID)
		}
		return nil, failure(authserver.Unauthorized, false)
	}
	if c == nil && !o.own && !shown(handle) {
		return nil, failure(authserver.Unauthorized, false)
	}
	return c, nil
}

// shown says that the absence of a client that the handle is for can be shown: its
// deletion was accepted, or what it had is at hand.
func shown(handle authserver.Handle) bool {
	certain := !handle.Uncertain && (!handle.ClientSecret.IsZero() || !handle.PrivateKey.IsZero())
	return handle.Deleted || handle.AuthMethod == "none" || certain
}

func (o *office) read(handle authserver.Handle) Answer {
	if _, lying, err := o.lie(); lying {
		return Answer{Err: err}
	}
	c, err := o.find(handle)
	if c == nil {
		return Answer{Err: err}
	}
	return Answer{Found: true, Client: o.renewed(handle.ClientID, c)}
}

func (o *office) update(plan Plan, handle authserver.Handle) Answer {
	done, lying, err := o.lie()
	if !done {
		return Answer{Err: err}
	}
	c, refused := o.find(handle)
	if c == nil {
		if refused == nil {
			refused = failure(authserver.Unauthorized, false)
		}
		return Answer{Err: refused}
	}
	if plan.Call == Disable {
		c.disabled = true
	} else {
		c.disabled, c.holds = false, plan.Request
		if !plan.Request.Secret.IsZero() {
			c.secret = plan.Request.Secret
		}
	}
	answer := o.renewed(handle.ClientID, c)
	if lying {
		return Answer{Err: err}
	}
	return Answer{Found: true, Client: answer}
}

func (o *office) revoke(handle authserver.Handle) Answer {
	done, lying, err := o.lie()
	if !done {
		return Answer{Err: err}
	}
	if _, refused := o.find(handle); refused != nil {
		return Answer{Err: refused}
	}
	delete(o.clients, handle.ClientID)
	if lying {
		return Answer{Err: err}
	}
	return Answer{}
}

// reachable says that what is on record opens the client at the server.
func (o *office) reachable(r policy.Record) bool {
	c := o.clients[r.Client.ID]
	if c == nil && !o.own && r.Live() {
		return shown(r.Handle(policy.CredentialsFact{}, o.now))
	}
	return c == nil || o.own || r.Client.ManagementToken.Reveal() == c.token
}

// keys are a few key pairs of clients.
var keys = func() []KeyPair {
	var made []KeyPair
	for range 6 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		public := jose.JSONWebKey{Key: &key.PublicKey, Algorithm: "ES256", Use: "sig"}
		thumbprint, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			panic(err)
		}
		public.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
		set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
		if err != nil {
			panic(err)
		}
		made = append(made, KeyPair{Private: authserver.NewSecret("private " + public.KeyID), ID: public.KeyID, JWKS: string(set)})
	}
	return made
}()

func TestKeysOfTests(t *testing.T) {
	r := policy.Record{Client: authserver.Client{Registered: authserver.ClientMetadata{JWKS: keys[0].JWKS}}}
	r.Rotation.NextKey, r.Rotation.NextJWKS = keys[0].Private, keys[0].JWKS
	if !r.KnowsNextKey(start) || policy.Holds(keys[1].JWKS, keys[0].JWKS) {
		t.Error("the keys of these tests cannot be told apart")
	}
}
