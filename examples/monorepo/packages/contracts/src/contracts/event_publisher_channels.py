"""Every channel of the system. A channel carries one event type; its name says who publishes it and what happened."""

from domainstream import EventPublisherChannel

SERVICES = {
    "coding": ("optimization", "medical_stay"),
    "screenflow": ("run",),
    "valuation": ("pricing",),
}
"""Each service and its aggregates."""


class Channel(EventPublisherChannel, services=SERVICES):
    """The channels. Each event has a channel of its own."""

    DOMAIN_CODING_MEDICAL_STAY_CREATED = "domain_coding_medical_stay_created"
    DOMAIN_CODING_MEDICAL_STAY_RECODED = "domain_coding_medical_stay_recoded"
    DOMAIN_CODING_MEDICAL_STAY_CANCELLED = "domain_coding_medical_stay_cancelled"
    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"
    DOMAIN_CODING_MEDICAL_STAY_OPTIMIZATION_EVALUATED = "domain_coding_medical_stay_optimization_evaluated"
    DOMAIN_SCREENFLOW_RUN_STARTED = "domain_screenflow_run_started"
    DOMAIN_SCREENFLOW_RUN_FAILED = "domain_screenflow_run_failed"
    DOMAIN_VALUATION_PRICING_CALCULATED = "domain_valuation_pricing_calculated"
