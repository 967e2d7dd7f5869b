// What only HTTP+SSE has: a session that lasts as long as its stream.

import assert from 'node:assert/strict';
import { check, later, rejection } from './checks.mjs';
import { Cutter } from './cutter.mjs';
import { MEMORY, Peer, upTo } from './peer.mjs';

/** Connections side by side, lost ones, and the end. */
export async function connections(sdk, where, peer) {
  await check('two clients at once hear only what is theirs', async () => {
    const other = await Peer.connect(sdk, where);
    const [mine, theirs] = [peer.progress.length, other.progress.length];
    await peer.client.subscribeResource({ uri: MEMORY });
    const slow = [peer, other].map((one) =>
      one.text('slow', { ms: 500, events: 10 }, { onprogress: () => {} }));
    await Promise.all(slow);
    for (const [one, before] of [[peer, mine], [other, theirs]]) {
      assert.deepEqual(one.progress.slice(before).map(({ progress }) => progress), upTo(10));
    }
    await peer.until(() => peer.updates.length > 0);
    assert.deepEqual(other.updates, []);
    await other.client.close();
  });
  const cutter = await Cutter.before(where.url);
  await check('cut: that session is over, and the next one is not', async () => {
    const cut = await Peer.connect(sdk, { ...where, url: cutter.url });
    const address = new URL(cut.transport._endpoint);
    const lost = later();
    cut.client.onerror = () => lost.resolve();
    const call = rejection(cut.call('slow', { ms: 60_000, events: 600 }, { onprogress: () => cutter.cut() }));
    await lost.promise;
    await cut.client.close();
    await call;
    address.port = new URL(where.url).port;
    // The server may learn of the cut a little later than the client.
    while ((await post(address)) !== 404);
    const next = await Peer.connect(sdk, { ...where, url: cutter.url });
    assert.equal(await next.text('echo', { text: 'again' }), 'again');
    await next.client.close();
  });
  cutter.close();
  await check('messages of sessions that are not there are refused', async () => {
    const address = new URL(peer.transport._endpoint);
    assert.equal(await post(address), 202);
    address.searchParams.set('sessionId', '0'.repeat(32));
    assert.equal(await post(address), 404);
    address.searchParams.delete('sessionId');
    assert.equal(await post(address), 400);
  });
  await check('end the session', async () => {
    const address = new URL(peer.transport._endpoint);
    await peer.client.close();
    while ((await post(address)) !== 404);
  });
}

/** The status of a POST of a notification that nobody minds. */
async function post(address) {
  const body = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'none' } });
  const response = await fetch(address, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  await response.body?.cancel();
  return response.status;
}
