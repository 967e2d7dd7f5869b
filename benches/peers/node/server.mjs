// The official TypeScript SDK on node:http, as its guide to serving over HTTP says: a handler that makes a server for each
// request, and for sessions one hand-wired transport each, with an event store.
//
// The SDK has no event store of its own; its example of one sorts all events it ever kept for each replay. This one keeps the
// events of each stream in order, and forgets a stream that is not among the last 1,000.

import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import {
    NodeStreamableHTTPServerTransport,
    localhostHostValidation,
    localhostOriginValidation,
    toNodeHandler
} from '@modelcontextprotocol/node';
import { McpServer, acceptedContent, createMcpHandler, createRequestStateCodec, inputRequired } from '@modelcontextprotocol/server';
import * as z from 'zod/v4';

const { values: flags } = parseArgs({
    options: {
        answers: { type: 'string', default: 'json' },
        stateless: { type: 'boolean', default: false },
        tools: { type: 'string', default: '0' }
    }
});
const isJson = flags.answers === 'json';
const CHANGING = 'lab://changing';

const text = text => ({ content: [{ type: 'text', text }] });
const echo = { description: 'Answers with the text', inputSchema: z.object({ text: z.string() }) };
const approval = z.object({ approved: z.boolean() });
const codec = createRequestStateCodec({ key: randomBytes(32) });
/** Tools with a name of their own. */
const NAMED = 5;

function lab() {
    const server = new McpServer(
        { name: 'npm', version: '1.0.0' },
        { capabilities: { resources: { subscribe: true } }, requestState: { verify: codec.verify } }
    );
    server.registerTool('echo', echo, async args => text(args.text));
    server.registerTool('echo_later', echo, async args => {
        await new Promise(setImmediate);
        return text(args.text);
    });
    server.registerTool(
        'progress',
        { description: 'Reports progress so many times', inputSchema: z.object({ count: z.int() }) },
        async ({ count }, context) => {
            const progressToken = context.mcpReq._meta?.progressToken;
            if (progressToken !== undefined) {
                for (let progress = 1; progress <= count; progress++) {
                    await context.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress } });
                }
            }
            return text('done');
        }
    );
    server.registerTool('ask', { ...echo, description: 'Asks the user, then answers with the text' }, async (args, context) => {
        const answer = acceptedContent(context.mcpReq.inputResponses, 'approval', approval);
        if (context.mcpReq.requestState() === undefined || answer === undefined) {
            const question = inputRequired.elicit({ message: 'Go on?', requestedSchema: approval });
            return inputRequired({ inputRequests: { approval: question }, requestState: await codec.mint({ asked: true }) });
        }
        return text(answer.approved ? args.text : 'no');
    });
    server.registerTool('touch', { description: 'Changes the resource', inputSchema: z.object({}) }, async () => {
        handler.notify.resourceUpdated(CHANGING);
        return text('touched');
    });
    server.registerResource('changing', CHANGING, {}, async () => ({ contents: [{ uri: CHANGING, text: 'changed' }] }));
    for (let number = 1; number <= Number(flags.tools) - NAMED; number++) {
        server.registerTool(`extra_${number}`, echo, async args => text(args.text));
    }
    return server;
}

class EventStore {
    #streams = new Map();
    #next = 0;

    async storeEvent(streamId, message) {
        let stream = this.#streams.get(streamId);
        if (stream === undefined) {
            stream = new Map();
            this.#streams.set(streamId, stream);
            if (this.#streams.size > 1000) {
                this.#streams.delete(this.#streams.keys().next().value);
            }
        }
        const eventId = `${streamId}_${this.#next++}`;
        stream.set(eventId, message);
        return eventId;
    }

    async replayEventsAfter(lastEventId, { send }) {
        const streamId = lastEventId.slice(0, lastEventId.lastIndexOf('_'));
        let isAfter = false;
        for (const [eventId, message] of this.#streams.get(streamId) ?? []) {
            if (isAfter) {
                await send(eventId, message);
            }
            isAfter ||= eventId === lastEventId;
        }
        return streamId;
    }
}

/** What there is without sessions. Subscriptions are limited to 1,024 unless told otherwise. */
const handler = createMcpHandler(lab, { responseMode: isJson ? 'auto' : 'sse', maxSubscriptions: 10_000 });
const modern = toNodeHandler(handler);

const sessions = new Map();

async function legacy(request, response) {
    const id = request.headers['mcp-session-id'];
    const known = sessions.get(id);
    if (known !== undefined) {
        return known.handleRequest(request, response);
    }
    if (id !== undefined) {
        return response.writeHead(404).end();
    }
    const transport = new NodeStreamableHTTPServerTransport({
        sessionIdGenerator: () => randomUUID(),
        enableJsonResponse: isJson,
        eventStore: isJson ? undefined : new EventStore(),
        onsessioninitialized: id => sessions.set(id, transport)
    });
    transport.onclose = () => sessions.delete(transport.sessionId);
    await lab().connect(transport);
    return transport.handleRequest(request, response);
}

/** The handler without sessions serves the older revisions too, by an event stream; as one JSON body it takes a transport each. */
async function stateless(request, response) {
    const transport = new NodeStreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
    const server = lab();
    response.on('close', () => server.close());
    await server.connect(transport);
    return transport.handleRequest(request, response);
}

const validateHost = localhostHostValidation();
const validateOrigin = localhostOriginValidation();
const MODERN = '2026-07-28';

function serve(request, response) {
    if (request.headers['mcp-protocol-version'] === MODERN) {
        return modern(request, response);
    }
    if (!flags.stateless) {
        return legacy(request, response);
    }
    return isJson ? stateless(request, response) : modern(request, response);
}

const server = createServer((request, response) => {
    if (validateHost(request, response) && validateOrigin(request, response)) {
        serve(request, response).catch(error => {
            console.error(error);
            response.destroy();
        });
    }
});
server.listen(0, '127.0.0.1', () => {
    console.log(`listening http://127.0.0.1:${server.address().port}/mcp`);
});

process.stdin.resume().on('end', () => process.exit(0));
