"""What happens to a pricing."""

from enum import StrEnum
from typing import final

from domainstream import BaseEvent, EventPayload


class PricingEventType(StrEnum):
    """The types of events of this aggregate."""

    DOMAIN_VALUATION_PRICING_CALCULATED = "domain_valuation_pricing_calculated"


class PricingCalculatedPayload(EventPayload):
    """What a stay is worth."""

    stay_id: str
    """The stay's number."""

    diagnosis_group: str
    """The group that it is paid by."""

    amount_cents: int
    """The price, in cents."""

    currency: str
    """ISO 4217."""


@final
class PricingCalculated(BaseEvent[PricingCalculatedPayload]):
    """A stay has its price."""

    event_type = PricingEventType.DOMAIN_VALUATION_PRICING_CALCULATED
