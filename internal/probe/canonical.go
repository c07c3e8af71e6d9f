// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf16"
)

// canonical writes JSON in the form of RFC 8785: no white space, members sorted
// by UTF-16 code units, strings with the shortest escapes, numbers as ECMAScript
// writes the nearest double. A number beyond what a double holds, for which the
// RFC has no form, stays as it is written.
func canonical(raw []byte) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("decoding JSON: %w", err)
	}
	var out bytes.Buffer
	if err := writeValue(&out, value); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func writeValue(out *bytes.Buffer, value any) error {
	switch v := value.(type) {
	case nil:
		out.WriteString("null")
	case bool:
		out.WriteString(strconv.FormatBool(v))
	case string:
		writeString(out, v)
	case json.Number:
		out.WriteString(number(v))
	case []any:
		return writeArray(out, v)
	case map[string]any:
		return writeObject(out, v)
	}
	return nil
}

func writeArray(out *bytes.Buffer, values []any) error {
	out.WriteByte('[')
	for i, value := range values {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := writeValue(out, value); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	return nil
}

func writeObject(out *bytes.Buffer, members map[string]any) error {
	names := slices.SortedFunc(maps.Keys(members), func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	out.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			out.WriteByte(',')
		}
		writeString(out, name)
		out.WriteByte(':')
		if err := writeValue(out, members[name]); err != nil {
			return err
		}
	}
	out.WriteByte('}')
	return nil
}

// number is a number as ECMAScript writes it, which is how encoding/json writes
// doubles but for a zero with a sign.
func number(written json.Number) string {
	double, err := written.Float64()
	if double == 0 {
		double = 0 // without a sign
	}
	text, unwritable := json.Marshal(double)
	if err != nil || unwritable != nil {
		return written.String()
	}
	return string(text)
}

// shortEscapes are those of RFC 8785 §3.2.2.2.
var shortEscapes = map[rune]string{
	'"': `\"`, '\\': `\\`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\f': `\f`, '\r': `\r`,
}

func writeString(out *bytes.Buffer, text string) {
	out.WriteByte('"')
	for _, r := range text {
		escape, short := shortEscapes[r]
		switch {
		case short:
			out.WriteString(escape)
		case r < ' ':
			fmt.Fprintf(out, `\u%04x`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
}
