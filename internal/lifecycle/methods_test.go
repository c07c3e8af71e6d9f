// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"slices"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// A server that knows only the other place for a secret gives the client no more than
// was asked for: it is kept where the rules leave that open, and nothing is sent again
// for it. What they do not leave open is more than was asked for.
func TestTheOtherPlaceForASecret(t *testing.T) {
	const basic, post = authserver.SecretBasic, authserver.SecretPost
	for name, c := range map[string]struct {
		methods       []string
		answer        string
		excess        []string
		handsOver     bool
		digestMethods string
	}{
		"left open":               {[]string{basic, post}, post, nil, true, post},
		"left open, and as asked": {[]string{basic, post}, basic, nil, true, basic},
		"stated":                  {[]string{basic}, post, []string{"authentication method " + post}, false, basic},
		"another method still":    {[]string{basic, post}, "none", []string{"authentication method none"}, false, basic},
	} {
		t.Run(name, func(t *testing.T) {
			wish := authserver.ClientMetadata{Name: "x", AuthMethod: basic, Scopes: []string{"a"}}
			answer := Answer{Client: authserver.Client{
				ID: "c-1", Secret: authserver.NewSecret("s"), ManagementURI: "https://as/c-1", ManagementToken: authserver.NewSecret("t"),
				Registered: authserver.ClientMetadata{Name: "x", AuthMethod: c.answer, Scopes: []string{"a"}},
			}}
			w := Wanted{Action: policy.Register, Wish: wish, AuthMethods: c.methods, Made: Made{Mark: "m"}}
			plan := Give(w, start)
			if plan.Request.AuthMethod != basic {
				t.Errorf("asked for %s", plan.Request.AuthMethod)
			}
			made := plan.After(answer, start)
			w.Action, w.Record = policy.Replace, made.Record
			changed := Give(w, start).After(answer, start)
			want := wish
			want.AuthMethod = c.digestMethods
			for _, out := range []Outcome{made, changed} {
				if !slices.Equal(out.Record.Excess, c.excess) || out.Hand != c.handsOver || out.Record.WishDigest != policy.Digest(want) {
					t.Errorf("beyond the wish %v, handed over %t, as wished %t", out.Record.Excess, out.Hand, out.Record.WishDigest == policy.Digest(want))
				}
			}
		})
	}
}
