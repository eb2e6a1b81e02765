"""What may be a handler, and a handler with the event it is about to get."""

import inspect
from collections.abc import Awaitable, Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin

from msgspec import Struct

from domainstream.event import BaseEvent
from domainstream.worker.context import EventContext

_EXAMPLE = "@consumer.on(SomethingHappened)"


class PreparedCall(Struct, frozen=True, gc=False):
    """A job that is decoded: calling this calls its handler."""

    event: BaseEvent[Any]
    """The event as it was decoded."""

    handler: Callable[..., Any]
    """The function that handles it."""

    call: Callable[[], Awaitable[None]]
    """Calls the function with the event and its context."""

    context: EventContext
    """What the function is told beside the event."""

    @property
    def event_name(self) -> str:
        """The name of the event's class."""
        return type(self.event).__name__

    async def __call__(self) -> None:
        """Call the handler; raise what it raises."""
        await self.call()


def name_of(handler: object) -> str:
    """Return what people call a handler."""
    return str(getattr(handler, "__name__", handler))


def class_problem(given: object) -> str | None:
    """Say what is wrong with an argument of `@consumer.on`; None when it is an event class."""
    if isinstance(given, type) and issubclass(given, BaseEvent):
        return None
    if get_origin(given) in (Union, UnionType):
        classes = ", ".join(name_of(each) for each in get_args(given))
        return f"{given} is a union, not event classes; type: @consumer.on({classes})"
    if isinstance(given, type) or not callable(given):
        return f"{given!r} is no event class; type: {_EXAMPLE} with a subclass of BaseEvent"
    return f"the function {name_of(given)!r} is given, not event classes; type: {_EXAMPLE} above it"


def handler_problem(handler: Any) -> str | None:
    """Say why `handler` cannot be called with an event and a context; None when it can."""
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        return "it yields, so that calling it would do nothing; remove the yield"
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError as error:
        name = name_of(handler)
        return f"it cannot take an event and a context: {error}; type: async def {name}(event, context) -> None: ..."
    except ValueError:
        # Some functions of C do not tell their parameters.
        return None
    return None
