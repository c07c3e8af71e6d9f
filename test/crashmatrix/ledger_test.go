// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package crashmatrix

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/mcp-registrar/mcp-registrar/internal/audit"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/fake"
)

// ledger is what really happened: at the authorization server, and on the audit
// record.
type ledger struct {
	server *fake.Server
	last   []authserver.Client
	// lives are all clients of the register that ever were, by id and mark.
	lives   map[string]*life
	events  []audit.Event
	secrets map[string]string
}

// life is one client from its beginning to its end.
type life struct {
	id, mark string
	// foreign says that the manager did not register it.
	foreign bool
	ended   bool
}

func newLedger(server *fake.Server) *ledger {
	return &ledger{server: server, lives: map[string]*life{}, secrets: map[string]string{}}
}

// look compares the authorization server with the last look, and says whether
// anything changed.
func (l *ledger) look() bool {
	now := l.server.Clients()
	for _, client := range now {
		l.keep(client)
	}
	for _, life := range l.lives {
		life.ended = life.ended || !slices.ContainsFunc(now, life.is)
	}
	changed := !reflect.DeepEqual(l.last, now)
	l.last = now
	return changed
}

func (l *ledger) keep(client authserver.Client) {
	key := client.ID + "/" + client.Registered.SoftwareVersion
	if l.lives[key] == nil && client.Registered.SoftwareID != "" {
		l.lives[key] = &life{id: client.ID, mark: client.Registered.SoftwareVersion}
	}
	l.secret("client secret", client.Secret.Reveal())
	l.secret("management token", client.ManagementToken.Reveal())
}

// told says that there is an event of a type.
func (l *ledger) told(kind audit.Type) bool {
	return slices.ContainsFunc(l.events, func(e audit.Event) bool { return e.Type == kind })
}

// is says that a client is the one of this life.
func (l *life) is(client authserver.Client) bool {
	return client.ID == l.id && client.Registered.SoftwareVersion == l.mark
}

// secret remembers what nobody may tell.
func (l *ledger) secret(what, value string) {
	if value != "" {
		l.secrets[value] = what
	}
}

// leak says which secret a text tells, if any.
func (l *ledger) leak(text string) string {
	for value, what := range l.secrets {
		if strings.Contains(text, value) {
			return what
		}
	}
	return ""
}

func (l *ledger) record(event audit.Event) { l.events = append(l.events, event) }

// tells says that there is an event of one of some types about a client, by its
// id or its mark.
func (l *ledger) tells(life *life, types ...audit.Type) bool {
	return slices.ContainsFunc(l.events, func(e audit.Event) bool {
		return slices.Contains(types, e.Type) && (e.Data.ClientID == life.id || e.Data.Mark == life.mark)
	})
}

// check says what is missing on the audit record: the beginning and the end of
// each client must be there.
func (l *ledger) check() []string {
	var missing []string
	for _, life := range l.lives {
		if !life.foreign && !l.tells(life, audit.ClientRegistered, audit.PossibleOrphan) {
			missing = append(missing, fmt.Sprintf("audit: nothing tells of the beginning of client %s (%s)", life.id, life.mark))
		}
		if life.ended && !l.tells(life, audit.ClientRevoked, audit.ClientVanished, audit.PossibleOrphan) {
			missing = append(missing, fmt.Sprintf("audit: nothing tells of the end of client %s (%s)", life.id, life.mark))
		}
		if life.ended && !l.tells(life, audit.RevocationVerified, audit.ClientVanished, audit.PossibleOrphan) {
			missing = append(missing, fmt.Sprintf("audit: nothing tells of the proof that client %s (%s) is gone", life.id, life.mark))
		}
	}
	for _, event := range l.events {
		text, err := json.Marshal(event.Data)
		if err != nil {
			missing = append(missing, "audit: "+err.Error())
		}
		if what := l.leak(string(text)); what != "" {
			missing = append(missing, fmt.Sprintf("audit: %s tells a %s", event.Type, what))
		}
	}
	return missing
}
