"""What the log says of a failed attempt."""

import json
from typing import Any

import pytest

from domainstream.worker.failed_attempt import failure_text
from domainstream.worker.handlers import Handling


async def price_stay(event: object, context: object) -> None:
    """Fail inside of a library."""
    json.loads("{a secret")


async def call() -> None:
    """Call the handler as a worker does."""
    await price_stay(None, None)


async def text_of(options: dict[str, Any], attempt: int = 1) -> str:
    """Return what is said of the handler's failure."""
    try:
        await call()
    except ValueError as error:
        return failure_text(error, Handling("OptimizationEvaluated", price_stay, call), attempt, options)
    raise AssertionError


async def test_place_is_in_the_handler_and_not_in_what_it_calls() -> None:
    """The line to look at is the last one of the service's own; the message, which quotes the payload, stays out."""
    text = await text_of({"attempts": 3})
    assert f"JSONDecodeError at {__file__}:" in text
    assert " in price_stay, handling OptimizationEvaluated" in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("options", "attempt", "following"),
    [
        ({"attempts": 3, "backoff": {"type": "exponential", "delay": 1000}}, 1, "attempt 1 of 3; again in 1 s"),
        ({"attempts": 3, "backoff": {"type": "exponential", "delay": 1000}}, 2, "attempt 2 of 3; again in 2 s"),
        ({"attempts": 3, "backoff": {"type": "fixed", "delay": 1000}}, 2, "attempt 2 of 3; again in 1 s"),
        ({"attempts": 3, "backoff": 500}, 1, "attempt 1 of 3; again in 0.5 s"),
        ({"attempts": 3, "backoff": {"type": "custom"}}, 1, "attempt 1 of 3; it comes again"),
        ({"attempts": 3}, 1, "attempt 1 of 3; it comes again"),
        ({"attempts": 3}, 3, "attempt 3 of 3; failed for good"),
        ({}, 1, "attempt 1 of 1; failed for good"),
    ],
)
async def test_it_says_what_comes_next(options: dict[str, Any], attempt: int, following: str) -> None:
    """Which attempt of how many, and when the job comes again if that is known."""
    text = await text_of(options, attempt)
    assert f"{text.split(' failed')[0]}; {text.split('; ')[-1]}" == following
