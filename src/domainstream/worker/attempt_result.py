"""How an attempt at a job ended: the one vocabulary between a handler's outcome and BullMQ's scripts.

=====================================  ====================================
the handler                            the attempt
=====================================  ====================================
returns, or `Done`                     `Completed()`
`RetryLater(delay)`                    `Delayed(delay)`
`GiveUp(reason)`                       `Failed(reason, stack)`
any other error, attempts left         `Failed(message, stack, again_in)`
any other error, last attempt          `Failed(message, stack)`
=====================================  ====================================

`domainstream.worker.bullmq` translates it into script calls.
"""

from datetime import timedelta

from msgspec import Struct


class Completed(Struct, frozen=True, gc=False):
    """The job is done."""


class Delayed(Struct, frozen=True, gc=False):
    """The job is retried after a delay; the attempt does not count."""

    delay: timedelta
    """The shortest time until the job is retried."""


class Failed(Struct, frozen=True, gc=False):
    """The attempt failed."""

    reason: str
    """The error's message; BullMQ stores it with the job."""

    stack: str
    """The traceback of the error and all its causes; BullMQ stores it with the job."""

    again_in: timedelta | None = None
    """The pause before the next attempt; None when the job has failed permanently."""


AttemptResult = Completed | Delayed | Failed
