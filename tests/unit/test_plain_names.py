"""Names from outside are plain strings, whatever subclass of `str` they are; a control formats them without that.

A border is a place where a user gives a name. Each is compared with what it does for the plain string.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from enum import Enum, StrEnum
from typing import Any

import pytest
from support.coding import OptimizationEvaluated, evaluated

from domainstream import BaseEvent, EventPayload, PublisherSettings, Retention
from domainstream.errors import DomainStreamError
from domainstream.event import CorrelationFilter, EventDecoder, EventEncoder, correlation_scope, follow_up_id
from domainstream.queue import BullMQJobAdder, BullMQQueue, MemoryJobAdder, MemoryQueue
from domainstream.queue.bullmq.scripts import queue_key
from domainstream.redis.keys import stream_key
from domainstream.stream import MemoryStreamReader, MemoryStreams, RedisStreamReader
from domainstream.subscriber import to_queue
from domainstream.worker import EventConsumer, WorkerSettings
from domainstream.worker.bullmq.engine import WorkerConnections

NAME = "name1"
URL = "redis://localhost:1"


class Mixed(str, Enum):  # noqa: UP042 - what this is about
    """An enum as it was written before `StrEnum`: it formats as `Mixed.NAME`."""

    NAME = NAME


class Modern(StrEnum):
    """An enum that formats as its value."""

    NAME = NAME


class Loud(str):
    """A string that formats as it likes."""

    __slots__ = ()

    def __str__(self) -> str:
        return "LOUD"

    def __format__(self, _: str) -> str:
        return "LOUD"


NAMES = {"mixed enum": Mixed.NAME, "StrEnum": Modern.NAME, "subclass of str": Loud(NAME)}


def event_class(given: Any) -> type[BaseEvent[Any]]:
    """Return a class of events with this type."""

    class Happened(BaseEvent[EventPayload]):
        event_type = given

    return Happened


def logged(name: str) -> str:
    """Return the correlation id of a log record within a scope."""
    record = logging.makeLogRecord({})
    with correlation_scope(correlation_id=name, causation_id=name):
        CorrelationFilter().filter(record)
    return f"{record.correlation_id} {record.causation_id}"  # type: ignore[attr-defined]


def decoded(name: str) -> str:
    """Return the class that a decoder knows for a type, by an event of it."""
    made: Any = event_class(name)
    data = EventEncoder("coding").encode(made(aggregate_id="a", payload=EventPayload()))
    return f"{type(EventDecoder([made]).decode(data)).__name__} {data.split(b'type')[1][:20]!r}"


def stored(name: str) -> str:
    """Return the streams of a memory publisher and of memory streams with a channel of this name."""
    streams = MemoryStreams()
    streams.add(name, b"{}")
    reader = MemoryStreamReader(streams, group=name, instance=name)
    lease = asyncio.run(reader.take(NAME))
    epoch, _ = asyncio.run(MemoryJobAdder(MemoryQueue(), group=name).fence(NAME, lease, []))
    mark = epoch.mark.removesuffix(lease.token)
    return f"{list(streams.entries)} {reader.group} {reader.instance} {list(streams.leases)} {mark}"


def connection(name: str) -> str:
    """Return the keys and the name of a worker's connections."""
    opened = WorkerConnections(URL, name, bull_prefix=name, name=name)
    return f"{opened.key_prefix} {opened.bull_prefix} {opened._listed_name}"


async def _reader(name: str) -> str:
    reader = RedisStreamReader.from_url(URL, [name], group=name, instance=name, prefix=name)
    said = f"{reader.channels} {[turns.take(NAME) for turns in reader._turns.values()]}"
    await reader.close()
    return said


async def _adder(name: str) -> str:
    adder = BullMQJobAdder.from_url(URL, group=name, prefix=name, bull_prefix=name)
    queue = BullMQQueue.from_url(URL, bull_prefix=name)
    said = f"{adder._group} {stream_key(NAME, adder._prefix)} {adder._bull_prefix} {queue._bull_prefix}"
    await adder.close()
    await queue.close()
    return said


def refusal(name: str) -> str:
    """Return what the refusal of a name says."""
    try:
        to_queue(name + " ", job=name)
    except DomainStreamError as error:
        return str(error)
    return ""


BORDERS: dict[str, Callable[[Any], str]] = {
    "to_queue": lambda name: f"{to_queue(name, job=name)} {to_queue(name, job=name).queue}",
    "EventConsumer": lambda name: f"{EventConsumer(name).queue}",
    "partitions of a queue": lambda name: (
        f"{to_queue(name, job='j', partitions=2).queues} {EventConsumer(name, partitions=2).queues}"
    ),
    "a handler's job": lambda name: f"{_jobs_of(name)}",
    "source of events": lambda name: f"{EventEncoder(name).source}",
    "event type": decoded,
    "stream key": lambda name: stream_key(name, name),
    "queue key": lambda name: queue_key(name, name, name),
    "publisher": lambda name: f"{_publisher(name).prefix} {_publisher(name).producer_id}",
    "worker": lambda name: f"{WorkerSettings(name=name).name}",
    "worker's connections": connection,
    "reader": lambda name: asyncio.run(_reader(name)),
    "job adder and queue": lambda name: asyncio.run(_adder(name)),
    "memory streams and queues": stored,
    "correlation": logged,
    "follow-up": lambda name: follow_up_id(evaluated(id="cause"), name),
    "refusal": refusal,
}


def _publisher(name: str) -> PublisherSettings:
    return PublisherSettings(prefix=name, producer_id=name, retention=Retention(max_age=timedelta(hours=1)))


def _jobs_of(name: str) -> list[object]:
    consumer = EventConsumer("valuation")

    @consumer.on(OptimizationEvaluated, job=name)
    async def price(event: OptimizationEvaluated, context: object) -> None: ...

    return [f"{job} {type(job)}" for job in consumer._by_event[OptimizationEvaluated]]


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("kind", NAMES)
def test_names_are_plain_strings(border: str, kind: str) -> None:
    """A name of any subclass of `str` does the same as the plain string that it is equal to."""
    assert BORDERS[border](NAMES[kind]) == BORDERS[border](NAME)


@pytest.mark.parametrize("kind", ["mixed enum", "subclass of str"])
def test_names_would_be_formatted_otherwise(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Without that, the key of a stream has another name."""
    monkeypatch.setattr("domainstream.redis.keys.plain_name", lambda name: name)
    assert stream_key(NAMES[kind]) != stream_key(NAME)
