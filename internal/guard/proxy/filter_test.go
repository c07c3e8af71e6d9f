// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func onlyAdd(tool string) bool { return tool == "add" }

func TestListsAreCutDown(t *testing.T) {
	cases := map[string]struct{ raw, want string }{
		"some":               {` {"id":1,"result" : { "tools" : [ {"name":"add", "x":"é\u00e9"} , {"name":"erase"} ] ,"nextCursor":"c"}, "jsonrpc":"2.0"} `, ` {"id":1,"result" : { "tools" : [{"name":"add", "x":"é\u00e9"}] ,"nextCursor":"c"}, "jsonrpc":"2.0"} `},
		"all callable":       {`{"result":{"tools":[ {"name":"add"} ]}}`, `{"result":{"tools":[ {"name":"add"} ]}}`},
		"none callable":      {`{"result":{"tools":[{"name":"erase"}]}}`, `{"result":{"tools":[]}}`},
		"empty":              {`{"result":{"tools":[]}}`, `{"result":{"tools":[]}}`},
		"an escaped member":  {`{"result":{"\u0074ools":[{"name":"erase"}]}}`, `{"result":{"\u0074ools":[]}}`},
		"an escaped name":    {`{"result":{"tools":[{"name":"\u0061dd"}]}}`, `{"result":{"tools":[{"name":"\u0061dd"}]}}`},
		"names that are two": {`{"result":{"tools":[{"name":"add","Name":"erase"},{"name":"add","name":"add"}]}}`, `{"result":{"tools":[]}}`},
		"no tools":           {`{"result":{"tools":["add",null,{"title":"add"},{"name":["add"]},{"name":"a\ud800"}]}}`, `{"result":{"tools":[]}}`},
		"a batch":            {`[{"result":{}}, {"result":{"tools":[{"name":"erase"}]}}]`, `[{"result":{}},{"result":{"tools":[]}}]`},
		"another batch":      {`[ {"result":{}} ]`, `[ {"result":{}} ]`},
		"no list":            {`{"method":"notifications/message","params":{"tools":[{"name":"erase"}]}}`, `{"method":"notifications/message","params":{"tools":[{"name":"erase"}]}}`},
		"an error":           {`{"error":{"code":1},"id":1}`, `{"error":{"code":1},"id":1}`},
		"a result of null":   {`{"result":null}`, `{"result":null}`},
		"a public list":      {`{"result":{"tools":[],"cacheScope":"public","ttlMs":3600000}}`, `{"result":{"tools":[],"cacheScope":"private","ttlMs":60000}}`},
		"a short-lived list": {`{"result":{"ttlMs":0,"cacheScope":"private","tools":[{"name":"erase"}]}}`, `{"result":{"ttlMs":0,"cacheScope":"private","tools":[]}}`},
		"a list for 1e9 ms":  {`{"result":{"ttlMs":1e9,"tools":[]}}`, `{"result":{"cacheScope":"private","ttlMs":60000,"tools":[]}}`},
		"no sensible time":   {`{"result":{"ttlMs":"long","cacheScope":1,"tools":[]}}`, `{"result":{"ttlMs":60000,"cacheScope":"private","tools":[]}}`},
		"another cacheable":  {`{"result":{"prompts":[],"cacheScope":"public","ttlMs":3600000}}`, `{"result":{"prompts":[],"cacheScope":"public","ttlMs":3600000}}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := filter([]byte(c.raw), onlyAdd)
			if err != nil || string(got) != c.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

func TestListsThatCannotBeReadAreNotPassed(t *testing.T) {
	for _, raw := range []string{
		`{"result":{"tools":[{"name":"erase"}]}`, `{"result":{"tools":[]},"Result":{"tools":[{"name":"erase"}]}}`,
		`{"result":{"tools":[]},"result":{"tools":[{"name":"erase"}]}}`, `{"result":{"tools":[],"TOOLS":[{"name":"erase"}]}}`,
		`{"result":{"tools":{"name":"erase"}}}`, `"erase"`, "{\"result\":\"\xff\"}", `[["x"]]`, `{"result":{"__proto__":{"tools":[]}}}`,
		`{"result":` + strings.Repeat("[", 1001) + strings.Repeat("]", 1001) + `}`, `{"result":{"tools":[]}} {"result":{}}`,
	} {
		if got, err := filter([]byte(raw), onlyAdd); err == nil {
			t.Errorf("%s was passed as %s", raw, got)
		}
	}
}

// split reads all events of a stream.
func split(t *testing.T, r io.Reader, maxSize int) ([]string, error) {
	t.Helper()
	s := newEvents(r, maxSize)
	var all []string
	for {
		e, err := s.next()
		if len(e.raw) > 0 {
			all = append(all, string(e.raw))
		}
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

const erased = `{"id":1,"result":{"tools":[{"name":"erase"}]}}`

func TestStreamsAreSplitAtEveryKindOfEmptyLine(t *testing.T) {
	for name, want := range map[string][]string{
		"LF":              {"data: a\n\n", "data: b\n\n"},
		"CRLF":            {"data: a\r\n\r\n", "data: b\r\n\r\n"},
		"CR":              {"data: a\r\r", "data: b\r\r"},
		"mixed":           {"data: a\r\n\n", "data: b\n\r\n", "data: c\r\n\n"},
		"comments":        {": hello\n\n", "event: x\nid: 1\nretry: 5\ndata: a\ndata: b\n\n"},
		"empty lines":     {"\n", "\n", "data: a\n\n"},
		"an unfinished":   {"data: a\n\n", "data: b\n"},
		"unfinished line": {"data: a"},
		"a mark":          {"\ufeff\n", "data: a\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := split(t, strings.NewReader(strings.Join(want, "")), 1000)
			if err != nil || strings.Join(got, "|") != strings.Join(want, "|") {
				t.Errorf("got %q, %v", got, err)
			}
			bytewise, err := split(t, iotest.OneByteReader(strings.NewReader(strings.Join(want, ""))), 1000)
			if err != nil || strings.Join(bytewise, "") != strings.Join(want, "") {
				t.Errorf("byte by byte %q, %v", bytewise, err)
			}
		})
	}
	if got, err := split(t, strings.NewReader("data: "+strings.Repeat("x", 100)), 50); !errors.Is(err, errEventTooLarge) {
		t.Errorf("a large event: %q, %v", got, err)
	}
}

func TestEventsAreDeliveredWithoutWaiting(t *testing.T) {
	for _, text := range []string{"data: a\n\n", "data: a\r\n\r\n", "data: a\r\r"} {
		reader, writer := io.Pipe()
		s := newEvents(reader, 1000)
		go func() {
			for _, char := range []byte(text) {
				_, _ = writer.Write([]byte{char})
			}
		}()
		var got []byte
		for string(got) != text {
			e, err := s.next()
			if err != nil || len(e.raw) == 0 {
				t.Fatalf("%q: %q, %v", text, got, err)
			}
			got = append(got, e.raw...)
		}
		reader.Close()
	}
}

func TestEventsAreFiltered(t *testing.T) {
	const none = `{"id":1,"result":{"tools":[]}}`
	for name, c := range map[string]struct{ raw, want string }{
		"a list":              {"event: message\nid: 7\ndata: " + erased + "\nretry: 3\n\n", "event: message\nid: 7\ndata: " + none + "\nretry: 3\n\n"},
		"without space":       {"data:" + erased + "\n\n", "data: " + none + "\n\n"},
		"with CRLF":           {": c\r\ndata: " + erased + "\r\n\r\n", ": c\ndata: " + none + "\n\n"},
		"in two lines":        {"data: {\"id\":1,\ndata: \"result\":{\"tools\":[{\"name\":\"erase\"}]}}\n\n", "data: {\"id\":1,\ndata: \"result\":{\"tools\":[]}}\n\n"},
		"of another name":     {"event: other\ndata: " + erased + "\n\n", "event: other\ndata: " + none + "\n\n"},
		"at the end":          {"data: " + erased, "data: " + none + "\n"},
		"behind a mark":       {"\ufeffdata: " + erased + "\n\n", "\ufeffdata: " + none + "\n\n"},
		"a batch":             {"data: [" + erased + "]\n\n", "data: [" + none + "]\n\n"},
		"no list":             {"data: {\"id\":1, \"result\":{}}\r\n\r\n", "data: {\"id\":1, \"result\":{}}\r\n\r\n"},
		"a comment":           {": " + erased + "\n\n", ": " + erased + "\n\n"},
		"no message":          {"event: endpoint\ndata: /messages\n\n", "event: endpoint\ndata: /messages\n\n"},
		"empty data":          {"id: 1\ndata:\n\n", "id: 1\ndata:\n\n"},
		"for who knows no CR": {"data: \r" + erased + "\n\n", "data: \n" + erased + "\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := newEvents(strings.NewReader(c.raw), 1000).next()
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			got, err := e.filter(onlyAdd)
			if err != nil || string(got) != c.want {
				t.Errorf("got  %q, %v\nwant %q", got, err, c.want)
			}
		})
	}
	e := event{raw: []byte("data: {\"result\":{\"tools\":[{\"name\":\"erase\"}\n\n")}
	if got, err := e.filter(onlyAdd); err == nil {
		t.Errorf("passed as %q", got)
	}
}

// FuzzEvents holds that no byte of a stream is lost, and that what was filtered
// has nothing left to filter.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{"data: a\n\n", "data: " + erased + "\r\n\r\n", "\ufeff\r\r\n: c\rid: 1\n\ndata", "data: {\ndata: \"result\":{}}\n\n"} {
		f.Add([]byte(seed))
	}
	none := func(string) bool { return false }
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := newEvents(bytes.NewReader(raw), 1<<20)
		var all []byte
		for {
			e, end := s.next()
			all = append(all, e.raw...)
			if once, err := e.filter(none); err == nil {
				again, err := event{raw: once, skip: e.skip}.filter(none)
				if err != nil || !bytes.Equal(again, once) {
					t.Fatalf("%q was filtered to %q, and that to %q, %v", e.raw, once, again, err)
				}
			}
			if end != nil {
				break
			}
		}
		if !bytes.Equal(all, raw) {
			t.Fatalf("%q was split into %q", raw, all)
		}
	})
}
