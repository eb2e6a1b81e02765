"""Writes samples as text for Prometheus, by the package `prometheus_client`, which is an extra."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from domainstream.errors import MissingExtraError
from domainstream.tools.metrics.table import Distribution, Metric, Sample


def prometheus_module(name: str = "prometheus_client") -> Any:
    """Import a module of the package; raise `MissingExtraError` when it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise MissingExtraError("Serving metrics", "prometheus") from None


def content_type() -> str:
    """Return the content type of what `exposition` returns."""
    return str(prometheus_module().CONTENT_TYPE_LATEST)


def exposition(samples: Iterable[Sample], *, with_process: bool = True) -> bytes:
    """Return samples as text, each metric once; values of the same metric and labels are added.

    With the process, what is in the default registry of `prometheus_client` follows: time, memory and files of the
    process, and metrics of your own. Raises `MissingExtraError` without the package.
    """
    client = prometheus_module()
    registry = client.CollectorRegistry()
    registry.register(_Collected([*families(samples)]))
    own: bytes = client.generate_latest(registry)
    return own + client.generate_latest(client.REGISTRY) if with_process else own


def families(samples: Iterable[Sample]) -> Iterable[Any]:
    """Yield the samples of each metric as a family of `prometheus_client`, in the order of the table."""
    found: dict[Metric, dict[tuple[str, ...], float | Distribution]] = {}
    for metric, value, labels in samples:
        known = found.setdefault(metric, {})
        known[labels] = _sum(known[labels], value) if labels in known else value
    core = prometheus_module("prometheus_client.core")
    kinds = {
        "counter": core.CounterMetricFamily,
        "gauge": core.GaugeMetricFamily,
        "histogram": core.HistogramMetricFamily,
    }
    for metric in sorted(found, key=[*Metric].index):
        family = kinds[metric.kind](metric.value, metric.meaning, labels=metric.labels)
        for labels, value in found[metric].items():
            if isinstance(value, Distribution):
                buckets = [(f"{bound:g}".replace("inf", "+Inf"), count) for bound, count in value.buckets.items()]
                family.add_metric(labels, buckets, value.total)
            else:
                family.add_metric(labels, value)
        yield family


class _Collected:
    """What `prometheus_client` takes for a collector."""

    def __init__(self, collected: list[Any]) -> None:
        self._collected = collected

    def collect(self) -> Iterable[Any]:
        """Return the families."""
        return self._collected


def _sum(one: float | Distribution, other: float | Distribution) -> float | Distribution:
    if isinstance(one, Distribution) and isinstance(other, Distribution):
        buckets = {bound: count + other.buckets[bound] for bound, count in one.buckets.items()}
        return Distribution(buckets, one.total + other.total)
    assert not isinstance(one, Distribution) and not isinstance(other, Distribution)  # noqa: S101, PT018 - one metric has one kind
    return one + other
