/**
 * A bridge as one writes it with Node's BullMQ: XREADGROUP, Queue.addBulk for each queue, XACK.
 *
 * It does what our subscriber does to an event: parses it, adds `_redisEvent` and `correlationId`, and takes the job's
 * id from the event's. The next batch is read while one is being added.
 */
import { Queue, Stopwatch, commandLine, connect } from "./peers.mjs";

const { url, stream, group, prefix, queue, job, count, batch, warmUp } = commandLine(
  ["url", "stream", "group", "prefix", "job"],
  ["count", "batch", "warmUp"],
  ["queue"],
);
const JOB_OPTIONS = {
  attempts: 44,
  backoff: { type: "exponential", delay: 1000, jitter: 0.25, maxDelay: 3_600_000 },
  stackTraceLimit: 5,
  removeOnComplete: { age: 3600, count: 10_000 },
  removeOnFail: false,
};

const reader = connect(url);
const writer = connect(url);
const queues = queue.map((name) => new Queue(name, { connection: writer, prefix }));

function asJob([entryId, [, text]]) {
  const event = JSON.parse(text);
  event._redisEvent = { name: event.type, id: entryId, timestamp: Number.parseInt(entryId, 10) };
  event.correlationId = event.correlationid ?? event.id;
  return { name: job, data: event, opts: { ...JOB_OPTIONS, jobId: `event-${event.id}` } };
}

async function read() {
  const reply = await reader.xreadgroup("GROUP", group, "bridge", "COUNT", batch, "BLOCK", 1000, "STREAMS", stream, ">");
  return reply ? reply[0][1] : [];
}

async function handOver(entries) {
  const jobs = entries.map(asJob);
  await Promise.all(queues.map((each) => each.addBulk(jobs)));
  await writer.xack(stream, group, ...entries.map(([entryId]) => entryId));
}

await Promise.all(queues.map((each) => each.waitUntilReady()));
await writer.xgroup("CREATE", stream, group, "0", "MKSTREAM").catch((error) => {
  if (!error.message.startsWith("BUSYGROUP")) throw error;
});

const stopwatch = new Stopwatch(count, warmUp);
let next = read();
for (let taken = 0; taken < count; ) {
  const entries = await next;
  taken += entries.length;
  next = taken < count ? read() : undefined;
  if (entries.length) await handOver(entries);
  stopwatch.add(entries.length);
}
await stopwatch.report();
process.exit(0);
