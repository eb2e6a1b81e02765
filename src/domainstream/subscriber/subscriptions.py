"""Which queues subscribe to which channels.

`create_multiple_handlers` checks the whole table at once and names every problem with its fix, because a channel that
is forgotten here loses its events silently.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from domainstream.channel import EventPublisherChannel
from domainstream.errors import SubscriptionError
from domainstream.event import EventMessage
from domainstream.queue import JobSettings
from domainstream.queue.job import name_problem
from domainstream.queue.partitions import partitions_problem, queues_of
from domainstream.queue.settings import OnFailure
from domainstream.validation import plain_name

DEFAULT_SETTINGS: Final = JobSettings()


OrderBy = Callable[[EventMessage], str]
"""Returns the key of an event: events with one key are handled one after the other, in the order of their stream."""


def AGGREGATE(event: EventMessage) -> str:  # noqa: N802 - it is used like a constant
    """Order by the aggregate's id."""
    return event.subject


def PARTITION_KEY(event: EventMessage) -> str:  # noqa: N802
    """Order by the partition key, or by the aggregate's id if the event has none."""
    return event.partitionkey or event.subject


IN_ORDER_SETTINGS: Final = JobSettings(priority=1)
"""The settings of jobs that are handled in order: with priority 0, those of a busy key would come before all others."""


class QueueHandler(Struct, frozen=True, gc=False):
    """A queue that gets a job for each event of a channel; made by `to_queue`."""

    queue: str
    """The queue's name."""

    job: str
    """The name of its jobs."""

    settings: JobSettings = DEFAULT_SETTINGS
    """How its jobs are tried, delayed and kept."""

    partitions: int = 1
    """Over how many BullMQ queues it is spread."""

    order_by: OrderBy | None = None
    """Returns the key by which its jobs are ordered; None if they are not."""

    on_failure: OnFailure = "hold"
    """What becomes of the jobs behind one that has failed permanently, if they are ordered."""

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of the BullMQ queues that it is spread over; without partitions, its own."""
        return queues_of(self.queue, self.partitions)

    def __str__(self) -> str:
        return f"{self.queue}:{self.job}"


def to_queue(
    queue: str,
    *,
    job: str,
    settings: JobSettings | None = None,
    partitions: int = 1,
    order_by: OrderBy | None = None,
    on_failure: OnFailure = "hold",
) -> QueueHandler:
    """Send each event of a channel to `queue`, as a job named `job`.

    `settings` say how often such a job is tried, when it may begin and how long it is kept. With `partitions=8`, the
    queue is spread over the BullMQ queues `{queue}-p0` to `{queue}-p7`, by the partition key of the event, which is the
    aggregate's id by default; its consumer needs the same number.

    With `order_by`, which is `AGGREGATE`, `PARTITION_KEY` or a function of the event, the jobs of the queue that have
    the same key are handled one after the other, in the order in which they were added, whoever the worker is, and
    although one fails and is tried again. When one has failed permanently, those behind it wait until it is retried or
    removed (`on_failure="hold"`), or go on without it (`"skip"`). All handlers of a queue need the same rule.

    Raises `SubscriptionError` for names that are empty or contain ":" or whitespace, for partitions outside of 1 to
    1,024, and for an order that partitions cannot keep.
    """
    queue, job = plain_name(queue), plain_name(job)
    problems = [
        name_problem("queue", queue),
        name_problem("job", job),
        partitions_problem(partitions),
        None if on_failure in ("hold", "skip") else f'on_failure is {on_failure!r}, expected "hold" or "skip"',
    ]
    if partitions != 1 and order_by not in (None, PARTITION_KEY):
        problems.append(
            "the jobs of a queue with partitions are spread by the partition key, so those of another key would lie in "
            "several of them; use order_by=PARTITION_KEY"
        )
    found = [problem for problem in problems if problem]
    if found:
        raise SubscriptionError("to_queue cannot be used:", found)
    if settings is None:
        settings = DEFAULT_SETTINGS if order_by is None else IN_ORDER_SETTINGS
    return QueueHandler(queue, job, settings, partitions, order_by, on_failure)


class Subscriptions(Mapping[EventPublisherChannel, tuple[QueueHandler, ...]]):
    """The handlers of every channel; frozen. Made by `create_multiple_handlers`.

    A mapping from channel to handlers, in the order of the enum.
    """

    def __init__(self, handlers: Mapping[EventPublisherChannel, tuple[QueueHandler, ...]]) -> None:
        self._handlers = MappingProxyType(dict(handlers))

    @property
    def channels(self) -> tuple[EventPublisherChannel, ...]:
        """Every channel, in the order of the enum."""
        return tuple(self._handlers)

    @property
    def queues(self) -> dict[str, int]:
        """Every queue that gets jobs, by name, and its number of partitions."""
        return {handler.queue: handler.partitions for handlers in self.values() for handler in handlers}

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that two tables share if they add the same jobs to the same queues."""
        jobs = sorted(
            f"{channel.value} {handler}"
            + (f" {handler.partitions}" if handler.partitions > 1 else "")
            + (f" in order, {handler.on_failure}" if handler.order_by else "")
            for channel, handlers in self.items()
            for handler in handlers
        )
        return sha256("\n".join(jobs).encode()).hexdigest()[:12]

    @property
    def on_failure(self) -> dict[str, OnFailure]:
        """The BullMQ queues whose jobs are handled in order, and what becomes of the jobs behind a failed one."""
        ordered = [handler for handlers in self.values() for handler in handlers if handler.order_by]
        return {queue: handler.on_failure for handler in ordered for queue in handler.queues}

    def handlers_of(self, channel: str) -> tuple[QueueHandler, ...]:
        """Return the handlers of a channel, given as member or as value; empty for a channel without subscribers.

        Raises `KeyError` for a channel that the enum does not have.
        """
        # Members are strings and equal to their values, so a plain value finds its member.
        return self._handlers[channel]  # type: ignore[index]

    def __getitem__(self, channel: EventPublisherChannel) -> tuple[QueueHandler, ...]:
        return self._handlers[channel]

    def __iter__(self) -> Iterator[EventPublisherChannel]:
        return iter(self._handlers)

    def __len__(self) -> int:
        return len(self._handlers)


