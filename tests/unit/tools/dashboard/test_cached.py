"""Facts that are read once for everybody."""

import asyncio

import pytest

from domainstream.tools.dashboard.cached import Cached


class Counter:
    """Counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    async def read(self) -> int:
        """Return how often it was read."""
        self.reads += 1
        await asyncio.sleep(0)
        return self.reads


async def test_viewers_share_a_reading() -> None:
    """Whoever asks while something is read gets the same value."""
    cached = Cached(Counter().read, seconds=60)
    assert await asyncio.gather(*(cached.get() for _ in range(5))) == [1] * 5


async def test_forgotten_value_is_read_anew() -> None:
    """After a change nobody sees what was before."""
    cached = Cached(Counter().read, seconds=60)
    await cached.get()
    cached.forget()
    assert await cached.get() == 2


async def test_last_value_is_never_read_anew() -> None:
    """Whoever is content with the last value causes no reading."""
    cached = Cached(Counter().read, seconds=0)
    await cached.get()
    assert await cached.last() == 1


async def test_error_is_not_kept() -> None:
    """After an error the next one who asks tries again."""
    counter = Counter()

    async def read() -> int:
        if await counter.read() == 1:
            raise ConnectionError
        return counter.reads

    cached = Cached(read, seconds=60)
    with pytest.raises(ConnectionError):
        await cached.get()
    assert await cached.get() == 2


async def test_whoever_is_in_a_hurry_gets_nothing_until_it_is_read() -> None:
    """A slow reading goes on, and is there for the next one who asks."""
    may_end = asyncio.Event()

    async def read() -> int:
        await may_end.wait()
        return 7

    cached = Cached(read, seconds=60)
    assert await cached.within(0) is None
    may_end.set()
    assert await cached.within(5) == 7


async def test_slow_reading_ends_with_its_owner() -> None:
    """Nothing is read after the end."""
    cached = Cached(asyncio.Event().wait, seconds=60)
    await cached.within(0)
    await cached.close()
    assert len(asyncio.all_tasks()) == 1
