/**
 * A Worker that says what it gets. Settings: `queue`; `concurrency`; `failures`, how many attempts of each job fail;
 * `result`, what the others return; `patient`, whether it keeps errors to itself that BullMQ gets over; `options`, more
 * options of the Worker.
 */
import { Worker } from "bullmq";

import { closeAtTheEnd, connection, say, settings } from "./common.mjs";

const { queue, concurrency = 1, failures = 0, result = null, patient = false, options = {} } = settings;

async function handle({ id, name, data, attemptsMade }) {
  say({ id, name, data, attemptsMade, at: performance.now() });
  if (attemptsMade < failures) throw new Error(`failure ${attemptsMade + 1}`);
  return result;
}

const worker = new Worker(queue, handle, { ...connection(), concurrency, autorun: false, ...options });
if (patient) worker.on("error", () => {});
await worker.waitUntilReady();
say("ready");
worker.run();
await closeAtTheEnd(worker);
