// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// edit changes a stream at random and says how, and the first line at which
// the damage may be named.
func edit(random *rand.Rand, stream []byte) (edited []byte, how string, first int) {
	all := lines(slices.Clone(stream))
	at := random.IntN(len(all))
	other := random.IntN(len(all) - 1)
	if other >= at {
		other++
	}
	switch random.IntN(6) {
	case 0:
		// The last line is found missing by what is expected of the stream.
		return bytes.Join(slices.Delete(all, at, at+1), nil), fmt.Sprintf("line %d removed", at+1), min(at+1, len(all)-1)
	case 1:
		all[at], all[other] = all[other], all[at]
		return bytes.Join(all, nil), fmt.Sprintf("lines %d and %d exchanged", at+1, other+1), min(at, other) + 1
	case 2:
		return bytes.Join(slices.Insert(all, other, all[at]), nil), fmt.Sprintf("line %d again as line %d", at+1, other+1), other + 1
	case 3:
		line := slices.Clone(all[at])
		position := random.IntN(len(line) - 1)
		line[position] ^= byte(1 + random.IntN(255))
		all[at] = line
		return bytes.Join(all, nil), fmt.Sprintf("byte %d of line %d is now %q", position, at+1, line[position]), at + 1
	case 4:
		position := random.IntN(len(all[at]) - 1)
		all[at] = slices.Delete(slices.Clone(all[at]), position, position+1)
		return bytes.Join(all, nil), fmt.Sprintf("byte %d of line %d removed", position, at+1), at + 1
	default:
		added := []byte("x\n")
		return bytes.Join(slices.Insert(all, at, added), nil), fmt.Sprintf("a line added as line %d", at+1), at + 1
	}
}

func TestEveryEditIsFound(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	stream := good(t, 12)
	for range 3000 {
		edited, how, first := edit(random, stream)
		_, err := Verify(bytes.NewReader(edited), Expect{Sequence: 12})
		var damages Damages
		if !errors.As(err, &damages) {
			t.Fatalf("%s: %v", how, err)
		}
		if damages[0].Line < first || damages[0].Line > first+2 {
			t.Fatalf("%s: named are\n%v", how, err)
		}
	}
}

func TestEveryEditIsFoundAmongOtherLines(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	stream := good(t, 6)
	for range 3000 {
		edited, how, _ := edit(random, stream)
		if strings.HasPrefix(how, "a line added") {
			continue
		}
		edited = bytes.ReplaceAll(edited, []byte("\n"), []byte("\n"+`{"level":"info","msg":"hello"}`+"\n"))
		if _, err := Verify(bytes.NewReader(edited), Expect{Sequence: 6, IgnoreOtherLines: true}); err == nil {
			t.Fatalf("not found: %s", how)
		}
	}
}

func TestEveryByteCounts(t *testing.T) {
	stream := good(t, 3)
	for at := range stream {
		edited := slices.Clone(stream)
		edited[at] ^= 1
		if _, err := Verify(bytes.NewReader(edited), Expect{}); err == nil {
			t.Errorf("byte %d is %q instead of %q", at, edited[at], stream[at])
		}
	}
}

// forged seals lines that a stream does not write.
func forged(t *testing.T, entries ...func(*Position) entry) []byte {
	t.Helper()
	last := Position{Chain: "c", Hash: hashOf(nil)}
	var out []byte
	for _, make := range entries {
		e := make(&last)
		line, position, err := seal("/test", key{}, last, e)
		if err != nil {
			t.Fatal(err)
		}
		out, last = append(out, line...), position
	}
	return out
}

