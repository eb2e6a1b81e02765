"""Work that several tasks ask for together."""

import asyncio
from collections.abc import Sequence

from domainstream.lifecycle import cancel_and_wait
from domainstream.redis.gatherer import Gatherer


async def test_what_nobody_waits_for_any_more_is_not_done() -> None:
    """A task that was cancelled while its request waited, and asks again, is answered once."""
    done: list[Sequence[str]] = []
    free = asyncio.Event()

    async def work(wanted: Sequence[str]) -> list[str]:
        done.append(wanted)
        await free.wait()
        return list(wanted)

    gatherer = Gatherer(work, lambda _: 1, most=10)
    first = asyncio.create_task(gatherer.ask("first"))
    await asyncio.sleep(0)
    abandoned = asyncio.create_task(gatherer.ask("again"))
    await asyncio.sleep(0)
    await cancel_and_wait(abandoned)
    again = asyncio.create_task(gatherer.ask("again"))
    await asyncio.sleep(0)
    free.set()

    assert (await first, await again) == ("first", "again")
    assert done == [["first"], ["again"]]
