"""Ends the process when code of users keeps it from ending.

What `domainstream run` runs may ignore every request to stop: a handler that blocks the event loop, a function in a
thread that Python joins at exit, a coroutine that swallows its cancellation. A supervisor that sent SIGTERM waits for
such a process, and then kills it without a word in the log.
"""

import atexit
import logging
import os
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import Final

from domainstream.lifecycle import abandoned_tasks
from domainstream.telemetry import Signal, emit

EXIT_TIMEOUT: Final = 5.0
"""Seconds that Python has to end the process once the program has ended."""

LAST_WORDS: Final = 1.0
"""Seconds that a forced end waits for its log record: the thread that does not end may hold the lock of the log."""

_NOT_USERS: Final = frozenset({"asyncio", "concurrent", "domainstream", "selectors", "threading"})


class ExitDeadline:
    """Ends the process with an exit code at a deadline, unless it is disarmed before."""

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def arm(self, seconds: float, exit_code: int) -> None:
        """End the process in `seconds`; this replaces an earlier deadline."""
        self.disarm()
        self._timer = threading.Timer(seconds, force_exit, [exit_code])
        self._timer.name, self._timer.daemon = "exit deadline", True
        self._timer.start()

    def disarm(self) -> None:
        """Let the process run on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def force_exit(exit_code: int) -> None:
    """End the process at once, and log where its main thread is and which threads were left."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001 - there is no other way
    others = [thread.name for thread in threading.enumerate() if not thread.daemon]
    words = threading.Thread(target=_say, args=(exit_code, _place(frame), ", ".join(others)), daemon=True)
    words.start()
    words.join(LAST_WORDS)
    os._exit(exit_code)


def exit_despite_leftovers(exit_code: int) -> None:
    """Keep what the program left behind from holding up the end of the process; call it last.

    Python closes an abandoned coroutine at exit, which it may ignore, and waits for every thread but daemons.
    """
    if abandoned_tasks():
        atexit._run_exitfuncs()  # noqa: SLF001 - `os._exit` does not
        _flush()
        os._exit(exit_code)
    if threading.active_count() > 1:
        ExitDeadline().arm(EXIT_TIMEOUT, exit_code)


def _say(exit_code: int, where: str, threads: str) -> None:
    emit(Signal.RUN_FORCED_EXIT, exit_code=exit_code, where=where, threads=threads)
    _flush()


def _flush() -> None:
    with suppress(OSError, ValueError):  # closed, or nobody reads it any more
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()


def _place(frame: FrameType | None) -> str:
    innermost = frame
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _NOT_USERS:
        frame = frame.f_back
    frame = frame or innermost
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}" if frame else "unknown"