def create_multiple_handlers(mapping: Mapping[EventPublisherChannel, Sequence[QueueHandler]]) -> Subscriptions:
    """Return the subscriptions that `mapping` describes.

    It must be total: it names every channel of the enum, with `[]` for channels that have no subscribers yet::

        subscriptions = create_multiple_handlers({
            Channel.DOMAIN_CODING_OPTIMIZATION_EVALUATED: [to_queue("valuation", job="price-stay")],
            Channel.DOMAIN_VALUATION_PRICING_CALCULATED: [],
        })

    Raises one `SubscriptionError` that names every missing channel with the line to add, every key that is not a member
    of the enum, every value that is not a list, every handler that is repeated on a channel, and every queue that has
    several numbers of partitions, or the name of another one's partition.
    """
    keys: Iterable[object] = mapping
    channels = next((type(key) for key in keys if isinstance(key, EventPublisherChannel)), None)
    if channels is None:
        problem = "no key is a channel; use create_multiple_handlers({Channel.DOMAIN_...: [to_queue(...)], ...})"
        raise SubscriptionError("The subscriptions cannot be used:", [problem])
    problems = [*_wrong_keys(mapping, channels), *_wrong_handlers(mapping), *_wrong_partitions(mapping)]
    if not problems:
        problems = [*_different_orders(mapping)]
    if problems:
        raise SubscriptionError(f"The subscriptions do not fit {channels.__name__}:", problems)
    return Subscriptions({channel: tuple(mapping[channel]) for channel in channels})


def _wrong_keys(
    mapping: Mapping[EventPublisherChannel, object], channels: type[EventPublisherChannel]
) -> Iterable[str]:
    present: set[object] = set()
    for key in mapping:
        if isinstance(key, channels):
            present.add(key)
            continue
        meant = next((channel for channel in channels if plain_name(key) in (channel.value, channel.name)), None)
        # A key that spells a channel is reported as not being a member; the channel is not missing too.
        present.add(meant)
        fix = f"use {channels.__name__}.{meant.name}" if meant else "add it to the enum, or remove the line"
        yield f"{key!r} is not a member of {channels.__name__}; {fix}"
    for channel in channels:
        if channel not in present:
            name = f"{channels.__name__}.{channel.name}"
            yield f"{name} is missing; if it has no subscribers yet, add {name}: [],"


def _wrong_handlers(mapping: Mapping[EventPublisherChannel, Sequence[Any]]) -> Iterable[str]:
    for key, handlers in mapping.items():
        name = getattr(key, "name", str(key))
        if isinstance(handlers, QueueHandler):
            yield f"{name}: the handler must be in a list; use [to_queue({handlers.queue!r}, job={handlers.job!r})]"
            continue
        if isinstance(handlers, str) or not isinstance(handlers, Sequence):
            kind = type(handlers).__name__
            yield f"{name}: the value is of type {kind}, not a list; use [to_queue('queue', job='job')]"
            continue
        for position, handler in enumerate(handlers):
            if not isinstance(handler, QueueHandler):
                yield f"{name}: {handler!r} is not a handler; use to_queue('queue', job='job')"
            elif any(str(handler) == str(other) for other in handlers[:position]):
                yield f"{name}: the queue {handler.queue} has the job {handler.job} twice; remove one of the two"


def _wrong_partitions(mapping: Mapping[EventPublisherChannel, object]) -> Iterable[str]:
    first: dict[str, tuple[QueueHandler, str]] = {}
    named: dict[str, str] = {}
    for key, handlers in mapping.items():
        name = getattr(key, "name", str(key))
        for handler in handlers if isinstance(handlers, Sequence) else ():
            if not isinstance(handler, QueueHandler):
                continue
            named.setdefault(handler.queue, name)
            other, where = first.setdefault(handler.queue, (handler, name))
            if other.partitions != handler.partitions:
                numbers = f"{other.partitions} on {where} and {handler.partitions} on {name}"
                yield f"the partitions of the queue {handler.queue} are {numbers}; use the same number everywhere"
    for handler, _ in first.values():
        for partition in handler.queues if handler.partitions > 1 else ():
            if partition in named:
                taken = f"{named[partition]}: the queue {partition} is a partition of {handler.queue}"
                yield f"{taken}; give it another name"


def _different_orders(mapping: Mapping[EventPublisherChannel, Sequence[QueueHandler]]) -> Iterable[str]:
    """Yield a problem for each queue whose handlers disagree: a job without the rule would overtake the others."""
    rules: dict[str, dict[tuple[OrderBy | None, str], str]] = {}
    for channel, handlers in mapping.items():
        for handler in handlers:
            rule = (handler.order_by, handler.on_failure if handler.order_by else "")
            rules.setdefault(handler.queue, {}).setdefault(rule, channel.name)
    for queue, channels in rules.items():
        if len(channels) > 1:
            which = "; ".join(f"{channel}: {_rule(*rule)}" for rule, channel in channels.items())
            yield f"the handlers of the queue {queue} order its jobs in different ways ({which}); use one rule for all"


def _rule(order_by: OrderBy | None, on_failure: str) -> str:
    if order_by is None:
        return "no order"
    return f'order_by={getattr(order_by, "__name__", "a function")}, on_failure="{on_failure}"'
