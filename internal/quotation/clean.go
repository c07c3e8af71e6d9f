// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package quotation

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	// longestWord bounds a word in them, in characters: what is longer is a key, a
	// token, or what a tenant made up.
	longestWord = 64
	// tellingPart is how many characters of a secret in a row give it away.
	tellingPart = 8
	// leftOut stands for a word that is not shown.
	leftOut = "(…)"
)

// address finds words that lead elsewhere: URLs, hosts with a path, mail addresses.
// The beginning of a JWT is never a word.
var address = regexp.MustCompile(`(?i)://|@|\A\W*www\.|[[:alnum:]]\.[[:alnum:]]+(:[0-9]+)?/|eyJ[[:alnum:]_-]{8}`)

// Options are what cleaning depends on.
type Options struct {
	// Secrets are those that must not be told of, in each form in which they were sent.
	Secrets []string
	// Sent is what was sent: a word of it may come back, whatever it looks like.
	Sent string
	// Longest bounds the quotation, in bytes.
	Longest int
}

// Clean is one line of printable text out of what somebody said of what was sent,
// without addresses and without what could be a key or a token. It is empty where any
// part of a secret is in it.
func Clean(said string, o Options) string {
	plain, bare := solid(said), stripped(unescaped(said))
	for _, secret := range o.Secrets {
		if tells(plain, solid(secret)) || tellsStripped(bare, stripped(secret)) {
			return ""
		}
	}
	words := strings.Fields(strings.Map(shownRune, strings.ToValidUTF8(said, "")))
	for i, word := range words {
		if unfitWord(word, o.Sent) {
			words[i] = leftOut
		}
	}
	line := strings.Join(slices.CompactFunc(words, func(a, b string) bool { return a == leftOut && b == leftOut }), " ")
	if len(line) > o.Longest {
		line = strings.TrimSpace(cut(line, o.Longest-len("…"))) + "…"
	}
	return line
}

// shownRune is how a character is shown: white space of any kind as a space, what
// would end the quotation as what does not, and nothing for what nobody sees.
func shownRune(r rune) rune {
	switch {
	case unicode.IsSpace(r), unicode.In(r, unicode.Zl, unicode.Zp):
		return ' '
	case r == '"', r == '`', r == '“', r == '”':
		return '\''
	case !unicode.IsPrint(r):
		return -1
	}
	return r
}

// solid leaves out of a text what could stand between the parts of a secret.
func solid(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}

// unfitWord reports whether a word is not to be shown.
func unfitWord(word, sent string) bool {
	return len([]rune(word)) > longestWord || address.MatchString(word) || unknownCode(word, sent)
}

// tellsStripped is tells for texts without case and marks, forwards and backwards. What
// is short then could be in any text.
func tellsStripped(text, secret string) bool {
	return len(secret) >= tellingPart && (tells(text, secret) || tells(text, backwards(secret)))
}

// stripped is what is left of a text without case and marks: its letters and digits.
func stripped(text string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
}

func backwards(text string) string {
	turned := []byte(text)
	slices.Reverse(turned)
	return string(turned)
}

// escape finds characters that are written by their number: in URLs, in JSON, in HTML.
var escape = regexp.MustCompile(`(?i)%([0-9a-f]{2})|\\u([0-9a-f]{4})|&#x([0-9a-f]{1,6});|&#([0-9]{1,7});`)

// unescaped writes those characters themselves.
func unescaped(text string) string {
	return escape.ReplaceAllStringFunc(text, func(written string) string {
		groups, base := escape.FindStringSubmatch(written), 16
		if groups[4] != "" {
			base = 10
		}
		number, err := strconv.ParseInt(strings.Join(groups[1:], ""), base, 32)
		if err != nil {
			return written
		}
		return string(rune(number))
	})
}

// code finds what could be a key, a token or a coding of one.
var code = regexp.MustCompile(`[A-Za-z0-9+/=_-]{16,}`)

// unknownCode reports whether a word has something in it that could be a code, with
// letters and digits, and was not sent.
func unknownCode(word, sent string) bool {
	return slices.ContainsFunc(code.FindAllString(word, -1), func(found string) bool {
		return strings.ContainsAny(found, "0123456789") && !strings.Contains(sent, found)
	})
}

// tells reports whether a text has a secret in it, or a telling part of one.
func tells(text, secret string) bool {
	if len(secret) < tellingPart {
		return secret != "" && strings.Contains(text, secret)
	}
	if len(text) < tellingPart {
		return false
	}
	parts := make(map[string]bool, len(text))
	for i := range len(text) - tellingPart + 1 {
		parts[text[i:i+tellingPart]] = true
	}
	for i := range len(secret) - tellingPart + 1 {
		if parts[secret[i:i+tellingPart]] {
			return true
		}
	}
	return false
}

// cut shortens a text to whole characters.
func cut(text string, longest int) string {
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:max(longest, 0)], "")
}
