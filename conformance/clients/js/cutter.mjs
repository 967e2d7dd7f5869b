// A TCP proxy in front of the server that can cut every connection.

import net from 'node:net';

export class Cutter {
  #sockets = new Set();
  #connected = [];
  #server;

  /** Listens on a free port in front of `url`; `this.url` is the way through it. */
  static async before(url) {
    const cutter = new Cutter();
    const { hostname, port, pathname } = new URL(url);
    cutter.#server = net.createServer((client) => {
      cutter.#connected.splice(0).forEach((tell) => tell());
      const server = net.connect(Number(port), hostname);
      for (const socket of [client, server]) {
        cutter.#sockets.add(socket);
        socket.setNoDelay(true);
        socket.on('error', () => {});
        socket.on('close', () => {
          cutter.#sockets.delete(socket);
          client.destroy();
          server.destroy();
        });
      }
      client.pipe(server);
      server.pipe(client);
    });
    await new Promise((listening) => cutter.#server.listen(0, '127.0.0.1', listening));
    cutter.url = `http://127.0.0.1:${cutter.#server.address().port}${pathname}`;
    return cutter;
  }

  /** Cuts what is connected now; new connections get through. */
  cut() {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** The next new connection. */
  connected() {
    return new Promise((tell) => this.#connected.push(tell));
  }

  close() {
    this.cut();
    this.#server.close();
  }
}
