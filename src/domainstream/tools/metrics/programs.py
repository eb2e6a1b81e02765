"""Reads what programs know of themselves, when somebody asks for it."""

from collections.abc import Iterable, Iterator, Sized
from typing import Final

from domainstream.health import HasHealth
from domainstream.tools.metrics.exposition import exposition
from domainstream.tools.metrics.handling import RECORDER
from domainstream.tools.metrics.table import Metric, Sample

_OF_STATS: Final = [(metric, *metric.source.partition(".")[::2]) for metric in Metric if "." in metric.source]
"""Each metric that is a field of stats, with the name of their class and of the field."""


def stats_samples(stats: object) -> Iterator[Sample]:
    """Yield the samples of what `stats` of a subscriber, worker, relay or publisher has; none for other objects."""
    kind = type(stats).__name__
    for metric, owner, field in _OF_STATS:
        value = getattr(stats, field, None) if owner == kind else None
        if value is not None:
            yield Sample(metric, float(len(value) if isinstance(value, Sized) else value))


def ready_sample(program: object, *, is_ready: bool) -> Sample:
    """Return the sample that says whether a program is ready."""
    return Sample(Metric.READY, float(is_ready), (type(program).__name__,))


async def program_metrics(programs: Iterable[object]) -> bytes:
    """Return the metrics of programs as text: whether each is healthy, its stats, and what the process records.

    Raises `MissingExtraError` without `prometheus_client`.
    """
    samples = [*RECORDER.samples()]
    ready: dict[str, bool] = {}
    for program in programs:
        samples += stats_samples(getattr(program, "stats", None))
        name = type(program).__name__
        is_healthy = (await program.health()).ok if isinstance(program, HasHealth) else True
        ready[name] = ready.get(name, True) and is_healthy
    samples += [Sample(Metric.READY, float(is_ready), (name,)) for name, is_ready in ready.items()]
    return exposition(samples)
