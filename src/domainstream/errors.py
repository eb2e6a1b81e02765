"""Every error domainstream raises.

::

    DomainStreamError
    ├── ProblemsError               a refusal that lists every reason at once
    │   ├── ConfigurationError      settings that make no sense
    │   ├── ChannelDefinitionError  a channel enum that breaks its rules
    │   ├── RegistryError           channels, mappers and subscriptions that do not fit together
    │   ├── MapperError             a mapper that forgets an event, or names another one's channel
    │   ├── SubscriptionError       a subscriptions map that is not total, or not clear
    │   └── UpcasterError           a chain of upcasters with a gap
    ├── EventError                  one event is at fault; nothing of it was sent
    │   ├── InvalidEventError       its fields are wrong
    │   ├── EventEncodingError      it cannot become a message
    │   └── EventDecodingError      a message cannot become an event
    │       ├── HostileJsonError        too large, too deep, ambiguous, or not JSON
    │       ├── InvalidEnvelopeError    not a CloudEvent of ours
    │       ├── UnknownEventTypeError   nobody registered this type
    │       ├── UnknownEventVersionError    no upcaster leads from this version
    │       └── InvalidPayloadError     the payload is not what its type says
    ├── PublishError                some events were not published; carries all receipts
    ├── PublishCancelledError       the cause of a cancelled publish; carries all receipts
    ├── PublisherClosedError        publish after close
    ├── ServerError                 why the server did not take a batch
    │   ├── ServerUnavailableError      no answer before the deadline
    │   ├── ServerRefusedError          the server answered no (wrong type, no permission, ...)
    │   ├── ServerOutOfMemoryError      maxmemory is reached
    │   └── ServerIsClusterError        a single-node client was pointed at a cluster
    ├── ServerNotFoundError         no Redis or Valkey anywhere we looked
    ├── MissingExtraError           an optional part is not installed
    ├── DeliveryLimitError          an entry that was delivered too often
    ├── HandlerNotFoundError        a job that no handler of the consumer takes
    ├── HandlerCancelledError       a handler that ended by a cancellation from inside
    ├── HandlerTimeoutError         a handler that ran longer than its time limit
    └── InboxError                  effects of an event that were applied in part, or for an unfit database

Messages say what, where, why and what to type next. They name fields, types and ids, never a payload's values or a
password.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from domainstream.receipt import Outcome, Receipt


def _rebuild(cls: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class DomainStreamError(Exception):
    """The root: catch it to catch everything domainstream raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle an error, whatever its constructor takes, so that it may go from one process to another."""
        return _rebuild, (type(self), self.args, self.__dict__)


def list_problems(heading: str, problems: Sequence[str]) -> str:
    """Put `problems` under `heading`, one a line."""
    return "\n".join([heading, *(f"  - {problem}" for problem in problems)])


class ProblemsError(DomainStreamError):
    """A refusal that lists every reason at once."""

    def __init__(self, heading: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        """One sentence a problem, each with its fix."""
        super().__init__(list_problems(heading, self.problems))


class ConfigurationError(ProblemsError):
    """Settings that make no sense."""


class ChannelDefinitionError(ProblemsError):
    """A channel enum that breaks the naming rules."""


class RegistryError(ProblemsError):
    """Channels, mappers and subscriptions that do not fit together."""


class MapperError(ProblemsError):
    """A mapper that forgets an event or disagrees with an event's type."""


class SubscriptionError(ProblemsError):
    """A subscriptions map that is not total over its enum."""


class UpcasterError(ProblemsError):
    """Upcasters that do not lead from every old version to the newest."""


class EventError(DomainStreamError):
    """One event is at fault."""

    def __init__(self, message: str, *, event_id: str | None = None, event_type: str | None = None) -> None:
        self.event_id = event_id
        """The event's id, or None where it could not be read."""
        self.event_type = event_type
        """The event's type, or None where it could not be read."""
        super().__init__(f"{message} [event {event_id or 'without id'}, type {event_type or 'unknown'}]")


class InvalidEventError(EventError, ValueError):
    """An event was constructed with fields that are wrong."""


class EventEncodingError(EventError):
    """An event cannot become a message: nothing of it was sent."""


class EventDecodingError(EventError):
    """A message cannot become an event."""


