// What a TypeScript client finds at the demo. `sdk` hides where the two lines of the SDK differ.
//
// usage: node v1.mjs http URL | node v1.mjs stdio PROGRAM [ARGUMENT ..]

import assert from 'node:assert/strict';
import { check, end, later, note, rejection } from './checks.mjs';
import { Cutter } from './cutter.mjs';

const TOOLS = ['ask_permission', 'echo', 'list_project_roots', 'research', 'slow', 'summarize'];
const CPU = 'metrics://cpu';
const MEMORY = 'metrics://memory';
const EVERYTHING = { elicitation: { form: {} }, sampling: {}, roots: { listChanged: true } };

/** A client connected to the demo, and what it was told. */
class Peer {
  logs = [];
  updates = [];
  /** Each progress notification as it came over the wire. */
  progress = [];
  #waiting = [];

  /** `where`: `{ url }` or `{ command, args }`. */
  static async connect(sdk, where, capabilities = EVERYTHING, options = {}) {
    const peer = new Peer();
    peer.sdk = sdk;
    peer.stdio = !where.url;
    peer.client = sdk.client({ name: 'throughline-clients', version: '1.0.0' }, capabilities);
    peer.transport = where.url
      ? sdk.http(new URL(where.url), options)
      : sdk.stdio({ ...where, stderr: 'inherit' });
    tap(peer.transport, (message) => {
      if (message.method === 'notifications/progress') peer.progress.push(message.params);
    });
    peer.client.onerror = (error) => note('!!', `${error?.message ?? error}`);
    sdk.onNotification(peer.client, 'notifications/message', ({ params }) => peer.#told(peer.logs, params));
    sdk.onNotification(peer.client, 'notifications/resources/updated', ({ params }) => peer.#told(peer.updates, params.uri));
    await peer.client.connect(peer.transport);
    return peer;
  }

  /** Calls a tool. */
  call(name, args, options) {
    return this.sdk.callTool(this.client, { name, arguments: args }, options);
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
   * it. Over stdio it drops what it reads in one piece with the answer: its issue 2580,
   * https://github.com/modelcontextprotocol/typescript-sdk/issues/2580
   */
  arrived(count, seen) {
    const token = this.progress.at(-1)?.progressToken;
    const mine = this.progress.filter(({ progressToken }) => progressToken === token);
    assert.deepEqual(mine.map(({ progress }) => progress), upTo(count));
    assert.deepEqual(seen, upTo(this.stdio ? seen.length : count));
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

/** Shows each message to the checks, and to `see` those from the server. */
function tap(transport, see) {
  let deliver;
  Object.defineProperty(transport, 'onmessage', {
    get: () => deliver,
    set: (handler) => {
      deliver = (message, extra) => {
        note('<-', message);
        see(message);
        handler(message, extra);
      };
    },
  });
  const send = transport.send.bind(transport);
  transport.send = (message, options) => {
    note('->', message);
    return send(message, options);
  };
}

function textOf(result) {
  assert.deepEqual(result.content.map(({ type }) => type), ['text']);
  return result.content[0].text;
}

/** 1, 2, .. `count` */
const upTo = (count) => Array.from({ length: count }, (_, index) => index + 1);

/** Runs all checks and ends the process. */
export async function scenario(sdk) {
  const [kind, ...rest] = process.argv.slice(2);
  const where = kind === 'http' ? { url: rest[0] } : { command: rest[0], args: rest.slice(1) };
  let peer;
  await check('connect', async () => {
    peer = await Peer.connect(sdk, where);
    assert.equal(peer.client.getServerVersion().name, 'throughline-demo');
    assert.match(peer.client.getInstructions(), /research/);
    const { tools, prompts, resources, logging, completions } = peer.client.getServerCapabilities();
    assert.ok(tools && prompts && resources?.subscribe && logging && completions);
  });
  if (!peer) return end();
  await basics(peer);
  await tools(peer);
  await questions(peer);
  await contents(peer);
  await subscriptions(peer);
  await cancellation(peer);
  await check('a client without capabilities is told so', async () => {
    const plain = await Peer.connect(sdk, where, {});
    assert.match(await plain.refusal('ask_permission', { path: 'a' }), /elicitation/);
    assert.match(await plain.refusal('summarize', { text: 'a' }), /sampling/);
    assert.match(await plain.refusal('list_project_roots', {}), /roots/);
    await plain.client.close();
  });
  if (kind === 'http') await connections(sdk, where.url, peer);
  else await process_end(peer);
  end();
}

async function basics(peer) {
  await check('ping', () => peer.client.ping());
  await check('tools/list', async () => {
    const { tools } = await peer.client.listTools();
    assert.deepEqual(tools.map(({ name }) => name).sort(), TOOLS);
    for (const { description, inputSchema, annotations } of tools) {
      assert.ok(description);
      assert.equal(inputSchema.type, 'object');
      assert.equal(annotations.readOnlyHint, true);
    }
    const { inputSchema } = tools.find(({ name }) => name === 'research');
    assert.deepEqual(inputSchema.required, ['topic']);
    assert.equal(inputSchema.properties.steps.default, 5);
  });
}

async function tools(peer) {
  await check('echo: any text', async () => {
    for (const text of ['hello', '', 'line\r\nline\n\n', '\u2028 \u{1F9F5} \u0000 \\ "', 'data: x\n\nid: 7\n']) {
      assert.equal(await peer.text('echo', { text }), text);
    }
  });
  await check('echo: a megabyte', async () => {
    const text = 'thread '.repeat(150_000);
    assert.equal(await peer.text('echo', { text }), text);
  });
  await check('echo: 40 at once, beside a slow one', async () => {
    const slow = peer.text('slow', { ms: 300, events: 3 });
    const echoes = upTo(40).map((n) => peer.text('echo', { text: `${n}` }));
    assert.deepEqual(await Promise.all(echoes), upTo(40).map(String));
    assert.equal(await slow, 'done after 300 ms and 3 events');
  });
  await check('arguments that do not fit are named', async () => {
    assert.match(await peer.refusal('echo', {}), /text/);
    assert.match(await peer.refusal('slow', { ms: 'soon' }), /ms/);
    assert.match(await peer.refusal('research', { topic: 'a', steps: 1_001 }), /1001 is not from 1 to 1000/);
  });
  await check('an unknown tool is an error', async () => {
    const error = await rejection(peer.call('none', {}));
    assert.equal(error.code, -32602);
  });
  await check('research: progress, and no log below warning', async () => {
    const progress = [];
    const report = await peer.text('research', { topic: 'tea', steps: 3, step_ms: 20 }, {
      onprogress: (step) => progress.push(step),
    });
    assert.match(report, /^Report on tea\n/);
    peer.arrived(3, progress.map(({ progress }) => progress));
    assert.ok(progress.every(({ total, message }) => total === 3 && message));
    assert.deepEqual(peer.logs, []);
  });
  await check('research: log lines after logging/setLevel', async () => {
    await peer.client.setLoggingLevel('info');
    await peer.text('research', { topic: 'tea', steps: 3, step_ms: 20 });
    assert.equal(peer.logs.length, 3);
    peer.logs.forEach(({ level, logger, data }, index) => {
      assert.equal(level, 'info');
      assert.equal(logger, 'research');
      assert.match(data, new RegExp(`^step ${index + 1} of 3: `));
    });
  });
  await check('slow: every progress, in order', async () => {
    const progress = [];
    const text = await peer.text('slow', { ms: 400, events: 200 }, { onprogress: (step) => progress.push(step.progress) });
    assert.equal(text, 'done after 400 ms and 200 events');
    peer.arrived(200, progress);
  });
}

async function questions(peer) {
  const ask = () => peer.text('ask_permission', { path: '/etc/hosts' });
  const ANSWERS = [
    ['accepted', { action: 'accept', content: { allow: true } }, 'Permission granted: /etc/hosts may be changed.'],
    ['refused', { action: 'accept', content: { allow: false } }, 'Permission refused: /etc/hosts stays as it is.'],
    ['declined', { action: 'decline' }, 'The user declined to answer: /etc/hosts stays as it is.'],
    ['cancelled', { action: 'cancel' }, 'The user closed the question: /etc/hosts stays as it is.'],
  ];
  for (const [name, answer, text] of ANSWERS) {
    await check(`ask_permission: ${name}`, async () => {
      peer.answer('elicitation/create', answer);
      assert.equal(await ask(), text);
      assert.equal(peer.asked.message, 'May /etc/hosts be changed?');
      assert.equal(peer.asked.requestedSchema.properties.allow.type, 'boolean');
      assert.deepEqual(peer.asked.requestedSchema.required, ['allow']);
    });
  }
  await check('ask_permission: an error instead of an answer', async () => {
    peer.sdk.onRequest(peer.client, 'elicitation/create', () => {
      throw new Error('nobody is here');
    });
    assert.match(await peer.refusal('ask_permission', { path: 'a' }), /nobody is here/);
  });
  await check('summarize: sampling', async () => {
    const content = { type: 'text', text: 'A short story.' };
    peer.answer('sampling/createMessage', { role: 'assistant', model: 'none', stopReason: 'endTurn', content });
    assert.equal(await peer.text('summarize', { text: 'A long story.' }), 'A short story.');
    const [{ role, content: asked }] = [peer.asked.messages].flat();
    assert.equal(role, 'user');
    assert.match([asked].flat()[0].text, /A long story\.$/);
    assert.equal(peer.asked.maxTokens, 300);
    assert.ok(peer.asked.systemPrompt);
  });
  await check('list_project_roots', async () => {
    peer.answer('roots/list', { roots: [{ uri: 'file:///a', name: 'A' }, { uri: 'file:///b' }] });
    assert.equal(await peer.text('list_project_roots', {}), 'A: file:///a\nfile:///b');
    await peer.client.sendRootsListChanged();
    peer.answer('roots/list', { roots: [] });
    assert.equal(await peer.text('list_project_roots', {}), 'The client has no roots.');
  });
}

async function contents(peer) {
  await check('prompts', async () => {
    const { prompts } = await peer.client.listPrompts();
    assert.deepEqual(prompts.map(({ name, title }) => [name, title]), [['plan_research', 'Plan research']]);
    const required = prompts[0].arguments.map(({ name, required }) => [name, required ?? false]);
    assert.deepEqual(Object.fromEntries(required), { topic: true, depth: false });
    const { messages } = await peer.client.getPrompt({ name: 'plan_research', arguments: { topic: 'tea', depth: 'detailed' } });
    assert.equal(messages.length, 1);
    assert.equal(messages[0].role, 'user');
    assert.match(messages[0].content.text, /"tea" with 10 steps/);
  });
  await check('prompts: errors', async () => {
    const missing = await rejection(peer.client.getPrompt({ name: 'plan_research' }));
    assert.equal(missing.code, -32602);
    assert.match(missing.message, /topic/);
    assert.equal((await rejection(peer.client.getPrompt({ name: 'none' }))).code, -32602);
  });
  await check('resources', async () => {
    const { resources } = await peer.client.listResources();
    assert.deepEqual(resources.map(({ uri }) => uri).sort(), [CPU, MEMORY]);
    for (const uri of [CPU, MEMORY]) {
      const { contents } = await peer.client.readResource({ uri });
      assert.deepEqual(contents.map((content) => [content.uri, content.mimeType]), [[uri, 'application/json']]);
      assert.equal(typeof JSON.parse(contents[0].text), 'object');
    }
    assert.equal((await rejection(peer.client.readResource({ uri: 'metrics://none' }))).code, peer.sdk.notFound);
  });
  await check('resource templates', async () => {
    const { resourceTemplates } = await peer.client.listResourceTemplates();
    assert.deepEqual(resourceTemplates.map(({ uriTemplate }) => uriTemplate), ['guide://tools/{name}']);
    const { contents } = await peer.client.readResource({ uri: 'guide://tools/echo' });
    assert.deepEqual(contents.map(({ uri, mimeType }) => [uri, mimeType]), [['guide://tools/echo', 'text/plain']]);
    assert.match(contents[0].text, /quickest/);
    const missing = await rejection(peer.client.readResource({ uri: 'guide://tools/none' }));
    assert.equal(missing.code, peer.sdk.notFound);
    assert.match(missing.message, /there are guides to/);
  });
  await check('completion', async () => {
    const complete = async (ref, name, value) =>
      (await peer.client.complete({ ref, argument: { name, value } })).completion.values;
    const prompt = { type: 'ref/prompt', name: 'plan_research' };
    const guide = { type: 'ref/resource', uri: 'guide://tools/{name}' };
    assert.deepEqual(await complete(prompt, 'depth', ''), ['overview', 'detailed', 'exhaustive']);
    assert.deepEqual(await complete(prompt, 'depth', 'd'), ['detailed']);
    assert.deepEqual(await complete(prompt, 'topic', 't'), []);
    assert.deepEqual(await complete(guide, 'name', 's'), ['slow', 'summarize']);
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

async function cancellation(peer) {
  await check('cancel a running call', async () => {
    const abort = new AbortController();
    const begun = later();
    const call = peer.call('slow', { ms: 60_000, events: 600 }, { signal: abort.signal, onprogress: begun.resolve });
    const rejected = rejection(call);
    await begun.promise;
    const token = peer.progress.at(-1).progressToken;
    abort.abort('enough');
    await rejected;
    // It would have sent progress three times while the next call runs.
    await peer.client.ping();
    const sent = () => peer.progress.filter(({ progressToken }) => progressToken === token).length;
    const before = sent();
    assert.equal(await peer.text('slow', { ms: 350, events: 1 }), 'done after 350 ms and 1 events');
    assert.equal(sent(), before);
  });
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
}

async function connections(sdk, url, peer) {
  const cutter = await Cutter.before(url);
  await check('cut twice: the call goes on, nothing is lost or repeated', async () => {
    const cut = await Peer.connect(sdk, { url: cutter.url });
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
    const cut = await Peer.connect(sdk, { url: cutter.url });
    await cut.client.subscribeResource({ uri: CPU });
    await cut.until(() => cut.updates.length > 0);
    cutter.cut();
    const before = cut.updates.length;
    await cut.until(() => cut.updates.length > before + 1);
    await cut.client.close();
  });
  await check('cut while a question is open: its answer still counts', async () => {
    const cut = await Peer.connect(sdk, { url: cutter.url });
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
    const first = await Peer.connect(sdk, { url });
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
    const second = await Peer.connect(sdk, { url }, EVERYTHING, { sessionId });
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

async function process_end(peer) {
  await check('the server ends with its input', async () => {
    const ended = later();
    peer.transport._process.once('exit', (code, signal) => ended.resolve({ code, signal }));
    await peer.client.close();
    assert.deepEqual(await ended.promise, { code: 0, signal: null });
  });
}
