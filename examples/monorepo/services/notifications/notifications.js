/**
 * The notifications service: notifies people of events. Run it: `REDIS_URL=redis://localhost node notifications.js`.
 *
 * Here, "sending" prints a line of JSON to standard output.
 */
import { Worker } from "bullmq";

import { announcePrice } from "./announce-price.js";
import { connect } from "./connection.js";
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
  // Retried for a day, as any failure: an updated service may know the job.
  if (!notification) throw new Error(`no handler for job ${job.name} of event type ${job.data.type}`);
  console.log(JSON.stringify(notification(job.data)));
}

const { connection, queue } = connect(url, QUEUE);
const prefix = process.env.BULL_PREFIX ?? "bull";
// A failover may leave a job with a lock that nobody renews: it is run again after `lockDuration`, at the next look for
// such jobs. By default that takes up to a minute, and a job that was left twice fails.
const forFailovers = { lockDuration: 10_000, stalledInterval: 5_000, maxStalledCount: 10 };
const worker = new Worker(queue, handle, { connection, prefix, concurrency: 10, ...forFailovers });
worker.on("failed", (job, error) => console.error(`job ${job?.id}, attempt ${job?.attemptsMade}: ${error.message}`));
worker.on("error", (error) => console.error(`the server: ${error.message || error.code}`));

// Running jobs are finished; waiting jobs are left for the next start.
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => worker.close().then(() => connection.quit()));
