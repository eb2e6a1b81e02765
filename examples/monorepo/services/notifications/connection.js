/** How to reach the servers that REDIS_URL names; the Python services take the same URLs. */
import { Cluster, Redis } from "ioredis";

const MANY = /^(rediss?)\+(sentinel|cluster):\/\/(?:([^:@]*):([^@]*)@)?([^/?]+)(?:\/([^/?]+))?(?:\/(\d+))?$/;

/**
 * What ioredis needs to connect. BullMQ wants commands repeated without a limit.
 *
 * @param {string} url - `redis+sentinel://host:port,host:port/name` or `redis+cluster://host:port,host:port`
 * @returns {{kind?: "sentinel" | "cluster", nodes: {host: string, port: number}[], options: object}} for any other URL, no kind
 */
export function serversOf(url) {
  const [, scheme, kind, username, password, hosts = "", name, db = "0"] = MANY.exec(url) ?? [];
  const nodes = hosts.split(",").map((node) => {
    const [host, port = kind === "sentinel" ? "26379" : "6379"] = node.split(":");
    return { host, port: Number(port) };
  });
  const options = { maxRetriesPerRequest: null };
  if (username) options.username = decodeURIComponent(username);
  if (password) options.password = decodeURIComponent(password);
  if (scheme === "rediss") Object.assign(options, { tls: {}, enableTLSForSentinelMode: true });
  if (kind === "sentinel") Object.assign(options, { sentinels: nodes, name, db: Number(db) });
  return { kind, nodes, options };
}

/** Connect to the servers of a URL, and say which name BullMQ knows a queue by there. */
export function connect(url, queue) {
  const { kind, nodes, options } = serversOf(url);
  if (kind === "sentinel") return { connection: new Redis(options), queue };
  if (kind !== "cluster") return { connection: new Redis(url, options), queue };
  // The braces put all keys of the queue into one slot; the Python services do the same.
  return { connection: new Cluster(nodes, { redisOptions: options }), queue: `{${queue}}` };
}
