// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"slices"
	"strings"
	"testing"
)

func TestAnObjectIsReadByExactNames(t *testing.T) {
	o, err := DecodeObject([]byte(`{"id":"a","ID":"b","list":["x"],"words":" a  b ","yes":true,"n":7,
		"in":{"k":"v"},"none":null,"empty":[],"keys":{"keys": []},"at":60}`))
	if err != nil {
		t.Fatal(err)
	}
	if o.Visible("id", 10) != "a" || !slices.Equal(o.Texts("list"), []string{"x"}) || o.Texts("none") != nil ||
		o.Texts("empty") == nil || !slices.Equal(o.Words("words"), []string{"a", "b"}) || !o.Flag("yes") ||
		o.Number("n") != 7 || o.Object("in").Text("k", 10) != "v" || o.Object("gone").Has("k") ||
		o.Has("none") || o.Set("keys") != `{"keys":[]}` || o.Instant("at").Unix() != 60 || !o.Instant("gone").IsZero() {
		t.Errorf("%+v", o)
	}
	if o.Object("id").Err() == nil || o.Object("id").Has("a") || o.Object("in").Err() != nil {
		t.Error("a text is read as an object")
	}
	if o.Err() != nil {
		t.Error(o.Err())
	}
}

func TestWhatStrangersWroteIsShownAndNeverWrong(t *testing.T) {
	o, err := DecodeObject([]byte(`{"a":"one\ntwo","b":7,"c":"äöü","d":["x"]}`))
	if err != nil {
		t.Fatal(err)
	}
	if a, b, c, d := o.Shown("a", 20), o.Shown("b", 20), o.Shown("c", 5), o.Shown("d", 20); a != "onetwo" || b != "" || c != "äö" || d != "" {
		t.Errorf("%q %q %q %q", a, b, c, d)
	}
	if o.Err() != nil {
		t.Error(o.Err())
	}
}

func TestWrongMembersAreNamedAndNotRepeated(t *testing.T) {
	for name, read := range map[string]func(*Object){
		"a number as text":  func(o *Object) { o.Text("n", 10) },
		"a long text":       func(o *Object) { o.Text("long", 3) },
		"a control":         func(o *Object) { o.Text("control", 10) },
		"beyond ASCII":      func(o *Object) { o.Visible("umlaut", 10) },
		"a text as list":    func(o *Object) { o.Texts("long") },
		"a text as number":  func(o *Object) { o.Number("long") },
		"a fraction":        func(o *Object) { o.Number("fraction") },
		"a text as flag":    func(o *Object) { o.Flag("long") },
		"a negative moment": func(o *Object) { o.Instant("negative") },
	} {
		o, err := DecodeObject([]byte(`{"n":1,"long":"canary","control":"a\n","umlaut":"ä","fraction":1.5,"negative":-1}`))
		if err != nil {
			t.Fatal(err)
		}
		read(o)
		if err := o.Err(); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"{}", "[]", "[{}]", "[null]", "null", "{\"a\":{\"b\":[1]}}", "[{\"a\":\"b\"},{}]", "{\"a\":1e999}", "\xff",
		strings.Repeat("[", 100), "{\"a\":\"\\ud800\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, listErr := DecodeList(raw)
		o, err := DecodeObject(raw)
		if err == nil && listErr == nil {
			t.Fatal("both an object and a list")
		}
		for _, item := range append(slices.Clone(list), o) {
			if item == nil {
				continue
			}
			for name := range item.members {
				text := item.Text(name, 16)
				if len(text) > 16 || strings.ContainsFunc(text, control) {
					t.Errorf("%q", text)
				}
				item.Texts(name)
				item.Object(name).Number("a")
				if shown := item.Shown(name, 16); len(shown) > 16 || strings.ContainsFunc(shown, control) {
					t.Errorf("%q", shown)
				}
				if year := item.Instant(name).Year(); year < 1 || year > 9999 {
					t.Errorf("the year %d", year)
				}
			}
		}
	})
}
