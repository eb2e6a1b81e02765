"""A bridge from streams to queues as it is often written. Control runs use it to show what the protection is for."""

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final
from urllib.parse import urlsplit

import bullmq
from faults.children.process import die
from faults.children.subscriber import JOB, QUEUES
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError
from support.consuming import EVALUATED, GROUP

log = logging.getLogger("bridge")

PAUSE: Final = 0.02
"""Seconds after an error."""


class Habit(Enum):
    """When a bridge acknowledges."""

    ADD_FIRST = auto()
    """Once jobs are added, which have no ids of their own."""

    ACKNOWLEDGE_FIRST = auto()
    """Before jobs are added."""


@dataclass(frozen=True, kw_only=True)
class BridgeOrder:
    """The options of a bridge process."""

    url: str
    """The server, or a proxy in front of it."""

    habit: Habit = Habit.ADD_FIRST
    """When it acknowledges."""

    batch: int = 100
    """How many entries it reads at a time."""

    dies_after: int = 0
    """The batch after whose first step it dies; 0 for never."""

    goes_on: bool = False
    """Whether it logs an error and goes on, instead of ending."""


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
            try:
                entries = await _read(redis, at, order.batch)
                if not entries:
                    at = ">"
                    continue
                left -= 1
                await _carry(redis, queues, entries, order.habit, dies=left == 0)
            except RedisError as error:
                if not order.goes_on:
                    raise
                log.warning("%s", error)
                await asyncio.sleep(PAUSE)


async def _read(redis: Redis, at: str, batch: int) -> list[Any]:
    reply: Any = await redis.xreadgroup(GROUP, "bridge", {EVALUATED: at}, count=batch, block=500)
    return reply[0][1] if reply else []


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
