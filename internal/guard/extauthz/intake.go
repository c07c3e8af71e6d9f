// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package extauthz

import (
	"context"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/mcp-registrar/mcp-registrar/internal/guard"
)

const (
	// headerRoom is how large what a check says beside the body may be, in bytes.
	headerRoom = 1 << 20
	// mostStreams is how many checks one connection may have under way; what is more
	// waits at Envoy.
	mostStreams = 256
	// A connection whose other end is gone is noticed in this time: what it began to send
	// takes room until then.
	pingAfter, pingWithin = 20 * time.Second, 10 * time.Second
)

// longestMessage is how large a check may be, by how large the body in it may be.
func longestMessage(maxBody int64) int64 { return maxBody + headerRoom }

// ServerOptions are those of a gRPC server of the service, by how large a request's body
// may be, in bytes.
func ServerOptions(maxBody int64) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(int(longestMessage(maxBody))),
		grpc.MaxConcurrentStreams(mostStreams),
		// What is sent before its turn stays small.
		grpc.StaticStreamWindowSize(64 << 10),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingWithin}),
	}
}

// intake is the memory that checks may take together, from before they are received until
// they are answered. It is not known before whose they are.
type intake struct {
	room *semaphore.Weighted
	// most is what one takes while it is received: as it comes, and as it is read.
	most int64
	// shares are what large bodies for one server may take of it: where there are several,
	// those for a server whose issuer does not answer leave room for the others.
	shares map[guard.ServerName]*semaphore.Weighted
}

// mostShares is how many servers together can take all the room.
const mostShares = 4

func newIntake(size, maxBody int64, servers []guard.ServerName) *intake {
	most := 2 * longestMessage(maxBody)
	size = max(size, most)
	i := &intake{semaphore.NewWeighted(size), most, map[guard.ServerName]*semaphore.Weighted{}}
	share := max(size/int64(min(max(len(servers), 1), mostShares)), most/2)
	for _, name := range servers {
		i.shares[name] = semaphore.NewWeighted(share)
	}
	return i
}

// share takes of the share of a server, which is one of those that are guarded here. Nobody
// waits for it, with a body in memory.
func (i *intake) share(name guard.ServerName, size int) (leave func(), ok bool) {
	of := i.shares[name]
	if !of.TryAcquire(int64(size)) {
		return nil, false
	}
	return func() { of.Release(int64(size)) }, true
}

// receive receives a check when there is room for the largest, and keeps as much room as it
// takes until leave is called.
func (i *intake) receive(stream grpc.ServerStream) (check *authv3.CheckRequest, leave func(), err error) {
	if i.room.Acquire(stream.Context(), i.most) != nil {
		return nil, nil, status.FromContextError(context.Cause(stream.Context())).Err()
	}
	check = &authv3.CheckRequest{}
	if err := stream.RecvMsg(check); err != nil {
		i.room.Release(i.most)
		return nil, nil, err
	}
	takes := min(int64(proto.Size(check)), i.most)
	i.room.Release(i.most - takes)
	return check, func() { i.room.Release(takes) }, nil
}

// description is that of the service, but for Check, which takes its message itself: gRPC
// would have read it before anybody is asked.
var description = grpc.ServiceDesc{
	ServiceName: authv3.Authorization_ServiceDesc.ServiceName,
	HandlerType: (*authv3.AuthorizationServer)(nil),
	Streams: []grpc.StreamDesc{{StreamName: "Check", Handler: func(service any, stream grpc.ServerStream) error {
		s, ok := service.(*Service)
		if !ok {
			return status.Error(codes.Internal, "another service")
		}
		check, leave, err := s.intake.receive(stream)
		if err != nil {
			return err
		}
		defer leave()
		answer, err := s.Check(stream.Context(), check)
		if err != nil {
			return err
		}
		return stream.SendMsg(answer)
	}}},
	Metadata: authv3.Authorization_ServiceDesc.Metadata,
}
