// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
)

const (
	longestName = 128
)

// definition are the members of a tool that its digest is made of: those that a
// model, or a person who approves, goes by.
var definition = []string{"name", "title", "description", "inputSchema", "outputSchema", "annotations"}

// snapshot gathers the digests of tools by name.
type snapshot struct{ digests map[string]string }

// add takes the tools of a page, and returns the cursor of the next.
func (s *snapshot) add(page reply) (next string, err error) {
	if !page.gave() {
		return "", errNoMessage
	}
	var result struct {
		Tools      []map[string]json.RawMessage `json:"tools"`
		NextCursor string                       `json:"nextCursor"`
	}
	if err := json.Unmarshal(page.message.Result, &result); err != nil || result.Tools == nil {
		return "", errNoMessage
	}
	if s.digests == nil {
		s.digests = map[string]string{}
	}
	for _, tool := range result.Tools {
		name, digest, err := digestOf(tool)
		if err != nil {
			return "", err
		}
		s.put(name, digest)
	}
	return result.NextCursor, nil
}

// put notes a tool. A name that comes twice has a digest of both, so that
// neither can change unseen. A name that no scope could list is left out.
func (s *snapshot) put(name, digest string) {
	if name == "" || utf8.RuneCountInString(name) > longestName {
		return
	}
	if other, twice := s.digests[name]; twice && other != digest {
		both := sha256.Sum256([]byte(min(other, digest) + max(other, digest)))
		digest = hex.EncodeToString(both[:])
	}
	s.digests[name] = digest
}

// tools are all of them, by name.
func (s *snapshot) tools() []v1alpha1.ToolDigest {
	tools := make([]v1alpha1.ToolDigest, 0, len(s.digests))
	for name, digest := range s.digests {
		tools = append(tools, v1alpha1.ToolDigest{Name: name, Digest: digest})
	}
	slices.SortFunc(tools, func(a, b v1alpha1.ToolDigest) int { return strings.Compare(a.Name, b.Name) })
	return tools
}

// digestOf is the SHA-256 of a tool's definition in canonical form.
func digestOf(tool map[string]json.RawMessage) (name, digest string, err error) {
	if err := json.Unmarshal(tool["name"], &name); err != nil {
		return "", "", errNoMessage
	}
	whole := map[string]json.RawMessage{}
	for _, member := range definition {
		if value, there := tool[member]; there && string(value) != "null" {
			whole[member] = value
		}
	}
	raw, err := json.Marshal(whole)
	if err != nil {
		return "", "", err
	}
	form, err := canonical(raw)
	if err != nil {
		return "", "", err
	}
	sum := sha256.Sum256(form)
	return name, hex.EncodeToString(sum[:]), nil
}
