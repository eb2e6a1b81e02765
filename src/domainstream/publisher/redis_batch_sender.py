"""Takes batches to Redis, until the deadline if need be, each entry once."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Final

from domainstream.errors import ServerUnavailableError
from domainstream.publisher.batch import Batch
from domainstream.publisher.publish_script import PublishScript, entry_ids
from domainstream.publisher.redis_link import Answer, RedisLink
from domainstream.publisher.reply_classification import Verdict, verdict_of
from domainstream.publisher.settings import PublisherSettings
from domainstream.receipt import Outcome
from domainstream.settings import RetryPolicy
from domainstream.telemetry import Signal, emit

SHORTEST_ATTEMPT: Final = 0.05
"""Seconds that an attempt has at the least."""


class BatchAttempts:
    """The attempts at one batch; the command, and so its sequence, stays the same."""

    def __init__(self, batch: Batch, script: PublishScript) -> None:
        self.batch = batch
        self.command = script.command(batch)
        self.verdict: Verdict | None = None
        self._perhaps_applied = False

    def judge(self, answer: Answer) -> None:
        """Settle the batch when the server has it; else note why not."""
        if isinstance(answer, Exception):
            self.verdict = verdict_of(answer)
            self._perhaps_applied = self._perhaps_applied or self.verdict.perhaps_applied
        else:
            self.verdict = None
            self.batch.published(entry_ids(answer, len(self.batch.messages)))

    def give_up(self, verdict: Verdict) -> None:
        """Settle the batch as failed: its fate is unknown once any attempt may have reached the server."""
        outcome = Outcome.UNKNOWN if self._perhaps_applied else Outcome.REJECTED
        self.batch.failed(outcome, verdict.error)
        emit(
            Signal.PUBLISH_FAILED,
            channel=self.batch.channel,
            messages=len(self.batch.messages),
            outcome=outcome.value,
            reason=verdict.error,
        )


class RedisBatchSender:
    """Sends flushes over one link. For one caller at a time; it is closed by closing the link."""

    def __init__(self, link: RedisLink, settings: PublisherSettings) -> None:
        self._link = link
        self._script = PublishScript(settings)
        self._policy = settings.retry

    async def send(self, batches: Sequence[Batch], deadline: float) -> None:
        """Settle every batch, trying again until `deadline` where that can help."""
        now = asyncio.get_running_loop().time
        if now() >= deadline:
            _never_sent(batches)
            return
        efforts = [BatchAttempts(batch, self._script) for batch in batches]
        for attempt, pause in enumerate(_pauses(self._policy), start=1):
            await self._attempt(efforts, deadline - now())
            efforts = _unfinished(efforts, again=now() + pause < deadline)
            if not efforts:
                return
            _tell(attempt, efforts)
            await asyncio.sleep(pause)

    async def _attempt(self, efforts: Sequence[BatchAttempts], seconds: float) -> None:
        # A pause may have taken longer than it should: an attempt that has begun is given some time all the same.
        seconds = min(max(seconds, SHORTEST_ATTEMPT), self._policy.attempt_timeout.total_seconds())
        answers = await self._link.run([effort.command for effort in efforts], seconds)
        for effort, answer in zip(efforts, answers, strict=True):
            effort.judge(answer)
        if any(effort.verdict and effort.verdict.reconnect for effort in efforts):
            await self._link.drop()


def _unfinished(efforts: Sequence[BatchAttempts], *, again: bool) -> list[BatchAttempts]:
    """Return the efforts worth another attempt; give up the others that failed."""
    unfinished = []
    for effort in efforts:
        if effort.verdict is None:
            continue
        if again and effort.verdict.again:
            unfinished.append(effort)
        else:
            effort.give_up(effort.verdict)
    return unfinished


def _pauses(policy: RetryPolicy) -> Iterator[float]:
    longest, limit = policy.first_delay.total_seconds(), policy.longest_delay.total_seconds()
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311 - spreads retries, keeps no secret
        longest = min(2 * longest, limit)


def _tell(attempt: int, efforts: Sequence[BatchAttempts]) -> None:
    """Log the attempts 1, 2, 4, 8 and so on: a server that is down for long should not fill the log."""
    if attempt & (attempt - 1) == 0:
        emit(
            Signal.PUBLISH_RETRIED,
            attempt=attempt,
            batches=len(efforts),
            reason=_reason(efforts),
        )


def _reason(efforts: Sequence[BatchAttempts]) -> str:
    return "; ".join(sorted({str(effort.verdict.error) for effort in efforts if effort.verdict}))


def _never_sent(batches: Sequence[Batch]) -> None:
    for batch in batches:
        batch.failed(
            Outcome.REJECTED, ServerUnavailableError("the deadline passed while earlier batches had no answer")
        )
