// Opens a page in a Chromium and waits until its dashboard shows a metric that changed. Talks to the browser by the DevTools
// protocol (https://chromedevtools.github.io/devtools-protocol/), over the WebSocket that Node.js has.
//
// usage: node browser.mjs DEVTOOLS PAGE
//   DEVTOOLS: the address that the browser printed at its start
//   PAGE: the address of the dashboard

const [devtools, page] = process.argv.slice(2);
const socket = new WebSocket(devtools);
const waiting = new Map();
let lastId = 0;

function send(method, params = {}, sessionId = undefined) {
  const id = ++lastId;
  socket.send(JSON.stringify({ id, method, params, sessionId }));
  return new Promise((resolve, reject) => waiting.set(id, { method, resolve, reject }));
}

socket.onmessage = ({ data }) => {
  const { id, result, error, method, params } = JSON.parse(data);
  if (method === "Log.entryAdded") console.log(`the page logs: ${params.entry.text} ${params.entry.url ?? ""}`);
  if (method === "Runtime.consoleAPICalled") console.log(`the page says: ${params.args.map((arg) => arg.value ?? arg.description).join(" ")}`);
  if (method === "Runtime.exceptionThrown") console.log(`the page fails: ${params.exceptionDetails.exception?.description}`);
  const call = waiting.get(id);
  waiting.delete(id);
  if (error) call.reject(new Error(`${call.method}: ${error.message}`));
  else call?.resolve(result);
};

// Watches the page from inside: what a person would look at, whenever it changes.
const watch = `new Promise((done) => {
  const text = (id) => document.getElementById(id)?.textContent;
  const seen = [];
  let pressed = false;
  const look = () => {
    const now = text("uptime");
    if (/^\\d+$/.test(now) && seen.at(-1) !== now) seen.push(now);
    if (!pressed && text("presses") === "0" && (pressed = true)) document.querySelector("button").click();
    if (seen.length >= 3 && text("presses") === "1" && /^live/.test(text("state"))) {
      done(JSON.stringify({ uptime: seen, presses: text("presses"), state: text("state") }));
    }
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
  look();
})`;

await new Promise((opened, failed) => Object.assign(socket, { onopen: opened, onerror: () => failed(new Error(`${devtools} does not answer`)) }));
const { targetId } = await send("Target.createTarget", { url: "about:blank" });
const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
await send("Log.enable", {}, sessionId);
await send("Runtime.enable", {}, sessionId);
await send("Page.enable", {}, sessionId);
await send("Page.navigate", { url: page }, sessionId);
for (;;) {
  const { result } = await send("Runtime.evaluate", { expression: "location.href" }, sessionId);
  if (result.value?.startsWith(page)) break;
}
// Half a minute: a metric changes every second. Then what the page shows tells the most.
setTimeout(async () => {
  const { result } = await send("Runtime.evaluate", { expression: "document.body.innerText" }, sessionId);
  console.log(`the page shows: ${result.value}`);
  process.exit(1);
}, 30_000);
const { result, exceptionDetails } = await send("Runtime.evaluate", { expression: watch, awaitPromise: true }, sessionId);
if (exceptionDetails) throw new Error(exceptionDetails.text);
console.log(`the dashboard shows ${result.value}`);
process.exit(0);
