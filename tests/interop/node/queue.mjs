/**
 * A Queue that does what it is asked: each line is `[question, ...arguments]`, each answer a line. Settings: `queue`;
 * `library`, another release of BullMQ; `patient`, whether it keeps errors to itself that BullMQ gets over.
 */
import { asked, connection, say, settings } from "./common.mjs";

const { Queue, QueueEvents } = await import(settings.library ?? "bullmq");
const queue = new Queue(settings.queue, connection());
const events = new QueueEvents(settings.queue, connection());
if (settings.patient) for (const part of [queue, events]) part.on("error", () => {});
await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);
say("ready");

const answers = {
  add: async (name, data, options) => (await queue.add(name, data, options)).id,
  counts: () => queue.getJobCounts(),
  metrics: (kind) => queue.getMetrics(kind),
  state: async (id) => (await queue.getJob(id)).getState(),
  job: async (id) => (await queue.getJob(id)).toJSON(),
  call: (method, ...details) => queue[method](...details),
  callJob: async (id, method, ...details) => (await queue.getJob(id))[method](...details),
  ids: async (state, most) => (await queue.getJobs([state], 0, most - 1)).filter((job) => job).map((job) => job.id),
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
