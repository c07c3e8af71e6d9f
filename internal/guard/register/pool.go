// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package register

import "strconv"

// poolSize bounds what a pool remembers. Beyond it the pool begins anew; what is
// kept from then on has copies of its own.
const poolSize = 8192

// pool has one copy of what many entries have in common.
type pool struct {
	texts map[string]string
	lists map[string]*[]string
}

func (p *pool) text(text string) string {
	if known, there := p.texts[text]; there {
		return known
	}
	if p.texts == nil || len(p.texts) >= poolSize {
		p.texts = map[string]string{}
	}
	p.texts[text] = text
	return text
}

// nothing is the one list of nothing.
var nothing []string

func (p *pool) list(texts []string) *[]string {
	if len(texts) == 0 {
		return &nothing
	}
	var key []byte
	for _, text := range texts {
		key = append(append(strconv.AppendInt(key, int64(len(text)), 10), ':'), text...)
	}
	if known, there := p.lists[string(key)]; there {
		return known
	}
	if p.lists == nil || len(p.lists) >= poolSize {
		p.lists = map[string]*[]string{}
	}
	list := make([]string, len(texts))
	for i, text := range texts {
		list[i] = p.text(text)
	}
	p.lists[string(key)] = &list
	return &list
}
