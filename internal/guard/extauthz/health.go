// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package extauthz

import (
	"context"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

// health serves once the register was read. It does not take back that the
// register is stale: a guard that says so is of more use than none.
type health struct {
	healthv1.UnimplementedHealthServer

	register guard.Register
}

// Check implements the gRPC health protocol.
func (h *health) Check(_ context.Context, asked *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	switch asked.GetService() {
	case "", authv3.Authorization_ServiceDesc.ServiceName:
	default:
		return nil, status.Error(codes.NotFound, "there is no such service")
	}
	serving := healthv1.HealthCheckResponse_NOT_SERVING
	if _, complete := h.register.Age(); complete {
		serving = healthv1.HealthCheckResponse_SERVING
	}
	return &healthv1.HealthCheckResponse{Status: serving}, nil
}
