// What only a revision without sessions has.

import assert from 'node:assert/strict';
import { check, later, rejection } from './checks.mjs';
import { Cutter } from './cutter.mjs';
import { CPU, MEMORY, Peer, textOf } from './peer.mjs';

const REVISION = '2026-07-28';
const LOG_LEVEL = 'io.modelcontextprotocol/logLevel';

/** The codes of the errors that this revision brought. */
const MISSING_CLIENT_CAPABILITY = -32021;
const INVALID_PARAMS = -32602;

const ACCEPTED = { action: 'accept', content: { allow: true } };
const GRANTED = 'Permission granted: a may be changed.';

/** How long a call may take whose connection was cut: this SDK waits for its own time limit. */
const CUT_LIMIT_MS = 3_000;

/** Checks that need no connection of their own. */
export async function session(peer, where) {
  await check('server/discover', async () => {
    const { supportedVersions, ttlMs, cacheScope } = await peer.client.discover();
    assert.ok(supportedVersions.includes(REVISION));
    assert.equal(peer.client.getNegotiatedProtocolVersion(), REVISION);
    assert.ok(Number.isInteger(ttlMs) && ttlMs >= 0);
    assert.ok(['public', 'private'].includes(cacheScope));
  });
  await check('research: log lines for the call that asks for them', async () => {
    const research = { topic: 'tea', steps: 3, step_ms: 20 };
    await peer.text('research', research, { meta: { [LOG_LEVEL]: 'info' } });
    peer.heard(3);
    await peer.text('research', research, { meta: { [LOG_LEVEL]: 'warning' } });
    await peer.text('research', research);
    peer.heard(3);
  });
  await rounds(peer, where);
  await listening(peer);
  await check('a client without capabilities is told so', async () => {
    const plain = await Peer.connect(peer.sdk, where, {});
    const asks = [
      ['ask_permission', { path: 'a' }, 'elicitation'],
      ['summarize', { text: 'a' }, 'sampling'],
      ['list_project_roots', {}, 'roots'],
    ];
    for (const [name, args, capability] of asks) {
      const { code, data, message } = await rejection(plain.call(name, args));
      assert.equal(code, MISSING_CLIENT_CAPABILITY, message);
      assert.deepEqual(Object.keys(data.requiredCapabilities), [capability]);
    }
    await plain.client.close();
  });
}

/** Questions as this revision has them: an answer that asks, and the same call again with the answers. */
async function rounds(peer, where) {
  const call = (client, more = {}) =>
    client.callTool({ name: 'ask_permission', arguments: { path: 'a' }, ...more }, { allowInputRequired: true });
  await check('ask_permission, round by round', async () => {
    const { resultType, inputRequests, requestState } = await call(peer.client);
    assert.equal(resultType, 'input_required');
    assert.deepEqual(Object.keys(inputRequests), ['permission']);
    assert.equal(inputRequests.permission.method, 'elicitation/create');
    // A round without an answer asks again.
    const again = await call(peer.client, { inputResponses: {}, requestState });
    assert.deepEqual(Object.keys(again.inputRequests), ['permission']);
    const inputResponses = { permission: ACCEPTED, other: ACCEPTED };
    assert.equal(textOf(await call(peer.client, { inputResponses, requestState: again.requestState })), GRANTED);
  });
  if (!peer.oneWay) {
    await check('ask_permission: another client brings the answer', async () => {
      const { requestState } = await call(peer.client);
      const other = await Peer.connect(peer.sdk, where);
      assert.equal(textOf(await call(other.client, { inputResponses: { permission: ACCEPTED }, requestState })), GRANTED);
      await other.client.close();
    });
  }
  await check('ask_permission: a state that was changed is refused', async () => {
    const { requestState } = await call(peer.client);
    const inputResponses = { permission: ACCEPTED };
    const changed = await rejection(call(peer.client, { inputResponses, requestState: `${requestState}x` }));
    assert.equal(changed.code, INVALID_PARAMS, changed.message);
    const moved = await rejection(call(peer.client, { inputResponses, requestState, arguments: { path: 'b' } }));
    assert.equal(moved.code, INVALID_PARAMS, moved.message);
  });
  await check('ask_permission: an error instead of an answer', async () => {
    // It never comes to the server: there is nothing that it could be sent in.
    peer.sdk.onRequest(peer.client, 'elicitation/create', () => {
      throw new Error('nobody is here');
    });
    assert.match((await rejection(peer.call('ask_permission', { path: 'a' }))).message, /nobody is here/);
  });
}

async function listening(peer) {
  const count = (uri) => peer.updates.filter((updated) => updated === uri).length;
  await check('subscriptions/listen: updates of this resource alone', async () => {
    const memory = await peer.client.listen({ resourceSubscriptions: [MEMORY] });
    assert.deepEqual(memory.honoredFilter, { resourceSubscriptions: [MEMORY] });
    await peer.until(() => count(MEMORY) >= 2);
    assert.equal(count(CPU), 0);
    const cpu = await peer.client.listen({ resourceSubscriptions: [CPU], toolsListChanged: true });
    assert.equal(cpu.honoredFilter.toolsListChanged, true);
    await memory.close();
    assert.equal(await memory.closed, 'local');
    // An update of memory may have been under way. They come in turns, so after the next one of cpu none may follow.
    const before = count(CPU);
    await peer.until(() => count(CPU) > before);
    const last = count(MEMORY);
    await peer.until(() => count(CPU) > before + 1);
    assert.equal(count(MEMORY), last);
    await cpu.close();
  });
}

/** Connections that are lost. */
export async function connections(sdk, where, peer) {
  const cutter = await Cutter.before(where.url);
  const throughCutter = { ...where, url: cutter.url };
  await check('cut: the call is lost, the next one is not', async () => {
    const cut = await Peer.connect(sdk, throughCutter);
    const begun = later();
    const call = cut.call('slow', { ms: 60_000, events: 600 }, { onprogress: begun.resolve, timeout: CUT_LIMIT_MS });
    const rejected = rejection(call);
    await begun.promise;
    cutter.cut();
    await rejected;
    assert.equal(await cut.text('echo', { text: 'next' }), 'next');
    await cut.client.close();
  });
  await check('cut: a subscription is lost, the next one is not', async () => {
    const cut = await Peer.connect(sdk, throughCutter);
    const lost = await cut.client.listen({ resourceSubscriptions: [CPU] });
    await cut.until(() => cut.updates.length > 0);
    cutter.cut();
    assert.equal(await lost.closed, 'remote');
    const next = await cut.client.listen({ resourceSubscriptions: [CPU] });
    const before = cut.updates.length;
    await cut.until(() => cut.updates.length > before);
    await next.close();
    await cut.client.close();
  });
  await check('cut while a question is open: its answer still counts', async () => {
    const cut = await Peer.connect(sdk, throughCutter);
    let asked = 0;
    sdk.onRequest(cut.client, 'elicitation/create', async () => {
      asked += 1;
      cutter.cut();
      // A call may still be sent on a connection that is gone already: until one arrives.
      while (await cut.text('echo', { text: 'a' }).catch(() => 'lost') !== 'a');
      return ACCEPTED;
    });
    assert.equal(await cut.text('ask_permission', { path: 'a' }), GRANTED);
    assert.equal(asked, 1);
    await cut.client.close();
  });
  cutter.close();
  await check('end', () => peer.client.close());
}
