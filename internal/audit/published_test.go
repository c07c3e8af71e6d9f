// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func published(t *testing.T, stream []byte, line int, at time.Time) Published {
	t.Helper()
	l, err := read(bytes.TrimSuffix(lines(stream)[line-1], []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	return Published{l.Position, at}
}

func TestPublishedHeadsShowTheEnd(t *testing.T) {
	keys := testKeys(t, 1)
	stream, other := keyed(t, keys, 5), keyed(t, keys, 3)
	all, at := lines(stream), date(8)
	cutOff := bytes.Join(all[:3], nil)
	head, old := published(t, stream, 5, at), published(t, other, 3, at.Add(-time.Hour))
	// A fork has as many lines, and others from the fourth on: who has the key wrote it.
	fork := resealed(t, stream, 4, keys.keys[0], func(body string) string { return strings.ReplaceAll(body, "agent-2", "agent-9") })
	for name, c := range map[string]struct {
		stream []byte
		expect Expect
		text   string
	}{
		"whole":                             {stream, Expect{Published: []Published{head}}, ""},
		"whole, and written on since":       {stream, Expect{Published: []Published{published(t, stream, 4, at)}}, ""},
		"cut at the end":                    {cutOff, Expect{Published: []Published{head}}, "published at 2026-08-01T00:00:00Z is not there, sequence 5"},
		"cut, part of more":                 {cutOff, Expect{Published: []Published{head}, Unfinished: true}, "is not there, sequence 5"},
		"another chain in its place":        {other, Expect{Published: []Published{old, head}}, "is not there, sequence 5"},
		"another chain before it":           {stream, Expect{Published: []Published{old, head}}, ""},
		"another chain, which goes on":      {other, Expect{Published: []Published{old, head}, Unfinished: true}, ""},
		"an earlier chain cut":              {slices.Concat(bytes.Join(lines(other)[:2], nil), stream), Expect{Published: []Published{old, head}}, "is not there, sequence 3"},
		"both whole":                        {slices.Concat(other, stream), Expect{Published: []Published{old, head}}, ""},
		"rewritten at the end with our key": {fork, Expect{Published: []Published{published(t, stream, 4, at)}}, "is not there, sequence 4"},
		"the numbers of the later of two":   {slices.Concat(other, keyed(t, keys, 5), stream), Expect{Sequence: 5, Hash: hashNumber(head.Hash)}, ""},
		"a fork, by what it has itself":     {fork, Expect{Published: []Published{published(t, fork, 5, at)}}, ""},
		"a fork, by the metrics":            {fork, Expect{Sequence: 5, Hash: hashNumber(head.Hash)}, "sequence 5 has another hash"},
		"the numbers of the metrics":        {stream, Expect{Sequence: 5, Hash: hashNumber(head.Hash)}, ""},
		"the numbers, written on since":     {stream, Expect{Sequence: 4, Hash: hashNumber(published(t, stream, 4, at).Hash)}, ""},
		"another hash":                      {stream, Expect{Sequence: 4, Hash: hashNumber(head.Hash)}, "sequence 4 has another hash than expected"},
	} {
		t.Run(name, func(t *testing.T) {
			c.expect.Keys = keys
			report, err := Verify(bytes.NewReader(c.stream), c.expect)
			if c.text == "" {
				if err != nil {
					t.Errorf("%+v, %v", report, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %q", err, c.text)
			}
		})
	}
}

// Somebody cuts the file and its head while the program is stopped: what goes on
// is another chain, so that the head that is published next hides nothing.
func TestAFileShorterThanItsPublishedHeadIsNotGoneOnWith(t *testing.T) {
	path := newFile(t)
	o := options(path, unwelcome(t))
	o.Keys = testKeys(t, 1)
	record(t, o, 5)
	whole := content(t, path)
	head, short := published(t, whole, 6, date(8)), published(t, whole, 3, date(8))
	encoded, err := json.Marshal(short.Position)
	if err != nil {
		t.Fatal(err)
	}
	store(t, path, bytes.Join(lines(whole)[:3], nil))
	store(t, path+".head", encoded)
	var told reports
	o = options(path, told.add)
	o.Keys, o.Published = testKeys(t, 1), []Published{head}
	record(t, o, 1)
	if len(told.errs) != 1 || !strings.Contains(told.errs[0].Error(), "but sequence 6 of chain") {
		t.Errorf("reported: %v", told.errs)
	}
	_, err = Verify(bytes.NewReader(content(t, path)), Expect{Keys: o.Keys})
	mustFail(t, err, 4, "should have ended with sequence 6")
}

func TestAnEmptyFileGoesOnFromThePublishedHead(t *testing.T) {
	head := Published{Position{"c", 9, hashOf(nil)}, date(8)}
	path := newFile(t)
	o := options(path, unwelcome(t))
	o.Published = []Published{head}
	record(t, o, 1)
	report, err := Verify(bytes.NewReader(content(t, path)), Expect{})
	if err != nil || report.Continues == nil || *report.Continues != head.Position {
		t.Errorf("%+v, %v", report, err)
	}
	// One that was written on since is gone on with.
	whole := content(t, path)
	o.Published = []Published{published(t, whole, 1, date(8))}
	record(t, o, 1)
	if report := mustVerify(t, path); report.Chains != 1 || report.Events != 3 {
		t.Errorf("%+v", report)
	}
}

// The head beside a file is lost by accident. What was published of its chain takes
// its place, and of another chain says nothing about it.
func TestWithoutAHeadAFileIsHeldToWhatWasPublishedOfIt(t *testing.T) {
	for name, c := range map[string]struct {
		chain  string
		more   Sequence
		chains int
		says   string
	}{
		"of its chain":         {"", 0, 1, ""},
		"of its chain, behind": {"", 5, 2, "but sequence 9 of chain"},
		"of another chain":     {"other", 5, 1, "head is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			o := options(path, unwelcome(t))
			record(t, o, 3)
			head := published(t, content(t, path), 4, date(8))
			head.Sequence += c.more
			if c.chain != "" {
				head.Chain = c.chain
			}
			if err := os.Remove(path + ".head"); err != nil {
				t.Fatal(err)
			}
			var told reports
			o = options(path, told.add)
			o.Published = []Published{head}
			record(t, o, 1)
			report, _ := Verify(bytes.NewReader(content(t, path)), Expect{})
			said := errors.Join(told.errs...)
			if report.Chains != c.chains || (said == nil) != (c.says == "") || said != nil && !strings.Contains(said.Error(), c.says) {
				t.Errorf("%+v, reported: %v", report, said)
			}
		})
	}
}

func TestPublishedHeadsAreRead(t *testing.T) {
	line := fmt.Sprintf(`{"chain":"b","sequence":"%020d","hash":"%s","at":"2026-08-01T00:00:00Z"}`, 3, hashOf(nil))
	later := strings.NewReplacer(`"b"`, `"a"`, "-01T", "-02T").Replace(line)
	text, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		line: "b", `{"b":` + line + `}`: "b", `{"a":` + later + `,"b":` + string(text) + `}`: "b a",
	} {
		heads, err := ParsePublished([]byte(given))
		var chains []string
		for _, head := range heads {
			chains = append(chains, head.Chain)
		}
		if err != nil || strings.Join(chains, " ") != want || heads[0].Sequence != 3 || !heads[0].At.Equal(date(8)) {
			t.Errorf("%s: %v, %v", given, heads, err)
		}
	}
	for _, bad := range []string{"", "[]", "{}", "null", `{"a":` + line + `}`, `{"b":3}`, `{"b":"x"}`, strings.Replace(line, "3", "0", 1), strings.Replace(line, `"b"`, `""`, 1), strings.Replace(line, hashOf(nil), "x", 1)} {
		if heads, err := ParsePublished([]byte(bad)); err == nil {
			t.Errorf("%s is read as %v", bad, heads)
		}
	}
}
