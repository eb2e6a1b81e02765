"""`domainstream doctor` finds what is wrong, and the commands that it prints fix it."""

import json
import re
import shlex
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import Result
from integration.cli.conftest import Type, records, store
from integration.worker.test_waiting import OptimizationEvaluatedV2, job_with, worker_of
from redis.asyncio import Redis
from support.consuming import (
    CALCULATED,
    EVALUATED,
    GROUP,
    Channel,
    EvaluatedPayload,
    OptimizationEvaluated,
    Streams,
    calculated,
    evaluated,
    message,
    running,
    subscriptions_of,
    until,
)
from support.worked_queue import WorkedQueue
from support.working import Valuation, job_of

from domainstream import EventProducer, Outcome, RedisStreamPublisherClient, Retention
from domainstream.publisher.partition_layout import CLAIM
from domainstream.queue import JobSettings, job_id
from domainstream.queue.bullmq.add_calls import add_script, fence_script
from domainstream.queue.bullmq.job_batch import gate_script
from domainstream.queue.bullmq.order import order_scripts
from domainstream.queue.bullmq.repair import _repair_script
from domainstream.queue.bullmq.scripts import KEYS, script_text
from domainstream.redis.keys import lease_key
from domainstream.redis.topology import TopologyKind
from domainstream.stream import GroupState
from domainstream.stream.inspection.commands import CommandProbeResult, needed_by
from domainstream.stream.inspection.server import ServerFacts
from domainstream.stream.maintenance.trimmer import SCRIPT as TRIM
from domainstream.stream.reader.members import MEMBERS
from domainstream.stream.reader.turns import RECOVER, STORE_DEAD, TAKE, TURN
from domainstream.subscriber import RedisBullMQStreamSubscriber, SubscriberSettings
from domainstream.tools.doctor.finding import Finding
from domainstream.tools.doctor.flow_checks import GroupProgress
from domainstream.tools.doctor.server_checks import (
    Deployment,
    ability_findings,
    clock_finding,
    server_findings,
    unread_memory_finding,
)
from domainstream.worker import EventContext, GiveUp
from domainstream.worker.bullmq.scripts import FILES, round_trip_script, text_of

GOOD = ServerFacts(
    name="Valkey",
    version="9.1.2",
    cluster=False,
    primary=None,
    eviction="noeviction",
    max_memory=1000,
    used_memory=100,
    appends=True,
    append_works=True,
    fsync="everysec",
    snapshots="",
    snapshot_works=True,
    unsaved_changes=7,
    snapshot_age_s=3600,
)

UserUrl = Callable[..., Any]


def findings(result: Result, status: str = "problem") -> list[dict[str, Any]]:
    """Return the findings of this status, except persistence and a limit of memory, which test servers do not have."""
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return [one for one in found if one["status"] == status and one["check"] not in ("persistence", "memory")]


async def fix(redis: Any, finding: dict[str, Any]) -> None:
    """Run the command of a finding, as redis-cli would."""
    program, option, url, *words = shlex.split(finding["mend"])
    assert program == "redis-cli"
    assert option == "-u"
    assert url == "$REDIS_URL"
    await redis.execute_command(*words)


async def test_good_server_has_no_problems(typed: Type, redis_url: str, streams: Streams, redis: Redis) -> None:
    """A good server is named with its version, has only the problem of persistence, and keeps no key of a probe."""
    await streams.add_data(EVALUATED, data=b"1")
    await redis.xgroup_create(streams.key(EVALUATED), GROUP)
    result = await typed("doctor", "--json", "--group", GROUP)
    server = json.loads(result.stdout.splitlines()[0])
    assert findings(result) == []
    assert (server["words"].split()[0] in {"Redis", "Valkey"}) is True
    assert result.exit_code == 1
    assert "nothing is written to disk" in result.stdout
    assert [key async for key in redis.scan_iter(f"{streams.prefix}*")] == [streams.key(EVALUATED).encode()]


