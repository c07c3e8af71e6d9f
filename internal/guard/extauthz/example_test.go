// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package extauthz

import (
	"os"
	"path/filepath"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3" // for the types in the example
	managerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3" // for the types in the example
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"        // for the types in the example
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// example reads docs/examples/envoy.yaml as Envoy would: with its types.
func example(t *testing.T) *bootstrapv3.Bootstrap {
	t.Helper()
	written, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "examples", "envoy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON(written)
	if err != nil {
		t.Fatal(err)
	}
	var config bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(asJSON, &config); err != nil {
		t.Fatal(err)
	}
	if err := config.ValidateAll(); err != nil {
		t.Fatal(err)
	}
	return &config
}

// unpack reads a typed configuration and validates it.
func unpack[M interface {
	proto.Message
	ValidateAll() error
}](t *testing.T, packed *anypb.Any, into M) M {
	t.Helper()
	if err := packed.UnmarshalTo(into); err != nil {
		t.Fatal(err)
	}
	if err := into.ValidateAll(); err != nil {
		t.Fatal(err)
	}
	return into
}

func manager(t *testing.T) *managerv3.HttpConnectionManager {
	t.Helper()
	chain := example(t).GetStaticResources().GetListeners()[0].GetFilterChains()[0]
	return unpack(t, chain.GetFilters()[0].GetTypedConfig(), &managerv3.HttpConnectionManager{})
}

func TestTheExampleForEnvoyFailsClosed(t *testing.T) {
	t.Parallel()
	m := manager(t)
	filter := unpack(t, m.GetHttpFilters()[0].GetTypedConfig(), &extauthzv3.ExtAuthz{})
	body := filter.GetWithRequestBody()
	for name, holds := range map[string]bool{
		"an error is a refusal":                          !filter.GetFailureModeAllow(),
		"the body is sent":                               body.GetMaxRequestBytes() > 0,
		"the body and its headers fit a message of gRPC": body.GetMaxRequestBytes() <= 3<<20,
		"the body is sent whole":                         !body.GetAllowPartialMessage(),
		"the body is sent as bytes":                      body.GetPackAsBytes(),
		"headers are sent as they came":                  filter.GetEncodeRawHeaders(),
		"all headers are sent":                           filter.GetAllowedHeaders() == nil && filter.GetDisallowedHeaders() == nil,
		"all requests are checked":                       filter.GetFilterEnabled() == nil,
		"nothing is put before the check":                m.GetHttpFilters()[0].GetName() == "envoy.filters.http.ext_authz",
		"paths are normalised":                           m.GetNormalizePath().GetValue() && m.GetMergeSlashes(),
		"escaped slashes are refused":                    m.GetPathWithEscapedSlashesAction() == managerv3.HttpConnectionManager_REJECT_REQUEST,
	} {
		if !holds {
			t.Errorf("it does not hold that %s", name)
		}
	}
	clusters := map[string]bool{}
	for _, cluster := range example(t).GetStaticResources().GetClusters() {
		clusters[cluster.GetName()] = true
	}
	if !clusters[filter.GetGrpcService().GetEnvoyGrpc().GetClusterName()] {
		t.Error("the guard is not among the clusters")
	}
}

func TestTheExampleForEnvoyChecksEachRoute(t *testing.T) {
	t.Parallel()
	paths := map[string]bool{}
	for _, host := range manager(t).GetRouteConfig().GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			paths[route.GetMatch().GetPath()] = true
			checked(t, route)
		}
	}
	server := ledger()
	for _, path := range []string{"/mcp", guard.MetadataPath(server.Resource)} {
		if !paths[path] {
			t.Errorf("there is no route for %s", path)
		}
	}
}

// checked wants a route for one path, with the name of its server, and with an
// end for its streams.
func checked(t *testing.T, route *routev3.Route) {
	t.Helper()
	path := route.GetMatch().GetPath()
	if path == "" {
		t.Errorf("a route is not for one path: %v", route.GetMatch())
	}
	settings := unpack(t, route.GetTypedPerFilterConfig()["envoy.filters.http.ext_authz"], &extauthzv3.ExtAuthzPerRoute{})
	if settings.GetDisabled() || settings.GetCheckSettings().GetContextExtensions()[extension] != "finance/ledger" {
		t.Errorf("%s is not checked: %v", path, settings)
	}
	if to := route.GetRoute(); to != nil && to.GetMaxStreamDuration().GetMaxStreamDuration().AsDuration() <= 0 {
		t.Errorf("streams of %s have no end", path)
	}
}
