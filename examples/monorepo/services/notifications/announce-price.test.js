import assert from "node:assert/strict";
import test from "node:test";

import { announcePrice } from "./announce-price.js";

const event = {
  id: "019b7ca9-916a-7000-8000-000000000007",
  type: "domain_valuation_pricing_calculated",
  time: "2026-01-02T03:04:06.250000Z",
  data: { stay_id: "stay-1", diagnosis_group: "F62B", amount_cents: 421_065, currency: "EUR" },
  _redisEvent: { name: "domain_valuation_pricing_calculated", id: "1767323046251-0", timestamp: 1767323046251 },
  correlationId: "019b7ca9-8c88-7000-8000-000000000001",
};

test("the billing office reads which stay, its group and the amount", () => {
  const { to, subject, text } = announcePrice(event);
  assert.deepEqual({ to, subject, text }, {
    to: "billing-office",
    subject: "stay-1 is priced",
    text: "Diagnosis group F62B: 4210.65 EUR",
  });
});

test("a notification belongs to the business transaction of its event", () => {
  assert.equal(announcePrice(event).correlationId, event.correlationId);
});

test("a duplicate of the event makes the same notification", () => {
  assert.deepEqual(announcePrice(event), announcePrice(structuredClone(event)));
  assert.equal(announcePrice(event).notificationId, event.id);
});