@pytest.mark.parametrize("group", [None, GROUP])
async def test_missing_group_is_a_problem_until_a_subscriber_runs(
    typed: Type, streams: Streams, redis: Redis, redis_url: str, bull: str, group: str | None
) -> None:
    """A channel that no group reads, or not the named one, is a problem that says what stays in memory meanwhile."""
    await streams.add(evaluated())
    if group:
        await redis.xgroup_create(streams.key(EVALUATED), "others")
    words = ["doctor", "--json", *(["--group", group] if group else [])]
    (found,) = findings(await typed(*words))
    assert found["check"] == "groups"
    assert "its 1 entry, the oldest added" in found["words"]
    assert "stay in memory" in found["words"]
    assert found["mend"].split()[:4] == ["domainstream", "run", "subscriber", "MODULE:SUBSCRIPTIONS"]
    subscriber = RedisBullMQStreamSubscriber.from_url(
        redis_url,
        group=GROUP,
        subscriptions=subscriptions_of("valuation"),
        prefix=streams.prefix,
        bull_prefix=bull,
    )
    async with running(subscriber):
        await until(lambda: subscriber.stats.forwarded)
    assert findings(await typed(*words)) == []


async def test_empty_server_is_not_called_healthy(typed: Type, bull: str) -> None:
    """Without a stream and a queue, the doctor says that it saw none, and not that every channel is read."""
    result = await typed("doctor", "--json", "--bull-prefix", bull)
    (found,) = findings(result, "warning")
    assert "doctor found no stream" in found["words"]
    assert "doctor found no queue" in result.stdout
    assert "every channel is read" not in result.stdout
    assert "there are none" not in result.stdout


async def add_old(streams: Streams, redis: Redis, *, hours: int) -> None:
    """Add an entry as if it had been added some hours ago."""
    seconds, _ = await redis.time()
    fields: dict[Any, Any] = {"data": message(evaluated())}
    await redis.xadd(streams.key(EVALUATED), fields, id=f"{(seconds - hours * 3600) * 1000}-0")


async def test_dead_group_is_named_with_the_command_that_removes_it(
    typed: Type, streams: Streams, redis: Redis
) -> None:
    """A group that no consumer reads keeps its entries in memory: it is named, and the printed command removes it."""
    await add_old(streams, redis, hours=3)
    await redis.xgroup_create(streams.key(EVALUATED), "left behind", id="0")
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="$")
    (found,) = findings(await typed("doctor", "--json"), "warning")
    assert found["check"] == "dead groups"
    assert "left behind" in found["words"]
    assert "it keeps 1 entry, the oldest added 3 h ago, in memory" in found["words"]
    removed = await typed(*shlex.split(found["mend"])[1:], "--yes")
    assert removed.stdout == f"left behind removed from {EVALUATED}, with 1 unread and 0 pending entries\n"
    assert findings(await typed("doctor", "--json"), "warning") == []


async def test_only_group_of_a_channel_is_not_proposed_for_removal(typed: Type, streams: Streams, redis: Redis) -> None:
    """Without any group the entries would stay in memory as well, so the fix is to start the subscriber."""
    await add_old(streams, redis, hours=3)
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="0")
    (found,) = findings(await typed("doctor", "--json"), "warning")
    assert found["mend"] == f"domainstream run subscriber MODULE:SUBSCRIPTIONS --group {GROUP}"
    asked = await typed("groups", "rm", EVALUATED, GROUP)
    assert "No other group reads the channel, so its entries stay in memory." in asked.stderr


async def test_group_that_is_read_is_behind_and_not_dead(typed: Type, streams: Streams, redis: Redis) -> None:
    """A group with an active consumer and an old entry is behind; removing it is not proposed."""
    await add_old(streams, redis, hours=3)
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="0")
    await redis.xreadgroup(GROUP, "one", {streams.key(EVALUATED): ">"})
    (found,) = findings(await typed("doctor", "--json"), "warning")
    assert found["check"] == "progress"
    assert found["mend"] == f"domainstream pending {EVALUATED} --group {GROUP}"
    assert findings(await typed("doctor", "--json", "--max-oldest", "4h"), "warning") == []


def progress(*, oldest_hours: float, idle_hours: float | None) -> GroupProgress:
    """Return a group whose oldest entry and whose most active consumer are this old."""
    state = GroupState(
        channel=EVALUATED,
        group=GROUP,
        consumers=1,
        unread=7,
        pending=0,
        lag=7,
        lost=0,
        oldest_ms=round(oldest_hours * 3_600_000),
        last_delivered_id="0-0",
    )
    return GroupProgress(state=state, idle_ms=None if idle_hours is None else round(idle_hours * 3_600_000))


