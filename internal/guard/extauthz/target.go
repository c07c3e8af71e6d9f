// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package extauthz

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// extension is the context extension that names the MCPServer of a route.
const extension = "mcp-server"

// choose finds the server that a check is about: the one that the route names,
// or else the one whose resource, or its metadata, has the address. Who
// configures Envoy sets the extension; a client cannot.
func (s *Service) choose(extensions map[string]string, asked *authv3.AttributeContext_HttpRequest) (guard.ServerName, bool) {
	if text, set := extensions[extension]; set {
		namespace, name, _ := strings.Cut(text, "/")
		named := guard.ServerName{Namespace: namespace, Name: name}
		return named, s.served[named]
	}
	var found []guard.ServerName
	for name := range s.served {
		server, known := s.options.Register.Server(name)
		if !known {
			// It may be the one: resources are claimed by teams, and not unique.
			return guard.ServerName{}, false
		}
		if isAddress(server, asked) {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		return guard.ServerName{}, false
	}
	return found[0], true
}

// isAddress says whether a request is for a server's resource or its metadata:
// the same host and port, and the same path as it is written. Nothing is decoded
// or cleaned, so that no other path is taken for it.
func isAddress(server guard.Server, asked *authv3.AttributeContext_HttpRequest) bool {
	resource, err := url.Parse(server.Resource)
	if err != nil || !sameHost(resource, asked.GetHost()) {
		return false
	}
	path, query, _ := strings.Cut(asked.GetPath(), "?")
	same := rooted(path) == rooted(resource.EscapedPath()) && (resource.RawQuery == "" || query == resource.RawQuery)
	return same || isMetadata(server, asked)
}

// isMetadata says whether a request to a server asks for its metadata (RFC 9728
// §3), or for what may be sent to do so.
func isMetadata(server guard.Server, asked *authv3.AttributeContext_HttpRequest) bool {
	reads := asked.GetMethod() == http.MethodGet || asked.GetMethod() == http.MethodOptions
	return reads && asked.GetPath() == guard.MetadataPath(server.Resource)
}

// rooted is a path; that of a URL without one is "/" (RFC 9110 §4.2.3).
func rooted(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// sameHost compares a URL's host and port with an authority, whose port may be
// left out.
func sameHost(resource *url.URL, authority string) bool {
	usual := "443"
	if resource.Scheme == "http" {
		usual = "80"
	}
	host, port := hostPort(authority, usual)
	ownHost, ownPort := hostPort(resource.Host, usual)
	return host != "" && strings.EqualFold(host, ownHost) && port == ownPort
}

func hostPort(authority, usual string) (host, port string) {
	host, port, err := net.SplitHostPort(authority)
	if err != nil {
		return strings.Trim(authority, "[]"), usual
	}
	if port == "" {
		port = usual
	}
	return host, port
}
