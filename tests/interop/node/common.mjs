/**
 * How a test talks to a program: its settings are its one argument, an object of JSON; what it has to say is lines of
 * JSON on standard output; the end of standard input ends it.
 */
import { createInterface } from "node:readline/promises";

import { Cluster, Redis } from "ioredis";

export const settings = JSON.parse(process.argv[2]);

/** What BullMQ's classes are told about the server. */
export const connection = () => ({ connection: open(settings.url), prefix: settings.prefix });

/** Connect to a server, or to a cluster: `redis+cluster://host:port,host:port`. */
function open(url) {
  const options = { maxRetriesPerRequest: null };
  const [scheme, nodes] = url.split("://");
  if (scheme !== "redis+cluster") return new Redis(url, options);
  return new Cluster(nodes.split(",").map((node) => `redis://${node}`), { redisOptions: options });
}

/** Tell the test something. */
export function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** The test's lines, each an object of JSON. */
export async function* asked() {
  for await (const line of createInterface({ input: process.stdin })) yield JSON.parse(line);
}

/** Close BullMQ's classes once standard input ends, and with them the program. */
export async function closeAtTheEnd(...parts) {
  for await (const _ of asked()) throw new Error("this program takes no lines");
  await Promise.all(parts.map((part) => part.close()));
  process.exit(0);
}
