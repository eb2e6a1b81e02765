"""Mappers in the shapes that people write: what is understood is judged, and what is not is left alone."""

from pathlib import Path

import pytest
from support.checking import CHANNELS, EVENTS, MAPPER, SUBSCRIPTIONS, UNION, example, small_system, write_system

from domainstream.tools.check import check_project

HEAD = """
import typing
from typing import Any, Optional, assert_never

from coding.domain_layer.coding_domain_event import CodingDomainEvent
from coding.domain_layer.stay.stay_events import StayClosed, StayCreated, StayEventType
from contracts.event_publisher_channels import Channel
from domainstream import BaseEvent

"""


def system(mapper: str) -> dict[str, str]:
    """Return a system with two events, two channels and a mapper."""
    good = example("DS401", "Good")
    assert {CHANNELS, EVENTS, SUBSCRIPTIONS, UNION} <= good.keys()
    return small_system() | good | {MAPPER: HEAD + mapper}


CLEAN = {
    "alternatives and a captured name": """
def channel_for(event: CodingDomainEvent) -> Channel | None:
    match event:
        case StayCreated() as created:
            return Channel.DOMAIN_CODING_STAY_CREATED
        case StayClosed(payload=payload):
            return Channel.DOMAIN_CODING_STAY_CLOSED
        case _:
            assert_never(event)
""",
    "assert_never after the match": """
def channel_for(event: CodingDomainEvent) -> Channel:
    match event:
        case StayCreated():
            return Channel.DOMAIN_CODING_STAY_CREATED
        case StayClosed():
            return Channel.DOMAIN_CODING_STAY_CLOSED
    typing.assert_never(event)
""",
    "by event type, any event": """
def channel_for(event: BaseEvent[Any]) -> Optional[Channel]:
    event_type = event.event_type
    match event_type:
        case StayEventType.DOMAIN_CODING_STAY_CREATED:
            return Channel.DOMAIN_CODING_STAY_CREATED
        case StayEventType.DOMAIN_CODING_STAY_CLOSED:
            return Channel.DOMAIN_CODING_STAY_CLOSED
        case never:
            assert_never(never)
""",
    "a method, a quoted annotation": """
class Mapper:
    def __call__(self, event: "StayCreated | StayClosed") -> "Channel | None":
        match event:
            case StayCreated():
                return Channel.DOMAIN_CODING_STAY_CREATED
            case StayClosed():
                return Channel.DOMAIN_CODING_STAY_CLOSED
            case _:
                assert_never(event)
""",
    "a guard beside a case": """
def channel_for(event: CodingDomainEvent) -> Channel | None:
    match event:
        case StayCreated() if event.sequence == 0:
            return None
        case StayCreated():
            return Channel.DOMAIN_CODING_STAY_CREATED
        case StayClosed():
            return None if event.sequence else Channel.DOMAIN_CODING_STAY_CLOSED
        case _:
            assert_never(event)
""",
    "a table": """
TABLE = {StayCreated: Channel.DOMAIN_CODING_STAY_CREATED}


def channel_for(event: CodingDomainEvent) -> Channel | None:
    return TABLE.get(type(event))
""",
    "isinstance": """
def channel_for(event: CodingDomainEvent) -> Channel | None:
    if isinstance(event, StayCreated):
        return Channel.DOMAIN_CODING_STAY_CREATED
    return None
""",
    "a case by a base class": """
def channel_for(event: CodingDomainEvent) -> Channel | None:
    match event:
        case BaseEvent():
            return Channel(event.event_type)
        case _:
            assert_never(event)
""",
    "another function that matches on events": """
def describe(event: CodingDomainEvent) -> str:
    match event:
        case StayCreated():
            return "created"
        case _:
            return "something else"


def channel_for(event: CodingDomainEvent) -> Channel | None:
    match event:
        case StayCreated():
            return Channel.DOMAIN_CODING_STAY_CREATED
        case StayClosed():
            return Channel.DOMAIN_CODING_STAY_CLOSED
        case _:
            assert_never(event)
""",
    "a docstring that denies None": '''
def channel_for(event: CodingDomainEvent) -> Channel:
    """Return the channel of an event; never None."""
    match event:
        case StayCreated():
            return Channel.DOMAIN_CODING_STAY_CREATED
        case StayClosed():
            return Channel.DOMAIN_CODING_STAY_CLOSED
        case _:
            assert_never(event)
''',
}


