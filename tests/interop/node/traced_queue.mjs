/**
 * A Queue with `bullmq-otel`: each line is `["add", name, data, options]`, each answer the job's id and the ids of the
 * span around the call. Settings: `queue`.
 */
import { Queue } from "bullmq";

import { asked, connection, say, settings } from "./common.mjs";
import { current, telemetry, tracer } from "./tracing.mjs";

const queue = new Queue(settings.queue, { ...connection(), telemetry });
await queue.waitUntilReady();
say("ready");

for await (const [, name, data, options] of asked()) {
  const answer = await tracer.startActiveSpan("request", async (span) => {
    const job = await queue.add(name, data, options);
    span.end();
    return { ...current(), id: job.id };
  });
  say({ answer });
}
await queue.close();
process.exit(0);
