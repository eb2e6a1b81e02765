"""Says which streams may have new entries, so that idle ones need not be asked.

Each primary has one connection, over which it names the keys that change. Nothing is missed: while there is no
connection, and once it has been made again, every stream may have new entries.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from domainstream.redis.connection import link_pool
from domainstream.redis.errors import NoReplyError
from domainstream.redis.key_changes import prefixes_of
from domainstream.redis.slot_map import SlotMap, key_slot
from domainstream.redis.topology import Address, RedisTopology
from domainstream.stream.reader.wake_up_listener import WakeUpListener

REFRESH_INTERVAL: Final = 5.0
"""Seconds after which a cluster is asked again who has which slot: a node that gets its first ones is heard then."""


class WakeUps:
    """Which of some streams may have new entries. For one event loop, and one task that waits."""

    def __init__(
        self, where: str | RedisTopology, channels: Mapping[str, str], *, poll: timedelta = timedelta(seconds=5)
    ) -> None:
        """Watch streams, given as the channel of each key; each of them counts as changed after `poll` anyway.

        Raises `ConfigurationError` for an invalid URL.
        """
        self._topology = RedisTopology.of(where)
        self._keys = list(channels)
        self._channels = {key.encode(): channel for key, channel in channels.items()}
        self._prefixes = prefixes_of(self._keys)
        self._poll = poll.total_seconds()
        self._due = float("inf")
        self._changed: set[str] = set()
        self._is_changed = asyncio.Event()
        self._is_map_doubted = asyncio.Event()
        self._silent: Address | None = None

    async def run(self) -> None:
        """Listen until cancelled; a server that does not answer is tried again and again."""
        self._due = _now() + self._poll
        if self._topology.is_cluster:
            await self._listen_to_each(SlotMap(self._topology))
            return
        pool = link_pool(self._topology)
        await WakeUpListener(pool, lambda: self._keys, self._on_change, lambda: None).run(self._prefixes)

    async def wait(self, seconds: float) -> set[str]:
        """Wait until streams have changed, and return their channels; an empty set after so many `seconds`.

        What is added to them after this has returned is part of the next call's answer, so read them then. A call that
        is cancelled loses nothing.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout_at(min(_now() + seconds, self._due)):
                await self._is_changed.wait()
        if _now() >= self._due:
            self._on_change(None)
        changed, self._changed = self._changed, set()
        self._is_changed.clear()
        return changed

    def _on_change(self, keys: Sequence[bytes] | None) -> None:
        channels = self._channels
        if keys is None:
            self._due = _now() + self._poll
            self._changed.update(channels.values())
        else:  # other keys may begin like ours
            self._changed.update([channels[key] for key in keys if key in channels])
        if self._changed:
            self._is_changed.set()

    async def _listen_to_each(self, slots: SlotMap) -> None:
        """Listen to each primary of a cluster, as they come and go.

        Each hears of all keys, so that a slot that moves to another of them is heard there at once.
        """
        async with asyncio.TaskGroup() as group:
            tasks: dict[Address, asyncio.Task[None]] = {}
            version = 0
            while True:
                self._is_map_doubted.clear()
                with suppress(NoReplyError):
                    await slots.refresh(not_from=self._silent)
                primaries = slots.primaries()
                for address in tasks.keys() - primaries:
                    tasks.pop(address).cancel()
                for address in primaries:
                    if address not in tasks:
                        listener = self._listener(slots, address)
                        tasks[address] = group.create_task(listener.run(self._prefixes))
                if slots.version != version:
                    version = slots.version
                    self._on_change(None)
                with suppress(TimeoutError):
                    async with asyncio.timeout(REFRESH_INTERVAL):
                        await self._is_map_doubted.wait()

    def _listener(self, slots: SlotMap, address: Address) -> WakeUpListener:
        def keys() -> list[str]:
            return [key for key in self._keys if slots.owner(key_slot(key)) == address]

        def on_loss() -> None:
            self._silent = address
            self._is_map_doubted.set()

        pool = link_pool(slots.topology.url_of(address))
        return WakeUpListener(pool, keys, self._on_change, on_loss)


def _now() -> float:
    return asyncio.get_running_loop().time()
