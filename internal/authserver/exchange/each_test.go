// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

func each(t *testing.T, answer http.HandlerFunc) (names []string, err error) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	e, err := New(server.URL, Options{Now: time.Now, Timeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	c := Call{Op: "listing", Method: http.MethodGet, URL: server.URL + "/", Each: func(item *Object) {
		names = append(names, item.Echo("name"))
	}}
	got, err := e.Send(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if got.Status != http.StatusOK {
		return names, Useless(c, got, nil)
	}
	return names, ReadEach(c, got)
}

// A list that is read element by element may be longer than other answers: the whole of
// it is bounded, and so is each element, whatever the status.
func TestLongLists(t *testing.T) {
	long := `{"name":"` + strings.Repeat("x", 900<<10) + `"}`
	for name, test := range map[string]struct {
		status int
		items  func(write func(string))
		want   int
		code   string
	}{
		"3 MB in small elements": {200, func(write func(string)) {
			write(`[{"name":"first"}`)
			for range 50000 {
				write(`,{"name":"` + strings.Repeat("y", 50) + `"}`)
			}
			write(`]`)
		}, 50001, ""},
		"long elements":       {200, func(write func(string)) { write("[" + long + "," + long + "," + long + "]") }, 3, ""},
		"an element too long": {200, func(write func(string)) { write(`[{"name":"a"},{"name":"` + strings.Repeat("x", 2<<20) + `"}]`) }, 1, CodeTooLarge},
		"without an end": {200, func(write func(string)) {
			write("[" + long)
			for range 100 {
				write("," + long)
			}
		}, -1, CodeTooLarge},
		"a long refusal": {403, func(write func(string)) { write(long + long) }, 0, CodeTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			names, err := each(t, func(out http.ResponseWriter, _ *http.Request) {
				out.Header().Set("Content-Type", JSONType)
				out.WriteHeader(test.status)
				test.items(func(text string) { _, _ = io.WriteString(out, text) })
			})
			failure, failed := errors.AsType[*authserver.Error](err)
			if test.code == "" && failed || test.code != "" && (!failed || failure.Code != test.code) {
				t.Errorf("%v, want %q", err, test.code)
			}
			if test.want >= 0 && len(names) != test.want {
				t.Errorf("%d elements, want %d", len(names), test.want)
			}
		})
	}
}

// FuzzEach holds that a list which is read element by element is one exactly where
// it is one at a time, and holds the same.
func FuzzEach(f *testing.F) {
	for _, body := range []string{
		`[]`, ` [ ] `, `[{}]`, `[{"name":"a"},{"name":"b"}]`, `[null]`, `[1]`, `null`, `{}`, ``, `[`, `[{}`, `[{},]`, `[{}]x`, `[{}] []`, `[{"name":"a"`,
		"[{\"name\":\"\xff\"}]",
	} {
		f.Add([]byte(body), true)
		f.Add([]byte(body), false)
	}
	f.Fuzz(func(t *testing.T, body []byte, typed bool) {
		a := Answer{Status: http.StatusOK, Header: http.Header{}}
		if typed {
			a.Header.Set("Content-Type", JSONType)
		}
		var names []string
		a.BodyErr = readItems(strings.NewReader(string(body)), func(item *Object) {
			a.items++
			names = append(names, item.Echo("name"))
		})
		err := ReadEach(Call{}, a)
		var whole []map[string]json.RawMessage
		is := json.Unmarshal(body, &whole) == nil && whole != nil
		for _, item := range whole {
			is = is && item != nil
		}
		if want := is && (typed || len(whole) > 0); want != (err == nil) {
			t.Fatalf("%q: %v", body, err)
		}
		if err != nil {
			return
		}
		list, err := LookThrough(body)
		if err != nil || len(list) != len(names) {
			t.Fatalf("%d and %d elements, %v", len(list), len(names), err)
		}
		for i, item := range list {
			if item.Echo("name") != names[i] {
				t.Errorf("%q and %q", item.Echo("name"), names[i])
			}
		}
	})
}

func TestListsThatDecide(t *testing.T) {
	object, err := LookInto([]byte(`{"a":["x","y"],"b":[],"c":null,"d":["x",1],"e":[null],"f":"x","g":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := object.Whole("a"); len(got) != 2 {
		t.Errorf("a: %q", got)
	}
	if got := object.Whole("b"); got == nil || len(got) > 0 {
		t.Errorf("b: %q", got)
	}
	for _, name := range []string{"c", "d", "e", "f", "g", "h"} {
		if got := object.Whole(name); got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, want := range map[string]bool{"a": false, "b": true, "c": true, "d": false, "f": false, "g": false, "h": true} {
		if got := object.Empty(name); got != want {
			t.Errorf("%s is empty: %t", name, got)
		}
	}
}
