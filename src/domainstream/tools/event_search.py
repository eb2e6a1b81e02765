"""Finds what may be about a transaction, an event or an aggregate: entries by the indexes of streams, and their jobs.

Where a stream has no index, or one that lacks entries, all of its entries are looked at. Where queues keep few jobs,
all of these are, and else those of the events that were found.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, TypeVar

from domainstream.queue.bullmq.inspection import BullMQInspection, JobState
from domainstream.stream import Delivery
from domainstream.stream.inspection.index import RedisIndexSearch
from domainstream.stream.inspection.streams import RedisStreamInspection
from domainstream.stream.state import id_order

FEW_JOBS: Final = 1_000
"""How many jobs of all queues together are looked at anyway, those of the smallest queues."""

ItemT = TypeVar("ItemT")


class Search:
    """What is searched for, and how far. For one task."""

    def __init__(
        self,
        wanted: str,
        *,
        limit: int,
        report: Callable[[int, str], None],
        every: int = 50_000,
        all_jobs: bool = False,
    ) -> None:
        """Search for `wanted`, the id of a transaction, an event or an aggregate.

        At most `limit` entries of each stream, the newest, and `limit` jobs of each queue are looked at. `report` is
        called with the number looked at so far and the name of the stream or queue, after each `every` of them.
        `all_jobs` are looked at also where those of the events that were found are known.
        """
        self.wanted = wanted
        """The id."""
        self.limit = limit
        """How many entries of a stream, or jobs of a queue, are looked at."""
        self.all_jobs = all_jobs
        """Whether all jobs are looked at."""
        self.cut: list[str] = []
        """The streams and queues that have more than were looked at."""
        self.unsearched: list[str] = []
        """The queues of which only the jobs of the events that were found have been looked at."""
        self._report = report
        self._every = every
        self._seen = 0

    async def within(self, place: str, items: AsyncIterator[ItemT]) -> AsyncIterator[ItemT]:
        """Yield the first `limit` items of a stream or queue."""
        number = 0
        async for item in items:
            if number == self.limit:
                self.cut.append(place)
                return
            number += 1
            self._seen += 1
            if self._seen % self._every == 0:
                self._report(self._seen, place)
            yield item


async def possible_entries(
    search: Search, streams: RedisStreamInspection, index: RedisIndexSearch, *, since: str
) -> AsyncIterator[Delivery]:
    """Yield the entries that may be about what is searched for, of each channel the newest first."""
    channels = await streams.channels()
    indexed = await index.find(channels, search.wanted)
    if since != "-":
        first = id_order(since)
        indexed = {channel: [one for one in ids if id_order(one) >= first] for channel, ids in indexed.items()}
    search.cut += [channel for channel, ids in indexed.items() if len(ids) > search.limit]
    found = await streams.chosen({channel: ids[-search.limit :] for channel, ids in indexed.items()})
    for channel in channels:
        if channel in found:
            for delivery in reversed(found[channel]):
                yield delivery
        else:
            async for delivery in search.within(channel, streams.newest_first(channel, since=since)):
                yield delivery


async def possible_jobs(search: Search, queues: BullMQInspection, event_ids: Sequence[str]) -> AsyncIterator[JobState]:
    """Yield the jobs that may be about what is searched for, of which these events were found."""
    names = await queues.queues()
    large = [] if search.all_jobs or not event_ids else await _large(queues, names)
    for queue in names:
        if queue not in large:
            async for job in search.within(f"the queue {queue}", queues.jobs(queue)):
                yield job
    for queue, job_ids in (await queues.jobs_of_events(large, event_ids)).items():
        for job in await queues.chosen(queue, job_ids):
            yield job
    search.unsearched = large


async def _large(queues: BullMQInspection, names: Sequence[str]) -> list[str]:
    sizes = await queues.sizes(names)
    large, jobs = [], 0
    for queue in sorted(names, key=lambda name: sizes[name]):
        jobs += sizes[queue]
        if jobs > FEW_JOBS:
            large.append(queue)
    return sorted(large)
