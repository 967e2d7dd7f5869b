// What the servers of both lines of the SDK share: a listener on loopback, and a store of events.

import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';

/** Events that a session's store keeps; the oldest go first. A test's longest call has some thousand. */
const MOST_EVENTS = 10_000;

/** How soon a client whose connection was closed is to come back, so that a test does not wait for a second. */
export const RETRY_MS = 50;

export const newId = randomUUID;

/** Serves `handle(request, response)` on loopback; port 0 takes a free one. Prints where, as the first line. */
export function listen(port, path, handle) {
  const server = createServer((request, response) => {
    Promise.resolve(handle(request, response)).catch((error) => {
      console.error(error);
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  server.listen(Number(port), '127.0.0.1', () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}${path}`);
  });
}

/** Ends a request with a status alone. */
export function refuse(response, status) {
  response.writeHead(status, { 'content-type': 'text/plain' }).end(`${status}\n`);
}

/** Keeps the events of one session, so that a client can come back for them. */
export class Events {
  #events = [];
  #count = 0;

  async storeEvent(streamId, message) {
    this.#count += 1;
    const id = `${streamId}/${this.#count}`;
    this.#events.push({ id, streamId, message });
    if (this.#events.length > MOST_EVENTS) this.#events.shift();
    return id;
  }

  async getStreamIdForEventId(id) {
    return this.#events.find((event) => event.id === id)?.streamId;
  }

  async replayEventsAfter(last, { send }) {
    const from = this.#events.findIndex(({ id }) => id === last);
    if (from < 0) throw new Error(`the event ${last} is not known`);
    const { streamId } = this.#events[from];
    // Taken before the first is sent: what comes later is sent as it comes.
    const rest = this.#events.slice(from + 1).filter((event) => event.streamId === streamId);
    // An event without a method or an answer opened a connection, and is not to be sent again.
    for (const { id, message } of rest) if (Object.keys(message).length > 0) await send(id, message);
    return streamId;
  }
}
