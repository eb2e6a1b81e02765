/** That Node.js reads the golden files of docs/wire-format as Python wrote them. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";

const FOLDER = new URL("../../../docs/wire-format/", import.meta.url);
const ALWAYS = ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data"];
const SOMETIMES = ["correlationid", "causationid", "traceparent", "tracestate", "partitionkey", "sequence"];
const OF_JOBS = ["_redisEvent", "correlationId"];
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const text = (name) => readFileSync(new URL(name, FOLDER), "utf8").trimEnd();
const read = (name) => JSON.parse(text(name));
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith(".json"));

function* numbersIn(value) {
  if (typeof value === "number") yield value;
  else if (value && typeof value === "object") for (const part of Object.values(value)) yield* numbersIn(part);
}

test("there are golden files", () => {
  assert.ok(FILES.includes("job.json") && FILES.includes("full_event.json"), FILES.join(", "));
});

for (const name of FILES) {
  const event = read(name);

  test(`${name}: reading and writing it again changes no byte`, () => {
    assert.equal(JSON.stringify(event), text(name));
  });

  test(`${name}: every whole number is exact in JavaScript`, () => {
    const wrong = [...numbersIn(event)].filter((number) => Number.isInteger(number) && !Number.isSafeInteger(number));
    assert.deepEqual(wrong, []);
  });

  test(`${name}: has the attributes of CloudEvents that every event has, and no unknown one`, () => {
    const known = [...ALWAYS, ...SOMETIMES, ...(name === "job.json" ? OF_JOBS : [])];
    assert.deepEqual(ALWAYS.filter((attribute) => !(attribute in event)), []);
    assert.deepEqual(Object.keys(event).filter((attribute) => !known.includes(attribute)), []);
    assert.equal(event.specversion, "1.0");
    assert.equal(event.datacontenttype, "application/json");
  });

  test(`${name}: its id is a UUIDv7, its schema names type and version, its time can be parsed`, () => {
    assert.match(event.id, UUID_V7);
    assert.match(event.dataschema, new RegExp(`^urn:domainstream:events/${event.type}/[1-9]\\d*$`));
    // A Date holds milliseconds; the microseconds of the text are beyond it.
    assert.equal(new Date(event.time).toISOString().slice(0, 19), event.time.slice(0, 19));
  });
}

test("job.json: is full_event.json and what a consumer reads beside the event", () => {
  const { _redisEvent, correlationId, ...event } = read("job.json");
  assert.deepEqual(event, read("full_event.json"));
  assert.equal(correlationId, event.correlationid);
  assert.deepEqual(Object.keys(_redisEvent), ["name", "id", "timestamp"]);
  assert.equal(_redisEvent.name, event.type);
  assert.equal(_redisEvent.timestamp, Number.parseInt(_redisEvent.id, 10));
});

test("full_event.json: the sequence is text, and the largest whole number arrives as it is", () => {
  const { sequence, data } = read("full_event.json");
  assert.match(sequence, /^\d{20}$/);
  assert.equal(data.cents, Number.MAX_SAFE_INTEGER);
});
