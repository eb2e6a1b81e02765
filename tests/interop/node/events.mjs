/** QueueEvents that says what it sees, from the queue's first event on. Settings: `queue`. */
import { QueueEvents } from "bullmq";

import { closeAtTheEnd, connection, say, settings } from "./common.mjs";

const events = new QueueEvents(settings.queue, { ...connection(), lastEventId: "0" });
for (const event of ["active", "completed", "failed", "delayed", "progress"]) {
  events.on(event, (details) => say({ event, ...details }));
}
await events.waitUntilReady();
say("ready");
await closeAtTheEnd(events);
