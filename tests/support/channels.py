"""Channel enums made on the spot, and the channels that the samples share."""

import re
from collections.abc import Collection, Mapping
from types import new_class
from typing import Any, cast

import pytest

from domainstream.channel import EventPublisherChannel
from domainstream.errors import ChannelDefinitionError

Services = Mapping[str, Collection[str]]

SERVICES: Services = {"coding": ("optimization", "medical_stay"), "medical_coding": ("run",), "valuation": ("pricing",)}


class Channel(EventPublisherChannel, services=SERVICES):
    """The channels of the sample events."""

    DOMAIN_CODING_OPTIMIZATION_EVALUATED = "domain_coding_optimization_evaluated"
    DOMAIN_CODING_MEDICAL_STAY_CREATED = "domain_coding_medical_stay_created"
    DOMAIN_CODING_MEDICAL_STAY_ARCHIVED = "domain_coding_medical_stay_archived"
    DOMAIN_VALUATION_PRICING_CALCULATED = "domain_valuation_pricing_calculated"


EVALUATED = Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED
CREATED = Channel.DOMAIN_CODING_MEDICAL_STAY_CREATED
ARCHIVED = Channel.DOMAIN_CODING_MEDICAL_STAY_ARCHIVED
CALCULATED = Channel.DOMAIN_VALUATION_PRICING_CALCULATED


def define(
    *names: str,
    services: Services | None = None,
    values: Mapping[str, str] | None = None,
    partitions: Mapping[str, int] | None = None,
) -> type[EventPublisherChannel]:
    """Create a channel enum with members of these names, each with its lower-case value but for `values`."""
    members = {name: name.lower() for name in names} | dict(values or {})

    def fill(namespace: dict[str, Any]) -> None:
        # One by one: the namespace of an enum notes its members as they are set.
        for name in members:
            namespace[name] = members[name]

    options = {"services": services, "partitions": partitions}
    return cast("type[EventPublisherChannel]", new_class("Channel", (EventPublisherChannel,), options, fill))


def problems_of(
    *names: str,
    services: Services | None = None,
    values: Mapping[str, str] | None = None,
    partitions: Mapping[str, int] | None = None,
) -> tuple[str, ...]:
    """Return what the refusal of such an enum lists; fail when it is accepted."""
    with pytest.raises(ChannelDefinitionError) as refusal:
        define(*names, services=services, values=values, partitions=partitions)
    return refusal.value.problems


def fix_of(problem: str) -> str:
    """Return the fix at the end of a problem."""
    found = re.search(r"; use (?:, for example, )?(.+)$", problem)
    assert found, problem
    return found[1]
