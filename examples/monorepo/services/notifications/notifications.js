/**
 * The notifications service: tells people about events. Run it: `REDIS_URL=redis://localhost node notifications.js`.
 *
 * "Sending" is a line of JSON on standard output here.
 */
import { UnrecoverableError, Worker } from "bullmq";

import { announcePrice } from "./announce-price.js";
import { ANNOUNCE_PRICE, QUEUE } from "./jobs.js";

const url = process.env.REDIS_URL;
if (!url) {
  console.error("no server is configured; run: export REDIS_URL=redis://localhost:6379");
  process.exit(1);
}

const notificationFor = { [ANNOUNCE_PRICE]: announcePrice };

/** @param {import("bullmq").Job} job */
async function handle(job) {
  const notification = notificationFor[job.name];
  // No later attempt would find a handler: the job fails at once instead of coming again.
  if (!notification) throw new UnrecoverableError(`no handler for job ${job.name} of event type ${job.data.type}`);
  console.log(JSON.stringify(notification(job.data)));
}

const worker = new Worker(QUEUE, handle, { connection: { url }, concurrency: 10 });
worker.on("failed", (job, error) => console.error(`job ${job?.id}, attempt ${job?.attemptsMade}: ${error.message}`));
worker.on("error", (error) => console.error(`the server: ${error.message || error.code}`));

// What has begun is finished; jobs that wait are for the next start.
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => worker.close());
