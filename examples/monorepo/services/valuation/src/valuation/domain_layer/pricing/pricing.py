"""Prices a stay: a base rate times the cost weight, plus a daily rate for each day beyond the usual length."""

from valuation.domain_layer.pricing.pricing_events import PricingCalculated, PricingCalculatedPayload

_BASE_RATE_CENTS = 421_065
_DAILY_RATE_CENTS = 38_450
_DAYS_PER_WEIGHT = 14


def price_cents(cost_weight: float, length_of_stay_days: int) -> int:
    """Return the price of a stay, in cents."""
    days_covered = max(3, round(cost_weight * _DAYS_PER_WEIGHT))
    extra_days = max(0, length_of_stay_days - days_covered)
    return round(cost_weight * _BASE_RATE_CENTS) + extra_days * _DAILY_RATE_CENTS


def calculated(stay_id: str, diagnosis_group: str, amount_cents: int) -> PricingCalculated:
    """Return the event of a priced stay."""
    return PricingCalculated(
        aggregate_id=f"pricing-{stay_id}",
        payload=PricingCalculatedPayload(
            stay_id=stay_id, diagnosis_group=diagnosis_group, amount_cents=amount_cents, currency="EUR"
        ),
    )
