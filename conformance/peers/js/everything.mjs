// npm @modelcontextprotocol/server-everything as it is published. Over HTTP it takes a port from the environment, listens
// on every address, and tells neither: here it listens on loopback, and its first line says where.
//
// usage: node everything.mjs http|sse [PORT] | node everything.mjs stdio

import { Server } from 'node:http';

const TRANSPORTS = { http: ['streamableHttp', '/mcp'], sse: ['sse', '/sse'], stdio: ['stdio'] };

const [transport, port = '0'] = process.argv.slice(2);
if (!Object.hasOwn(TRANSPORTS, transport)) {
  throw new Error('usage: node everything.mjs http|sse [PORT] | node everything.mjs stdio');
}
const [name, path] = TRANSPORTS[transport];
if (path) {
  // Standard output is for the one line.
  const say = console.log;
  console.log = console.error;
  const listen = Server.prototype.listen;
  Server.prototype.listen = function (_, listening) {
    return listen.call(this, Number(port), '127.0.0.1', () => {
      say(`listening on http://127.0.0.1:${this.address().port}${path}`);
      listening?.();
    });
  };
}
// It reads its own command line.
process.argv = [...process.argv.slice(0, 2), name];
await import('@modelcontextprotocol/server-everything/dist/index.js');
