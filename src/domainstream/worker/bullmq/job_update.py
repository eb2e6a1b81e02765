"""What the server is told about a job, in the words of BullMQ's scripts.

Everything is written as Node's bullmq 6 writes it.
"""

import time
from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from domainstream.worker.attempt_result import AttemptResult, Completed, Delayed, Failed
from domainstream.worker.bullmq.job import HeldJob

COMPLETE, FAIL, DELAY, RETRY, HAND_BACK, PROGRESS = "complete", "fail", "delay", "retry", "hand_back", "progress"

_pack = msgspec.msgpack.Encoder().encode
_MILLISECOND: Final = timedelta(milliseconds=1)

Argument = str | bytes | int


class JobUpdate(Struct, eq=False, gc=False):
    """One thing that happened to a job."""

    kind: str
    """One of the six above."""

    job: HeldJob
    """The job."""

    at: int
    """When, in milliseconds since 1970."""

    details: tuple[Argument, Argument, Argument] = ("", "", "")
    """Three arguments that depend on the kind."""

    doubtful: bool = False
    """Whether an answer to this step was lost: the server may have done it already."""

    @property
    def ends(self) -> bool:
        """Whether this worker has nothing to do with the job any more."""
        return self.kind is not PROGRESS


class JobUpdates:
    """Makes steps."""

    def __init__(self, metrics: int | None) -> None:
        """Let completed and failed jobs be counted for so many minutes; None: not at all."""
        self._metrics: int | str = "" if metrics is None else metrics

    def after(self, job: HeldJob, result: AttemptResult) -> JobUpdate:
        """Return what follows from the end of an attempt."""
        if isinstance(result, Completed):
            packed = self._finish_options(job, job.options.remove_on_complete)
            return JobUpdate(COMPLETE, job, _now(), (packed, "null", ""))
        if isinstance(result, Delayed):
            return JobUpdate(DELAY, job, _now(), (_milliseconds(result.delay), "1", ""))
        return self._after_failure(job, result)

    def hand_back(self, job: HeldJob) -> JobUpdate:
        """Let another worker take the job, as if it had not been taken."""
        return JobUpdate(HAND_BACK, job, _now())

    def progress(self, job: HeldJob, value: Any) -> JobUpdate:
        """Tell how far a job has come: a number or an object, which becomes JSON."""
        return JobUpdate(PROGRESS, job, _now(), (msgspec.json.encode(value), "", ""))

    def _after_failure(self, job: HeldJob, failed: Failed) -> JobUpdate:
        reason = _clean(failed.reason)
        fields = _pack(("failedReason", reason, "stacktrace", _stacks(job, _clean(failed.stack))))
        if failed.again_in is None:
            packed = self._finish_options(job, job.options.remove_on_fail)
            return JobUpdate(FAIL, job, _now(), (packed, reason, fields))
        pause = _milliseconds(failed.again_in)
        if pause:
            return JobUpdate(DELAY, job, _now(), (pause, "0", fields))
        return JobUpdate(RETRY, job, _now(), ("RPUSH" if job.options.lifo else "LPUSH", "", fields))

    def _finish_options(self, job: HeldJob, remove: Any) -> bytes:
        return _pack(
            {
                "token": job.token,
                "keepJobs": _kept(remove),
                "attempts": job.received.attempts,
                "maxMetricsSize": self._metrics,
            }
        )


def _kept(remove: Any) -> dict[str, Any]:
    if isinstance(remove, dict):
        return remove
    if isinstance(remove, int) and not isinstance(remove, bool):
        return {"count": remove}
    return {"count": 0 if remove else -1}


def _stacks(job: HeldJob, stack: str) -> str:
    limit = job.options.stack_trace_limit
    try:
        earlier = msgspec.json.decode(job.stacks or b"[]", type=list[str])
    except msgspec.DecodeError:
        earlier = []
    kept = [*earlier, stack]
    if isinstance(limit, int):
        kept = kept[-limit:] if limit > 0 else []
    return msgspec.json.encode(kept).decode()


def _clean(text: str) -> str:
    """Replace halves of surrogate pairs, which no UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()


def _milliseconds(duration: timedelta) -> int:
    return max(0, round(duration / _MILLISECOND))


def _now() -> int:
    return time.time_ns() // 1_000_000
