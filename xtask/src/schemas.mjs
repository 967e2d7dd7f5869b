// Writes the JSON schemas that the conformance suite carries: node schemas.mjs SUITE OUT
//
// The suite is one minified file. Each schema stands in it as an object literal in a variable, and one table
// leads from revisions to the variables: const T={"2025-03-26":A,"2025-06-18":B,..
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';

const [suite, out] = process.argv.slice(2);
const source = readFileSync(suite, 'utf8');

const literals = new Map();
for (const start of source.matchAll(/([\w$]+)=(?=\{\$schema:`[^`]*`,(?:\$defs|definitions):\{)/g)) {
  literals.set(start[1], start.index + start[0].length);
}
let written = 0;
for (const [, revision, variable] of source.matchAll(/"(\d{4}-\d{2}-\d{2})":([\w$]+)(?=[,}])/g)) {
  if (!literals.has(variable)) continue;
  const schema = runInNewContext(`(${literal(literals.get(variable))})`, {}, { timeout: 5000 });
  mkdirSync(join(out, revision), { recursive: true });
  writeFileSync(join(out, revision, 'schema.json'), JSON.stringify(schema, null, 2) + '\n');
  written += 1;
}
if (written === 0) throw new Error('no schema was found in the suite: its layout has changed');

// The text of the object literal that starts at `from`.
function literal(from) {
  let depth = 0;
  let quote = null;
  for (let at = from; at < source.length; at++) {
    const c = source[at];
    if (quote !== null) {
      if (c === '\\') at++;
      else if (c === quote) quote = null;
    } else if (c === '`' || c === '"' || c === "'") quote = c;
    else if (c === '{') depth++;
    else if (c === '}' && --depth === 0) return source.slice(from, at + 1);
  }
  throw new Error('a schema does not end: the suite is cut short');
}
