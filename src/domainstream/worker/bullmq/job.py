"""A job that this worker holds, read from what BullMQ keeps of it.

The data stays the text that it is: parsing would change numbers, and data that is not JSON must fail its own job.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from domainstream.worker.context import ReceivedJob


class JobOptions(Struct, frozen=True, gc=False, rename="camel"):
    """The options of a job that its worker needs; anybody may have added the job, so each may be anything."""

    attempts: Any = 0
    """How many tries there may be."""

    backoff: Any = None
    """The pause between two tries."""

    remove_on_complete: Any = None
    """Whether a completed job is kept, how long, how many."""

    remove_on_fail: Any = None
    """The same of a failed one."""

    stack_trace_limit: Any = None
    """How many stacks are kept."""

    lifo: Any = False
    """Whether the job goes before the others when it comes again at once."""


class HeldJob(Struct, eq=False, gc=False):
    """A job and its lock."""

    id: bytes
    """The job's id, as it stands on the server."""

    received: ReceivedJob
    """The job, as handlers know it."""

    token: str
    """What the lock holds."""

    options: JobOptions
    """The job's options."""

    stacks: bytes = b""
    """JSON of the stacks of earlier attempts; empty when there are none."""

    deferred_failure: str | None = None
    """Why the job must fail without another try: its workers died too often. None for most."""

    scheduler: str | None = None
    """Which scheduler of BullMQ repeats the job. None for most."""

    raw_options: bytes = b""
    """The options as they stand on the server."""

    lost: bool = False
    """Whether the lock is known to be lost."""


_NO_OPTIONS: Final = JobOptions()
_read_options = msgspec.json.Decoder(JobOptions).decode


def held_job(fields: list[bytes], job_id: bytes, token: bytes) -> HeldJob:
    """Read the fields of a job's hash, names and values in turn."""
    known = dict(zip(fields[::2], fields[1::2], strict=True))
    raw_options = known.get(b"opts", b"")
    options = _options(raw_options)
    received = ReceivedJob(
        id=_text(job_id),
        name=_text(known.get(b"name", b"")),
        attempt=int(known.get(b"atm", 0)) + 1,
        data=_text(known.get(b"data", b"")),
        attempts=max(_count(options.attempts), 1),
        backoff=options.backoff,
    )
    deferred_failure, scheduler = known.get(b"defa"), known.get(b"rjk")
    return HeldJob(
        job_id,
        received,
        token.decode(),
        options,
        known.get(b"stacktrace", b""),
        None if deferred_failure is None else _text(deferred_failure),
        None if scheduler is None else _text(scheduler),
        raw_options,
    )


def _options(text: bytes) -> JobOptions:
    try:
        return _read_options(text)
    except msgspec.DecodeError:
        return _NO_OPTIONS


def _count(given: Any) -> int:
    return int(given) if isinstance(given, int | float) and 0 < given < 2**53 else 0


def _text(raw: bytes) -> str:
    # What is no UTF-8 shall fail its own job, not the turn that took it.
    return raw.decode("utf-8", "surrogateescape")
