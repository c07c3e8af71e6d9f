// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
)

// Whatever a server does to a secret before it shows it, it is not quoted.
func TestNoFormOfASecretIsQuoted(t *testing.T) {
	t.Parallel()
	const text = "rA7kZ_q-9fXw2LmNbV0cT4yUiOpQeSdH1gJ3hK5l8xE"
	every := func(between string) string { return strings.Join(strings.Split(text, ""), between) }
	escaped := func(format func(rune) string) string {
		var all strings.Builder
		for _, r := range text {
			all.WriteString(format(r))
		}
		return all.String()
	}
	c := Call{
		Quoted: true, ContentType: JSONType, Body: []byte(`{"client_name":"robot"}`),
		Authorization: Bearer(authserver.NewSecret("management-" + text)), Secrets: []authserver.Secret{authserver.NewSecret(text)},
		URL: "https://as.example.com/register/robot?rat=Qm7wEr_tYu-8IoPaSdFgHjKl",
	}
	for name, said := range map[string]string{
		"base64": base64.StdEncoding.EncodeToString([]byte(text)), "base64url": base64.RawURLEncoding.EncodeToString([]byte(text)),
		"base64 of its first half": base64.StdEncoding.EncodeToString([]byte(text[:21])),
		"base64 after something":   base64.RawStdEncoding.EncodeToString([]byte("ab:" + text[:30])),
		"hexadecimal":              hex.EncodeToString([]byte(text))[:60], "in lower case": strings.ToLower(text), "in upper case": strings.ToUpper(text),
		"percent": escaped(func(r rune) string { return "%" + strings.ToUpper(hex.EncodeToString([]byte{byte(r)})) })[:63],
		"JSON":    escaped(func(r rune) string { return `\u00` + hex.EncodeToString([]byte{byte(r)}) })[:60],
		"HTML":    escaped(func(r rune) string { return "&#x" + hex.EncodeToString([]byte{byte(r)}) + ";" })[:60],
		"dashes":  every("-")[:60], "commas": every(", "), "quotes": "'" + every("' '") + "'", "backwards": backwards(text),
		"a query of ours": "no client for Qm7wEr_tYu-8IoPaSdFgHjKl", "escaped query": url.QueryEscape(text),
	} {
		a := Answer{Status: 400, Body: []byte(says(t, "invalid_client", "bad "+said))}
		if got := QuoteOf(c, a).Text(); strings.TrimSuffix(got, "(…)") != "bad " && got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}
