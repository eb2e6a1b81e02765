"""The two ways in which a flow makes its test fail.

They are failed assertions, not errors of domainstream: code under test that catches `DomainStreamError` must not catch
them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from domainstream.errors import list_problems
from domainstream.stream import DeadLetter
from domainstream.testing.event_flow.attempts import FailedJob, JobAttempt

_MAX_STACKS: Final = 3
_LATEST: Final = 100


class FlowFailedError(AssertionError):
    """Jobs failed permanently, or entries became dead letters, and the test did not expect it."""

    def __init__(self, failed: Sequence[FailedJob], dead_letters: Sequence[DeadLetter]) -> None:
        self.failed = tuple(failed)
        """The jobs."""
        self.dead_letters = tuple(dead_letters)
        """The entries that could not become jobs."""
        super().__init__(_what_failed(self.failed, self.dead_letters))


class EndlessFlowError(AssertionError):
    """Attempts kept leading to further attempts, beyond `most_attempts`."""

    def __init__(self, attempts: Sequence[JobAttempt]) -> None:
        latest = Counter(map(str, attempts[-_LATEST:])).most_common()
        super().__init__(
            list_problems(
                f"After {len(attempts)} attempts there are still jobs: a handler publishes what leads back to it, or "
                "raises RetryLater each time. To let a limited time pass, use flow.advance(timedelta(minutes=1)). "
                "If this number of attempts is right, use EventFlow(..., most_attempts=...). The latest were:",
                [f"{times} times {what}" for what, times in latest],
            )
        )


def _what_failed(failed: Sequence[FailedJob], dead_letters: Sequence[DeadLetter]) -> str:
    heading = (
        f"Jobs that failed permanently: {len(failed)}; entries that became dead letters: {len(dead_letters)}. If the "
        "test expects that, use await flow.settle(expect_failures=True) and check flow.failed and flow.dead_letters:"
    )
    problems = [*map(str, failed), *map(_dead_letter_text, dead_letters)]
    stacks = [f"{job.last}:\n{job.stack}" for job in failed[:_MAX_STACKS] if job.stack]
    return "\n\n".join([list_problems(heading, problems), *stacks])


def _dead_letter_text(dead: DeadLetter) -> str:
    return f"channel {dead.delivery.channel}, entry {dead.delivery.entry_id}: {dead.error}: {dead.reason}"
