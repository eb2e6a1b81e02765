"""Metrics for Prometheus, for programs that `domainstream run` does not run: web apps, and workers of your own.

`pip install 'domainstream[prometheus]'`. `docs/metrics.md` lists all metrics.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from domainstream.tools.metrics.exposition import content_type, families, prometheus_module
from domainstream.tools.metrics.handling import RECORDER
from domainstream.tools.metrics.programs import program_metrics, stats_samples
from domainstream.worker import EventConsumer

Message = MutableMapping[str, Any]
AsgiApp = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
"""An application as ASGI has it."""

__all__ = ["StatsCollector", "metrics_app", "record_handling"]


def metrics_app(*programs: object) -> AsgiApp:
    """Return an ASGI app that serves the metrics of publishers and other programs, and of the process.

    Usage::

        app = FastAPI()
        app.mount("/metrics", metrics_app(client))

    Each is asked for its `stats` and its `health` when Prometheus asks. What is in the default registry of
    `prometheus_client` is served as well. Raises `MissingExtraError` without that package.
    """
    prometheus_module()

    async def app(scope: Message, _receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
        if scope["type"] != "http":
            return
        is_get = scope["method"] in ("GET", "HEAD")
        body = await program_metrics(programs) if is_get else b"only GET is supported\n"
        headers = [(b"content-type", content_type().encode() if is_get else b"text/plain; charset=utf-8")]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 200 if is_get else 405, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


def record_handling(consumer: EventConsumer) -> None:
    """Record how long the handlers of a consumer run, and how long its events take to be handled.

    `domainstream run worker --health-port` does so itself, unless it runs a program of yours. Doing so twice does
    nothing.
    """
    RECORDER.record(consumer)


class StatsCollector:
    """The stats of programs, for a registry of `prometheus_client` that something else serves.

    Usage::

        REGISTRY.register(StatsCollector(client))
    """

    def __init__(self, *programs: object) -> None:
        """Collect the `stats` of `programs`, and what `record_handling` records."""
        self._programs = programs

    def describe(self) -> Iterable[Any]:
        """Return nothing, so that registering it collects nothing yet."""
        return ()

    def collect(self) -> Iterable[Any]:
        """Return the families of `prometheus_client`."""
        samples = [sample for program in self._programs for sample in stats_samples(getattr(program, "stats", None))]
        return [*families([*samples, *RECORDER.samples()])]
