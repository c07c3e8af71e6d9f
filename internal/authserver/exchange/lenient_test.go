// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func member(t *testing.T, value string) *Object {
	t.Helper()
	o, err := LookInto([]byte(`{"m":` + value + `}`))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestInstantsAreReadInEveryFormThatIsNotAmbiguous(t *testing.T) {
	due := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Time{
		`0`: {}, `"0"`: {}, `null`: {}, `""`: {}, `0.0`: {},
		`1795348800`: due, `"1795348800"`: due, `" 1795348800 "`: due, `1795348800.0`: due,
		`1795348800000`: due, `"1795348800000"`: due,
		`253402300799`: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		o := member(t, value)
		if got := o.Instant("m"); !got.Equal(want) || o.Err() != nil {
			t.Errorf("%s: %s, %v", value, got, o.Err())
		}
	}
	for _, value := range []string{`-1`, `"soon"`, `true`, `[0]`, `1.5`, `1795348800000000`, `1e400`, `"2026-11-22"`, `{}`} {
		o := member(t, value)
		if got := o.Instant("m"); !got.IsZero() || o.Err() == nil {
			t.Errorf("%s: %s, no error", value, got)
		}
	}
}

func TestIdentifiersMayBeNumbers(t *testing.T) {
	for value, want := range map[string]string{
		`"a"`: "a", `42`: "42", `0`: "0", `12345678901234567890`: "12345678901234567890", `"007"`: "007",
		`1.5`: "", `1e3`: "", `-4`: "", `true`: "", `["a"]`: "", `"a\n"`: "", `"ä"`: "",
	} {
		o := member(t, value)
		if got := o.Identifier("m"); got != want || (o.Err() == nil) != (want != "") {
			t.Errorf("%s: %q, %v", value, got, o.Err())
		}
	}
}

func TestWordsMayBeAList(t *testing.T) {
	for value, want := range map[string][]string{
		`"a b"`: {"a", "b"}, `["a","b"]`: {"a", "b"}, `["a b"," c "]`: {"a", "b", "c"}, `""`: {}, `[]`: {}, `null`: nil,
	} {
		o := member(t, value)
		if got := o.Words("m"); !slices.Equal(got, want) || (got == nil) != (want == nil) || o.Err() != nil {
			t.Errorf("%s: %#v, %v", value, got, o.Err())
		}
	}
	for _, value := range []string{`7`, `[7]`, `{"a":true}`, `"` + strings.Repeat("x ", longList) + `"`} {
		o := member(t, value)
		if got := o.Words("m"); got != nil || o.Err() == nil {
			t.Errorf("%.20s: %d words", value, len(got))
		}
	}
	many := strings.Repeat(strings.Repeat("s", 128)+" ", 256)
	if o := member(t, `"`+many+`"`); len(o.Words("m")) != 256 || o.Err() != nil {
		t.Errorf("two catalogues of scopes: %v", o.Err())
	}
	if o := member(t, `["x"`+strings.Repeat(`,"x"`, 1000)+`]`); len(o.Texts("m")) != 1001 || o.Err() != nil {
		t.Errorf("1001 items: %v", o.Err())
	}
}

func TestAnEchoIsAsItWasSentAndNeverWrong(t *testing.T) {
	for _, sent := range []string{"team@example.com\n", "a\tb\x00\x7f", strings.Repeat("x", 20<<10), "ä", ""} {
		encoded, err := json.Marshal([]string{sent})
		if err != nil {
			t.Fatal(err)
		}
		o := member(t, string(encoded))
		if got := o.Echoes("m"); !slices.Equal(got, []string{sent}) || o.Err() != nil {
			t.Errorf("%.20q: %v", sent, o.Err())
		}
		o = member(t, strings.Trim(string(encoded), "[]"))
		if got := o.Echo("m"); got != sent || o.Err() != nil {
			t.Errorf("%.20q: %v", sent, o.Err())
		}
	}
	for _, odd := range []string{`7`, `{}`, `[[1]]`, `["` + strings.Repeat("ä", longEcho) + `","b"]`, `"` + strings.Repeat("ä", longEcho) + `"`} {
		o := member(t, odd)
		text, list := o.Echo("m"), o.Echoes("m")
		if o.Err() != nil || len(text) > longEcho || len(strings.Join(list, "")) > longEcho || strings.ContainsRune(text, '\uFFFD') {
			t.Errorf("%.20s: %v, %d, %d", odd, o.Err(), len(text), len(list))
		}
	}
}

func TestWhatIsLookedIntoMayBeDeep(t *testing.T) {
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	o, err := LookInto([]byte(`{"deep":` + deep + `,"id":"a"}`))
	if err != nil || o.Visible("id", 10) != "a" {
		t.Error(err)
	}
	list, err := LookThrough([]byte(`[7,null,{"id":"a"}]`))
	if err != nil || len(list) != 3 || list[0].Has("id") || list[2].Visible("id", 10) != "a" || string(list[2].Raw()) != `{"id":"a"}` {
		t.Errorf("%v, %v", list, err)
	}
}
