"""One call of `bullmq_turn.lua`, which says what a turn is: arguments and reply."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from domainstream.worker.bullmq.job import HeldJob, held_job
from domainstream.worker.bullmq.job_update import Argument, JobUpdate
from domainstream.worker.bullmq.scripts import turn_script
from domainstream.worker.settings import WorkerSettings

_KEYS: Final = (
    *("wait", "active", "prioritized", "events", "stalled", "limiter", "delayed", "paused", "meta", "pc", "marker"),
    *("completed", "failed", "metrics:completed", "metrics:failed"),
)
_pack = msgspec.msgpack.Encoder().encode
_MILLISECOND: Final = timedelta(milliseconds=1)


LONGEST_LIMIT: Final = 30.0
"""Seconds after which a worker that is limited looks all the same: delayed jobs become waiting ones only then."""


class RoundTrip(Struct, eq=False, gc=False):
    """What one call shall do."""

    tokens: str
    """What the tokens of its jobs begin with."""

    updates: Sequence[JobUpdate]
    """What has happened to jobs."""

    takes: int
    """How many jobs to take."""

    lost: Sequence[str] = ()
    """The tokens of turns whose answers were lost: the server may have given them jobs."""


class RoundTripReply(Struct, frozen=True, gc=False):
    """What came of a turn."""

    answers: list[int | bytes]
    """To each step: BullMQ's number, below zero for a refusal, or the text of an error."""

    jobs: list[HeldJob]
    """Those that were found and taken; this worker's now."""

    limited_for: float
    """For how many seconds to ask for no more because of the rate limit; 0 when it allows more."""

    due: int
    """When the next delayed job is due, in milliseconds since 1970; 0 when there is none."""

    failure: str
    """Why taking jobs failed; empty when it did not."""


class RoundTripCodec:
    """Turns turns into calls for one queue, and replies into what they say."""

    def __init__(self, key_prefix: str, settings: WorkerSettings) -> None:
        """Call for the queue whose keys begin with `key_prefix`. Raises `MissingExtraError` without `bullmq`."""
        self.script = turn_script()
        self._prefix = key_prefix
        self._job_prefix = key_prefix.encode()
        self._keys = tuple(f"{key_prefix}{name}" for name in _KEYS)
        self._options = _pack(_options(settings))

    def arguments(self, turn: RoundTrip) -> list[Argument]:
        """Return what follows the script: how many keys, the keys, the arguments."""
        updates = turn.updates
        call: list[Argument] = [len(self._keys) + len(updates), *self._keys]
        call += [self._job_prefix + update.job.id for update in updates]
        now = time.time_ns() // 1_000_000
        call += (self._prefix, now, self._options, turn.tokens, turn.takes, len(turn.lost), *turn.lost)
        for update in updates:
            call += (update.kind, update.job.id, update.job.token, update.at, *update.details)
        return call

    def reply(self, raw: Any) -> RoundTripReply:
        """Read what the script returned."""
        answers, jobs, limit, due, failure = raw
        held = [held_job(fields, job_id, token) for fields, job_id, token in jobs]
        return RoundTripReply(answers, held, min(limit / 1000, LONGEST_LIMIT), due, failure.decode())


def _options(settings: WorkerSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"lockDuration": round(settings.lock / _MILLISECOND)}
    if settings.name is not None:
        options["name"] = settings.name
    if settings.rate_limit is not None:
        limit = settings.rate_limit
        options["limiter"] = {"max": limit.jobs, "duration": round(limit.per / _MILLISECOND)}
    return options
