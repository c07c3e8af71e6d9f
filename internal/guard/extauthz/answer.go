// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package extauthz

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
	"github.com/mcp-registrar/mcp-registrar/internal/guard/message"
)

// allowed lets a request pass, without its token unless that is to be passed on, and
// without what some servers read as something else.
func allowed(header http.Header, passToken bool) *authv3.CheckResponse {
	overriding := message.Overriding()
	ok := &authv3.OkHttpResponse{HeadersToRemove: overriding}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		// Some are removed anyway; the others may be very many.
		if name = strings.ToLower(name); message.Misleading(name) && !slices.Contains(overriding, name) {
			ok.HeadersToRemove = append(ok.HeadersToRemove, name)
		}
	}
	if !passToken {
		ok.HeadersToRemove = append(ok.HeadersToRemove, "authorization")
	}
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: ok},
	}
}

// denied has Envoy answer with a refusal. id is the id of the request.
func denied(v guard.Verdict, id string) *authv3.CheckResponse {
	return answer(v.Status, codeOf(v.Status), v.Challenge, v.Body(id))
}

// metadata has Envoy answer with a server's metadata, with the scopes that clients
// ask for first. To Envoy every answer that does not come from the upstream is a
// denial, whatever its status.
func metadata(server guard.Server, scopes []string) *authv3.CheckResponse {
	response := answer(http.StatusOK, codes.PermissionDenied, "", guard.Metadata(server, scopes))
	denied := response.GetDeniedResponse()
	// It is public: any page may read it.
	denied.Headers = append(denied.Headers, header("access-control-allow-origin", "*"))
	return response
}

// preflight has Envoy tell a browser that its page may read metadata, whichever page
// it is. Envoy's own filter does not where the route has no upstream.
func preflight() *authv3.CheckResponse {
	response := answer(http.StatusNoContent, codes.PermissionDenied, "", nil)
	response.GetDeniedResponse().Headers = []*corev3.HeaderValueOption{
		header("access-control-allow-origin", "*"),
		header("access-control-allow-methods", guard.MetadataMethods),
		header("access-control-allow-headers", guard.MetadataHeaders),
	}
	return response
}

func answer(httpStatus int, code codes.Code, challenge string, body []byte) *authv3.CheckResponse {
	headers := []*corev3.HeaderValueOption{header("content-type", "application/json"), header("cache-control", "no-store")}
	if challenge != "" {
		headers = append(headers, header("www-authenticate", challenge))
	}
	return &authv3.CheckResponse{
		Status: &status.Status{Code: int32(code)}, //nolint:gosec // Codes of gRPC are below 20.
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode(httpStatus)}, //nolint:gosec // Statuses of HTTP are below 600.
			Headers: headers,
			Body:    string(body),
		}},
	}
}

func header(key, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: key, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// codeOf is the gRPC code for an HTTP status. Envoy only asks whether it is OK.
func codeOf(httpStatus int) codes.Code {
	switch httpStatus {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusNotFound:
		return codes.NotFound
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	return codes.PermissionDenied
}
