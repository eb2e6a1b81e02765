// What a service of Node.js does with the written types; each mistake below must be one to the compiler as well.
import { Channel, type DomainEvent, type JobData, type Queues } from "./events.js";

export function announce(data: Queues["notifications"]["announce-price"]): string {
  const cents: number = data.data.amount_cents;
  return `${data._redisEvent.name} ${data.correlationId} ${cents} ${data.sequence ?? "none"}`;
}

export function any(data: JobData): string {
  if (data.type === Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED) {
    const score: number = data.data.score;
    return score.toFixed(2);
  }
  // @ts-expect-error - not every payload has a score
  return data.data.score;
}

export function mistakes(event: DomainEvent<"domain_valuation_pricing_calculated">): void {
  // @ts-expect-error - events are not changed
  event.data.amount_cents = 1;
  // @ts-expect-error - a misspelt field
  void event.data.amount;
  // @ts-expect-error - no channel of the system
  const channel: Channel = "domain_valuation_pricing_guessed";
  // @ts-expect-error - the queue has no such job
  type Job = Queues["notifications"]["announce-prices"];
  // @ts-expect-error - absent in most messages
  const sequence: string = event.sequence;
}