@pytest.mark.parametrize(
    ("oldest_hours", "idle_hours", "is_dead"),
    [(2, 2, True), (2, None, True), (2, 0.1, False), (0.1, 2, False), (0.1, None, False)],
)
def test_group_is_dead_when_entries_wait_and_no_consumer_reads(
    oldest_hours: float, idle_hours: float | None, is_dead: bool
) -> None:
    """Both the oldest entry and the last read must be more than an hour ago: a subscriber may just be deployed."""
    assert progress(oldest_hours=oldest_hours, idle_hours=idle_hours).is_dead is is_dead


async def lease_to(redis: Any, stream: str, owner: str, subscriptions: str, *, ms: int = 60_000) -> None:
    """Give the lease of a stream to an instance for a while."""
    seconds, _ = await redis.time()
    fields = {"owner": f"{owner} (1a2b3c4d) with subscriptions {subscriptions}", "until": str(seconds * 1000 + ms)}
    await redis.hset(lease_key(stream, GROUP), mapping=fields)


@pytest.mark.parametrize(("other", "ms", "warnings"), [("b1", 60_000, 1), ("a1", 60_000, 0), ("b1", -60_000, 0)])
async def test_two_tables_in_one_group_are_a_warning(
    typed: Type, streams: Streams, redis: Redis, other: str, ms: int, warnings: int
) -> None:
    """Instances of one group with different subscriptions are named, since a new queue gets only some events."""
    for event in (evaluated(), calculated()):
        await streams.add(event)
        await redis.xgroup_create(streams.key(str(event.event_type)), GROUP, id="0")
    await lease_to(redis, streams.key(EVALUATED), "old-1", "a1")
    await lease_to(redis, streams.key(CALCULATED), "new-1", other, ms=ms)
    found = findings(await typed("doctor", "--json"), "warning")
    reported = [one["words"] for one in found if one["check"] == "subscriptions"]
    assert len(reported) == warnings
    assert all("domain-events have different subscriptions (old-1 (1a2b3c4d) and new-1" in one for one in reported)


async def test_instance_that_reads_is_found_by_its_lease(
    typed: Type, streams: Streams, redis: Redis, redis_url: str, bull: str
) -> None:
    """`groups --consumers` names the instance that has a channel, and a group with one is not called dead."""
    subscriber = RedisBullMQStreamSubscriber.from_url(
        redis_url,
        group=GROUP,
        consumer="billing-1",
        subscriptions=subscriptions_of("valuation"),
        prefix=streams.prefix,
        bull_prefix=bull,
    )
    async with running(subscriber):
        await streams.add(evaluated())
        await until(lambda: subscriber.stats.forwarded)
        owners = [one["owner"] for one in records(await typed("groups", "--consumers", "--json"))]
    assert owners[0].startswith("billing-1 (")
    assert "with subscriptions" not in owners[0]
    assert {one["owner"] for one in records(await typed("groups", "--consumers", "--json"))} == {""}


async def test_group_whose_owner_waits_is_not_dead(typed: Type, streams: Streams, redis: Redis) -> None:
    """While an instance has the lease, its group is behind, however long ago it has read: its queue may be full."""
    await add_old(streams, redis, hours=3)
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="0")
    await redis.xgroup_createconsumer(streams.key(EVALUATED), GROUP, "domainstream")
    await lease_to(redis, streams.key(EVALUATED), "billing-1", "a1")
    checks = [one["check"] for one in findings(await typed("doctor", "--json"), "warning")]
    assert "progress" in checks
    assert "dead groups" not in checks


async def test_failed_jobs_are_a_warning(typed: Type, valuation: Valuation, bull: str) -> None:
    """Failed jobs are counted per queue with the age of the first, and the printed command lists them."""
    await valuation.add(*[job_of(evaluated(), job_id=f"event-{number}") for number in range(2)])

    async def give_up(event: OptimizationEvaluated, context: EventContext) -> None:
        raise GiveUp("no such tariff")

    async with running(valuation.worker(give_up)):
        await valuation.ended("failed", 2)
    found = only_check(findings(await typed("doctor", "--json", "--bull-prefix", bull), "warning"), "failed jobs")
    assert re.search(r"valuation has 2 failed jobs, the first failed \d+ m?s ago", found["words"])
    (group,) = records(await typed(*shlex.split(found["mend"])[1:], "--json"))
    assert (group["jobs"], group["error"]) == (2, "GiveUp")


