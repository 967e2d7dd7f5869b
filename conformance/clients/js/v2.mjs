// npm @modelcontextprotocol/client (the 2.x line), in each of its modes: the `initialize` handshake with no probe before
// it, a probe that decides, and the newest revision or nothing.

import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { scenario } from './scenario.mjs';

const MODES = { legacy: 'legacy', auto: 'auto', modern: { pin: '2026-07-28' } };

await scenario({
  client: (info, capabilities, mode) => new Client(info, { capabilities, versionNegotiation: { mode: MODES[mode] } }),
  http: (url, options) => new StreamableHTTPClientTransport(url, options),
  sse: (url) => new SSEClientTransport(url),
  stdio: (server) => new StdioClientTransport(server),
  onRequest: (client, method, answer) => client.setRequestHandler(method, answer),
  onNotification: (client, method, take) => client.setNotificationHandler(method, take),
  // This line of the SDK reads -32002, which is what the server answers on a session, as the code that later revisions
  // have.
  notFound: -32602,
  callTool: (client, params, options) => client.callTool(params, options),
  // It follows the cursors itself.
  allTools: async (client) => (await client.listTools()).tools,
  listToolsSchema: [],
});
