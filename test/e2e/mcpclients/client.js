// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// An MCP client made with the official TypeScript SDK that does what it is told:
// one command a line on standard input, one answer a line on standard output,
// both JSON.
//
//   node client.js sdk|client URL
//
// "sdk" is @modelcontextprotocol/sdk, which speaks revisions until 2025-11-25;
// "client" is @modelcontextprotocol/client, asked to speak 2026-07-28 where the
// server does. The environment says who calls: TOKEN is an access token; or
// CLIENT_ID, CLIENT_SECRET, ISSUER and perhaps SCOPE leave it to the SDK to get
// one by itself.
//
//   {"do": "connect"}
//   {"do": "list"}
//   {"do": "call", "tool": "...", "arguments": {...}}
//   {"do": "follow", "tool": "...", "arguments": {...}}   answers at the first progress
//
// An answer has "ok"; a refusal has the last HTTP status and challenge. Beside
// answers there are lines with "open": how many event streams are open now.

import { createInterface } from 'node:readline';

const [generation, url] = process.argv.slice(2);
const { TOKEN, CLIENT_ID, CLIENT_SECRET, ISSUER, SCOPE } = process.env;

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

let open = 0;
let refusal = {};

// watched tells when a body ends, however it does.
function watched(response) {
  open += 1;
  say({ open });
  let over = false;
  const end = () => {
    if (!over) {
      over = true;
      open -= 1;
      say({ open });
    }
  };
  const reader = response.body.getReader();
  const body = new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) {
          end();
          controller.close();
          return;
        }
        controller.enqueue(value);
      } catch (error) {
        end();
        controller.error(error);
      }
    },
    cancel(reason) {
      end();
      return reader.cancel(reason);
    },
  });
  return new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers });
}

async function noting(input, init) {
  const response = await fetch(input, init);
  if (!response.ok && String(input) === url) {
    refusal = { status: response.status, challenge: response.headers.get('www-authenticate') ?? '' };
  }
  const type = response.headers.get('content-type') ?? '';
  return response.ok && response.body && type.startsWith('text/event-stream') ? watched(response) : response;
}

async function load() {
  if (generation === 'client') {
    const { Client, StreamableHTTPClientTransport, ClientCredentialsProvider } = await import('@modelcontextprotocol/client');
    return { Client, StreamableHTTPClientTransport, ClientCredentialsProvider, options: { versionNegotiation: { mode: 'auto' } } };
  }
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
  const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
  const { ClientCredentialsProvider } = await import('@modelcontextprotocol/sdk/client/auth-extensions.js');
  return { Client, StreamableHTTPClientTransport, ClientCredentialsProvider, options: {} };
}

const { Client, StreamableHTTPClientTransport, ClientCredentialsProvider, options } = await load();
const client = new Client({ name: 'test', version: '1.0.0' }, options);
client.onerror = (error) => console.error(error);

const transport = () => new StreamableHTTPClientTransport(new URL(url), {
  fetch: noting,
  ...(TOKEN
    ? { requestInit: { headers: { Authorization: `Bearer ${TOKEN}` } } }
    : { authProvider: new ClientCredentialsProvider({ clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, expectedIssuer: ISSUER, scope: SCOPE }) }),
});

const acts = {
  async connect() {
    await client.connect(transport());
    return { revision: client.getNegotiatedProtocolVersion?.() ?? '' };
  },
  async list() {
    const { tools } = await client.listTools();
    return { tools: tools.map((tool) => tool.name) };
  },
  async call({ tool, arguments: given }) {
    const answer = await client.callTool({ name: tool, arguments: given });
    return { text: answer.content.map((part) => part.text ?? '').join('') };
  },
  follow({ tool, arguments: given }) {
    return new Promise((resolve, reject) => {
      const call = { name: tool, arguments: given };
      const how = { onprogress: () => resolve({}), timeout: 600_000 };
      const answered = generation === 'client' ? client.callTool(call, how) : client.callTool(call, undefined, how);
      answered.catch(reject);
    });
  },
};

const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  const command = JSON.parse(line);
  refusal = {};
  try {
    say({ ok: true, ...(await acts[command.do](command)) });
  } catch (error) {
    say({ ok: false, message: String(error?.message ?? error), ...refusal });
  }
}
process.exit(0);
