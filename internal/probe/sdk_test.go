// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/mcp-registrar/mcp-registrar/internal/policy"
)

// sdkServer is a server made with the official Go SDK.
func sdkServer(options *mcp.StreamableHTTPOptions) http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "read_file", Description: "Reads a file."},
		func(context.Context, *mcp.CallToolRequest, struct{ Path string }) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{}, nil, nil
		})
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, options)
}

// TestTheOfficialSDK asks servers made with the official Go SDK, in each of its
// forms: naked, and behind its own check of tokens.
func TestTheOfficialSDK(t *testing.T) {
	for name, options := range map[string]*mcp.StreamableHTTPOptions{
		"with sessions":     {},
		"without sessions":  {Stateless: true},
		"without streams":   {JSONResponse: true},
		"without either":    {Stateless: true, JSONResponse: true},
		"with its defaults": nil,
	} {
		t.Run(name, func(t *testing.T) {
			naked := httptest.NewServer(sdkServer(options))
			defer naked.Close()
			got := New(Options{}).Ask(t.Context(), Question{Resource: naked.URL, Loopback: true})
			if len(got.Anonymous) == 0 || got.Anonymous[0] != policy.AnswerAccepted {
				t.Errorf("naked: %+v", got)
			}
			w := &world{}
			w.Server = httptest.NewServer(protected(w, sdkServer(options)))
			defer w.Close()
			got = w.askBy(t, office{other: elsewhere})
			want := answered(policy.MetadataFound, challenged3...)
			want.Metadata = policy.ProbeMetadata{Resource: w.resource(), AuthorizationServers: []string{issuer}}
			want.Audience, want.ToolsAre, want.Tools = policy.AudienceCompared, policy.Present, got.Tools
			if diff := cmp.Diff(want, got); diff != "" || names(got.Tools) != "read_file" {
				t.Errorf("protected: %s (-want +got):\n%s", names(got.Tools), diff)
			}
		})
	}
}

func protected(w *world, next http.Handler) http.Handler {
	mux := http.NewServeMux()
	verify := func(_ context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
		if token != rightToken {
			return nil, auth.ErrInvalidToken
		}
		return &auth.TokenInfo{UserID: "probe", Expiration: time.Now().Add(time.Hour)}, nil
	}
	mux.HandleFunc("/mcp", func(rw http.ResponseWriter, r *http.Request) {
		auth.RequireBearerToken(verify, &auth.RequireBearerTokenOptions{ResourceMetadataURL: w.URL + "/metadata"})(next).ServeHTTP(rw, r)
	})
	mux.HandleFunc("/metadata", func(rw http.ResponseWriter, r *http.Request) {
		auth.ProtectedResourceMetadataHandler(&oauthex.ProtectedResourceMetadata{
			Resource: w.resource(), AuthorizationServers: []string{issuer},
		}).ServeHTTP(rw, r)
	})
	return mux
}
