// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Runs the MCP server of @modelcontextprotocol/server-everything by streamable
// HTTP, on a free port of loopback: by itself it listens on every address.
//
//   node everything.js
//
// One line of JSON with the URL is printed when the server listens. It ends with
// its standard input.

import { Server } from 'node:net';

const listen = Server.prototype.listen;
Server.prototype.listen = function onLoopback(port, ...rest) {
  this.once('listening', () => {
    process.stdout.write(`${JSON.stringify({ url: `http://127.0.0.1:${this.address().port}/mcp` })}\n`);
  });
  return listen.call(this, { port: Number(port), host: '127.0.0.1' }, ...rest.filter((value) => typeof value === 'function'));
};

// What it says of itself goes to the log.
console.log = console.error;
process.env.PORT = '0';
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));

await import('@modelcontextprotocol/server-everything/dist/transports/streamableHttp.js');
