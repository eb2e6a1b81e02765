"""A relay as it is often written. Control runs use it to show what the protection is for."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from faults.children.process import die, fall_asleep
from faults.outbox.business import Business
from redis.asyncio import Redis
from sqlalchemy import delete, select

PAUSE = 0.002
"""Seconds between two looks at the table."""


@dataclass(frozen=True, kw_only=True)
class NaiveOrder:
    """The options of a naive relay."""

    redis_url: str
    """The server, or a proxy in front of it."""

    database_url: str
    """The database, with a sync driver."""

    name: str
    """The outbox's table."""

    batch: int = 50
    """Rows of a batch."""

    reads_on: bool = False
    """Whether it reads above the highest number that it has seen, and deletes nothing."""

    dies_after: int = 0
    """The batch after whose publishing it dies; 0 for never."""

    sleeps_after: int = 0
    """The entry after which it falls asleep until SIGCONT; 0 for never."""


def run_naive_relay(order: NaiveOrder) -> None:
    """Publish, then delete, until killed."""
    asyncio.run(_run(order))


async def _run(order: NaiveOrder) -> None:
    place = urlsplit(order.redis_url)
    business, left, added = Business(order.database_url, order.name), order.dies_after, 0
    outbox, highest = business.outbox.table, 0
    # By host and port redis-py repeats commands by itself.
    async with Redis(host=place.hostname or "", port=place.port or 0) as redis:
        while True:
            query = select(outbox).where(outbox.c.id > highest).order_by(outbox.c.id).limit(order.batch)
            with business.engine.connect() as connection:
                rows = connection.execute(query).all()
            for row in rows:
                await redis.xadd(row.channel, {"data": row.data})
                added += 1
                if added == order.sleeps_after:
                    fall_asleep()
            left -= bool(rows)
            if rows and left == 0:
                die()
            if order.reads_on:
                highest = max(highest, *(row.id for row in rows)) if rows else highest
            else:
                with business.engine.begin() as connection:
                    connection.execute(delete(outbox).where(outbox.c.id.in_([row.id for row in rows])))
            await asyncio.sleep(PAUSE)
