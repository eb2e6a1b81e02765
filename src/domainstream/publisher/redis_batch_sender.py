"""Takes batches to Redis, repeatedly until the deadline if need be, each entry once."""

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Final

from redis.exceptions import RedisError

from domainstream.errors import ServerUnavailableError
from domainstream.publisher.pending import Batch
from domainstream.publisher.publish_script import PUBLISH_BATCH, BatchCalls, entry_ids
from domainstream.publisher.reply_classification import AttemptFailure, classify
from domainstream.publisher.settings import PublisherSettings
from domainstream.receipt import Outcome
from domainstream.redis.errors import NoReplyError
from domainstream.redis.link import Arguments, RedisLink, Reply
from domainstream.retrying import Backoff, is_worth_logging
from domainstream.telemetry import Signal, emit

SHORTEST_ATTEMPT: Final = 0.05
"""Seconds that an attempt gets at least."""


class BatchAttempts:
    """The attempts at one batch. The call, and so its sequence, stays the same: the server recognises a repeat."""

    def __init__(self, batch: Batch, call: Arguments, place: str) -> None:
        self.batch = batch
        """The batch."""
        self.call = call
        """The arguments of the script."""
        self.failure: AttemptFailure | None = None
        """Why the latest attempt failed; None when it succeeded."""
        self._place = place
        self._maybe_applied = False

    def note(self, reply: Reply) -> None:
        """Settle the batch when the server has it; else note why not."""
        if isinstance(reply, RedisError | NoReplyError):
            self.failure = classify(reply, self._place)
            self._maybe_applied = self._maybe_applied or self.failure.maybe_applied
        else:
            self.failure = None
            self.batch.published(entry_ids(reply, len(self.batch.messages)))

    def give_up(self, error: Exception) -> None:
        """Settle the batch as failed: its outcome is unknown if any attempt may have reached the server."""
        outcome = Outcome.UNKNOWN if self._maybe_applied else Outcome.REJECTED
        self.batch.failed(outcome, error)
        emit(
            Signal.PUBLISH_FAILED,
            channel=self.batch.channel,
            messages=len(self.batch.messages),
            outcome=outcome.value,
            reason=error,
        )


class RedisBatchSender:
    """Sends flushes over one link. For one caller at a time; it is closed by closing the link."""

    def __init__(self, link: RedisLink, settings: PublisherSettings) -> None:
        """Send through `link`."""
        self._link = link
        self._calls = BatchCalls(settings)
        self._policy = settings.retry

    async def send(self, batches: Sequence[Batch], deadline: float) -> None:
        """Settle every batch, repeating until `deadline` where that can help."""
        now = asyncio.get_running_loop().time
        if now() >= deadline:
            error = ServerUnavailableError("the deadline passed while earlier batches had no reply")
            for batch in batches:
                batch.failed(Outcome.REJECTED, error)
            return
        attempts = [BatchAttempts(batch, self._calls.arguments(batch), self._link.place) for batch in batches]
        backoff = Backoff(self._policy.first_delay, self._policy.longest_delay)
        for number in count(1):
            await self._attempt(attempts, deadline - now())
            attempts = [each for each in attempts if each.failure]
            if not attempts:
                return
            pause = backoff.next()
            attempts = _worth_repeating(attempts, in_time=now() + pause < deadline)
            if not attempts:
                return
            if is_worth_logging(number):
                reasons = {str(each.failure.error) for each in attempts if each.failure}
                emit(Signal.PUBLISH_RETRIED, attempt=number, batches=len(attempts), reason="; ".join(sorted(reasons)))
            await asyncio.sleep(pause)

    async def _attempt(self, attempts: Sequence[BatchAttempts], seconds: float) -> None:
        # A pause may have taken longer than it should: an attempt that has begun gets some time anyway.
        seconds = min(max(seconds, SHORTEST_ATTEMPT), self._policy.attempt_timeout.total_seconds())
        replies = await self._link.eval_each(PUBLISH_BATCH, [each.call for each in attempts], seconds=seconds)
        for each, reply in zip(attempts, replies, strict=True):
            each.note(reply)
        if any(each.failure and each.failure.repeatable for each in attempts):
            await self._link.drop()


def _worth_repeating(attempts: Sequence[BatchAttempts], *, in_time: bool) -> list[BatchAttempts]:
    """Return the attempts worth repeating; give up the others."""
    repeated = []
    for each in attempts:
        if in_time and each.failure and each.failure.repeatable:
            repeated.append(each)
        elif each.failure:
            each.give_up(each.failure.error)
    return repeated
