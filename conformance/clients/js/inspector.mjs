// The command-line client of npm @modelcontextprotocol/inspector: each check is one run of it, which connects, asks
// one thing and ends. `--strict` also judges the tools' schemas.
//
// usage: node inspector.mjs MODE http URL | node inspector.mjs MODE stdio|connect PROGRAM [ARGUMENT ..]
//
// MODE is what it calls the era: `legacy`, `auto`, or `modern`.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { check, end, note } from './checks.mjs';

const PROGRAM = fileURLToPath(new URL('../node_modules/.bin/mcp-inspector', import.meta.url));
const [MODE, KIND, ...TARGET] = process.argv.slice(2);

/** A run takes a second or two on an idle machine, and a check makes three at most. */
const RUN_LIMIT_MS = 50_000;

/** Runs the Inspector: its exit code, and what it wrote to each stream as JSON where it is JSON. */
function inspect(method, ...args) {
  const asked = ['--protocol-era', MODE, '--format', 'json', '--quiet', '--method', method, ...args];
  const words = KIND === 'http' ? ['--cli', TARGET[0], '--transport', 'http', ...asked] : ['--cli', ...asked, '--', ...TARGET];
  note('->', words);
  return new Promise((done) => {
    execFile(process.execPath, [PROGRAM, ...words], { timeout: RUN_LIMIT_MS, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      const outcome = { code: error ? (error.code ?? error.signal) : 0, stdout: parsed(stdout), stderr: parsed(stderr) };
      note('<-', outcome);
      done(outcome);
    });
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The result of a run, which must end well. */
async function result(...words) {
  const { code, stdout, stderr } = await inspect(...words);
  assert.equal(code, 0, JSON.stringify(stderr));
  return stdout.result;
}

/** A run that ends with an error: its exit code is not 0, and its sentence is told. */
async function failure(...words) {
  const { code, stderr } = await inspect(...words);
  assert.notEqual(code, 0);
  assert.equal(typeof stderr.error?.message, 'string', JSON.stringify(stderr));
  return stderr.error.message;
}

const callWords = (name, args) => ['tools/call', '--tool-name', name, '--tool-args-json', JSON.stringify(args)];

/** The text of a tool's answer. */
async function call(name, args) {
  const { content } = await result(...callWords(name, args));
  assert.deepEqual(content.map(({ type }) => type), ['text']);
  return content[0].text;
}

const CHECKS = {
  connect: async () => {
    const { serverInfo, protocolVersion, capabilities } = await result('initialize');
    assert.equal(serverInfo.name, 'throughline-demo');
    // Whoever looks for the newest era finds it.
    assert.equal(protocolVersion, MODE === 'legacy' ? '2025-11-25' : '2026-07-28');
    assert.ok(capabilities.resources.subscribe);
  },
  'tools/list --strict': async () => {
    const { tools } = await result('tools/list', '--strict');
    assert.equal(tools.length, 7);
  },
  echo: async () => assert.equal(await call('echo', { text: 'hello' }), 'hello'),
  slow: async () => assert.equal(await call('slow', { ms: 300, events: 3 }), 'done after 300 ms and 3 events'),
  research: async () => {
    assert.match(await call('research', { topic: 'tea', steps: 2, step_ms: 10 }), /^Report on tea\n/);
  },
  list_project_roots: async () => assert.equal(await call('list_project_roots', {}), 'The client has no roots.'),
  // It declares no elicitation and no sampling. A tool says so on a session; without one, the call is refused.
  'ask_permission and summarize: refused': async () => {
    for (const [name, args] of [['ask_permission', { path: 'a' }], ['summarize', { text: 'a' }]]) {
      const { code, stdout, stderr } = await inspect(...callWords(name, args));
      assert.equal(code, MODE === 'legacy' ? 5 : 1);
      const why = MODE === 'legacy' ? stdout.result.content[0].text : stderr.error.message;
      assert.match(why, /capability/);
    }
  },
  'an unknown tool': async () => assert.match(await failure('tools/call', '--tool-name', 'none'), /none/),
  prompts: async () => {
    const { prompts } = await result('prompts/list');
    assert.deepEqual(prompts.map(({ name }) => name), ['plan_research']);
    const { messages } = await result('prompts/get', '--prompt-name', 'plan_research', '--prompt-args', 'topic=tea', 'depth=detailed');
    assert.match(messages[0].content.text, /"tea" with 10 steps/);
  },
  'prompts: errors': async () => assert.match(await failure('prompts/get', '--prompt-name', 'plan_research'), /topic/),
  resources: async () => {
    const { resources } = await result('resources/list');
    assert.deepEqual(resources.map(({ uri }) => uri).sort(), ['metrics://cpu', 'metrics://memory']);
    const { contents } = await result('resources/read', '--uri', 'metrics://cpu');
    assert.equal(typeof JSON.parse(contents[0].text), 'object');
  },
  'resource templates': async () => {
    const { resourceTemplates } = await result('resources/templates/list');
    assert.deepEqual(resourceTemplates.map(({ uriTemplate }) => uriTemplate), ['guide://tools/{name}']);
    const { contents } = await result('resources/read', '--uri', 'guide://tools/slow');
    assert.match(contents[0].text, /Last-Event-ID/);
    assert.match(await failure('resources/read', '--uri', 'guide://tools/none'), /there are guides to/);
  },
};
if (MODE === 'legacy') {
  CHECKS['logging/setLevel'] = async () => assert.deepEqual(await result('logging/setLevel', '--log-level', 'debug'), {});
}
if (KIND === 'http') {
  CHECKS['200 calls, 16 at a time'] = async () => {
    const { code, stdout } = await inspect(
      'tools/call', '--tool-name', 'echo', '--tool-args-json', '{"text":"hello"}',
      '--load', '--load-requests', '200', '--load-concurrency', '16',
    );
    assert.equal(code, 0, JSON.stringify(stdout));
    assert.deepEqual([stdout.result.ok, stdout.result.errors], [200, 0]);
  };
}

for (const [name, work] of Object.entries(CHECKS)) await check(name, work);
end();
