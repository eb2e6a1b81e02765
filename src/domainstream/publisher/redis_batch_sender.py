"""Sends batches to Redis: the script call that adds one, what a failed attempt means, and the retries.

The table of `domainstream.redis.errors` says what is worth repeating. This one adds whether the server may have applied
the batch:

======================================  ============  =========  ================================================
reply                                   applied?      repeated?  because
======================================  ============  =========  ================================================
no connection                           no            yes        nothing was sent
connection lost before the reply        maybe         yes        the sequence makes the repeat harmless
transient (LOADING, MISCONF, ...)       no            yes        a script is rejected before its first write
UNTRIMMED                               yes           yes        the repeat returns the entry ids
too few replicas confirmed              yes           yes        the repeat returns the entry ids, and waits again
cannot wait (WAITAOF, appendonly)       no            no         it is asked before anything is sent
HALFADDED                               maybe         no         a repeat would add entries again
other number of partitions              no            no         it needs another configuration
moved (MOVED, ASK)                      no            no         the URL names one server, and it is a cluster's
final (OOM, WRONGTYPE, NOPERM, ...)     no            no         it would fail in the same way
======================================  ============  =========  ================================================

NOSCRIPT never gets here: the link answers it with the script's text at once. Neither do MOVED and ASK on a cluster: the
link follows them.
"""

import asyncio
import secrets
from collections.abc import Sequence
from functools import cached_property
from itertools import count
from typing import Final, NamedTuple

from redis.exceptions import RedisError

from domainstream.errors import (
    ConfigurationError,
    ServerError,
    ServerRefusedError,
    ServerUnavailableError,
)
from domainstream.publisher.index_records import records_of
from domainstream.publisher.partition_layout import BatchScript, batch_keys
from domainstream.publisher.pending import Batch
from domainstream.publisher.retention import milliseconds, retention_arguments
from domainstream.publisher.settings import PublisherSettings
from domainstream.receipt import Outcome
from domainstream.redis.confirming import Confirmed, doubt_about
from domainstream.redis.errors import ErrorKind, NoReplyError, kind_of, server_error
from domainstream.redis.link import Arguments, RedisLink, Reply
from domainstream.retrying import Backoff, is_worth_logging
from domainstream.settings import Confirm, RetryPolicy
from domainstream.telemetry import Signal, emit

SHORTEST_ATTEMPT: Final = 0.05
"""Seconds that an attempt gets at least."""


