"""The examples in docs/how-to/write-middleware.md, run as they stand there."""

import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from support.consuming import OptimizationEvaluated
from support.handling import received

from domainstream.worker import EventConsumer, EventContext, Next, PreparedCall, RetryLater
from domainstream.worker.attempt import AttemptRunner
from domainstream.worker.outcomes import Completed, Delayed

HOW_TO: Final = Path(__file__).parents[3] / "docs" / "how-to" / "write-middleware.md"


class RateLimitedError(Exception):
    """A library's error."""

    retry_after = 30


@pytest.fixture
def shown() -> dict[str, Any]:
    """Return the names that the page's examples define, run in order."""
    names: dict[str, Any] = {
        "EventConsumer": EventConsumer,
        "Next": Next,
        "PreparedCall": PreparedCall,
        "RateLimited": RateLimitedError,
        "RetryLater": RetryLater,
        "durations": {},
        "time": time,
    }
    blocks = re.findall(r"^```python\n(.*?)```", HOW_TO.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, str(HOW_TO), "exec"), names)  # noqa: S102 - our own page
    return names


async def test_middleware_that_measures(shown: dict[str, Any]) -> None:
    """The page's first middleware records how long each call of a handler took."""
    consumer: EventConsumer = shown["consumer"]

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None: ...

    assert await AttemptRunner(consumer)(received()) == Completed()
    assert len(shown["durations"]["price_stay"]) == 1


async def test_middleware_that_turns_an_error_into_an_outcome(shown: dict[str, Any]) -> None:
    """The page's second middleware delays a job whose handler was rate limited, and the first one measures it."""
    consumer: EventConsumer = shown["consumer"]

    @consumer.on(OptimizationEvaluated)
    async def price_stay(event: OptimizationEvaluated, context: EventContext) -> None:
        raise RateLimitedError

    assert await AttemptRunner(consumer)(received()) == Delayed(timedelta(seconds=30))
    assert len(shown["durations"]["price_stay"]) == 1
