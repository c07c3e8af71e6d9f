// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the tables in docs/clients.md anew")

const (
	clientsPage = "../../docs/clients.md"
	tableBegin  = "<!-- clients: begin. Written by \"go test -tags=e2e ./test/e2e -run TestMatrix -update\". -->\n"
	tableEnd    = "<!-- clients: end -->\n"
)

// row is what was seen of a client at an authorization server with a registration.
type row struct {
	client, version, as, registration string

	login, list, call, others, expiry, revoked, after string
}

// key is what a row is about.
func (r row) key() string { return strings.Join([]string{r.as, r.client, r.registration}, "|") }

func (r row) cells() []string {
	cells := []string{r.as, r.client, r.version, r.registration, r.login, r.list, r.call, r.others, r.expiry, r.revoked, r.after}
	for i, cell := range cells {
		cells[i] = cmp.Or(cell, "–")
	}
	return cells
}

func (r row) String() string { return "| " + strings.Join(r.cells(), " | ") + " |" }

// table gathers rows.
type table struct {
	mu   sync.Mutex
	rows []row
}

func newTable(t *testing.T) *table {
	t.Helper()
	return &table{}
}

func (b *table) add(r row) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows = append(b.rows, r)
}

var tableHead = []string{
	"Authorization server", "Client", "Version", "Registration", "Logs in", "Is shown", "Calls what was granted",
	"Calls what was not", "Token has expired", "Revoked during a call", "Next call",
}

// require compares the page with what was seen, or writes it. Rows of clients that did
// not run, with -run, stay as they are.
func (b *table) require(t *testing.T) {
	t.Helper()
	if len(b.rows) == 0 {
		t.Skip("no client has logged in")
	}
	page, err := os.ReadFile(clientsPage)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(page), tableBegin)
	old, after, ended := strings.Cut(rest, tableEnd)
	if !found || !ended {
		t.Fatalf("%s has no table between its marks", clientsPage)
	}
	if *update {
		text := before + tableBegin + b.merged(old) + tableEnd + after
		if err := os.WriteFile(clientsPage, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, r := range b.rows {
		if !strings.Contains(old, r.String()+"\n") {
			t.Errorf("%s does not have this row; if it should, run with -update:\n%s", clientsPage, r)
		}
	}
}

// merged is the table with the rows that were seen in place of those of the same key.
func (b *table) merged(old string) string {
	lines := map[string]string{}
	for line := range strings.Lines(old) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "| "), " | ")
		if len(cells) == len(tableHead) && cells[0] != tableHead[0] && cells[0] != "---" {
			lines[strings.Join([]string{cells[0], cells[1], cells[3]}, "|")] = strings.TrimSpace(line)
		}
	}
	for _, r := range b.rows {
		lines[r.key()] = r.String()
	}
	var text strings.Builder
	fmt.Fprintf(&text, "| %s |\n|%s\n", strings.Join(tableHead, " | "), strings.Repeat(" --- |", len(tableHead)))
	keys := make([]string, 0, len(lines))
	for key := range lines {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		text.WriteString(lines[key] + "\n")
	}
	return text.String()
}
