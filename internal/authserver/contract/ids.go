// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// chosenByServer is what a server must do that chooses client ids: clients are
// managed with tokens (RFC 7592).
var chosenByServer = cases{
	"a client is managed with a URI and a token":         managementToken,
	"a replaced token is answered and needed":            rotation,
	"T20 a wrong token is no proof while a client lives": wrongToken,
	"T20 an uncertain secret proves nothing":             uncertain,
}

func managementToken(t *testing.T, s Subject) {
	client, _ := register(t, s, Wish())
	if client.ManagementURI == "" || client.ManagementToken.IsZero() {
		t.Errorf("an answer without management: %+v", client)
	}
}

func rotation(t *testing.T, s Subject) {
	if s.Rotate == nil {
		t.Skip("the subject rotates no token")
	}
	s.Rotate()
	client, first := register(t, s, Wish())
	replaced, err := s.Server.Replace(t.Context(), first, Wish())
	if err != nil {
		t.Fatalf("replace: %v", err)
	}
	second := keep(first, replaced)
	if second.ManagementToken.Equal(first.ManagementToken) {
		t.Fatal("the answer held no new token")
	}
	_, err = s.Server.Replace(t.Context(), first, Wish())
	if got := failure(t, err); got.Kind != authserver.Unauthorized {
		t.Errorf("the old token: %v", err)
	}
	if _, ok, err := s.Server.Find(t.Context(), second); err != nil || !ok {
		t.Errorf("the new token: %t, %v", ok, err)
	}
	wantLive(t, s, client.ID)
}

func wrongToken(t *testing.T, s Subject) {
	for _, wish := range s.wishes() {
		client, handle := register(t, s, wish)
		wrong := handle
		wrong.ManagementToken = authserver.NewSecret("wrong-token")
		err := s.Server.Revoke(t.Context(), wrong)
		if got := failure(t, err); got.Kind != authserver.Unauthorized {
			t.Errorf("%s: revoke: %v", wish.AuthMethod, err)
		}
		wantSilent(t, err, wrong.ManagementToken, wrong.ClientSecret)
		_, found, err := s.Server.Find(t.Context(), wrong)
		if got := failure(t, err); got.Kind != authserver.Unauthorized || found {
			t.Errorf("%s: find: %t, %v", wish.AuthMethod, found, err)
		}
		wantLive(t, s, client.ID)
		if err := s.Server.Revoke(t.Context(), handle); err != nil {
			t.Errorf("%s: the right token afterwards: %v", wish.AuthMethod, err)
		}
	}
}

func uncertain(t *testing.T, s Subject) {
	client, handle := register(t, s, Confidential())
	handle.Uncertain = true
	handle.ManagementToken = authserver.NewSecret("outdated-token")
	handle.ClientSecret = authserver.NewSecret("outdated-secret")
	if got := failure(t, s.Server.Revoke(t.Context(), handle)); got.Kind != authserver.Unauthorized {
		t.Errorf("revoke: %v", got)
	}
	handle.ClientSecret = authserver.Secret{}
	handle.Uncertain = false
	if got := failure(t, s.Server.Revoke(t.Context(), handle)); got.Kind != authserver.Unauthorized {
		t.Errorf("revoke without a secret: %v", got)
	}
	wantLive(t, s, client.ID)
}

// ownClientID is what Traits.OwnClientID promises.
var ownClientID = cases{
	"a client has the id that was chosen":                chosenID,
	"an id that is taken is a Conflict":                  takenID,
	"a client is managed by id and owner alone":          byIDAlone,
	"an id that was never registered is not found":       neverRegistered,
	"an empty id is Rejected":                            emptyID,
	"a client of another is a Conflict, and not touched": foreign,
	"a client is adopted by Replace and not before":      adoption,
	"a client whose answer was lost is found":            lostAnswer,
}

func byID(handle authserver.Handle) authserver.Handle {
	return authserver.Handle{ClientID: handle.ClientID, Owner: handle.Owner}
}

func chosenID(t *testing.T, s Subject) {
	for _, wish := range s.wishes() {
		wish = For(s.traits(), wish)
		client, handle := registerAs(t, s, wish)
		if client.ID != wish.ID {
			t.Fatalf("%s: id %q, want %q", wish.AuthMethod, client.ID, wish.ID)
		}
		if found := find(t, s, byID(handle)); found.Registered.SoftwareVersion != wish.SoftwareVersion {
			t.Errorf("mark %q, want %q", found.Registered.SoftwareVersion, wish.SoftwareVersion)
		}
	}
}

func takenID(t *testing.T, s Subject) {
	wish := For(s.traits(), Wish())
	_, handle := registerAs(t, s, wish)
	for name, owner := range map[string]string{"ours": wish.SoftwareID, "another's": strangersMark} {
		second := wish
		second.SoftwareID, second.Name, second.Scopes = owner, "second (9c1d)", []string{"alerts.read"}
		_, err := s.Server.Register(t.Context(), second)
		wantKind(t, "registering it again as "+name, err, authserver.Conflict)
	}
	wantRegistered(t, s, find(t, s, handle).Registered, wish)
	wantLive(t, s, wish.ID)
}

