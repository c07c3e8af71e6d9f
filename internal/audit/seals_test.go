// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// testKeys are keys of which each is a number, the newest first.
func testKeys(t testing.TB, numbers ...byte) Keys {
	t.Helper()
	var file []byte
	for _, number := range numbers {
		file = fmt.Appendf(file, "%062x%02x\n", 1, number)
	}
	keys, err := ParseKeys(file)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// keyed is a stream of n lines that bear the newest of the keys.
func keyed(t *testing.T, keys Keys, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	o := options(Stdout, unwelcome(t))
	o.Stdout, o.Keys = &out, keys
	record(t, o, n-1)
	return out.Bytes()
}

// resealed are the lines of a stream, sealed again from one on with keys of the
// forger's, after each was changed by with: what who can write the file can do.
func resealed(t *testing.T, stream []byte, from int, with key, change func(body string) string) []byte {
	t.Helper()
	var out []byte
	last := hashOf(nil)
	for number, raw := range lines(stream) {
		l, err := read(bytes.TrimSuffix(raw, []byte("\n")))
		if err != nil {
			t.Fatal(err)
		}
		if number+1 < from {
			out, last = append(out, raw...), l.Hash
			continue
		}
		body := string(raw[:bytes.LastIndex(raw, []byte(sealStart))])
		body = strings.Replace(change(body), `"previoushash":"`+l.previous, `"previoushash":"`+last, 1)
		body = strings.Replace(body, `,"keyid":"`+l.keyID+`"`, "", 1)
		if with.id != "" {
			body += `,"keyid":"` + with.id + `"`
		}
		last = hashOf([]byte(body))
		out = append(out, body+sealStart+last...)
		if with.id != "" {
			out = append(out, macStart+with.mac(last)...)
		}
		out = append(out, sealEnd+"\n"...)
	}
	return out
}

func same(body string) string { return body }

func otherAgent(body string) string { return strings.ReplaceAll(body, "agent-1", "agent-8") }

// Each way to write a file anew that a chain of hashes alone lets pass.
func TestWhoHasNoKeyWritesNothingThatVerifies(t *testing.T) {
	ours, theirs := testKeys(t, 1), testKeys(t, 7)
	stream := keyed(t, ours, 6)
	claimed := key{ours.keys[0].id, theirs.keys[0].secret}
	for name, c := range map[string]struct {
		stream []byte
		keys   Keys
		line   int
		text   string
	}{
		"whole rewritten without a key":     {resealed(t, stream, 1, key{}, otherAgent), ours, 1, "bears no key: it was written by somebody who has none; so with 5 after it"},
		"whole rewritten with another key":  {resealed(t, stream, 1, theirs.keys[0], otherAgent), ours, 1, "not among those given: it was written with another key; so with 5 after it"},
		"whole rewritten in our key's name": {resealed(t, stream, 1, claimed, otherAgent), ours, 1, "was not sealed with it: it was written by somebody who does not have the key; so with 5"},
		"not changed but for the key":       {resealed(t, stream, 1, theirs.keys[0], same), ours, 1, "another key"},
		"rewritten from a line on":          {resealed(t, stream, 4, key{}, otherAgent), ours, 4, "bears no key: it was written by somebody who has none; so with 2 after it"},
		"a line added at the end":           {slices.Concat(stream[:bytes.LastIndexByte(stream[:len(stream)-1], '\n')+1], resealed(t, stream, 6, key{}, same)[len(stream)-len(lines(stream)[5]):]), ours, 6, "bears no key"},
		"a key left out":                    {stream, theirs, 1, "not among those given"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Verify(bytes.NewReader(c.stream), Expect{}); err != nil {
				t.Fatalf("the chain alone shows it: %v", err)
			}
			report, err := Verify(bytes.NewReader(c.stream), Expect{Keys: c.keys})
			mustFail(t, err, c.line, c.text)
			if report.Authentic >= report.Events {
				t.Errorf("%+v", report)
			}
		})
	}
	if report, err := Verify(bytes.NewReader(stream), Expect{Keys: ours}); err != nil || report.Authentic != 6 || report.Keyed != 6 {
		t.Errorf("%+v, %v", report, err)
	}
	if report, err := Verify(bytes.NewReader(stream), Expect{}); err != nil || report.Authentic != 0 || report.Keyed != 6 {
		t.Errorf("without a key: %+v, %v", report, err)
	}
}

func TestADifferentFaultIsADamageOfItsOwn(t *testing.T) {
	ours := testKeys(t, 1)
	stream := resealed(t, keyed(t, ours, 6), 3, testKeys(t, 7).keys[0], same)
	stream = resealed(t, stream, 5, key{}, same)
	_, err := Verify(bytes.NewReader(stream), Expect{Keys: ours})
	mustFail(t, err, 3, "another key; so with 1 after it")
	mustFail(t, err, 5, "bears no key: it was written by somebody who has none; so with 1 after it")
}

