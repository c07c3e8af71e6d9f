// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package hydra

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

// odd are members that may stand in an answer, in a form that cannot be used or
// that only we sent.
var odd = map[string]string{
	"an owner with a line feed":     `"contacts":["team@example.com\n"]`,
	"a very long owner":             `"contacts":["` + strings.Repeat("x", 600<<10) + `"]`,
	"contacts as a number":          `"contacts":7`,
	"a name as an object":           `"client_name":{"en":"x"}`,
	"the scopes of many catalogues": `"scope":"` + strings.Repeat(strings.Repeat("s", 128)+" ", 4000) + `"`,
	"a scope as a number":           `"scope":7`,
	"a lifespan of no form":         `"authorization_code_grant_access_token_lifespan":"soon"`,
	"an expiry of no form":          `"client_secret_expires_at":"soon"`,
	"keys as a text":                `"jwks":"{}"`,
	"redirect URIs as a text":       `"redirect_uris":"x"`,
	"a secret outside ASCII":        `"client_secret":"ä"`,
	"a version of no form":          `"extra":1,"metadata":{"software_id":"us","software_version":[7]}`,
	"depth":                         `"extra":` + strings.Repeat("[", 4000) + strings.Repeat("]", 4000),
}

// withMember is Hydra with one client that carries our mark and one odd member.
func withMember(deleted *bool, member string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodDelete:
			*deleted = true
			w.WriteHeader(http.StatusNoContent)
		case *deleted:
			says(http.StatusNotFound, `{"error":"Unable to locate the resource"}`)(w, r)
		default:
			status := map[string]int{http.MethodPost: http.StatusCreated}[r.Method]
			says(max(status, http.StatusOK), `{"client_id":"c-1","owner":"us","metadata":{"software_id":"us"},`+member+`}`)(w, r)
		}
	}
}

func TestNoMemberHoldsADeletionBack(t *testing.T) {
	for name, member := range odd {
		t.Run(name, func(t *testing.T) {
			var deleted bool
			server, sent := scripted(t, withMember(&deleted, member))
			handle := authserver.Handle{ClientID: "c-1", Owner: "us"}
			if err := server.Revoke(t.Context(), handle); err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(*sent, "DELETE /admin/clients/c-1 ") {
				t.Error("no deletion was sent")
			}
			if _, found, err := server.Find(t.Context(), handle); err != nil || found {
				t.Errorf("proof: %t, %v", found, err)
			}
		})
	}
}

func TestOnlyTheMarkHoldsADeletionBack(t *testing.T) {
	for name, member := range map[string]string{
		"another owner": `"owner":"them"`, "owner as a list": `"owner":["us"]`, "another id": `"metadata":{"software_id":"them"}`,
		"metadata as a text": `"metadata":"us"`, "an id with a line feed": `"metadata":{"software_id":"us\n"}`,
	} {
		var deleted bool
		server, _ := scripted(t, withMember(&deleted, member))
		err := server.Revoke(t.Context(), authserver.Handle{ClientID: "c-1", Owner: "us"})
		if wantError(t, err, authserver.Conflict, "foreign_client"); deleted {
			t.Errorf("%s: deleted", name)
		}
	}
}

func TestANewClientWhoseAnswerCannotBeUsedIsNamed(t *testing.T) {
	for name, member := range odd {
		var deleted bool
		server, _ := scripted(t, withMember(&deleted, member))
		wish := contract.Wish()
		wish.ID = "c-1"
		client, err := server.Register(t.Context(), wish)
		if client.ID != "c-1" {
			t.Errorf("%s: %+v, %v", name, client, err)
		}
	}
}

func TestTheOwnerComesBackAsItWasSent(t *testing.T) {
	var deleted bool
	server, _ := scripted(t, withMember(&deleted, odd["an owner with a line feed"]))
	client, found, err := server.Find(t.Context(), authserver.Handle{ClientID: "c-1", Owner: "us"})
	if err != nil || !found || !slices.Equal(client.Registered.Contacts, []string{"team@example.com\n"}) {
		t.Errorf("%+v, %t, %v", client.Registered.Contacts, found, err)
	}
}
