// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestATextIsCutBetweenCharacters(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"of the longest length", strings.Repeat("x", maxText), strings.Repeat("x", maxText)},
		{"one byte longer", strings.Repeat("x", maxText+1), strings.Repeat("x", maxText-3) + "…"},
		{"of two bytes each", strings.Repeat("é", maxText), strings.Repeat("é", maxText/2-2) + "…"},
		{"of three bytes each", strings.Repeat("€", maxText), strings.Repeat("€", maxText/3-1) + "…"},
		{"of four bytes each", strings.Repeat("😀", maxText), strings.Repeat("😀", maxText/4-1) + "…"},
		{"a character across the end", strings.Repeat("x", maxText-1) + "é", strings.Repeat("x", maxText-3) + "…"},
		{"not text", "a\xffb", "a\ufffdb"},
		{"not text at all", strings.Repeat("\x80a", maxText), strings.Repeat("\ufffda", maxText/4-1) + "…"},
	} {
		if got := cut(c.text); got != c.want || len(got) > maxText || !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes: %q", c.name, len(got), got)
		}
	}
}

func TestAListIsCut(t *testing.T) {
	list := make([]string, maxList+3)
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	for n, want := range map[int][]string{
		0: nil, 1: {"0"}, maxList - 1: list[:maxList-1], maxList: list[:maxList],
		maxList + 1: append(slices.Clone(list[:maxList]), "… and 1 more"),
		maxList + 3: append(slices.Clone(list[:maxList]), "… and 3 more"),
	} {
		if diff := cmp.Diff(want, cutList(list[:n], maxList)); diff != "" {
			t.Errorf("%d entries\n%s", n, diff)
		}
	}
	grants := make([]Grant, maxList+7)
	got := cutGrants(grants, maxList)
	if len(got) != maxList+1 || !reflect.DeepEqual(got[maxList], Grant{Name: "… and 7 more"}) {
		t.Errorf("%d grants, the last %+v", len(got), got[len(got)-1])
	}
}

// fill sets every text in a value to the text, and makes every list that long.
func fill(value reflect.Value, text string, length int) {
	kind := value.Kind()
	switch {
	case kind == reflect.String:
		value.SetString(text)
	case kind == reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), length, length))
		for i := range length {
			fill(value.Index(i), text, length)
		}
	case kind == reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		fill(value.Elem(), text, length)
	case kind == reflect.Struct && value.Type() != reflect.TypeFor[time.Time]():
		for _, field := range value.Fields() {
			fill(field, text, length)
		}
	}
}

// exceeds names what is longer than it may be in decoded data.
func exceeds(at string, value any) []string {
	var found []string
	switch value := value.(type) {
	case string:
		if len(value) > maxText {
			found = append(found, at)
		}
	case []any:
		if len(value) > maxList+1 {
			found = append(found, at)
		}
		for _, entry := range value {
			found = append(found, exceeds(at+"[]", entry)...)
		}
	case map[string]any:
		for name, member := range value {
			found = append(found, exceeds(at+"."+name, member)...)
		}
	}
	return found
}

func TestNoDataKeepAnEventOffTheRecord(t *testing.T) {
	for _, c := range []struct {
		name, text string
		length     int
	}{
		{"all fields", "x", 1},
		{"long lists", "x", maxList + 1},
		{"long texts", strings.Repeat("é", maxText), 4},
		{"long texts that grow when they are encoded", strings.Repeat("\x01", 3*maxText), 2},
		{"a line that would not fit", strings.Repeat("\x01", 3*maxText), 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			var data, same Data
			fill(reflect.ValueOf(&data).Elem(), c.text, c.length)
			fill(reflect.ValueOf(&same).Elem(), c.text, c.length)
			var out bytes.Buffer
			o := options(Stdout, unwelcome(t))
			o.Stdout = &out
			s := open(t, o)
			s.Record(Event{Type: ClientRegistered, Subject: c.text, Data: data})
			closed(t, s)
			var event struct {
				Subject string
				Data    map[string]any
			}
			if err := json.Unmarshal(lines(out.Bytes())[1], &event); err != nil {
				t.Fatal(err)
			}
			if found := exceeds("data", event.Data); len(found) > 0 || len(event.Subject) > maxText {
				t.Errorf("too long are %q", found)
			}
			if len(event.Data) != reflect.TypeFor[Data]().NumField()-len([]string{"generation", "expiresAt", "dueAt"}) {
				t.Errorf("%d fields are left", len(event.Data))
			}
			if !reflect.DeepEqual(data, same) {
				t.Error("the caller's data were changed")
			}
			if report, err := Verify(&out, Expect{}); err != nil || report.Events != 2 || report.Lost != 0 {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}
}

func TestALongListIsCutFurtherIfTheLineWouldNotFit(t *testing.T) {
	long := strings.Repeat("x", maxText)
	encoded, err := encode(Data{Grants: slices.Repeat([]Grant{{Name: "g", Scopes: slices.Repeat([]string{long}, 64)}}, 200)})
	if err != nil {
		t.Fatal(err)
	}
	var data Data
	if err := json.Unmarshal(encoded, &data); err != nil {
		t.Fatal(err)
	}
	if len(data.Grants) != 17 || data.Grants[16].Name != "… and 184 more" || len(data.Grants[0].Scopes) != 17 || data.Grants[0].Scopes[16] != "… and 48 more" {
		t.Errorf("%d grants, %d scopes", len(data.Grants), len(data.Grants[0].Scopes))
	}
}

func TestBoundedLeavesTheCallersDecision(t *testing.T) {
	decision := Approval{Reason: strings.Repeat("x", maxText+1)}
	if got := (Data{Decision: &decision}).bounded(maxList); len(got.Decision.Reason) != maxText || len(decision.Reason) != maxText+1 {
		t.Errorf("%d bytes, the caller's %d", len(got.Decision.Reason), len(decision.Reason))
	}
}
