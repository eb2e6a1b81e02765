"""Serves what no process owns: streams, groups, queues, held keys, dead letters, and an outbox.

However many scrapers ask, the servers are looked at once in a while; those who ask in between get the latest answer.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import Final, Self

from domainstream.errors import DomainStreamError
from domainstream.health import Health
from domainstream.lifecycle import Lifecycle, cancel_and_wait
from domainstream.telemetry import Signal, emit
from domainstream.tools.metrics.exposition import exposition, prometheus_module
from domainstream.tools.metrics.source import PartlyCollectedError, Source
from domainstream.tools.metrics.table import Metric, Sample

LIMIT: Final = 8.0
"""Seconds that a collection may take: Prometheus waits for 10 by default."""

SEARCH_AGAIN: Final = 5.0
"""Seconds after which a search that failed is repeated."""


class Exporter:
    """Collects from its sources when somebody asks, at most once in a period. A program, for one event loop."""

    def __init__(self, sources: Sequence[Source], *, every: timedelta, search_every: timedelta) -> None:
        """Collect from `sources`, which are closed with the exporter; search them all the time that it runs.

        Raises `MissingExtraError` without the package `prometheus_client`.
        """
        prometheus_module()
        self._sources = sources
        self._every, self._search_every = every.total_seconds(), search_every.total_seconds()
        self._problems = dict.fromkeys((source.name for source in sources), "")
        self._lifecycle = Lifecycle(type(self).__name__)
        self._turn = asyncio.Lock()
        self._text, self._collected_at = b"", float("-inf")

    async def metrics(self) -> bytes:
        """Return the metrics as text, as old as the period at most."""
        async with self._turn:
            if monotonic() - self._collected_at >= self._every:
                parts = await asyncio.gather(*map(self._collect, self._sources))
                self._text = exposition(sample for part in parts for sample in part)
                self._collected_at = monotonic()
        return self._text

    async def run(self) -> None:
        """Search for what is new until `stop`; the rest is done when somebody asks."""
        await self._lifecycle.run(self._work)

    def stop(self) -> None:
        """Let `run` return."""
        self._lifecycle.stop()

    async def health(self) -> Health:
        """Return that all is well: what does not answer is in the metrics."""
        return Health(ok=True)

    async def close(self) -> None:
        """Stop, and close the sources."""
        await self._lifecycle.close(self._release)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _work(self) -> None:
        searches = [self._lifecycle.start(self._search(source), name="search") for source in self._sources]
        try:
            await self._lifecycle.stopping.wait()
        finally:
            self._lifecycle.stop()
            await cancel_and_wait(*searches)

    async def _search(self, source: Source) -> None:
        while True:
            pause = self._search_every
            try:
                await source.search()
            except DomainStreamError:  # a collection says why
                pause = min(pause, SEARCH_AGAIN)
            await asyncio.sleep(pause)

    async def _release(self) -> None:
        for source in self._sources:
            await source.close()

    async def _collect(self, source: Source) -> list[Sample]:
        began, problem = monotonic(), ""
        samples: Sequence[Sample] = ()
        try:
            async with asyncio.timeout(LIMIT):
                samples = await source.collect()
        except PartlyCollectedError as error:
            samples, problem = error.samples, str(error)
        except DomainStreamError as error:
            problem = str(error)
        except TimeoutError:
            problem = f"it took longer than {LIMIT:g} s"
        if problem != self._problems[source.name]:
            self._problems[source.name] = problem
            if problem:
                emit(Signal.EXPORTER_SOURCE_FAILED, source=source.name, reason=problem)
            else:
                emit(Signal.EXPORTER_SOURCE_RECOVERED, source=source.name)
        duration = Sample(Metric.COLLECTION_DURATION, monotonic() - began, (source.name,))
        return [*samples, duration, Sample(Metric.SOURCE_UP, float(not problem), (source.name,))]
