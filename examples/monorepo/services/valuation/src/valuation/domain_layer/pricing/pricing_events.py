"""What happens to a pricing."""

from enum import StrEnum
from typing import final

from domainstream import BaseEvent, EventPayload


class PricingEventType(StrEnum):
    """The types of events of this aggregate."""

    DOMAIN_VALUATION_PRICING_CALCULATED = "domain_valuation_pricing_calculated"


class PricingCalculatedPayload(EventPayload):
    """What a stay is worth.

    Attributes:
        stay_id: The stay's number.

        diagnosis_group: The group that it is paid by.

        amount_cents: The price, in cents.

        currency: ISO 4217.
    """

    stay_id: str
    diagnosis_group: str
    amount_cents: int
    currency: str


@final
class PricingCalculated(BaseEvent[PricingCalculatedPayload]):
    """A stay has its price."""

    event_type = PricingEventType.DOMAIN_VALUATION_PRICING_CALCULATED
