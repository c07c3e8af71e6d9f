// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package dcr

import (
	"testing"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver"
	"github.com/mcp-registrar/mcp-registrar/internal/authserver/contract"
)

func TestContract(t *testing.T) {
	contract.Run(t, func(t *testing.T) contract.Subject {
		w := newWorld(t)
		return contract.Subject{
			Server: w.connect(t),
			Live:   w.live,
			Remove: w.remove,
			Rotate: func() { w.rotate = true },
			Alter: func(alter func(authserver.ClientMetadata) authserver.ClientMetadata) {
				w.alter = alter
			},
			Fail: w.fail, Stand: w.stand,
		}
	})
}
