"""Where events go: mappers, subscriptions and consumers."""

from dataclasses import dataclass

from domainstream.tools.check.findings import Location


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case of a mapper returns."""

    channel: str | None
    """The name of a member of an enum of channels, or None for events that stay inside."""

    enum: str | None
    """The symbol of that enum; None where `channel` is."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case of a mapper."""

    events: tuple[str, ...]
    """The symbols of the events that it is about."""

    covers: bool
    """Whether it takes all of these events: it has no guard and asks for nothing but the class."""

    outcomes: tuple[Outcome, ...]
    """What it returns; empty where that is not plain."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class Wildcard:
    """What a mapper does about events without a case."""

    unreachable: bool
    """Whether it proves by `assert_never` that there are none."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class Mapper:
    """A function from event to channel."""

    name: str
    """Its name."""

    service: str
    """The service it is in."""

    parameter: str
    """Its parameter's name, as `assert_never` takes it."""

    union: tuple[str, ...] | None
    """The symbols of the events it takes, in the order of their union; None when that is not plain."""

    cases: tuple[Case, ...]
    """Its cases."""

    understood: bool
    """Whether each of them was."""

    wildcard: Wildcard | None
    """What comes after them; None when nothing does."""

    allows_none: bool | None
    """Whether its return type has None; None when it has no type, or none that is plain."""

    promises_none: bool
    """Whether its docstring or a comment says that it returns None."""

    location: Location
    """Where it is."""

    return_location: Location
    """Where its return type is."""


@dataclass(frozen=True, slots=True)
class Order:
    """That jobs of a queue are handled one after the other."""

    by: str | None
    """What identifies the function that returns their key; None when that is not plain."""

    on_failure: str | None
    """What becomes of those behind a failed one: "hold" or "skip"; None when that is not plain."""

    priority: int | None
    """Their priority, likewise."""

    keeps_failed: bool | None
    """Whether a failed one stays until it is retried or removed, likewise."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A queue that gets jobs for the events of a channel."""

    queue: str | None
    """The queue's name; None when that is not plain."""

    job: str | None
    """The job's name, likewise."""

    partitions: int | None
    """Over how many BullMQ queues the queue is spread; None when that is not plain."""

    order: Order | None
    """In which order its jobs are handled; None for no order."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class SubscribedChannel:
    """An entry of the subscriptions."""

    channel: str
    """The name of the channel, as a member of its enum."""

    enum: str
    """The symbol of that enum."""

    subscriptions: tuple[Subscription, ...]
    """Who gets its events."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class SubscriptionMap:
    """A call of `create_multiple_handlers`."""

    entries: tuple[SubscribedChannel, ...]
    """Its entries, in their order."""

    complete: bool
    """Whether every entry was understood."""

    location: Location
    """Where it is."""

    end: Location
    """Where its last line is, before which an entry can be added."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that handles events."""

    events: tuple[str, ...]
    """The symbols of the events it takes."""

    job: str | None
    """The only job name it takes; None for all."""

    name: str
    """The function's name."""

    location: Location
    """Where it is."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """The handlers of one queue."""

    symbol: str
    """The dotted name of what it is assigned to; other files add handlers under it."""

    service: str
    """The service it is in; empty for a package."""

    queue: str | None
    """The queue's name; None when that is not plain."""

    partitions: int | None
    """Over how many BullMQ queues it is spread; None when that is not plain."""

    handlers: tuple[Handler, ...]
    """Its handlers."""

    complete: bool
    """Whether every handler was understood, and jobs without one fail."""

    location: Location
    """Where it is."""

    made: bool
    """Whether it is made there; False for handlers of a consumer that is made elsewhere."""
