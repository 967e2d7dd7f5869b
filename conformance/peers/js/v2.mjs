// A server of npm @modelcontextprotocol/server (the 2.x line), in both eras.
//
// usage: node v2.mjs http|stateless [PORT] | node v2.mjs stdio
//
// `http`: sessions with resumable streams beside the newest revision. `stateless`: older revisions without a session, which
// is what the SDK does unless told otherwise.

import {
  ProtocolError,
  ProtocolErrorCode,
  ResourceNotFoundError,
  Server,
  WebStandardStreamableHTTPServerTransport,
  createMcpHandler,
  inputRequired,
  isLegacyRequest,
} from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { toNodeHandler } from '@modelcontextprotocol/node';
import * as fixtures from './fixtures.mjs';
import { Events, RETRY_MS, listen, newId, refuse } from './serve.mjs';

const QUESTIONS = {
  'elicitation/create': inputRequired.elicit,
  'sampling/createMessage': inputRequired.createMessage,
  'roots/list': inputRequired.listRoots,
};

/** Thrown by a tool's question: the call ends here, and is made anew with the answer. */
class Question {
  constructor(key, request) {
    this.inputRequests = { [key]: request };
  }
}

/** A server for one session, or one request. `changes` (of the newest revision over HTTP) tells every listener. */
function newServer(changes) {
  const server = new Server(
    { name: 'peer-typescript-2', version: '1.0.0' },
    { capabilities: fixtures.CAPABILITIES, instructions: fixtures.INSTRUCTIONS },
  );
  const subscribed = new Set();
  const on = (method, answer) => server.setRequestHandler(method, ({ params }, context) => answer(params ?? {}, context));
  on('tools/list', (params) => found(fixtures.listTools(params), 'there is no such page'));
  on('resources/list', () => ({ resources: fixtures.RESOURCES }));
  on('resources/templates/list', () => ({ resourceTemplates: fixtures.TEMPLATES }));
  on('prompts/list', () => ({ prompts: fixtures.PROMPTS }));
  on('prompts/get', (params) => found(fixtures.getPrompt(params), 'there is the prompt greet with a name'));
  on('resources/read', (params) => {
    const contents = fixtures.readResource(params);
    if (!contents) throw new ResourceNotFoundError(params.uri);
    return contents;
  });
  on('resources/subscribe', ({ uri }) => (subscribed.add(uri), {}));
  on('resources/unsubscribe', ({ uri }) => (subscribed.delete(uri), {}));
  on('tools/call', async (params, { mcpReq, http }) => {
    const progressToken = mcpReq._meta?.progressToken;
    const call = {
      signal: mcpReq.signal,
      progress: async (progress, total) => {
        if (progressToken === undefined) return;
        await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total } });
      },
      log: (data) => mcpReq.log('info', data, 'peer'),
      // With a session the SDK asks at once, and makes the call anew by itself.
      ask: async (key, method, params) => {
        const answer = mcpReq.inputResponses?.[key];
        if (!answer) throw new Question(key, QUESTIONS[method](params));
        return answer;
      },
      cut: () => http?.closeSSE?.(),
      touch: async () => {
        if (changes) {
          changes.resourceUpdated(fixtures.WATCHED);
          changes.toolsChanged();
          return;
        }
        // Over stdio the SDK turns these into what the listeners of the newest revision want.
        const modern = mcpReq.envelope !== undefined;
        if (modern || subscribed.has(fixtures.WATCHED)) await server.sendResourceUpdated({ uri: fixtures.WATCHED });
        await server.sendToolListChanged();
      },
    };
    try {
      return found(await fixtures.callTool(params, call), `there is no tool ${params.name}`);
    } catch (question) {
      if (question instanceof Question) return inputRequired(question);
      throw question;
    }
  });
  return server;
}

function found(result, otherwise) {
  if (!result) throw new ProtocolError(ProtocolErrorCode.InvalidParams, otherwise);
  return result;
}

function serve(port, legacy) {
  const handler = createMcpHandler(({ era }) => newServer(era === 'modern' ? handler.notify : undefined), {
    legacy: legacy ? 'reject' : 'stateless',
    onerror: (error) => console.error(error),
  });
  const fetch = async (request, options) =>
    legacy && (await isLegacyRequest(request)) ? legacy(request) : handler.fetch(request, options);
  const handle = toNodeHandler({ fetch }, { onerror: (error) => console.error(error) });
  listen(port, '/mcp', (request, response) =>
    request.url.startsWith('/mcp') ? handle(request, response) : refuse(response, 404),
  );
}

/** Serves older revisions with sessions. */
function sessions() {
  const open = new Map();
  return async (request) => {
    const id = request.headers.get('mcp-session-id');
    if (id !== null) return open.get(id)?.handleRequest(request) ?? new Response('404\n', { status: 404 });
    // It refuses by itself what is no `initialize`.
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: newId,
      eventStore: new Events(),
      retryInterval: RETRY_MS,
      onsessioninitialized: (id) => void open.set(id, transport),
      onsessionclosed: (id) => void open.delete(id),
    });
    await newServer().connect(transport);
    return transport.handleRequest(request);
  };
}

const TRANSPORTS = {
  http: (port) => serve(port, sessions()),
  stateless: (port) => serve(port),
  stdio: () => serveStdio(() => newServer(), { onerror: (error) => console.error(error) }),
};

const [transport, port = '0'] = process.argv.slice(2);
if (!Object.hasOwn(TRANSPORTS, transport)) {
  throw new Error('usage: node v2.mjs http|stateless [PORT] | node v2.mjs stdio');
}
TRANSPORTS[transport](port);
