"""Mappers: a service's function from event to channel, or to None for events that stay inside the service.

A type checker proves that a mapper which ends in `assert_never` has a case for every event of its annotated union.
What it cannot prove is that each event is mapped to its own channel, and without `assert_never` a mapper that falls off
its end returns None, as for an event that stays inside the service. So `verify_mapper` tries every class at start-up,
and one that no mapper knows.
"""

from collections.abc import Callable, Iterable
from functools import partial
from inspect import isroutine, signature
from typing import Any, Never, get_args, get_origin, get_type_hints

from domainstream.channel import EventPublisherChannel
from domainstream.errors import MapperError
from domainstream.event import BaseEvent
from domainstream.event.payload_codec import verify_payload
from domainstream.validation import plain_name

EventClass = type[BaseEvent[Any]]
Mapper = Callable[[Any], EventPublisherChannel | None]


def verify_mapper(channel_for: Mapper, events: object = None) -> dict[EventClass, EventPublisherChannel | None]:
    """Prove that `channel_for` maps every event class, each to the channel of its own type or to None.

    `events` is the service's union of event classes (`A | B | C`) or an iterable of classes. It defaults to the
    annotation of the mapper's parameter. Each class is tried with an event without payload, because a mapper must
    decide by class alone. The mapper is also tried with an event of a class that it does not name, for which it must
    raise an exception, as `assert_never` does, or return a channel. A service that publishes nothing declares `Never`,
    and gets an empty dict.

    Returns the channel, or None, of each class. Raises `MapperError` that lists every problem: a class without a case,
    None for classes that the mapper does not name, the channel of another event, a class without an event type, or no
    event classes to verify. Raises `ConfigurationError` for a class whose payload cannot be written or read.
    """
    declared = _annotation_of(channel_for) if events is None else events
    if getattr(declared, "__value__", declared) is Never:
        return {}
    classes = _classes(declared)
    name = getattr(channel_for, "__name__", type(channel_for).__name__)
    if not classes:
        problem = f"no event classes are known; use def {name}(event: MyDomainEvent), with MyDomainEvent = A | B"
        raise MapperError(f"The mapper {name} cannot be verified:", [problem])
    channels: dict[EventClass, EventPublisherChannel | None] = {}
    problems: list[str] = []
    for event_class in classes:
        channels[event_class], mistake = _try(channel_for, event_class)
        if mistake is not None:
            problems.append(mistake)
    if _ignores_unknown(channel_for):
        problems.append(
            f"{name} returns None for events that it does not name, so a new event would silently stay inside the "
            f"service; end its match with: case _: assert_never(event)"
        )
    if problems:
        raise MapperError(f"The mapper {name} is wrong:", problems)
    for event_class in classes:
        verify_payload(event_class)
    return channels


def declared_events(channel_for: Mapper) -> tuple[EventClass, ...]:
    """Return the event classes in the annotation of the mapper's parameter; empty if it names none."""
    return _classes(_annotation_of(channel_for))


def channel_mismatch(event_class: EventClass, channel: object) -> str | None:
    """Return why events of a class must not be published to `channel`; None if they may."""
    if channel is None:
        return None
    if not isinstance(channel, EventPublisherChannel):
        return f"{event_class.__name__} is mapped to {channel!r}, which is neither a channel nor None"
    if (problem := _type_problem(event_class)) is not None:
        return problem
    event_type = plain_name(event_class.event_type)
    if channel.value != event_type:
        return (
            f"{event_class.__name__} has the type {event_type!r} but is mapped to {channel.name}; "
            f"map it to {event_type.upper()}"
        )
    return None


def _type_problem(event_class: EventClass) -> str | None:
    if isinstance(getattr(event_class, "event_type", None), str):
        return None
    return f"{event_class.__name__} has no event_type; add: event_type = YourEventType.NAME"


def _try(channel_for: Mapper, event_class: EventClass) -> tuple[EventPublisherChannel | None, str | None]:
    """Call the mapper for one class and return the channel and the problem."""
    if (problem := _type_problem(event_class)) is not None:
        return None, problem
    name = event_class.__name__
    try:
        channel = channel_for(event_class(aggregate_id="verify-mapper", payload=None))
    except Exception as error:  # noqa: BLE001 - a mapper is the user's code; assert_never raises AssertionError
        if isinstance(error, TypeError) or (isinstance(error, AttributeError) and error.obj is None):
            problem = f"{name} without a payload makes the mapper raise {type(error).__name__}; map by class alone"
        elif isinstance(error, AttributeError):
            problem = f"{name} makes the mapper raise AttributeError: {error}; return a channel that exists, or None"
        else:
            problem = f"{name} has no case ({type(error).__name__}); add: case {name}(): return ..."
        return None, problem
    return channel, channel_mismatch(event_class, channel)


class _Unknown(BaseEvent[None]):
    """An event that no mapper names."""

    event_type = "domain_domainstream_mapper_verified"


def _ignores_unknown(channel_for: Mapper) -> bool:
    answer: object
    try:
        answer = channel_for(_Unknown(aggregate_id="verify-mapper", payload=None))
    except Exception as error:  # noqa: BLE001 - a mapper is the user's code, and any exception is as good as assert_never's
        answer = error
    return answer is None


def _annotation_of(channel_for: Mapper) -> object:
    """Return the annotation of the mapper's parameter; an empty tuple if it has none."""
    # The annotations belong to the function itself, the function inside a `partial`, or the method `__call__`.
    function: Any = channel_for
    while isinstance(function, partial):
        function = function.func
    function = function if isroutine(function) else type(function).__call__
    try:
        hints = get_type_hints(function)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        problem = f"{error}; define the name, or import it outside `if TYPE_CHECKING:`"
        raise MapperError("The mapper's annotations cannot be read:", [problem]) from error
    try:
        parameter = next(iter(signature(channel_for).parameters), "")
    except ValueError:  # some functions written in C have no signature
        parameter = ""
    return hints.get(parameter, ())


def _classes(events: object) -> tuple[EventClass, ...]:
    """Flatten a union, a `type` alias or an iterable into event classes; `BaseEvent` itself does not count as one."""
    events = getattr(events, "__value__", events)
    origin = get_origin(events)
    if isinstance(origin, type) and issubclass(origin, BaseEvent):  # Event[Payload]
        events = origin
    if isinstance(events, type):
        return (events,) if issubclass(events, BaseEvent) and events is not BaseEvent else ()
    members: Iterable[object] = get_args(events) or (events if isinstance(events, Iterable) else ())
    return tuple(event_class for member in members for event_class in _classes(member))
