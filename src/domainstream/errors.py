"""Every error domainstream raises.

::

    DomainStreamError
    ├── ProblemsError               lists every problem at once
    │   ├── ConfigurationError      invalid settings or arguments
    │   ├── ChannelDefinitionError  a channel enum that breaks the naming rules
    │   ├── RegistryError           channels, mappers and subscriptions that do not match
    │   ├── MapperError             a mapper that misses an event, or maps it to another event's channel
    │   ├── SubscriptionError       subscriptions that are incomplete or ambiguous
    │   └── UpcasterError           upcasters with a gap between two versions
    ├── EventError                  one event is at fault
    │   ├── InvalidEventError       an event created with invalid fields
    │   ├── EventEncodingError      an event that cannot be encoded; it was not sent
    │   ├── OrderKeyError           a subscription's `order_by` returned no key for the event
    │   └── EventDecodingError      a message that cannot be decoded
    │       ├── HostileJsonError        too large, too deep, ambiguous, or not JSON
    │       ├── InvalidEnvelopeError    not a CloudEvent with the required attributes
    │       ├── UnknownEventTypeError   no class is registered for the event type
    │       ├── UnknownEventVersionError    no upcaster converts from this version
    │       └── InvalidPayloadError     the payload does not match its type
    ├── PublishError                some events were rejected or may not be published; carries all receipts
    ├── PublishCancelledError       the cause of a cancelled publish; carries all receipts
    ├── PublisherClosedError        publish after close
    ├── ServerError                 why the server did not store a batch
    │   ├── ServerUnavailableError      no answer before the deadline
    │   │   └── NotConfirmedError       too few replicas confirmed the batch
    │   ├── ServerRefusedError          the server rejected the command (wrong type, no permission, ...)
    │   ├── ServerOutOfMemoryError      the server has reached maxmemory
    │   └── ServerIsClusterError        a client for a single server was pointed at a cluster
    ├── ServerNotFoundError         no Redis or Valkey server was found or configured
    ├── MissingExtraError           an optional extra is not installed
    ├── DeliveryLimitError          an entry was delivered too often without being forwarded
    ├── HandlerNotFoundError        the consumer has no handler for a job
    ├── HandlerCancelledError       a handler was cancelled from inside
    ├── HandlerTimeoutError         a handler exceeded its time limit
    ├── BackgroundTaskError         a task or thread that a program needs ended too early
    ├── OutboxError                 an outbox cannot store an event, or its relay cannot work with its table
    │   └── OutboxUnavailableError      its database cannot be reached or is not ready
    └── InboxError                  an inbox cannot guarantee that effects happen once

Messages say what is wrong, where, why, and how to fix it. They name fields, types and ids, but never quote a payload's
values or a password.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from domainstream.receipt import Receipt, summary_of
from domainstream.text import list_problems


def _rebuild(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class DomainStreamError(Exception):
    """The base class of every error that domainstream raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Make every error picklable, whatever arguments its constructor takes, so that it can cross processes."""
        return _rebuild, (type(self), self.args, self.__dict__)


class ProblemsError(DomainStreamError):
    """Lists every problem at once."""

    def __init__(self, heading: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        """One sentence per problem, each with its fix."""
        super().__init__(list_problems(heading, self.problems))


class ConfigurationError(ProblemsError):
    """Invalid settings or arguments."""


class ChannelDefinitionError(ProblemsError):
    """A channel enum that breaks the naming rules."""


class RegistryError(ProblemsError):
    """Channels, mappers and subscriptions that do not match."""


class MapperError(ProblemsError):
    """A mapper that misses an event, or maps it to a channel of another event's type."""


class SubscriptionError(ProblemsError):
    """Subscriptions that miss a channel of the enum, or are ambiguous."""


class UpcasterError(ProblemsError):
    """Upcasters that do not convert every old version to the newest."""


class EventError(DomainStreamError):
    """One event is at fault."""

    def __init__(self, message: str, *, event_id: str | None = None, event_type: str | None = None) -> None:
        self.event_id = event_id
        """The event's id, or None if it could not be read."""
        self.event_type = event_type
        """The event's type, or None if it could not be read."""
        super().__init__(f"{message} [event {event_id or 'without id'}, type {event_type or 'unknown'}]")


class InvalidEventError(EventError, ValueError):
    """An event was created with invalid fields."""


class EventEncodingError(EventError):
    """An event cannot be encoded; it was not sent."""


class EventDecodingError(EventError):
    """A message cannot be decoded into an event."""


class HostileJsonError(EventDecodingError):
    """The bytes are too large, too deep, ambiguous, or not JSON."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        """What is wrong, in a few words."""
        super().__init__(f"the message was rejected: {reason}")


class InvalidEnvelopeError(EventDecodingError):
    """The JSON is valid, but not a CloudEvent with the required attributes."""


class OrderKeyError(EventError):
    """A subscription's `order_by` raised, or returned no key for the event."""

    def __init__(self, problem: str, queue: str, *, function: str, event_id: str, event_type: str) -> None:
        super().__init__(
            f"order_by of the queue {queue}, the function {function}, {problem}; the jobs of the queue are ordered by "
            "what it returns, so it must be a non-empty text of valid Unicode for every event. Fix the function, then "
            f"run: domainstream dead-letters redrive {event_type}",
            event_id=event_id,
            event_type=event_type,
        )


