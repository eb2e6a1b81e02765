/**
 * What tests/faults/children/keyed_worker.py is, in Node.js. Settings: `queue`; `library`, another release of BullMQ;
 * `folder`, that of the ledger; `failing`, which part of the attempts fails; `longest`, the seconds that a handler takes
 * at most; `concurrency`.
 */
import { appendFileSync, existsSync } from "node:fs";
import { setTimeout } from "node:timers/promises";

import { closeAtTheEnd, connection, say, settings } from "./common.mjs";

const { Worker } = await import(settings.library ?? "bullmq");
const { queue, folder, failing, longest, concurrency } = settings;
const note = (line) => appendFileSync(`${folder}/turns`, `${line}\n`);

async function handle({ data: { id } }) {
  note(`begun ${id}`);
  await setTimeout(Math.random() * longest * 1000);
  if (Math.random() < failing && !existsSync(`${folder}/calm`)) {
    note(`failed ${id}`);
    throw new Error("an attempt that fails");
  }
  note(`done ${id}`);
}

const recovery = { lockDuration: 1000, stalledInterval: 500, maxStalledCount: 1000 };
const worker = new Worker(queue, handle, { ...connection(), ...recovery, concurrency });
worker.on("error", () => {});
await worker.waitUntilReady();
say("ready");
await closeAtTheEnd(worker);