func plain(kind Type, data any) func(*Position) entry {
	return func(*Position) entry { return entry{kind: kind, data: data} }
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	start := plain(StreamStarted, streamData{})
	stream, second := good(t, 5), good(t, 3)
	split := lines(stream)
	for name, c := range map[string]struct {
		stream []byte
		expect Expect
		line   int
		text   string
	}{
		"nothing at all":              {nil, Expect{}, 0, "no event"},
		"only other lines":            {[]byte("hello\n"), Expect{IgnoreOtherLines: true}, 1, "no event"},
		"other lines":                 {slices.Concat([]byte("hello\n"), stream), Expect{}, 1, "not of an audit stream"},
		"one line missing":            {slices.Concat(split[0], split[1], split[3]), Expect{}, 3, "1 before this line missing"},
		"the beginning missing":       {slices.Concat(split[2], split[3]), Expect{}, 1, "begins with sequence 3"},
		"the end missing":             {slices.Concat(split[0], split[1]), Expect{Sequence: 5}, 2, "3 after it missing"},
		"the end missing by the head": {slices.Concat(split[0], split[1]), Expect{Head: &Position{"c", 9, hashOf(nil)}}, 2, "should be sequence 9"},
		"two streams mixed":           {slices.Concat(split[0], lines(second)[0], split[1]), Expect{}, 3, "two streams mixed"},
		"an empty line":               {slices.Concat(split[0], []byte("\n"), split[1]), Expect{}, 2, "not of an audit stream"},
		"an empty last line":          {slices.Concat(split[0], []byte("\n")), Expect{}, 2, "not of an audit stream"},
		"a line too long":             {slices.Concat(split[0], bytes.Repeat([]byte("x"), 3*maxLine), []byte("\n"), split[1]), Expect{}, 2, "longer than"},
		"a last line too long":        {slices.Concat(split[0], bytes.Repeat([]byte("x"), 3*maxLine)), Expect{}, 2, "longer than"},
		"a chain that starts wrong":   {forged(t, plain(ClientRevoked, 1)), Expect{}, 1, "does not begin a chain"},
		"a line replaced": {forged(t, start, plain(ClientRevoked, 1), func(last *Position) entry {
			last.Hash = hashOf(nil)
			return entry{kind: ClientRevoked}
		}), Expect{}, 3, "does not follow"},
		"torn lines named that are not there": {forged(t, start, plain(StreamRecovered, streamData{TornLines: []tornLine{torn(nil)}})), Expect{}, 2, "which are not there"},
		"data of another form":                {forged(t, start, plain(StreamGap, "three")), Expect{}, 2, "data is not that"},
		"no type":                             {forged(t, start, plain("", 1)), Expect{}, 2, `"type" is missing`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Verify(bytes.NewReader(c.stream), c.expect)
			mustFail(t, err, c.line, c.text)
		})
	}
}

