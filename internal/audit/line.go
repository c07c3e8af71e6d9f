// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const (
	// maxLine bounds a line, its newline not counted.
	maxLine = 1 << 20
	// timeLayout is RFC 3339 with nanoseconds, always of the same width.
	timeLayout = "2006-01-02T15:04:05.000000000Z"
	// sealStart and sealEnd enclose the hash at the end of each line; macStart
	// parts it from the mac, if the line bears a key.
	sealStart, macStart, sealEnd = `,"hash":"`, `","mac":"`, `"}`

	hashLength      = 2 * sha256.Size
	sealLength      = len(sealStart) + hashLength + len(sealEnd)
	keyedSealLength = sealLength + len(macStart) + hashLength
)

// Sequence numbers the lines of a chain from 1. In JSON it is a string of 20
// digits, as the CloudEvents extension of that name wants it: the order of the
// strings is the order of the numbers.
type Sequence uint64

const sequenceDigits = 20

// MarshalText writes the 20 digits.
func (s Sequence) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%0*d", sequenceDigits, uint64(s)), nil
}

// UnmarshalText reads the 20 digits.
func (s *Sequence) UnmarshalText(text []byte) error {
	if len(text) != sequenceDigits {
		return fmt.Errorf("the sequence %.32q does not have %d digits", text, sequenceDigits)
	}
	number, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("the sequence %q is not a number", text)
	}
	*s = Sequence(number)
	return nil
}

// Position is a line of a chain.
type Position struct {
	// Chain is the random id of the chain.
	Chain string `json:"chain"`
	// Sequence is the number of the line in it.
	Sequence Sequence `json:"sequence"`
	// Hash is the hash of the line.
	Hash string `json:"hash"`
}

// entry is what a line says, of any origin.
type entry struct {
	kind    Type
	subject string
	at      time.Time
	data    any
	// passing: it is one of many, whose line need not be noted at once.
	passing bool
}

// streamData is the data of events about the stream itself.
type streamData struct {
	// Continues is, in the first line of a chain, the last line of the stream
	// that this chain goes on from.
	Continues *Position `json:"continues,omitempty"`
	// TornLines are the lines directly before this one that were cut off.
	TornLines []tornLine `json:"tornLines,omitempty"`
	// LostEvents is how many events could not be written.
	LostEvents uint64 `json:"lostEvents,omitempty"`
	// LostFrom and LostUntil are the times of the first and last of them.
	LostFrom  time.Time `json:"lostFrom,omitzero"`
	LostUntil time.Time `json:"lostUntil,omitzero"`
}

// tornLine is what is left of a line that was cut off.
type tornLine struct {
	// SHA256 is the hash of its bytes, without the newline that closes it.
	SHA256 string `json:"sha256"`
	// Bytes is how many there are.
	Bytes int `json:"bytes"`
}

func torn(content []byte) tornLine {
	return tornLine{SHA256: hashOf(content), Bytes: len(content)}
}

func hashOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// envelope is a line without its hash, in the order of its members.
type envelope struct {
	SpecVersion     string   `json:"specversion"`
	ID              string   `json:"id"`
	Source          string   `json:"source"`
	Type            Type     `json:"type"`
	Subject         string   `json:"subject,omitempty"`
	Time            string   `json:"time"`
	DataContentType string   `json:"datacontenttype"`
	Data            any      `json:"data"`
	Chain           string   `json:"chain"`
	Sequence        Sequence `json:"sequence"`
	PreviousHash    string   `json:"previoushash"`
	KeyID           string   `json:"keyid,omitempty"`
}

// seal makes the line that follows last, with its newline. The hash is that of
// the line's own bytes up to the hash member, which is the last one: the comma
// before it is not hashed. With a key, the line names it, and the HMAC-SHA-256
// of the hash follows that.
func seal(source string, with key, last Position, e entry) ([]byte, Position, error) {
	position := Position{Chain: last.Chain, Sequence: last.Sequence + 1}
	number, err := position.Sequence.MarshalText()
	if err != nil {
		return nil, Position{}, err
	}
	encoded, err := encodeJSON(envelope{
		SpecVersion: "1.0", ID: position.Chain + "-" + string(number), Source: source, Type: e.kind, Subject: e.subject,
		Time: e.at.UTC().Format(timeLayout), DataContentType: "application/json", Data: e.data,
		Chain: position.Chain, Sequence: position.Sequence, PreviousHash: last.Hash, KeyID: with.id,
	})
	if err != nil {
		return nil, Position{}, err
	}
	body := bytes.TrimSuffix(encoded, []byte("}"))
	position.Hash = hashOf(body)
	line := append(body, sealStart+position.Hash...)
	if with.id != "" {
		line = append(line, macStart+with.mac(position.Hash)...)
	}
	line = append(line, sealEnd+"\n"...)
	if len(line) > maxLine {
		return nil, Position{}, fmt.Errorf("the event has %d bytes, more than %d", len(line), maxLine)
	}
	return line, position, nil
}

var (
	// errUnsealed: the line does not end with a hash. It may be cut off, or of
	// another origin.
	errUnsealed = errors.New("it does not end with a hash")
	// errAltered: the hash at the end is not that of the line.
	errAltered = errors.New("its hash does not fit")
)

// line is what a line says about its place in the stream.
type line struct {
	Position
	previous string
	kind     Type
	// keyID names the key that the line was sealed with, by its own account, and
	// mac is to show it; both are empty if there was none.
	keyID, mac string
	// stream is the data of an event about the stream itself.
	stream streamData
}

// read reads a line, without its newline. With errAltered it returns what the
// line claims, as far as it can be read.
func read(raw []byte) (line, error) {
	body, hash, mac, ok := unseal(raw)
	if !ok {
		return line{}, errUnsealed
	}
	l, err := readMembers(raw)
	if hashOf(body) != hash {
		return l, errAltered
	}
	if err == nil && (l.keyID == "") != (mac == "") {
		err = errors.New("it names a key and does not bear it, or the other way round")
	}
	return l, err
}

// unseal splits a line into what is hashed, the hash and the mac, which is empty
// in a line without a key.
func unseal(raw []byte) (body []byte, hash, mac string, ok bool) {
	if at := len(raw) - keyedSealLength; at >= 0 && bytes.HasPrefix(raw[at:], []byte(sealStart)) {
		hash = string(raw[at+len(sealStart):][:hashLength])
		mac = string(raw[len(raw)-len(sealEnd)-hashLength:][:hashLength])
		if string(raw[at:]) == sealStart+hash+macStart+mac+sealEnd && isHash(hash) && isHash(mac) {
			return raw[:at], hash, mac, true
		}
	}
	if len(raw) < sealLength {
		return nil, "", "", false
	}
	body, tail := raw[:len(raw)-sealLength], raw[len(raw)-sealLength:]
	hash = string(tail[len(sealStart) : len(sealStart)+hashLength])
	return body, hash, "", string(tail) == sealStart+hash+sealEnd && isHash(hash)
}

func isHash(text string) bool {
	decoded, err := hex.DecodeString(text)
	return err == nil && len(decoded) == sha256.Size && hex.EncodeToString(decoded) == text
}
