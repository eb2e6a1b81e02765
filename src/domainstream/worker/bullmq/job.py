"""A job between BullMQ and this worker: what BullMQ stores, what the worker reports, what BullMQ answers.

Reports are written exactly as Node's bullmq 6 writes them. A job's data stays text here: parsing would change numbers,
and data that is not JSON must fail its own job only.
"""

import time
from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from domainstream.queue.bullmq.unhandled import unhandled_error
from domainstream.telemetry import Signal, emit
from domainstream.text import JSON_ERRORS, encodable
from domainstream.worker.context import ReceivedJob
from domainstream.worker.outcomes import AttemptResult, Completed, Delayed, Waiting

COMPLETE, FAIL, DELAY, RETRY, HAND_BACK, PROGRESS = "complete", "fail", "delay", "retry", "hand_back", "progress"

Argument = str | bytes | int

_pack = msgspec.msgpack.Encoder().encode
_MILLISECOND: Final = timedelta(milliseconds=1)


# What BullMQ stores.


class JobOptions(Struct, frozen=True, gc=False, rename="camel"):
    """The options that a worker needs. Any program may have added the job, so each of them may be any JSON value."""

    attempts: Any = 0
    """The maximum number of attempts."""

    backoff: Any = None
    """The pause between two attempts."""

    remove_on_complete: Any = None
    """Whether a completed job is kept, for how long, and how many are."""

    remove_on_fail: Any = None
    """Whether a failed job is kept, for how long, and how many are."""

    stack_trace_limit: Any = None
    """How many stack traces are kept."""

    lifo: Any = False
    """Whether the job goes to the front of the queue when it is retried at once."""

    tm: Any = None
    """The trace context, as a JSON object in a string."""


class HeldJob(Struct, eq=False, gc=False):
    """A job that this worker has locked."""

    id: bytes
    """The job's id, as the server stores it."""

    received: ReceivedJob
    """The job, as handlers see it."""

    token: str
    """The value of its lock."""

    options: JobOptions
    """The job's options."""

    stacks: bytes = b""
    """The stack traces of earlier attempts as JSON; empty when there are none."""

    deferred_failure: str | None = None
    """Why the job must fail without another attempt: its workers died too often. None for most jobs."""

    scheduler: str | None = None
    """The BullMQ job scheduler that repeats the job. None for most jobs."""

    raw_options: bytes = b""
    """The options, as the server stores them."""

    waited: bool = False
    """Whether its stored reason says that it waits for a build that handles it, as it did before this attempt."""

    lock_lost: bool = False
    """Whether the lock is known to be lost."""

    ended: bool = False
    """Whether its end has been passed to the tracker; the server lets go of its lock when it applies that end."""


_NO_OPTIONS: Final = JobOptions()
_read_options = msgspec.json.Decoder(JobOptions).decode


def held_job(fields: list[bytes], job_id: bytes, token: bytes) -> HeldJob:
    """Read a job from the fields of its hash, in which names and values alternate."""
    known = dict(zip(fields[::2], fields[1::2], strict=True))
    raw_options = known.get(b"opts", b"")
    try:
        options = _read_options(raw_options)
    except JSON_ERRORS:
        options = _NO_OPTIONS
    attempts, made, added_at = options.attempts, int(known.get(b"atm", 0)), known.get(b"timestamp", b"")
    received = ReceivedJob(
        id=_text(job_id),
        name=_text(known.get(b"name", b"")),
        attempt=made + 1,
        data=_text(known.get(b"data", b"")),
        attempts=max(int(attempts), 1) if isinstance(attempts, int | float) and 0 < attempts < 2**53 else 1,
        backoff=options.backoff,
        waits=max(int(known.get(b"ats", 0)) - made - 1, 0),
        timestamp_ms=int(added_at) if added_at.isdigit() else 0,
        trace=options.tm if isinstance(options.tm, str) else "",
    )
    deferred_failure, scheduler = known.get(b"defa"), known.get(b"rjk")
    waited = received.waits > 0 and unhandled_error(known.get(b"failedReason")) is not None
    return HeldJob(
        job_id,
        received,
        token.decode(),
        options,
        known.get(b"stacktrace", b""),
        None if deferred_failure is None else _text(deferred_failure),
        None if scheduler is None else _text(scheduler),
        raw_options,
        waited,
    )


def _text(raw: bytes) -> str:
    # Text that is not UTF-8 must fail its own job, not the round trip that fetched it.
    return raw.decode("utf-8", "surrogateescape")


# What the worker reports.


class JobUpdate(Struct, eq=False, gc=False):
    """One thing that happened to a job."""

    kind: str
    """One of the six kinds above, each of which calls one of BullMQ's scripts."""

    job: HeldJob
    """The job."""

    at: int
    """When it happened, in milliseconds since 1970."""

    details: tuple[Argument, Argument, Argument] = ("", "", "")
    """Three arguments, whose meaning depends on the kind."""

    repeated: bool = False
    """Whether an earlier report went unanswered: the server may have applied it already."""

    @property
    def ends(self) -> bool:
        """Whether this worker no longer holds the job once the update is reported."""
        return self.kind is not PROGRESS


