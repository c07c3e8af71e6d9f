// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// A request is sent again only if the upstream cannot have carried it out.
// http.Transport sends a POST again in these cases:
//
//   - HTTP/1.1, the connection was used before, and not a byte was written to it.
//   - HTTP/1.1, the connection ended before the answer, and the request has a
//     header Idempotency-Key or X-Idempotency-Key. It may have been carried out:
//     see disarm.
//   - HTTP/2, the upstream did not take the request, or resets it with
//     PROTOCOL_ERROR. It may have been carried out once its body was sent: see
//     once.

// idempotent are the headers that http.Transport takes for leave to send a request
// again.
var idempotent = []string{"Idempotency-Key", "X-Idempotency-Key"}

// disarm spells the headers that are leave to send again so that they are handed on
// without being one: names of headers are the same in any case (RFC 9110 §5.1), but
// http.Transport looks for one spelling.
func disarm(header http.Header) {
	for _, name := range idempotent {
		if values, there := header[name]; there {
			delete(header, name)
			header[disarmed[name]] = values
		}
	}
}

var disarmed = map[string]string{"Idempotency-Key": "idempotency-key", "X-Idempotency-Key": "x-idempotency-key"}

// errSent: the body was sent, so that nobody knows whether the request was carried
// out.
var errSent = errors.New("the request was sent and cannot be sent again")

// once is the body of a request, and what gives it again. Over HTTP/2 it is given
// again only while it was not read to its end, without which no server can carry
// out a message. Over HTTP/1.1 http.Transport itself sees to it that nothing was
// written.
func (x *exchange) once() (body io.ReadCloser, again func() (io.ReadCloser, error)) {
	sent := x.body
	if x.route.http1.Load() {
		return io.NopCloser(bytes.NewReader(sent)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(sent)), nil }
	}
	reader := bytes.NewReader(sent)
	return io.NopCloser(reader), func() (io.ReadCloser, error) {
		if reader.Len() == 0 {
			return nil, errSent
		}
		return io.NopCloser(bytes.NewReader(sent)), nil
	}
}
