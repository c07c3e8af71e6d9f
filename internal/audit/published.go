// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Published is a head that was published: where a chain ended at an instant, kept
// where who writes the file cannot change it.
type Published struct {
	Position
	// At is when it was published.
	At time.Time `json:"at"`
}

// ParsePublished reads heads: one as a JSON object, or an object with one for
// each chain, by its id, as text or object. They are returned the oldest first.
func ParsePublished(content []byte) ([]Published, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(content, &members); err != nil {
		return nil, fmt.Errorf("the published heads are not a JSON object: %w", err)
	}
	if _, one := members["sequence"]; one {
		head, err := parseHead(content)
		return []Published{head}, err
	}
	var heads []Published
	for chain, raw := range members {
		var text string
		if json.Unmarshal(raw, &text) == nil {
			raw = json.RawMessage(text)
		}
		head, err := parseHead(raw)
		if err == nil && head.Chain != chain {
			err = errors.New("it is of another chain")
		}
		if err != nil {
			return nil, fmt.Errorf("the published head of chain %.64q: %w", chain, err)
		}
		heads = append(heads, head)
	}
	if len(heads) == 0 {
		return nil, errors.New("there is no published head")
	}
	slices.SortFunc(heads, func(a, b Published) int {
		if order := a.At.Compare(b.At); order != 0 {
			return order
		}
		return bytes.Compare([]byte(a.Chain), []byte(b.Chain))
	})
	return heads, nil
}

func parseHead(content []byte) (Published, error) {
	var head Published
	if err := json.Unmarshal(content, &head); err != nil {
		return Published{}, fmt.Errorf("it cannot be read: %w", err)
	}
	if head.Chain == "" || head.Sequence == 0 || !isHash(head.Hash) {
		return Published{}, errors.New("it names no line")
	}
	return head, nil
}

// reach compares a line with those that are expected.
func (v *verifier) reach(l line) {
	if _, awaited := v.awaited[l.Position]; awaited {
		v.awaited[l.Position] = true
	}
	if v.expect.Hash != 0 && l.Sequence == v.expect.Sequence {
		v.unlike = 0
		if hashNumber(l.Hash) != v.expect.Hash {
			v.unlike = v.number
		}
	}
	if v.expect.Head != nil && l.Position == *v.expect.Head {
		v.headSeen, v.report.AfterHead = true, 0
	} else if v.headSeen {
		v.report.AfterHead++
	}
}

// endPublished looks for the published heads.
func (v *verifier) endPublished() {
	for i, head := range v.expect.Published {
		_, here := v.ended[head.Chain]
		here = here || head.Chain == v.report.Last.Chain
		newest := i == len(v.expect.Published)-1 && !v.expect.Unfinished
		switch {
		case v.awaited[head.Position]:
		case here, newest:
			v.damage(v.number, fmt.Sprintf("the head that was published at %s is not there, sequence %d of chain %s: lines were removed at the end, or replaced",
				head.At.UTC().Format(time.RFC3339), head.Sequence, head.Chain), adviseCompare)
		default:
			v.report.Elsewhere = append(v.report.Elsewhere, head)
		}
	}
}
