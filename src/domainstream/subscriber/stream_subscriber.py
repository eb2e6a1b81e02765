"""The loop that joins streams and queues, on ports alone. Before: `batch`; next: `redis_bullmq_stream_subscriber`."""

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from domainstream.errors import ServerError
from domainstream.lifecycle import Lifecycle
from domainstream.queue import JobQueue
from domainstream.stream import Backoff, DeadLetters, Delivery, StreamReader
from domainstream.subscriber.batch import Batch, Sorter

log = logging.getLogger("domainstream.subscriber")


class StreamSubscriber:
    """Hands the events of streams over to queues, each at least once; an async context manager that closes its ports.

    A batch is acknowledged only after all its jobs are in their queues. When that fails, the same batch is read and
    added again, after a pause; the job ids make sure that nothing is added twice.

    For one event loop. `run` may be called once.
    """

    def __init__(self, reader: StreamReader, queue: JobQueue, dead_letters: DeadLetters, sorter: Sorter) -> None:
        """Join the ports, which the subscriber then owns and closes."""
        self._reader = reader
        self._queue = queue
        self._dead_letters = dead_letters
        self._sorter = sorter
        self._lifecycle = Lifecycle("RedisBullMQStreamSubscriber")
        self._backoff = Backoff()

    async def run(self) -> None:
        """Read, enqueue and acknowledge until `stop` or cancellation.

        Errors of the server are logged and tried again for as long as it takes. `stop` lets the batch at hand finish.
        Raises `ConfigurationError` when it is called a second time, or after `close`.
        """
        await self._lifecycle.run(self._loop)

    def stop(self) -> None:
        """Let `run` return after the batch at hand: within a second or so. Stopping twice does nothing."""
        self._lifecycle.stop()

    async def close(self) -> None:
        """Stop, wait for `run` to return, and close the ports. Closing twice does nothing."""
        await self._lifecycle.close(self._close_ports)

    async def _close_ports(self) -> None:
        async with AsyncExitStack() as stack:
            for port in (self._reader, self._dead_letters, self._queue):
                stack.push_async_callback(port.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _loop(self) -> None:
        while not self._lifecycle.stopping.is_set():
            await self._step()

    async def _step(self) -> None:
        try:
            await self._hand_over(await self._reader.read())
            self._backoff.reset()
        except ServerError as error:
            pause = self._backoff.next()
            log.warning("trying again in %.2f s: %s", pause, error)
            await self._lifecycle.rest(pause)

    async def _hand_over(self, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        batch = self._sorter.sort(deliveries)
        await self._queue.add(batch.jobs)
        await self._bury(batch)
        await self._reader.acknowledge(batch.settled)
        log.debug(
            "%d entries: %d jobs, %d dead letters; last %s %s",
            len(deliveries),
            len(batch.jobs),
            len(batch.letters),
            deliveries[-1].channel,
            deliveries[-1].entry_id,
        )

    async def _bury(self, batch: Batch) -> None:
        if batch.letters:
            await self._dead_letters.bury(batch.letters)
        for letter in batch.letters:
            log.warning(
                "dead letter: %s %s: %s: %s",
                letter.delivery.channel,
                letter.delivery.entry_id,
                letter.error,
                letter.reason,
            )
