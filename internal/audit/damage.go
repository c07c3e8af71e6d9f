// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"fmt"
	"strings"
)

// maxDamages is how many damages are listed.
const maxDamages = 100

// What a reader of a damage should do.
const (
	adviseCompare   = "compare it with a copy of the stream that was kept elsewhere"
	adviseOther     = "if this is the captured log of a program that also writes other lines, use --ignore-other-lines; otherwise compare it with a copy that was kept elsewhere"
	adviseMixed     = "take the chains apart by their member \"chain\" and verify each"
	adviseBeginning = "put the part of the stream before it in front"
	adviseKey       = "take the line as forged; compare it with a copy of the stream that was kept elsewhere"
	adviseKeys      = "name a key file with every key that was in use since; if it has them, take the line as forged"
	adviseUnkeyed   = "if the program had no key then, verify that part without one; otherwise take the line as forged"
	adviseCut       = "if the manager runs, verify again; otherwise start it, so that it closes the line and records that"
)

// Damage is a place at which a stream is not as it was written.
type Damage struct {
	// Line is the number of the line, from 1; 0 if there is no line.
	Line int
	// What is wrong.
	What string
	// Advice is what to do.
	Advice string
}

// Error says the line, what is wrong and what to do.
func (d Damage) Error() string {
	return fmt.Sprintf("line %d: %s; %s", d.Line, d.What, d.Advice)
}

// Damages are all places at which a stream is damaged, at most a hundred.
type Damages []Damage

// Error has a line for each damage.
func (d Damages) Error() string {
	texts := make([]string, 0, len(d))
	for _, damage := range d {
		texts = append(texts, damage.Error())
	}
	return strings.Join(texts, "\n")
}

func (v *verifier) damage(number int, what, advice string) {
	if len(v.damages) < maxDamages {
		v.damages = append(v.damages, Damage{Line: number, What: what, Advice: advice})
	}
}
