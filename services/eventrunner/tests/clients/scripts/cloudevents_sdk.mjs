// Sends each event of events.json with the official CloudEvents SDK for JavaScript, in every mode, and reads
// each back with it.
//
//     node cloudevents_sdk.mjs EVENTS SOURCE
//
// Where to and as whom is in EVENTRUNNER_URL, EVENTRUNNER_API_URL and EVENTRUNNER_KEY; EVENTRUNNER_NODE is
// the folder the SDK is installed in. Writes a line of JSON for each request: the mode, the headers and the
// body (base64) as they were sent; or what was left out, and why. Ends with 1 if an event did not come back
// equal.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";

const require = createRequire(`${process.env.EVENTRUNNER_NODE}/`);
const { CloudEvent, HTTP, Mode, emitterFor } = require("cloudevents");

const { EVENTRUNNER_URL: url, EVENTRUNNER_API_URL: apiUrl, EVENTRUNNER_KEY: key } = process.env;
const authorization = { authorization: `Bearer ${key}` };
const readTimeoutMs = 30_000;

function build(event, mode, source) {
    const { json, text, base64, times = 1 } = event.data ?? {};
    const data = base64 ? new Uint8Array(Buffer.from(base64, "base64")) : (json ?? text?.repeat(times));
    return new CloudEvent({ ...event.attributes, id: `${mode}-${event.name}`, source, data });
}

async function send(mode, message, events) {
    const headers = Object.fromEntries(Object.entries(message.headers).map(([k, v]) => [k, String(v)]));
    const body = Buffer.from(message.body ?? "");
    const answer = await fetch(`${url}/v1/events`, { method: "POST", headers: { ...headers, ...authorization }, body });
    console.log(JSON.stringify({ mode, headers, body: body.toString("base64") }));
    const text = await answer.text();
    if (answer.status !== 202) throw new Error(`${mode} ${events[0].id}: ${answer.status} ${text}`);
    const named = JSON.parse(text).events;
    if (!isDeepStrictEqual(named, events.map(({ source, id }) => ({ source, id })))) throw new Error(text);
}

async function read({ source, id }) {
    const path = [source, id].map(encodeURIComponent).join("/");
    const deadline = Date.now() + readTimeoutMs;
    for (;;) {
        const answer = await fetch(`${apiUrl}/api/v1/events/${path}`, { headers: authorization });
        const body = await answer.text();
        if (answer.status === 200) return HTTP.toEvent({ headers: Object.fromEntries(answer.headers), body });
        if (answer.status !== 404 || Date.now() > deadline) throw new Error(`${id}: ${answer.status} ${body}`);
        await sleep(20);
    }
}

// Headers have no types: in binary mode a value is what its text says. What is undefined is not there.
function attributes(event, mode) {
    const isOne = ([name, v]) => v !== undefined && !["data", "data_base64"].includes(name);
    const known = Object.entries(event.toJSON()).filter(isOne);
    return Object.fromEntries(known.map(([name, v]) => [name, mode === "binary" ? String(v) : v]));
}

// The bytes the SDK would write; a body that is empty is no data.
function payload(event) {
    if (event.data_base64) return Buffer.from(event.data_base64, "base64");
    const { data = "" } = event;
    return Buffer.from(typeof data === "string" ? data : JSON.stringify(data));
}

// The SDK sets JSON as the content type of every message in binary mode that has none.
function same(sent, back, mode) {
    const expected = attributes(sent, mode);
    if (mode === "binary") expected.datacontenttype ??= "application/json; charset=utf-8";
    return isDeepStrictEqual(attributes(back, mode), expected) && payload(back).equals(payload(sent));
}

const [, , file, source] = process.argv;
const cases = JSON.parse(readFileSync(file, "utf8"));
const sent = [];
for (const event of cases) {
    for (const mode of [Mode.BINARY, Mode.STRUCTURED]) {
        const built = build(event, mode, source);
        const emit = emitterFor((message) => send(mode, message, [built]), { binding: HTTP, mode });
        try {
            await emit(built);
            sent.push([mode, built]);
        } catch (error) {
            // It does not percent-encode header values (HTTP binding 1.0.2, section 3.1.3.2), so some cannot
            // be sent.
            if (!/ByteString/.test(error.message)) throw error;
            console.log(JSON.stringify({ mode, left_out: event.name, why: error.message }));
        }
    }
}
// The SDK writes no batches: one is an array of its structured events (JSON format 1.0.2, section 4).
const batch = cases.map((event) => build(event, "batch", source));
const body = `[${batch.map((event) => HTTP.structured(event).body).join()}]`;
await send("batch", { headers: { "content-type": "application/cloudevents-batch+json" }, body }, batch);
sent.push(...batch.map((event) => ["batch", event]));

let failed = 0;
for (const [mode, event] of sent) {
    const back = await read(event);
    if (!same(event, back, mode)) {
        failed += 1;
        console.error(`${event.id}: sent ${event.toString().slice(0, 600)}\n    read ${back.toString().slice(0, 600)}`);
    }
}
if (failed > 0) {
    console.error(`${failed} of ${sent.length} events did not come back equal`);
    process.exit(1);
}
