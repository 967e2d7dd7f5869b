// What every peer of ours offers, the same on each SDK: tools, resources and a prompt. An SDK's program hands in a `call`
// that hides how it sends things:
//
//   progress(step, total)    notifications/progress, when the request has a token
//   log(text)                notifications/message at level info, when the client wants it
//   ask(key, method, params) what the client answers to a question
//   cut()                    closes the connection that the answer is to come on, where the SDK can
//   touch()                  notifications/resources/updated of WATCHED and notifications/tools/list_changed
//   signal                   an AbortSignal: the call is cancelled

import { setTimeout as pause } from 'node:timers/promises';

export const WATCHED = 'peer://watched';
const ITEM = /^peer:\/\/items\/(.+)$/;

export const INSTRUCTIONS = 'A peer for the tests of a client.';

/** Tools on a page of `tools/list`. */
const PAGE = 4;

/** `cut` goes on at this pace, so that the client is back before the end. */
const CUT_STEP_MS = 20;

/** No count goes further: it is a test's, and a typing error in one is not to fill the memory. */
const MOST_STEPS = 100_000;

const object = (properties = {}, required = Object.keys(properties)) => ({ type: 'object', properties, required });
const steps = { type: 'integer', minimum: 0, maximum: MOST_STEPS };
const string = { type: 'string' };
const number = { type: 'number' };

const TOOLS = [
  tool('echo', 'Answers with its text.', object({ text: string })),
  tool('count', 'Counts, with progress; `ms` between two steps.', object({ to: steps, ms: steps }, ['to'])),
  tool('log', 'Writes lines of log at level info.', object({ n: steps })),
  tool('ask', 'Asks the user three things, each with a default but the first.', object()),
  tool('sample', "Asks the client's model.", object({ prompt: string })),
  tool('roots', "Lists the URIs of the client's roots.", object()),
  tool('cut', 'Counts, and closes its connection on the way.', object({ after: steps, to: steps })),
  tool('touch', 'Tells who wants to know that the watched resource and the tools changed.', object()),
  tool('fail', 'Answers with an error.', object()),
  { ...tool('sum', 'Adds two numbers.', object({ a: number, b: number })), outputSchema: object({ sum: number }) },
];

const QUESTION = {
  message: 'Who are you?',
  requestedSchema: object(
    {
      name: { type: 'string', title: 'Name' },
      age: { type: 'integer', title: 'Age', default: 30 },
      newsletter: { type: 'boolean', title: 'Newsletter', default: true },
    },
    ['name'],
  ),
};

function tool(name, description, inputSchema) {
  return { name, description, inputSchema };
}

const text = (text) => ({ content: [{ type: 'text', text }] });

/** How often somebody called `touch`. */
let touched = 0;

const RUN = {
  echo: ({ text: said }) => text(said),
  count: async ({ to, ms = 0 }, call) => {
    for (let step = 1; step <= to; step += 1) {
      if (ms > 0) await pause(ms, undefined, { signal: call.signal });
      await call.progress(step, to);
    }
    return text(`counted to ${to}`);
  },
  log: async ({ n }, call) => {
    for (let line = 1; line <= n; line += 1) await call.log(`line ${line} of ${n}`);
    return text(`logged ${n}`);
  },
  ask: async (_, call) => {
    const { action, content } = await call.ask('who', 'elicitation/create', { mode: 'form', ...QUESTION });
    return text(JSON.stringify({ action, content }));
  },
  sample: async ({ prompt }, call) => {
    const messages = [{ role: 'user', content: { type: 'text', text: prompt } }];
    const { content } = await call.ask('answer', 'sampling/createMessage', { messages, maxTokens: 100 });
    return text([content].flat()[0].text);
  },
  roots: async (_, call) => {
    const { roots } = await call.ask('roots', 'roots/list', {});
    return text(roots.map(({ uri }) => uri).join('\n'));
  },
  cut: async ({ after, to }, call) => {
    for (let step = 1; step <= to; step += 1) {
      await call.progress(step, to);
      if (step === after) await call.cut();
      await pause(CUT_STEP_MS, undefined, { signal: call.signal });
    }
    return text(`counted to ${to}`);
  },
  touch: async (_, call) => {
    touched += 1;
    await call.touch();
    return text('touched');
  },
  fail: () => ({ ...text('this tool always fails'), isError: true }),
  sum: ({ a, b }) => ({ ...text(JSON.stringify({ sum: a + b })), structuredContent: { sum: a + b } }),
};

/** The answer to `tools/call`, or `undefined` when there is no such tool. */
export async function callTool({ name, arguments: args = {} }, call) {
  return Object.hasOwn(RUN, name) ? RUN[name](args, call) : undefined;
}

/** A page of tools, or `undefined` when the cursor is none. */
export function listTools({ cursor = '0' } = {}) {
  const from = Number(cursor);
  if (!Number.isInteger(from) || from < 0 || from >= TOOLS.length) return undefined;
  const next = from + PAGE;
  return { tools: TOOLS.slice(from, next), ...(next < TOOLS.length && { nextCursor: `${next}` }) };
}

export const RESOURCES = [{ uri: WATCHED, name: 'watched', description: 'Changes with `touch`.', mimeType: 'text/plain' }];

export const TEMPLATES = [
  { uriTemplate: 'peer://items/{id}', name: 'items', description: 'One item.', mimeType: 'text/plain' },
];

/** The answer to `resources/read`, or `undefined` when there is no such resource. */
export function readResource({ uri }) {
  const contents = (text) => ({ contents: [{ uri, mimeType: 'text/plain', text }] });
  if (uri === WATCHED) return contents(`touched ${touched} times`);
  const [, id] = ITEM.exec(uri) ?? [];
  return id && contents(`item ${decodeURIComponent(id)}`);
}

export const PROMPTS = [
  { name: 'greet', description: 'Greets somebody.', arguments: [{ name: 'name', description: 'Whom', required: true }] },
];

/** The answer to `prompts/get`, or `undefined` when there is no such prompt or no name. */
export function getPrompt({ name, arguments: args }) {
  if (name !== 'greet' || !args?.name) return undefined;
  return { messages: [{ role: 'user', content: { type: 'text', text: `Hello, ${args.name}!` } }] };
}

export const CAPABILITIES = {
  tools: { listChanged: true },
  resources: { subscribe: true },
  prompts: {},
  logging: {},
};
