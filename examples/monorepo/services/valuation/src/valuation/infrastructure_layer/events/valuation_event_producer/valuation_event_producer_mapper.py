"""Maps each event of valuation to its channel, or to None if it stays inside the service."""

from typing import assert_never

from contracts.event_publisher_channels import Channel
from valuation.domain_layer.pricing.pricing_events import PricingCalculated
from valuation.domain_layer.valuation_domain_event import ValuationDomainEvent


def channel_for(event: ValuationDomainEvent) -> Channel | None:
    """Return the channel of `event`, or None if it is not published."""
    match event:
        case PricingCalculated():
            return Channel.DOMAIN_VALUATION_PRICING_CALCULATED
        case _:
            assert_never(event)