async def test_jobs_that_no_build_handles_are_a_warning(typed: Type, valuation: Valuation, bull: str) -> None:
    """Jobs of a newer version and jobs without a handler are two findings, and the printed commands list them."""
    newer = OptimizationEvaluatedV2(aggregate_id="opt-1", payload=EvaluatedPayload(score=0.5))
    await valuation.add(job_with(newer, "event-1"), job_with(calculated(), "event-2"))
    async with running(worker_of(valuation, OptimizationEvaluated, None)):
        await valuation.ended("delayed", 2)
    await valuation.wait_for("ConnectionError: no database", job_id="event-3")
    found = findings(await typed("doctor", "--json", "--bull-prefix", bull), "warning")
    waiting = [one for one in found if one["check"] == "waiting jobs"]
    assert [line["words"].split(" (price-stay)")[0] for line in waiting] == [
        "valuation has 1 job that no handler of its workers takes",
        "valuation has 1 job whose event version is newer than its workers know",
    ]
    for one, error in zip(waiting, ["HandlerNotFoundError", "UnknownEventVersionError"], strict=True):
        (group,) = records(await typed(*shlex.split(one["mend"])[1:], "--json"))
        assert (group["jobs"], group["error"]) == (1, error)


async def test_leases_that_may_not_be_read_are_a_warning(
    typed: Type, streams: Streams, redis: Redis, user_url: UserUrl
) -> None:
    """A user who may read streams but no leases is warned, and still gets the findings about streams."""
    await streams.add(evaluated())
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="0")
    await redis.xreadgroup(GROUP, "one", {streams.key(EVALUATED): ">"})
    url = await user_url("+@all", f"~{streams.prefix}*")
    result = await typed("doctor", "--json", "--redis-url", url)
    assert "subscriptions could not be read" in only_check(findings(result, "warning"), "subscriptions")["words"]
    assert "every channel is read by a group" in result.stdout


async def test_queues_that_may_not_be_read_are_a_warning(
    typed: Type, valuation: Valuation, user_url: UserUrl, streams: Streams
) -> None:
    """A user who may not read the queues is warned, and still gets all other findings."""
    await valuation.add(job_of())
    url = await user_url("+@all", f"~{streams.prefix}domain*")
    result = await typed("doctor", "--json", "--redis-url", url, "--bull-prefix", valuation.prefix)
    assert "queues could not be read" in only_check(findings(result, "warning"), "queues")["words"]
    assert '"check":"clock"' in result.stdout


def only_check(found: list[dict[str, Any]], check: str) -> dict[str, Any]:
    """Return the only finding of a check."""
    (one,) = [one for one in found if one["check"] == check]
    return one


async def test_dead_letters_and_losses_are_warnings(typed: Type, streams: Streams, redis: Redis) -> None:
    """Dead letters and losses are warnings with the command that shows more."""
    await store(streams, b"1")
    await streams.add_data(EVALUATED, data=b"1")
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="0")
    await redis.xreadgroup(GROUP, "one", {streams.key(EVALUATED): ">"})
    await streams.add_data(EVALUATED, data=b"2")
    await redis.xtrim(streams.key(EVALUATED), maxlen=0, approximate=False)
    found = findings(await typed("doctor", "--json"), "warning")
    assert {one["mend"] for one in found} == {
        f"domainstream groups ls {EVALUATED}",
        f"domainstream dead-letters ls {EVALUATED}",
    }


async def test_clock_that_jumped_back_is_noticed(typed: Type, redis: Redis, stream_prefix: str) -> None:
    """An entry from the future is reported as a server's clock that jumped back."""
    await redis.xadd(f"{stream_prefix}{EVALUATED}", {"data": "1"}, id="4102444800000-0")
    found = findings(await typed("doctor", "--json"), "warning")
    assert "ahead of the server's clock" in found[0]["words"]


@pytest.fixture
async def user_url(redis: Any, redis_url: str, stream_prefix: str) -> AsyncIterator[UserUrl]:
    """A function that creates a user with these permissions and returns the URL of that user."""
    name = stream_prefix.strip(":")

    async def make(*permissions: str) -> str:
        await redis.execute_command("ACL", "SETUSER", name, "on", ">a-secret", "-@all", "+ping", *permissions)
        return redis_url.replace("://", f"://{name}:a-secret@")

    yield make
    await redis.acl_deluser(name)


