"""Stories: what followed from what, and what should have and did not."""

from typing import Any

import pytest
from msgspec.structs import replace

from domainstream.stream import GroupState, StreamState
from domainstream.tools.dashboard.facts import ChannelFacts
from domainstream.tools.dashboard.map_links import Handling
from domainstream.tools.dashboard.story import Story, story_of
from domainstream.tools.timeline import TimelineEntry

CODED = "domain_coding_stay_coded"
PRICED = Handling(queue="billing", job="price-stay")


def published(event: str, time_ms: int, cause: str | None = None) -> TimelineEntry:
    """Return the entry of an event in its stream."""
    return TimelineEntry(
        time_ms=time_ms,
        what="published",
        event_type=CODED,
        event_id=event,
        aggregate_id="stay-1",
        causation_id=cause,
        correlation_id="c",
        channel=CODED,
        entry_id=f"{time_ms}-0",
    )


def job(event: str, queue: str = "billing", **times: int) -> list[TimelineEntry]:
    """Return what happened to the job of an event, and when."""
    return [
        TimelineEntry(time_ms=at, what=what, event_id=event, queue=queue, job="price-stay", job_id="j", attempts=1)
        for what, at in times.items()
    ]


def channel(last: str = "9999-0", *, is_read: bool = True) -> dict[str, ChannelFacts]:
    """Return a channel that a group has read up to an entry."""
    fields: Any = {"consumers": 1, "unread": 0, "pending": 0, "lag": 0, "lost": 0, "oldest_ms": None}
    group = GroupState(channel=CODED, group="subscribers", last_delivered_id=last, **fields)
    stream = StreamState(channel=CODED, length=1, added=1, groups=1, first_id="1-0", last_id="1-0")
    facts = ChannelFacts(channel=CODED, stream=stream, groups=[group] if is_read else [], dead=None)
    return {CODED: facts}


def story_from(
    entries: list[TimelineEntry], channels: dict[str, ChannelFacts] | None = None, *, expects: bool = True
) -> Story:
    """Return the story of these entries at the time 10,000."""
    return story_of(entries, channels or channel(), {CODED: [PRICED]} if expects else {}, now_ms=10_000)


def test_events_follow_what_caused_them() -> None:
    """Each event comes after its cause, before the next event that has nothing to do with it."""
    story = story_from([published("a", 1), published("b", 2), published("a1", 3, "a"), published("a2", 4, "a1")])
    assert [(event.event_id, event.depth) for event in story.events] == [("a", 0), ("a1", 1), ("a2", 2), ("b", 0)]


def test_events_that_cause_each_other_are_all_there() -> None:
    """Ids that go in a circle, which only a mistake can make, do not hide an event."""
    story = story_from([published("a", 1, "b"), published("b", 2, "a")])
    assert {event.event_id for event in story.events} == {"a", "b"}


def test_job_has_spans_from_its_addition_to_its_end() -> None:
    """A completed job waited and then was handled."""
    (event,) = story_from([published("a", 1), *job("a", added=10, started=15, completed=40)]).events
    (one,) = event.jobs
    assert [(span.kind, span.begin_ms, span.end_ms) for span in one.spans] == [("wait", 10, 15), ("done", 15, 40)]
    assert one.took_ms == 30


def test_job_that_has_not_begun_waits_until_now() -> None:
    """A waiting job's time is not over."""
    (event,) = story_from([published("a", 1), *job("a", added=10)]).events
    assert event.jobs[0].spans[-1].is_open
    assert event.jobs[0].took_ms == 9_990


def test_job_that_goes_on_does_not_stretch_the_story() -> None:
    """What waits for days leaves room for what took milliseconds."""
    assert story_from([published("a", 1), *job("a", added=10)]).end_ms < 100


@pytest.mark.parametrize(
    ("channels", "why"),
    [
        (channel(last="0-0"), "subscribers has not read it yet"),
        (channel(is_read=False), "nobody reads the channel"),
        (channel(), "no such job is kept"),
    ],
)
def test_job_that_the_code_promises_and_is_not_there_is_a_hole(channels: dict[str, ChannelFacts], why: str) -> None:
    """A missing job is named, with why it is missing as far as that is known."""
    (event,) = story_from([published("a", 1)], channels).events
    assert [hole.handling for hole in event.holes] == [PRICED]
    assert why in event.holes[0].why


@pytest.mark.parametrize("queue", ["billing", "billing-p3", "{billing-p3}"])
def test_job_that_is_there_is_not_a_hole(queue: str) -> None:
    """A job fills its place, also in a partition of its queue and on a cluster."""
    assert story_from([published("a", 1), *job("a", queue, added=10)]).holes == 0


def test_without_code_only_unread_events_have_holes() -> None:
    """If nobody says which jobs to expect, an event that was read has none that are missing."""
    assert story_from([published("a", 1)], expects=False).holes == 0
    assert story_from([published("a", 1)], channel(last="0-0"), expects=False).holes == 1


def test_nothing_is_an_empty_story() -> None:
    """Without any entry there is a story without events."""
    assert story_from([]).events == ()


@pytest.mark.parametrize(("happened_ms", "waited_ms"), [(40, 60), (None, 0), (140, 0)])
def test_way_to_the_stream_is_part_of_the_story(happened_ms: int | None, waited_ms: int) -> None:
    """How long an event waited until it was published, as in an outbox; clocks that differ never make it negative."""
    entry = replace(published("a", 100), happened_ms=happened_ms)
    (event,) = story_of([entry], channel(), {}, now_ms=200).events
    assert event.waited_ms == waited_ms
