// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Command is what a page tells people to run.
type Command struct {
	// Page is the path from the top of the repository, Line the first one there.
	Page string
	Line int
	// Text is all that is typed, without prompt; Output what the page shows of the
	// answer, if anything.
	Text, Output string
}

// First is the first line of the command, which names it in the table.
func (c Command) First() string {
	first, _, _ := strings.Cut(c.Text, "\n")
	return strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(first), `\`))
}

// All are the commands of the pages, in their order.
func All(root string) ([]Command, error) {
	var all []Command
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "charts/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			page, err := filepath.Rel(root, path)
			if err != nil {
				return nil, err
			}
			all = append(all, commands(filepath.ToSlash(page), string(content))...)
		}
	}
	return all, nil
}

// shells are the languages of blocks that hold commands. In other blocks only a prompt
// says that a line is one.
var shells = []string{"console", "sh", "shell", "bash", "shell-session"}

// programs begin a command where no prompt says so.
const programs = `kubectl|helm|make|manager|guard|bin/[^\s\x60]+|curl|jq|openssl|opa|kcadm(?:\.sh)?|etcdutl|etcdctl|flux|argocd|velero|docker|podman|go|npx|hydra|git`

var (
	fence = regexp.MustCompile("^( *)(`{3,}|~{3,})\\s*([^`\\s]*)")
	// program begins a line of a block of which somebody forgot the prompt.
	program = regexp.MustCompile(`^(?:` + programs + `) `)
	// span is a command in the text: a program, and two words at least that are no
	// flags. Less than that mentions the program.
	span = regexp.MustCompile("`((?:" + programs + ")(?: [^`]*)?)`")
)

// commands are those of one page.
func commands(page, text string) []Command {
	var found []Command
	lines := strings.Split(text, "\n")
	var prose []string
	for i := 0; i < len(lines); i++ {
		open := fence.FindStringSubmatch(lines[i])
		if open == nil {
			prose = append(prose, lines[i])
			continue
		}
		prose = append(prose, "")
		end := i + 1
		for end < len(lines) && strings.TrimSpace(lines[end]) != open[2] {
			prose = append(prose, "")
			end++
		}
		prose = append(prose, "")
		found = append(found, block(page, i+2, open[3], unindented(lines[i+1:min(end, len(lines))], open[1]))...)
		i = end
	}
	found = append(found, spans(page, strings.Join(prose, "\n"))...)
	slices.SortStableFunc(found, func(a, b Command) int { return a.Line - b.Line })
	return found
}

func unindented(lines []string, indent string) []string {
	plain := make([]string, len(lines))
	for i, line := range lines {
		plain[i] = strings.TrimPrefix(line, indent)
	}
	return plain
}

// spans are the commands in the text between the blocks. A span may be broken.
func spans(page, prose string) []Command {
	var found []Command
	for _, at := range span.FindAllStringSubmatchIndex(prose, -1) {
		text := strings.Join(strings.Fields(prose[at[2]:at[3]]), " ")
		words := 0
		for _, word := range strings.Fields(text)[1:] {
			if !strings.HasPrefix(word, "-") {
				words++
			}
		}
		if words >= 2 || words == 1 && strings.HasPrefix(text, "make ") {
			found = append(found, Command{Page: page, Line: 1 + strings.Count(prose[:at[2]], "\n"), Text: text})
		}
	}
	return found
}

// block are the commands of a fenced block that begins at a line of the page. Where a
// line has a prompt, the others are what the commands answer, unless a program begins
// them; in a block of a shell without prompts every line is a command.
func block(page string, line int, language string, lines []string) []Command {
	prompts := slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "$ ") })
	every := slices.Contains(shells, language) && !prompts
	if !every && !prompts {
		return nil
	}
	var found []Command
	for i := 0; i < len(lines); i++ {
		text, prompt := strings.CutPrefix(lines[i], "$ ")
		if !prompt && !program.MatchString(text) && (!every || strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#")) {
			if len(found) > 0 && !every {
				found[len(found)-1].Output += text + "\n"
			}
			continue
		}
		first := i
		for i+1 < len(lines) && !complete(text) {
			i++
			text += "\n" + lines[i]
		}
		found = append(found, Command{Page: page, Line: line + first, Text: text})
	}
	for i := range found {
		found[i].Output = strings.TrimRight(found[i].Output, "\n")
	}
	return found
}

// document begins a here-document; group 1 is the word that ends it.
var document = regexp.MustCompile(`<<-?\s*['"]?([A-Za-z_]+)`)

// complete says whether a shell would not ask for a further line.
func complete(text string) bool {
	if word := document.FindStringSubmatch(text); word != nil {
		return strings.HasSuffix(text, "\n"+word[1])
	}
	var quote rune
	escaped, blank, comment := false, true, false
	for _, r := range text {
		switch {
		case comment:
			comment = r != '\n'
		case escaped:
			escaped = false
		case r == '\\' && quote != '\'':
			escaped = true
			continue
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case r == '#' && blank:
			comment = true
		}
		blank = r == ' ' || r == '\n'
	}
	trimmed := strings.TrimSpace(text)
	return quote == 0 && !escaped && !strings.HasSuffix(trimmed, "|") && !strings.HasSuffix(trimmed, "&&")
}
