"""How an attempt at a job ended, in words that know neither handlers nor BullMQ. Pure; from `attempt` to the engine."""

from datetime import timedelta

from msgspec import Struct


class Completed(Struct, frozen=True, gc=False):
    """The job is done."""


class Delayed(Struct, frozen=True, gc=False):
    """The job shall come again; the attempt does not count."""

    delay: timedelta
    """After how long, at least."""


class Failed(Struct, frozen=True, gc=False):
    """The attempt failed."""

    reason: str
    """The error's message; BullMQ keeps it with the job."""

    stack: str
    """The whole trace with its causes; BullMQ keeps it with the job."""

    again_in: timedelta | None = None
    """The pause before the next attempt; None when the job has failed for good."""


AttemptResult = Completed | Delayed | Failed