class UnknownEventTypeError(EventDecodingError):
    """No class is registered for this event type."""


class UnknownEventVersionError(EventDecodingError):
    """The version is newer than the class, or no upcaster converts from it."""

    def __init__(self, message: str, *, version: int | None, event_id: str, event_type: str) -> None:
        self.version = version
        """The event's version; None if `dataschema` does not end in one, so that no build can decode the event."""
        super().__init__(message, event_id=event_id, event_type=event_type)


class InvalidPayloadError(EventDecodingError):
    """The payload does not match its type."""

    def __init__(self, path: str, expected: str, got: str, *, event_id: str, event_type: str) -> None:
        self.path = path
        """Where in the payload, as in `$.field[0]`."""
        self.expected = expected
        """What the type requires."""
        self.got = got
        """The kind of value in the payload, never the value itself."""
        super().__init__(f"payload at {path}: expected {expected}, got {got}", event_id=event_id, event_type=event_type)


class PublishError(DomainStreamError):
    """Some events of a call were rejected, or their outcome is unknown."""

    def __init__(self, receipts: Sequence[Receipt]) -> None:
        self.receipts = tuple(receipts)
        """One receipt per event of the call, in the call's order, including those that were published."""
        super().__init__(summary_of(self.receipts))


class PublishCancelledError(DomainStreamError):
    """Carries the receipts of a `publish` call that was cancelled.

    It is the cause of the `asyncio.CancelledError`, which is left untouched because `asyncio.timeout` and `TaskGroup`
    match that exact class. `receipts_of` finds it, even behind a `TimeoutError`.
    """

    def __init__(self, receipts: Sequence[Receipt]) -> None:
        self.receipts = tuple(receipts)
        """One receipt per event of the call, in the call's order: `rejected` for events that were not sent and never
        will be, `unknown` for those in flight.
        """
        counts = Counter(receipt.outcome.value for receipt in receipts)
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        super().__init__(f"publishing was cancelled: {outcomes}")


def receipts_of(error: BaseException) -> tuple[Receipt, ...]:
    """Return the receipts carried by an error or one of its causes; empty if none carries any.

    `error` may be a `PublishError`, or the `asyncio.CancelledError` or `TimeoutError` that ended a `publish` call.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PublishError | PublishCancelledError):
            return cause.receipts
        cause = cause.__cause__
    return ()


class PublisherClosedError(DomainStreamError):
    """The publisher is closed or closing; nothing of the call was sent."""


class ServerError(DomainStreamError):
    """Why the server did not store a batch."""


class ServerUnavailableError(ServerError):
    """The server did not answer before the deadline."""


class NotConfirmedError(ServerUnavailableError):
    """The server stored the batch, but not enough replicas confirmed it before the deadline."""


class ServerRefusedError(ServerError):
    """The server rejected the command; retrying would fail the same way."""


class ServerOutOfMemoryError(ServerError):
    """The server has reached its maxmemory and rejects writes."""


class ServerIsClusterError(ServerError):
    """A client for a single server was pointed at a node of a cluster."""


class ServerNotFoundError(DomainStreamError):
    """No Redis or Valkey server was found, or none is configured."""


class MissingExtraError(DomainStreamError, ImportError):
    """An optional extra of domainstream is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra. Run: pip install 'domainstream[{extra}]'")


class DeliveryLimitError(DomainStreamError):
    """An entry was delivered more often than the limit without being forwarded."""

    def __init__(self, deliveries: int, limit: int) -> None:
        self.deliveries = deliveries
        """How often the entry was delivered."""
        super().__init__(
            f"delivered {deliveries} times (limit {limit}) without being forwarded: a subscriber crashed on it or the "
            "server rejected it. Check the subscriber's log, fix the cause, then run "
            "`domainstream dead-letters redrive`"
        )


class HandlerNotFoundError(DomainStreamError):
    """The consumer has no handler for a job."""

    def __init__(self, message: str, *, event_type: str | None) -> None:
        self.event_type = event_type
        """The type of the job's event."""
        super().__init__(message)


class HandlerCancelledError(DomainStreamError):
    """A handler was cancelled, but not by its worker; the attempt counts as failed."""


class HandlerTimeoutError(DomainStreamError):
    """A handler exceeded its time limit; the attempt counts as failed."""


class BackgroundTaskError(DomainStreamError):
    """A task or thread that a program needs ended without an error, although the program had not been stopped."""


class OutboxError(DomainStreamError):
    """An outbox cannot store an event in the caller's transaction, or its relay cannot work with the table."""


class OutboxUnavailableError(OutboxError):
    """The database of an outbox cannot be reached or is not ready; the same call may succeed later."""


class InboxError(DomainStreamError):
    """An inbox cannot guarantee that the effects of an event happen once."""