func TestEveryEditOfAKeyedStreamIsFound(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	keys := testKeys(t, 1)
	stream := keyed(t, keys, 12)
	for range 3000 {
		edited, how, first := edit(random, stream)
		_, err := Verify(bytes.NewReader(edited), Expect{Sequence: 12, Keys: keys})
		var damages Damages
		if !errors.As(err, &damages) {
			t.Fatalf("%s: %v", how, err)
		}
		if damages[0].Line < first || damages[0].Line > first+2 {
			t.Fatalf("%s: named are\n%v", how, err)
		}
	}
}

func TestEveryByteOfAKeyedStreamCounts(t *testing.T) {
	keys := testKeys(t, 1)
	stream := keyed(t, keys, 3)
	for at := range stream {
		edited := slices.Clone(stream)
		edited[at] ^= 1
		if _, err := Verify(bytes.NewReader(edited), Expect{Keys: keys}); err == nil {
			t.Errorf("byte %d is %q instead of %q", at, edited[at], stream[at])
		}
	}
}

// A forger who has no key changes bodies, seals anew with keys of their own or none, and cuts.
func FuzzForge(f *testing.F) {
	f.Add(uint8(1), uint8(0), "agent-1", "agent-2", uint8(7))
	f.Add(uint8(3), uint8(2), "team", "", uint8(0))
	f.Fuzz(func(t *testing.T, from, cut uint8, old, changed string, number uint8) {
		ours := testKeys(t, 1)
		stream := keyed(t, ours, 5)
		with := key{}
		if number > 1 {
			with = testKeys(t, number).keys[0]
		}
		if number == 1 {
			with = key{ours.keys[0].id, []byte(changed)}
		}
		begin := 1 + int(from)%5
		forged := resealed(t, stream, begin, with, func(body string) string {
			encoded, err := json.Marshal(changed)
			if err != nil || old == "" {
				return body
			}
			return strings.Replace(body, `"name":"`+old+`"`, `"name":`+string(encoded), 1)
		})
		all := lines(forged)
		forged = bytes.Join(all[:max(begin, len(all)-int(cut)%5)], nil)
		if _, err := Verify(bytes.NewReader(forged), Expect{Keys: ours}); err == nil {
			t.Errorf("accepted\n%s", forged)
		}
	})
}

func TestKeysAreRotated(t *testing.T) {
	path := newFile(t)
	first, both := testKeys(t, 1), testKeys(t, 2, 1)
	o := options(path, unwelcome(t))
	o.Keys = first
	record(t, o, 2)
	o.Keys = both
	record(t, o, 2)
	stream := content(t, path)
	if report, err := Verify(bytes.NewReader(stream), Expect{Keys: both}); err != nil || report.Authentic != 5 || report.Chains != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	_, err := Verify(bytes.NewReader(stream), Expect{Keys: first})
	mustFail(t, err, 4, "bears key "+both.keys[0].id+", which is not among those given")
	_, err = Verify(bytes.NewReader(stream), Expect{Keys: testKeys(t, 2)})
	mustFail(t, err, 1, "bears key "+first.keys[0].id+", which is not among those given")
	// Who has a key that was replaced writes the last line once more.
	_, err = Verify(bytes.NewReader(resealed(t, stream, 5, first.keys[0], otherAgent)), Expect{Keys: both})
	mustFail(t, err, 5, "bears key "+first.keys[0].id+", which key "+both.keys[0].id+" replaced in line 4")
	_, err = Verify(bytes.NewReader(stream), Expect{Keys: testKeys(t, 1, 2)})
	mustFail(t, err, 4, "replaced in line 1")
}

func TestAFileThatEndsWithAForgedLineIsNotGoneOnWith(t *testing.T) {
	keys := testKeys(t, 1)
	for name, with := range map[string]key{"no key": {}, "another key": testKeys(t, 7).keys[0], "another in our name": {keys.keys[0].id, make([]byte, keyLength)}} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			o := options(path, unwelcome(t))
			o.Keys = keys
			record(t, o, 3)
			stream := resealed(t, content(t, path), 1, with, otherAgent)
			l, err := read(bytes.TrimSuffix(lines(stream)[3], []byte("\n")))
			if err != nil {
				t.Fatal(err)
			}
			store(t, path, stream)
			head, err := json.Marshal(l.Position)
			if err != nil {
				t.Fatal(err)
			}
			store(t, path+".head", head)
			var told reports
			o = options(path, told.add)
			o.Keys = keys
			record(t, o, 1)
			if len(told.errs) != 1 || !strings.Contains(told.errs[0].Error(), "not written with a key of this program") {
				t.Errorf("reported: %v", told.errs)
			}
			report, err := Verify(bytes.NewReader(content(t, path)), Expect{Keys: keys})
			mustFail(t, err, 1, "so with 3 after it")
			if report.Authentic != 2 || report.Chains != 2 {
				t.Errorf("%+v", report)
			}
		})
	}
}

