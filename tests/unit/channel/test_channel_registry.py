"""The registry: who publishes to each channel, who listens, what nobody does, and what does not fit together."""

from collections.abc import Iterable, Mapping
from typing import Any, final

import pytest
from support.channels import ARCHIVED, CALCULATED, CREATED, EVALUATED, Channel, define
from support.coding import MedicalStayCreated, MedicalStayDrafted, OptimizationEvaluated, channel_for

from domainstream.channel import ChannelRegistry, EventPublisherChannel
from domainstream.errors import RegistryError
from domainstream.event import BaseEvent
from domainstream.producer import verify_mapper
from domainstream.subscriber import create_multiple_handlers, to_queue

Mapped = Mapping[type[BaseEvent[Any]], EventPublisherChannel | None]

CODING: Mapped = {OptimizationEvaluated: EVALUATED, MedicalStayCreated: CREATED, MedicalStayDrafted: None}
SUBSCRIPTIONS: Mapping[Any, Iterable[object]] = {
    EVALUATED: ["valuation:price-stay", "screenflow:show"],
    CREATED: [],
    ARCHIVED: [],
    CALCULATED: ["screenflow:show-price"],
}


@final
class OptimizationEvaluatedAgain(BaseEvent[None]):
    """Has the type of another event class."""

    event_type = "domain_coding_optimization_evaluated"


def build(
    mappers: Mapping[str, Mapped] | None = None, subscriptions: Mapping[Any, Iterable[object]] = SUBSCRIPTIONS
) -> ChannelRegistry:
    """Build the registry of the sample channels."""
    return ChannelRegistry.build(Channel, mappers=mappers or {"coding": CODING}, subscriptions=subscriptions)


def problems(
    mappers: Mapping[str, Mapped] | None = None, subscriptions: Mapping[Any, Iterable[object]] = SUBSCRIPTIONS
) -> tuple[str, ...]:
    """Return what the refusal of such a registry lists."""
    with pytest.raises(RegistryError) as refusal:
        build(mappers, subscriptions)
    return refusal.value.problems


def test_it_holds_every_channel_in_the_order_of_the_enum() -> None:
    """The registry lists every member of the enum in its order of declaration."""
    assert build().channels == tuple(Channel)


def test_it_says_who_publishes() -> None:
    """A channel has the service whose mapper names it."""
    assert build().publisher_of(EVALUATED) == "coding"


def test_nobody_publishes_to_a_channel_that_no_mapper_names() -> None:
    """A channel that no mapper names has no publisher."""
    assert build().publisher_of(CALCULATED) is None


def test_it_says_which_event_is_published() -> None:
    """A channel has the event class that is mapped to it."""
    assert build().event_of(CREATED) is MedicalStayCreated


def test_no_event_is_published_to_a_channel_that_no_mapper_names() -> None:
    """A channel that no mapper names has no event class."""
    assert build().event_of(CALCULATED) is None


def test_it_says_who_listens() -> None:
    """A channel has its handlers, as text and in their order."""
    assert build().listeners_of(EVALUATED) == ("valuation:price-stay", "screenflow:show")


def test_nobody_listens_to_a_channel_with_an_empty_list() -> None:
    """A channel with an empty list of handlers has no listeners."""
    assert build().listeners_of(CREATED) == ()


def test_channels_without_publisher_are_listed() -> None:
    """The channels without a publisher are listed whether or not they have listeners."""
    assert build().without_publisher == (ARCHIVED, CALCULATED)


def test_channels_without_listeners_are_listed() -> None:
    """The channels without a listener are listed whether or not they have a publisher."""
    assert build().without_listeners == (CREATED, ARCHIVED)


def test_it_is_built_from_verified_mappers_and_created_handlers() -> None:
    """What `verify_mapper` and `create_multiple_handlers` return fits in as it is."""
    subscriptions = create_multiple_handlers(
        {EVALUATED: [to_queue("valuation", job="price-stay")], CREATED: [], ARCHIVED: [], CALCULATED: []}
    )

    registry = build({"coding": verify_mapper(channel_for)}, subscriptions)

    assert registry.listeners_of(EVALUATED) == ("valuation:price-stay",)


def test_channel_missing_from_the_subscriptions_is_refused() -> None:
    """The error for a missing channel contains the line to add."""
    found = problems(subscriptions={channel: [] for channel in Channel if channel is not CREATED})

    assert found == (f"{CREATED.name} is missing from the subscriptions; add: Channel.{CREATED.name}: [],",)


def test_subscription_to_an_unknown_channel_is_refused() -> None:
    """A key that is not a channel of the enum is named."""
    (problem,) = problems(subscriptions={**SUBSCRIPTIONS, "domain_coding_run_started": []})

    assert "'domain_coding_run_started', which is not a channel of Channel" in problem


def test_mapper_to_a_channel_of_another_enum_is_refused() -> None:
    """There is one enum of channels for the whole system, even where another has the same value."""
    (stranger,) = define(EVALUATED.name)

    (problem,) = problems({"coding": {OptimizationEvaluated: stranger}})

    assert problem.startswith("OptimizationEvaluated of coding")
    assert "not in Channel" in problem


def test_service_that_publishes_to_another_ones_channel_is_refused() -> None:
    """A channel belongs to the service in its name."""
    (problem,) = problems({"coding": {OptimizationEvaluated: CALCULATED}})

    assert problem.startswith(f"OptimizationEvaluated of coding is mapped to {CALCULATED.name}, a channel of valuation")


def test_two_services_on_one_channel_are_refused() -> None:
    """The one that does not own the channel is named, and both are named together."""
    found = problems({"coding": CODING, "valuation": {OptimizationEvaluated: EVALUATED}})

    assert len(found) == 2
    assert "both OptimizationEvaluated of coding and OptimizationEvaluated of valuation" in found[1]


def test_two_events_on_one_channel_are_refused() -> None:
    """The error names both event classes that share a channel."""
    (problem,) = problems({"coding": {**CODING, OptimizationEvaluatedAgain: EVALUATED}})

    assert "both OptimizationEvaluated of coding and OptimizationEvaluatedAgain of coding" in problem


def test_everything_that_does_not_match_is_listed_at_once() -> None:
    """Problems of mappers and of subscriptions come in one error."""
    found = problems({"valuation": {OptimizationEvaluated: EVALUATED}}, {EVALUATED: [], "unknown": []})

    assert len(found) == 5


def test_registry_does_not_change_with_what_it_was_built_from() -> None:
    """Handlers and mappings changed afterwards leave it as it was."""
    handlers = ["valuation:price-stay"]
    mapped = dict(CODING)
    registry = build({"coding": mapped}, {**SUBSCRIPTIONS, EVALUATED: handlers})

    handlers.append("late:job")
    mapped.clear()

    assert registry.listeners_of(EVALUATED) == ("valuation:price-stay",)
    assert registry.publisher_of(EVALUATED) == "coding"


@pytest.mark.parametrize("name", ["channels", "without_publisher", "without_listeners"])
def test_registry_is_frozen(name: str) -> None:
    """The attributes of a registry cannot be assigned."""
    with pytest.raises(AttributeError):
        setattr(build(), name, ())
