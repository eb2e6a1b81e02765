"""The span of a relay's attempt: it links to what it sends, and changes none of it."""

import asyncio
import json

from opentelemetry.trace import SpanKind
from support.relaying import SimulatedServer
from support.spans import TRACEPARENT, Recording, linked

from domainstream.errors import ServerRefusedError, ServerUnavailableError
from domainstream.lifecycle import Lifecycle
from domainstream.outbox import RelaySettings
from domainstream.outbox.port import NotedBatch, StoredMessage
from domainstream.outbox.retrying_publisher import RetryingPublisher
from domainstream.producer import OutgoingMessage
from domainstream.publisher import BatchIdentity

LEASE = RelaySettings().lease


def batch(*messages: OutgoingMessage) -> NotedBatch:
    """Return a batch as a store notes it."""
    rows = [StoredMessage(number, message) for number, message in enumerate(messages, 1)]
    return NotedBatch(BatchIdentity("relay", 1), rows)


def message(target: str, event_id: str, traceparent: str | None = None) -> OutgoingMessage:
    """Return a message as a service stored it."""
    traced = {} if traceparent is None else {"traceparent": traceparent}
    return OutgoingMessage(target, event_id, json.dumps({"id": event_id, **traced}).encode())


async def publish(server: SimulatedServer, *messages: OutgoingMessage) -> None:
    """Publish messages as a relay does."""
    publisher = RetryingPublisher(server, Lifecycle("relay"), lease=LEASE)
    await publisher.introduce("relay")
    await publisher.publish(batch(*messages), is_repeat=False)


async def test_batch_is_a_span_that_links_to_its_messages(recorded: Recording) -> None:
    """The relay's span has a trace of its own, and a link to the context of each message that has one."""
    await publish(SimulatedServer(), message("orders", "1", TRACEPARENT), message("orders", "2"))

    span = recorded.only("send")
    assert (span.name, span.kind, span.parent) == ("send orders", SpanKind.CLIENT, None)
    assert (span.attributes or {})["messaging.batch.message_count"] == 2
    assert linked(span) == [TRACEPARENT]


async def test_batch_of_several_channels_names_none(recorded: Recording) -> None:
    """One span is enough for a batch, which the server gets at once."""
    await publish(SimulatedServer(), message("orders", "1"), message("stays", "2"))

    assert recorded.only("send").name == "send"


async def test_rejected_channel_is_the_span_s_error(recorded: Recording) -> None:
    """A batch that was sent in part has the error of the rest."""
    server = SimulatedServer()
    server.rejecting["orders"] = ServerRefusedError("it is not a stream")

    await publish(server, message("orders", "1"), message("stays", "2"))

    assert (recorded.only("send").attributes or {})["error.type"] == "ServerRefusedError"


async def test_each_attempt_is_a_span(recorded: Recording) -> None:
    """What is repeated after a failure is recorded again, and the failure is the first one's error."""
    server = SimulatedServer()
    server.lost_replies = 1

    async with asyncio.timeout(30):
        await publish(server, message("orders", "1"))

    errors = [(span.attributes or {}).get("error.type") for span in recorded.all("send")]
    assert errors == [ServerUnavailableError.__name__, None]


async def test_links_are_bounded(recorded: Recording) -> None:
    """A batch of 500 messages links to 128."""
    await publish(SimulatedServer(), *(message("orders", str(number), TRACEPARENT) for number in range(500)))

    assert len(linked(recorded.only("send"))) == 128
