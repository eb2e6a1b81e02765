/** From the event that a stay has its price to the message for the billing office. Pure. */

/**
 * A job may come twice, so the notification has the event's id: whoever sends it drops a repeat by that.
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
