// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"errors"
	"slices"
	"strconv"

	"github.com/mcp-registrar/mcp-registrar/internal/guard/message"
)

// maxTTL is for how long a client may keep a list, in milliseconds: what it may
// call can change.
const maxTTL = 60_000

var errTools = errors.New("result.tools is not an array")

// filter returns a message, or a batch of them, with only the tools that may be
// called. Everything else stays as it was written.
func filter(raw []byte, callable func(string) bool) ([]byte, error) {
	if err := readable(raw); err != nil {
		return nil, err
	}
	elements, batch := message.Elements(raw)
	if !batch {
		return filterMessage(raw, callable)
	}
	changed := false
	for i, element := range elements {
		filtered, err := filterMessage(element, callable)
		if err != nil {
			return nil, err
		}
		changed = changed || !bytes.Equal(filtered, element)
		elements[i] = filtered
	}
	if !changed {
		return raw, nil
	}
	return array(elements), nil
}

func filterMessage(raw []byte, callable func(string) bool) ([]byte, error) {
	members, err := message.Members(raw, "jsonrpc", "id", "method", "result", "error")
	if err != nil {
		return nil, err
	}
	for _, member := range members {
		if member.Name != "result" || member.Value[0] != '{' {
			continue
		}
		result, err := filterResult(member.Value, callable)
		if err != nil {
			return nil, err
		}
		return splice(raw, []edit{{member.Start, member.Start + len(member.Value), result}}), nil
	}
	return raw, nil
}

// filterResult cuts down a result that holds tools. Such a list is for this
// client only, and not for long.
func filterResult(raw []byte, callable func(string) bool) ([]byte, error) {
	members, err := message.Members(raw, "tools", "cacheScope", "ttlMs")
	if err != nil {
		return nil, err
	}
	tools := message.Find(members, "tools")
	if tools == nil {
		return raw, nil
	}
	elements, ok := message.Elements(tools)
	if !ok {
		return nil, errTools
	}
	kept := slices.DeleteFunc(slices.Clone(elements), func(tool []byte) bool { return !callable(toolName(tool)) })
	var edits []edit
	for _, member := range members {
		end := member.Start + len(member.Value)
		switch {
		case member.Name == "tools" && len(kept) < len(elements):
			edits = append(edits, edit{member.Start, end, array(kept)})
		case member.Name == "cacheScope":
			edits = append(edits, edit{member.Start, end, []byte(`"private"`)})
		case member.Name == "ttlMs":
			edits = append(edits, edit{member.Start, end, shorter(member.Value)})
		}
	}
	if message.Find(members, "ttlMs") != nil && message.Find(members, "cacheScope") == nil {
		// Without a scope a list that may be kept may be kept for all.
		begin := bytes.IndexByte(raw, '{') + 1
		edits = slices.Insert(edits, 0, edit{begin, begin, []byte(`"cacheScope":"private",`)})
	}
	return splice(raw, edits), nil
}

// toolName is the name of a tool; empty, which nobody may call, for what cannot
// be read in one way only.
func toolName(tool []byte) string {
	members, err := message.Members(tool, "name")
	if err != nil {
		return ""
	}
	name, _ := message.Text(message.Find(members, "name"))
	return name
}

// shorter bounds a time to live.
func shorter(value []byte) []byte {
	if ttl, err := strconv.ParseFloat(string(value), 64); err == nil && ttl <= maxTTL {
		return value
	}
	return strconv.AppendInt(nil, maxTTL, 10)
}

// edit replaces the bytes from begin to end.
type edit struct {
	begin, end int
	text       []byte
}

// splice applies edits, which are in their order.
func splice(raw []byte, edits []edit) []byte {
	var spliced []byte
	at := 0
	for _, e := range edits {
		spliced = append(append(spliced, raw[at:e.begin]...), e.text...)
		at = e.end
	}
	return append(spliced, raw[at:]...)
}

func array(elements [][]byte) []byte {
	return slices.Concat([]byte("["), bytes.Join(elements, []byte(",")), []byte("]"))
}
