"""`domainstream doctor` finds what is wrong, and the commands that it prints fix it."""

import json
import shlex
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import Result
from integration.cli.conftest import Type, store
from integration.stream.test_privileges import DEAD_LETTERS, IDLE_CONSUMERS, JANITOR, READER
from redis.asyncio import Redis
from support.consuming import EVALUATED, GROUP, BullJobs, Channel, OptimizationEvaluated, Streams, evaluated
from support.working import Valuation, job_of

from domainstream import EventProducer, Outcome, RedisStreamPublisherClient, Retention
from domainstream.stream.inspection.commands import CommandProbeResult, needed_by
from domainstream.stream.inspection.server import ServerFacts
from domainstream.tools.doctor import Finding, ability_findings, clock_finding, server_findings

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


def findings(result: Result, status: str = "problem") -> list[dict[str, Any]]:
    """Return the findings of this status, except persistence, which test servers do not have."""
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return [one for one in found if one["status"] == status and one["check"] != "persistence"]


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
async def test_missing_group_is_fixed(typed: Type, streams: Streams, redis: Redis, group: str | None) -> None:
    """A channel that no group reads, or not the named one, is a problem until the printed command has run."""
    await streams.add_data(EVALUATED, data=b"1")
    if group:
        await redis.xgroup_create(streams.key(EVALUATED), "others")
    words = ["doctor", "--json", *(["--group", group] if group else [])]
    (found,) = findings(await typed(*words))
    assert found["check"] == "groups"
    await fix(redis, found)
    assert findings(await typed(*words)) == []


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
        f"domainstream groups {EVALUATED}",
        f"domainstream dead-letters ls {EVALUATED}",
    }


async def test_clock_that_jumped_back_is_noticed(typed: Type, redis: Redis, stream_prefix: str) -> None:
    """An entry from the future is reported as a server's clock that jumped back."""
    await redis.xadd(f"{stream_prefix}{EVALUATED}", {"data": "1"}, id="4102444800000-0")
    found = findings(await typed("doctor", "--json"), "warning")
    assert "ahead of the server's clock" in found[0]["words"]


UserUrl = Callable[..., Any]


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
    found = findings(await typed(*words), "warning")
    assert [one["check"] for one in found] == ["permissions"]
    await fix(redis, found[0])
    assert findings(await typed(*words), "warning") == []


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


def test_subscriber_needs_what_its_parts_need() -> None:
    """The subscriber's list contains every command that the tests of privileges found."""
    rights = f"{READER} {DEAD_LETTERS} {JANITOR} {IDLE_CONSUMERS}".replace("+", "").split()
    assert set(rights) <= set(needed_by("subscriber"))


async def test_operator_looks_with_what_the_doctor_asks_for(
    typed: Type, streams: Streams, redis: Redis, redis_url: str, user_url: UserUrl, stream_prefix: str
) -> None:
    """A user with only the permissions of the list can run every inspecting command, redrive and purge."""
    bull = f"{stream_prefix}bull"
    url = await user_url(f"~*{stream_prefix}*", *(f"+{name}" for name in needed_by("operator")))
    event = evaluated()
    await streams.add(event)
    await store(streams, b"1", b"2")
    await redis.xgroup_create(streams.key(EVALUATED), GROUP, id="0")
    await Valuation(redis_url, bull, BullJobs(redis, bull, "valuation")).add(job_of())
    for line in (
        *("streams ls", f"streams info {EVALUATED}", f"streams tail {EVALUATED}", "groups", "groups --consumers"),
        *("lag", "pending", f"queues --bull-prefix {bull}", f"trace {event.id} --bull-prefix {bull}"),
        *("dead-letters ls", f"dead-letters redrive {EVALUATED} --all --yes", f"dead-letters purge {EVALUATED} --all"),
    ):
        result = await typed(*line.split(), "--redis-url", url)
        assert result.exit_code == 0, f"{line}: {result.output}"


def only(found: list[Finding]) -> Finding:
    """Return the only finding that is not `ok`."""
    (bad,) = [one for one in found if one.status != "ok"]
    return bad


def changed(**facts: Any) -> list[Finding]:
    """Return the findings of a good server with these facts changed."""
    fields = {name: getattr(GOOD, name) for name in GOOD.__struct_fields__}
    return [*server_findings(ServerFacts(**{**fields, **facts}), user="default")]


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
        ({"appends": False, "snapshots": ""}, "problem", "CONFIG SET appendonly yes"),
        ({"appends": False, "snapshots": "3600 1"}, "warning", "CONFIG SET appendonly yes"),
        ({"appends": False, "snapshots": None}, "warning", "CONFIG SET appendonly yes"),
        ({"fsync": "no"}, "warning", "CONFIG SET appendfsync everysec"),
        ({"append_works": False}, "problem", "df -h"),
        ({"snapshot_works": False}, "problem", "BGSAVE"),
        ({"primary": "10.0.0.1:6379"}, "problem", "redis://10.0.0.1:6379"),
        ({"cluster": True}, "problem", "outside of the cluster"),
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


def test_unknown_facts_are_a_warning() -> None:
    """A user without INFO gets a warning with the command that allows it."""
    (found,) = server_findings(None, user="reader")
    assert found.status == "warning"
    assert found.fix == 'redis-cli -u "$REDIS_URL" ACL SETUSER reader +info'


@pytest.mark.parametrize(("ahead", "status"), [(timedelta(), "ok"), (timedelta(hours=2), "problem")])
def test_clocks_are_compared(ahead: timedelta, status: str) -> None:
    """Clocks that differ by more than a second are a problem, in either direction."""
    milliseconds = round(ahead.total_seconds() * 1000)
    assert {clock_finding(milliseconds).status, clock_finding(-milliseconds).status} == {status}


def test_missing_commands_are_a_problem() -> None:
    """A server that is too old is a problem with the version to install."""
    abilities = CommandProbeResult(missing=("xautoclaim",), forbidden=(), closed_key="")
    found = only([*ability_findings(abilities, user="default", roles=["subscriber"])])
    assert "xautoclaim" in found.words
    assert "Redis 7.0" in found.fix