class RedisBatchSender:
    """Sends flushes over one link. For one caller at a time."""

    def __init__(self, link: RedisLink, calls: "BatchCalls", policy: RetryPolicy) -> None:
        """Send what `calls` makes through `link`, which is closed with the sender."""
        self._link = link
        self._script = BatchScript(link, prefix=calls.prefix)
        self._calls = calls
        self._policy = policy

    async def send(self, batches: Sequence[Batch], deadline: float, confirm: Confirm | None = None) -> None:
        """Settle every batch, repeating until `deadline` where that can help; `confirm` waits for replicas."""
        now = asyncio.get_running_loop().time
        if now() >= deadline:
            error = ServerUnavailableError("the deadline passed while earlier batches had no reply")
            for batch in batches:
                batch.failed(Outcome.REJECTED, error)
            return
        attempts = [BatchAttempts(batch, self._calls.arguments(batch), self._link.place) for batch in batches]
        backoff = Backoff(self._policy.first_delay, self._policy.longest_delay)
        for number in count(1):
            # A pause may have taken longer than it should: an attempt that has begun gets some time anyway.
            seconds = min(max(deadline - now(), SHORTEST_ATTEMPT), self._policy.attempt_timeout.total_seconds())
            targets, made = [each.batch.target for each in attempts], [each.call for each in attempts]
            replies = await self._script.replies(targets, made, confirm, seconds=seconds)
            for each, reply in zip(attempts, replies, strict=True):
                each.note(reply, was_short=seconds < self._policy.attempt_timeout.total_seconds())
            attempts = [each for each in attempts if each.failure]
            if not attempts:
                return
            if any(each.failure and each.failure.repeatable for each in attempts):
                await self._link.drop()
            pause = backoff.next()
            attempts = _worth_repeating(attempts, in_time=now() + pause < deadline)
            if not attempts:
                return
            if is_worth_logging(number):
                reasons = {str(each.failure.error) for each in attempts if each.failure}
                emit(Signal.PUBLISH_RETRIED, attempt=number, batches=len(attempts), reason="; ".join(sorted(reasons)))
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Close the link, and wait for the end of its connection."""
        await self._link.drop(nowait=False)


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

    def note(self, reply: Reply, *, was_short: bool = False) -> None:
        """Settle the batch when the server has it; else note why not.

        That an attempt had little time, and no reply in it, says less than why the one before failed.
        """
        if isinstance(reply, RedisError | NoReplyError | ConfigurationError):
            failure = classify(reply, self._place)
            if was_short and self.failure and isinstance(reply, NoReplyError) and isinstance(reply.cause, TimeoutError):
                failure = failure._replace(error=self.failure.error)
            self.failure = failure
            self._maybe_applied = self._maybe_applied or self.failure.maybe_applied
        elif isinstance(reply, Confirmed):
            self._note_confirmed(reply)
        else:
            self.failure = None
            self.batch.published(entry_ids(reply, len(self.batch.messages)))

    def _note_confirmed(self, confirmed: Confirmed) -> None:
        """Settle the batch when enough replicas have it."""
        error = doubt_about(confirmed, self._place)
        if error is None:
            self.failure = None
            self.batch.published(entry_ids(confirmed.reply, len(self.batch.messages)), confirmed.replicas)
        else:
            self._maybe_applied = True
            self.failure = AttemptFailure(maybe_applied=True, repeatable=True, error=error)

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


def _worth_repeating(attempts: Sequence[BatchAttempts], *, in_time: bool) -> list[BatchAttempts]:
    """Return the attempts worth repeating; give up the others."""
    repeated = []
    for each in attempts:
        if in_time and each.failure and each.failure.repeatable:
            repeated.append(each)
        elif each.failure:
            each.give_up(each.failure.error)
    return repeated


class BatchCalls:
    """Makes the script calls of one producer, and counts the sequence of each target's batches.

    Senders of the same producer share it; a target's batches go through one of them at a time.
    """

    def __init__(self, settings: PublisherSettings) -> None:
        self.prefix = settings.prefix
        """What each stream's key begins with."""
        self._producer_id = settings.producer_id
        self._index = settings.index
        self._sequences: dict[str, int] = {}
        self._limits = (milliseconds(settings.dedup_window), *retention_arguments(settings.retention))

    @cached_property
    def _last_batch_name(self) -> str:
        """Drawn with the first batch: neither one setting's clients nor forked processes may take each other's ids."""
        token = secrets.token_hex(8)
        return f"producer:{token}" if self._producer_id is None else f"producer:{self._producer_id}:{token}"

    def arguments(self, batch: Batch) -> Arguments:
        """Return the keys and arguments of the target's next batch; sending them again adds no second entry."""
        sequence = self._sequences[batch.target] = self._sequences.get(batch.target, 0) + 1
        keys, partitions = batch_keys(batch.target, self._last_batch_name, self.prefix, index=self._index)
        records = records_of(batch.messages) if self._index else b""
        messages = [message.data for message in batch.messages]
        return (*keys, str(sequence), *self._limits, partitions, records, *messages)


def entry_ids(reply: Sequence[bytes], count: int) -> list[str]:
    """Return the ids of `count` entries; the script shortens a gapless run to its first and last id."""
    if len(reply) == count:
        return [entry_id.decode() for entry_id in reply]
    ms, _, number = reply[0].decode().partition("-")
    first = int(number)
    return [f"{ms}-{number}" for number in range(first, first + count)]


class AttemptFailure(NamedTuple):
    """What the failure of an attempt means for its batch."""

    maybe_applied: bool
    """Whether the server may have added the entries."""

    repeatable: bool
    """Whether to repeat the attempt, on a new connection, before the deadline."""

    error: ServerError | ConfigurationError
    """What to report if it was the last attempt."""


def classify(reply: RedisError | NoReplyError | ConfigurationError, place: str) -> AttemptFailure:
    """Classify a reply that is an error; `place` is the server, as `host:port`."""
    if isinstance(reply, ConfigurationError):
        return AttemptFailure(maybe_applied=False, repeatable=False, error=reply)
    text = str(reply)
    if text.startswith("UNTRIMMED "):
        error = ServerUnavailableError(f"the entries were added but the stream cannot be trimmed: {text}")
        return AttemptFailure(maybe_applied=True, repeatable=True, error=error)
    if text.startswith("HALFADDED "):
        refused = ServerRefusedError(f"the server failed after it had added entries: {text}")
        return AttemptFailure(maybe_applied=True, repeatable=False, error=refused)
    no_reply_to_the_script = isinstance(reply, NoReplyError) and reply.sent
    return AttemptFailure(
        maybe_applied=no_reply_to_the_script,
        repeatable=kind_of(reply) is ErrorKind.TRANSIENT,
        error=server_error(reply, place),
    )
