"""The spans and metrics that domainstream reports, with their attributes: each is a row of a table.

They follow OpenTelemetry's semantic conventions for messaging; no name here is one that these have deprecated.
`docs/telemetry.md` lists the tables, and a test compares the two.
"""

from enum import Enum, StrEnum
from typing import Any, Final, Self

SYSTEM: Final = "redis"
"""The value of `messaging.system`. The conventions know no other word for streams of Redis and Valkey."""

MAX_LINKS: Final = 128
"""How many messages a span links to at most; a batch may have more."""

INSTRUMENTATIONS_OFF: Final = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
"""The variable that lists what is not to report anything, as OpenTelemetry has it; `domainstream` among them."""


class Attribute(StrEnum):
    """Every attribute of our spans and metrics."""

    meaning: str
    """What it holds."""

    def __new__(cls, name: str, meaning: str) -> Self:
        """Make a row."""
        row = str.__new__(cls, name)
        row._value_ = name
        row.meaning = meaning
        return row

    SYSTEM = ("messaging.system", "`redis`, also where the server is Valkey")
    OPERATION_NAME = ("messaging.operation.name", "the first word of the span's name")
    OPERATION_TYPE = ("messaging.operation.type", "the kind of operation: `send`, `receive` or `process`")
    DESTINATION = ("messaging.destination.name", "the channel, or the queue; missing if a batch has several channels")
    PARTITION = ("messaging.destination.partition.id", "the number of the channel's partition, if it has some")
    GROUP = ("messaging.consumer.group.name", "the subscriber's consumer group")
    MESSAGE_ID = ("messaging.message.id", "the event's id")
    CONVERSATION_ID = ("messaging.message.conversation_id", "the event's correlation id")
    BATCH_COUNT = ("messaging.batch.message_count", "how many messages the span is about, also if it is one")
    SERVER_ADDRESS = ("server.address", "the host of the server, where there is one server")
    SERVER_PORT = ("server.port", "its port")
    ERROR_TYPE = ("error.type", "the class of the error with which it ended; missing if it succeeded")


class Metric(Enum):
    """Every metric: its name, instrument, unit, and what it measures."""

    instrument: str
    """What records it: a `histogram` or a `counter`."""

    unit: str
    """The unit of its values."""

    meaning: str
    """What it measures."""

    def __new__(cls, name: str, instrument: str, unit: str, meaning: str) -> Self:
        """Make a row."""
        row = object.__new__(cls)
        row._value_ = name
        row.instrument, row.unit, row.meaning = instrument, unit, meaning
        return row

    OPERATION_DURATION = (
        *("messaging.client.operation.duration", "histogram", "s"),
        "how long it took to send messages, or to forward those that were read",
    )
    SENT_MESSAGES = ("messaging.client.sent.messages", "counter", "{message}", "messages that were to be sent")
    CONSUMED_MESSAGES = (
        *("messaging.client.consumed.messages", "counter", "{message}"),
        "messages that were forwarded from a channel, and attempts at jobs of a queue",
    )
    PROCESS_DURATION = ("messaging.process.duration", "histogram", "s", "how long an attempt at a job took")


METRIC_ATTRIBUTES: Final = (
    *(Attribute.SYSTEM, Attribute.OPERATION_NAME, Attribute.DESTINATION, Attribute.GROUP),
    *(Attribute.SERVER_ADDRESS, Attribute.SERVER_PORT, Attribute.ERROR_TYPE),
)
"""The attributes of metrics: those of few values."""

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The boundaries of the histograms, in seconds, as the conventions have them."""


class Span(Enum):
    """Every span: its operation, its kind, what it is about, and its metrics.

    Its name is the operation's and the channel's or queue's: `send domain_stay_coded`.
    """

    operation: str
    """The first word of its name."""

    operation_type: str
    """The kind of operation, as the conventions have it."""

    kind: str
    """OpenTelemetry's `SpanKind`."""

    attributes: tuple[Attribute, ...]
    """The attributes that it may have beside those of all spans."""

    metrics: tuple[Metric, ...]
    """The metrics that are recorded when it ends."""

    meaning: str
    """When it is made, and where it belongs."""

    def __new__(cls, name: str, operation: tuple[str, str], kind: str, *rest: Any) -> Self:
        """Make a row; `operation` is its name and its type."""
        row = object.__new__(cls)
        row._value_ = name
        row.operation, row.operation_type = operation
        row.kind = kind
        row.attributes, row.metrics, row.meaning = rest
        return row

    PUBLISH = (
        *("publish", ("send", "send"), "PRODUCER"),
        (Attribute.MESSAGE_ID, Attribute.CONVERSATION_ID, Attribute.PARTITION, Attribute.BATCH_COUNT),
        (Metric.OPERATION_DURATION, Metric.SENT_MESSAGES),
        "one call of `EventProducer`; a child of the current span; its context goes into the messages",
    )
    RELAY = (
        *("relay", ("send", "send"), "CLIENT"),
        (Attribute.PARTITION, Attribute.BATCH_COUNT),
        (Metric.OPERATION_DURATION, Metric.SENT_MESSAGES),
        "one attempt of an outbox's relay to send a batch; a trace of its own, with a link to each message's context",
    )
    FORWARD = (
        *("forward", ("forward", "receive"), "CLIENT"),
        (
            *(Attribute.GROUP, Attribute.PARTITION, Attribute.BATCH_COUNT),
            *(Attribute.SERVER_ADDRESS, Attribute.SERVER_PORT),
        ),
        (Metric.OPERATION_DURATION, Metric.CONSUMED_MESSAGES),
        "one turn of the subscriber that forwards; a trace of its own, with a link to each message's context",
    )
    PROCESS = (
        *("process", ("process", "process"), "CONSUMER"),
        (Attribute.MESSAGE_ID, Attribute.CONVERSATION_ID, Attribute.SERVER_ADDRESS, Attribute.SERVER_PORT),
        (Metric.PROCESS_DURATION, Metric.CONSUMED_MESSAGES),
        "one attempt at a job; a trace of its own with a link to the message's context, or a child of that",
    )


COMMON_ATTRIBUTES: Final = (
    *(Attribute.SYSTEM, Attribute.OPERATION_NAME, Attribute.OPERATION_TYPE, Attribute.DESTINATION),
    Attribute.ERROR_TYPE,
)
"""The attributes of every span."""
