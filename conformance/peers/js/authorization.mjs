// An authorization server: npm oidc-provider, with everything in memory, and a person who uses its pages.
//
// usage: node authorization.mjs [PORT]
//
// Its first line is `listening on http://127.0.0.1:PORT`, which is the issuer. Whoever registers may log in, as the user `ada`,
// who consents. It knows every resource on loopback; access tokens are JWTs (ES256), and opaque for a resource whose path
// begins with `/opaque`. Refresh tokens are rotated, and one that is used twice ends all that came of it.
//
// What a test needs beyond that is under `/control`, a POST each, JSON in and out; see the table at the end.

import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';
import { refuse } from './serve.mjs';

/** The scopes of every resource. */
const SCOPES = ['tools:read', 'tools:write', 'admin'];

/** Pages that the person sees at most on the way to a redirect. */
const MOST_PAGES = 10;

/** An address that is the client's and not ours, at which the person's visit ends. */
const OUTSIDE = 'outside';

const [port = '0'] = process.argv.slice(2);
const server = createServer();
await new Promise((listening) => server.listen(Number(port), '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

/** What the control endpoints change. */
const state = {
  /** Seconds that an access token is good for. */
  accessTokenSeconds: 3600,
  /** Whether the person says no. */
  deny: false,
  /** Scopes that the person does not consent to. */
  withhold: [],
  /** Whether a proof of possession must hold a nonce. */
  dpopNonce: false,
  /** Who logs in. */
  user: 'ada',
};

/** Requests that were answered, by kind: `authorization`, `registration` .., and the token requests by grant. */
const counts = {};

/** The tokens that were issued last. */
let newest = {};

/** The newest signs. */
const keys = [newKey()];

/** The key of the client `robot-jwt`. */
const robot = generateKeyPairSync('ec', { namedCurve: 'P-256' });

/** Documents that the client ids that are addresses stand for. */
const documents = new Map();

const CLIENTS = [
  {
    client_id: 'resource-server',
    client_secret: 'a secret of the resource server',
    grant_types: [],
    response_types: [],
    redirect_uris: [],
  },
  ...['basic', 'post'].map((way) => ({
    client_id: `robot-${way}`,
    // What form encoding changes is in it: RFC 6749 2.3.1 wants it encoded in a header too.
    client_secret: 'a secret: of 100 % & a +',
    token_endpoint_auth_method: `client_secret_${way}`,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
  })),
  {
    client_id: 'robot-jwt',
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'ES256',
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    jwks: { keys: [{ ...robot.publicKey.export({ format: 'jwk' }), kid: 'robot', use: 'sig', alg: 'ES256' }] },
  },
  {
    // As whom a client that was registered beforehand logs in. One that registers itself may be held to the scopes that it
    // named then.
    client_id: 'application',
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['http://127.0.0.1/callback'],
  },
  {
    client_id: 'web-application',
    client_secret: 'a secret of the web application',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: ['https://application.example/callback'],
  },
  {
    client_id: 'television',
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
    response_types: [],
    redirect_uris: [],
  },
];

/** What outlives a deployment: clients, sessions, grants and tokens, by model and id. */
const memory = new Map();

/** The models that end with the grant that they came of. */
const OF_A_GRANT = ['AccessToken', 'AuthorizationCode', 'DeviceCode', 'RefreshToken'];

/** Keeps one model's objects. That they expire is looked at by who finds them. */
class Memory {
  constructor(model) {
    if (!memory.has(model)) memory.set(model, new Map());
    this.kept = memory.get(model);
  }

  async upsert(id, payload) {
    this.kept.set(id, payload);
  }

  async find(id) {
    return this.kept.get(id);
  }

  async findByUid(uid) {
    return [...this.kept.values()].find((payload) => payload.uid === uid);
  }

  async findByUserCode(userCode) {
    return [...this.kept.values()].find((payload) => payload.userCode === userCode);
  }

  async consume(id) {
    this.kept.get(id).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    this.kept.delete(id);
  }

  async revokeByGrantId(grantId) {
    for (const kept of OF_A_GRANT.map((model) => memory.get(model) ?? new Map())) {
      for (const [id, payload] of kept) if (payload.grantId === grantId) kept.delete(id);
    }
  }
}

const CONFIGURATION = {
  adapter: Memory,
  clients: CLIENTS,
  // Another would be signed with RS256, for which there is no key.
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  cookies: { keys: [randomUUID()] },
  features: {
    clientCredentials: { enabled: true },
    clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => state.dpopNonce },
    devInteractions: { enabled: false },
    deviceFlow: { enabled: true },
    introspection: {
      enabled: true,
      // RFC 7662 2.1: not every client may ask.
      allowedPolicy: (_, client) => client.clientId === 'resource-server',
    },
    registration: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
    revocation: { enabled: true },
    // A user's data is asked of nobody here.
    userinfo: { enabled: false },
  },
  fetch: (address) => {
    const document = documents.get(String(address));
    return document ? Response.json(document) : new Response(null, { status: 404 });
  },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_, { uid }) => `/person/${uid}` },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  // A client may name those of resources when it registers.
  scopes: ['openid', 'offline_access', ...SCOPES],
  ttl: { AccessToken: () => state.accessTokenSeconds, ClientCredentials: () => state.accessTokenSeconds },
};

