"""The events of a pricing."""

from enum import StrEnum
from typing import final

from domainstream import BaseEvent, EventPayload


class PricingEventType(StrEnum):
    """The event types of this aggregate."""

    DOMAIN_VALUATION_PRICING_CALCULATED = "domain_valuation_pricing_calculated"


class PricingCalculatedPayload(EventPayload):
    """The price of a stay."""

    stay_id: str
    """The stay's number."""

    diagnosis_group: str
    """The diagnosis group that determines the price."""

    amount_cents: int
    """The price, in cents."""

    currency: str
    """The currency code (ISO 4217)."""


@final
class PricingCalculated(BaseEvent[PricingCalculatedPayload]):
    """The price of a stay was calculated."""

    event_type = PricingEventType.DOMAIN_VALUATION_PRICING_CALCULATED
