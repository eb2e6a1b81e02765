"""One call of `round_trip.lua`: what it reports and fetches, its arguments and its reply."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from msgspec import Struct

from domainstream.worker.bullmq.job import Argument, HeldJob, JobUpdate, held_job
from domainstream.worker.bullmq.scripts import round_trip_script
from domainstream.worker.settings import WorkerSettings

LONGEST_LIMIT: Final = 30.0
"""Seconds after which a rate-limited worker fetches even so: delayed jobs only move to wait when a worker fetches."""

_KEYS: Final = (
    *("wait", "active", "prioritized", "events", "stalled", "limiter", "delayed", "paused", "meta", "pc", "marker"),
    *("completed", "failed", "metrics:completed", "metrics:failed"),
)
_pack = msgspec.msgpack.Encoder().encode
_MILLISECOND: Final = timedelta(milliseconds=1)


class RoundTrip(Struct, eq=False, gc=False):
    """What one call does."""

    token_prefix: str
    """What the lock tokens of the jobs that it fetches begin with."""

    updates: Sequence[JobUpdate]
    """What has happened to jobs."""

    fetch_count: int
    """How many jobs it fetches at most."""

    unanswered: Sequence[str] = ()
    """Token prefixes of round trips whose replies were lost: the server may have given them jobs."""


class RoundTripReply(Struct, frozen=True, gc=False):
    """What came of a round trip."""

    answers: list[int | bytes]
    """One for each update: BullMQ's number, negative for a rejection, or the text of an error."""

    jobs: list[HeldJob]
    """The jobs that were fetched, or found for unanswered round trips; this worker holds them now."""

    limited_for: float
    """Seconds until the rate limit allows another fetch; 0 when it allows one now."""

    due: int
    """When the next delayed job is due, in milliseconds since 1970; 0 when there is none."""

    failure: str
    """Why fetching failed; empty when it did not."""


class RoundTripCodec:
    """Encodes the round trips of one queue as script calls and decodes the replies."""

    def __init__(self, key_prefix: str, settings: WorkerSettings) -> None:
        """Address the queue whose keys begin with `key_prefix`. Raises `MissingExtraError` without `bullmq`."""
        self.script = round_trip_script()
        """The script to call."""
        self._prefix = key_prefix
        self._job_prefix = key_prefix.encode()
        self._keys = tuple(f"{key_prefix}{name}" for name in _KEYS)
        options: dict[str, Any] = {"lockDuration": round(settings.lock / _MILLISECOND)}
        if settings.name is not None:
            options["name"] = settings.name
        if (limit := settings.rate_limit) is not None:
            options["limiter"] = {"max": limit.jobs, "duration": round(limit.per / _MILLISECOND)}
        self._fetch_options = _pack(options)

    def arguments(self, round_trip: RoundTrip) -> list[Argument]:
        """Return what follows the script: how many keys, the keys, the arguments."""
        updates, unanswered = round_trip.updates, round_trip.unanswered
        call: list[Argument] = [len(self._keys) + len(updates), *self._keys]
        call += [self._job_prefix + update.job.id for update in updates]
        now = time.time_ns() // 1_000_000
        call += (self._prefix, now, self._fetch_options, round_trip.token_prefix, round_trip.fetch_count)
        call += (len(unanswered), *unanswered)
        for update in updates:
            call += (update.kind, update.job.id, update.job.token, update.at, *update.details)
        return call

    def reply(self, raw: Any) -> RoundTripReply:
        """Decode what the script returned."""
        answers, jobs, limit_ms, due, failure = raw
        held = [held_job(fields, job_id, token) for fields, job_id, token in jobs]
        return RoundTripReply(answers, held, min(limit_ms / 1000, LONGEST_LIMIT), due, failure.decode())