async def test_missing_permissions_are_fixed(typed: Type, redis: Redis, stream_prefix: str, user_url: UserUrl) -> None:
    """All commands that the role lacks are named at once, and one command grants them."""
    url = await user_url(f"~{stream_prefix}*", "+xadd")
    words = ["doctor", "--json", "--role", "publisher", "--redis-url", url]
    (found,) = findings(await typed(*words))
    assert found["check"] == "permissions"
    assert "xtrim" in found["words"]
    assert "xadd" not in found["words"]
    assert "xreadgroup" not in found["words"]
    await fix(redis, found)
    assert findings(await typed(*words)) == []


async def test_closed_keys_are_reported(typed: Type, redis: Redis, user_url: UserUrl) -> None:
    """Keys that the user may not touch are a warning, which the printed command fixes."""
    words = ["doctor", "--json", "--redis-url", await user_url("+@all")]
    await fix(redis, only_check(findings(await typed(*words), "warning"), "permissions"))
    assert "permissions" not in {one["check"] for one in findings(await typed(*words), "warning")}


def to_evaluated(_: OptimizationEvaluated) -> Channel:
    """Map every event to one channel."""
    return EVALUATED


async def test_publisher_publishes_with_what_the_doctor_asks_for(
    redis: Redis, user_url: UserUrl, stream_prefix: str
) -> None:
    """A user with only the permissions of the list can publish, retention and its guard included."""
    url = await user_url(f"~*{stream_prefix}*", *(f"+{name}" for name in needed_by("publisher")))
    await redis.xgroup_create(f"{stream_prefix}{EVALUATED}", GROUP, id="0", mkstream=True)
    retention = Retention(max_age=timedelta(hours=1))
    async with RedisStreamPublisherClient.from_url(url, prefix=stream_prefix, retention=retention) as client:
        producer: EventProducer[OptimizationEvaluated] = EventProducer(
            client, channel_for=lambda _: EVALUATED, source="coding"
        )
        for _ in range(2):
            assert (await producer.publish(evaluated())).outcome is Outcome.PUBLISHED


