"""The two ways a test of a flow fails by itself.

They are failed assertions, not errors of domainstream: code under test that catches `DomainStreamError` lets them pass.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from domainstream.errors import list_problems
from domainstream.stream import DeadLetter
from domainstream.testing.event_flow.attempts import FailedJob, JobAttempt

_MOST_STACKS: Final = 3
_LATELY: Final = 100


class FlowFailedError(AssertionError):
    """Jobs failed for good, or entries became dead letters, and the test did not expect it."""

    def __init__(self, failed: Sequence[FailedJob], dead_letters: Sequence[DeadLetter]) -> None:
        self.failed = tuple(failed)
        """The jobs."""
        self.dead_letters = tuple(dead_letters)
        """The entries that could not become jobs."""
        super().__init__(_what_failed(self.failed, self.dead_letters))


class EndlessFlowError(AssertionError):
    """Attempts led to attempts, without an end in sight."""

    def __init__(self, attempts: Sequence[JobAttempt]) -> None:
        lately = Counter(map(str, attempts[-_LATELY:])).most_common()
        super().__init__(
            list_problems(
                f"After {len(attempts)} attempts jobs still come: a handler publishes what leads back to it, or raises "
                "RetryLater each time. To let only so much time pass, type: await flow.advance(timedelta(minutes=1)); "
                "where so many attempts are right, type: EventFlow(..., most_attempts=...). The latest were:",
                [f"{times} times {what}" for what, times in lately],
            )
        )


def _what_failed(failed: Sequence[FailedJob], dead_letters: Sequence[DeadLetter]) -> str:
    heading = (
        f"Jobs that failed for good: {len(failed)}; entries that became dead letters: {len(dead_letters)}. Where a "
        "test means that, type: await flow.settle(expect_failures=True), and look at flow.failed and flow.dead_letters:"
    )
    problems = [*map(str, failed), *map(_dead_letter, dead_letters)]
    stacks = [f"{job.last}:\n{job.stack}" for job in failed[:_MOST_STACKS] if job.stack]
    return "\n\n".join([list_problems(heading, problems), *stacks])


def _dead_letter(letter: DeadLetter) -> str:
    return f"channel {letter.delivery.channel}, entry {letter.delivery.entry_id}: {letter.error}: {letter.reason}"
