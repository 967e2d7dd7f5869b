// Checks: each prints one line, `ok NAME` or `FAIL NAME: why`. A failed one shows the messages it saw on standard error.

import { setTimeout as pause } from 'node:timers/promises';

/** A check that takes longer has failed. The longest ones, which lose connections, take some 5 s on an idle machine. */
const CHECK_LIMIT_MS = 60_000;

/** As much of the wire as a failed check shows. */
const MOST_MESSAGES = 40;
const MOST_CHARACTERS = 400;

/** Messages as they went over the wire, newest last. */
export const wire = [];

/** Notes a message; `direction` is `->` to the server and `<-` from it. */
export function note(direction, message) {
  wire.push({ direction, message });
  if (wire.length > 10_000) wire.splice(0, 5_000);
}

let failed = 0;

/** Runs one check: `work` throws when it fails. */
export async function check(name, work) {
  const from = wire.length;
  const over = new AbortController();
  const late = pause(CHECK_LIMIT_MS, undefined, { signal: over.signal }).then(() => {
    throw new Error(`no end after ${CHECK_LIMIT_MS} ms`);
  });
  late.catch(() => {});
  try {
    await Promise.race([work(), late]);
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${name}: ${String(error?.message ?? error).split('\n').join(' | ')}`);
    console.error(`--- ${name}\n${error?.stack ?? error}`);
    for (const { direction, message } of wire.slice(from).slice(-MOST_MESSAGES)) {
      console.error(`${direction} ${JSON.stringify(message).slice(0, MOST_CHARACTERS)}`);
    }
  } finally {
    over.abort();
  }
}

/** Ends the process; whatever is still open does not keep it. */
export function end() {
  process.exit(failed === 0 ? 0 : 1);
}

/** A value that comes later, with its resolvers. */
export function later() {
  let resolve, reject;
  const promise = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
  return { promise, resolve, reject };
}

/** What `promise` is rejected with; that it is not is a failure. */
export async function rejection(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`an error was expected, not ${JSON.stringify(value).slice(0, MOST_CHARACTERS)}`);
}

// A promise that nobody waits for any more, such as a call whose connection was cut on purpose, is no failure by itself.
process.on('unhandledRejection', (error) => console.error(`unhandled: ${error?.message ?? error}`));
