"""Events of a few keys on their way to handlers that write down when they begin and end, and what that comes to."""

import asyncio
import random
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Self

from faults.children.keyed_worker import CALM, TURNS, KeyedWorkerOrder, run_keyed_worker
from faults.children.process import Child
from faults.children.subscriber import ATTEMPTS, QUEUES
from faults.ledger import PUBLISHED, Ledger
from faults.publishing import BATCH, PAUSE, Event, Publisher
from faults.scene import Scene
from interop.node_process import NodeProgram, node
from support.consuming import CalculatedPayload, PricingCalculated, evaluated

from domainstream import RedisStreamPublisherClient
from domainstream.queue.settings import OnFailure

KEYS: Final = 40
"""How many each channel has."""

KINDS: Final = ("python", "bullmq", "bullmq5")
"""The workers: ours, and two releases of BullMQ for Node.js."""

QUEUE: Final = QUEUES[1]
TAMPERED: Final = "tampered"
"""The file of events whose jobs people removed, or let others pass."""


@dataclass
class Turns:
    """Who went when, as the handlers have written it down."""

    early: list[str] = field(default_factory=list)
    """Events whose handlers began before that of an earlier event of the same key had returned."""

    again: list[str] = field(default_factory=list)
    """Events whose handlers began again after that of a later event of the same key had begun."""

    lost: set[str] = field(default_factory=set)
    """Events whose handlers never returned, although nobody removed their jobs."""

    begun: int = 0
    """How often handlers began."""


def turns_of(ledger: Ledger, keys: dict[str, str], *, skipping: bool = False) -> Turns:
    """Judge what happened; `keys` has the key of each event. With `skip`, those that have failed may be passed."""
    order, place = defaultdict[str, list[str]](list), dict[str, int]()
    for line in ledger.read(PUBLISHED):
        event = line.split()[1]
        place[event] = len(order[keys[event]])
        order[keys[event]].append(event)
    tampered = {line.removeprefix("event-") for line in ledger.read(TAMPERED)}
    turns, done, passed, furthest, failures = Turns(), set[str](), set[str](), dict[str, int](), Counter[str]()
    for line in ledger.read(TURNS):
        what, event = line.split()
        key = keys[event]
        if what == "done":
            done.add(event)
            continue
        if what == "failed":
            failures[event] += 1
            if skipping and failures[event] >= ATTEMPTS:
                passed.add(event)
            continue
        turns.begun += 1
        before = [other for other in order[key][: place[event]] if other not in tampered]
        if any(other not in done and other not in passed for other in before):
            turns.early.append(event)
        if event not in tampered and event not in passed:
            if place[event] < furthest.get(key, -1):
                turns.again.append(event)
            furthest[key] = max(furthest.get(key, -1), place[event])
    turns.lost = place.keys() - done - tampered
    return turns