def outcome_update(job: HeldJob, result: AttemptResult, metrics: int | None) -> JobUpdate:
    """Translate the result of an attempt into BullMQ's words.

    ========================  ========  ============================================
    result                    kind      what BullMQ does
    ========================  ========  ============================================
    Completed                 complete  moves the job to completed
    Delayed                   delay     delays the job; the attempt does not count
    Waiting                   delay     the same, and stores the reason
    Failed, without a retry   fail      moves the job to failed
    Failed, with a pause      delay     delays the job; the attempt counts
    Failed, without a pause   retry     moves the job to wait; the attempt counts
    ========================  ========  ============================================

    BullMQ counts completed and failed jobs per minute, and keeps `metrics` of these counts; None: it does not count.
    """
    if isinstance(result, Completed):
        packed = _finish_options(job, job.options.remove_on_complete, metrics)
        return JobUpdate(COMPLETE, job, _now(), (packed, "null", ""))
    if isinstance(result, Delayed):
        # Only a delayed job's reason says whether it waits, so one that has been handled meanwhile must not keep that.
        cleared = _pack(("failedReason", "")) if job.waited else ""
        return JobUpdate(DELAY, job, _now(), (_milliseconds(result.delay), "1", cleared))
    reason = encodable(result.reason)
    if isinstance(result, Waiting):
        return JobUpdate(DELAY, job, _now(), (_milliseconds(result.pause), "1", _pack(("failedReason", reason))))
    fields = _pack(("failedReason", reason, "stacktrace", _stacks(job, encodable(result.stack))))
    if result.again_in is None:
        packed = _finish_options(job, job.options.remove_on_fail, metrics)
        return JobUpdate(FAIL, job, _now(), (packed, reason, fields))
    if pause := _milliseconds(result.again_in):
        return JobUpdate(DELAY, job, _now(), (pause, "0", fields))
    return JobUpdate(RETRY, job, _now(), ("RPUSH" if job.options.lifo else "LPUSH", "", fields))


def hand_back_update(job: HeldJob) -> JobUpdate:
    """Return the update that lets another worker fetch the job, as if this one had not."""
    return JobUpdate(HAND_BACK, job, _now())


def progress_update(job: HeldJob, value: Any) -> JobUpdate:
    """Return the update that reports how far a job is: a number or an object, which becomes JSON."""
    return JobUpdate(PROGRESS, job, _now(), (msgspec.json.encode(value), "", ""))


def _finish_options(job: HeldJob, remove: Any, metrics: int | None) -> bytes:
    if isinstance(remove, dict):
        kept = remove
    elif isinstance(remove, int) and not isinstance(remove, bool):
        kept = {"count": remove}
    else:
        kept = {"count": 0 if remove else -1}
    return _pack(
        {
            "token": job.token,
            "keepJobs": kept,
            "attempts": job.received.attempts,
            "maxMetricsSize": "" if metrics is None else metrics,
        }
    )


def _stacks(job: HeldJob, stack: str) -> str:
    limit = job.options.stack_trace_limit
    try:
        earlier = msgspec.json.decode(job.stacks or b"[]", type=list[str])
    except JSON_ERRORS:
        earlier = []
    kept = [*earlier, stack]
    if isinstance(limit, int):
        kept = kept[-limit:] if limit > 0 else []
    return msgspec.json.encode(kept).decode()


def _milliseconds(duration: timedelta) -> int:
    return max(0, round(duration / _MILLISECOND))


def _now() -> int:
    return time.time_ns() // 1_000_000


# What BullMQ answers.

_REJECTIONS: Final = {
    -1: "the job was removed",
    -2: "its lock had expired; the job runs again, here or elsewhere",
    -3: "the job was no longer active",
    -6: "its lock had expired, and another worker has the job now",
}
_CHILDREN: Final = {-4: "has children that are not done", -9: "has children that failed"}


def handle_rejection(update: JobUpdate, answer: int | bytes, queue: str) -> str | None:
    """Log that BullMQ rejected an update; return why the job must fail instead, or None.

    ====  ================================  ===============================================================
    code  meaning                           what follows
    ====  ================================  ===============================================================
    >= 0  applied                           nothing
    -1    the job is gone                   a warning; nothing for a repeated update: it was applied already
    -2    the lock has expired              the same
    -3    the job is not active             the same
    -6    another worker has the lock       the same
    -4    children of the job are not done  the job fails
    -9    children of the job have failed   the job fails
    text  an error of the server            an error is logged; the lock expires, then the job is retried
    ====  ================================  ===============================================================
    """
    job = update.job.received
    if isinstance(answer, bytes):
        # A key of the wrong type, for example.
        emit(Signal.WORKER_OUTCOME_FAILED, queue=queue, job=job.id, name=job.name, reason=answer.decode())
    elif answer in _CHILDREN and update.kind is COMPLETE:
        return f"the job {_CHILDREN[answer]}"
    elif answer < 0 and not update.repeated:
        why = _REJECTIONS.get(answer, f"BullMQ answered {answer}")
        emit(Signal.WORKER_OUTCOME_REJECTED, queue=queue, job=job.id, name=job.name, outcome=update.kind, reason=why)
    return None
