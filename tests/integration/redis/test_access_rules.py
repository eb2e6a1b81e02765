"""Programs whose users have the rights of docs/how-to/run-in-production.md, and no others."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.access_rules import Place, live, rules

from domainstream.redis.nodes import RedisNodes
from domainstream.redis.topology import TopologyKind


@pytest.fixture
async def place(redis: Any, redis_url: str, stream_prefix: str) -> AsyncIterator[Place]:
    """A server with a user for each program."""
    bull_prefix = f"bull-{stream_prefix.strip(':')}"
    users = {}
    for program, rights in rules(TopologyKind.SINGLE, prefix=stream_prefix, bull_prefix=bull_prefix).items():
        users[program] = f"{stream_prefix.strip(':')}-{program.replace(' ', '-')}"
        await redis.execute_command("ACL", "SETUSER", users[program], "reset", "on", ">secret", *rights)

    def url_as(user: str) -> str:
        return redis_url.replace("redis://", f"redis://{user}:secret@")

    yield Place(users, url_as, RedisNodes.of(redis), stream_prefix, bull_prefix, None)
    for user in users.values():
        await redis.acl_deluser(user)
    async for key in redis.scan_iter(f"{bull_prefix}*"):
        await redis.delete(key)


async def test_whole_life_of_all_programs(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Publisher, relay, subscribers, trimmer, worker and commands do all they ever do, and nothing is refused."""
    await live(place)
    assert "NOPERM" not in caplog.text
    assert "wake_ups_missing" not in caplog.text
