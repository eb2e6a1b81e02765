"""What the processes share: how they start, and how they end at SIGTERM or Ctrl-C."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from domainstream import DomainStreamError


def stop_at_signals(stop: Callable[[], None]) -> None:
    """Call `stop` at SIGTERM and at Ctrl-C, so that what has begun is finished. To be called by a coroutine."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)


def start(process: Coroutine[Any, Any, None]) -> None:
    """Run `process` to its end; an error of domainstream, as for a missing REDIS_URL, ends it with one line."""
    try:
        asyncio.run(process)
    except DomainStreamError as error:
        sys.exit(str(error))
