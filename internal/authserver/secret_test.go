// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package authserver

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretNeverPrints(t *testing.T) {
	const canary = "canary-7f3a"
	holder := struct {
		Token  Secret
		hidden Secret
		Nested map[string]any
	}{NewSecret(canary), NewSecret(canary), map[string]any{"token": NewSecret(canary)}}

	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "token", holder.Token, "holder", holder)
	texts := []string{
		string(encoded), logged.String(), holder.Token.String(),
		fmt.Sprint(holder), fmt.Sprintf("%v %+v %#v %s %q", holder, holder, holder, holder.Token, holder.Token),
		fmt.Errorf("wrapping: %w %v", &Error{Op: "x"}, holder).Error(),
	}
	for _, text := range texts {
		if strings.Contains(text, canary) {
			t.Errorf("the secret is printed: %s", text)
		}
	}
	if holder.Token.Reveal() != canary {
		t.Error("Reveal does not return the value")
	}
}
