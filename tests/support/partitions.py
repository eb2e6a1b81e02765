"""A channel with partitions, and what tests ask of those who share it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, final

from redis.asyncio import Redis
from support.consuming import GROUP

from domainstream import BaseEvent, EventPayload, EventProducer, EventPublisherChannel, RedisStreamPublisherClient
from domainstream.channel.partitions import streams_of
from domainstream.queue import JobSettings, job_id
from domainstream.redis.keys import lease_key
from domainstream.stream import ReaderSettings
from domainstream.subscriber import (
    RedisBullMQStreamSubscriber,
    SubscriberSettings,
    Subscriptions,
    create_multiple_handlers,
    to_queue,
)

PARTITIONS = 12


class Channel(EventPublisherChannel, partitions={"DOMAIN_CODING_STAY_CREATED": PARTITIONS}):
    """A channel with partitions, and one without."""

    DOMAIN_CODING_STAY_CREATED = "domain_coding_stay_created"
    DOMAIN_CODING_STAY_CLOSED = "domain_coding_stay_closed"


class StayPayload(EventPayload):
    """How many events the aggregate had before."""

    number: int


@final
class StayCreated(BaseEvent[StayPayload]):
    """An event of the channel with partitions."""

    event_type = Channel.DOMAIN_CODING_STAY_CREATED


STREAMS = streams_of("domain_coding_stay_created", PARTITIONS)


def channel_for(event: StayCreated) -> Channel | None:
    """Map the only event."""
    assert isinstance(event, StayCreated)
    return Channel.DOMAIN_CODING_STAY_CREATED


def producer_of(client: RedisStreamPublisherClient) -> EventProducer[StayCreated]:
    """Return a producer of the events."""
    return EventProducer(client, channel_for=channel_for, source="coding")


def stays(number: int, aggregates: int = 60) -> list[StayCreated]:
    """Return the event with this number of each aggregate."""
    return [
        StayCreated(aggregate_id=f"stay-{aggregate}", payload=StayPayload(number=number))
        for aggregate in range(aggregates)
    ]


def subscriptions(settings: JobSettings | None = None, *, of_queue: int = 1) -> Subscriptions:
    """Send the channel with partitions to one queue, which has so many partitions `of_queue`."""
    handler = to_queue("valuation", job="price-stay", settings=settings or JobSettings(), partitions=of_queue)
    return create_multiple_handlers(
        {Channel.DOMAIN_CODING_STAY_CREATED: [handler], Channel.DOMAIN_CODING_STAY_CLOSED: []}
    )


def subscriber(
    url: str, name: str, lease: timedelta, *, prefix: str = "", bull_prefix: str = "bull", of_queue: int = 1
) -> Any:
    """Return an instance of the group; the queue has so many partitions `of_queue`."""
    return RedisBullMQStreamSubscriber.from_url(
        url,
        group=GROUP,
        subscriptions=subscriptions(of_queue=of_queue),
        consumer=name,
        prefix=prefix,
        bull_prefix=bull_prefix,
        settings=SubscriberSettings(reading=ReaderSettings(lease=lease)),
    )


async def owners(redis: Redis, prefix: str = "") -> list[str]:
    """Return the name of the instance that has each partition; empty for one that nobody has."""
    found = []
    for stream in STREAMS:
        owner: Any = await redis.hget(lease_key(f"{prefix}{stream}", GROUP), "owner")
        found.append((owner or b"").decode().partition(" ")[0])
    return found


async def in_the_streams(redis: Redis, prefix: str = "") -> list[list[str]]:
    """Return the ids of the jobs that each partition's entries become, in the order of the stream."""
    found = []
    for stream in STREAMS:
        entries: Any = await redis.xrange(f"{prefix}{stream}")
        ids = [fields[b"data"].decode().partition('"id":"')[2].partition('"')[0] for _, fields in entries]
        found.append([job_id(event_id) for event_id in ids])
    return found


def assert_once_and_in_order(jobs: Sequence[str], streams: Sequence[Sequence[str]]) -> None:
    """Assert that each entry has one job, and that the jobs of each partition are in its order."""
    partition = {job: number for number, stream in enumerate(streams) for job in stream}
    assert len(jobs) == len({*jobs}) == len(partition)
    for number, stream in enumerate(streams):
        assert [job for job in jobs if partition[job] == number] == [*stream]
