// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"

	"golang.org/x/time/rate"
)

// ReadOn has a proxy read refused bodies on at another rate, in bytes a second.
func ReadOn(handler http.Handler, perSecond int) {
	handler.(*Proxy).rest.SetLimit(rate.Limit(perSecond))
}
