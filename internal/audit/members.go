// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// readMembers reads the members of a line strictly: names in their exact case,
// each once, so that no two readers can understand a line differently.
func readMembers(raw []byte) (line, error) {
	members, err := object(raw)
	if err != nil {
		return line{}, err
	}
	texts, err := attributes(members)
	if err != nil {
		return line{}, err
	}
	l := line{previous: texts["previoushash"], kind: Type(texts["type"]), keyID: texts["keyid"], mac: texts["mac"]}
	l.Chain, l.Hash = texts["chain"], texts["hash"]
	if err := l.Sequence.UnmarshalText([]byte(texts["sequence"])); err != nil {
		return line{}, err
	}
	if l.kind == StreamStarted || l.kind == StreamRecovered || l.kind == StreamGap {
		if err := json.Unmarshal(members["data"], &l.stream); err != nil {
			return line{}, errors.New("the data is not that of an event about the stream")
		}
	}
	return l, nil
}

// attributes reads the members that every line must have and those of a line
// with a key, and checks those that can have one form only.
func attributes(members map[string]json.RawMessage) (map[string]string, error) {
	texts := map[string]string{}
	for _, name := range []string{"specversion", "id", "source", "type", "time", "datacontenttype", "chain", "sequence", "previoushash", "hash"} {
		var text string
		if err := json.Unmarshal(members[name], &text); err != nil || text == "" {
			return nil, fmt.Errorf("the member %q is missing, empty or not a string", name)
		}
		texts[name] = text
	}
	if err := keyAttributes(members, texts); err != nil {
		return nil, err
	}
	_, timeErr := time.Parse(timeLayout, texts["time"])
	switch {
	case texts["specversion"] != "1.0":
		return nil, errors.New(`the specversion is not "1.0"`)
	case texts["datacontenttype"] != "application/json":
		return nil, errors.New(`the datacontenttype is not "application/json"`)
	case !isHash(texts["previoushash"]):
		return nil, errors.New("the previoushash is not a SHA-256 in lower-case hex")
	case timeErr != nil:
		return nil, errors.New("the time is not RFC 3339 with nanoseconds in UTC")
	}
	return texts, nil
}

// keyAttributes adds the members that only a line with a key has.
func keyAttributes(members map[string]json.RawMessage, texts map[string]string) error {
	for _, name := range []string{"keyid", "mac"} {
		raw, there := members[name]
		if !there {
			continue
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil || text == "" {
			return fmt.Errorf("the member %q is empty or not a string", name)
		}
		texts[name] = text
	}
	return nil
}

// object splits a JSON object into its members. It refuses a member that is
// there twice and anything after the object.
func object(raw []byte) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	start, err := decoder.Token()
	if err != nil || start != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	members := map[string]json.RawMessage{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, errors.New("it is not a JSON object")
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, errors.New("it is not a JSON object")
		}
		text, ok := name.(string)
		if _, twice := members[text]; twice || !ok {
			return nil, fmt.Errorf("the member %.64q is there twice", text)
		}
		members[text] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, errors.New("it is not a JSON object")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return members, nil
}
