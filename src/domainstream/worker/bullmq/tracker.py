"""Tracks the jobs a worker holds and the outcomes it has not reported, and plans the next round trip.

One round trip reports outcomes and fetches jobs, many of each, because a call costs the server and this process about
as much as the work on several jobs. How many it should carry, and how many should be under way at a time, is decided
here:

- *In flight.* While the server works on one round trip, this process handles the jobs of another, and more are on the
  network. So up to `MAX_IN_FLIGHT` are under way at a time.
- *Share.* Each fetches only its share of the concurrency, or the first would take all jobs and the others would find
  nothing to do. But a share is not below `MIN_FETCH`: with a low concurrency, two round trips of some jobs each are
  better than five of one. It is not above `MAX_FETCH` either, since the server does nothing else meanwhile.
- *Room.* A job whose end is being reported makes room for one that the same round trip fetches. The script reports
  first, so the server never sees more active jobs than the concurrency, and a full worker needs no second round trip
  to get its next jobs.
- *Backlog.* Several round trips fetch at the same time only while each gets all that it asks for. For a job now and
  then one is enough; the others would ask in vain.
- *Idle.* A fetch that gets fewer jobs than it asks for has emptied the queue. Nothing is fetched from then on, so that
  an idle worker does not poll, until `wake` is called: by the marker listener when BullMQ announces jobs, or by a timer
  when a delayed job is due. A wake-up during a fetch counts too: that fetch may have been too early for the new job.
- *Unanswered.* When a reply is lost, the server may or may not have run the script. Its updates are reported again, and
  the next round trip searches for jobs whose lock tokens begin with the prefix of the unanswered one.
- *Places.* The trackers of a queue with partitions share the concurrency, see `places.py`.
"""

import asyncio
from collections.abc import Iterable
from itertools import count
from typing import Final

from domainstream.worker.bullmq.job import HeldJob, JobUpdate
from domainstream.worker.bullmq.places import Places
from domainstream.worker.bullmq.round_trip import RoundTrip, RoundTripReply

MAX_IN_FLIGHT: Final = 5
"""Round trips under way at a time. Fewer are slower over a slow network; more gain nothing."""

IN_FLIGHT_OF_A_PARTITION: Final = 2
"""The same for each partition of a queue, which has other partitions beside it, and only some of the places: with more,
each round trip would carry a job or two, and a worker would have many connections.
"""

MIN_FETCH: Final = 5
"""Jobs that make a round trip worth its cost."""

MAX_FETCH: Final = 100
"""Jobs fetched by one round trip: the server does nothing else for the 4 ms or so that these take."""


