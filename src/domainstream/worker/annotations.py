"""Compares the event that a handler is annotated with with the events that it is registered for.

Type checkers do so without running anything; this is for code that is not type-checked. What cannot be decided is
accepted: an annotation may be missing, or name something that exists only for type checkers.
"""

import inspect
from collections.abc import Callable, Iterable
from types import SimpleNamespace, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from domainstream.event import BaseEvent


def annotation_problem(handler: Callable[..., Any], event_classes: Iterable[type[BaseEvent[Any]]]) -> str | None:
    """Say which events `handler` is registered for although its annotation excludes them; None when there are none."""
    annotation = _annotation_of_event(handler)
    excluded = [event_class.__name__ for event_class in event_classes if not _accepts(annotation, event_class)]
    if not excluded:
        return None
    taken, registered = getattr(annotation, "__name__", str(annotation)), " | ".join(excluded)
    is_event = isinstance(annotation, type) and issubclass(annotation, BaseEvent)
    return (
        f"it is registered for {registered}, but its first parameter is annotated with {taken}; "
        f"{f'use @consumer.on({taken}), or ' if is_event else ''}annotate the parameter with {registered}"
    )


def _annotation_of_event(handler: Callable[..., Any]) -> object:
    """Return the annotation of the parameter that gets the event, with names resolved; None if it has none.

    If that fails, the error is returned: it is not a class either, so it excludes no event.
    """
    try:
        parameter = next(iter(inspect.signature(handler).parameters.values()))
        if parameter.annotation is parameter.empty:
            return None
        annotated = SimpleNamespace(__annotations__={"event": parameter.annotation})
        return get_type_hints(annotated, globalns=_globals_of(handler))["event"]
    except Exception as error:  # noqa: BLE001 - an annotation may be any expression
        return error


def _globals_of(handler: Any) -> dict[str, Any]:
    """Return the names of the module in which a function, method, partial or callable object was written."""
    function = inspect.unwrap(getattr(handler, "func", handler))
    if not hasattr(function, "__code__") and not hasattr(function, "__func__"):
        function = inspect.unwrap(type(function).__call__)
    return dict(getattr(function, "__globals__", {}))


def _accepts(annotation: Any, event_class: type[BaseEvent[Any]]) -> bool:
    annotation = getattr(annotation, "__value__", annotation)
    if get_origin(annotation) in (Union, UnionType):
        return any(_accepts(member, event_class) for member in get_args(annotation))
    accepted = get_origin(annotation) or annotation
    try:
        # `Any` is a class since Python 3.11.
        return accepted is Any or not isinstance(accepted, type) or issubclass(event_class, accepted)
    except TypeError:
        # A protocol that cannot be checked at run time.
        return True
