"""Jobs of a few keys are added, handled and removed at random; a model in a few lines says what may start."""

import random
from collections import defaultdict
from typing import Final

import pytest
from support.stepped_queue import SteppedQueue

STEPS: Final = 400
KEYS: Final = "abc"


class Model:
    """The queue as it should be. A name is a key and the place of its event."""

    def __init__(self, *, skipping: bool) -> None:
        self.skipping = skipping
        self.lines: dict[str, list[str]] = defaultdict(list)
        """For each key its jobs, in the order in which they should start."""
        self.begun: set[str] = set()
        self.active: set[str] = set()
        self.failed: set[str] = set()

    @property
    def jobs(self) -> list[str]:
        """The jobs that are not done."""
        return [name for line in self.lines.values() for name in line]

    @property
    def ready(self) -> set[str]:
        """The jobs that should start now."""
        return {line[0] for line in self.lines.values() if line} - self.begun - self.failed

    def add(self, name: str) -> None:
        """Put a job in front of those of later events that have not begun, and of which none before has."""
        line = self.lines[name[0]]
        if name in line:
            return
        at = len(line)
        while at and line[at - 1] not in self.begun and line[at - 1] > name:
            at -= 1
        line.insert(at, name)

    def forget(self, name: str) -> None:
        """A job is done, or gone."""
        self.lines[name[0]].remove(name)
        for some in (self.begun, self.active, self.failed):
            some.discard(name)

    def fail(self, name: str) -> None:
        """A job has failed for good."""
        self.active.discard(name)
        if self.skipping:
            self.forget(name)
        else:
            self.failed.add(name)

    def retry(self, name: str) -> None:
        """A failed job may start again, as if it had not begun."""
        self.failed.discard(name)
        self.begun.discard(name)


class Run:
    """A queue and its model, which do the same."""

    def __init__(self, queue: SteppedQueue, model: Model, chance: random.Random) -> None:
        self.queue, self.model, self._chance = queue, model, chance
        self._places = list(range(1_000, 1_000 + 20 * STEPS))
        self._removed: list[str] = []
        self.done = 0

    async def step(self) -> None:
        """Do something."""
        await self._chance.choice(
            (
                self.add,
                self.add,
                self.add,
                self.start,
                self.start,
                self.end,
                self.end,
                self.remove,
                self.retry,
                self.look,
            )
        )()

    async def add(self) -> None:
        """Add jobs of later events, or of earlier ones, or one that was removed, or one that is there."""
        which = self._chance.random()
        if which < 0.1 and self._removed:
            names = [self._removed.pop(self._chance.randrange(len(self._removed)))]
        elif which < 0.2 and self.model.jobs:
            names = [self._chance.choice(self.model.jobs)]
        elif which < 0.7:
            names = [self._new(0)]
        else:
            # Several of one channel, which are in order, while others of their keys have been added before.
            names = [self._new(self._chance.randrange(20)) for _ in range(self._chance.randrange(1, 4))]
            names.sort(key=lambda name: int(name[1:]))
        await self.queue.add_at({name: int(name[1:]) for name in names})
        for name in names:
            self.model.add(name)

    def _new(self, skipped: int) -> str:
        return f"{self._chance.choice(KEYS)}{self._places.pop(skipped)}"

    async def start(self) -> None:
        """Start a job: it must be one whose turn it is."""
        name = await self.queue.start()
        if name is not None:
            assert name in self.model.ready
            self.model.begun.add(name)
            self.model.active.add(name)

    async def end(self) -> None:
        """Complete a job, or let it fail for good."""
        if not self.model.active:
            return
        name = self._chance.choice(sorted(self.model.active))
        if self._chance.random() < 0.7:
            await self.queue.complete(name)
            self.model.forget(name)
            self.done += 1
        else:
            await self.queue.fail(name)
            self.model.fail(name)

    async def remove(self) -> None:
        """Remove a job that does not run."""
        names = [name for name in self.model.jobs if name not in self.model.active]
        if names:
            name = self._chance.choice(names)
            await self.queue.remove(name)
            self.model.forget(name)
            self._removed.append(name)

    async def retry(self) -> None:
        """Retry a failed job."""
        if self.model.failed:
            name = self._chance.choice(sorted(self.model.failed))
            await self.queue.retry(name)
            self.model.retry(name)

    async def look(self) -> None:
        """Look after the queue: then each job whose turn it is can start."""
        if self._chance.random() < 0.2:
            await self.queue.age()
        await self.queue.tend()
        await self.queue.tend()
        where = await self.queue.where()
        waiting = {name for state in ("wait", "prioritized") for name in where.get(state, [])}
        assert waiting == self.model.ready

    async def finish(self) -> None:
        """Handle all that is left."""
        while self.model.jobs:
            for name in sorted(self.model.failed):
                await self.queue.retry(name)
                self.model.retry(name)
            await self.look()
            await self.start()
            for name in sorted(self.model.active):
                await self.queue.complete(name)
                self.model.forget(name)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("queue", ["hold", "skip"], indirect=True)
async def test_what_the_model_says(queue: SteppedQueue, seed: int) -> None:
    """Only jobs whose turn it is start, each can, and in the end nothing of ours is left."""
    chance = random.Random(seed)
    run = Run(queue, Model(skipping=queue.on_failure == "skip"), chance)
    for _ in range(STEPS):
        await run.step()
    assert run.done > 0
    await run.finish()
    for _ in range(3):
        await queue.age()
        await queue.tend()
    assert await queue.keys() == set()
