#!/usr/bin/env node
// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Is the browser of clients that start one: it has the person open a URL, who is at
// BROWSER_URL.

await fetch(process.env.BROWSER_URL + encodeURIComponent(process.argv.at(-1)));
