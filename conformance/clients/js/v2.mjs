// npm @modelcontextprotocol/client (the 2.x line), in its legacy mode: the `initialize` handshake, no probe before it.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { scenario } from './scenario.mjs';

await scenario({
  client: (info, capabilities) => new Client(info, { capabilities, versionNegotiation: { mode: 'legacy' } }),
  http: (url, options) => new StreamableHTTPClientTransport(url, options),
  stdio: (server) => new StdioClientTransport(server),
  onRequest: (client, method, answer) => client.setRequestHandler(method, answer),
  onNotification: (client, method, take) => client.setNotificationHandler(method, take),
  // This line of the SDK reads -32002, which is what the server answers, as the code that later revisions have.
  notFound: -32602,
  callTool: (client, params, options) => client.callTool(params, options),
});