/** The newest deployment. A former one's clients, sessions and tokens are in the same memory. */
let { provider, answer } = deploy(keys);

server.on('request', (request, response) => {
  const path = new URL(request.url, issuer).pathname;
  let done;
  if (path.startsWith('/control/')) done = control(path.slice('/control/'.length), request, response);
  else if (path.startsWith('/person/')) done = decide(request, response);
  else done = answer(request, response);
  Promise.resolve(done).catch((error) => {
    console.error(error);
    if (!response.headersSent) refuse(response, 500);
    response.end();
  });
});
console.log(`listening on ${issuer}`);

function newKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'ES256' };
}

/** A provider that signs with the first of these keys, and publishes all. */
function deploy(keys) {
  const provider = new Provider(issuer, { ...CONFIGURATION, jwks: { keys: structuredClone(keys) } });
  const count = (kind) => (counts[kind] = (counts[kind] ?? 0) + 1);
  provider.on('authorization.success', () => count('authorization'));
  provider.on('registration_create.success', () => count('registration'));
  provider.on('grant.success', (ctx) => {
    count(ctx.oidc.params.grant_type);
    newest = ctx.body;
  });
  provider.on('grant.error', (_, error) => count(`grant error ${error.error}`));
  provider.on('server_error', (_, error) => console.error(error));
  provider.use(async (ctx, next) => {
    await next();
    const route = ctx.status === 200 && ctx.oidc?.route;
    if (route === 'introspection' || route === 'revocation') count(route);
    // A device asks each second, and not each five: RFC 8628 3.2 lets the server say.
    if (route === 'device_authorization') ctx.body.interval = 1;
  });
  return { provider, answer: provider.callback() };
}

function resourceServer(_, resource) {
  const { protocol, hostname, pathname } = new URL(resource);
  if (protocol !== 'http:' || hostname !== '127.0.0.1') throw new Error(`${resource} is not on loopback`);
  const opaque = pathname.startsWith('/opaque');
  return {
    scope: SCOPES.join(' '),
    audience: resource,
    accessTokenFormat: opaque ? 'opaque' : 'jwt',
    jwt: { sign: { alg: 'ES256' } },
  };
}

/** What the person does with a page that asks something. */
async function decide(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  const finish = (result) => provider.interactionFinished(request, response, result);
  if (state.deny) return finish({ error: 'access_denied', error_description: 'the person said no' });
  if (prompt.name === 'login') return finish({ login: { accountId: state.user } });
  const known = grantId && (await provider.Grant.find(grantId));
  const grant = known || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope = [], missingResourceScopes = {} } = prompt.details;
  const withheld = (scope) => state.withhold.includes(scope);
  const allowed = (scope) => !withheld(scope);
  grant.addOIDCScope(missingOIDCScope.filter(allowed).join(' '));
  grant.rejectOIDCScope(missingOIDCScope.filter(withheld).join(' '));
  for (const [resource, scopes] of Object.entries(missingResourceScopes)) {
    grant.addResourceScope(resource, scopes.filter(allowed).join(' '));
    grant.rejectResourceScope(resource, scopes.filter(withheld).join(' '));
  }
  return finish({ consent: { grantId: await grant.save() } });
}

