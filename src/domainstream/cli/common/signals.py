"""Lets Ctrl-C and SIGTERM end a command, whatever it awaits."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from domainstream.tools.signals import Interrupts


def run_until_interrupted(work: Coroutine[Any, Any, int | None]) -> int | None:
    """Run `work` and return its result; raise `InterruptedRunError` when a signal ended it.

    asyncio's own handling of Ctrl-C cancels only once, which redis-py swallows when it is about to send a command.
    """
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread receives signals.
        return asyncio.run(work)

    async def guarded() -> int | None:
        return await Interrupts().guard(work)

    return asyncio.run(guarded())
