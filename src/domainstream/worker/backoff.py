"""The pause before a failed job is retried: BullMQ's backoff, computed as bullmq 6 for Node.js does."""

import math
import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from domainstream.worker.context import ReceivedJob
from domainstream.worker.outcomes import LONGEST

_FALLBACK: Final[Mapping[str, Any]] = {"type": "exponential", "delay": 1000, "jitter": 0.5}
"""For custom strategies, which are code of the program that added the job."""

_LONGEST_MS: Final = LONGEST / timedelta(milliseconds=1)


def next_pause(job: ReceivedJob) -> timedelta | None:
    """Return the pause before the next attempt at `job`, whose current one has failed; None if that was the last."""
    if job.attempt >= job.attempts:
        return None
    return timedelta(milliseconds=_milliseconds(job.backoff, job.attempt))


def _milliseconds(backoff: Any, attempt: int) -> float:
    """Compute what `Backoffs` of bullmq does (`src/classes/backoffs.ts`): 0 without a backoff."""
    if not isinstance(backoff, Mapping):
        return _number(backoff)
    known = backoff if backoff.get("type") in ("fixed", "exponential") else _FALLBACK
    delay = _number(known.get("delay"))
    if known["type"] == "exponential":
        delay = round(min(delay * 2.0 ** min(attempt - 1, 64), _LONGEST_MS))
    jitter = min(_number(known.get("jitter")), 1.0)
    if jitter == 0:
        return delay
    return math.floor(random.random() * delay * jitter + delay * (1 - jitter))  # noqa: S311 - jitter, not a secret


def _number(given: Any) -> float:
    """Return a number from the job's options, or 0 for anything else: any program may have added the job."""
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        return 0.0
    return min(max(given, 0.0), _LONGEST_MS)
