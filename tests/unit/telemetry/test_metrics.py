"""The metrics that are recorded when a span ends, whether it is sampled or not."""

from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from support.channels import CREATED
from support.coding import channel_for, created
from support.consuming import EVALUATED, GROUP, OptimizationEvaluated
from support.handling import received
from support.publishers import ScriptedPublisher
from support.spans import Recording, recording
from support.subscribing import Scene

from domainstream import EventProducer, Outcome, PublishError
from domainstream.worker import EventConsumer, EventContext
from domainstream.worker.attempt import AttemptRunner

SENT, CONSUMED = "messaging.client.sent.messages", "messaging.client.consumed.messages"
OPERATION, PROCESS = "messaging.client.operation.duration", "messaging.process.duration"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


def producer(*outcomes: Outcome) -> EventProducer[Any]:
    """Return the producer of the sample service."""
    return EventProducer(ScriptedPublisher(*outcomes), channel_for=channel_for, source="coding")


async def test_sent_messages_are_counted(recorded: Recording) -> None:
    """Each message of each call counts, under its channel."""
    await producer().publish(created())
    await producer().publish_many([created(), created()])

    (point,) = recorded.points(SENT)
    assert point.value == 3
    assert dict(point.attributes) == {
        "messaging.system": "redis",
        "messaging.operation.name": "send",
        "messaging.destination.name": CREATED.value,
    }


async def test_duration_has_the_buckets_of_the_conventions(recorded: Recording) -> None:
    """Dashboards that are made for other systems fit."""
    await producer().publish(created())

    (point,) = recorded.points(OPERATION)
    assert (point.count, point.explicit_bounds) == (1, BUCKETS)


async def test_failure_is_counted_apart(recorded: Recording) -> None:
    """Failed calls have `error.type`, the others have not."""
    with pytest.raises(PublishError):
        await producer(Outcome.UNKNOWN).publish(created())

    assert [point.attributes["error.type"] for point in recorded.points(OPERATION)] == ["PublishError"]


async def test_spans_that_are_not_sampled_count_as_well() -> None:
    """A sampler thins out traces, not metrics."""
    with recording(ALWAYS_OFF) as recorded:
        await producer().publish(created())

        assert [point.value for point in recorded.points(SENT)] == [1]


async def test_forwarded_messages_are_counted(recorded: Recording) -> None:
    """The subscriber counts what it forwards, under its group."""
    scene = Scene()
    scene.add(3)
    async with scene.running(scene.instance()):
        await scene.settled()

    (point,) = recorded.points(CONSUMED)
    assert point.value == 3
    assert point.attributes["messaging.destination.name"] == EVALUATED.value
    assert point.attributes["messaging.consumer.group.name"] == GROUP


async def test_attempts_are_counted_and_measured(recorded: Recording) -> None:
    """The worker counts attempts under the queue, and measures them by their own histogram."""
    consumer = EventConsumer("valuation")

    @consumer.on(OptimizationEvaluated)
    async def handle(event: OptimizationEvaluated, context: EventContext) -> None:
        pass

    await AttemptRunner(consumer)(received())

    assert [point.value for point in recorded.points(CONSUMED)] == [1]
    (point,) = recorded.points(PROCESS)
    assert (point.count, point.explicit_bounds) == (1, BUCKETS)
    assert dict(point.attributes) == {
        "messaging.system": "redis",
        "messaging.operation.name": "process",
        "messaging.destination.name": "valuation",
    }
    assert recorded.points(OPERATION) == []
