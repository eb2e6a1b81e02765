"""What BullMQ's scripts answer to a step.

====  ======================================  =====================================================
code  meaning                                 what follows
====  ======================================  =====================================================
>= 0  done
-1    the job is gone                         nothing can; after a lost reply: it was done
-2    the lock has ended                      the same
-3    the job is not active                   the same
-6    another worker has the lock             the same
-4    children of the job are not done        the job fails
-9    children of the job have failed         the job fails
text  a key has the wrong type, for one       nothing; the lock ends, and the job comes again
====  ======================================  =====================================================
"""

import logging
from typing import Final

from domainstream.worker.attempt_result import Failed
from domainstream.worker.bullmq.job_update import COMPLETE, JobUpdate

log = logging.getLogger("domainstream.worker")

_REFUSALS: Final = {
    -1: "the job was removed",
    -2: "its lock had ended; the job runs again, here or elsewhere",
    -3: "the job was not active any more",
    -6: "its lock had ended, and another worker has the job now",
}
_CHILDREN: Final = {-4: "has children that are not done", -9: "has children that failed"}


def follow_up(update: JobUpdate, answer: int | bytes, queue: str) -> Failed | None:
    """Log what is wrong with an answer; return what to tell instead when the job cannot be completed."""
    job = update.job.received
    if isinstance(answer, bytes):
        log.error("queue %s: job %s (%s): the server refused: %s", queue, job.id, job.name, answer.decode())
    elif answer in _CHILDREN and update.kind is COMPLETE:
        reason = f"the job {_CHILDREN[answer]}"
        return Failed(reason, reason)
    elif answer < 0 and not update.doubtful:
        why = _REFUSALS.get(answer, f"BullMQ answered {answer}")
        log.warning(
            "queue %s: job %s (%s): its outcome (%s) was refused: %s", queue, job.id, job.name, update.kind, why
        )
    return None
