// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// row is one line of the table: a value, or a group of values that has a comment
// of its own and then no default.
type row struct {
	Path, Default, Meaning string
}

// describe lists the values of a values file in its order. A mapping of which a
// member has a comment is a group; any other is one value. Each value needs a
// comment.
func describe(content []byte) ([]row, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return nil, err
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("not a mapping")
	}
	return members("", document.Content[0])
}

func members(prefix string, mapping *yaml.Node) ([]row, error) {
	var rows []row
	for i := 0; i < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		added, err := member(prefix+key.Value, comment(key), value)
		if err != nil {
			return nil, err
		}
		rows = append(rows, added...)
	}
	return rows, nil
}

func member(path, meaning string, value *yaml.Node) ([]row, error) {
	if isGroup(value) {
		rows, err := members(path+".", value)
		if err == nil && meaning != "" {
			rows = append([]row{{Path: path, Meaning: meaning}}, rows...)
		}
		return rows, err
	}
	if meaning == "" {
		return nil, fmt.Errorf("line %d: %s has no comment", value.Line, path)
	}
	written, err := oneLine(value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return []row{{Path: path, Default: written, Meaning: meaning}}, nil
}

// isGroup says that the members of a value are described one by one.
func isGroup(value *yaml.Node) bool {
	if value.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i < len(value.Content); i += 2 {
		if comment(value.Content[i]) != "" || isGroup(value.Content[i+1]) {
			return true
		}
	}
	return false
}

// comment is the text above a key, on one line.
func comment(key *yaml.Node) string {
	var words []string
	for line := range strings.Lines(key.HeadComment) {
		words = append(words, strings.Fields(strings.TrimPrefix(line, "#"))...)
	}
	return strings.Join(words, " ")
}

// oneLine writes a value as it could stand in a values file, on one line.
func oneLine(value *yaml.Node) (string, error) {
	var plain any
	if err := value.Decode(&plain); err != nil {
		return "", err
	}
	var node yaml.Node
	if err := node.Encode(plain); err != nil {
		return "", err
	}
	flow(&node)
	written, err := yaml.Marshal(&node)
	return strings.TrimSpace(string(written)), err
}

func flow(node *yaml.Node) {
	node.Style |= yaml.FlowStyle
	for _, child := range node.Content {
		if child.Kind != yaml.ScalarNode {
			flow(child)
		}
	}
}

// table writes the rows as Markdown.
func table(rows []row) string {
	var text strings.Builder
	text.WriteString("| value | default | meaning |\n| --- | --- | --- |\n")
	for _, r := range rows {
		given := ""
		if r.Default != "" {
			given = "`" + cell(r.Default) + "`"
		}
		fmt.Fprintf(&text, "| `%s` | %s | %s |\n", r.Path, given, cell(r.Meaning))
	}
	return text.String()
}

func cell(text string) string {
	return strings.ReplaceAll(text, "|", `\|`)
}
