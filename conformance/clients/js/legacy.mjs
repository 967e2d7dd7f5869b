// What only a revision with sessions has.

import assert from 'node:assert/strict';
import { check, later, rejection } from './checks.mjs';
import { Cutter } from './cutter.mjs';
import { CPU, EVERYTHING, MEMORY, Peer, textOf, upTo } from './peer.mjs';

/** Checks that need no connection of their own. */
export async function session(peer, where) {
  await check('ping', () => peer.client.ping());
  await check('research: log lines after logging/setLevel', async () => {
    await peer.client.setLoggingLevel('info');
    await peer.text('research', { topic: 'tea', steps: 3, step_ms: 20 });
    peer.heard(3);
  });
  await check('ask_permission: an error instead of an answer', async () => {
    peer.sdk.onRequest(peer.client, 'elicitation/create', () => {
      throw new Error('nobody is here');
    });
    assert.match(await peer.refusal('ask_permission', { path: 'a' }), /nobody is here/);
  });
  await subscriptions(peer);
  await check('cancel a call that waits for an answer', async () => {
    const abort = new AbortController();
    const asked = later();
    const told = later();
    peer.sdk.onRequest(peer.client, 'elicitation/create', (_, extra) => {
      const { signal } = extra.mcpReq ?? extra;
      signal.addEventListener('abort', () => told.resolve());
      asked.resolve();
      return new Promise(() => {});
    });
    const rejected = rejection(peer.call('ask_permission', { path: 'a' }, { signal: abort.signal }));
    await asked.promise;
    abort.abort('enough');
    await rejected;
    // The server takes its question back.
    await told.promise;
  });
  await check('a client without capabilities is told so', async () => {
    const plain = await Peer.connect(peer.sdk, where, {});
    assert.match(await plain.refusal('ask_permission', { path: 'a' }), /elicitation/);
    assert.match(await plain.refusal('summarize', { text: 'a' }), /sampling/);
    assert.match(await plain.refusal('list_project_roots', {}), /roots/);
    await plain.client.close();
  });
}

async function subscriptions(peer) {
  const count = (uri) => peer.updates.filter((updated) => updated === uri).length;
  await check('subscribe: updates of this resource alone', async () => {
    await peer.client.subscribeResource({ uri: MEMORY });
    await peer.until(() => count(MEMORY) >= 2);
    assert.equal(count(CPU), 0);
  });
  await check('unsubscribe', async () => {
    await peer.client.subscribeResource({ uri: CPU });
    await peer.client.unsubscribeResource({ uri: MEMORY });
    // An update of memory may have been under way. They come in turns, so after the next one of cpu none may follow.
    const before = count(CPU);
    await peer.until(() => count(CPU) > before);
    const memory = count(MEMORY);
    await peer.until(() => count(CPU) > before + 1);
    assert.equal(count(MEMORY), memory);
    await peer.client.unsubscribeResource({ uri: CPU });
  });
}

/** Connections that are lost, and the end of a session. */
export async function connections(sdk, where, peer) {
  const cutter = await Cutter.before(where.url);
  await check('cut twice: the call goes on, nothing is lost or repeated', async () => {
    const cut = await Peer.connect(sdk, { ...where, url: cutter.url });
    const progress = [];
    const text = await cut.text('slow', { ms: 4_000, events: 40 }, {
      onprogress: ({ progress: step }) => {
        progress.push(step);
        if (step === 3 || step === 20) cutter.cut();
      },
    });
    assert.equal(text, 'done after 4000 ms and 40 events');
    cut.arrived(40, progress);
    await cut.client.close();
  });
  await check('cut: subscriptions go on', async () => {
    const cut = await Peer.connect(sdk, { ...where, url: cutter.url });
    await cut.client.subscribeResource({ uri: CPU });
    await cut.until(() => cut.updates.length > 0);
    cutter.cut();
    const before = cut.updates.length;
    await cut.until(() => cut.updates.length > before + 1);
    await cut.client.close();
  });
  await check('cut while a question is open: its answer still counts', async () => {
    const cut = await Peer.connect(sdk, { ...where, url: cutter.url });
    let asked = 0;
    sdk.onRequest(cut.client, 'elicitation/create', async () => {
      asked += 1;
      cutter.cut();
      // An answer on a connection that is being lost would be lost with it.
      await cutter.connected();
      return { action: 'accept', content: { allow: true } };
    });
    assert.match(await cut.text('ask_permission', { path: 'a' }), /granted/);
    assert.equal(asked, 1);
    await cut.client.close();
  });
  await check('resume in another process, by the token', async () => {
    const first = await Peer.connect(sdk, where);
    const { sessionId } = first.transport;
    let token;
    const seen = later();
    const args = { ms: 2_000, events: 20 };
    first.call('slow', args, {
      onresumptiontoken: (newest) => (token = newest),
      onprogress: ({ progress }) => {
        if (progress === 4) seen.resolve();
      },
    }).catch(() => {});
    await seen.promise;
    // As if the process had ended: the session is not.
    await first.transport.close();
    const [cursor, last] = [token, first.progress.length];
    const second = await Peer.connect(sdk, where, EVERYTHING, { sessionId });
    const result = await second.call('slow', args, { resumptionToken: cursor });
    assert.equal(textOf(result), 'done after 2000 ms and 20 events');
    assert.deepEqual(second.progress.map(({ progress }) => progress), upTo(20).slice(last));
    await second.client.close();
  });
  cutter.close();
  await check('end the session', async () => {
    await peer.transport.terminateSession();
    assert.equal(peer.transport.sessionId, undefined);
    await peer.client.close();
  });
}
