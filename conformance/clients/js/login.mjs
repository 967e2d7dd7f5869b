// A client of one of the TypeScript SDKs logs in to a server of ours that is locked, at an authorization server of others.
//
// usage: node login.mjs 1|2 legacy|auto|modern URL ISSUER
//
// 1: npm @modelcontextprotocol/sdk; 2: npm @modelcontextprotocol/client. URL: the locked server; ISSUER: the
// authorization server, whose person (see ../../peers/js/authorization.mjs) opens what a browser would.

import assert from 'node:assert/strict';
import { check, end, rejection } from './checks.mjs';

const CALLBACK = 'http://127.0.0.1:8914/callback';
const MODES = { legacy: 'legacy', auto: 'auto', modern: { pin: '2026-07-28' } };

const [line, mode, url, issuer] = process.argv.slice(2);
const sdk = await (line === '1' ? line1() : line2());

async function line1() {
  const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
  const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
  return {
    client: (info) => new Client(info),
    transport: (options) => new StreamableHTTPClientTransport(new URL(url), options),
    finish: (transport, parameters) => transport.finishAuth(parameters.get('code')),
  };
}

async function line2() {
  const { Client, DpopSession, StreamableHTTPClientTransport } = await import('@modelcontextprotocol/client');
  return {
    client: (info) => new Client(info, { versionNegotiation: { mode: MODES[mode] } }),
    transport: (options) => new StreamableHTTPClientTransport(new URL(url), options),
    finish: (transport, parameters) => transport.finishAuth(parameters),
    dpop: () => DpopSession.create(),
    // It asks for a refresh token; the 1.x line leaves that to the server that it logs in for.
    staysLoggedIn: true,
  };
}

async function control(name, body = {}) {
  const response = await fetch(`${issuer}/control/${name}`, { method: 'POST', body: JSON.stringify(body) });
  assert.ok(response.ok, `${name}: ${response.status}`);
  return response.json();
}

/** Who logs in: what an application keeps, with a person instead of a browser. */
class Login {
  redirectUrl = CALLBACK;
  clientMetadata = {
    client_name: 'throughline-clients',
    redirect_uris: [CALLBACK],
    application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  };
  /** Tokens that were saved, newest last. */
  saved = [];
  /** Where the person was sent, oldest first. */
  asked = [];

  /** `client`: as whom it is registered already, at the issuer. */
  constructor({ client, dpop } = {}) {
    this.client = client;
    if (dpop) this.dpop = () => dpop;
  }

  clientInformation() {
    return this.client;
  }

  saveClientInformation(client) {
    this.client = client;
  }

  tokens() {
    return this.saved.at(-1);
  }

  saveTokens(tokens) {
    this.saved.push(tokens);
  }

  saveDiscoveryState(found) {
    this.found = found;
  }

  discoveryState() {
    return this.found;
  }

  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }

  codeVerifier() {
    return this.verifier;
  }

  redirectToAuthorization(address) {
    this.asked.push(address);
  }

  /** What the person's browser brings back from where it was sent last. */
  async back() {
    const { outside, ...page } = await control('visit', { address: this.asked.at(-1).href });
    assert.ok(outside?.startsWith(CALLBACK), JSON.stringify(page));
    return new URL(outside).searchParams;
  }
}

/** Does what may need the person, and does it again once they have come back. */
async function withPerson(login, transport, work) {
  try {
    return await work();
  } catch (error) {
    if (!/Unauthorized/.test(error?.constructor?.name)) throw error;
    await sdk.finish(transport(), await login.back());
    return work();
  }
}

/** A connection, and its calls. */
async function connect(login) {
  let transport, client;
  const open = async () => {
    client = sdk.client({ name: 'throughline-clients', version: '1.0.0' });
    transport = sdk.transport({ authProvider: login });
    await client.connect(transport);
    // The newest revision asks nothing before its first call.
    return client.listTools();
  };
  const { tools } = await withPerson(login, () => transport, open);
  const text = async (name) => {
    const result = await withPerson(login, () => transport, () => client.callTool({ name, arguments: {} }));
    assert.ok(!result.isError, JSON.stringify(result));
    return result.content[0].text;
  };
  return { tools, text, close: () => client.close() };
}

await check('without a login', async () => {
  const client = sdk.client({ name: 'throughline-clients', version: '1.0.0' });
  const work = async () => {
    await client.connect(sdk.transport({}));
    await client.listTools();
  };
  assert.match(String(await rejection(work())), /access token|401|nauthorized/);
});

const application = { client_id: 'application', issuer };
const login = new Login();
let peer;
await check('log in', async () => {
  peer = await connect(login);
  assert.deepEqual(peer.tools.map(({ name }) => name).sort(), ['read', 'whoami', 'write']);
  assert.equal(login.asked.length, 1);
  assert.equal(login.asked[0].searchParams.get('resource'), url);
  assert.deepEqual(await control('counts'), { registration: 1, authorization: 1, authorization_code: 1 });
});
await check('call', async () => {
  assert.equal(await peer.text('whoami'), 'ada');
  assert.equal(await peer.text('read'), 'read');
  assert.equal(login.asked.length, 1);
});
await check('a step up', async () => {
  const stepping = new Login({ client: application });
  const peer = await connect(stepping);
  assert.equal(await peer.text('whoami'), 'ada');
  assert.equal(await peer.text('write'), 'written');
  assert.equal(await peer.text('read'), 'read');
  assert.deepEqual(stepping.asked[1].searchParams.get('scope').split(' ').slice(0, 2), ['tools:read', 'tools:write']);
  assert.equal(stepping.asked.length, 2);
  await peer.close();
});
await check('a token that expired', async () => {
  await control('set', { accessTokenSeconds: 1 });
  const lasting = new Login({ client: application });
  const peer = await connect(lasting);
  // Some calls within that second, and one after it.
  do assert.equal(await peer.text('whoami'), 'ada'); while (lasting.saved.length < 2);
  await control('set', { accessTokenSeconds: 3600 });
  if (sdk.staysLoggedIn) {
    assert.equal(lasting.asked.length, 1);
    assert.notEqual(lasting.saved[0].refresh_token, lasting.saved[1].refresh_token);
  }
  await peer.close();
});
await check('a new key', async () => {
  const { kids } = await control('rotate');
  const peer = await connect(new Login());
  assert.equal(await peer.text('whoami'), 'ada');
  assert.equal(kids.length, 2);
  await peer.close();
});
await check('the person says no', async () => {
  await control('set', { deny: true });
  const refused = new Login();
  await assert.rejects(connect(refused));
  await control('set', { deny: false });
  assert.equal(refused.saved.length, 0);
});
if (sdk.dpop) {
  await check('a proof of possession', async () => {
    await control('set', { dpopNonce: true });
    const bound = new Login({ dpop: await sdk.dpop() });
    const peer = await connect(bound);
    assert.equal(await peer.text('whoami'), 'ada');
    assert.equal(bound.saved[0].token_type, 'DPoP');
    await control('set', { dpopNonce: false });
    await peer.close();
  });
}
await check('close', () => peer.close());
end();
