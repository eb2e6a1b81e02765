import assert from "node:assert/strict";
import test from "node:test";

import { serversOf } from "./connection.js";

test("sentinels and the name of their primary", () => {
  const { kind, options } = serversOf("redis+sentinel://user:p%40ss@redis-1:26380,redis-2/mymaster/3");
  assert.equal(kind, "sentinel");
  assert.deepEqual(options.sentinels, [{ host: "redis-1", port: 26380 }, { host: "redis-2", port: 26379 }]);
  assert.deepEqual([options.name, options.db, options.username, options.password], ["mymaster", 3, "user", "p@ss"]);
});

test("nodes of a cluster, with TLS", () => {
  const { kind, nodes, options } = serversOf("rediss+cluster://redis-1:7000,redis-2");
  assert.equal(kind, "cluster");
  assert.deepEqual(nodes, [{ host: "redis-1", port: 7000 }, { host: "redis-2", port: 6379 }]);
  assert.deepEqual(options.tls, {});
});

test("a single server is left to ioredis", () => {
  assert.equal(serversOf("redis://localhost:6379/1").kind, undefined);
});