class JobTracker:
    """The jobs of one worker. For one event loop; `held` may also be copied by another thread."""

    def __init__(self, worker_id: str, concurrency: int, places: Places | None = None) -> None:
        """Hold up to `concurrency` jobs; `worker_id` begins the tokens of their locks.

        `places` are those that it shares with the trackers of other partitions.
        """
        self.held: dict[str, HeldJob] = {}
        """The jobs whose locks must be renewed, by token: handlers run for them, or their ends are not reported yet."""
        self.closed = False
        """Whether no more jobs are fetched."""
        self.failures = 0
        """Calls to the server that failed in a row; 0 as soon as a round trip succeeds."""
        self.last_error = ""
        """Why the last call failed; empty after a success."""
        self._id = worker_id
        self._concurrency = concurrency
        self.in_flight = MAX_IN_FLIGHT if places is None else IN_FLIGHT_OF_A_PARTITION
        """How many round trips may be under way at a time."""
        self._share = min(max(-(-concurrency // self.in_flight), min(-(-concurrency // 2), MIN_FETCH)), MAX_FETCH)
        self._numbers = count(1)
        self._unreported: list[JobUpdate] = []
        self._unanswered: list[str] = []
        # Of the round trips under way: how many jobs they fetch, and how many ends of jobs they report.
        self._fetching = 0
        self._ending = 0
        self._limited_until = 0.0
        self._backlog = False
        self._woken = False
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._places = places
        if places is not None:
            places.join(self)

    @property
    def taken(self) -> int:
        """How many jobs are held or being fetched, but for those whose ends are being reported."""
        return len(self.held) - self._ending + self._fetching

    @property
    def free(self) -> int:
        """How many more jobs may be fetched."""
        return self._concurrency - self.taken if self._places is None else self._places.free_for(self)

    @property
    def wants(self) -> bool:
        """Whether it would fetch jobs if it had room, from a server that answers."""
        return not (self.closed or self.idle or self.failures)

    @property
    def idle(self) -> bool:
        """Whether the queue was empty when it was last asked, so that nothing is fetched until `wake` is called."""
        return self._idle.is_set()

    @property
    def finished(self) -> bool:
        """Whether no more jobs are fetched, and everything is reported."""
        return self.closed and not (self.held or self._unreported or self._unanswered or self._fetching)

    async def wait_for_work(self) -> None:
        """Wait until something changes; call it right after `next_round_trip` returned None.

        All waiting tasks are woken, and each must look for itself.
        """
        self._changed.clear()
        await self._changed.wait()

    async def wait_until_idle(self) -> None:
        """Wait until the queue is empty and there may be room for jobs."""
        await self._idle.wait()

    def wake(self) -> None:
        """Fetch again: there may be jobs."""
        self._woken = True
        self._idle.clear()
        self._changed.set()

    def look_again(self) -> None:
        """Look for free places."""
        self._changed.set()

    def close(self) -> None:
        """Fetch no more jobs."""
        self.closed = True
        self._changed.set()

    def report(self, update: JobUpdate) -> None:
        """Report `update` with the next round trip. Until then its job is held, also when it was not any more."""
        if update.ends:
            update.job.ended = True
            self.held[update.job.token] = update.job
        self._unreported.append(update)
        self._changed.set()

    def next_round_trip(self, now: float) -> RoundTrip | None:
        """Return what to do at `now`, on the event loop's clock; None when there is nothing."""
        updates, self._unreported = self._unreported[: self._share], self._unreported[self._share :]
        ending = _count_ends(updates)
        if self.closed or now < self._limited_until or (self._fetching and not self._backlog):
            fetch_count = 0
        else:
            fetch_count = max(0, min(self.free + ending, self._share))
        if self._places is not None:
            is_limited = now < self._limited_until
            self._places.wait(self, in_line=self.wants and fetch_count < self._share and not is_limited)
        if not (updates or self._unanswered) and (fetch_count == 0 or self._idle.is_set()):
            return None
        unanswered, self._unanswered = self._unanswered, []
        if fetch_count:
            self._fetching += fetch_count
            self._woken = False
        self._ending += ending
        if self._places is not None and ending > fetch_count:
            self._places.changed(self)
        return RoundTrip(f"{self._id}:{next(self._numbers)}:", updates, fetch_count, unanswered)

    def done(self, round_trip: RoundTrip, reply: RoundTripReply, now: float) -> None:
        """Record the reply to a round trip; its jobs are held from now on."""
        self.failures, self.last_error = 0, ""
        self._fetching -= round_trip.fetch_count
        self._ending -= _count_ends(round_trip.updates)
        for update in round_trip.updates:
            if update.ends:
                self.held.pop(update.job.token, None)
        for job in reply.jobs:
            self.held[job.token] = job
        if reply.limited_for:
            self._limited_until = now + reply.limited_for
        elif round_trip.fetch_count:
            self._backlog = len(reply.jobs) >= round_trip.fetch_count
            if self._backlog or self._woken:
                self._idle.clear()
            else:
                self._idle.set()
        self._look_around()

    def failed(self, round_trip: RoundTrip) -> None:
        """Record that the reply to a round trip was lost: the server may have run it or not."""
        self._fetching -= round_trip.fetch_count
        self._ending -= _count_ends(round_trip.updates)
        for update in round_trip.updates:
            update.repeated = True
        self._unreported[:0] = round_trip.updates
        self._unanswered += round_trip.unanswered
        if round_trip.fetch_count:
            self._unanswered.append(round_trip.token_prefix)
        self._look_around()

    def call_failed(self, error: Exception) -> None:
        """Count a call to the server that failed."""
        self.failures += 1
        self.last_error = str(error)
        self._look_around()

    def _look_around(self) -> None:
        self._changed.set()
        if self._places is not None:
            self._places.changed(self)


def _count_ends(updates: Iterable[JobUpdate]) -> int:
    return sum(update.ends for update in updates)