func byIDAlone(t *testing.T, s Subject) {
	_, whole := register(t, s, Wish())
	handle := byID(whole)
	other := again(s, handle, Wish())
	other.Scopes = []string{"alerts.read"}
	if _, err := s.Server.Replace(t.Context(), handle, other); err != nil {
		t.Fatalf("replace: %v", err)
	}
	wantRegistered(t, s, find(t, s, handle).Registered, other)
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Fatalf("revoke: %v", err)
	}
	wantAbsent(t, s, handle)
	wantLive(t, s)
}

func neverRegistered(t *testing.T, s Subject) {
	client, handle := register(t, s, Wish())
	handle.ClientID = For(s.traits(), Wish()).ID
	wantAbsent(t, s, handle)
	// What looks by a prefix or a part finds more than was asked for.
	handle.ClientID = client.ID[:len(client.ID)-1]
	wantAbsent(t, s, handle)
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Errorf("revoke: %v", err)
	}
	wantLive(t, s, client.ID)
}

func emptyID(t *testing.T, s Subject) {
	client, handle := register(t, s, Wish())
	wish := For(s.traits(), Wish())
	handle.ClientID = ""
	for name, err := range everyCall(t, s, handle, wish) {
		wantKind(t, name, err, authserver.Rejected)
	}
	wish.ID = ""
	_, err := s.Server.Register(t.Context(), wish)
	wantKind(t, "register", err, authserver.Rejected)
	wantLive(t, s, client.ID)
	handle.ClientID = client.ID
	if find(t, s, handle).Disabled {
		t.Error("the other client was disabled")
	}
}

// everyCall asks for everything that is done to one client.
func everyCall(t *testing.T, s Subject, handle authserver.Handle, wish authserver.ClientMetadata) map[string]error {
	t.Helper()
	_, found, findErr := s.Server.Find(t.Context(), handle)
	if found {
		t.Error("found")
	}
	_, replaceErr := s.Server.Replace(t.Context(), handle, wish)
	errs := map[string]error{"find": findErr, "replace": replaceErr, "revoke": s.Server.Revoke(t.Context(), handle)}
	if s.traits().Disables {
		errs["disable"] = s.Server.Disable(t.Context(), handle)
	}
	return errs
}

// strangersMark is the software_id of another register's client.
const strangersMark = "mcp-registrar/other-cluster/another-uid"

func foreign(t *testing.T, s Subject) {
	theirs := For(s.traits(), Wish())
	theirs.SoftwareID, theirs.SoftwareVersion = strangersMark, "9c1d"
	client, owned := registerAs(t, s, theirs)
	ids := []string{client.ID}
	if s.Stranger != nil {
		ids = append(ids, For(s.traits(), Wish()).ID)
		s.Stranger(ids[1])
	}
	for _, id := range ids {
		for _, owner := range []string{Wish().SoftwareID, "", strangersMark + "s"} {
			handle := authserver.Handle{ClientID: id, Owner: owner}
			for name, err := range everyCall(t, s, handle, again(s, handle, Wish())) {
				wantKind(t, name+" as "+owner, err, authserver.Conflict)
			}
		}
	}
	found := find(t, s, owned)
	if found.Disabled {
		t.Error("disabled")
	}
	wantRegistered(t, s, found.Registered, theirs)
	wantLive(t, s, ids...)
}

func adoption(t *testing.T, s Subject) {
	theirs := For(s.traits(), Wish())
	theirs.SoftwareID, theirs.SoftwareVersion = strangersMark, "9c1d"
	client, owned := registerAs(t, s, theirs)
	handle := authserver.Handle{ClientID: client.ID, Owner: Wish().SoftwareID, Adopting: true}
	wantRegistered(t, s, find(t, s, handle).Registered, theirs)

	// What was not adopted is not ours to end.
	wantKind(t, "revoke", s.Server.Revoke(t.Context(), handle), authserver.Conflict)
	if s.traits().Disables {
		wantKind(t, "disable", s.Server.Disable(t.Context(), handle), authserver.Conflict)
	}
	wantLive(t, s, client.ID)

	ours := again(s, handle, Wish())
	if _, err := s.Server.Replace(t.Context(), handle, ours); err != nil {
		t.Fatalf("replace: %v", err)
	}
	handle.Adopting = false
	wantRegistered(t, s, find(t, s, handle).Registered, ours)
	wantKind(t, "revoke as the one it was of", s.Server.Revoke(t.Context(), owned), authserver.Conflict)
	if err := s.Server.Revoke(t.Context(), handle); err != nil {
		t.Errorf("revoke: %v", err)
	}
	wantLive(t, s)
}

func lostAnswer(t *testing.T, s Subject) {
	if s.Fail == nil {
		t.Skip("the subject takes no orders of faults")
	}
	for _, wish := range s.wishes() {
		wish = For(s.traits(), wish)
		s.Fail(Register, Fault{Form: Silent, AfterWork: true})
		_, err := s.Server.Register(t.Context(), wish)
		if got := failure(t, err); !got.MaybeApplied {
			t.Errorf("%v does not say that it may have been done", err)
		}
		wantSilent(t, err, wish.Secret)
		wantRegistered(t, s, find(t, s, authserver.Handle{ClientID: wish.ID, Owner: wish.SoftwareID}).Registered, wish)
		_, err = s.Server.Register(t.Context(), wish)
		wantKind(t, "registering it again", err, authserver.Conflict)
	}
}
