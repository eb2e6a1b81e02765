"""What traces cost: publishing and working with OpenTelemetry off, by its API alone, and by an SDK that samples."""

import asyncio
import gc
from collections.abc import Sequence

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from redis.asyncio import Redis

from benchmarks import working
from benchmarks.comparison import Comparison, report
from benchmarks.paths import open_paths
from benchmarks.publishing import rate
from domainstream.telemetry import NO_TRACING, Tracing, set_tracing
from domainstream.telemetry.otel import OpenTelemetryTracing

ROUNDS = 7
CONCURRENCY = 50
EVENTS = {"batches": 50_000, "concurrent": 20_000}
# A span with its metrics takes the SDK some 30 µs, sampled or not; a batch has one.
COMPARISONS = (
    *(Comparison(f"{path}, API alone", f"{path}, off", 0.9) for path in (*EVENTS, "workers")),
    Comparison("batches, 1 %", "batches, off", 0.9),
    Comparison("concurrent, 1 %", "concurrent, off", 0.25),
    Comparison("workers, 1 %", "workers, off", 0.5),
)


class _Nowhere(SpanExporter):
    """Takes spans and forgets them, as what sends them elsewhere is not ours."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002 - the interface's
        """Forget them."""
        return SpanExportResult.SUCCESS


def _by_sdk(share: float) -> Tracing:
    tracers = TracerProvider(sampler=ParentBasedTraceIdRatio(share))
    tracers.add_span_processor(BatchSpanProcessor(_Nowhere()))
    return OpenTelemetryTracing(
        tracer_provider=tracers, meter_provider=MeterProvider(metric_readers=[InMemoryMetricReader()])
    )


async def measure(url: str) -> dict[str, list[float]]:
    """Publish and work in turn with each kind of tracing, several times over; return rates in events per second."""
    kinds: dict[str, Tracing] = {
        "off": NO_TRACING,
        "API alone": OpenTelemetryTracing(),
        "1 %": _by_sdk(0.01),
        "100 %": _by_sdk(1),
    }
    rates: dict[str, list[float]] = {}
    async with Redis.from_url(url) as redis, open_paths(url) as paths:
        for path, count in EVENTS.items():
            await paths[f"domainstream {path}"](count // 5)
        gc.collect()
        gc.freeze()
        for _ in range(ROUNDS):
            for path, count in EVENTS.items():
                for kind, tracing in kinds.items():
                    set_tracing(tracing)
                    rates.setdefault(f"{path}, {kind}", []).append(await rate(paths[f"domainstream {path}"], count))
                    await redis.flushall()
            for kind, tracing in kinds.items():
                await working.fill(url)
                set_tracing(tracing)
                rates.setdefault(f"workers, {kind}", []).append(await working.ours(url, CONCURRENCY))
    set_tracing(NO_TRACING)
    return rates


def run(url: str) -> bool:
    """Measure and report."""
    print(f"\ntraces and metrics by OpenTelemetry; workers run {CONCURRENCY} handlers at a time that do nothing")
    return report(asyncio.run(measure(url)), COMPARISONS)