async def test_subscriber_forwards_with_what_the_doctor_asks_for(
    typed: Type, streams: Streams, redis_url: str, user_url: UserUrl, bull: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A user with only the permissions of the lists can subscribe, and add jobs."""
    words = [f"+{name}" for name in {*needed_by("subscriber"), *needed_by("job-adder")}]
    url = await user_url(f"~*{streams.prefix}*", "&__redis__:invalidate", *words)
    subscriber = RedisBullMQStreamSubscriber.from_url(
        url,
        group=GROUP,
        subscriptions=subscriptions_of("valuation"),
        prefix=streams.prefix,
        bull_prefix=bull,
        settings=SubscriberSettings(retention=Retention(max_age=timedelta(hours=1))),
    )
    await streams.add_data(EVALUATED, data=b"rubbish")
    async with running(subscriber):
        await streams.add(evaluated())
        await until(lambda: subscriber.stats.forwarded)
        result = await typed("doctor", "--json", "--role", "subscriber", "--redis-url", url)
    assert only_check(findings(result, "ok"), "permissions")["words"].endswith("that the role subscriber needs")
    assert len(await streams.dead(EVALUATED)) == 1
    assert [record.getMessage() for record in caplog.records if "NOPERM" in record.getMessage()] == []
    assert "wake_ups_missing" not in caplog.text


def test_subscriber_needs_what_its_scripts_call() -> None:
    """The subscriber's list contains every command in the scripts that it runs, but for those that add jobs."""
    text = "".join(script.text for script in (TAKE, TURN, RECOVER, STORE_DEAD, TRIM, MEMBERS, CLAIM))
    with_subcommands = re.findall(r"""call\('([A-Z]+)'(?:, '([A-Z]+)')?""", text)
    called = {f"{name}|{more}" if name in ("XGROUP", "XINFO") else name for name, more in with_subcommands}
    assert {"HGETALL", "XGROUP|CREATE", "XTRIM", "ZREM", "SET"} <= called
    assert {name.lower() for name in called} <= set(needed_by("subscriber"))


def test_job_adder_needs_what_its_scripts_call() -> None:
    """The list of who adds jobs contains every command in the scripts that do."""
    in_order = (add_script(in_order=True).text, gate_script("tend_gates"))
    called = called_by(add_script().text, *in_order, fence_script().text, *map(script_text, KEYS))
    assert {"hset", "zadd", "incr"} <= called
    assert called <= set(needed_by("job-adder"))


def test_worker_needs_what_its_scripts_call() -> None:
    """The worker's list contains every command in the scripts that take, end, move and renew jobs."""
    called = called_by(round_trip_script().text, *map(text_of, FILES))
    assert {"rpoplpush", "hincrby", "zpopmin"} <= called
    assert called <= set(needed_by("worker"))


async def test_subscriber_that_may_not_listen(typed: Type, redis: Redis, user_url: UserUrl) -> None:
    """Without the right to hear of changed keys, the printed command grants it, and the channel."""
    words = ("doctor", "--json", "--role", "subscriber", "--redis-url", await user_url("~*", "+@all", "-subscribe"))
    found = only_check(findings(await typed(*words)), "permissions")
    assert "may not call subscribe, which the role subscriber needs" in found["words"]
    await fix(redis, found)
    assert [one for one in findings(await typed(*words)) if one["check"] == "permissions"] == []


def called_by(*texts: str) -> set[str]:
    """Return the commands that scripts call."""
    return {
        name.lower() for text in texts for name in re.findall(r"""\b(?:r|redis\.|p)?call\(\s*["'](\w+)["']""", text)
    }


async def test_operator_works_with_what_the_doctor_asks_for(
    typed: Type, streams: Streams, redis: Redis, redis_url: str, user_url: UserUrl, valuation: Valuation
) -> None:
    """A user with only the permissions of the list can run every inspecting command, and every one that repairs."""
    bull = valuation.prefix
    url = await user_url(f"~*{streams.prefix}*", *(f"+{name}" for name in needed_by("operator")))
    events = [evaluated() for _ in range(3)]
    for event in events:
        await streams.add(event)
    await store(streams, b"1", b"2")
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="0")
    settings = JobSettings(attempts=1, priority=3)
    await valuation.add(
        job_of(events[0], settings=settings), *[job_of(event, job_id=job_id(event.id)) for event in events]
    )

    async def give_up(event: OptimizationEvaluated, context: EventContext) -> None:
        raise GiveUp("no such tariff")

    async with running(valuation.worker(give_up)):
        await valuation.ended("failed", 4)
    await valuation.wait_for("HandlerNotFoundError: none", job_id="event-9")
    ordered = WorkedQueue(redis_url, redis, bull)
    for key in ("stay-1", "stay-2", "stay-3"):
        await ordered.hold(key, f"{key}-1", f"{key}-2")
    await ordered.tend()
    to_valuation = f"--to valuation --job price-stay --bull-prefix {bull} --yes"
    for line in (
        *("streams ls", f"streams info {EVALUATED}", f"streams tail {EVALUATED}", "groups", "groups --consumers"),
        *("lag", "pending", f"queues --bull-prefix {bull}", f"trace {events[0].id} --bull-prefix {bull}"),
        *("dead-letters ls", f"dead-letters redrive {EVALUATED} --all --yes", f"dead-letters purge {EVALUATED} --all"),
        *(f"jobs ls valuation --bull-prefix {bull}", f"jobs show valuation event-1 --bull-prefix {bull}"),
        *(f"order ls valuation --bull-prefix {bull}", f"jobs show valuation stay-1-2 --bull-prefix {bull}"),
        *(f"order retry valuation stay-1 --yes --bull-prefix {bull}", f"queues --bull-prefix {bull}"),
        f"order skip valuation stay-2 --yes --bull-prefix {bull}",
        f"replay {EVALUATED} --event {events[0].id} --again --order-by aggregate {to_valuation}",
        f"order drop valuation stay-3 --yes --bull-prefix {bull}",
        f"order drop valuation --all --yes --bull-prefix {bull}",
        f"jobs retry valuation event-1 --yes --bull-prefix {bull}",
        f"jobs retry valuation --state delayed --all --yes --bull-prefix {bull}",
        f"jobs rm valuation --all --yes --bull-prefix {bull}",
        f"replay {EVALUATED} --event {events[0].id} {to_valuation}",
        f"replay {EVALUATED} --failed {to_valuation}",
        f"groups rm {EVALUATED} {GROUP} --yes",
    ):
        result = await typed(*line.split(), "--redis-url", url)
        assert result.exit_code == 0, f"{line}: {result.output}"


def test_operator_needs_what_the_scripts_of_bullmq_call() -> None:
    """The operator's list contains every command in BullMQ's scripts that the command line runs."""
    called = called_by(_repair_script(), *order_scripts(), *map(script_text, KEYS), add_script(in_order=True).text)
    assert {"hset", "zadd", "lrem", "incr", "linsert"} <= called
    assert called <= set(needed_by("operator"))


