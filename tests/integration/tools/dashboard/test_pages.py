"""The pages of the dashboard, against a server with a small hospital's events."""

import pytest
from redis.asyncio import Redis
from support.dashboards import Hospital, browsing

PATHS = ("/", "/queues", "/queues/billing", "/queues/archive?state=completed", "/failures", "/channels", "/story", "/map")


@pytest.fixture
def hospital(redis: Redis, redis_url: str, stream_prefix: str) -> Hospital:
    """A hospital without any events."""
    return Hospital(redis, redis_url, stream_prefix)


@pytest.mark.parametrize("path", [path for path in PATHS if "billing" not in path and "archive" not in path])
async def test_empty_server_has_pages_that_say_so(hospital: Hospital, path: str) -> None:
    """Without any stream or queue every page is there."""
    async with browsing(hospital.settings()) as browser:
        assert "<h1>" in await browser.page(path)


async def test_all(hospital: Hospital) -> None:
    await hospital.open()
    async with browsing(hospital.settings()) as browser:
        for path in PATHS:
            text = await browser.page(path)
            assert "<script>alert" not in text
