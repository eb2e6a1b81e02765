"""Ctrl-C ends a command, whatever it awaits."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from domainstream.cli.common import exit_codes as exits
from domainstream.cli.common.terminal import Terminal
from domainstream.tools.signals import InterruptedRunError, Interrupts


def run_until_interrupted(work: Coroutine[Any, Any, int | None], terminal: Terminal) -> int | None:
    """Run `work` and return what it returns, or the exit code of the signal that ended it.

    asyncio's own way with Ctrl-C cancels once, which redis-py swallows when it is about to send a command.
    """
    if threading.current_thread() is not threading.main_thread():
        # Signals come to the main thread alone.
        return asyncio.run(work)
    return asyncio.run(_guarded(work, terminal))


async def _guarded(work: Coroutine[Any, Any, int | None], terminal: Terminal) -> int | None:
    try:
        return await Interrupts().guard(work)
    except InterruptedRunError as interrupt:
        terminal.say("Interrupted.")
        return exits.SIGNAL_BASE + interrupt.signal_number
