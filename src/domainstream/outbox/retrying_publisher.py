"""Repeats each call to Redis until there is an answer, for a relay."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from itertools import count
from time import monotonic
from typing import Final, TypeVar

from domainstream.channel.destinations import destination_of_all
from domainstream.errors import OutboxError, ServerError
from domainstream.event.trace_context import read_context
from domainstream.lifecycle import Lifecycle
from domainstream.outbox.port import BatchPublisher, NotedBatch, SettledBatch
from domainstream.retrying import Backoff, is_worth_logging
from domainstream.telemetry import Attribute, Context, Signal, Span, emit, tracing

LEASES: Final = 6
"""How many terms of its lease a relay waits for Redis before it asks whether another one has taken over."""

AnswerT = TypeVar("AnswerT")


class NoAnswerError(Exception):
    """Redis did not answer until the relay was stopped, or for so long that another relay may have taken over."""


class RetryingPublisher:
    """Publishes batches under their noted identities, again and again, and reports a server that forgot them."""

    def __init__(self, publisher: BatchPublisher, lifecycle: Lifecycle, *, lease: timedelta) -> None:
        """Publish through `publisher` until `lifecycle` stops, for `LEASES` terms of `lease` at most."""
        self.published = 0
        """Rows that it published."""
        self.failure: ServerError | None = None
        """Why the latest call has no answer yet; None when it has one."""
        self._publisher = publisher
        self._lifecycle = lifecycle
        self._seconds = LEASES * lease.total_seconds()

    async def introduce(self, producer: str) -> None:
        """Let the server remember a producer; see `BatchPublisher.introduce`. Raises `NoAnswerError`."""
        await self._answered(lambda _: self._publisher.introduce(producer))

    async def publish(self, batch: NotedBatch, *, is_repeat: bool) -> SettledBatch:
        """Publish a batch; `is_repeat` if another attempt at it may have been made before. Raises `NoAnswerError`."""
        messages = [row.message for row in batch.rows]
        channel, partition = destination_of_all([message.target for message in messages])
        attributes = {Attribute.BATCH_COUNT: len(messages), **partition}

        def links() -> Iterator[Context]:
            return filter(None, (read_context(message.data) for message in messages))

        async def send(attempt: int) -> SettledBatch:
            if is_repeat or attempt > 1:
                await self._verify_memory(batch)
            with tracing().span(Span.RELAY, channel, attributes, links=links) as span:
                rejected = await self._publisher.send(messages, batch.identity)
                for error in rejected.values():
                    span.failed(error)
            return SettledBatch(batch, {channel: str(error) for channel, error in rejected.items()})

        settled = await self._answered(send)
        self.published += len(settled.published_ids)
        return settled

    async def _verify_memory(self, batch: NotedBatch) -> None:
        """Report it when the server cannot tell whether it has a batch already."""
        producer = batch.identity.producer
        if not await self._publisher.remembers(producer):
            emit(Signal.OUTBOX_SERVER_LOST_MEMORY, rows=len(batch.rows))
            await self._publisher.introduce(producer)

    async def _answered(self, call: Callable[[int], Awaitable[AnswerT]]) -> AnswerT:
        """Make a call, given the number of the attempt, until Redis answers. Raises `NoAnswerError`."""
        backoff = Backoff()
        give_up_at = monotonic() + self._seconds
        attempts = count(1)
        while True:
            attempt = next(attempts)
            try:
                answer = await call(attempt)
            except ServerError as error:
                self.failure = error
                await pause_after(error, backoff, attempt, self._lifecycle)
                if self._lifecycle.stopping.is_set() or monotonic() >= give_up_at:
                    raise NoAnswerError from None
            else:
                self.failure = None
                return answer


async def pause_after(error: OutboxError | ServerError, backoff: Backoff, failures: int, lifecycle: Lifecycle) -> None:
    """Pause before the next attempt, after `failures` in a row; report some of them."""
    pause = backoff.next()
    if is_worth_logging(failures):
        emit(Signal.OUTBOX_RETRIED, pause_s=round(pause, 3), reason=error)
    await lifecycle.rest(pause)