async def test_probe_of_script_commands_changes_nothing(
    typed: Type, redis: Redis, user_url: UserUrl, stream_prefix: str
) -> None:
    """A command that BullMQ's scripts call is probed without being called, and named when it is forbidden."""
    url = await user_url("~*", "+@all", "-lpush", "-incr")
    result = await typed("doctor", "--json", "--role", "operator", "--redis-url", url)
    found = only_check(findings(result), "permissions")
    assert "may not call incr, lpush, which the role operator needs" in found["words"]
    assert [key async for key in redis.scan_iter(f"{stream_prefix}*")] == []


def only(found: list[Finding]) -> Finding:
    """Return the only finding that is not `ok`."""
    (bad,) = [one for one in found if one.status != "ok"]
    return bad


def changed(**facts: Any) -> list[Finding]:
    """Return the findings of a good server with these facts changed."""
    fields = {name: getattr(GOOD, name) for name in GOOD.__struct_fields__}
    return [*server_findings(ServerFacts(**{**fields, **facts}), Deployment())]


def test_good_facts_have_no_problem() -> None:
    """A good server has no finding, and its loss window of two seconds is named."""
    found = changed()
    assert {one.status for one in found} == {"ok"}
    assert any("up to 2 seconds" in one.words for one in found)


@pytest.mark.parametrize(
    ("facts", "status", "command"),
    [
        ({"eviction": "allkeys-lru"}, "problem", "CONFIG SET maxmemory-policy noeviction"),
        ({"used_memory": 950}, "problem", "CONFIG SET maxmemory 2000"),
        ({"max_memory": 0}, "warning", "CONFIG SET maxmemory 1073741824"),
        ({"appends": False, "snapshots": ""}, "problem", "CONFIG SET appendonly yes"),
        ({"appends": False, "snapshots": "3600 1"}, "warning", "CONFIG SET appendonly yes"),
        ({"appends": False, "snapshots": None}, "warning", "CONFIG SET appendonly yes"),
        ({"fsync": "no"}, "warning", "CONFIG SET appendfsync everysec"),
        ({"append_works": False}, "problem", "df -h"),
        ({"snapshot_works": False}, "problem", "BGSAVE"),
        ({"replicas": 1, "min_replicas": "0"}, "warning", "CONFIG SET min-replicas-to-write 1"),
        ({"primary": "10.0.0.1:6379"}, "problem", "redis://10.0.0.1:6379"),
        ({"cluster": True}, "problem", "redis+cluster://"),
    ],
)
def test_bad_fact_is_found(facts: dict[str, Any], status: str, command: str) -> None:
    """Each bad fact has its own finding with a command."""
    found = only(changed(**facts))
    assert found.status == status
    assert (command in found.fix) is True


@pytest.mark.parametrize(("fsync", "words"), [("always", "loses nothing"), (None, "may not read how often")])
def test_loss_window_is_reported(fsync: str | None, words: str) -> None:
    """The finding says what a crash may lose."""
    assert any(words in one.words for one in changed(fsync=fsync))


@pytest.mark.parametrize("setting", ["1", None])
def test_cost_of_a_failover_is_reported(setting: str | None) -> None:
    """A primary that refuses writes without a replica is fine, as is one whose settings may not be read."""
    found = changed(replicas=2, replica_lag=1234, min_replicas=setting)
    assert {one.status for one in found} == {"ok"}
    assert "2 replicas; a failover now loses 1,234 bytes of changes" in {one.words for one in found}


def test_cost_of_a_failover_in_entries() -> None:
    """Where the size of entries is known, the bytes that replicas lack are put as a number of entries."""
    fields = {name: getattr(GOOD, name) for name in GOOD.__struct_fields__}
    facts = ServerFacts(**{**fields, "replicas": 1, "replica_lag": 5000, "min_replicas": "1"})
    words = {one.words for one in server_findings(facts, Deployment(entry_bytes=400))}
    assert "1 replica; a failover now loses 5,000 bytes of changes, at most about 10 entries" in words


