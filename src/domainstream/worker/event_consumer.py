"""Which function handles which event of a queue. Before: `event_context`; run by `bullmq_event_worker` or a test."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar, overload

from domainstream.config import MessageLimits, refuse
from domainstream.errors import HandlerNotFoundError, UnknownEventTypeError
from domainstream.event import BaseEvent, EventDecoder, UpcasterChain
from domainstream.queue import job_origin
from domainstream.queue.names import name_problem
from domainstream.worker.event_context import EventContext, ReceivedJob, context_of
from domainstream.worker.handlers import Handling, class_problem, handler_problem, name_of
from domainstream.worker.outcomes import Done

DEFAULT_LIMITS: Final = MessageLimits()

EventA = TypeVar("EventA", bound=BaseEvent[Any])
EventB = TypeVar("EventB", bound=BaseEvent[Any])
EventC = TypeVar("EventC", bound=BaseEvent[Any])
Answer = Done | None
AnswerT = TypeVar("AnswerT", bound=Awaitable[Answer] | Answer)
AnyHandlerT = TypeVar("AnyHandlerT", bound=Callable[..., Any])

EventClass = type[BaseEvent[Any]]
Handler = Callable[[Any, EventContext], Any]
HandlerOf = Callable[[EventA, EventContext], AnswerT]


class EventConsumer:
    """The handlers of one queue.

    Usage::

        consumer = EventConsumer("valuation")

        @consumer.on(OptimizationEvaluated)
        async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
            ...

    A handler that returns has done its job; it raises `RetryLater` or `GiveUp` for the other outcomes. Handlers run
    at least once per event, so they must bear a repeat. A plain function runs in a thread of asyncio's default
    executor.

    Attributes:
        queue: The queue's name.
    """

    def __init__(
        self, queue: str, *, upcasters: Iterable[UpcasterChain] = (), limits: MessageLimits = DEFAULT_LIMITS
    ) -> None:
        """Handle the jobs of `queue`; raise `ConfigurationError` for a name that is empty or holds ":" or white space.

        `upcasters` bring payloads of old versions to the newest; `limits` are those of the event alone.
        """
        refuse("EventConsumer", [name_problem("queue", queue)])
        self.queue = queue
        self._upcasters = tuple(upcasters)
        # A job repeats the channel and the correlation id beside the event, which at most doubles its size.
        self._limits = replace(limits, max_bytes=limits.max_bytes * 2)
        self._handlers: dict[EventClass, Handler] = {}
        self._decoder = self._decoder_of(())

    @overload
    def on(self, a: type[EventA], /) -> Callable[[HandlerOf[EventA, AnswerT]], HandlerOf[EventA, AnswerT]]: ...

    @overload
    def on(
        self, a: type[EventA], b: type[EventB], /
    ) -> Callable[[HandlerOf[EventA | EventB, AnswerT]], HandlerOf[EventA | EventB, AnswerT]]: ...

    @overload
    def on(
        self, a: type[EventA], b: type[EventB], c: type[EventC], /
    ) -> Callable[[HandlerOf[EventA | EventB | EventC, AnswerT]], HandlerOf[EventA | EventB | EventC, AnswerT]]: ...

    @overload
    def on(
        self, a: EventClass, b: EventClass, c: EventClass, d: EventClass, /, *more: EventClass
    ) -> Callable[[AnyHandlerT], AnyHandlerT]: ...

    def on(self, *event_classes: EventClass) -> Callable[[Any], Any]:
        """Register the decorated function as the handler of these event classes; the function itself stays as it is.

        Raises `ConfigurationError` for a class that has a handler already or shares its event type with one that has,
        for what is no event class, for a function that cannot take an event and a context, and when no class is given.
        """
        refuse(f"@consumer.on of queue {self.queue}", map(class_problem, event_classes))
        return partial(self._register, event_classes)

    @property
    def event_classes(self) -> tuple[EventClass, ...]:
        """The classes that have a handler."""
        return tuple(self._handlers)

    def prepare(self, job: ReceivedJob) -> Handling:
        """Decode a job and return what is left to do: to call its handler.

        Raises `HandlerNotFoundError` for an event type that has no handler, `EventDecodingError` for data that is no
        event.
        """
        try:
            event = self._decoder.decode(job.data)
        except UnknownEventTypeError as error:
            raise self._no_handler(job, error) from None
        context = context_of(job, job_origin(job.data), event)
        handler = self._handlers[type(event)]
        return Handling(type(event).__name__, handler, partial(_call, handler, event, context))

    async def handle(self, job: ReceivedJob) -> None:
        """Decode a job and call its handler, as a worker does; for tests of handlers.

        Raises what `prepare` raises and what the handler raises.
        """
        await self.prepare(job)()

    def _register(self, event_classes: tuple[EventClass, ...], handler: Any) -> Any:
        taken = [
            f"{cls.__name__} is handled by {name_of(self._handlers[cls])} already; remove one of the two"
            for cls in event_classes
            if cls in self._handlers
        ]
        none = [] if event_classes else ["no event class is given; type: @consumer.on(SomethingHappened)"]
        refuse(f"The handler {name_of(handler)!r} of queue {self.queue}", [*taken, *none, handler_problem(handler)])
        # First the decoder: it refuses classes that cannot be told apart.
        self._decoder = self._decoder_of((*self._handlers, *event_classes))
        for cls in event_classes:
            self._handlers[cls] = handler
        return handler

    def _decoder_of(self, event_classes: Iterable[EventClass]) -> EventDecoder:
        return EventDecoder(event_classes, upcasters=self._upcasters, limits=self._limits)

    def _no_handler(self, job: ReceivedJob, error: UnknownEventTypeError) -> HandlerNotFoundError:
        return HandlerNotFoundError(
            f"queue {self.queue}, job {job.name} ({job.id}): no handler for event type {error.event_type}. "
            f"Type: @consumer.on(...) with its class, or do not subscribe this queue to it"
        )


async def _call(handler: Handler, event: BaseEvent[Any], context: EventContext) -> None:
    """Await a coroutine function here; run a plain one in a thread, and await what it returns if it can be awaited."""
    if inspect.iscoroutinefunction(handler):
        await handler(event, context)
        return
    answer = await asyncio.to_thread(handler, event, context)
    if inspect.isawaitable(answer):
        await answer
