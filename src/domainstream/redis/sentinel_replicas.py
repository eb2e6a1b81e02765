"""How many replicas the sentinels know, also those that do not answer."""

import asyncio
from typing import Final

from domainstream.redis.confirming import Exchange
from domainstream.redis.link import RedisLink, Reply
from domainstream.redis.sentinel_questions import ASK_TIMEOUT
from domainstream.redis.topology import Address, RedisTopology

CLIENT_NAME: Final = "domainstream-replicas"
"""How a sentinel's CLIENT LIST shows the connection."""


class SentinelReplicas:
    """Counts the replicas of a primary that sentinels name.

    The primary itself would not do: once it is cut off, or replaced, it knows of fewer, and would confirm by them what
    the next primary does not have.
    """

    def __init__(self, topology: RedisTopology) -> None:
        """Ask the sentinels of `topology`."""
        self._topology = topology

    async def __call__(self, _: Exchange, seconds: float) -> int | Exception:
        """Return the largest number that a sentinel gives, since one that was just started finds them bit by bit.

        Returns an error when no sentinel answers.
        """
        answers = await asyncio.gather(*(self._ask(address, seconds) for address in self._topology.seeds))
        counts = [len(answer) for answer in answers if not isinstance(answer, Exception)]
        return max(counts) if counts else next(answer for answer in answers if isinstance(answer, Exception))

    async def _ask(self, address: Address, seconds: float) -> Reply:
        link = RedisLink.from_url(self._topology.sentinel_url_of(address), client_name=CLIENT_NAME)
        try:
            question = ("SENTINEL", "REPLICAS", self._topology.primary_name)
            (answer,) = await link.exchange(question, seconds=min(ASK_TIMEOUT, seconds / 2))
            return answer
        finally:
            await link.drop()
