// A server of npm @modelcontextprotocol/sdk (the 1.x line). It has sessions alone.
//
// usage: node v1.mjs http|sse [PORT] | node v1.mjs stdio

import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import * as fixtures from './fixtures.mjs';
import { Events, RETRY_MS, listen, newId, refuse } from './serve.mjs';

const ANSWERS = {
  'elicitation/create': types.ElicitResultSchema,
  'sampling/createMessage': types.CreateMessageResultSchema,
  'roots/list': types.ListRootsResultSchema,
};

/** A server for one session. */
function newServer() {
  const server = new Server(
    { name: 'peer-typescript-1', version: '1.0.0' },
    { capabilities: fixtures.CAPABILITIES, instructions: fixtures.INSTRUCTIONS },
  );
  const subscribed = new Set();
  const on = (schema, answer) => server.setRequestHandler(schema, ({ params }, extra) => answer(params ?? {}, extra));
  on(types.ListToolsRequestSchema, (params) => found(fixtures.listTools(params), 'there is no such page'));
  on(types.ListResourcesRequestSchema, () => ({ resources: fixtures.RESOURCES }));
  on(types.ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: fixtures.TEMPLATES }));
  on(types.ListPromptsRequestSchema, () => ({ prompts: fixtures.PROMPTS }));
  on(types.GetPromptRequestSchema, (params) => found(fixtures.getPrompt(params), 'there is the prompt greet with a name'));
  on(types.ReadResourceRequestSchema, (params) => {
    const { uri } = params;
    const contents = fixtures.readResource(params);
    if (!contents) throw new types.McpError(-32002, `there is no resource ${uri}`, { uri });
    return contents;
  });
  on(types.SubscribeRequestSchema, ({ uri }) => (subscribed.add(uri), {}));
  on(types.UnsubscribeRequestSchema, ({ uri }) => (subscribed.delete(uri), {}));
  let levels = types.LoggingLevelSchema.options;
  on(types.SetLevelRequestSchema, ({ level }) => {
    levels = types.LoggingLevelSchema.options.slice(types.LoggingLevelSchema.options.indexOf(level));
    return {};
  });
  on(types.CallToolRequestSchema, async (params, extra) => {
    const notify = (method, params) => extra.sendNotification({ method, params });
    const progressToken = params._meta?.progressToken;
    const result = await fixtures.callTool(params, {
      signal: extra.signal,
      progress: async (progress, total) => {
        if (progressToken !== undefined) await notify('notifications/progress', { progressToken, progress, total });
      },
      log: async (data) => {
        if (levels.includes('info')) await notify('notifications/message', { level: 'info', logger: 'peer', data });
      },
      ask: (_, method, params) => extra.sendRequest({ method, params }, ANSWERS[method]),
      cut: () => extra.closeSSEStream?.(),
      touch: async () => {
        if (subscribed.has(fixtures.WATCHED)) await server.sendResourceUpdated({ uri: fixtures.WATCHED });
        await server.sendToolListChanged();
      },
    });
    return found(result, `there is no tool ${params.name}`);
  });
  return server;
}

function found(result, otherwise) {
  if (!result) throw new types.McpError(types.ErrorCode.InvalidParams, otherwise);
  return result;
}

function http(port) {
  const sessions = new Map();
  listen(port, '/mcp', async (request, response) => {
    if (!request.url.startsWith('/mcp')) return refuse(response, 404);
    const id = request.headers['mcp-session-id'];
    if (id !== undefined) {
      const known = sessions.get(id);
      return known ? known.handleRequest(request, response) : refuse(response, 404);
    }
    // It refuses by itself what is no `initialize`.
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: newId,
      eventStore: new Events(),
      retryInterval: RETRY_MS,
      onsessioninitialized: (id) => sessions.set(id, transport),
      onsessionclosed: (id) => sessions.delete(id),
    });
    await newServer().connect(transport);
    return transport.handleRequest(request, response);
  });
}

function sse(port) {
  const sessions = new Map();
  listen(port, '/sse', async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://localhost');
    if (request.method === 'GET' && pathname === '/sse') {
      const transport = new SSEServerTransport('/messages', response);
      sessions.set(transport.sessionId, transport);
      const server = newServer();
      server.onclose = () => sessions.delete(transport.sessionId);
      return server.connect(transport);
    }
    if (request.method === 'POST' && pathname === '/messages') {
      const known = sessions.get(searchParams.get('sessionId'));
      return known ? known.handlePostMessage(request, response) : refuse(response, 404);
    }
    return refuse(response, pathname === '/sse' || pathname === '/messages' ? 405 : 404);
  });
}

const TRANSPORTS = { http, sse, stdio: () => newServer().connect(new StdioServerTransport()) };

const [transport, port = '0'] = process.argv.slice(2);
if (!Object.hasOwn(TRANSPORTS, transport)) throw new Error('usage: node v1.mjs http|sse [PORT] | node v1.mjs stdio');
await TRANSPORTS[transport](port);