class HostileJsonError(EventDecodingError):
    """The bytes are too large, too deep, ambiguous, or not JSON."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        """What is wrong, in a few words."""
        super().__init__(f"refused to read the message: {reason}")


class InvalidEnvelopeError(EventDecodingError):
    """The JSON is sound but is not a CloudEvent with the attributes we need."""


class UnknownEventTypeError(EventDecodingError):
    """Nobody registered a class for this event type."""


class UnknownEventVersionError(EventDecodingError):
    """The version is newer than the class, or no upcaster leads on from it."""


class InvalidPayloadError(EventDecodingError):
    """The payload is not what its type says."""

    def __init__(self, path: str, expected: str, got: str, *, event_id: str, event_type: str) -> None:
        self.path = path
        """Where in the payload, as `$.field[0]`."""
        self.expected = expected
        """What stands in the type."""
        self.got = got
        """The kind of value that was found (never the value itself)."""
        super().__init__(f"payload at {path}: expected {expected}, got {got}", event_id=event_id, event_type=event_type)


class PublishError(DomainStreamError):
    """Some events of a call were not published."""

    def __init__(self, receipts: Sequence[Receipt]) -> None:
        self.receipts = tuple(receipts)
        """One receipt per event of the call, in the call's order: those that were published as well."""
        super().__init__(_summary(self.receipts))


class PublishCancelledError(DomainStreamError):
    """What became of the events of a `publish` call that was cancelled.

    It is the cause of the `asyncio.CancelledError`, which itself stays what asyncio made it, since time-outs and task
    groups ask for exactly that class. `receipts_of` finds it, also behind a `TimeoutError`.
    """

    def __init__(self, receipts: Sequence[Receipt]) -> None:
        self.receipts = tuple(receipts)
        """One receipt per event of the call, in the call's order: `rejected` for those that were never sent and never
        will be, `unknown` for those that were under way.
        """
        super().__init__(_counts(self.receipts))


def receipts_of(error: BaseException) -> tuple[Receipt, ...]:
    """Return the receipts that an error, or what caused it, carries; empty where none does.

    `error` may be a `PublishError`, or the `asyncio.CancelledError` or `TimeoutError` that ended a `publish` call.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, PublishError | PublishCancelledError):
            return cause.receipts
        cause = cause.__cause__
    return ()


class PublisherClosedError(DomainStreamError):
    """The publisher is closed, or closing: nothing of the call was sent."""


class ServerError(DomainStreamError):
    """Why the server did not take a batch."""


class ServerUnavailableError(ServerError):
    """The server did not answer before the deadline."""


class ServerRefusedError(ServerError):
    """The server answered no, and would again."""


class ServerOutOfMemoryError(ServerError):
    """The server reached its maxmemory and refuses writes."""


class ServerIsClusterError(ServerError):
    """A client for one server was pointed at a node of a cluster."""


class ServerNotFoundError(DomainStreamError):
    """No Redis or Valkey server was found in any of the places we look."""


class MissingExtraError(DomainStreamError, ImportError):
    """An optional part of domainstream is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra. Type: pip install 'domainstream[{extra}]'")


class DeliveryLimitError(DomainStreamError):
    """An entry was delivered more often than is allowed, and never handed over."""

    def __init__(self, deliveries: int, limit: int) -> None:
        self.deliveries = deliveries
        """How often it was delivered."""
        super().__init__(
            f"delivered {deliveries} times and never handed over, where {limit} times are allowed: a subscriber ended "
            "while it had it, or the server refused it; look at the subscriber's log, mend the cause, then redrive it"
        )


class HandlerNotFoundError(DomainStreamError):
    """A job arrived for which the consumer has no handler."""


class HandlerCancelledError(DomainStreamError):
    """A handler ended by a cancellation that did not come from its worker: a failed attempt like any other."""


class HandlerTimeoutError(DomainStreamError):
    """A handler ran longer than its time limit: a failed attempt like any other."""


class InboxError(DomainStreamError):
    """An inbox cannot promise that the effects of an event happen once."""


def _counts(receipts: Sequence[Receipt]) -> str:
    counts = Counter(receipt.outcome.value for receipt in receipts)
    return f"publishing was cancelled: {', '.join(f'{count} {outcome}' for outcome, count in counts.items())}"


def _summary(receipts: Sequence[Receipt]) -> str:
    failed = [receipt for receipt in receipts if receipt.outcome in (Outcome.REJECTED, Outcome.UNKNOWN)]
    unknown = sum(receipt.outcome is Outcome.UNKNOWN for receipt in failed)
    reasons = sorted({f"{type(receipt.error).__name__}: {receipt.error}" for receipt in failed if receipt.error})
    first = ", ".join(receipt.event_id for receipt in failed[:3]) + (", ..." if len(failed) > 3 else "")
    return list_problems(
        f"{len(failed)} of {len(receipts)} events were not published ({unknown} of unknown fate): {first}. "
        f"Look at .receipts. {_advice(rejected=len(failed) > unknown, unknown=unknown > 0)}:",
        reasons,
    )


def _advice(*, rejected: bool, unknown: bool) -> str:
    again = "Publish the rejected ones again once the cause is mended" if rejected else ""
    perhaps = "Those of unknown fate may be in the stream; consumers tell a repeat by its event id" if unknown else ""
    return ". ".join(filter(None, (again, perhaps)))
