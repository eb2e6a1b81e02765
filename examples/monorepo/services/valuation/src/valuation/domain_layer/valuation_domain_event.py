"""Every event of the valuation service."""

from typing import TypeAlias

from valuation.domain_layer.pricing.pricing_events import PricingCalculated

ValuationDomainEvent: TypeAlias = PricingCalculated
"""If the mapper misses one of these classes, the type checker reports it there."""