/**
 * The person's browser: goes from page to page of ours, with cookies of its own, and submits each form that it meets.
 * Gives the address of the client that it was sent to, or the text of the last page.
 */
async function visit(address) {
  const cookies = new Map();
  let [method, body] = ['GET', undefined];
  for (let page = 0; page < MOST_PAGES; page += 1) {
    if (new URL(address).origin !== issuer) return { [OUTSIDE]: address };
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
    const response = await fetch(address, { method, body, headers: { cookie }, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value) cookies.set(name, value);
      else cookies.delete(name);
    }
    const text = await response.text();
    const location = response.headers.get('location');
    if (location) {
      [address, method, body] = [new URL(location, address).href, 'GET', undefined];
    } else if (response.ok && text.includes('<form')) {
      [address, method, body] = [new URL(/action="([^"]+)"/.exec(text)[1], address).href, 'POST', filledIn(text)];
    } else {
      return { status: response.status, text };
    }
  }
  throw new Error(`the person saw ${MOST_PAGES} pages, and there was another`);
}

/** A form's hidden fields, and the answer yes. */
function filledIn(page) {
  const fields = new URLSearchParams();
  for (const [tag] of page.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
    fields.set(/name="([^"]*)"/.exec(tag)[1], /value="([^"]*)"/.exec(tag)[1]);
  }
  if (state.deny) fields.set('abort', 'yes');
  else fields.set('confirm', 'yes');
  return fields;
}

/** Sends a form to an endpoint of ours, and gives the JSON of its answer, if it has any. */
async function post(path, form, headers) {
  const response = await fetch(issuer + path, { method: 'POST', body: new URLSearchParams(form), headers });
  const text = await response.text();
  return { status: response.status, ...(text && JSON.parse(text)) };
}

/** What a test may do, each with the JSON object that came. */
const CONTROLS = {
  /** The person opens an address. Gives `{outside}`, where the browser was sent, or `{status, text}` of its last page. */
  visit: ({ address }) => visit(address),
  /** Changes what is named of `state`, and gives all of it. */
  set: (changes) => Object.assign(state, changes),
  /** How many requests there were, by kind. */
  counts: () => counts,
  /** A new key signs. The former ones stay published unless `withdraw` is true. */
  rotate: ({ withdraw = false }) => {
    if (withdraw) keys.length = 0;
    keys.unshift(newKey());
    ({ provider, answer } = deploy(keys));
    return { kids: keys.map(({ kid }) => kid) };
  },
  /** The tokens that were issued last. */
  newest: () => newest,
  /** Withdraws a token, as whoever it was issued to would. */
  revoke: ({ token }) => post('/token/revocation', { token, client_id: 'application' }),
  /** A token for a resource, as `robot-basic` gets it. */
  robot: ({ resource }) => {
    const [, { client_id, client_secret }] = CLIENTS;
    const pair = [client_id, client_secret].map(encodeURIComponent).join(':');
    const authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
    return post('/token', { grant_type: 'client_credentials', resource, scope: SCOPES[0] }, { authorization });
  },
  /** The private key of `robot-jwt`. */
  key: () => ({ key: robot.privateKey.export({ type: 'pkcs8', format: 'pem' }) }),
  /** The document of a client id that is an address. */
  document: ({ address, document }) => {
    documents.set(address, document);
    return {};
  },
};

async function control(name, request, response) {
  if (request.method !== 'POST' || !Object.hasOwn(CONTROLS, name)) return refuse(response, 404);
  const chunks = await Array.fromAsync(request);
  const text = Buffer.concat(chunks).toString();
  const result = await CONTROLS[name](text ? JSON.parse(text) : {});
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result));
}
