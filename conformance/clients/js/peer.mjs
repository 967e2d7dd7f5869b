// A client of one of the TypeScript SDKs, as the checks use it.

import assert from 'node:assert/strict';
import { later, note } from './checks.mjs';

export const CPU = 'metrics://cpu';
export const MEMORY = 'metrics://memory';

/** All that a client can be asked. */
export const EVERYTHING = { elicitation: { form: {} }, sampling: {}, roots: { listChanged: true } };

/** A client connected to the demo, and what it was told. */
export class Peer {
  logs = [];
  updates = [];
  /** Each progress notification as it came over the wire. */
  progress = [];
  #waiting = [];
  #initialized;

  /** `where`: `{ url }`, `{ url, sse: true }` or `{ command, args }`, and the `mode` of negotiation. */
  static async connect(sdk, where, capabilities = EVERYTHING, options = {}) {
    const { mode, sse, ...server } = where;
    const peer = new Peer();
    peer.sdk = sdk;
    peer.oneWay = sse || !server.url;
    peer.client = sdk.client({ name: 'throughline-clients', version: '1.0.0' }, capabilities, mode);
    if (sse) peer.transport = sdk.sse(new URL(server.url));
    else if (server.url) peer.transport = sdk.http(new URL(server.url), options);
    else peer.transport = sdk.stdio({ ...server, stderr: 'inherit' });
    tap(peer.transport, (message) => {
      if (message.method === 'notifications/progress') peer.progress.push(message.params);
      peer.#initialized ??= message.result?.protocolVersion;
    });
    peer.client.onerror = (error) => note('!!', `${error?.message ?? error}`);
    sdk.onNotification(peer.client, 'notifications/message', ({ params }) => peer.#told(peer.logs, params));
    sdk.onNotification(peer.client, 'notifications/resources/updated', ({ params }) => peer.#told(peer.updates, params.uri));
    await peer.client.connect(peer.transport);
    return peer;
  }

  /** The era that was found: without sessions or with. */
  get modern() {
    return this.client.getProtocolEra?.() === 'modern';
  }

  /** The revision that was agreed on. The 1.x line does not tell the one it initialized with. */
  get revision() {
    return this.client.getNegotiatedProtocolVersion?.() ?? this.#initialized;
  }

  /** Calls a tool. `meta`: more for the request's `_meta`. */
  call(name, args, { meta, ...options } = {}) {
    const params = { name, arguments: args, ...(meta && { _meta: meta }) };
    return this.sdk.callTool(this.client, params, options);
  }

  /** One page of the list of tools. */
  page(cursor) {
    return this.client.request({ method: 'tools/list', params: { cursor } }, ...this.sdk.listToolsSchema);
  }

  /** The text of a tool's answer, which must be no error. */
  async text(name, args, options) {
    const result = await this.call(name, args, options);
    assert.ok(!result.isError, JSON.stringify(result));
    return textOf(result);
  }

  /** The text of a tool's error. */
  async refusal(name, args) {
    const result = await this.call(name, args);
    assert.equal(result.isError, true, JSON.stringify(result));
    return textOf(result);
  }

  /** Answers what the server asks, and keeps the last question. */
  answer(method, result) {
    this.sdk.onRequest(this.client, method, ({ params }) => {
      this.asked = params;
      return result;
    });
  }

  /**
   * The newest call's progress came over the wire: 1 to `count`, each once and in order. `seen` is what the SDK made of
   * it. Where everything comes one way, over stdio and HTTP+SSE, it drops what it reads in one piece with the answer: its
   * issue 2580,
   * https://github.com/modelcontextprotocol/typescript-sdk/issues/2580
   */
  arrived(count, seen) {
    const token = this.progress.at(-1)?.progressToken;
    const mine = this.progress.filter(({ progressToken }) => progressToken === token);
    assert.deepEqual(mine.map(({ progress }) => progress), upTo(count));
    assert.deepEqual(seen, upTo(this.oneWay ? seen.length : count));
  }

  /** Nothing but the log lines of `steps` steps of research was told. */
  heard(steps) {
    assert.equal(this.logs.length, steps);
    this.logs.forEach(({ level, logger, data }, index) => {
      assert.equal(level, 'info');
      assert.equal(logger, 'research');
      assert.match(data, new RegExp(`^step ${index + 1} of ${steps}: `));
    });
  }

  /** Waits until `reached` holds of what was told. */
  async until(reached) {
    while (!reached()) {
      const next = later();
      this.#waiting.push(next);
      await next.promise;
    }
  }

  #told(list, item) {
    list.push(item);
    this.#waiting.splice(0).forEach((waiting) => waiting.resolve());
  }
}

/** Shows each message to the checks, and to `see` those from the server, once however the SDK chains its handlers. */
function tap(transport, see) {
  const seen = new WeakSet();
  let deliver;
  Object.defineProperty(transport, 'onmessage', {
    get: () => deliver,
    set: (handler) => {
      deliver = handler && ((message, extra) => {
        if (!seen.has(message)) {
          seen.add(message);
          note('<-', message);
          see(message);
        }
        handler(message, extra);
      });
    },
  });
  const send = transport.send.bind(transport);
  transport.send = (message, options) => {
    note('->', message);
    return send(message, options);
  };
}

export function textOf(result) {
  assert.deepEqual(result.content.map(({ type }) => type), ['text']);
  return result.content[0].text;
}

/** 1, 2, .. `count` */
export const upTo = (count) => Array.from({ length: count }, (_, index) => index + 1);
