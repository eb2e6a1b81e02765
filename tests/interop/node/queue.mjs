/**
 * A Queue that does what it is asked: each line is `[question, ...arguments]`, each answer a line. Settings: `queue`.
 */
import { Queue, QueueEvents } from "bullmq";

import { asked, connection, say, settings } from "./common.mjs";

const queue = new Queue(settings.queue, connection());
const events = new QueueEvents(settings.queue, connection());
await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);
say("ready");

const answers = {
  add: async (name, data, options) => (await queue.add(name, data, options)).id,
  counts: () => queue.getJobCounts(),
  metrics: (kind) => queue.getMetrics(kind),
  state: async (id) => (await queue.getJob(id)).getState(),
  job: async (id) => (await queue.getJob(id)).toJSON(),
  wait: async (id) => (await queue.getJob(id)).waitUntilFinished(events),
};

for await (const [question, ...details] of asked()) {
  try {
    say({ answer: (await answers[question](...details)) ?? null });
  } catch (error) {
    say({ error: error.message });
  }
}
await Promise.all([queue.close(), events.close()]);
process.exit(0);
