// What a TypeScript client finds at the demo. `sdk` hides where the two lines of the SDK differ.
//
// usage: node v1.mjs MODE http URL | node v1.mjs MODE sse URL | node v1.mjs MODE stdio|connect PROGRAM [ARGUMENT ..]
//
// MODE is how the client negotiates: `legacy`, `auto`, or `modern`, which insists on the newest revision.

import assert from 'node:assert/strict';
import { check, end, later, rejection } from './checks.mjs';
import * as legacy from './legacy.mjs';
import * as modern from './modern.mjs';
import * as older from './older.mjs';
import { CPU, MEMORY, Peer, textOf, upTo } from './peer.mjs';

const TOOLS = ['ask_permission', 'echo', 'list_project_roots', 'plan_trip', 'research', 'slow', 'summarize'];

/** Runs all checks and ends the process. */
export async function scenario(sdk) {
  const [mode, kind, ...rest] = process.argv.slice(2);
  const where = {
    http: { mode, url: rest[0] },
    sse: { mode, url: rest[0], sse: true },
    stdio: { mode, command: rest[0], args: rest.slice(1) },
    // The program is a bridge to the server.
    connect: { mode, command: rest[0], args: rest.slice(1) },
  }[kind];
  // A client that looks for the newest era finds it.
  const era = mode === 'legacy' ? legacy : modern;
  let peer;
  await check('connect', async () => {
    peer = await Peer.connect(sdk, where);
    assert.equal(peer.modern, mode !== 'legacy');
    assert.equal(peer.revision, mode === 'legacy' ? '2025-11-25' : '2026-07-28');
    assert.equal(peer.client.getServerVersion().name, 'throughline-demo');
    assert.match(peer.client.getInstructions(), /research/);
    const { tools, prompts, resources, logging, completions } = peer.client.getServerCapabilities();
    assert.ok(tools && prompts && resources?.subscribe && logging && completions);
  });
  if (!peer) return end();
  await lists(peer);
  await tools(peer);
  await questions(peer);
  await contents(peer);
  await era.session(peer, where);
  await cancellation(peer);
  if (kind === 'http') await era.connections(sdk, where, peer);
  else if (kind === 'sse') await older.connections(sdk, where, peer);
  else {
    if (kind === 'stdio') await oneEra(sdk, where);
    await processEnd(peer);
  }
  end();
}

async function lists(peer) {
  await check('tools/list', async () => {
    const tools = await peer.sdk.allTools(peer.client);
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
  await check('tools/list, page by page', async () => {
    const pages = [];
    let cursor;
    do {
      const page = await peer.page(cursor);
      pages.push(page.tools.map(({ name }) => name));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    assert.deepEqual(pages.map((page) => page.length), [4, 3]);
    assert.deepEqual(pages.flat().sort(), TOOLS);
    assert.equal((await rejection(peer.page('nonsense'))).code, -32602);
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
  await check('plan_trip: three questions, one offer', async () => {
    const answers = [{ from: 'Rome', to: 'Oslo' }, { people: 2, by: 'train' }, { book: true }];
    const asked = [];
    peer.sdk.onRequest(peer.client, 'elicitation/create', ({ params }) => {
      asked.push(params.message);
      return { action: 'accept', content: answers[asked.length - 1] };
    });
    const text = await peer.text('plan_trip', {});
    assert.match(text, /^Offer [0-9-]+ \(2 by train from Rome to Oslo\) is taken\.$/);
    assert.equal(asked.length, answers.length);
    // However often the tool ran, the offer that was asked about is the one that is taken.
    const [offer] = text.match(/Offer [0-9-]+/);
    assert.ok(asked[2].startsWith(`${offer}: `), asked[2]);
  });
  await check('list_project_roots', async () => {
    peer.answer('roots/list', { roots: [{ uri: 'file:///a', name: 'A' }, { uri: 'file:///b' }] });
    assert.equal(await peer.text('list_project_roots', {}), 'A: file:///a\nfile:///b');
    if (!peer.modern) await peer.client.sendRootsListChanged();
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
    await peer.text('echo', { text: 'next' });
    const sent = () => peer.progress.filter(({ progressToken }) => progressToken === token).length;
    const before = sent();
    assert.equal(await peer.text('slow', { ms: 350, events: 1 }), 'done after 350 ms and 1 events');
    assert.equal(sent(), before);
  });
}

/** Servers that have one era alone, and not the one that this client looks for. */
async function oneEra(sdk, where) {
  const serving = (era) => Peer.connect(sdk, { ...where, args: [...where.args, '--era', era] });
  if (where.mode === 'auto') {
    return check('a server with sessions alone gets one', async () => {
      const peer = await serving('legacy');
      assert.equal(peer.revision, '2025-11-25');
      assert.equal(await peer.text('echo', { text: 'hello' }), 'hello');
      await peer.client.close();
    });
  }
  await check('a server of the other era says so', async () => {
    const { code, message } = await rejection(serving(where.mode === 'legacy' ? 'modern' : 'legacy'));
    assert.match(message, /2026-07-28/);
    // A client that insists on the newest revision does not tell what it was answered.
    if (where.mode === 'legacy') assert.equal(code, -32022);
  });
}

async function processEnd(peer) {
  await check('the server ends with its input', async () => {
    const ended = later();
    peer.transport._process.once('exit', (code, signal) => ended.resolve({ code, signal }));
    await peer.client.close();
    assert.deepEqual(await ended.promise, { code: 0, signal: null });
  });
}
