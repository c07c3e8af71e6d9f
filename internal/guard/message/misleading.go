// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package message

import (
	"slices"
	"strings"
)

// overriding are headers that make some servers see another method or path than was
// decided about.
var overriding = []string{
	"x-http-method", "x-http-method-override", "x-method-override", "x-original-url", "x-rewrite-url",
}

// Overriding returns the names of headers by which some servers see another method or path
// than was decided about, in lower case.
func Overriding() []string { return slices.Clone(overriding) }

// Misleading reports whether some servers read a header of this name, in any case, as
// something else than was decided about: one of Overriding, or a name with an underscore,
// which some take for a hyphen. Names of parameters are not: the server wants them as the
// tool names them, and no other header begins so.
func Misleading(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(overriding, name) || strings.Contains(name, "_") && !strings.HasPrefix(name, "mcp-param-")
}
