// npm @modelcontextprotocol/sdk (the 1.x line). It has the `initialize` handshake alone.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import * as types from '@modelcontextprotocol/sdk/types.js';
import { scenario } from './scenario.mjs';

const REQUESTS = {
  'elicitation/create': types.ElicitRequestSchema,
  'roots/list': types.ListRootsRequestSchema,
  'sampling/createMessage': types.CreateMessageRequestSchema,
};
const NOTIFICATIONS = {
  'notifications/message': types.LoggingMessageNotificationSchema,
  'notifications/resources/updated': types.ResourceUpdatedNotificationSchema,
};

await scenario({
  client: (info, capabilities) => new Client(info, { capabilities }),
  http: (url, options) => new StreamableHTTPClientTransport(url, options),
  sse: (url) => new SSEClientTransport(url),
  stdio: (server) => new StdioClientTransport(server),
  onRequest: (client, method, answer) => client.setRequestHandler(REQUESTS[method], answer),
  onNotification: (client, method, take) => client.setNotificationHandler(NOTIFICATIONS[method], take),
  notFound: -32002,
  callTool: (client, params, options) => client.callTool(params, undefined, options),
  allTools: async (client) => {
    const first = await client.listTools();
    const second = await client.listTools({ cursor: first.nextCursor });
    return [...first.tools, ...second.tools];
  },
  listToolsSchema: [types.ListToolsResultSchema],
});
