// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package keycloak

import (
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

func TestContract(t *testing.T) {
	contract.Run(t, func(t *testing.T) contract.Subject { return newWorld(t).subject(t) })
}
