"""The handlers of one queue: which function handles which event, and what surrounds its calls."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final, Literal, TypeVar, overload

from msgspec import Struct

from domainstream.errors import HandlerNotFoundError, UnknownEventTypeError, UnknownEventVersionError
from domainstream.event import BaseEvent, EventDecoder
from domainstream.queue import job_origin
from domainstream.queue.job import name_problem
from domainstream.queue.partitions import partitions_problem, queues_of
from domainstream.settings import MessageLimits
from domainstream.validation import plain_name, positive, raise_problems
from domainstream.worker.annotations import annotation_problem
from domainstream.worker.context import EventContext, ReceivedJob, context_of
from domainstream.worker.outcomes import ErrorHandler, HandlerOutcome
from domainstream.worker.prepared_call import (
    Middleware,
    Next,
    PreparedCall,
    around,
    event_class_problem,
    handler_chain,
    handler_problem,
    middleware_problem,
    name_of,
)
from domainstream.worker.thread_pool import HandlerThreadPool
from domainstream.worker.waiting import Wait, is_unhandled

DEFAULT_LIMITS: Final = MessageLimits()
DEFAULT_ERRORS: Final = ErrorHandler()

EventA = TypeVar("EventA", bound=BaseEvent[Any])
EventB = TypeVar("EventB", bound=BaseEvent[Any])
EventC = TypeVar("EventC", bound=BaseEvent[Any])
Returned = HandlerOutcome | None
ReturnT = TypeVar("ReturnT", bound=Awaitable[Returned] | Returned)
AnyHandlerT = TypeVar("AnyHandlerT", bound=Callable[..., Any])

EventClass = type[BaseEvent[Any]]
HandlerOf = Callable[[EventA, EventContext], ReturnT]
Unhandled = Literal["wait", "fail", "skip"] | Wait


class _Registration(Struct, eq=False):
    """A handler, and the chain that calls it."""

    handler: Callable[..., Any]
    chain: Next


class EventConsumer:
    """The handlers of one queue.

    Usage::

        consumer = EventConsumer("valuation")

        @consumer.on(OptimizationEvaluated)
        async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
            ...

    A handler that returns has done its job; it raises `RetryLater` or `GiveUp` for the other outcomes, and any other
    exception goes to `errors`. Handlers run at least once per event, so they must tolerate being run again. A plain
    function runs in a thread. Events made by a handler have the event it handles as their cause.
    """

    def __init__(
        self,
        queue: str,
        *,
        partitions: int = 1,
        limits: MessageLimits = DEFAULT_LIMITS,
        errors: ErrorHandler = DEFAULT_ERRORS,
        unhandled: Unhandled = "wait",
        time_limit: timedelta | None = None,
        middlewares: Iterable[Middleware] = (),
    ) -> None:
        """Handle the jobs of `queue`.

        `partitions` is the number that its subscriptions say. `limits` apply to the event alone; `time_limit` is for
        handlers without one of their own, None being no limit; `middlewares` surround every call of a handler, the
        first one outermost.

        `unhandled` is for jobs that this build does not handle: their event type, job name or event version may belong
        to a newer one. "wait" looks at them again after growing pauses, without using attempts, and fails them after 7
        days, `Wait(limit)` after another time; "fail" fails them at once; "skip" completes them.

        Raises `ConfigurationError` for a queue name that is empty or contains ":" or whitespace, and for settings that
        make no sense.
        """
        middlewares, queue = tuple(middlewares), plain_name(queue)
        settings = [
            _unhandled_problem(unhandled),
            _time_limit_problem(time_limit),
            *map(middleware_problem, middlewares),
        ]
        raise_problems("EventConsumer", [name_problem("queue", queue), partitions_problem(partitions), *settings])
        self.queue = queue
        """The queue's name."""
        self.partitions = partitions
        """Over how many BullMQ queues it is spread."""
        self.errors = errors
        """What the handlers' exceptions mean."""
        self.unhandled = Wait() if unhandled == "wait" else unhandled
        """What happens to a job that this build does not handle: `Wait`, "fail" or "skip"."""
        # A job repeats the channel and the correlation id beside the event, which at most doubles its size.
        self._limits = replace(limits, max_bytes=limits.max_bytes * 2)
        self._time_limit = time_limit
        self._middlewares = middlewares
        self._threads = HandlerThreadPool(queue)
        self._registrations: list[_Registration] = []
        self._by_event: dict[EventClass, dict[str | None, _Registration]] = {}
        self._decoder = self._decoder_of(())

    @overload
    def on(
        self, a: type[EventA], /, *, job: str | None = None, time_limit: timedelta | None = None
    ) -> Callable[[HandlerOf[EventA, ReturnT]], HandlerOf[EventA, ReturnT]]: ...

    @overload
    def on(
        self, a: type[EventA], b: type[EventB], /, *, job: str | None = None, time_limit: timedelta | None = None
    ) -> Callable[[HandlerOf[EventA | EventB, ReturnT]], HandlerOf[EventA | EventB, ReturnT]]: ...

    @overload
    def on(
        self,
        a: type[EventA],
        b: type[EventB],
        c: type[EventC],
        /,
        *,
        job: str | None = None,
        time_limit: timedelta | None = None,
    ) -> Callable[[HandlerOf[EventA | EventB | EventC, ReturnT]], HandlerOf[EventA | EventB | EventC, ReturnT]]: ...

    @overload
    def on(
        self,
        a: EventClass,
        b: EventClass,
        c: EventClass,
        d: EventClass,
        /,
        *more: EventClass,
        job: str | None = None,
        time_limit: timedelta | None = None,
    ) -> Callable[[AnyHandlerT], AnyHandlerT]: ...

    def on(
        self, *event_classes: EventClass, job: str | None = None, time_limit: timedelta | None = None
    ) -> Callable[[Any], Any]:
        """Register the decorated function as the handler of these event classes; the function itself stays as it is.

        With `job` it handles only jobs of that name; a handler without one handles the names that no other handler has.
        A handler that runs longer than `time_limit` has failed its attempt: a coroutine function is cancelled; a plain
        function cannot be, and runs on in its thread.

        Raises `ConfigurationError` if a class already has a handler, shares its event type with one that has, or is not
        an event class; if the function cannot take an event and a context; and if no class is given.
        """
        job = plain_name(job)
        problems = [*map(event_class_problem, event_classes), _job_problem(job), _time_limit_problem(time_limit)]
        raise_problems(f"@consumer.on of queue {self.queue}", problems)
        return partial(self._register, event_classes, job, time_limit)

    def add_middleware(self, middleware: Middleware) -> None:
        """Put `middleware` around all others and every handler, including handlers that are registered already.

        For code that gets a finished consumer, such as instrumentation. Raises `ConfigurationError` for a function that
        cannot take a call and the next one.
        """
        raise_problems(f"The consumer of queue {self.queue}", [middleware_problem(middleware)])
        self._middlewares = (middleware, *self._middlewares)
        for registration in self._registrations:
            registration.chain = around(middleware, registration.chain)

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of the BullMQ queues that it is spread over; without partitions, its own."""
        return queues_of(self.queue, self.partitions)

    @property
    def event_classes(self) -> tuple[EventClass, ...]:
        """The classes that have a handler."""
        return tuple(self._by_event)

    def prepare(self, job: ReceivedJob) -> PreparedCall:
        """Decode a job and return the call of its handler, ready to run.

        Raises `HandlerNotFoundError` for an event type or job name without a handler, and `EventDecodingError` for data
        that is not an event of a known version.
        """
        try:
            event = self._decoder.decode(job.data)
        except UnknownEventTypeError as error:
            raise _no_handler(self.queue, job, error.event_type, f"event type {error.event_type}", "") from None
        registrations = self._by_event[type(event)]
        registration = registrations.get(job.name) or registrations.get(None)
        if registration is None:
            name = type(event).__name__
            arguments = f'{name}, job="{job.name}"'
            raise _no_handler(self.queue, job, str(event.event_type), f"{name} in jobs of this name", arguments)
        context = context_of(job, job_origin(job.data), event)
        return PreparedCall(event, context, registration.handler, registration.chain)

    async def handle(self, job: ReceivedJob) -> None:
        """Decode a job and call its handler with all middlewares, as a worker does; for tests of handlers.

        Raises what `prepare` raises, unless such jobs are skipped, and what the handler raises.
        """
        try:
            call = self.prepare(job)
        except (HandlerNotFoundError, UnknownEventVersionError) as error:
            if self.unhandled == "skip" and is_unhandled(error):
                return
            raise
        await call.run()

    def _register(
        self, event_classes: tuple[EventClass, ...], job: str | None, time_limit: timedelta | None, handler: Any
    ) -> Any:
        problems = [] if event_classes else ["no event class is given; use @consumer.on(SomethingHappened)"]
        jobs = "" if job is None else f" in jobs named {job}"
        for event_class in event_classes:
            if (other := self._by_event.get(event_class, {}).get(job)) is not None:
                taken = f"{event_class.__name__} is already handled by {name_of(other.handler)}{jobs}"
                problems.append(f"{taken}; remove one of the two")
        problems += filter(None, (handler_problem(handler), annotation_problem(handler, event_classes)))
        raise_problems(f"The handler {name_of(handler)!r} of queue {self.queue}", problems)
        # The decoder first: it rejects classes that share an event type, and then nothing may have changed.
        self._decoder = self._decoder_of(dict.fromkeys((*self._by_event, *event_classes)))
        chain = handler_chain(
            handler,
            run_in_thread=self._threads.run,
            time_limit=time_limit or self._time_limit,
            middlewares=self._middlewares,
        )
        registration = _Registration(handler, chain)
        self._registrations.append(registration)
        for event_class in event_classes:
            self._by_event.setdefault(event_class, {})[job] = registration
        return handler

    def _decoder_of(self, event_classes: Iterable[EventClass]) -> EventDecoder:
        return EventDecoder(event_classes, limits=self._limits)


def _no_handler(
    queue: str, job: ReceivedJob, event_type: str | None, what: str, arguments: str
) -> HandlerNotFoundError:
    return HandlerNotFoundError(
        f"queue {queue}, job {job.name} ({job.id}): no handler for {what}. "
        f"Use @consumer.on({arguments or '...'}){'' if arguments else ' with its class'}, "
        f"or do not subscribe this queue to it",
        event_type=event_type,
    )


def _unhandled_problem(given: object) -> str | None:
    if isinstance(given, Wait):
        return positive("the limit of Wait", given.limit, timedelta)
    if given in ("wait", "fail", "skip"):
        return None
    return f'unhandled is {given!r}, expected "wait", "fail", "skip" or Wait(timedelta(days=1))'


def _time_limit_problem(given: object) -> str | None:
    return None if given is None else positive("time_limit", given, timedelta)


def _job_problem(given: object) -> str | None:
    if given is None or (isinstance(given, str) and given):
        return None
    return f'job is {given!r}, expected the name of jobs; use @consumer.on(SomethingHappened, job="do-something")'
