// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Command tether runs another program that ends when its parent ends, however
// that happens: a test that is killed or times out cannot clean up, and would
// otherwise leave an API server and a database running for ever.
//
// It knows nothing about the program it runs. It is called by a symbolic link of
// any name and replaces itself by the file of that name with ".target" added, so
// that callers which only accept a path, and no arguments of ours, can use it.
//
// Start reading at main.go. Outside Linux the tie is left out.
package main
