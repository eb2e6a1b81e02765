"""Users with only the rights of docs/how-to/run-in-production.md, and all that programs do with them."""

import asyncio
import json
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from support.consuming import GROUP, running, until
from support.partitions import PARTITIONS, STREAMS, Channel, StayCreated, producer_of, stays, subscriptions

from domainstream import Confirm, Outcome, PublisherSettings, RedisStreamPublisherClient, Retention
from domainstream.channel.partitions import targets_of
from domainstream.producer import OutgoingMessage
from domainstream.publisher import BatchIdentity, RedisBatchPublisher
from domainstream.queue import JobSettings, job_id
from domainstream.redis.keys import dead_letter_key, lease_key
from domainstream.redis.nodes import RedisNodes
from domainstream.redis.topology import TopologyKind
from domainstream.stream import ReaderSettings, RedisStreamTrimmer
from domainstream.stream.inspection.commands import needed_by
from domainstream.subscriber import RedisBullMQStreamSubscriber, SubscriberSettings
from domainstream.worker import EventConsumer, EventContext, EventWorker, GiveUp, RateLimit, RetryLater, WorkerSettings

PAGE: Final = Path(__file__).parents[2] / "docs/how-to/run-in-production.md"
ROW: Final = re.compile(r"^\| ([\w ]+).*? \| ((?:`[\w-]+` ?)+) \| ((?:`[~&][^`]+` ?)+) \|$", re.MULTILINE)
CHANNEL: Final = str(Channel.DOMAIN_CODING_STAY_CREATED.value)
MOMENT: Final = timedelta(milliseconds=20)
LOCK: Final = timedelta(milliseconds=400)
FAST: Final = RateLimit(jobs=10_000)
AGGREGATES: Final = 60


ROWS: Final = ROW.findall(PAGE.read_text(encoding="utf-8").partition("## Access rules")[2])
ROLES_OF: Final = {program: re.findall("`(.+?)`", roles) for program, roles, _ in ROWS}


def rules(kind: TopologyKind, *, prefix: str, bull_prefix: str) -> dict[str, list[str]]:
    """Return what ACL SETUSER grants each program, by its name in the table of the page."""
    found = {}
    for program, _, keys in ROWS:
        commands = [f"+{name}" for role in ROLES_OF[program] for name in needed_by(role, kind=kind)]
        patterns = re.findall("`(.+?)`", keys.replace("shop:", prefix).replace("bull:", f"{bull_prefix}:"))
        found[program] = ["resetchannels", "-@all", *patterns, *commands]
    assert {*found} == {"publisher", "subscriber", "worker", "command line"}
    return found


@dataclass(frozen=True)
class Place:
    """Servers, and whom to be there."""

    users: Mapping[str, str]
    """The user of each program."""
    url_as: Callable[[str], str]
    """Returns the URL of a user."""
    admin: RedisNodes
    """A client with all rights."""
    prefix: str
    """What begins the keys of streams."""
    bull_prefix: str
    """What begins the keys of queues."""
    confirm: Confirm | None
    """What publishers and subscribers wait for."""

    def url_of(self, program: str) -> str:
        """Return the URL of a program's user."""
        return self.url_as(self.users[program])

    @property
    def queue(self) -> str:
        """What begins the keys of the queue."""
        return f"{self.bull_prefix}:{'{valuation}' if self.admin.is_cluster else 'valuation'}"

    async def on(self, key: str, command: str, *arguments: Any, **options: Any) -> Any:
        """Send a command about a key, with all rights."""
        return await self.admin.run(key, lambda client: getattr(client, command)(key, *arguments, **options))

    async def count(self, state: str) -> int:
        """Return how many jobs are in a state."""
        return int(await self.on(f"{self.queue}:{state}", "llen" if state in ("wait", "active") else "zcard"))

    async def refusals(self) -> list[str]:
        """Return what servers have refused these users."""

        async def log(client: Any) -> Any:
            return await client.execute_command("ACL", "LOG")  # redis-py cannot parse all that stands in it

        refused = []
        for rows in (await self.admin.each(log)).values():
            for row in rows:
                entry = row if isinstance(row, dict) else dict(zip(row[::2], row[1::2], strict=True))  # by protocol
                user, what = entry[b"username"].decode(), entry[b"object"].decode()
                if user in self.users.values() and what != "client|setinfo":  # redis-py gets by without it
                    refused.append(f"{user}: {what} ({entry[b'context'].decode()})")
        return refused


