/**
 * A Worker with `bullmq-otel` that says which span its processor runs in. Settings: `queue`; `failures`, how many
 * attempts of each job fail.
 */
import { Worker } from "bullmq";

import { closeAtTheEnd, connection, say, settings } from "./common.mjs";
import { current, telemetry } from "./tracing.mjs";

const { queue, failures = 0 } = settings;

async function handle({ id, attemptsMade }) {
  say({ id, attemptsMade, ...current() });
  if (attemptsMade < failures) throw new Error(`failure ${attemptsMade + 1}`);
}

const worker = new Worker(queue, handle, { ...connection(), autorun: false, telemetry });
await worker.waitUntilReady();
say("ready");
worker.run();
await closeAtTheEnd(worker);
