"""Where a system's events go: mappers, subscriptions, consumers. Part of `model`. Before: `domain_model`. Pure."""

from dataclasses import dataclass

from domainstream.tools.check.findings import Place


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case of a mapper returns.

    Attributes:
        channel: The name of a member of an enum of channels, or None for events that stay inside.

        enum: The symbol of that enum; None where `channel` is.

        place: Where it stands.
    """

    channel: str | None
    enum: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Case:
    """A case of a mapper.

    Attributes:
        events: The symbols of the events that it is about.

        covers: Whether it takes all of these events: it has no guard and asks for nothing but the class.

        outcomes: What it returns; empty where that is not plain.

        place: Where it stands.
    """

    events: tuple[str, ...]
    covers: bool
    outcomes: tuple[Outcome, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Wildcard:
    """What a mapper does about events without a case.

    Attributes:
        unreachable: Whether it proves by `assert_never` that there are none.

        place: Where it stands.
    """

    unreachable: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Mapper:
    """A function from event to channel.

    Attributes:
        name: Its name.

        service: The service it stands in.

        parameter: Its parameter's name, as `assert_never` takes it.

        union: The symbols of the events it takes, in the order of their union; None when that is not plain.

        cases: Its cases.

        understood: Whether each of them was.

        wildcard: What comes after them; None when nothing does.

        allows_none: Whether its return type has None; None when it has no type, or none that is plain.

        promises_none: Whether its docstring or a comment says that it returns None.

        place: Where it stands.

        return_place: Where its return type stands.
    """

    name: str
    service: str
    parameter: str
    union: tuple[str, ...] | None
    cases: tuple[Case, ...]
    understood: bool
    wildcard: Wildcard | None
    allows_none: bool | None
    promises_none: bool
    place: Place
    return_place: Place


@dataclass(frozen=True, slots=True)
class Subscription:
    """A queue that gets jobs for the events of a channel.

    Attributes:
        queue: The queue's name; None when that is not plain.

        job: The job's name, likewise.

        place: Where it stands.
    """

    queue: str | None
    job: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class SubscribedChannel:
    """An entry of the subscriptions.

    Attributes:
        channel: The name of the channel, as a member of its enum.

        enum: The symbol of that enum.

        subscriptions: Who gets its events.

        place: Where it stands.
    """

    channel: str
    enum: str
    subscriptions: tuple[Subscription, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class SubscriptionMap:
    """A call of `create_multiple_handlers`.

    Attributes:
        entries: Its entries, in their order.

        complete: Whether every entry was understood.

        place: Where it stands.

        end: Where its last line stands, before which an entry can be added.
    """

    entries: tuple[SubscribedChannel, ...]
    complete: bool
    place: Place
    end: Place


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that handles events.

    Attributes:
        events: The symbols of the events it takes.

        job: The only job name it takes; None for all.

        name: The function's name.

        place: Where it stands.
    """

    events: tuple[str, ...]
    job: str | None
    name: str
    place: Place


@dataclass(frozen=True, slots=True)
class Consumer:
    """The handlers of one queue.

    Attributes:
        symbol: The dotted name of what it is assigned to; other files add handlers under it.

        service: The service it stands in; empty for a package.

        queue: The queue's name; None when that is not plain.

        handlers: Its handlers.

        complete: Whether every handler was understood, and jobs without one fail.

        place: Where it stands.

        made: Whether it is made there; False for handlers of a consumer that is made elsewhere.
    """

    symbol: str
    service: str
    queue: str | None
    handlers: tuple[Handler, ...]
    complete: bool
    place: Place
    made: bool
