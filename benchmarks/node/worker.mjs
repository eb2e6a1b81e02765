/** Node's own Worker with a processor that does nothing, on jobs that wait in a queue already. */
import { Stopwatch, Worker, commandLine, connect } from "./peers.mjs";

const { url, prefix, queue, count, concurrency, warmUp } = commandLine(
  ["url", "prefix", "queue"],
  ["count", "concurrency", "warmUp"],
);

const worker = new Worker(queue, async () => {}, { connection: connect(url), prefix, concurrency, autorun: false });
await worker.waitUntilReady();

const stopwatch = new Stopwatch(count, warmUp);
worker.on("completed", () => stopwatch.add(1));
worker.on("error", (error) => console.error(error));
worker.run();
await stopwatch.report();
process.exit(0);
