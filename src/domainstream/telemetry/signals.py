"""What domainstream reports about itself while it runs: each signal is a row of one table.

Ids, counts and reasons are reported; payloads and passwords never are.
"""

from enum import Enum
from logging import DEBUG, ERROR, INFO, WARNING
from typing import Self


class Signal(Enum):
    """Every signal we emit: its name, its level, its fields, and when it is emitted.

    A test compares the table with every call of `emit`.
    """

    level: int
    """The level of its log record."""

    fields: tuple[str, ...]
    """The names of its fields, in the order in which they are logged."""

    meaning: str
    """When it is emitted."""

    def __new__(cls, name: str, level: int, fields: str, meaning: str) -> Self:
        """Make a row; `fields` are separated by spaces."""
        row = object.__new__(cls)
        row._value_ = name
        row.level = level
        row.fields = tuple(fields.split())
        row.meaning = meaning
        return row

    @property
    def logger(self) -> str:
        """The name of the logger that it goes to."""
        stage = self.value.partition(".")[0]
        return f"domainstream.{'publisher' if stage == 'publish' else stage}"

    EVENT_BATCH_SPLIT = (
        *("event.batch_split", DEBUG, "events error"),
        "a batch could not be encoded as a whole and is encoded event by event",
    )

    PUBLISH_RETRIED = (
        *("publish.retried", WARNING, "attempt batches reason"),
        "attempt 1, 2, 4, 8, ... of these batches failed and will be repeated",
    )
    PUBLISH_FAILED = ("publish.failed", ERROR, "channel messages outcome reason", "a batch was given up")
    PUBLISH_SENDER_FAILED = (
        *("publish.sender_failed", ERROR, ""),
        "a flush failed because of a bug; its events have receipts, and the next flush begins; carries the traceback",
    )

    OUTBOX_TAKEN_OVER = (
        *("outbox.taken_over", INFO, "epoch repeated"),
        "a relay became the active one; it first repeats the rows of a batch whose outcome was not noted",
    )
    OUTBOX_LEASE_LOST = (
        *("outbox.lease_lost", WARNING, "reason"),
        "another relay took over because this one did not renew its lease in time; this one stands by",
    )
    OUTBOX_RETRIED = (
        *("outbox.retried", WARNING, "pause_s reason"),
        "call 1, 2, 4, 8, ... in a row to the database or to Redis failed; it is repeated after the pause",
    )
    OUTBOX_LISTENING_LOST = (
        *("outbox.listening_lost", WARNING, "pause_s reason"),
        "listening for notifications failed for the 1st, 2nd, 4th, ... time in a row; polling finds events meanwhile",
    )
    OUTBOX_CHANNEL_HELD = (
        *("outbox.channel_held", ERROR, "channel attempts reason"),
        "the server rejected a channel for the 1st, 2nd, 4th, 8th, ... time; its rows wait, others go on",
    )
    OUTBOX_CHANNEL_RELEASED = (
        *("outbox.channel_released", INFO, "channel"),
        "the server has taken a held channel again, or its rows were discarded",
    )
    OUTBOX_ROWS_FOUND_LATE = (
        *("outbox.rows_found_late", WARNING, "outbox rows"),
        "a full scan found rows that reading on had missed; they are published now, maybe out of order",
    )
    OUTBOX_SERVER_LOST_MEMORY = (
        *("outbox.server_lost_memory", WARNING, "rows"),
        "Redis has forgotten a relay's batches (FLUSHALL, a restart) before one was repeated: it may be there twice",
    )

    SERVER_PRIMARY_CHANGED = (
        *("server.primary_changed", INFO, "primary before now"),
        "the sentinels name another server as the primary; the process has dropped its connections to the one before",
    )

    STREAM_LOSS = (
        *("stream.loss", ERROR, "group channel entries after before"),
        "entries were removed before the group had read them",
    )
    STREAM_TRIMMED_BEFORE_GROUP = (
        *("stream.trimmed_before_group", WARNING, "group channel entries before"),
        "entries had been removed before the group's first read; other groups may have settled them",
    )
    STREAM_LOSS_HOOK_FAILED = (
        *("stream.loss_hook_failed", ERROR, "group channel"),
        "the `on_loss` callback raised; carries the traceback",
    )
    STREAM_GROUP_RECREATED = (
        *("stream.group_recreated", WARNING, "group channel"),
        "the group had vanished and was created again at the beginning of its stream",
    )
    STREAM_EVICTION_UNKNOWN = (
        *("stream.eviction_unknown", WARNING, "reason"),
        "the server does not say whether it evicts keys when its memory is full",
    )
    STREAM_RECLAIMED = (
        *("stream.reclaimed", INFO, "group channel entries"),
        "entries that another consumer had left pending were taken over",
    )
    STREAM_WAKE_UPS_MISSING = (
        *("stream.wake_ups_missing", WARNING, "server reason"),
        "the server does not say which streams change, so it is asked for new entries every 20 ms to 1 s",
    )
    STREAM_WAKE_UPS_LOST = (
        *("stream.wake_ups_lost", WARNING, "server pause_s reason"),
        "listening for streams that change failed for the 1st, 2nd, 4th, ... time in a row; all are read meanwhile",
    )

    SUBSCRIBER_RETRIED = (
        *("subscriber.retried", WARNING, "channel pause_s reason"),
        "reading or forwarding failed and will be repeated after the pause; at most once a second for each reason",
    )
    SUBSCRIBER_LEASE_LOST = (
        *("subscriber.lease_lost", INFO, "channel reason"),
        "the lease of a channel has to be taken anew: another instance has it, or the server changed",
    )
    SUBSCRIBER_JOBS_RESTORED = (
        *("subscriber.jobs_restored", WARNING, "channel queue entries until"),
        "the queue's server had lost its latest jobs, as in a failover; these entries were added to it again",
    )
    SUBSCRIBER_JOBS_LOST = (
        *("subscriber.jobs_lost", ERROR, "channel queue entries until"),
        "the queue's server has lost more jobs than are added again, or than are left in the stream; see `replay`",
    )
    SUBSCRIBER_REFUSED = (
        *("subscriber.refused", ERROR, "channel entry queue delivery reason"),
        "the server rejects this entry but takes others; it will be delivered again",
    )
    SUBSCRIBER_DEAD_LETTER = (
        *("subscriber.dead_letter", WARNING, "channel entry error reason"),
        "an entry that can never become a job was stored as a dead letter",
    )
    SUBSCRIBER_KEY_HELD = (
        *("subscriber.key_held", WARNING, "queue key job waiting"),
        "a job has failed permanently, and those with its key wait behind it: see `domainstream order`",
    )
    SUBSCRIBER_MAINTENANCE_FAILED = (
        *("subscriber.maintenance_failed", WARNING, "task reason"),
        "a maintenance task failed; it runs again in the next round",
    )

    WORKER_ATTEMPT_FAILED = (
        *("worker.attempt_failed", WARNING, "queue job name attempt attempts error where event next"),
        "a handler or a middleware failed, and the job has not failed permanently; `next` says what follows",
    )
    WORKER_JOB_FAILED = (
        *("worker.job_failed", ERROR, "queue job name event attempt error where reason show retry"),
        "a job has failed permanently; `show` and `retry` are the commands that show it and try it again",
    )
    WORKER_VALUE_RETURNED = (
        *("worker.value_returned", ERROR, "handler event returned next fix"),
        "a handler returned a value that is not an outcome; once for each handler, with what to write instead",
    )
    WORKER_ERROR_HANDLER_FAILED = (
        *("worker.error_handler_failed", WARNING, "queue job name reason"),
        "the consumer's error handler raised, or returned something that is not an outcome; the default applies",
    )
    WORKER_JOB_WAITS = (
        *("worker.job_waits", ERROR, "queue job name event waits pause_s others reason"),
        "the job waits for a build that handles it; one line a minute for each kind, `others` counts the rest",
    )
    WORKER_JOB_SKIPPED = (
        *("worker.job_skipped", INFO, "queue job name reason"),
        "this build does not handle the job, and the consumer is configured to skip such jobs",
    )
    WORKER_RETRIED = (
        *("worker.retried", WARNING, "queue pause_s reason"),
        "call 1, 2, 4, 8, ... in a row to the server failed; it is repeated after the pause",
    )
    WORKER_LOCK_LOST = (
        *("worker.lock_lost", WARNING, "queue job name"),
        "a running job lost its lock: it may run twice, and this outcome will be rejected",
    )
    WORKER_LOCKS_FAILED = (
        *("worker.locks_failed", WARNING, "queue reason"),
        "the server rejected the renewal of locks or the search for stalled jobs",
    )
    WORKER_LOCKS_DELAYED = (
        *("worker.locks_delayed", DEBUG, "queue reason"),
        "the server did not answer the renewal of locks or the search for stalled jobs; it is repeated soon",
    )
    WORKER_JOB_STALLED = (
        *("worker.job_stalled", WARNING, "queue job"),
        "the lock of a job expired because its worker stopped renewing it; the job was moved back to wait",
    )
    WORKER_OUTCOME_REJECTED = (
        *("worker.outcome_rejected", WARNING, "queue job name outcome reason"),
        "BullMQ did not accept the outcome of a job",
    )
    WORKER_OUTCOME_FAILED = (
        *("worker.outcome_failed", ERROR, "queue job name reason"),
        "an error of the server kept it from recording an outcome; the job is retried when its lock expires",
    )
    WORKER_FETCH_FAILED = (
        *("worker.fetch_failed", ERROR, "queue reason"),
        "the server could not hand out a job; one of the queue's jobs may be damaged",
    )
    WORKER_RUN_FAILED = (
        *("worker.run_failed", ERROR, "queue job"),
        "a bug in domainstream while it ran a job; carries the traceback",
    )
    WORKER_HANDLERS_LATE = (
        *("worker.handlers_late", WARNING, "queue handlers"),
        "handlers did not finish within the grace period; they are cancelled, and their jobs are retried",
    )
    WORKER_HANDLER_ABANDONED = (
        *("worker.handler_abandoned", ERROR, "handler job where"),
        "a handler did not end when it was cancelled; it runs on, at `where`; its job fails or is retried without it",
    )
    WORKER_HANDLER_ENDED_LATE = (
        *("worker.handler_ended_late", WARNING, "handler job"),
        "a handler that was abandoned has ended; its outcome is ignored",
    )
    WORKER_OUTCOMES_UNREPORTED = (
        *("worker.outcomes_unreported", ERROR, "queue jobs"),
        "the server did not answer at shutdown; these jobs are retried",
    )
    WORKER_SCHEDULE_FAILED = (
        *("worker.schedule_failed", ERROR, "queue job scheduler error"),
        "the next job of a job scheduler was not added; upsert the scheduler again",
    )
    WORKER_THREAD_ABANDONED = (
        *("worker.thread_abandoned", WARNING, "handler"),
        "the call of this plain function was cancelled, but its thread runs on",
    )
    WORKER_THREAD_LATE = (
        *("worker.thread_late", DEBUG, "thread"),
        "a handler returned after its event loop had been closed",
    )

    BACKGROUND_DIED = (
        *("background.died", ERROR, "program task reason"),
        "a task or thread that a program needs has died; the program ends with its error; carries the traceback",
    )

    RUN_STARTED = ("run.started", INFO, "program target", "`domainstream run` has started the program")
    RUN_HEALTH = ("run.health", INFO, "url", "the health endpoint listens")
    RUN_STOPPING = ("run.stopping", INFO, "signal", "the first signal came; a second one aborts the program")
    RUN_FORCED_EXIT = (
        *("run.forced_exit", ERROR, "exit_code where threads"),
        "the process did not end by itself and is ended; `where` is the line at which its main thread was",
    )
    RUN_ENDED = ("run.ended", INFO, "exit_code", "the program has ended")

    EXPORTER_SOURCE_FAILED = (
        *("exporter.source_failed", WARNING, "source reason"),
        "the metrics of a source are missing or incomplete from now on, or for another reason than before",
    )
    EXPORTER_SOURCE_RECOVERED = ("exporter.source_recovered", INFO, "source", "its metrics are complete again")

    DASHBOARD_ACTION = (
        *("dashboard.action", INFO, "user action target chosen changed"),
        "an operator changed something in the dashboard: what was chosen, and how many of these were changed",
    )
    DASHBOARD_SIGN_IN_FAILED = (
        *("dashboard.sign_in_failed", WARNING, "client"),
        "somebody tried a wrong token in the dashboard",
    )

    DOCS_EXAMPLE_MISSING = ("docs.example_missing", DEBUG, "event error", "no example could be made of an event class")
    TESTING_NO_EVENT = ("testing.no_event", DEBUG, "job error", "the event flow met a job that is not an event")