async def live(place: Place) -> None:
    """Do everything that programs do, from the first event to another number of partitions: nothing is refused."""
    await publish(place, 0)
    await relay(place)
    await read(place)
    await work(place)
    await operate(place)
    assert await place.refusals() == []
    await diagnose(place)


async def publish(place: Place, number: int) -> None:
    """Publish an event of each aggregate, with retention."""
    retention = Retention(max_age=timedelta(hours=1))
    url = place.url_of("publisher")
    settings = PublisherSettings(url=url, prefix=place.prefix, retention=retention, confirm=place.confirm)
    async with RedisStreamPublisherClient.from_settings(settings) as client:
        receipts = await producer_of(client).publish_many(stays(number, AGGREGATES))
        assert {receipt.outcome for receipt in receipts} == {Outcome.PUBLISHED}


async def relay(place: Place) -> None:
    """Send a batch twice, as a relay does, with a message that becomes a dead letter."""
    publisher = RedisBatchPublisher.from_url(place.url_of("publisher"), prefix=place.prefix, confirm=place.confirm)
    await publisher.introduce("abc")
    for _ in range(2):
        rubbish = OutgoingMessage(targets_of(CHANNEL, PARTITIONS)[0], "nobody", b"rubbish")
        assert await publisher.send([rubbish], BatchIdentity("abc", 1)) == {}
    assert await publisher.remembers("abc")
    await publisher.close()


@asynccontextmanager
async def subscribing(place: Place, name: str) -> AsyncIterator[Any]:
    """Run an instance of the group."""
    instance = RedisBullMQStreamSubscriber.from_url(
        place.url_of("subscriber"),
        group=GROUP,
        subscriptions=subscriptions(JobSettings(attempts=2, backoff=MOMENT, jitter=0)),
        consumer=name,
        prefix=place.prefix,
        bull_prefix=place.bull_prefix,
        settings=SubscriberSettings(
            reading=ReaderSettings(lease=timedelta(seconds=2), claim_after=timedelta(milliseconds=400)),
            delivery_limit=1000,
            confirm=place.confirm,
        ),
    )
    async with running(instance):
        yield instance


async def read(place: Place) -> None:
    """Read with two instances: share, claim, store a dead letter, retry what a queue refused, take over, trim."""
    rubbish, abandoned, refused = (f"{place.prefix}{stream}" for stream in STREAMS[:3])
    await place.on(abandoned, "xgroup_create", GROUP, "0")
    await place.admin.run(abandoned, lambda client: client.xreadgroup(GROUP, "crashed", {abandoned: ">"}, count=1))
    (_, fields), *_ = await place.on(refused, "xrange")
    event_id = fields[b"data"].decode().partition('"id":"')[2].partition('"')[0]
    taken = f"{place.queue}:{job_id(event_id)}"
    await place.on(taken, "set", "what no job can replace")

    async def are_forwarded(count: int) -> bool:
        return await place.count("wait") == count

    async def has_some(name: str) -> bool:
        leases = [lease_key(f"{place.prefix}{stream}", GROUP) for stream in STREAMS]
        return any([name.encode() in (await place.on(lease, "hget", "owner") or b"") for lease in leases])

    async with subscribing(place, "one"):
        async with subscribing(place, "two") as two:
            await until(lambda: are_forwarded(AGGREGATES - 1))
            await place.on(taken, "delete")
            await until(lambda: are_forwarded(AGGREGATES))
            await until(lambda: has_some("two"))
            await publish(place, 1)
            await until(lambda: are_forwarded(2 * AGGREGATES))
            await until(lambda: two.stats.forwarded)
        await publish(place, 2)
        await until(lambda: are_forwarded(3 * AGGREGATES))
    assert await place.on(dead_letter_key(rubbish, is_cluster=place.admin.is_cluster), "xlen") == 1
    trimmer = RedisStreamTrimmer.from_url(
        place.url_of("subscriber"), STREAMS, retention=Retention(max_length=1), prefix=place.prefix
    )
    await trimmer.run_once()
    await trimmer.close()
    assert await place.on(abandoned, "xlen") == 1