@pytest.mark.parametrize("mapper", CLEAN.values(), ids=list(CLEAN))
def test_mapper_that_is_right_or_not_understood_is_clean(mapper: str, tmp_path: Path) -> None:
    """A mapper that is right, or that cannot be understood without running it, has no findings."""
    assert check_project(write_system(tmp_path, system(mapper))) == []


WRONG = {
    "only with a guard": (
        """
def channel_for(event: CodingDomainEvent) -> Channel | None:
    match event:
        case StayCreated():
            return Channel.DOMAIN_CODING_STAY_CREATED
        case StayClosed() if event.sequence:
            return Channel.DOMAIN_CODING_STAY_CLOSED
        case _:
            assert_never(event)
""",
        {"DS301"},
    ),
    "only with some payloads": (
        """
def channel_for(event: CodingDomainEvent) -> Channel | None:
    match event:
        case StayCreated():
            return Channel.DOMAIN_CODING_STAY_CREATED
        case StayClosed(aggregate_id="1"):
            return Channel.DOMAIN_CODING_STAY_CLOSED
        case _:
            assert_never(event)
""",
        {"DS301"},
    ),
    "a return after the match hides a case": (
        """
def channel_for(event: CodingDomainEvent) -> Channel | None:
    match event:
        case StayCreated():
            return Channel.DOMAIN_CODING_STAY_CREATED
    return None
""",
        {"DS302"},
    ),
    "one of two branches": (
        """
def channel_for(event: CodingDomainEvent) -> Channel | None:
    match event:
        case StayCreated():
            return Channel.DOMAIN_CODING_STAY_CREATED
        case StayClosed():
            if event.sequence:
                return Channel.DOMAIN_CODING_STAY_CLOSE
            return Channel.DOMAIN_CODING_STAY_CLOSED
        case _:
            assert_never(event)
""",
        {"DS304", "DS305"},
    ),
    "two on one": (
        """
def channel_for(event: CodingDomainEvent) -> Channel | None:
    match event:
        case StayCreated() | StayClosed():
            return Channel.DOMAIN_CODING_STAY_CREATED
        case _:
            assert_never(event)
""",
        {"DS306"},
    ),
    "a comment that promises None": (
        """
# Returns None for events that stay inside.
def channel_for(event: CodingDomainEvent) -> Channel:
    match event:
        case StayCreated():
            return Channel.DOMAIN_CODING_STAY_CREATED
        case StayClosed():
            return Channel.DOMAIN_CODING_STAY_CLOSED
        case _:
            assert_never(event)
""",
        {"DS307"},
    ),
    "kept inside, though it has a channel": (
        """
def channel_for(event: CodingDomainEvent) -> Channel | None:
    match event:
        case StayCreated():
            return Channel.DOMAIN_CODING_STAY_CREATED
        case StayClosed():
            return None
        case _:
            assert_never(event)
""",
        {"DS501"},
    ),
}


@pytest.mark.parametrize(("mapper", "codes"), WRONG.values(), ids=list(WRONG))
def test_mapper_that_is_wrong_is_found(mapper: str, codes: set[str], tmp_path: Path) -> None:
    """Each mistake in a mapper is reported under its own code, and nothing else is reported."""
    assert {finding.code for finding in check_project(write_system(tmp_path, system(mapper)))} == codes


def test_missing_case_comes_with_a_case_to_copy(tmp_path: Path) -> None:
    """The fix of a missing case is a line of code that can be copied."""
    mapper = WRONG["only with a guard"][0]
    (finding,) = check_project(write_system(tmp_path, system(mapper)))
    assert finding.message == "channel_for has no case for StayClosed"
    assert finding.fix.startswith("add case StayClosed(): return Channel.DOMAIN_CODING_STAY_CLOSED")
