// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Runs the authorization server of @modelcontextprotocol/sdk on a free loopback
// port, with the provider that it comes with for demonstrations: it registers
// clients (RFC 7591) and cannot delete them again (no RFC 7592).
//
//   node authserver.js SCOPE...
//
// The environment variable ISSUER is where clients reach it. One line of JSON with
// the address is printed when it listens; GET /clients there lists the clients that
// it has. It ends with its standard input.

import { createServer } from 'node:http';

import { DemoInMemoryAuthProvider } from '@modelcontextprotocol/sdk/examples/server/demoInMemoryOAuthProvider.js';
import { mcpAuthRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import express from 'express';

const provider = new DemoInMemoryAuthProvider();
const app = express();
app.get('/clients', (request, response) => {
  response.json([...provider.clientsStore.clients.values()].map(({ client_id, client_name }) => ({ id: client_id, name: client_name })));
});
app.use(mcpAuthRouter({ provider, issuerUrl: new URL(process.env.ISSUER), scopesSupported: process.argv.slice(2) }));

const server = createServer(app);
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ address: `http://127.0.0.1:${server.address().port}` }));
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
