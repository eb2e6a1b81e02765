"""A bridge from streams to queues as it is often written, for control runs: it shows what the protection is for."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any
from urllib.parse import urlsplit

import bullmq
from faults.children.process import die
from faults.children.subscriber import JOB, QUEUES
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from support.consuming import EVALUATED, GROUP


class Habit(Enum):
    """When a bridge acknowledges."""

    ADD_FIRST = auto()
    """Once jobs are added, which have no ids of their own."""

    ACKNOWLEDGE_FIRST = auto()
    """Before jobs are added."""


@dataclass(frozen=True, kw_only=True)
class BridgeOrder:
    """What a bridge is told.

    Attributes:
        url: The server, or a proxy in front of it.

        habit: When it acknowledges.

        batch: How many entries it reads at a time.

        dies_after: After the first step of which batch it dies; 0 for never.
    """

    url: str
    habit: Habit = Habit.ADD_FIRST
    batch: int = 100
    dies_after: int = 0


def run_bridge(order: BridgeOrder) -> None:
    """Carry the evaluated channel to both queues until killed."""
    asyncio.run(_run(order))


async def _run(order: BridgeOrder) -> None:
    place = urlsplit(order.url)
    # By host and port it repeats commands by itself, ten times; by URL redis-py 8 does not.
    async with Redis(host=place.hostname or "", port=place.port or 0, decode_responses=True) as redis:
        queues = [bullmq.Queue(name, {"connection": order.url}) for name in QUEUES]
        with suppress(ResponseError):
            await redis.xgroup_create(EVALUATED, GROUP, id="0", mkstream=True)
        # Its own pending entries first, as the better ones do.
        at, left = "0", order.dies_after
        while True:
            reply: Any = await redis.xreadgroup(GROUP, "bridge", {EVALUATED: at}, count=order.batch, block=500)
            entries = reply[0][1] if reply else []
            if not entries:
                at = ">"
                continue
            left -= 1
            await _carry(redis, queues, entries, order.habit, dies=left == 0)


async def _carry(redis: Redis, queues: list[Any], entries: list[Any], habit: Habit, *, dies: bool) -> None:
    jobs = [{"name": JOB, "data": json.loads(fields["data"])} for _, fields in entries]
    ids = [entry_id for entry_id, _ in entries]
    if habit is Habit.ACKNOWLEDGE_FIRST:
        await redis.xack(EVALUATED, GROUP, *ids)
        if dies:
            die()
    for queue in queues:
        await queue.addBulk(jobs)
    if habit is Habit.ADD_FIRST:
        if dies:
            die()
        await redis.xack(EVALUATED, GROUP, *ids)
