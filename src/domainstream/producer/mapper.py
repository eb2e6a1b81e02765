"""The mapper of a service: from event to channel, or to None for what stays inside; and the proof that it is total."""

from collections.abc import Callable, Iterable
from functools import partial
from inspect import isroutine, signature
from typing import Any, Never, get_args, get_origin, get_type_hints

from domainstream.channel import EventPublisherChannel
from domainstream.errors import MapperError
from domainstream.event import BaseEvent

EventClass = type[BaseEvent[Any]]
Mapper = Callable[[Any], EventPublisherChannel | None]


def verify_mapper(channel_for: Mapper, events: object = None) -> dict[EventClass, EventPublisherChannel | None]:
    """Prove that `channel_for` maps every event class, and each to the channel of its own type.

    `events` is the service's union of event classes (`A | B | C`) or an iterable of classes; by default it is the
    annotation of the mapper's parameter. Each class is tried with an event that has no payload, because a mapper
    decides on the class alone. A service that publishes nothing says so with `Never`, and gets an empty dict.

    Returns the channel, or None, of each class. Raises `MapperError` with everything that is wrong: a class that the
    mapper forgets, a channel that is another event's, a class without an event type, no union to prove anything about.
    """
    declared = _annotation_of(channel_for) if events is None else events
    if getattr(declared, "__value__", declared) is Never:
        return {}
    classes = _classes(declared)
    name = getattr(channel_for, "__name__", type(channel_for).__name__)
    if not classes:
        problem = f"no event classes are known; type: def {name}(event: MyDomainEvent), with MyDomainEvent = A | B"
        raise MapperError(f"The mapper {name} cannot be verified:", [problem])
    verdicts = {event_class: _try(channel_for, event_class) for event_class in classes}
    problems = [verdict for verdict in verdicts.values() if isinstance(verdict, _Problem)]
    if problems:
        raise MapperError(f"The mapper {name} is not right:", problems)
    return {event_class: channel for event_class, channel in verdicts.items() if not isinstance(channel, _Problem)}


def declared_events(channel_for: Mapper) -> tuple[EventClass, ...]:
    """Return the event classes in the annotation of the mapper's parameter; empty where it names none."""
    return _classes(_annotation_of(channel_for))


def _annotation_of(channel_for: Mapper) -> object:
    """Return the annotation of the mapper's parameter; empty where it has none."""
    try:
        hints = get_type_hints(_function_of(channel_for))
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        problem = f"{error}; define the name, or import it outside of `if TYPE_CHECKING:`"
        raise MapperError("The mapper's annotations cannot be read:", [problem]) from error
    return hints.get(_parameter_of(channel_for), ())


def disagreement(event_class: EventClass, channel: object) -> str | None:
    """Say why events of a class must not go to `channel`, or None when they may."""
    if channel is None:
        return None
    if not isinstance(channel, EventPublisherChannel):
        return f"{event_class.__name__} is mapped to {channel!r}, which is neither a channel nor None"
    if _has_no_type(event_class):
        return f"{event_class.__name__} has no event type; type: event_type = ..."
    if channel.value != event_class.event_type:
        return (
            f"{event_class.__name__} has the type {str(event_class.event_type)!r} but is mapped to {channel.name}; "
            f"map it to {str(event_class.event_type).upper()}"
        )
    return None


def _has_no_type(event_class: EventClass) -> bool:
    return not isinstance(getattr(event_class, "event_type", None), str)


def _function_of(mapper: Any) -> Callable[..., Any]:
    """Return what carries the annotations: the function itself, that of a `partial`, or the method `__call__`."""
    while isinstance(mapper, partial):
        mapper = mapper.func
    return mapper if isroutine(mapper) else type(mapper).__call__


def _parameter_of(mapper: Mapper) -> str:
    try:
        return next(iter(signature(mapper).parameters), "")
    except ValueError:  # some functions written in C have no signature
        return ""


class _Problem(str):
    __slots__ = ()


def _try(channel_for: Mapper, event_class: EventClass) -> EventPublisherChannel | _Problem | None:
    if _has_no_type(event_class):
        return _Problem(f"{event_class.__name__} has no event type; type: event_type = ...")
    try:
        channel = channel_for(event_class(aggregate_id="verify-mapper", payload=None))
    except Exception as error:  # noqa: BLE001 - a mapper is the user's code; assert_never raises AssertionError
        return _Problem(_why_it_raised(event_class.__name__, error))
    problem = disagreement(event_class, channel)
    return channel if problem is None else _Problem(problem)


def _why_it_raised(name: str, error: Exception) -> str:
    if isinstance(error, TypeError) or (isinstance(error, AttributeError) and error.obj is None):
        return f"{name} without a payload makes the mapper raise {type(error).__name__}; map by its class alone"
    if isinstance(error, AttributeError):
        return f"{name} makes the mapper raise AttributeError: {error}; return a channel that exists, or None"
    return f"{name} has no case ({type(error).__name__}); add: case {name}(): return ..."


def _classes(events: object) -> tuple[EventClass, ...]:
    """Flatten a union, a `type` alias or an iterable into event classes; the open base class names no events."""
    events = getattr(events, "__value__", events)
    events = _generic_class(get_origin(events)) or events
    if isinstance(events, type):
        return (events,) if issubclass(events, BaseEvent) and events is not BaseEvent else ()
    members: Iterable[object] = get_args(events) or (events if isinstance(events, Iterable) else ())
    return tuple(event_class for member in members for event_class in _classes(member))


def _generic_class(origin: object) -> type | None:
    """Return `Event` for the origin of `Event[Payload]`, None for that of a union."""
    return origin if isinstance(origin, type) and issubclass(origin, BaseEvent) else None
