// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

const (
	// keyLength is how long a key is, in bytes.
	keyLength = sha256.Size
	// maxKeys bounds the keys of a file.
	maxKeys = 64
	// keyIDLength is how many hexadecimal digits name a key.
	keyIDLength = 16
	// hidden is what is shown of keys.
	hidden = "[audit keys]"
)

// Keys are the keys of a stream, the newest first: that one is written with, and
// all are verified with. The zero value has none. Whatever prints it does not
// print a key.
type Keys struct{ keys []key }

type key struct {
	id     string
	secret []byte
}

// NewKey returns a random key as a line of a key file.
func NewKey() []byte {
	secret := make([]byte, keyLength)
	_, _ = rand.Read(secret) // It never returns an error.
	return append([]byte(hex.EncodeToString(secret)), '\n')
}

// ParseKeys reads a key file: a key a line, the newest first, each 64
// hexadecimal digits. Empty lines, and those that begin with #, say nothing. No
// error repeats what the file holds.
func ParseKeys(content []byte) (Keys, error) {
	var parsed Keys
	number := 0
	for raw := range bytes.Lines(content) {
		number++
		text := strings.TrimSpace(string(raw))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		secret, err := hex.DecodeString(text)
		switch {
		case err != nil || len(secret) != keyLength:
			return Keys{}, fmt.Errorf("line %d of the keys is not %d hexadecimal digits", number, 2*keyLength)
		case bytes.Count(secret, secret[:1]) == keyLength:
			return Keys{}, fmt.Errorf("line %d of the keys is one byte repeated: make a random one, for example by openssl rand -hex %d", number, keyLength)
		}
		added := key{keyID(secret), secret}
		if _, there := parsed.find(added.id); there {
			return Keys{}, fmt.Errorf("line %d of the keys is there twice", number)
		}
		parsed.keys = append(parsed.keys, added)
	}
	switch {
	case len(parsed.keys) == 0:
		return Keys{}, fmt.Errorf("there is no key: a key is a line of %d hexadecimal digits", 2*keyLength)
	case len(parsed.keys) > maxKeys:
		return Keys{}, fmt.Errorf("there are %d keys, more than %d", len(parsed.keys), maxKeys)
	}
	return parsed, nil
}

// keyID names a key by a hash of it, so that a name cannot be given to another.
func keyID(secret []byte) string {
	return hashOf(append([]byte("mcp-registrar audit key\n"), secret...))[:keyIDLength]
}

// IsZero reports whether there is no key.
func (k Keys) IsZero() bool { return len(k.keys) == 0 }

// IDs are the names of the keys, the newest first.
func (k Keys) IDs() []string {
	var ids []string
	for _, one := range k.keys {
		ids = append(ids, one.id)
	}
	return ids
}

// String hides the keys, as the next methods do.
func (Keys) String() string { return hidden }

// GoString hides the keys.
func (Keys) GoString() string { return hidden }

// MarshalJSON hides the keys.
func (Keys) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }

// newest is the key that lines are written with, without an id if there is none.
func (k Keys) newest() key {
	if k.IsZero() {
		return key{}
	}
	return k.keys[0]
}

// find returns the place of a key among them.
func (k Keys) find(id string) (int, bool) {
	at := slices.IndexFunc(k.keys, func(one key) bool { return one.id == id })
	return at, at >= 0
}

// mac authenticates a line by its hash, in its written form.
func (k key) mac(hash string) string {
	h := hmac.New(sha256.New, k.secret)
	h.Write([]byte(hash))
	return hex.EncodeToString(h.Sum(nil))
}

// wrote reports whether the line was sealed with one of the keys.
func (k Keys) wrote(l line) bool {
	at, known := k.find(l.keyID)
	return known && hmac.Equal([]byte(k.keys[at].mac(l.Hash)), []byte(l.mac))
}