func TestMembersAreReadStrictly(t *testing.T) {
	whole := strings.TrimSuffix(string(lines(good(t, 2))[1]), "\n")
	for name, c := range map[string][2]string{
		"a member twice":          {`"id":`, `"type":"x","id":`},
		"a member in capitals":    {`"sequence"`, `"Sequence"`},
		"another version":         {`"specversion":"1.0"`, `"specversion":"0.3"`},
		"another content":         {`application/json`, `text/plain`},
		"a short sequence":        {`"00000000000000000002"`, `"2"`},
		"a sequence of letters":   {`"00000000000000000002"`, `"0000000000000000000x"`},
		"a sequence not a string": {`"00000000000000000002"`, `2`},
		"a time in another form":  {`Z","datacontenttype"`, `+00:00","datacontenttype"`},
		"a hash in capitals":      {`"previoushash":"`, `"previoushash":"X`},
		"not an object":           {`{"specversion"`, `["specversion"`},
		"two values":              {`{"specversion"`, `{} {"specversion"`},
		"no value":                {`"id":`, `"id"`},
	} {
		body := strings.Replace(whole[:len(whole)-sealLength], c[0], c[1], 1)
		if body == whole[:len(whole)-sealLength] {
			t.Fatalf("%s changes nothing", name)
		}
		line := body + sealStart + hashOf([]byte(body)) + sealEnd
		if _, err := read([]byte(line)); err == nil || errors.Is(err, errAltered) || errors.Is(err, errUnsealed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDamageDoesNotHideWhatComesAfterIt(t *testing.T) {
	split := lines(good(t, 9))
	split[2] = bytes.Replace(split[2], []byte("agent-1"), []byte("agent-8"), 1)
	split[4] = []byte("gone\n")
	_, err := Verify(bytes.NewReader(bytes.Join(slices.Delete(split, 6, 7), nil)), Expect{Sequence: 9})
	var damages Damages
	if !errors.As(err, &damages) {
		t.Fatal(err)
	}
	var found []int
	for _, damage := range damages {
		found = append(found, damage.Line)
	}
	if !slices.Equal(found, []int{3, 5, 7}) {
		t.Error(err)
	}
}

func TestManyDamagesAreListedInPart(t *testing.T) {
	_, err := Verify(strings.NewReader(strings.Repeat("x\n", 5000)), Expect{})
	var damages Damages
	if !errors.As(err, &damages) || len(damages) != maxDamages {
		t.Errorf("%d damages", len(damages))
	}
}

func TestOtherLinesAreIgnoredOnDemand(t *testing.T) {
	var log []byte
	for _, line := range lines(good(t, 4)) {
		log = slices.Concat(log, []byte(`{"level":"info","msg":"a \"chain\":\"x\" "}`+"\n"), line, []byte("\n"))
	}
	log = slices.Concat(log, bytes.Repeat([]byte("x"), 2*maxLine))
	report, err := Verify(bytes.NewReader(log), Expect{Sequence: 4, IgnoreOtherLines: true})
	if err != nil || report.Ignored != 9 || report.Events != 4 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestATornLineTooShortToBeKnownIsIgnored(t *testing.T) {
	out := &faulty{accept: []int{1 << 20, 5, 400}}
	o := options(Stdout, nil)
	o.Stdout = out
	record(t, o, 4)
	report, err := Verify(bytes.NewReader(out.Bytes()), Expect{Sequence: 5, IgnoreOtherLines: true})
	if err != nil || report.Torn != 2 || report.Ignored != 1 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestAStreamThatCannotBeReadIsNoDamage(t *testing.T) {
	_, err := Verify(io.MultiReader(bytes.NewReader(good(t, 2)), iotest.ErrReader(errFull)), Expect{})
	var damages Damages
	if !errors.Is(err, errFull) || errors.As(err, &damages) {
		t.Error(err)
	}
}

// follows checks a stream without torn lines in another way than Verify.
func follows(t *testing.T, stream []byte) {
	t.Helper()
	previous := ""
	for number, raw := range lines(stream) {
		raw = bytes.TrimSuffix(raw, []byte("\n"))
		var event struct{ Sequence, PreviousHash, Hash string }
		if err := json.Unmarshal(raw, &event); err != nil {
			t.Fatalf("line %d: %v", number+1, err)
		}
		if event.Sequence == "00000000000000000001" {
			previous = hashOf(nil)
		}
		body := raw[:bytes.LastIndex(raw, []byte(`,"hash":"`))]
		if event.Hash != hashOf(body) || event.PreviousHash != previous {
			t.Fatalf("line %d is accepted\n%s", number+1, raw)
		}
		previous = event.Hash
	}
}

func FuzzVerify(f *testing.F) {
	f.Add([]byte(""), false)
	f.Add([]byte("{}\n"), true)
	nobodys, err := ParseKeys(NewKey())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, stream []byte, ignore bool) {
		report, err := Verify(bytes.NewReader(stream), Expect{IgnoreOtherLines: ignore})
		if err == nil && report.Torn == 0 && report.Ignored == 0 {
			follows(t, stream)
		}
		for _, raw := range lines(stream) {
			if l, err := read(bytes.TrimSuffix(raw, []byte("\n"))); err == nil && (l.Chain == "" || !isHash(l.Hash)) {
				t.Errorf("accepted %q", raw)
			}
		}
		if _, err := Verify(bytes.NewReader(stream), Expect{IgnoreOtherLines: ignore, Keys: nobodys}); err == nil {
			t.Errorf("accepted for a key that wrote nothing: %q", stream)
		}
		if err == nil && report.Events == 0 {
			t.Error("nothing is accepted")
		}
	})
}
