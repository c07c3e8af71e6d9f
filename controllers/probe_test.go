// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mcp-registrar/mcp-registrar/api/v1alpha1"
	"github.com/mcp-registrar/mcp-registrar/internal/probe"
	"github.com/mcp-registrar/mcp-registrar/test/devas"
)

// liveServer is an MCP server made with the official Go SDK.
type liveServer struct {
	*httptest.Server
	// naked asks for no token; lax compares no audience.
	naked, lax bool
	// claims is the resource that its metadata claims, if not its own.
	claims string
}

func newLiveServer(t *testing.T, issuer string, change func(*liveServer)) *liveServer {
	t.Helper()
	server := mcp.NewServer(&mcp.Implementation{Name: "live", Version: "1"}, nil)
	for _, name := range []string{"get", "zap"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{}, nil, nil
		})
	}
	l := &liveServer{}
	change(l)
	mux := http.NewServeMux()
	l.Server = httptest.NewServer(mux)
	t.Cleanup(l.Close)
	if l.claims == "" {
		l.claims = l.URL + "/mcp"
	}
	handler := http.Handler(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	if !l.naked {
		handler = auth.RequireBearerToken(l.verify, &auth.RequireBearerTokenOptions{ResourceMetadataURL: l.URL + "/metadata"})(handler)
	}
	mux.Handle("/mcp", handler)
	mux.Handle("/metadata", auth.ProtectedResourceMetadataHandler(&oauthex.ProtectedResourceMetadata{
		Resource: l.claims, AuthorizationServers: []string{issuer},
	}))
	return l
}

// verify compares the audience and trusts the rest: what it is asked with comes
// from the operator.
func (l *liveServer) verify(_ context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return nil, auth.ErrInvalidToken
	}
	var claims jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil || !l.lax && !slices.Contains(claims.Audience, l.URL+"/mcp") {
		return nil, auth.ErrInvalidToken
	}
	return &auth.TokenInfo{UserID: claims.Subject, Expiration: claims.Expiry.Time()}, nil
}

// protection is the Protected condition of a server in short.
func (w *world) protection(t *testing.T, server *v1alpha1.MCPServer) func() string {
	return func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(server), server); err != nil {
			return err.Error()
		}
		c := meta.FindStatusCondition(server.Status.Conditions, v1alpha1.ConditionProtected)
		if c == nil {
			return "none"
		}
		return string(c.Status) + "/" + c.Reason
	}
}

// TestLiveServers tells servers apart: with the real prober, a real
// authorization server and a real API server.
func TestLiveServers(t *testing.T) {
	t.Parallel()
	own := newOwnCluster(t)
	own.prober = probe.New(probe.Options{AllowPrivate: true})
	w := newWorldIn(t, own.Client, own.cluster, devas.Options{})
	g, issuer := NewWithT(t), w.as.Issuer()
	live := map[string]*liveServer{
		"good":    newLiveServer(t, issuer, func(*liveServer) {}),
		"naked":   newLiveServer(t, issuer, func(l *liveServer) { l.naked = true }),
		"other":   newLiveServer(t, issuer, func(l *liveServer) { l.claims = "https://mcp.example.com/other" }),
		"foreign": newLiveServer(t, "https://auth.example.com", func(*liveServer) {}),
		"lax":     newLiveServer(t, issuer, func(l *liveServer) { l.lax = true }),
	}
	servers := map[string]*v1alpha1.MCPServer{"metadata": w.server("metadata"), "off": w.server("off")}
	servers["metadata"].Spec.Resource = "https://169.254.169.254/mcp"
	servers["off"].Spec.Probe = &v1alpha1.Probe{Mode: v1alpha1.ProbeDisabled}
	for name, l := range live {
		servers[name] = w.server(name)
		servers[name].Spec.Resource = l.URL + "/mcp"
	}
	until := time.Now().Add(time.Hour)
	for _, name := range []string{"good", "lax"} {
		servers[name].Spec.Probe = &v1alpha1.Probe{ClientRef: &v1alpha1.LocalReference{Name: "canary-" + name}}
		servers[name].Spec.Scopes[0].Tools = []string{"get"}
		grant := w.grant("canary-"+name, until, "files:read")
		grant.Spec.ServerRef.Name = name
		w.create(t, w.registration("canary-"+name, secret, until), grant)
	}
	for _, server := range servers {
		w.create(t, server)
	}
	own.run(t)
	for name, want := range map[string]string{
		"good": "True/Protected", "naked": "False/AnonymousAccepted", "other": "False/ResourceMismatch",
		"foreign": "False/AuthorizationServerNotListed", "lax": "False/AudienceNotChecked", "metadata": "Unknown/AddressRefused",
	} {
		g.Eventually(w.protection(t, servers[name]), eventually, often).Should(Equal(want), name)
		g.Expect(meta.IsStatusConditionTrue(servers[name].Status.Conditions, v1alpha1.ConditionReady)).To(BeTrue(), "Ready does not depend on it")
	}
	good := servers["good"]
	g.Expect(meta.FindStatusCondition(good.Status.Conditions, v1alpha1.ConditionProtected).Message).To(ContainSubstring("refused a token of another audience"))
	g.Expect(good.Status.Tools).To(HaveLen(2))
	g.Expect(good.Status.UnmappedTools).To(ConsistOf("zap"))
	g.Expect(w.protection(t, servers["off"])()).To(Equal("none"))

	// Grants are counted some seconds later.
	g.Eventually(func() int32 {
		w.protection(t, good)()
		if good.Status.Grants == nil {
			return 0
		}
		return good.Status.Grants.InForce
	}, eventually, often).Should(Equal(int32(1)))
	version := good.ResourceVersion
	edit(t, w, servers["naked"], func(server *v1alpha1.MCPServer) { server.Spec.Probe = &v1alpha1.Probe{Mode: v1alpha1.ProbeDisabled} })
	g.Eventually(w.protection(t, servers["naked"]), eventually, often).Should(Equal("none"))
	live["other"].Close()
	edit(t, w, servers["other"], func(server *v1alpha1.MCPServer) { server.Spec.Scopes[0].Description = "asks again" })
	g.Eventually(w.protection(t, servers["other"]), eventually, often).Should(Equal("Unknown/Unavailable"))
	g.Expect(w.protection(t, good)()).To(Equal("True/Protected"))
	g.Expect(good.ResourceVersion).To(Equal(version), "what did not change is not written")
}
