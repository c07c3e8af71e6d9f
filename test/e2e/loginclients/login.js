// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// An MCP client made with the official TypeScript SDK that logs in by the browser, as
// the examples of the SDK do, and does what it is told: one command a line on standard
// input, one answer a line on standard output, both JSON.
//
//   node login.js sdk|client URL
//
// "sdk" is @modelcontextprotocol/sdk (1.x), "client" is @modelcontextprotocol/client
// (2.x). The environment says who logs in: CLIENT_ID, REDIRECT_URI (loopback, where
// this listens), GRANT_TYPES with spaces between; and BROWSER_URL, which a URL is
// appended to that a person shall open. It answers when the person is done, with
// {"shown": "..."} where they ended at a page of the authorization server.
//
//   {"do": "connect"}
//   {"do": "list"}
//   {"do": "call", "tool": "...", "arguments": {...}}
//   {"do": "begin", "tool": "...", "arguments": {...}}   answers at the first progress
//   {"do": "end"}                                        answers when that call ended
//
// An answer has "ok"; a failure has what the client shows as "message".

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const [generation, url] = process.argv.slice(2);
const { CLIENT_ID, REDIRECT_URI, GRANT_TYPES, BROWSER_URL } = process.env;

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

async function load() {
  if (generation === 'client') {
    const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await import('@modelcontextprotocol/client');
    return { Client, StreamableHTTPClientTransport, UnauthorizedError };
  }
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
  const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
  const { UnauthorizedError } = await import('@modelcontextprotocol/sdk/client/auth.js');
  return { Client, StreamableHTTPClientTransport, UnauthorizedError };
}

const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await load();

// arrival is what comes to the redirect URI; nothing is awaited until a browser opens.
let arrival;
let arrived;

createServer((request, response) => {
  const { searchParams } = new URL(request.url, REDIRECT_URI);
  response.end('You may close this window.');
  arrived?.(searchParams);
}).listen(Number(new URL(REDIRECT_URI).port), new URL(REDIRECT_URI).hostname);

let state;
let verifier;
let tokens;

const provider = {
  redirectUrl: REDIRECT_URI,
  clientMetadata: {
    client_name: 'login', redirect_uris: [REDIRECT_URI], grant_types: GRANT_TYPES.split(' '), response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  clientInformation: () => ({ client_id: CLIENT_ID }),
  state: () => (state = randomUUID()),
  tokens: () => tokens,
  saveTokens: (got) => { tokens = got; },
  codeVerifier: () => verifier,
  saveCodeVerifier: (made) => { verifier = made; },
  async redirectToAuthorization(address) {
    arrival = new Promise((resolve) => { arrived = resolve; });
    const { shown } = await (await fetch(BROWSER_URL + encodeURIComponent(address))).json();
    if (shown) {
      arrived(new URLSearchParams({ error: `the browser shows: ${shown}` }));
    }
  },
};

// finish takes the code that the person brought, if a browser was opened.
async function finish(transport, error) {
  if (!(error instanceof UnauthorizedError) || !arrival) {
    throw error;
  }
  const params = await arrival;
  arrival = undefined;
  if (params.has('error')) {
    throw new Error(`${params.get('error')} ${params.get('error_description') ?? ''}`);
  }
  if (params.get('state') !== state) {
    throw new Error('the state is another');
  }
  await transport.finishAuth(generation === 'client' ? params : params.get('code'));
}

let client;
let transport;

async function open() {
  client = new Client({ name: 'login', version: '1.0.0' }, generation === 'client' ? { versionNegotiation: { mode: 'auto' } } : {});
  client.onerror = (error) => console.error(error);
  transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  await client.connect(transport);
}

async function call({ tool, arguments: given }, how) {
  const params = { name: tool, arguments: given };
  const answer = await (generation === 'client' ? client.callTool(params, how) : client.callTool(params, undefined, how));
  const text = answer.content.map((part) => part.text ?? '').join('');
  if (answer.isError) {
    throw new Error(text);
  }
  return { text };
}

// again does something once more after the person has logged in for it: an expired
// token may need a login for the first scope and one for the next.
async function again(act, logins = 2) {
  try {
    return await act();
  } catch (error) {
    if (logins === 0) {
      throw error;
    }
    await finish(transport, error);
    return again(act, logins - 1);
  }
}

let following;

const acts = {
  async connect() {
    await again(open);
    return {};
  },
  async list() {
    const { tools } = await again(() => client.listTools());
    return { tools: tools.map((tool) => tool.name) };
  },
  call: (command) => again(() => call(command)),
  begin: (command) => again(() => new Promise((resolve, reject) => {
    following = call(command, { onprogress: () => resolve({}), timeout: 600_000 });
    following.catch(reject);
  })),
  end: () => following,
};

const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  const command = JSON.parse(line);
  try {
    say({ ok: true, ...(await acts[command.do](command)) });
  } catch (error) {
    say({ ok: false, message: String(error?.message ?? error) });
  }
}
process.exit(0);
