"""Which function handles which event of a queue."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final, Literal, TypeVar, overload

from domainstream.errors import HandlerNotFoundError, UnknownEventTypeError
from domainstream.event import BaseEvent, EventDecoder, UpcasterChain
from domainstream.queue import job_origin
from domainstream.queue.names import name_problem
from domainstream.settings import MessageLimits
from domainstream.validation import positive, raise_problems
from domainstream.worker.context import EventContext, ReceivedJob, context_of
from domainstream.worker.error_handler import ErrorHandler
from domainstream.worker.invocation import HandlerInvoker
from domainstream.worker.outcomes import HandlerOutcome
from domainstream.worker.prepared_call import PreparedCall, class_problem, handler_problem, name_of
from domainstream.worker.thread_pool import HandlerThreadPool

DEFAULT_LIMITS: Final = MessageLimits()
DEFAULT_ERRORS: Final = ErrorHandler()

EventA = TypeVar("EventA", bound=BaseEvent[Any])
EventB = TypeVar("EventB", bound=BaseEvent[Any])
EventC = TypeVar("EventC", bound=BaseEvent[Any])
Answer = HandlerOutcome | None
AnswerT = TypeVar("AnswerT", bound=Awaitable[Answer] | Answer)
AnyHandlerT = TypeVar("AnyHandlerT", bound=Callable[..., Any])

EventClass = type[BaseEvent[Any]]
HandlerOf = Callable[[EventA, EventContext], AnswerT]
Unhandled = Literal["fail", "skip"]


class EventConsumer:
    """The handlers of one queue.

    Usage::

        consumer = EventConsumer("valuation")

        @consumer.on(OptimizationEvaluated)
        async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
            ...

    A handler that returns has done its job; it raises `RetryLater` or `GiveUp` for the other outcomes, and any other
    exception goes to `errors`. Handlers run at least once per event, so they must bear a repeat. A plain function runs
    in a thread. Events made by a handler have the event it handles as their cause.
    """

    def __init__(
        self,
        queue: str,
        *,
        upcasters: Iterable[UpcasterChain] = (),
        limits: MessageLimits = DEFAULT_LIMITS,
        errors: ErrorHandler = DEFAULT_ERRORS,
        unhandled: Unhandled = "fail",
        time_limit: timedelta | None = None,
    ) -> None:
        """Handle the jobs of `queue`; raise `ConfigurationError` for a name that is empty or holds ":" or white space.

        `upcasters` bring payloads of old versions to the newest; `limits` are those of the event alone; `time_limit`
        is how long a handler may run unless it has a limit of its own, None being without end.
        """
        settings = [_unhandled_problem(unhandled), _time_limit_problem(time_limit)]
        raise_problems("EventConsumer", [name_problem("queue", queue), *settings])
        self.queue = queue
        """The queue's name."""
        self.errors = errors
        """What the handlers' exceptions mean."""
        self.unhandled: Unhandled = unhandled
        """What becomes of a job that no handler takes: "fail" for good, or "skip" as if it were done."""
        self._upcasters = tuple(upcasters)
        # A job repeats the channel and the correlation id beside the event, which at most doubles its size.
        self._limits = replace(limits, max_bytes=limits.max_bytes * 2)
        self._time_limit = time_limit
        self._threads = HandlerThreadPool(queue)
        self._calls: dict[EventClass, dict[str | None, HandlerInvoker]] = {}
        self._decoder = self._decoder_of(())

    @overload
    def on(
        self, a: type[EventA], /, *, job: str | None = None, time_limit: timedelta | None = None
    ) -> Callable[[HandlerOf[EventA, AnswerT]], HandlerOf[EventA, AnswerT]]: ...

    @overload
    def on(
        self, a: type[EventA], b: type[EventB], /, *, job: str | None = None, time_limit: timedelta | None = None
    ) -> Callable[[HandlerOf[EventA | EventB, AnswerT]], HandlerOf[EventA | EventB, AnswerT]]: ...

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
    ) -> Callable[[HandlerOf[EventA | EventB | EventC, AnswerT]], HandlerOf[EventA | EventB | EventC, AnswerT]]: ...

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

        With `job` it handles only jobs of that name; a handler without takes the names that no other one has. A handler
        that runs longer than `time_limit` has failed its attempt: a coroutine function is cancelled, a plain function
        cannot be and runs on in its thread.

        Raises `ConfigurationError` for a class that has a handler already or shares its event type with one that has,
        for what is no event class, for a function that cannot take an event and a context, and when no class is given.
        """
        problems = [*map(class_problem, event_classes), _job_problem(job), _time_limit_problem(time_limit)]
        raise_problems(f"@consumer.on of queue {self.queue}", problems)
        return partial(self._register, event_classes, job, time_limit)

    @property
    def event_classes(self) -> tuple[EventClass, ...]:
        """The classes that have a handler."""
        return tuple(self._calls)

    def prepare(self, job: ReceivedJob) -> PreparedCall:
        """Decode a job and return what is left to do: to call its handler.

        Raises `HandlerNotFoundError` for an event type or job name that has no handler, `EventDecodingError` for data
        that is no event.
        """
        try:
            event = self._decoder.decode(job.data)
        except UnknownEventTypeError as error:
            raise self._no_handler(job, f"event type {error.event_type}", "") from None
        calls = self._calls[type(event)]
        call = calls.get(job.name) or calls.get(None)
        if call is None:
            name = type(event).__name__
            raise self._no_handler(job, f"{name} in jobs of this name", f'{name}, job="{job.name}"')
        context = context_of(job, job_origin(job.data), event)
        return PreparedCall(event, call.handler, partial(call, event, context), context)

    async def handle(self, job: ReceivedJob) -> None:
        """Decode a job and call its handler, as a worker does; for tests of handlers.

        Raises what `prepare` raises, unless such jobs are skipped, and what the handler raises.
        """
        try:
            handling = self.prepare(job)
        except HandlerNotFoundError:
            if self.unhandled == "skip":
                return
            raise
        await handling()

    def _register(
        self, event_classes: tuple[EventClass, ...], job: str | None, time_limit: timedelta | None, handler: Any
    ) -> Any:
        taken = [self._taken(event_class, job) for event_class in event_classes]
        none = None if event_classes else "no event class is given; type: @consumer.on(SomethingHappened)"
        raise_problems(
            f"The handler {name_of(handler)!r} of queue {self.queue}", [*taken, none, handler_problem(handler)]
        )
        # First the decoder: it refuses classes that cannot be told apart.
        self._decoder = self._decoder_of(dict.fromkeys((*self._calls, *event_classes)))
        call = HandlerInvoker(handler, threads=self._threads, time_limit=time_limit or self._time_limit)
        for event_class in event_classes:
            self._calls.setdefault(event_class, {})[job] = call
        return handler

    def _taken(self, event_class: EventClass, job: str | None) -> str | None:
        other = self._calls.get(event_class, {}).get(job)
        if other is None:
            return None
        jobs = "" if job is None else f" in jobs named {job}"
        return f"{event_class.__name__} is handled by {name_of(other.handler)} already{jobs}; remove one of the two"

    def _decoder_of(self, event_classes: Iterable[EventClass]) -> EventDecoder:
        return EventDecoder(event_classes, upcasters=self._upcasters, limits=self._limits)

    def _no_handler(self, job: ReceivedJob, what: str, arguments: str) -> HandlerNotFoundError:
        return HandlerNotFoundError(
            f"queue {self.queue}, job {job.name} ({job.id}): no handler for {what}. "
            f"Type: @consumer.on({arguments or '...'}){'' if arguments else ' with its class'}, "
            f"or do not subscribe this queue to it"
        )


def _unhandled_problem(given: object) -> str | None:
    return None if given in ("fail", "skip") else f'unhandled is {given!r}, expected "fail" or "skip"'


def _time_limit_problem(given: object) -> str | None:
    return None if given is None else positive("time_limit", given, timedelta)


def _job_problem(given: object) -> str | None:
    if given is None or (isinstance(given, str) and given):
        return None
    return f'job is {given!r}, expected the name of jobs; type: @consumer.on(SomethingHappened, job="do-something")'