@pytest.mark.parametrize(
    ("deployment", "fix"),
    [
        (Deployment(kind=TopologyKind.CLUSTER), "CONFIG SET cluster-node-timeout 5000"),
        (
            Deployment(kind=TopologyKind.SENTINEL, primary_name="orders", sentinel="redis-cli -p 26379"),
            "redis-cli -p 26379 SENTINEL SET orders down-after-milliseconds 5000",
        ),
    ],
)
def test_late_failover_is_a_warning(deployment: Deployment, fix: str) -> None:
    """A primary that may be silent for longer than publishers wait is a warning with the setting."""
    fields = {name: getattr(GOOD, name) for name in GOOD.__struct_fields__}
    replicated = {**fields, "name": "Redis", "replicas": 1, "min_replicas": "1"}
    late, in_time = (ServerFacts(**{**replicated, "down_after_ms": after_ms}) for after_ms in (15_000, 5_000))
    assert only([*server_findings(late, deployment)]).fix.endswith(fix)
    assert {one.status for one in server_findings(in_time, deployment)} == {"ok"}


def test_planned_failover_is_explained() -> None:
    """Behind sentinels, a server that can hand over without a loss comes with the command that does."""
    fields = {name: getattr(GOOD, name) for name in GOOD.__struct_fields__}
    deployment = Deployment(kind=TopologyKind.SENTINEL, primary_name="orders")
    for name, version, can in (("Valkey", "9.1.2", True), ("Valkey", "8.0.1", False), ("Redis", "7.0.15", False)):
        facts = ServerFacts(**{**fields, "name": name, "version": version})
        words = " ".join(one.words for one in server_findings(facts, deployment))
        assert ("SENTINEL FAILOVER orders COORDINATED" in words) is can


def test_unknown_facts_are_a_warning() -> None:
    """A user without INFO gets a warning with the command that allows it."""
    (found,) = server_findings(None, Deployment(user="reader"))
    assert found.status == "warning"
    assert found.fix == 'redis-cli -u "$REDIS_URL" ACL SETUSER reader +info'


@pytest.mark.parametrize(("ahead", "status"), [(timedelta(), "ok"), (timedelta(hours=2), "problem")])
def test_clocks_are_compared(ahead: timedelta, status: str) -> None:
    """Clocks that differ by more than a second are a problem, in either direction."""
    milliseconds = round(ahead.total_seconds() * 1000)
    assert {clock_finding(milliseconds).status, clock_finding(-milliseconds).status} == {status}


def test_missing_commands_are_a_problem() -> None:
    """A server that is too old is a problem with the version to install."""
    abilities = CommandProbeResult(missing=("xautoclaim",), forbidden=(), closed_keys=())
    found = only([*ability_findings(abilities, user="default", roles=["subscriber"])])
    assert "xautoclaim" in found.words
    assert "Redis 7.0" in found.fix


@pytest.mark.parametrize(
    ("unread", "used", "status"),
    [
        ({}, 100, "ok"),
        ({EVALUATED: 100}, 300, "ok"),
        ({EVALUATED: 600}, 700, "warning"),
        ({EVALUATED: 200}, 850, "warning"),
    ],
)
def test_unread_entries_that_fill_the_memory_are_a_warning(unread: dict[str, int], used: int, status: str) -> None:
    """Unread entries that take half of the memory, or more than is left, are a warning that names the channel."""
    facts = ServerFacts(**{name: getattr(GOOD, name) for name in GOOD.__struct_fields__} | {"used_memory": used})
    found = unread_memory_finding(facts, unread)
    assert found.status == status
    assert f"{1000 - used} bytes are left until publishers are rejected" in found.words
    assert found.fix == (f"domainstream groups ls {EVALUATED}" if status == "warning" else "")


async def test_memory_of_unread_entries_is_estimated(typed: Type, streams: Streams, redis: Redis) -> None:
    """What a group has read does not count, and what no group reads counts in full."""

    async def unread_bytes() -> int:
        result = await typed("doctor", "--json")
        words = next(json.loads(line)["words"] for line in result.stdout.splitlines() if '"unread"' in line)
        return int(re.search(r"about ([\d,]+) bytes", words)[1].replace(",", ""))  # type: ignore[index]

    for _ in range(100):
        await streams.add(evaluated())
    everything = await unread_bytes()
    key = streams.key(EVALUATED)
    await redis.xgroup_create(key, GROUP, id="0")
    delivered: Any = await redis.xreadgroup(GROUP, "one", {key: ">"}, count=90)
    await redis.xack(key, GROUP, *[entry_id for entry_id, _ in delivered[0][1]])
    assert 0 < await unread_bytes() < everything / 5
