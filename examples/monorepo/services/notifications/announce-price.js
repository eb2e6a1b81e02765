/** Turns the event that a stay was priced into a notification for the billing office. */

/**
 * A job may be delivered twice, so the notification carries the event's id, by which its sender can drop duplicates.
 *
 * @param {import("./jobs.js").EventData<import("./jobs.js").PricingCalculated>} event
 */
export function announcePrice({ id, correlationId, data: price }) {
  const amount = `${(price.amount_cents / 100).toFixed(2)} ${price.currency}`;
  return {
    notificationId: id,
    correlationId,
    to: "billing-office",
    subject: `${price.stay_id} is priced`,
    text: `Diagnosis group ${price.diagnosis_group}: ${amount}`,
  };
}
