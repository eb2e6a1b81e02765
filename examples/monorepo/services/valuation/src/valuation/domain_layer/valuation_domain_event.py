"""Every event of the valuation service."""

from typing import TypeAlias

from valuation.domain_layer.pricing.pricing_events import PricingCalculated

ValuationDomainEvent: TypeAlias = PricingCalculated
"""A class that is missing in the mapper fails the type check there."""
