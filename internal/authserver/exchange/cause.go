// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"

	"github.com/mcp-registrar/mcp-registrar/internal/authserver/dialguard"
)

var (
	errBase        = errors.New("it must be a URL without query and fragment")
	errRequest     = errors.New("the request cannot be built")
	errClosed      = errors.New("connection closed")
	errUnknownHost = errors.New("host not found")
	errUntrusted   = errors.New("certificate signed by an unknown authority")
	errHostname    = errors.New("certificate is not for this host")
	errCertificate = errors.New("certificate is expired or not valid")
	errHandshake   = errors.New("TLS handshake broken off")
	errNoAnswer    = errors.New("no usable answer")
)

// Cause replaces an error of the transport by one of a closed set, because
// those of net/http quote URLs and what the server sent.
func Cause(err error) error {
	var refused *dialguard.RefusedError
	var errno syscall.Errno
	var timeout net.Error
	switch {
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return context.DeadlineExceeded
	case errors.As(err, &errno):
		return errno
	}
	return rarer(err)
}

func rarer(err error) error {
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &dns):
		return errUnknownHost
	case errors.As(err, &authority):
		return errUntrusted
	case errors.As(err, &hostname):
		return errHostname
	case errors.As(err, &certificate):
		return errCertificate
	case errors.As(err, &record), errors.As(err, &alert):
		return errHandshake
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return errClosed
	}
	return errNoAnswer
}