async def work(place: Place) -> None:
    """Handle the jobs: one fails for good, one at first, one comes later, one outlasts its lock, one is handed back."""
    consumer = EventConsumer("valuation")
    seen: list[str] = []
    stuck = asyncio.Event()

    @consumer.on(StayCreated)
    async def price_stay(event: StayCreated, context: EventContext) -> None:
        seen.append(context.job_id)
        await context.report_progress(50)
        match seen.index(context.job_id), seen.count(context.job_id):
            case 0, _:
                raise GiveUp("no such stay")
            case 1, 1:
                raise ValueError("a failed attempt")
            case 2, 1:
                raise RetryLater(MOMENT)
            case 3, _:
                await asyncio.sleep(1.5 * LOCK.total_seconds())  # its lock is renewed meanwhile
            case 4, 1:
                stuck.set()
                await asyncio.Event().wait()

    def worker() -> EventWorker:
        settings = WorkerSettings(lock=LOCK, stalled_interval=LOCK, metrics=10, name="valuation-1", rate_limit=FAST)
        return EventWorker.from_url(
            place.url_of("worker"),
            consumer,
            bull_prefix=place.bull_prefix,
            grace=2 * LOCK,
            settings=settings,
        )

    async def are_handled(completed: int) -> bool:
        return await place.count("completed") == completed and await place.count("failed") == 1

    async with running(worker()):
        await until(stuck.is_set)
        await until(lambda: are_handled(3 * AGGREGATES - 2))
    async with running(worker()):
        await until(lambda: are_handled(3 * AGGREGATES - 1))


async def typed(place: Place, program: str, line: str) -> tuple[int, str]:
    """Run a command as a program's user; return its exit code and what it wrote."""
    given = {"REDIS_URL": place.url_of(program), "DOMAINSTREAM_PREFIX": place.prefix}
    words = [*line.split(), *(["--bull-prefix", place.bull_prefix] if line.startswith(("queues", "doctor")) else [])]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "domainstream", *words), env={**os.environ, **given}, stdout=PIPE, stderr=PIPE
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode() or errors.decode()


async def operate(place: Place) -> None:
    """Look at everything with commands, and give the channel another number of partitions."""
    for line in (
        *("groups --consumers", "lag --max 0", "queues"),
        f"dead-letters purge {STREAMS[0]} --all --yes",
        f"streams repartition {CHANNEL} {PARTITIONS + 4} --yes",
        f"streams repartition {CHANNEL} {PARTITIONS - 4} --yes",
    ):
        code, output = await typed(place, "command line", line)
        assert code == 0, f"{line}: {output}"


async def diagnose(place: Place) -> None:
    """Ask the doctor about each program's permissions, and everything else as the command line."""
    for program, roles in ROLES_OF.items():
        _, output = await typed(place, program, f"doctor --json {' '.join(f'--role {role}' for role in roles)}")
        found = [json.loads(line) for line in output.splitlines()]
        (permissions,) = [one for one in found if one["check"] == "permissions"]
        assert permissions["status"] == "ok", permissions
    assert "could not be read" not in output  # the last of them is the command line