class Traffic:
    """Events of some keys on their way, and the programs that handle them."""

    def __init__(
        self, scene: Scene, chance: random.Random, *, on_failure: OnFailure | None = "hold", queue_url: str = ""
    ) -> None:
        self.scene, self._chance, self._on_failure = scene, chance, on_failure
        self._queue_url = queue_url or scene.server.url
        self.keys: dict[str, str] = {}
        """The key of each event."""
        self.turns = Turns()
        """What it came to, once all is done."""
        self.subscribers: list[Child] = []
        self.workers: list[Child | NodeProgram] = []
        self._operators: list[NodeProgram] = []
        name = scene.key(QUEUE, "").removeprefix("bull:").removesuffix(":")
        self.place: dict[str, Any] = {"url": self._queue_url, "prefix": "bull", "queue": name}
        """Where programs in Node.js find the queue."""
        self._owned = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        # Those in Node.js would wait for servers that are dead.
        for program in [*self.workers, *self._operators]:
            program.kill()
        await self._owned.aclose()

    async def publish(self, count: int) -> None:
        """Publish events of random keys, a few at a time."""
        async with RedisStreamPublisherClient.from_url(self.scene.server.url, prefix=self.scene.prefix) as client:
            publisher = Publisher(client, self.scene.ledger)
            for _ in range(0, count, BATCH):
                events = [self._event() for _ in range(BATCH)]
                self.keys |= {str(event.id): f"{event.event_type} {event.aggregate_id}" for event in events}
                await publisher.publish_all(events)
                await asyncio.sleep(PAUSE)

    def subscribe(self) -> None:
        """Start another subscriber."""
        name = f"instance-{len(self.subscribers)}"
        order: dict[str, Any] = {"consumer": name, "keyed": True, "max_entries": 50}
        order["on_failure"] = self._on_failure
        if self._queue_url != self.scene.server.url:
            order["queue_url"] = self._queue_url
        self.subscribers.append(self.scene.subscriber(**order))

    async def work(self, kind: str, *, failing: float = 0.2) -> None:
        """Start another worker, in Python or with a release of BullMQ for Node.js."""
        if kind == "python":
            order = KeyedWorkerOrder(url=self._queue_url, ledger=self.scene.ledger, failing=failing)
            self.workers.append(self.scene.child(run_keyed_worker, order))
            return
        settings = {"library": kind, "folder": str(self.scene.ledger.folder), "failing": failing, "longest": 0.01}
        program = node("keyed_worker.mjs", **self.place, **settings, concurrency=20, may_die=True)
        self.workers.append(await self._owned.enter_async_context(program))

    def kill_worker(self) -> None:
        """Kill a worker."""
        self.workers.pop(self._chance.randrange(len(self.workers))).kill()

    def kill_subscriber(self) -> None:
        """Kill a subscriber, and start another."""
        self.subscribers.pop(self._chance.randrange(len(self.subscribers))).kill()
        self.subscribe()

    async def operator(self) -> "Operator":
        """Return somebody who uses BullMQ's API."""
        program = await self._owned.enter_async_context(node("queue.mjs", **self.place, patient=True, may_die=True))
        self._operators.append(program)
        return Operator(program, self.scene.ledger, self._chance)

    async def all_passed(self, operator: "Operator") -> int:
        """Wait until each job has ended, and return how many have failed."""
        published = len(self.scene.ledger.read(PUBLISHED))

        async def have_ended() -> bool:
            counts = await operator.call("getJobCounts")
            return int(counts["completed"]) + int(counts["failed"]) == published

        await self.scene.until(have_ended)
        return int((await operator.call("getJobCounts"))["failed"])

    async def all_done(self, operator: "Operator") -> Turns:
        """Let no attempt fail any more, retry all failed jobs, and wait until there are no jobs left to handle."""
        self.scene.ledger.note(CALM, "from now on")
        published = len(self.scene.ledger.read(PUBLISHED))
        tampered: set[str] = set()

        async def is_done() -> bool:
            await operator.call("retryJobs", {"state": "failed"})
            tampered.update(line.removeprefix("event-") for line in self.scene.ledger.read(TAMPERED))
            done = {line.split()[1] for line in self.scene.ledger.read(TURNS) if line.startswith("done")}
            if len(done | tampered) < published:
                return False
            counts = await operator.call("getJobCounts")
            return not any(count for state, count in counts.items() if state != "completed")

        await self.scene.until(is_done)
        return turns_of(self.scene.ledger, self.keys, skipping=self._on_failure == "skip")

    def verdict(self, turns: Turns) -> str:
        """Say what happened."""
        events = self.scene.ledger.count(PUBLISHED)
        return (
            f"{events} events of {2 * KEYS} keys, begun {turns.begun} times: {len(turns.early)} too early, "
            f"{len(turns.again)} out of turn, {len(turns.lost)} lost"
        )

    def _event(self) -> Event:
        key = str(self._chance.randrange(KEYS))
        if self._chance.random() < 0.5:
            return evaluated(aggregate_id=key)
        return PricingCalculated(aggregate_id=key, payload=CalculatedPayload(price=7))


class Operator:
    """Somebody who does things to jobs, and says so in the ledger before it has an effect."""

    def __init__(self, program: NodeProgram, ledger: Ledger, chance: random.Random) -> None:
        self._program, self._ledger, self._chance = program, ledger, chance
        self.deeds: dict[str, int] = defaultdict(int)

    async def call(self, method: str, *details: Any) -> Any:
        """Call a method of the queue."""
        return await self._program.answer("call", method, *details)

    async def do_something(self) -> None:
        """Retry, remove or detach a failed job, clean all of them, or remove one that waits."""
        deed = self._chance.choice(("retry", "remove", "removeChildDependency", "clean", "remove waiting"))
        state = "waiting-children" if deed == "remove waiting" else "failed"
        jobs = await self._program.answer("ids", state, 50)
        if not jobs:
            return
        self.deeds[deed] += 1
        if deed == "clean":
            self._ledger.note(TAMPERED, *jobs)
            cleaned = await self.call("clean", 0, 50, "failed")
            if cleaned:
                self._ledger.note(TAMPERED, *cleaned)
            return
        job = self._chance.choice(jobs)
        if deed != "retry":
            self._ledger.note(TAMPERED, job)
        # The job may be in another state by now, or gone.
        await self._program.ask("callJob", job, deed.removesuffix(" waiting"))
