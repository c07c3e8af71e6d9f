// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package authserver

// Quote is what a server said of a request in its own words, cleaned and bounded, to
// be shown to those whose client the request was about. It never prints: logs, metrics
// and audit record are read by others too. The zero value is nothing.
type Quote struct{ text Secret }

// NewQuote wraps words that were cleaned.
func NewQuote(text string) Quote { return Quote{text: NewSecret(text)} }

// Text returns the words. Its callers are the places to review.
func (q Quote) Text() string { return q.text.Reveal() }
