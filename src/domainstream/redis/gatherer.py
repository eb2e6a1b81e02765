"""Works off what many tasks ask for: one part after the other, and in each all that was asked for meanwhile.

A task that needs one answer at a time can be written as if it were alone, and still a hundred of them cost no more
round trips than one. There is no timer, so no latency is added.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

WantedT = TypeVar("WantedT")
AnswerT = TypeVar("AnswerT")

Work = Callable[[Sequence[WantedT]], Awaitable[Sequence[AnswerT | Exception]]]


class Gatherer(Generic[WantedT, AnswerT]):
    """Does one piece of work at a time. For the tasks of one event loop."""

    def __init__(self, work: Work[WantedT, AnswerT], size: Callable[[WantedT], int], *, most: int) -> None:
        """Let `work` return an answer, or an error to raise, for each of what it is given: up to `most` in `size`."""
        self._work = work
        self._size = size
        self._most = most
        self._waiting: list[tuple[WantedT, asyncio.Future[AnswerT]]] = []
        self._working: asyncio.Task[None] | None = None

    async def ask(self, wanted: WantedT) -> AnswerT:
        """Return the answer. Raises the error that is its answer, or what `work` raised."""
        answer: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, answer))
        if self._working is None:
            self._working = asyncio.create_task(self._work_off(), name="domainstream calls")
        return await answer

    async def join(self) -> None:
        """Wait until nothing waits or is being worked on."""
        if self._working is not None:
            await asyncio.wait([self._working])

    async def _work_off(self) -> None:
        taken: list[tuple[WantedT, asyncio.Future[AnswerT]]] = []
        try:
            while self._waiting:
                taken = self._take()
                answers = await self._work([wanted for wanted, _ in taken])
                for (_, future), answer in zip(taken, answers, strict=True):
                    _settle(future, answer)
        except Exception as error:  # noqa: BLE001 - a bug of ours: whoever waits gets it, and reports it
            for _, future in (*taken, *self._waiting):
                _settle(future, error)
        finally:
            self._working = None
            for _, future in (*taken, *self._waiting):
                future.cancel()  # only when the event loop is being shut down is anything left
            self._waiting.clear()

    def _take(self) -> list[tuple[WantedT, "asyncio.Future[AnswerT]"]]:
        # Whoever was cancelled may have asked again, and must not be answered twice in one piece of work.
        self._waiting = [(wanted, future) for wanted, future in self._waiting if not future.done()]
        size = end = 0
        for wanted, _ in self._waiting:
            size += self._size(wanted)
            if end and size > self._most:
                break
            end += 1
        taken, self._waiting = self._waiting[:end], self._waiting[end:]
        return taken


def _settle(future: "asyncio.Future[AnswerT]", answer: AnswerT | Exception) -> None:
    if future.done():  # whoever asked was cancelled
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
