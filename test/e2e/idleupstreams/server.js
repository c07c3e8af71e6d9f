// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Answers calls of tools on a free loopback port, half a second after it was asked, by the
// HTTP server of Node.js with what that has by default for connections that are idle. It
// attends to something else half of the time, as servers do: it then ends a connection that
// was idle for too long before it looks whether there is a call by now.
//
//   node server.js
//
// One line of JSON with the address is printed when it listens. GET / says how many
// "connections" there were, and how often each call was carried out ("executions"), by the
// argument "number". It ends with its standard input.

import { createServer } from 'node:http';

const HOLDS = 500;
const BUSY = 50;
const executions = {};
let connections = 0;

const server = createServer(async (request, response) => {
  response.setHeader('Content-Type', 'application/json');
  if (request.method === 'GET') {
    response.end(JSON.stringify({ connections, executions }));
    return;
  }
  let body = '';
  for await (const part of request) {
    body += part;
  }
  const { id, params } = JSON.parse(body);
  executions[params.arguments.number] = (executions[params.arguments.number] ?? 0) + 1;
  setTimeout(() => {
    response.end(JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: params.arguments.number }] } }));
  }, HOLDS);
});
const clock = new Int32Array(new SharedArrayBuffer(4));
setInterval(() => Atomics.wait(clock, 0, 0, BUSY), 2 * BUSY);
server.on('connection', () => { connections += 1; });
server.listen(0, '127.0.0.1', 1024, () => {
  console.log(JSON.stringify({ address: `http://127.0.0.1:${server.address().port}` }));
});

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
