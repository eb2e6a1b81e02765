"""What programs know of themselves, as metrics."""

import pytest
from msgspec import Struct
from msgspec.structs import fields
from support.metrics import Scraped

from domainstream.health import Health
from domainstream.outbox.relay import RelayStats
from domainstream.publisher.redis_stream_publisher_client import PublisherStats
from domainstream.subscriber.progress import SubscriberStats
from domainstream.tools.metrics.programs import program_metrics, stats_samples
from domainstream.tools.metrics.table import Metric
from domainstream.worker.bullmq.engine import WorkerStats

TEXTS = {"last_failure", "last_error"}
"""Fields that hold names and reasons, which are no values."""


class OwnStats(Struct):
    """Counters of a user's program."""

    forwarded: int = 1


class Program:
    """A program with stats of the library, or of its own."""

    def __init__(self, stats: object, *, ok: bool = True) -> None:
        self.stats = stats
        self._ok = ok

    async def health(self) -> Health:
        """Return the health that it was made with."""
        return Health(ok=self._ok)


@pytest.mark.parametrize("stats", [SubscriberStats, WorkerStats, RelayStats, PublisherStats])
def test_every_number_in_stats_is_a_metric(stats: type[Struct]) -> None:
    """What `/ready` counts, Prometheus can ask for, under one name."""
    sources = sorted(metric.source for metric in Metric if metric.source.startswith(f"{stats.__name__}."))
    assert sources == sorted(f"{stats.__name__}.{field.name}" for field in fields(stats) if field.name not in TEXTS)


def test_counters_of_a_subscriber_have_the_values_of_its_stats() -> None:
    """Each field is one sample."""
    scraped = Scraped.of(stats_samples(SubscriberStats(forwarded=26, jobs=30, lost=2)))
    assert scraped.value("domainstream_subscriber_forwarded_total") == 26
    assert scraped.value("domainstream_subscriber_jobs_total") == 30
    assert scraped.value("domainstream_subscriber_lost_entries_total") == 2


def test_held_channels_of_a_relay_are_counted() -> None:
    """Channels and reasons are not in the metrics: only how many there are."""
    held = {"domain_a": None, "domain_b": None}
    stats = RelayStats(is_active=True, published=7, takeovers=1, epoch=3, held=held)  # type: ignore[arg-type]
    scraped = Scraped.of(stats_samples(stats))
    assert scraped.value("domainstream_relay_held_channels") == 2
    assert scraped.value("domainstream_relay_active") == 1
    assert scraped.labels() == set()


def test_stats_of_users_have_no_metrics() -> None:
    """Counters that only look like ours are not taken for them."""
    assert [*stats_samples(OwnStats())] == []


async def test_programs_of_one_kind_are_added() -> None:
    """Two workers in one process have one value, and are ready if both are."""
    programs = [Program(WorkerStats(completed=3)), Program(WorkerStats(completed=4), ok=False)]
    scraped = Scraped((await program_metrics(programs)).decode())
    assert scraped.value("domainstream_worker_completed_total") == 7
    assert scraped.value("domainstream_ready", program="Program") == 0


async def test_metrics_of_the_process_are_served_as_well() -> None:
    """What the default registry has follows: its own time and memory, and metrics of users."""
    assert "process_cpu_seconds_total" in (await program_metrics([])).decode()
