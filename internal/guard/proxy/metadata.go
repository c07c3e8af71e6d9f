// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"net/http"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// metadataRoot is the well-known path of RFC 9728 §3.1 without a resource's.
var metadataRoot = guard.MetadataPath("")

// serveMetadata answers with the protected resource metadata of the server that
// a well-known path belongs to. The path without a resource's is that of the
// only server of the host, if there is only one.
func (p *Proxy) serveMetadata(w http.ResponseWriter, r *http.Request, path string) {
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Allow-Methods", guard.MetadataMethods)
	header.Set("Access-Control-Allow-Headers", guard.MetadataHeaders)
	switch r.Method {
	case http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodGet:
	default:
		header.Set("Allow", guard.MetadataMethods)
		writeFailure(w, http.StatusMethodNotAllowed, "", "metadata is read with GET")
		return
	}
	server, status := p.matchMetadata(r, path)
	if status != 0 {
		writeNoRoute(w, status)
		return
	}
	header.Set("Content-Type", "application/json")
	p.send(w, guard.Metadata(server, p.register.FirstScopes(server)))
}

// matchMetadata is match for a well-known path.
func (p *Proxy) matchMetadata(r *http.Request, path string) (server guard.Server, status int) {
	host, status := splitHost(r.Host), http.StatusNotFound
	var all, named, matching []guard.Server
	for _, candidate := range p.routes {
		if !candidate.answersFor(host) {
			continue
		}
		located, at, known := candidate.locate(p.register)
		if !known {
			status = http.StatusServiceUnavailable
			continue
		}
		all = append(all, located)
		if at.metadata == path {
			matching = append(matching, located)
			if resourceHost(located.Resource).meets(host) {
				named = append(named, located)
			}
		}
	}
	if len(matching) == 0 && path == metadataRoot {
		matching = all
	}
	if len(matching) > 1 {
		matching, status = named, http.StatusMisdirectedRequest
	}
	if len(matching) == 1 {
		return matching[0], 0
	}
	return server, status
}
