"""Every metric is a row of one table; `docs/metrics.md` mirrors it, and a test compares the two.

Labels are names of channels, groups, queues, tables and handlers, and states. They are never ids, and never anything
that an event holds.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple, Self

HANDLING, EXPORTER, READINESS = "handling", "exporter", "readiness"
SECONDS: Final = "seconds"


class Metric(Enum):
    """Every metric: its name, its kind, its unit, its labels, where it comes from, and what it means."""

    kind: str
    """Its type, as Prometheus calls it: `counter`, `gauge` or `histogram`."""

    unit: str
    """The unit of its values: `seconds`, or what is counted."""

    labels: tuple[str, ...]
    """The names of its labels."""

    source: str
    """Where it comes from: class and field of a program's stats, `handling`, `readiness` or `exporter`."""

    meaning: str
    """What it says."""

    def __new__(cls, name: str, kind: str, unit: str, labels: str, source: str, meaning: str) -> Self:
        """Make a row; `labels` are separated by spaces."""
        row = object.__new__(cls)
        row._value_ = name
        row.kind, row.unit, row.labels, row.source, row.meaning = kind, unit, tuple(labels.split()), source, meaning
        return row

    READY = (
        *("domainstream_ready", "gauge", "yes or no", "program", READINESS),
        "1 if the program is ready, as `/ready` says it, else 0",
    )

    PUBLISHER_WAITING = (
        *("domainstream_publisher_waiting_messages", "gauge", "messages", "", "PublisherStats.waiting"),
        "messages that wait for their batch or its reply",
    )

    RELAY_ACTIVE = (
        *("domainstream_relay_active", "gauge", "yes or no", "", "RelayStats.is_active"),
        "1 if this relay publishes now, 0 while it stands by",
    )
    RELAY_PUBLISHED = (
        *("domainstream_relay_published_total", "counter", "rows", "", "RelayStats.published"),
        "rows that this relay has published",
    )
    RELAY_TAKEOVERS = (
        *("domainstream_relay_takeovers_total", "counter", "takeovers", "", "RelayStats.takeovers"),
        "how often this relay became the active one",
    )
    RELAY_EPOCH = (
        *("domainstream_relay_epoch", "gauge", "takeovers", "", "RelayStats.epoch"),
        "the epoch of its latest lease, which counts the takeovers by any relay; 0 if it was never active",
    )
    RELAY_HELD = (
        *("domainstream_relay_held_channels", "gauge", "channels", "", "RelayStats.held"),
        "channels that Redis rejects, so that their rows wait",
    )

    SUBSCRIBER_FORWARDED = (
        *("domainstream_subscriber_forwarded_total", "counter", "entries", "", "SubscriberStats.forwarded"),
        "entries that were forwarded, including dead letters and entries of channels without handlers",
    )
    SUBSCRIBER_JOBS = (
        *("domainstream_subscriber_jobs_total", "counter", "jobs", "", "SubscriberStats.jobs"),
        "jobs made of these entries",
    )
    SUBSCRIBER_DEAD_LETTERS = (
        *("domainstream_subscriber_dead_letters_total", "counter", "entries", "", "SubscriberStats.dead_letters"),
        "entries that became dead letters",
    )
    SUBSCRIBER_LEFT_ALONE = (
        *("domainstream_subscriber_left_alone_total", "counter", "deliveries", "", "SubscriberStats.skipped"),
        "how often an entry that the server rejected was left pending, to be delivered again",
    )
    SUBSCRIBER_HELD = (
        *("domainstream_subscriber_held_keys_total", "counter", "keys", "", "SubscriberStats.held"),
        "how often this instance noticed that a key became held",
    )
    SUBSCRIBER_LOST = (
        *("domainstream_subscriber_lost_entries_total", "counter", "entries", "", "SubscriberStats.lost"),
        "entries that were removed before the group had read them, as far as this instance found",
    )
    SUBSCRIBER_FAILURES = (
        *("domainstream_subscriber_failures", "gauge", "attempts", "", "SubscriberStats.failures"),
        "failed attempts of the channels whose latest attempt failed; 0 when all is well",
    )

    WORKER_RUNNING = (
        *("domainstream_worker_running_jobs", "gauge", "jobs", "", "WorkerStats.running"),
        "jobs whose handlers are running now",
    )
    WORKER_COMPLETED = (
        *("domainstream_worker_completed_total", "counter", "jobs", "", "WorkerStats.completed"),
        "jobs recorded as completed",
    )
    WORKER_DELAYED = (
        *("domainstream_worker_delayed_total", "counter", "attempts", "", "WorkerStats.delayed"),
        "attempts recorded as delayed, because the handler asked to retry later",
    )
    WORKER_WAITED = (
        *("domainstream_worker_waited_total", "counter", "jobs", "", "WorkerStats.waited"),
        "how often a job was put back because this build does not handle it yet",
    )
    WORKER_FAILED = (
        *("domainstream_worker_failed_total", "counter", "attempts", "", "WorkerStats.failed"),
        "attempts recorded as failed, including those that are retried",
    )
    WORKER_ABANDONED = (
        *("domainstream_worker_abandoned_total", "counter", "calls", "", "WorkerStats.abandoned"),
        "calls of handlers that went on after they were cancelled",
    )
    WORKER_FAILURES = (
        *("domainstream_worker_failures", "gauge", "round trips", "", "WorkerStats.failures"),
        "round trips to the server that have failed in a row; 0 as soon as one succeeds",
    )

    PUBLISH_TO_HANDLED = (
        *("domainstream_publish_to_handled_seconds", "histogram", SECONDS, "queue event", HANDLING),
        "from the event's time to the end of its handler, for each event that was handled",
    )
    HANDLER_DURATION = (
        *("domainstream_handler_duration_seconds", "histogram", SECONDS, "queue handler outcome", HANDLING),
        "how long a handler ran: `done`, `retry_later`, `give_up`, `failed` or `cancelled`",
    )

    STREAM_LENGTH = (
        *("redis_stream_length", "gauge", "entries", "db stream", EXPORTER),
        "entries of a stream",
    )
    STREAM_GROUPS = (
        *("redis_stream_groups", "gauge", "groups", "db stream", EXPORTER),
        "consumer groups of a stream",
    )
    GROUP_CONSUMERS = (
        *("redis_stream_group_consumers", "gauge", "consumers", "db stream group", EXPORTER),
        "consumers of a group, idle ones included",
    )
    GROUP_LAG = (
        *("redis_stream_group_lag", "gauge", "entries", "db stream group", EXPORTER),
        "entries that the group has not read; counted up to 10,000 where the server does not know",
    )
    GROUP_PENDING = (
        *("redis_stream_group_messages_pending", "gauge", "entries", "db stream group", EXPORTER),
        "entries that the group has read and not acknowledged",
    )
    OLDEST_EVENT = (
        *("domainstream_oldest_event_age_seconds", "gauge", SECONDS, "channel group", EXPORTER),
        "the age of the oldest entry that is unread or pending, 0 without any; `group` is empty if no group reads it",
    )
    LOST_ENTRIES = (
        *("domainstream_lost_entries", "gauge", "entries", "channel group", EXPORTER),
        "entries that were removed unread since the group's last read",
    )
    DEAD_LETTERS = (
        *("domainstream_dead_letters", "gauge", "entries", "channel", EXPORTER),
        "dead letters that are kept",
    )

    JOB_COUNT = (
        *("bullmq_job_count", "gauge", "jobs", "queue state", EXPORTER),
        "jobs of a queue by BullMQ's state",
    )
    OLDEST_JOB = (
        *("domainstream_oldest_job_age_seconds", "gauge", SECONDS, "queue", EXPORTER),
        "how long ago the oldest job that is not done was added, 0 without any; 20 of each state are looked at",
    )
    OLDEST_WAITING_JOB = (
        *("domainstream_oldest_waiting_job_age_seconds", "gauge", SECONDS, "queue", EXPORTER),
        "how long ago the oldest job that may begin was added, or began last; 0 without any",
    )
    OLDEST_FAILED_JOB = (
        *("domainstream_oldest_failed_job_age_seconds", "gauge", SECONDS, "queue", EXPORTER),
        "how long ago the first failed job that is kept failed; 0 without any",
    )
    QUEUE_PAUSED = (
        *("domainstream_queue_paused", "gauge", "yes or no", "queue", EXPORTER),
        "1 if the queue is paused, so that no job begins, else 0",
    )
    QUEUE_WORKERS = (
        *("domainstream_queue_workers", "gauge", "workers", "queue", EXPORTER),
        "workers that are connected, of Python and of Node.js; missing if the user may not run CLIENT LIST",
    )
    HELD_KEYS = (
        *("domainstream_held_keys", "gauge", "keys", "queue", EXPORTER),
        "keys whose first job has failed permanently, among the 1,000 jobs that failed last",
    )
    OLDEST_HELD_KEY = (
        *("domainstream_oldest_held_key_age_seconds", "gauge", SECONDS, "queue", EXPORTER),
        "how long the first of these keys has been held; 0 without any",
    )
    BEHIND_HELD_KEYS = (
        *("domainstream_jobs_behind_held_keys", "gauge", "jobs", "queue", EXPORTER),
        "jobs that wait behind the failed ones of these keys",
    )
    WAITING_IN_ORDER = (
        *("domainstream_jobs_waiting_in_order", "gauge", "jobs", "queue", EXPORTER),
        "jobs that wait for the one before",
    )
    MAILBOX = (
        *("domainstream_mailbox_jobs", "gauge", "jobs", "queue", EXPORTER),
        "jobs that a subscriber has to let go, because the one before was removed or skipped",
    )

    OUTBOX_BACKLOG = (
        *("domainstream_outbox_backlog_rows", "gauge", "rows", "table", EXPORTER),
        "rows that are not confirmed to be published; an estimate above 100,000",
    )
    OUTBOX_OLDEST = (
        *("domainstream_outbox_oldest_event_age_seconds", "gauge", SECONDS, "table", EXPORTER),
        "how long the row with the lowest number has been waiting; 0 without any",
    )
    OUTBOX_RELAY_ACTIVE = (
        *("domainstream_outbox_relay_active", "gauge", "yes or no", "table", EXPORTER),
        "1 if a relay has the lease of the outbox, else 0",
    )
    OUTBOX_PUBLISHED = (
        *("domainstream_outbox_published_total", "counter", "rows", "table", EXPORTER),
        "rows that were published in all, by any relay",
    )
    OUTBOX_HELD = (
        *("domainstream_outbox_held_channels", "gauge", "channels", "table", EXPORTER),
        "channels that Redis rejects, so that their rows wait",
    )

    SOURCE_UP = (
        *("domainstream_exporter_source_up", "gauge", "yes or no", "source", EXPORTER),
        "1 if the latest collection from `redis` or `outbox` succeeded, else 0; what could not be read is missing",
    )
    COLLECTION_DURATION = (
        *("domainstream_exporter_collection_duration_seconds", "gauge", SECONDS, "source", EXPORTER),
        "how long the latest collection took",
    )


class Distribution(NamedTuple):
    """The value of a histogram."""

    buckets: Mapping[float, int]
    """How many observations are at most as large as each bound; the last bound is infinite."""

    total: float
    """The sum of all observations."""


class Sample(NamedTuple):
    """One value of a metric."""

    metric: Metric
    """The metric."""

    value: float | Distribution
    """Its value."""

    labels: tuple[str, ...] = ()
    """The values of its labels, in the order of the table."""