func TestKeysAreReadStrictlyAndHidden(t *testing.T) {
	good := strings.Repeat("0a1b", 16)
	keys, err := ParseKeys([]byte("# made in August\n\n  " + good + "  \r\n" + strings.Repeat("0A1C", 16)))
	if err != nil || len(keys.IDs()) != 2 || len(keys.IDs()[0]) != keyIDLength || keys.IsZero() {
		t.Fatalf("%v, %v", keys.IDs(), err)
	}
	for text, want := range map[string]string{
		"": "there is no key", "# " + good: "there is no key", good[1:]: "line 1 of the keys is not 64", "\n" + good + "00": "line 2",
		"key " + good: "not 64 hexadecimal", good + "\n" + good: "line 2 of the keys is there twice",
		strings.Repeat("00", 32): "one byte repeated", strings.Repeat("ab", 32): "one byte repeated",
	} {
		if parsed, err := ParseKeys([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "0a1b") || !parsed.IsZero() {
			t.Errorf("%q: %v", text, err)
		}
	}
	var many []byte
	for range maxKeys {
		many = append(many, NewKey()...)
	}
	if _, err := ParseKeys(many); err != nil {
		t.Error(err)
	}
	if _, err := ParseKeys(append(many, NewKey()...)); err == nil || !strings.Contains(err.Error(), "more than 64") {
		t.Error(err)
	}
	encoded, err := json.Marshal(Options{Keys: keys}.Keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(keys), fmt.Sprintf("%+v", Expect{Keys: keys}), fmt.Sprintf("%#v", Expect{Keys: keys}), string(encoded)} {
		if strings.Contains(shown, "0a1b") || strings.Contains(shown, "[10 27") || strings.Contains(shown, "0xa, 0x1b") || !strings.Contains(shown, hidden) {
			t.Errorf("shown as %s", shown)
		}
	}
}

// The name of a key and its mac come together, also for who has no key to check.
func TestALineBearsItsKeyWholeOrNotAtAll(t *testing.T) {
	ours := testKeys(t, 1)
	whole := strings.TrimSuffix(string(lines(keyed(t, ours, 2))[1]), "\n")
	l, err := read([]byte(whole))
	if err != nil || l.keyID != ours.keys[0].id || !ours.wrote(l) {
		t.Fatalf("%+v, %v", l, err)
	}
	nameless := strings.TrimSuffix(string(resealed(t, keyed(t, ours, 1), 1, key{}, same)), "\n")
	plain, err := read([]byte(nameless))
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(change func(string) string) string {
		body := change(whole[:len(whole)-keyedSealLength])
		return body + sealStart + hashOf([]byte(body)) + macStart + ours.keys[0].mac(hashOf([]byte(body))) + sealEnd
	}
	for name, raw := range map[string]string{
		"no mac":            strings.Replace(whole, macStart+l.mac, "", 1),
		"no name":           strings.Replace(nameless, plain.Hash+sealEnd, plain.Hash+macStart+ours.keys[0].mac(plain.Hash)+sealEnd, 1),
		"an empty name":     sealed(func(body string) string { return strings.Replace(body, `"keyid":"`+l.keyID, `"keyid":"`, 1) }),
		"a name no string":  sealed(func(body string) string { return strings.Replace(body, `"keyid":"`+l.keyID+`"`, `"keyid":1`, 1) }),
		"two names":         sealed(func(body string) string { return body + `,"keyid":"` + l.keyID + `"` }),
		"a mac in capitals": strings.Replace(whole, l.mac, strings.ToUpper(l.mac), 1),
		"a second mac":      sealed(func(body string) string { return body + `,"mac":"` + l.mac + `"` }),
	} {
		if raw == whole {
			t.Fatalf("%s changes nothing", name)
		}
		if got, err := read([]byte(raw)); err == nil || errors.Is(err, errAltered) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestTheMetricsShowTheHead(t *testing.T) {
	registry := prometheus.NewRegistry()
	var out bytes.Buffer
	o := options(Stdout, unwelcome(t))
	o.Stdout, o.Registerer = &out, registry
	record(t, o, 2)
	head := published(t, out.Bytes(), 3, time.Time{})
	number, err := strconv.ParseUint(head.Hash[:12], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		found[family.GetName()] = family.GetMetric()[0].GetGauge().GetValue()
	}
	if found["mcp_registrar_audit_sequence"] != 3 || uint64(found["mcp_registrar_audit_hash"]) != number || number == 0 {
		t.Errorf("%v, want %d", found, number)
	}
}

func TestTheHeadOfAStream(t *testing.T) {
	var out bytes.Buffer
	o := options(Stdout, unwelcome(t))
	o.Stdout, o.Keys = &out, testKeys(t, 1)
	s := open(t, o)
	s.Record(registered(1))
	closed(t, s)
	head, ok := s.Head()
	if want := published(t, out.Bytes(), 2, time.Time{}).Position; !ok || head != want {
		t.Errorf("%+v, want %+v", head, want)
	}
}
