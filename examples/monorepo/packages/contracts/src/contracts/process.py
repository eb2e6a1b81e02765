"""Starts a process and stops it gracefully at SIGTERM or Ctrl-C."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from domainstream import DomainStreamError


def stop_at_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at SIGTERM and Ctrl-C, so that work in progress is finished. Call this from a coroutine."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def start(process: Coroutine[Any, Any, None]) -> None:
    """Run `process`; report an error of domainstream, such as a missing REDIS_URL, in one line without traceback."""
    try:
        asyncio.run(process)
    except DomainStreamError as error:
        sys.exit(str(error))
