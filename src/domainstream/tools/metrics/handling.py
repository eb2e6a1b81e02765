"""Counts what cannot be read afterwards: how long handlers run, and how long events take to be handled.

That is the only thing that metrics cost a job. Everything else is read from the stats when somebody asks for it.
"""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from math import inf
from time import perf_counter, time
from typing import Final
from weakref import WeakSet

from domainstream.tools.metrics.table import Distribution, Metric, Sample
from domainstream.worker.consumer import EventConsumer
from domainstream.worker.failures import sole_error
from domainstream.worker.outcomes import GiveUp, RetryLater
from domainstream.worker.prepared_call import Middleware, Next, PreparedCall

HANDLER_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, inf)
"""The buckets for the duration of handlers, in seconds."""

HANDLED_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, inf)
"""The buckets for the time from an event to the end of its handler, in seconds."""


class Histogram:
    """Counts observations by size. For one thread; any other may read."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Count into buckets that end at `bounds`, which rise to infinity."""
        self._bounds = bounds
        self._counts = [0] * len(bounds)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def distribution(self) -> Distribution:
        """Return what was counted."""
        return Distribution(dict(zip(self._bounds, accumulate([*self._counts]), strict=True)), self._total)


class HandlingRecorder:
    """Records the calls of the handlers of any number of consumers."""

    def __init__(self) -> None:
        self._durations: dict[tuple[str, str, str], Histogram] = {}
        self._handled: dict[tuple[str, str], Histogram] = {}
        self._recorded: WeakSet[EventConsumer] = WeakSet()

    def record(self, consumer: EventConsumer) -> None:
        """Record the calls of a consumer's handlers from now on. Doing so twice does nothing."""
        if consumer not in self._recorded:
            self._recorded.add(consumer)
            consumer.add_middleware(self._middleware(consumer.queue))

    def samples(self) -> Iterator[Sample]:
        """Yield what was recorded."""
        for handler, durations in [*self._durations.items()]:
            yield Sample(Metric.HANDLER_DURATION, durations.distribution(), handler)
        for event, handled in [*self._handled.items()]:
            yield Sample(Metric.PUBLISH_TO_HANDLED, handled.distribution(), event)

    def _middleware(self, queue: str) -> Middleware:
        async def recorded(call: PreparedCall, call_next: Next) -> None:
            began = perf_counter()
            try:
                await call_next(call)
            except BaseException as error:
                self._observe_duration((queue, call.handler_name, _outcome_of(error)), perf_counter() - began)
                raise
            self._observe_duration((queue, call.handler_name, "done"), perf_counter() - began)
            event = (queue, call.event_name)
            handled = self._handled.get(event) or self._handled.setdefault(event, Histogram(HANDLED_BOUNDS))
            # The clocks of two machines differ.
            handled.observe(max(0.0, time() - call.event.occurred_at.timestamp()))

        return recorded

    def _observe_duration(self, handler: tuple[str, str, str], seconds: float) -> None:
        durations = self._durations.get(handler) or self._durations.setdefault(handler, Histogram(HANDLER_BOUNDS))
        durations.observe(seconds)


RECORDER: Final = HandlingRecorder()
"""What the process records; every `/metrics` of it has this."""


def _outcome_of(error: BaseException) -> str:
    raised = sole_error(error)
    if isinstance(raised, RetryLater):
        return "retry_later"
    if isinstance(raised, GiveUp):
        return "give_up"
    return "failed" if isinstance(raised, Exception) else "cancelled"
