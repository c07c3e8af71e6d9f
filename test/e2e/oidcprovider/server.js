// Copyright 2026 The MCP Registrar Authors.
// SPDX-License-Identifier: Apache-2.0

// Runs oidc-provider on a free loopback port with everything in memory: dynamic
// registration and its management with rotated tokens, S256 and nothing else,
// access tokens for one audience, and a user who consents to everything.
//
//   node server.js SCOPE...
//
// The environment variable INITIAL_ACCESS_TOKEN holds the token that
// registration requires, ACCESS_TOKEN_FORMAT is jwt or opaque (jwt if left out),
// ACCESS_TOKEN_SECONDS is how long access tokens live, RESOURCES is what the URLs of
// all MCP servers begin with, and ISSUER is where clients reach the server, if that is
// not where it listens.
// One line of JSON with the address is printed when the server listens. It ends
// with its standard input.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import Provider, { errors } from 'oidc-provider';

const LIFETIME = Number(process.env.ACCESS_TOKEN_SECONDS ?? 300);
const RESOURCES = process.env.RESOURCES ?? 'https://mcp.example.com/';
const USER = 'user';

function configuration(scopes, initialAccessToken) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    scopes: ['openid', 'offline_access', ...scopes],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig', kid: randomUUID() }] },
    cookies: { keys: [randomUUID()] },
    responseTypes: ['code'],
    pkce: { required: () => true },
    ttl: { AccessToken: LIFETIME, ClientCredentials: LIFETIME, AuthorizationCode: 60, Grant: 600, Interaction: 60, Session: 600 },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      registration: { enabled: true, initialAccessToken },
      registrationManagement: { enabled: true, rotateRegistrationAccessToken: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (ctx, audience) => {
          if (!audience.startsWith(RESOURCES)) {
            throw new errors.InvalidTarget();
          }
          return {
            audience,
            scope: scopes.join(' '),
            accessTokenTTL: LIFETIME,
            accessTokenFormat: process.env.ACCESS_TOKEN_FORMAT ?? 'jwt',
            jwt: { sign: { alg: 'RS256' } },
          };
        },
      },
    },
  };
}

// consent answers what the user would be asked.
async function consent(provider, request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: USER } });
  }
  // Who asks for more later keeps what the user consented to before.
  const grant = (grantId && await provider.Grant.find(grantId)) || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(' '));
  for (const [resource, wanted] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, wanted.join(' '));
  }
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

const server = createServer();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(process.env.ISSUER ?? address, configuration(process.argv.slice(2), process.env.INITIAL_ACCESS_TOKEN));
provider.on('server_error', (ctx, error) => console.error(error));
const answer = provider.callback();
server.on('request', (request, response) => {
  if (!request.url.startsWith('/interaction/')) {
    answer(request, response);
    return;
  }
  consent(provider, request, response).catch((error) => {
    console.error(error);
    response.writeHead(500).end();
  });
});
console.log(JSON.stringify({ address }));

process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
