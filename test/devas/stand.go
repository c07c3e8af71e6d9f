// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package devas

import (
	"net/http"
	"net/http/httptest"
)

// stand is somebody in the server's place.
type stand struct {
	handler http.Handler
	hides   bool
}

// Stand has somebody else answer every request from now on, as a proxy does that is at
// fault; nil ends it. Where it hides, the server does its work all the same and nobody
// sees what it answers. The admin surface is not concerned.
func (s *Server) Stand(handler http.Handler, hides bool) {
	if handler == nil {
		s.stand.Store(nil)
		return
	}
	s.stand.Store(&stand{handler, hides})
}

// front answers in the server's place, or has the door answer.
type front struct {
	server *Server
	door   http.Handler
}

func (f front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := f.server.stand.Load()
	if in == nil {
		f.door.ServeHTTP(w, r)
		return
	}
	if in.hides {
		f.door.ServeHTTP(httptest.NewRecorder(), r)
	}
	in.handler.ServeHTTP(w, r)
}
