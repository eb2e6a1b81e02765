"""Cancelling tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_AFTER = 1.0


async def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel `tasks` and wait until all have ended.

    Cancels again what does not end: on Python 3.11, `asyncio.wait_for`, which redis-py sends commands with, swallows a
    cancellation that arrives together with its result.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_AFTER)
