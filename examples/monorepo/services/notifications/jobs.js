/** The data of the subscriber's jobs; see docs/wire-format. Queue and job names come from the contracts package. */

export const QUEUE = "notifications";
export const ANNOUNCE_PRICE = "announce-price";

/**
 * @template Payload
 * @typedef {object} EventData - the event as in its stream, plus two fields
 * @property {string} id - the event's id; a duplicate has the same
 * @property {string} type - what happened: the channel's value
 * @property {string} time - when it happened: RFC 3339, in UTC
 * @property {Payload} data - the payload
 * @property {string} correlationId - the business transaction that the event belongs to
 * @property {{name: string, id: string, timestamp: number}} [_redisEvent] - the stream entry that it came in
 */

/**
 * @typedef {object} PricingCalculated - the payload of domain_valuation_pricing_calculated
 * @property {string} stay_id
 * @property {string} diagnosis_group
 * @property {number} amount_cents - a whole number that a JavaScript number holds exactly
 * @property {string} currency - ISO 4217
 */
