"""Which jobs a worker holds, what is still to be told, what the next turn shall be."""

import asyncio
from collections.abc import Iterable
from itertools import count
from typing import Final

from domainstream.worker.bullmq.job import HeldJob
from domainstream.worker.bullmq.job_update import JobUpdate
from domainstream.worker.bullmq.round_trip import RoundTrip, RoundTripReply

LARGEST: Final = 100
"""Jobs of one turn, at the most: the server does nothing else for the 4 ms or so that these take."""

TURNS: Final = 5
"""Turns that are under way at a time, at the most. Fewer are slower over a slow network, more bring nothing."""

WORTH_IT: Final = 5
"""Jobs that make a turn worth its own cost."""


class JobTracker:
    """Books of one worker."""

    def __init__(self, worker_id: str, concurrency: int) -> None:
        """Hold up to `concurrency` jobs; `worker_id` begins the tokens of their locks."""
        self.held: dict[str, HeldJob] = {}
        """The jobs whose locks must be renewed, by their tokens: in handlers, or ended and not yet told."""
        self.closed = False
        """Whether no more jobs are taken."""
        self.changed = asyncio.Event()
        """Rung when there may be something to do. All who wait for it look for themselves."""
        self.idle = asyncio.Event()
        """Set when the queue had fewer jobs than were asked for; until it is cleared nobody asks again."""
        self._id = worker_id
        self._concurrency = concurrency
        # The server works at one turn while this process works at another and more are under way. With few jobs, two
        # turns are better than many small ones: each costs something of its own.
        self._share = min(max(-(-concurrency // TURNS), min(-(-concurrency // 2), WORTH_IT)), LARGEST)
        self._numbers = count(1)
        self._untold: list[JobUpdate] = []
        self._lost: list[str] = []
        self._asked = 0
        self._ending = 0
        self._limited_until = 0.0
        # Several turns ask at a time only while each gets all that it asks for: for a job now and then, one is enough.
        self._plenty = False
        self._woken = False

    @property
    def free(self) -> int:
        """How many more jobs may be asked for."""
        # A job whose end is being told makes room for the one that is asked for in the same turn.
        return self._concurrency - len(self.held) + self._ending - self._asked

    @property
    def over(self) -> bool:
        """Whether nothing is left to do, for good."""
        return self.closed and not (self.held or self._untold or self._lost or self._asked)

    def close(self) -> None:
        """Take no more jobs."""
        self.closed = True
        self.changed.set()

    def wake(self) -> None:
        """Ask for jobs again: there may be some."""
        self._woken = True
        self.idle.clear()
        self.changed.set()

    def tell(self, update: JobUpdate) -> None:
        """Note what the next turn has to tell."""
        self._untold.append(update)
        self.changed.set()

    def next_turn(self, now: float) -> RoundTrip | None:
        """Return what is to be done at `now`, by the clock of the event loop; None when there is nothing."""
        updates, self._untold = self._untold[: self._share], self._untold[self._share :]
        ending = _ending(updates)
        takes = self._takes(ending, now)
        if not (updates or self._lost) and (takes == 0 or self.idle.is_set()):
            return None
        lost, self._lost = self._lost, []
        if takes:
            self._asked += takes
            self._woken = False
        self._ending += ending
        return RoundTrip(f"{self._id}:{next(self._numbers)}:", updates, takes, lost)

    def done(self, turn: RoundTrip, reply: RoundTripReply, now: float) -> None:
        """Note what came of a turn; its jobs are held from now on."""
        self._asked -= turn.takes
        self._ending -= _ending(turn.updates)
        for update in turn.updates:
            if update.ends:
                self.held.pop(update.job.token, None)
        for job in reply.jobs:
            self.held[job.token] = job
        if reply.limited_for:
            self._limited_until = now + reply.limited_for
        elif turn.takes:
            self._note_supply(short=len(reply.jobs) < turn.takes)
        self.changed.set()

    def failed(self, turn: RoundTrip) -> None:
        """Note that the answer to a turn is lost: nobody knows what of it was done."""
        self._asked -= turn.takes
        self._ending -= _ending(turn.updates)
        for update in turn.updates:
            update.doubtful = True
        self._untold[:0] = turn.updates
        self._lost += turn.lost
        if turn.takes:
            self._lost.append(turn.tokens)
        self.changed.set()

    def _takes(self, ending: int, now: float) -> int:
        if self.closed or now < self._limited_until or (self._asked and not self._plenty):
            return 0
        # What ends in this turn makes room in it: never does the server see more active jobs than the concurrency.
        return max(0, min(self.free + ending, self._share))

    def _note_supply(self, *, short: bool) -> None:
        self._plenty = not short
        if short and not self._woken:
            self.idle.set()
        else:
            self.idle.clear()


def _ending(updates: Iterable[JobUpdate]) -> int:
    return sum(update.ends for update in updates)
