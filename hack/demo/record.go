// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// callLine is what is shown of a line of the record of calls.
type callLine struct {
	Time time.Time
	Data struct {
		Method, Tool, Verdict, Reason, Client, ClientID, Owner, Grant, Basis, ApprovedBy, Scope, TokenID string
		StepUp                                                                                           []string
	}
}

var errNoRecord = errors.New("the guard's record does not have the calls that were made")

// showRecord prints what the guard put on record of the calls of tools.
func (w *world) showRecord() error {
	text, err := os.ReadFile(w.callsLog())
	if err != nil {
		return fmt.Errorf("reading the record of calls: %w", err)
	}
	rows, err := recordRows(string(text))
	if err != nil {
		return err
	}
	fmt.Fprint(w.out, "\nThe guard's record of these calls, some of its fields:\n\n")
	out := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "  TIME\tVERDICT\tREASON\tTOOL\tCLIENT\tOWNER\tBY\tTOKEN")
	for _, row := range rows {
		fmt.Fprintln(out, "  "+strings.Join(row, "\t"))
	}
	return out.Flush()
}

// recordRows has a row for each call of a tool. There must be one that was
// allowed and two that were refused, for different reasons.
func recordRows(text string) ([][]string, error) {
	var rows [][]string
	reasons := map[string]bool{}
	for line := range strings.Lines(text) {
		var l callLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			return nil, fmt.Errorf("reading the record of calls: %w", err)
		}
		if d := l.Data; d.Method == "tools/call" {
			reasons[d.Reason] = true
			rows = append(rows, []string{clock(l.Time), d.Verdict, d.Reason, d.Tool, clientName(l), dash(d.Owner), l.by(), token(d.TokenID)})
		}
	}
	if !reasons["Allowed"] || len(reasons) < 3 {
		return nil, fmt.Errorf("%w: it has the reasons %v", errNoRecord, reasons)
	}
	return rows, nil
}

// clientName is the registration, or the client id where there is none any more.
func clientName(l callLine) string {
	if l.Data.Client != "" {
		return l.Data.Client
	}
	return l.Data.ClientID
}

// by says what allowed a call, or what would.
func (l callLine) by() string {
	d := l.Data
	switch {
	case d.Grant != "" && d.ApprovedBy != "":
		return fmt.Sprintf("%s of %s, approved by %s", d.Scope, d.Grant, d.ApprovedBy)
	case d.Grant != "":
		return fmt.Sprintf("%s of %s (%s)", d.Scope, d.Grant, d.Basis)
	case len(d.StepUp) > 0:
		return "needs " + strings.Join(d.StepUp, " ")
	}
	return "-"
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// token is enough of the identifier of a token to tell two apart.
func token(id string) string {
	if len(id) > 8 {
		return id[:8] + "…"
	}
	return dash(id)
}
