// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	// maxText bounds each text of an event, in bytes.
	maxText = 1024
	// maxList bounds each list of an event, the entry that says how many more
	// there were not counted.
	maxList = 256
	// maxData bounds the data of an event, so that the line fits.
	maxData = maxLine - 64<<10
	// ellipsis marks what was cut.
	ellipsis = "…"
)

// encode writes data as JSON, with texts and lists cut so that nobody can keep
// an event off the record by making it too long.
func encode(d Data) (json.RawMessage, error) {
	for limit := maxList; ; limit /= 4 {
		encoded, err := encodeJSON(d.bounded(limit))
		if err != nil || len(encoded) <= maxData || limit == 0 {
			return encoded, err
		}
	}
}

// encodeJSON leaves <, > and & as they are.
func encodeJSON(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encoding the event: %w", err)
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// bounded returns the data with each text cut, and each list cut at the limit.
func (d Data) bounded(limit int) Data {
	for _, text := range []*string{
		&d.Kind, &d.Namespace, &d.Name, &d.UID, &d.AuthorizationServer, &d.Issuer, &d.ClientID, &d.Owner, &d.RequestedBy, &d.ChangedBy,
		&d.AuthMethod, &d.Cause, &d.Reason, &d.Message, &d.Server, &d.Client, &d.Mark,
	} {
		*text = cut(*text)
	}
	for _, list := range []*[]string{&d.Scopes, &d.RedirectURIs, &d.GrantTypes, &d.Added, &d.Removed} {
		*list = cutList(*list, limit)
	}
	d.Grants = cutGrants(d.Grants, limit)
	if d.Decision != nil {
		decision := *d.Decision
		decision.By, decision.Name, decision.Reason = cut(decision.By), cut(decision.Name), cut(decision.Reason)
		d.Decision = &decision
	}
	return d
}

// cut shortens a text to maxText bytes, between two characters.
func cut(text string) string {
	text = strings.ToValidUTF8(text, string(utf8.RuneError))
	if len(text) <= maxText {
		return text
	}
	end := maxText - len(ellipsis)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}

// cutList shortens a list and its texts. Its last entry says how many are
// missing.
func cutList(list []string, limit int) []string {
	var bounded []string
	for _, text := range list[:min(limit, len(list))] {
		bounded = append(bounded, cut(text))
	}
	if more := len(list) - limit; more > 0 {
		bounded = append(bounded, andMore(more))
	}
	return bounded
}

func cutGrants(list []Grant, limit int) []Grant {
	var bounded []Grant
	for _, grant := range list[:min(limit, len(list))] {
		grant.Name, grant.Approval, grant.ApprovedBy = cut(grant.Name), cut(grant.Approval), cut(grant.ApprovedBy)
		grant.Scopes = cutList(grant.Scopes, limit)
		bounded = append(bounded, grant)
	}
	if more := len(list) - limit; more > 0 {
		bounded = append(bounded, Grant{Name: andMore(more)})
	}
	return bounded
}

func andMore(n int) string { return fmt.Sprintf("%s and %d more", ellipsis, n) }
